"""What uname tells (uapi linux/utsname.h; uname(2))."""

from typing import Annotated

from aionoah.abi.cstruct import Struct

NEW_UTS_LEN = 64


class NewUtsname(Struct):
    """Each field ends with a NUL."""

    sysname: Annotated[bytes, "65s"]
    nodename: Annotated[bytes, "65s"]
    release: Annotated[bytes, "65s"]
    version: Annotated[bytes, "65s"]
    machine: Annotated[bytes, "65s"]
    domainname: Annotated[bytes, "65s"]
