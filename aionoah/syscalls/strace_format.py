"""System-call arguments as strace(1) prints them, by the same annotations as they are decoded by."""

from typing import TYPE_CHECKING, Any, Final

from aionoah.abi.cstruct import Struct
from aionoah.abi.errno import LinuxError
from aionoah.abi.fcntl import AT_FDCWD, O
from aionoah.abi.flags import Choice, Flags
from aionoah.abi.limits import PATH_MAX
from aionoah.abi.signal import signal_name
from aionoah.abi.words import signed
from aionoah.syscalls import arguments
from aionoah.syscalls.decode import Parameter, Pointer

if TYPE_CHECKING:
    from aionoah.process.task import Task

STRING_LIMIT: Final = 32  # strace's -s
_ARRAY_LIMIT: Final = 32
_MANY_FIELDS: Final = 8
_FIELD_LIMIT: Final = 4

# Where the names of constants do not start with the name of their class and an underscore.
_PREFIXES: Final = {"SIG": "SIG", "Poll": "POLL", "POLL_CODE": "POLL_", "SIG_HOW": "SIG_"}

_ESCAPES: Final = {
    ord("\\"): "\\\\",
    ord('"'): '\\"',
    ord("\n"): "\\n",
    ord("\t"): "\\t",
    ord("\r"): "\\r",
    ord("\v"): "\\v",
    ord("\f"): "\\f",
}


def quoted(data: bytes, limit: int | None = STRING_LIMIT) -> str:
    """A C string literal; dots behind it if there is more than `limit` bytes."""
    shown = data[:limit]
    text = "".join(_escaped(shown, index) for index in range(len(shown)))
    return f'"{text}"' + ("..." if len(shown) < len(data) else "")


def _escaped(data: bytes, index: int) -> str:
    byte = data[index]
    if byte in _ESCAPES:
        return _ESCAPES[byte]
    if 0x20 <= byte < 0x7F:
        return chr(byte)
    is_digit_next = data[index + 1 : index + 2].isdigit()
    return f"\\{byte:03o}" if is_digit_next else f"\\{byte:o}"


def pointer(address: int) -> str:
    return hex(address) if address else "NULL"


def constant_prefix(kind: type) -> str:
    """What stands before the names of a class's members in C."""
    own = getattr(kind, "PREFIX", None)
    return own if isinstance(own, str) else _PREFIXES.get(kind.__name__, f"{kind.__name__}_")


def flags(value: Flags) -> str:
    """Names joined by |, the access mode of O among them."""
    prefix = constant_prefix(type(value))
    first = []
    if isinstance(value, O):
        mode = value & O.ACCMODE
        first = [("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")[mode]]
        value = O(value & ~O.ACCMODE)
    elif value == 0:
        zero = [name for name, bits in value.members().items() if bits == 0]
        return prefix + zero[0] if zero else "0"
    names = [name if name.startswith("0x") else prefix + name for name in value.names()]
    return "|".join(first + names)


def choice(value: Choice) -> str:
    name = value.members().get(value)
    return constant_prefix(type(value)) + name if name else hex(value)


def structure(value: Struct) -> str:
    """The fields by name; a long one shows its first fields and dots."""
    names = value.FIELDS
    is_long = len(names) > _MANY_FIELDS
    if is_long:
        telling = [name for name in names if name.endswith(("_mode", "_size"))]
        names = tuple(telling) or names[:_FIELD_LIMIT]
    fields = [f"{name}={_field(name, getattr(value, name))}" for name in names]
    return "{" + ", ".join(fields) + (", ..." if is_long else "") + "}"


def _field(name: str, value: object) -> str:
    if isinstance(value, Struct):
        return structure(value)
    if isinstance(value, bytes):
        return quoted(value.split(b"\0", 1)[0])
    if isinstance(value, int) and name.endswith("_mode"):
        return f"0{value:o}" if value else "0"
    return hex(value) if isinstance(value, int) and value > 0xFFFF_FFFF else str(value)


