"""The files of /sys: a line each, and a page long by their own account."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.errno import Errno
from aionoah.fs.synthetic import Text

if TYPE_CHECKING:
    from aionoah.process.kernel import Kernel

T = TypeVar("T")


class Attribute(Text[T]):
    def size(self, owner: T) -> int:  # noqa: ARG002
        return PAGE_SIZE


def attribute(
    value: "Callable[[Any], bytes | int] | bytes | int | str", *, mode: int = 0o444
) -> Text["Kernel"]:
    """A line that says a value, or what a function of the kernel says."""

    def read(kernel: "Kernel") -> bytes:
        found = value(kernel) if callable(value) else value
        if isinstance(found, str):
            found = found.encode()
        return (found if isinstance(found, bytes) else b"%d" % found) + b"\n"

    return Attribute(read, mode=mode, refusal=Errno.EIO)


def empty(*, mode: int = 0o644) -> Text["Kernel"]:
    """Such as uevent: nothing to read."""
    return Attribute(lambda _kernel: b"", mode=mode)
