"""Waiting for any of several files: poll, ppoll, select, pselect6.

Sources: poll(2), select(2); Linux fs/select.c. The timeouts of ppoll, select and pselect6 are written
back as what is left of them, which the C library hides.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from aionoah.abi.cstruct import Struct
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll, PollFd
from aionoah.abi.resource import RLIMIT
from aionoah.abi.signal import SigsetArgument
from aionoah.abi.time import NSEC_PER_MSEC, NSEC_PER_SEC, NSEC_PER_USEC, Timespec, Timeval
from aionoah.fs.file import File, has_passed
from aionoah.host.waiting import Source, sleep_on
from aionoah.syscalls.arguments import Addr, In, Int, Ptr, Size, UInt
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.signal_mask import signal_mask

if TYPE_CHECKING:
    from aionoah.process.task import Task

_ALWAYS: Final = Poll.ERR | Poll.HUP
_WORDS: Final = PollFd.SIZE // 2  # of 16 bits in a struct pollfd
_REVENTS: Final = 3  # which of them

# What makes a descriptor show up in each set of select, and what is asked for it (fs/select.c).
_IN_SET: Final = Poll.IN | Poll.RDNORM | Poll.RDBAND | Poll.HUP | Poll.ERR | Poll.NVAL
_OUT_SET: Final = Poll.OUT | Poll.WRNORM | Poll.WRBAND | Poll.ERR | Poll.NVAL
_EX_SET: Final = Poll.PRI | Poll.NVAL
_SETS: Final = (_IN_SET, _OUT_SET, _EX_SET)

Watch = tuple[File, int]
"""A file and the events that are wanted of it, ERR and HUP among them."""


# -- poll ---------------------------------------------------------------------------------------------


@syscall
async def poll(task: "Task", fds: Ptr[PollFd], nfds: UInt, timeout_ms: Int) -> int:
    deadline_ns = None if timeout_ms < 0 else monotonic_ns() + timeout_ms * NSEC_PER_MSEC
    return await _poll_until(task, fds, nfds, deadline_ns)


async def _poll_until(task: "Task", fds: int, nfds: int, deadline_ns: int | None) -> int:
    """Poll that goes on with the time that was left, where no handler was to run (do_restart_poll)."""
    try:
        return await _poll(task, fds, nfds, deadline_ns)
    except LinuxError as error:
        if error.errno is not Errno.ERESTARTNOHAND:
            raise
    task.signals.restart_block = partial(_poll_until, task, fds, nfds, deadline_ns)
    raise LinuxError(Errno.ERESTART_RESTARTBLOCK)


@syscall
async def ppoll(
    task: "Task", fds: Ptr[PollFd], nfds: UInt, tmo: Ptr[Timespec], sigmask: Addr, sigsetsize: Size
) -> int:
    deadline_ns = _timespec_deadline(task, tmo)
    with (
        signal_mask(task, sigmask, sigsetsize, Errno.ERESTARTNOHAND),
        _time_left(task, tmo, Timespec, deadline_ns),
    ):
        return await _poll(task, fds, nfds, deadline_ns)


async def _poll(task: "Task", fds: int, nfds: int, deadline_ns: int | None) -> int:
    if nfds > task.process.limits.soft(RLIMIT.NOFILE):
        raise LinuxError(Errno.EINVAL)
    data = bytearray(task.memory.read(fds, nfds * PollFd.SIZE))
    happened = memoryview(data).cast("h")[_REVENTS::_WORDS]
    watched: list[int] = []
    watches: list[Watch] = []
    invalid = 0
    for index, (fd, events, _) in enumerate(PollFd.rows(data)):
        happened[index] = 0
        if fd < 0:
            continue
        try:
            watches.append((task.files[fd], events | _ALWAYS))
            watched.append(index)
        except LinuxError:
            happened[index] = Poll.NVAL
            invalid += 1
    found = _look(watches) if invalid else await _wait(task, watches, deadline_ns)
    for index, events in zip(watched, found, strict=True):
        if events:
            happened[index] = events
    task.memory.write(fds, data)
    return invalid + len(found) - found.count(0)


# -- select -------------------------------------------------------------------------------------------


@syscall
async def select(
    task: "Task", nfds: Int, readfds: Addr, writefds: Addr, exceptfds: Addr, tvp: Ptr[Timeval]
) -> int:
    deadline_ns = _timeval_deadline(task, tvp)
    with _time_left(task, tvp, Timeval, deadline_ns):
        return await _select(task, nfds, (readfds, writefds, exceptfds), deadline_ns)


@syscall
async def pselect6(
    task: "Task",
    nfds: Int,
    readfds: Addr,
    writefds: Addr,
    exceptfds: Addr,
    tsp: Ptr[Timespec],
    sig: In[SigsetArgument],
) -> int:
    mask = task.memory.get(SigsetArgument, sig) if sig else SigsetArgument(0, 0)
    deadline_ns = _timespec_deadline(task, tsp)
    with (
        signal_mask(task, mask.ss, mask.ss_len, Errno.ERESTARTNOHAND),
        _time_left(task, tsp, Timespec, deadline_ns),
    ):
        return await _select(task, nfds, (readfds, writefds, exceptfds), deadline_ns)


async def _select(task: "Task", nfds: int, addresses: Sequence[int], deadline_ns: int | None) -> int:
    if nfds < 0:
        raise LinuxError(Errno.EINVAL)
    nfds = min(nfds, _table_size(task))
    length = (nfds + 63) // 64 * 8
    used = (1 << nfds) - 1
    sets = [
        int.from_bytes(task.memory.read(address, length), "little") & used if address else 0
        for address in addresses
    ]
    fds = _members(sets[0] | sets[1] | sets[2])
    watches = [(task.files.get(fd, allow_path=True), _asked(sets, fd) | _ALWAYS) for fd in fds]
    found = await _wait(task, watches, deadline_ns)
    results = [0, 0, 0]
    for fd, events in zip(fds, found, strict=True):
        for index, interesting in enumerate(_SETS):
            if events & interesting and sets[index] >> fd & 1:
                results[index] |= 1 << fd
    for address, bits in zip(addresses, results, strict=True):
        if address:
            task.memory.write(address, bits.to_bytes(length, "little"))
    return sum(bits.bit_count() for bits in results)


def _asked(sets: Sequence[int], fd: int) -> int:
    """The events that the sets with a descriptor in them stand for, some for several."""
    asked = 0
    for bits, events in zip(sets, _SETS, strict=True):
        if bits >> fd & 1:
            asked |= events
    return asked


def _members(bits: int) -> list[int]:
    """The numbers of the bits that are set."""
    found = []
    while bits:
        lowest = bits & -bits
        found.append(lowest.bit_length() - 1)
        bits ^= lowest
    return found


def _table_size(task: "Task") -> int:
    """How many descriptors Linux would look at: its table's capacity, which grows in steps (fs/file.c)."""
    highest = task.files.highest
    if highest < 64:
        return 64
    return int(128 << (highest // 128).bit_length())


# -- both ---------------------------------------------------------------------------------------------


async def _wait(task: "Task", watches: Sequence[Watch], deadline_ns: int | None) -> list[int]:
    """Sleep until something has happened or the deadline has passed; the events of each watch.

    ERESTARTNOHAND if there is a signal and nothing has happened, even if no time was to pass: after a handler these
    calls never go on.
    """
    found = _look(watches)
    if any(found) or (has_passed(deadline_ns) and not task.signals.is_interrupted):
        return found
    for file, _ in watches:
        file.hold()
    try:
        while not any(found):
            if task.signals.is_interrupted:
                raise LinuxError(Errno.ERESTARTNOHAND)
            if has_passed(deadline_ns):
                break
            await _sleep(watches, deadline_ns)
            found = _look(watches)
        return found
    finally:
        for file, _ in watches:
            file.drop()


def _look(watches: Sequence[Watch]) -> list[int]:
    """What has happened. An O_PATH descriptor is none to poll; select calls it ready for everything."""
    return [Poll.NVAL if file.flags & O.PATH else file.poll() & wanted for file, wanted in watches]


async def _sleep(watches: Sequence[Watch], deadline_ns: int | None) -> None:
    sources = [file.source(Poll(events)) for file, events in watches]
    if len(sources) == 1:
        everything = sources[0]
    else:
        everything = Source(
            *(queue for source in sources for queue in source.queues),
            readable=(fd for source in sources for fd in source.readable),
            writable=(fd for source in sources for fd in source.writable),
        )
    try:
        await sleep_on(everything, deadline_ns)
    except LinuxError as error:
        if error.errno is Errno.ERESTARTSYS:
            raise LinuxError(Errno.ERESTARTNOHAND) from None
        raise


def _timespec_deadline(task: "Task", address: int) -> int | None:
    """EFAULT; EINVAL for a time that is none."""
    if not address:
        return None
    timeout = task.memory.get(Timespec, address)
    if timeout.tv_sec < 0 or not 0 <= timeout.tv_nsec < NSEC_PER_SEC:
        raise LinuxError(Errno.EINVAL)
    return monotonic_ns() + timeout.tv_sec * NSEC_PER_SEC + timeout.tv_nsec


def _timeval_deadline(task: "Task", address: int) -> int | None:
    """As Linux does, microseconds may be more than a second's."""
    if not address:
        return None
    timeout = task.memory.get(Timeval, address)
    if timeout.tv_sec < 0 or timeout.tv_usec < 0:
        raise LinuxError(Errno.EINVAL)
    return monotonic_ns() + timeout.tv_sec * NSEC_PER_SEC + timeout.tv_usec * NSEC_PER_USEC


@contextmanager
def _time_left(task: "Task", address: int, kind: type[Struct], deadline_ns: int | None) -> Iterator[None]:
    """Write back what is left of a timeout, in seconds and the smaller unit of `kind`, if a program
    can be told: one in read-only memory is left alone.
    """
    try:
        yield
    finally:
        if deadline_ns:
            seconds, rest_ns = divmod(max(deadline_ns - monotonic_ns(), 0), NSEC_PER_SEC)
            rest = rest_ns if kind is Timespec else rest_ns // NSEC_PER_USEC
            with suppress(LinuxError):
                task.memory.put(address, kind(seconds, rest))