def _mode(word: int) -> str:
    return f"{word & 0xFFFF:04o}" if word & 0xFFFF else "000"


def _dir_fd(word: int) -> str:
    return "AT_FDCWD" if signed(word) == AT_FDCWD else str(signed(word))


def _id(word: int) -> str:
    return "-1" if word & 0xFFFF_FFFF == 0xFFFF_FFFF else str(word & 0xFFFF_FFFF)


def _unsigned_long(word: int) -> str:
    return hex(word) if word > 0xFFFF else str(word)


def _int(word: int) -> str:
    return str(signed(word))


def _long(word: int) -> str:
    return str(signed(word, 64))


_WORDS: Final[dict[Any, Any]] = {
    arguments.Fd: _int,
    arguments.DirFd: _dir_fd,
    arguments.Int: _int,
    arguments.Pid: _int,
    arguments.Signal: lambda word: signal_name(signed(word)),
    arguments.UInt: lambda word: str(word & 0xFFFF_FFFF),
    arguments.Uid: _id,
    arguments.Gid: _id,
    arguments.Mode: _mode,
    arguments.Long: _long,
    arguments.Offset: _long,
    arguments.Addr: pointer,
    arguments.Size: str,
    arguments.ULong: _unsigned_long,
}


def argument(task: "Task", parameter: Parameter, word: int) -> str:
    """One argument; what it points to is read if the kind says how."""
    kind = parameter.kind
    if isinstance(kind, Pointer):
        return pointee(task, kind, word)
    if kind in (arguments.Path, arguments.Name):
        return string(task, word, PATH_MAX)
    if kind in _WORDS:
        text: str = _WORDS[kind](word)
        return text
    wide = word if getattr(kind, "WIDTH", 32) == 64 else word & 0xFFFF_FFFF
    if kind is O:
        return flags(O(task.architecture.open_flags(wide)))
    return flags(kind(wide)) if issubclass(kind, Flags) else choice(kind(wide))


def pointee(task: "Task", kind: Pointer, address: int) -> str:
    """The structure at an address; the address itself if it cannot be read."""
    is_struct = isinstance(kind.target, type) and issubclass(kind.target, Struct)
    if not address or not is_struct:
        return pointer(address)
    try:
        return structure(task.memory.get(kind.target, address))
    except LinuxError:
        return pointer(address)


def string(task: "Task", address: int, limit: int) -> str:
    """The C string at an address, whole."""
    if not address:
        return "NULL"
    try:
        return quoted(task.memory.read_cstring(address, limit), None)
    except LinuxError:
        return pointer(address)


def data(task: "Task", address: int, length: int) -> str:
    """The beginning of a buffer of `length` bytes."""
    if not address:
        return "NULL"
    try:
        shown = task.memory.read(address, min(length, STRING_LIMIT))
    except LinuxError:
        return pointer(address)
    return quoted(shown) + ("..." if length > len(shown) else "")


def string_array(task: "Task", address: int) -> str:
    """An argument vector: strings up to a null pointer."""
    items = [string(task, word, PATH_MAX) for word in _pointers(task, address, _ARRAY_LIMIT + 1)]
    if not address or not items:
        return pointer(address)
    more = ["..."] if len(items) > _ARRAY_LIMIT else []
    return "[" + ", ".join(items[:_ARRAY_LIMIT] + more) + "]"


def environment(task: "Task", address: int) -> str:
    """The address of an environment, and how many variables there are."""
    count = len(_pointers(task, address, 1 << 16))
    return f"{pointer(address)} /* {count} var{'s' * (count != 1)} */"


def _pointers(task: "Task", address: int, limit: int) -> list[int]:
    found: list[int] = []
    try:
        while address and len(found) < limit and (word := task.memory.read_word(address + 8 * len(found))):
            found.append(word)
    except LinuxError:
        pass
    return found
