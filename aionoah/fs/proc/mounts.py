"""/proc/PID/mounts and mountinfo (proc_pid_mounts(5), proc_pid_mountinfo(5))."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aionoah.abi.stat import major, minor
from aionoah.fs.path import path_of
from aionoah.fs.proc.subject import Subject, task_of

if TYPE_CHECKING:
    from aionoah.fs.mount import Mount

_ESCAPES = {character: b"\\%03o" % character for character in b" \t\n\\#"}


def escape(text: bytes) -> bytes:
    """Blanks and backslashes as octal numbers (seq_path in fs/seq_file.c)."""
    return b"".join(_ESCAPES.get(character, bytes([character])) for character in text)


def visible(subject: Subject) -> Iterator[tuple["Mount", bytes]]:
    """The mounts below the root directory of the process, and their paths there."""
    task = task_of(subject)
    for mount in task.namespaces.mounts.mounts:
        path = path_of(mount.root, task.fs.root)
        if path.startswith(b"/"):
            yield mount, path


def mounts(subject: Subject) -> bytes:
    lines = []
    for mount, path in visible(subject):
        columns = (mount.source, path, mount.filesystem.type_name, mount.option_text)
        lines.append(b" ".join(map(escape, columns)) + b" 0 0\n")
    return b"".join(lines)


def mountinfo(subject: Subject) -> bytes:
    lines = []
    for mount, path in visible(subject):
        above = mount.under.identifier if mount.under is not None else 0
        device = mount.root.inode.attributes().dev
        access = b",".join(word for word in (_access(mount.filesystem.is_read_only), mount.details) if word)
        lines.append(
            b"%d %d %d:%d %s %s %s%s - %s %s %s\n"
            % (
                *(mount.identifier, above, major(device), minor(device), escape(mount.root_path)),
                *(
                    escape(path),
                    _mount_options(mount),
                    _propagation(mount),
                ),
                *(escape(mount.filesystem.type_name), escape(mount.source), access),
            )
        )
    return b"".join(lines)


def _propagation(mount: "Mount") -> bytes:
    """The optional fields."""
    shared = b" shared:%d" % mount.peer_group if mount.peer_group else b""
    slave = b" master:%d" % mount.master if mount.master else b""
    return shared + slave + (b" unbindable" if mount.is_unbindable else b"")


def _access(read_only: bool) -> bytes:  # noqa: FBT001 - one fact as a word
    return b"ro" if read_only else b"rw"


def _mount_options(mount: "Mount") -> bytes:
    """The sixth column: what belongs to the mount and not to its file system."""
    return b",".join(word for word in (_access(mount.is_read_only), mount.options) if word)
