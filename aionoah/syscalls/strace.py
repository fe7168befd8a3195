"""`--strace`: every system call on a line, as strace(1) prints it.

A traced table binds other functions than an untraced one, so that nothing is paid where nothing is
traced. Unlike strace, a call that sleeps is printed once, when it has ended.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TextIO

from aionoah.abi.errno import LinuxError
from aionoah.abi.signal import signal_name
from aionoah.abi.words import signed
from aionoah.syscalls import arguments
from aionoah.syscalls.decode import Parameter, Pointer, parameters, result_kind
from aionoah.syscalls.registry import Handler
from aionoah.syscalls.results import Outcome, wants_restart
from aionoah.syscalls.strace_errors import ERROR_TEXTS
from aionoah.syscalls.strace_format import argument, data, environment, pointer, string_array

if TYPE_CHECKING:
    from aionoah.process.task import Task
    from aionoah.signals.info import SigInfo

_RESULT_COLUMN: Final = 40

# Calls whose untyped buffer is text for a reader: what they take, and what they give back.
_TAKE_BUFFER: Final = frozenset({"write", "pwrite64", "sendto"})
_FILL_BUFFER: Final = frozenset(
    {"read", "pread64", "recvfrom", "readlink", "readlinkat", "getcwd", "getrandom"}
)
_RETURN_ADDRESS: Final = frozenset({"mmap", "brk", "mremap", "shmat"})

Format = Callable[["Task", Sequence[int], int | None], str]
"""Makes the text of one argument from all six registers and, after the call, its result (None: failed)."""


class Tracer:
    """Writes one line for each call to a text file."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._tids: set[int] = set()

    def wrap(self, name: str, handler: Handler | None, call: Callable[..., Any]) -> Callable[..., Any]:
        """A function that does what `call` does and prints it."""
        trace = _CallTrace(name, handler)

        def traced(task: "Task", *args: int) -> object:
            line = trace.begin(task, args)
            try:
                result = call(task, *args)
            except LinuxError as error:
                self._print(task, trace.end(line, task, args, error))
                raise
            self._print(task, trace.end(line, task, args, result))
            return result

        async def traced_sleeper(task: "Task", *args: int) -> object:
            line = trace.begin(task, args)
            try:
                result = await call(task, *args)
            except LinuxError as error:
                self._print(task, trace.end(line, task, args, error))
                raise
            except GeneratorExit:  # the task dies
                self._print(task, trace.end(line, task, args, Outcome.KEEP_REGISTERS))
                raise
            self._print(task, trace.end(line, task, args, result))
            return result

        return traced_sleeper if handler is not None and handler.is_async else traced

    def signal(self, task: "Task", info: "SigInfo") -> None:
        """Print that a signal is delivered."""
        name = signal_name(info.si_signo)
        self._print(task, f"--- {name} {{si_signo={name}, si_code={info.si_code}}} ---")

    def ended(self, task: "Task", status: int) -> None:
        """Print that a task has ended, by its wait status."""
        signal = status & 0x7F
        how = f"killed by {signal_name(signal)}" if signal else f"exited with {status >> 8 & 0xFF}"
        core = " (core dumped)" if status & 0x80 else ""
        self._print(task, f"+++ {how}{core} +++")
        self._tids.discard(task.tid)

    def _print(self, task: "Task", line: str) -> None:
        self._tids.add(task.tid)
        prefix = f"[pid {task.tid:5}] " if len(self._tids) > 1 else ""
        self._file.write(f"{prefix}{line}\n")
        self._file.flush()


class _CallTrace:
    """How the calls of one name are printed: which arguments are known before, and which only after."""

    def __init__(self, name: str, handler: Handler | None) -> None:
        self._name = name
        kinds = parameters(handler) if handler is not None else ()
        self._before: list[tuple[int, Format]] = []
        self._after: list[tuple[int, Format]] = []
        for index, parameter in enumerate(kinds):
            is_late, formatted = _format(name, kinds, index, parameter)
            (self._after if is_late else self._before).append((index, formatted))
        if handler is None:
            self._before = [(index, _hexadecimal(index)) for index in range(6)]
        self._count = len(self._before) + len(self._after)
        returned = result_kind(handler) if handler is not None else None
        self._returns_address = name in _RETURN_ADDRESS or returned is arguments.Addr

    def begin(self, task: "Task", args: Sequence[int]) -> list[str]:
        """The texts of the arguments as far as they are known before the call."""
        texts = [""] * self._count
        for index, formatted in self._before:
            texts[index] = formatted(task, args, None)
        return texts

    def end(self, texts: list[str], task: "Task", args: Sequence[int], result: object) -> str:
        """The whole line."""
        value = None if isinstance(result, LinuxError) else result if isinstance(result, int) else 0
        for index, formatted in self._after:
            texts[index] = formatted(task, args, value)
        call = f"{self._name}({', '.join(texts)})"
        return f"{call:{_RESULT_COLUMN - 1}} = {self._result(result)}"

    def _result(self, result: object) -> str:
        if isinstance(result, LinuxError):
            errno, text = result.errno.name, ERROR_TEXTS.get(result.errno, "")
            return f"{'?' if wants_restart(result) else -1} {errno} ({text})"
        if isinstance(result, Outcome):
            return "?"
        value = result if isinstance(result, int) else 0
        return hex(value) if self._returns_address else str(signed(value, 64))


def _format(name: str, kinds: Sequence[Parameter], index: int, parameter: Parameter) -> tuple[bool, Format]:
    """How an argument is printed, and whether only after the call."""
    kind = parameter.kind
    if isinstance(kind, Pointer) and not kind.is_input:
        return True, _output(index, parameter)
    is_buffer = kind is arguments.Addr and kinds[index + 1 : index + 2]
    if is_buffer and kinds[index + 1].kind is arguments.Size:
        if name in _TAKE_BUFFER:
            return False, lambda task, args, _: data(task, args[index], args[index + 1])
        if name in _FILL_BUFFER:
            return True, lambda task, args, result: _filled(task, args[index], result)
    if parameter.name == "argv":
        return False, lambda task, args, _: string_array(task, args[index])
    if parameter.name == "envp":
        return False, lambda task, args, _: environment(task, args[index])
    return False, lambda task, args, _: argument(task, parameter, args[index])


def _output(index: int, parameter: Parameter) -> Format:
    """A structure that the kernel fills: only its address if the call has failed."""

    def formatted(task: "Task", args: Sequence[int], result: int | None) -> str:
        return pointer(args[index]) if result is None else argument(task, parameter, args[index])

    return formatted


def _filled(task: "Task", address: int, result: int | None) -> str:
    return pointer(address) if result is None else data(task, address, result)


def _hexadecimal(index: int) -> Format:
    return lambda _task, args, _result: hex(args[index])
