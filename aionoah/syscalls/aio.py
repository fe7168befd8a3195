"""Asynchronous input and output: io_setup(2), io_submit(2), io_getevents(2), io_cancel(2); Linux fs/aio.c.

Reading and writing is done while it is submitted, as Linux does it for what does not go past the page cache.
fsync and polling are what ends later.
"""

from functools import partial
from time import monotonic_ns
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from aionoah.abi.aio import IOCB_CMD, IOCB_FLAG_RESFD, AioRing, AioSigset, Iocb, IoEvent
from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mman import PROT
from aionoah.abi.signal import SIGSET_SIZE
from aionoah.abi.time import Timespec
from aionoah.abi.uio import RWF
from aionoah.abi.words import WORD_SIZE
from aionoah.clocks.duration import nanoseconds
from aionoah.fs import file as files
from aionoah.fs.aio import AioContext, Origin, PollRequest
from aionoah.fs.eventfd import EventFile
from aionoah.fs.file import File
from aionoah.fs.regular import RegularFile
from aionoah.host.application import NotYet
from aionoah.host.blocking import start_blocking
from aionoah.host.waiting import Source, sleep_on
from aionoah.memory.buffer import Buffer
from aionoah.memory.memory import Memory
from aionoah.syscalls.arguments import Addr, In, Long, Ptr, UInt
from aionoah.syscalls.cells import Cell64
from aionoah.syscalls.positioned import OF_CACHE, read_regular, require_flags, write_regular
from aionoah.syscalls.read_write import write_at, write_to
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.results import wants_restart
from aionoah.syscalls.sync import sync_file

if TYPE_CHECKING:
    from aionoah.process.task import Task

_MOST_EVENTS: Final = 0x10000000 // IoEvent.SIZE
_MAX_FD: Final = 1 << 31
_READS: Final = (IOCB_CMD.PREAD, IOCB_CMD.PREADV)
_WRITES: Final = (IOCB_CMD.PWRITE, IOCB_CMD.PWRITEV)

_contexts: "Final[WeakKeyDictionary[Memory, dict[int, AioContext]]]" = WeakKeyDictionary()


# -- contexts -----------------------------------------------------------------------------------------


@syscall
def io_setup(task: "Task", nr_events: UInt, ctxp: Ptr[Cell64]) -> None:
    if task.memory.get(Cell64, ctxp).value or not nr_events:
        raise LinuxError(Errno.EINVAL)
    room = max(nr_events, task.kernel.cpu_count * 4) * 2
    if room > _MOST_EVENTS:
        raise LinuxError(Errno.EINVAL)

    task.kernel.aio_limits.take(nr_events)
    try:
        address = _new_context(task, nr_events, room)
    except LinuxError:
        task.kernel.aio_limits.taken -= nr_events
        raise
    try:
        task.memory.put(ctxp, Cell64(address))
    except LinuxError:
        _destroy(task, address)
        raise


