"""From six registers to a handler's arguments.

The annotated signature of a handler is the only declaration of its arguments. The first call of each
system call turns it into the source of one small function, `call(task, a0, …, a5)`, which decodes and
calls the handler in one expression: walking a list of converters at every call costs three times as much.
"""

import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Union, get_args, get_origin

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.flags import Choice, Flags
from aionoah.abi.limits import NAME_MAX
from aionoah.syscalls import arguments
from aionoah.syscalls.registry import Handler

if TYPE_CHECKING:
    from aionoah.abi.architecture import Architecture
    from aionoah.memory.guest_memory import GuestMemory


_SIGNED_32: Final = "(({0} & 0xffffffff) ^ 0x80000000) - 0x80000000"
_UNSIGNED_32: Final = "{0} & 0xffffffff"
_SIGNED_64: Final = "({0} ^ 0x8000000000000000) - 0x8000000000000000"
_UNSIGNED_64: Final = "{0}"

_EXPRESSIONS: Final[dict[Any, str]] = {
    arguments.Fd: _SIGNED_32,
    arguments.DirFd: _SIGNED_32,
    arguments.Int: _SIGNED_32,
    arguments.Pid: _SIGNED_32,
    arguments.Signal: _SIGNED_32,
    arguments.UInt: _UNSIGNED_32,
    arguments.Uid: _UNSIGNED_32,
    arguments.Gid: _UNSIGNED_32,
    arguments.Mode: "{0} & 0xffff",
    arguments.Long: _SIGNED_64,
    arguments.Offset: _SIGNED_64,
    arguments.Addr: _UNSIGNED_64,
    arguments.Size: _UNSIGNED_64,
    arguments.ULong: _UNSIGNED_64,
    arguments.Path: "task.memory.read_cstring({0})",
    arguments.Name: "read_name(task.memory, {0})",
}


class Pointer(NamedTuple):
    """The kind of `Ptr[T]` and `In[T]`."""

    target: Any
    is_input: bool  # the kernel only reads what it points to


class Parameter(NamedTuple):
    """One argument of a system call."""

    name: str
    kind: Any  # a key of the table above, a subclass of Flags or Choice, or a Pointer
    is_optional: bool = False  # a null pointer arrives as None


def parameters(handler: Handler) -> tuple[Parameter, ...]:
    """The arguments of a handler by its annotations, the task left out.

    Raises TypeError for one without an annotation or with one that is no kind of argument.
    """
    code = handler.function.__code__
    names = code.co_varnames[1 : code.co_argcount]
    if code.co_argcount == 0 or len(names) > 6 or code.co_kwonlyargcount:
        raise TypeError(f"{handler.name}: a handler takes the task and up to six arguments")
    return tuple(_parameter(handler, name) for name in names)


def result_kind(handler: Handler) -> object:
    """The annotation of what a handler returns; None where there is none."""
    kind = handler.function.__annotations__.get("return")
    return _evaluate(handler, kind) if isinstance(kind, str) else kind


def _parameter(handler: Handler, name: str) -> Parameter:
    annotation = handler.function.__annotations__.get(name)
    if isinstance(annotation, str):
        annotation = _evaluate(handler, annotation)
    is_optional = get_origin(annotation) in (Union, types.UnionType)
    if is_optional:
        annotation = next(kind for kind in get_args(annotation) if kind is not types.NoneType)
    kind = _kind(annotation)
    if kind is None or (is_optional and kind not in (arguments.Path, arguments.Name)):
        raise TypeError(f"{handler.name}: {annotation!r} of {name} is no kind of argument")
    return Parameter(name, kind, is_optional)


def _evaluate(handler: Handler, text: str) -> Any:  # noqa: ANN401 - an annotation can be anything
    return eval(text, handler.function.__globals__)  # noqa: S307 - our own source


def _kind(annotation: Any) -> Any:  # noqa: ANN401
    """The kind that an annotation stands for; None if it is none. A NewType of a kind is that kind."""
    metadata = getattr(annotation, "__metadata__", ())
    if metadata and metadata[0][0] in ("ptr", "in"):
        return Pointer(metadata[0][1], is_input=metadata[0][0] == "in")
    if isinstance(annotation, type) and issubclass(annotation, (Flags, Choice)):
        return annotation
    while annotation is not None and annotation not in _EXPRESSIONS:
        annotation = getattr(annotation, "__supertype__", None)
    return annotation


def compile_call(handler: Handler, architecture: "Architecture") -> Callable[..., Any]:
    """The function `call(task, a0, …, a5)` for a handler: registers in, the handler's own result out.

    Registers are unsigned 64-bit words; whatever a kind is narrower than is ignored, as in Linux. A path
    is copied in before the handler runs, so that EFAULT and ENAMETOOLONG come first.
    """
    scope: dict[str, Any] = {"handler": handler.function, "read_name": read_name}
    values = [
        _expression(parameter, f"a{index}", scope, architecture)
        for index, parameter in enumerate(parameters(handler))
    ]
    source = f"def call(task, a0, a1, a2, a3, a4, a5):\n    return handler({', '.join(['task', *values])})\n"
    exec(compile(source, f"<decoder of {handler.name}>", "exec"), scope)  # noqa: S102 - our own source
    call: Callable[..., Any] = scope["call"]
    return call


def _expression(
    parameter: Parameter, register: str, scope: dict[str, Any], architecture: "Architecture"
) -> str:
    kind = parameter.kind
    if isinstance(kind, Pointer):
        return register
    if kind in _EXPRESSIONS:
        expression = _EXPRESSIONS[kind].format(register)
        return f"{expression} if {register} else None" if parameter.is_optional else expression
    scope[f"kind_{register}"] = kind
    word = register if getattr(kind, "WIDTH", 32) == 64 else f"{register} & 0xffffffff"
    if kind is O and _moves_open_flags(architecture):
        scope["translate"] = architecture.open_flags
        word = f"translate({word})"
    return f"kind_{register}({word})"


def _moves_open_flags(architecture: "Architecture") -> bool:
    """Whether a bit of O lies elsewhere on this architecture; most do without a call for that."""
    return any(architecture.open_flags(1 << bit) != 1 << bit for bit in range(32))


def read_name(memory: "GuestMemory", address: int) -> bytes:
    """A string of at most 255 bytes; ERANGE for a longer one, EFAULT."""
    try:
        return memory.read_cstring(address, NAME_MAX + 1)
    except LinuxError as error:
        if error.errno is Errno.ENAMETOOLONG:
            raise LinuxError(Errno.ERANGE) from None
        raise
