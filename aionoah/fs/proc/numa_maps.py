"""/proc/PID/numa_maps: on which nodes memory is, and is to be (numa(7); Linux fs/proc/task_mmu.c, mm/mempolicy.c).

There is one node. What smaps counts as changed is the process's own memory here; which pages were used lately nobody tells.
"""

from typing import TYPE_CHECKING, Final

from aionoah.abi.mempolicy import MPOL, MPOL_F
from aionoah.abi.mman import PROT
from aionoah.fs.proc.maps import name_of
from aionoah.fs.proc.smaps import resident_pages
from aionoah.fs.proc.status import format_list
from aionoah.fs.proc.subject import Subject, find_task, require_inspectable

if TYPE_CHECKING:
    from aionoah.memory.memory import MapsLine, Memory
    from aionoah.memory.policy import Policy

_MODES: Final = {
    MPOL.DEFAULT: b"default",
    MPOL.PREFERRED: b"prefer",
    MPOL.BIND: b"bind",
    MPOL.INTERLEAVE: b"interleave",
    MPOL.LOCAL: b"local",
    MPOL.PREFERRED_MANY: b"prefer (many)",
    MPOL.WEIGHTED_INTERLEAVE: b"weighted interleave",
}
_FLAGS: Final = {MPOL_F.STATIC_NODES: b"=static", MPOL_F.RELATIVE_NODES: b"=relative"}
_PARTS: Final = {b"[heap]": b" heap", b"[stack]": b" stack"}


def numa_maps(subject: Subject) -> bytes:
    """Empty for a zombie, EACCES without the right to look."""
    if find_task(subject) is None:
        return b""
    task = require_inspectable(subject)
    memory = task.memory
    return b"".join(_line(memory, area, task.memory_policy) for area in memory.maps())


def _line(memory: "Memory", area: "MapsLine", default: "Policy | None") -> bytes:
    head = b"%08x %s" % (area.start, _policy(memory.policy_at(area.start) or default))
    if area.file is not None or area.inode:
        head += b" file=" + name_of(area).replace(b"\n", b"\\012")
    else:
        head += _PARTS.get(area.name, b"")
    pages = resident_pages(memory, area)
    if not pages:
        return head + b"\n"
    is_own = not area.is_shared and (area.file is None or area.prot & PROT.WRITE)
    kind = b"anon=%d dirty=%d" % (pages, pages) if is_own else b"mapped=%d" % pages
    return head + b" %s N0=%d kernelpagesize_kB=4\n" % (kind, pages)


def _policy(policy: "Policy | None") -> bytes:
    if policy is None:
        return _MODES[MPOL.DEFAULT]
    flags = b"".join(text for flag, text in _FLAGS.items() if policy.flags & flag)
    return _MODES[policy.mode] + flags + (b":" + format_list(policy.nodes) if policy.nodes else b"")