def _new_context(task: "Task", nr_events: int, room: int) -> int:
    """The address of the ring, which is the context's name. ENOMEM."""
    count = -(-(AioRing.SIZE + (room + 2) * IoEvent.SIZE) // PAGE_SIZE)
    memory, frames = task.memory, task.kernel.machine.frames
    try:
        first = frames.allocate(count)
    except MemoryError:
        raise LinuxError(Errno.ENOMEM) from None
    try:
        address = memory.map_frames(
            0, first, count, PROT.READ | PROT.WRITE, b"/[aio] (deleted)", is_shared=True
        )
    except LinuxError:
        frames.drop(first, count)
        raise
    contexts = _contexts.setdefault(memory, {})
    context = contexts[address] = AioContext(frames.view(first, count), len(contexts))
    limits = task.kernel.aio_limits

    def close() -> None:
        context.close()
        limits.taken -= nr_events
        frames.drop(first, count)

    context.on_close = close
    if len(contexts) == 1:
        memory.on_close = (*memory.on_close, partial(_close_all, contexts))
    return address


def _close_all(contexts: dict[int, AioContext]) -> None:
    """The address space ends."""
    while contexts:
        contexts.popitem()[1].on_close()


@syscall
async def io_destroy(task: "Task", ctx_id: Addr) -> None:
    _find(task, ctx_id)
    context = _destroy(task, ctx_id)
    while not context.is_idle:
        try:
            await sleep_on(Source(context.done))
        except LinuxError as error:
            if not wants_restart(error):
                raise


def _destroy(task: "Task", address: int) -> AioContext:
    context = _contexts[task.memory].pop(address)
    pages = context.mapped_length
    context.on_close()
    task.memory.munmap(address, pages)
    return context


def _find(task: "Task", address: int) -> AioContext:
    context = _contexts.get(task.memory, {}).get(address)
    if context is None:
        raise LinuxError(Errno.EINVAL)
    return context


# -- submitting ---------------------------------------------------------------------------------------


@syscall
async def io_submit(task: "Task", ctx_id: Addr, nr: Long, iocbpp: Addr) -> int:
    """How many have been taken before the first that is wrong."""
    if nr < 0:
        raise LinuxError(Errno.EINVAL)
    context = _find(task, ctx_id)
    submitted = 0
    try:
        while submitted < min(nr, context.most):
            await _submit(task, context, task.memory.read_word(iocbpp + submitted * WORD_SIZE))
            submitted += 1
    except (LinuxError, NotYet):
        if not submitted:
            raise
    return submitted


async def _submit(task: "Task", context: AioContext, address: int) -> None:
    """EFAULT, EINVAL, EAGAIN, EBADF: then there will be no event."""
    request = task.memory.get(Iocb, address)
    if request.reserved2 or request.nbytes >> 63:
        raise LinuxError(Errno.EINVAL)
    context.begin()
    origin: Origin | None = None
    try:
        file = task.files[request.fildes if request.fildes < _MAX_FD else -1]
        notified = None
        if request.flags & IOCB_FLAG_RESFD:
            notified = _event_file(task, request.resfd).hold()
        origin = Origin(request.data, address, notified)
        task.memory.write(address + 8, bytes(4))  # the key
        await _start(task, context, request, file, origin)
    except (LinuxError, NotYet):
        context.give_up()
        if origin is not None and origin.notified is not None:
            origin.notified.drop()
        raise


def _event_file(task: "Task", fd: int) -> File:
    """EBADF; EINVAL for what is no eventfd."""
    file = task.files[fd if fd < _MAX_FD else -1]
    if not isinstance(file, EventFile):
        raise LinuxError(Errno.EINVAL)
    return file


async def _start(task: "Task", context: AioContext, request: Iocb, file: File, origin: Origin) -> None:
    operation = request.lio_opcode
    if operation in _READS or operation in _WRITES:
        result = await _transfer(task, request, file)
        context.complete(origin, result)
    elif operation in (IOCB_CMD.FSYNC, IOCB_CMD.FDSYNC):
        if request.buf or request.offset or request.nbytes or request.rw_flags:
            raise LinuxError(Errno.EINVAL)
        _start_sync(context, file, origin, data_only=operation == IOCB_CMD.FDSYNC)
    elif operation == IOCB_CMD.POLL:
        if request.buf >> 16 or request.offset or request.nbytes or request.rw_flags:
            raise LinuxError(Errno.EINVAL)
        PollRequest(context, origin, file, request.buf, task.kernel.host_edges).start()
    else:
        raise LinuxError(Errno.EINVAL)


async def _transfer(task: "Task", request: Iocb, file: File) -> int:
    """The result for the event: a count or a negative error. What is wrong with the request itself is raised."""
    is_read = request.lio_opcode in _READS
    if not (file.is_readable if is_read else file.is_writable):
        raise LinuxError(Errno.EBADF)
    memory = task.memory
    if request.lio_opcode in (IOCB_CMD.PREADV, IOCB_CMD.PWRITEV):
        vector = memory.writable_vector if is_read else memory.readable_vector
        buffer = vector(request.buf, request.nbytes)
    else:
        buffer = (memory.writable if is_read else memory.readable)(request.buf, request.nbytes)
    flags = RWF(request.rw_flags)
    require_flags(flags, file.read_flags if is_read else file.write_flags)
    if request.offset < 0:
        raise LinuxError(Errno.EINVAL)
    try:
        if not file.is_seekable:
            return await (files.read(file, buffer) if is_read else write_to(task, file, buffer))
        if is_read:
            return _read(file, buffer, request.offset, flags)
        if not isinstance(file, RegularFile):
            return write_at(task, file, buffer, request.offset)
        written = write_regular(task, file, buffer, request.offset, flags) if buffer.length else 0
        if flags & (RWF.DSYNC | RWF.SYNC) and written:
            await sync_file(file, data_only=RWF.SYNC not in flags)
    except LinuxError as error:
        if wants_restart(error):
            raise
        return -error.errno
    return written


def _read(file: File, dst: Buffer, offset: int, flags: RWF) -> int:
    if flags & OF_CACHE and isinstance(file, RegularFile):
        return read_regular(file, dst, offset, flags)
    return files.read_at(file, dst, offset)


def _start_sync(context: AioContext, file: File, origin: Origin, *, data_only: bool) -> None:
    """EINVAL for what cannot be written out."""
    if not file.waits_for_disk:
        file.sync(data_only=data_only)
        context.complete(origin, 0)
        return

    def ended(error: LinuxError | None) -> None:
        file.drop()
        context.complete(origin, 0 if error is None else -error.errno)

    start_blocking(partial(file.hold().sync, data_only=data_only), ended)


@syscall
def io_cancel(task: "Task", ctx_id: Addr, iocb: In[Iocb], result: Addr) -> None:  # noqa: ARG001 - unused since 3.11
    """EINPROGRESS is how it tells of success: the event of the request comes through the ring."""
    if task.memory.get(Iocb, iocb).key:
        raise LinuxError(Errno.EINVAL)
    request = _find(task, ctx_id).find_poll(iocb)
    if request is None:
        raise LinuxError(Errno.EINVAL)
    request.end(0)
    raise LinuxError(Errno.EINPROGRESS)


# -- waiting ------------------------------------------------------------------------------------------


@syscall
async def io_getevents(
    task: "Task", ctx_id: Addr, min_nr: Long, nr: Long, events: Addr, tmo: In[Timespec]
) -> int:
    deadline_ns = _deadline_ns(task, tmo)
    return await _get_events(task, ctx_id, min_nr, nr, events, deadline_ns)


@syscall
async def io_pgetevents(
    task: "Task",
    ctx_id: Addr,
    min_nr: Long,
    nr: Long,
    events: Addr,
    tmo: In[Timespec],
    usig: In[AioSigset],
) -> int:
    deadline_ns = _deadline_ns(task, tmo)
    mask = task.memory.get(AioSigset, usig) if usig else AioSigset(0, 0)
    if mask.sigmask:
        if mask.sigsetsize != SIGSET_SIZE:
            raise LinuxError(Errno.EINVAL)
        task.signals.replace_mask(task.memory.read_word(mask.sigmask))
    try:
        found = await _get_events(task, ctx_id, min_nr, nr, events, deadline_ns)
    except LinuxError as error:
        if mask.sigmask and error.errno is not Errno.EINTR:
            task.signals.restore_mask()
        raise
    if mask.sigmask:
        task.signals.restore_mask()
    return found


def _deadline_ns(task: "Task", timeout: int) -> int | None:
    return monotonic_ns() + nanoseconds(task.memory.get(Timespec, timeout)) if timeout else None


async def _get_events(
    task: "Task", ctx_id: int, least: int, most: int, address: int, deadline_ns: int | None
) -> int:
    """What there is when it is enough, the time is over or a signal comes. EINTR only without any event."""
    context = _find(task, ctx_id)
    if not 0 <= least <= most:
        raise LinuxError(Errno.EINVAL)
    found = 0
    while True:
        found += _give(task, context, address + found * IoEvent.SIZE, most - found)
        if found >= least or context.is_closed or files.has_passed(deadline_ns):
            return found
        try:
            await sleep_on(Source(context.done), deadline_ns)
        except LinuxError as error:
            if not wants_restart(error):
                raise
            if not found:
                raise LinuxError(Errno.EINTR) from None
            return found


def _give(task: "Task", context: AioContext, address: int, limit: int) -> int:
    if limit <= 0 or not context.waiting:
        return 0
    data = context.take(limit)
    task.memory.write(address, data)
    count = len(data) // IoEvent.SIZE
    context.taken(count)
    return count
