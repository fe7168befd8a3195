"""The kinds of system-call arguments, as annotations of handlers.

What a handler receives is an int (or bytes, for a path); the kind tells the decoder how to make it from
a register, and strace how to print it. Subclasses of Flags and Choice are kinds too (32 bits wide
unless the class says WIDTH = 64), and `Path | None` gives None for a null pointer.
"""

from typing import TYPE_CHECKING, Generic, NewType, TypeVar

T = TypeVar("T")

Fd = NewType("Fd", int)  # int; a negative one is never open
DirFd = NewType("DirFd", int)  # int; AT_FDCWD is the working directory
Addr = NewType("Addr", int)  # unsigned 64 bits: a guest address with untyped contents
Size = NewType("Size", int)  # size_t
Offset = NewType("Offset", int)  # loff_t, signed 64 bits
Int = NewType("Int", int)
UInt = NewType("UInt", int)
Long = NewType("Long", int)
ULong = NewType("ULong", int)
Mode = NewType("Mode", int)  # mode_t or umode_t, 16 bits count; printed in octal
Pid = NewType("Pid", int)  # int
Uid = NewType("Uid", int)  # unsigned int
Gid = NewType("Gid", int)
Signal = NewType("Signal", int)  # int; printed as SIGNAME
Path = NewType("Path", bytes)  # copied in: EFAULT, ENAMETOOLONG beyond PATH_MAX; may be empty
Name = NewType("Name", bytes)  # a copied-in string of at most 255 bytes (xattr, memfd), ERANGE beyond

if TYPE_CHECKING:

    class Ptr(int, Generic[T]):
        """The address of a T in guest memory; 0 is NULL. `task.memory.get(T, ptr)` reads it."""

    class In(int, Generic[T]):
        """A Ptr to what the kernel only reads: strace prints it even if the call fails."""
else:

    class Ptr:
        """At run time a Ptr[T] argument is a plain int."""

        def __class_getitem__(cls, item: object) -> object:
            from typing import Annotated  # noqa: PLC0415

            return Annotated[int, ("ptr", item)]

    class In:
        """At run time an In[T] argument is a plain int."""

        def __class_getitem__(cls, item: object) -> object:
            from typing import Annotated  # noqa: PLC0415

            return Annotated[int, ("in", item)]
