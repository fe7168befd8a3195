"""Control messages between guest memory and sockets: cmsg(3), unix(7); Linux net/core/scm.c."""

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.socket import AF, MSG, SCM, SCM_MAX_FD, SOL, Cmsghdr, Ucred
from aionoah.fs.pidfd import PidFile
from aionoah.net.socket import Control, Identity, Outgoing, Received
from aionoah.process.user_namespaces import NO_ID

if TYPE_CHECKING:
    from aionoah.fs.file import File
    from aionoah.process.task import Process, Task

_HEAD: Final = Cmsghdr.SIZE
_ALIGN: Final = 8
_INT: Final = 4


def parse_control(data: bytes) -> Iterator[Control]:
    """The messages in a buffer. EINVAL for a length that cannot be."""
    offset = 0
    while offset + _HEAD <= len(data):
        head = Cmsghdr.unpack(data, offset)
        if not _HEAD <= head.cmsg_len <= len(data) - offset:
            raise LinuxError(Errno.EINVAL)
        body = data[offset + _HEAD : offset + head.cmsg_len]
        yield Control(head.cmsg_level, head.cmsg_type, body)
        offset += head.cmsg_len + -head.cmsg_len % _ALIGN


def add_control(task: "Task", message: Outgoing, family: int, data: bytes) -> None:
    """Put control messages into a message: files, credentials that the task may claim, and the rest.

    EINVAL, EBADF, EPERM.
    """
    files: list[File] = []
    rest: list[Control] = []
    is_local = family in (AF.UNIX, AF.NETLINK)
    for control in parse_control(data):
        if control.level != SOL.SOCKET:
            rest.append(control)
        elif control.kind == SCM.RIGHTS:
            if family == AF.UNIX:
                files += _files(task, control.data, len(files))
            elif is_local:
                raise LinuxError(Errno.EINVAL)
        elif control.kind == SCM.CREDENTIALS:
            if is_local:
                message.identity = _claimed(task, control.data)
        elif is_local:
            raise LinuxError(Errno.EINVAL)
        else:
            rest.append(control)
    message.files = tuple(files)
    message.control = tuple(rest)


def _files(task: "Task", data: bytes, already: int) -> "list[File]":
    count = len(data) // _INT
    if count + already > SCM_MAX_FD:
        raise LinuxError(Errno.EINVAL)
    return [task.files.get(fd, allow_path=True) for fd in struct.unpack_from(f"<{count}i", data)]


def _claimed(task: "Task", data: bytes) -> Identity:
    """Who somebody says he is (scm_check_creds): EINVAL, EPERM, ESRCH."""
    if len(data) != Ucred.SIZE:
        raise LinuxError(Errno.EINVAL)
    said, who = Ucred.unpack(data), task.credentials
    names = who.user_namespace
    claimed = Ucred(said.pid, names.uids.to_kernel(said.uid), names.gids.to_kernel(said.gid))
    if NO_ID in (claimed.uid, claimed.gid):
        raise LinuxError(Errno.EINVAL)
    if not (
        (claimed.pid == task.process.pid or who.has_capability(CAP.SYS_ADMIN))
        and (claimed.uid in (who.uid, who.euid, who.suid) or who.has_own(CAP.SETUID))
        and (claimed.gid in (who.gid, who.egid, who.sgid) or who.has_own(CAP.SETGID))
    ):
        raise LinuxError(Errno.EPERM)
    process = task.kernel.processes.get(claimed.pid)
    if process is None:
        raise LinuxError(Errno.ESRCH)
    return Identity(claimed, (), process)


def _process_control(number: int) -> Control:
    return Control(SOL.SOCKET, SCM.PIDFD, struct.pack("<i", number))


class ControlWriter:
    """Puts control messages into the guest's buffer one after the other, as far as there is room."""

    def __init__(self, task: "Task", address: int, room: int) -> None:
        self.flags = 0  # MSG_CTRUNC when something did not fit
        self.used = 0
        self._task = task
        self._address = address
        self._room = room

    def write(self, received: Received, *, cloexec: bool) -> None:
        """All that has come with a message; its files become descriptors or are dropped. What there is no memory
        for is left out without a word, as nobody looks at what put_cmsg returns.
        """
        for control in received.control:
            with suppress(LinuxError):
                self._put(control)
        if received.files:
            with suppress(LinuxError):
                self._put_files(received.files, cloexec=cloexec)
            for file in received.files:
                file.drop()
        if received.process is not None:
            self._put_process(received.process)

    def _put(self, control: Control) -> None:
        """One message, cut if need be (put_cmsg). EFAULT."""
        room = self._room - self.used
        if room < _HEAD:
            self.flags |= MSG.CTRUNC
            return
        length = _HEAD + len(control.data)
        if length > room:
            self.flags |= MSG.CTRUNC
            length = room
        head = Cmsghdr(length, control.level, control.kind).pack()
        self._task.memory.write(self._address + self.used, (head + control.data)[:length])
        self.used += min(length + -length % _ALIGN, room)

    def _put_process(self, process: "Process") -> None:
        """A descriptor of who has sent the message, in whose place may be why there is none (scm_pidfd_recv)."""
        if self._room - self.used < _HEAD + _INT:
            self.flags |= MSG.CTRUNC
            return
        try:
            with self._task.files.reserve() as (fd,):
                self._put(_process_control(fd))
                self._task.files.install(fd, PidFile(process), cloexec=True)
        except LinuxError as error:
            with suppress(LinuxError):
                self._put(_process_control(-error.errno))

    def _put_files(self, files: "tuple[File, ...]", *, cloexec: bool) -> None:
        """As many as there is room and numbers for (scm_detach_fds). EFAULT."""
        memory, table = self._task.memory, self._task.files
        start = self._address + self.used
        room = max(self._room - self.used - _HEAD, 0) // _INT
        done = 0
        for file in files[:room]:
            try:
                with table.reserve() as (fd,):
                    memory.write(start + _HEAD + done * _INT, struct.pack("<i", fd))
                    table.install(fd, file.hold(), cloexec=cloexec)
            except LinuxError:
                break
            done += 1
        if done < len(files):
            self.flags |= MSG.CTRUNC
        if done:
            length = _HEAD + done * _INT
            memory.write(start, Cmsghdr(length, SOL.SOCKET, SCM.RIGHTS).pack())
            self.used += min(length + -length % _ALIGN, self._room - self.used)
