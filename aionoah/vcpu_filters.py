"""A program's own filters of its calls, asked on the thread that makes one (seccomp(2))."""
# ruff: noqa: SLF001 - a part of VcpuThread

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.words import WORD_MASK
from aionoah.process.seccomp import screen

if TYPE_CHECKING:
    from aionoah.process.seccomp_listener import SeccompListener
    from aionoah.vcpu_thread import VcpuThread


def passes_filters(thread: "VcpuThread", call: Callable[[Sequence[int]], Sequence[int]]) -> bool:
    """Whether a call is made; if not, what the filters want instead has been done. `call` picks its words out."""
    registers, architecture = thread._registers, thread._table.architecture
    has_been_traced = False
    while True:
        screened = screen(thread._task, call(registers), registers[architecture.program_counter])
        if screened.message is None or has_been_traced:
            break
        is_made = thread._traced.stop_for_filter(screened.message)
        if is_made is None:
            break
        if not is_made:
            return False
        has_been_traced = True  # he may have made another call of it, which is looked at again
    if has_been_traced and screened.message is not None:
        return True
    if screened.question is not None:
        return _is_let(thread, *screened.question)
    if screened.result is not None:
        registers[architecture.result_register] = screened.result & WORD_MASK
    return screened.is_made


def _is_let(thread: "VcpuThread", listener: "SeccompListener", data: bytes) -> bool:
    """Whether whoever listens wants a call to be made; if not, it has the result that he gives. A signal has it made,
    and asked about, anew.
    """
    note = listener.ask(thread._task, data)
    thread.park(note.wait(listener))
    if thread._is_exiting or note.is_made:
        return not thread._is_exiting
    if note.is_interrupted:
        thread._restart = LinuxError(Errno.ERESTARTSYS)
    else:
        thread._registers[thread._table.architecture.result_register] = note.result
    return False
