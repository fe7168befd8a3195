"""How a core file is called (core(5), "Naming of core dump files"; Linux fs/coredump.c: format_corename)."""

from collections.abc import Iterator
from typing import Final, NamedTuple

_DIRECTORIES: Final = {b".": b"!", b"..": b"!."}
_PERCENT: Final = ord("%")


class Facts(NamedTuple):
    """What a name can tell."""

    pid: int
    tid: int
    uid: int
    gid: int
    dumpable: int  # abi.prctl.SUID_DUMP
    signal: int
    seconds: int  # since the epoch
    hostname: bytes
    comm: bytes
    executable: bytes  # its path
    limit: int  # RLIMIT_CORE in bytes
    cpu: int


def core_name(pattern: bytes, facts: Facts, *, uses_pid: bool) -> bytes:
    """The path that a pattern stands for. What `%` may not precede is left out, with it."""
    name = b"".join(_parts(pattern, facts))
    return name + b".%d" % facts.pid if uses_pid and b"%p" not in pattern.replace(b"%%", b"") else name


def _parts(pattern: bytes, facts: Facts) -> Iterator[bytes]:
    letters = iter(pattern)
    for letter in letters:
        if letter != _PERCENT:
            yield bytes((letter,))
            continue
        kind = next(letters, None)
        if kind is None:
            return
        yield _expanded(chr(kind), facts)


def _expanded(kind: str, facts: Facts) -> bytes:
    numbers = {
        "p": facts.pid,
        "P": facts.pid,
        "i": facts.tid,
        "I": facts.tid,
        "u": facts.uid,
        "g": facts.gid,
        "d": facts.dumpable,
        "s": facts.signal,
        "t": facts.seconds,
        "c": facts.limit,
        "C": facts.cpu,
    }
    texts = {
        "h": facts.hostname,
        "e": facts.comm,
        "E": facts.executable,
        "f": facts.executable.rpartition(b"/")[2],
    }
    if kind in numbers:
        return b"%d" % numbers[kind]
    return _one_name(texts[kind]) if kind in texts else b"%" * (kind == "%")


def _one_name(text: bytes) -> bytes:
    """A text that leads to no other directory."""
    return _DIRECTORIES.get(text, text).replace(b"/", b"!") or b"!"
