"""On which nodes memory is to be: set_mempolicy(2), mbind(2), get_mempolicy(2), migrate_pages(2), move_pages(2)."""

from typing import Final

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mempolicy import MAX_NUMNODES, MPOL, MPOL_GET, MPOL_MF
from aionoah.abi.words import WORD_MASK, WORD_SIZE
from aionoah.memory.memory import Memory
from aionoah.memory.policy import NODES, Policy, checked_mode, new_policy
from aionoah.process.task import Task
from aionoah.process.tracing import require_tracing
from aionoah.syscalls.arguments import Addr, Int, Pid, Size, ULong
from aionoah.syscalls.registry import syscall

_ONE_NODE: Final = "There is one node: policies are checked, kept and told."
_WORD_BITS: Final = 8 * WORD_SIZE
_MODE: Final = 0xFFFF_FFFF  # an int, also where a long is given
_MOST_PAGES: Final = 1 << 18  # that one move_pages looks at
_CHUNK: Final = 512  # pages whose numbers are read at once


# -- sets of nodes --------------------------------------------------------------------------------------


def _read_nodes(task: Task, address: int, maxnode: int) -> int:
    """A set of nodes of `maxnode` bits, that is of one less. EINVAL, EFAULT (get_nodes)."""
    count = maxnode - 1 & WORD_MASK
    if count == 0 or not address:
        return 0
    if count > PAGE_SIZE * 8:
        raise LinuxError(Errno.EINVAL)
    data = task.memory.read(address, -(-count // _WORD_BITS) * WORD_SIZE)
    nodes = int.from_bytes(data, "little") & (1 << count) - 1
    if nodes >> MAX_NUMNODES:
        raise LinuxError(Errno.EINVAL)
    return nodes


def _write_nodes(task: Task, address: int, maxnode: int, nodes: int) -> None:
    """EINVAL, EFAULT (copy_nodes_to_user)."""
    length = -(-(maxnode - 1) // _WORD_BITS) * WORD_SIZE
    if length > PAGE_SIZE:
        raise LinuxError(Errno.EINVAL)
    # As many as there may be here fit into a word, whatever else was given.
    task.memory.write(
        address, (nodes & WORD_MASK).to_bytes(WORD_SIZE, "little")[:length].ljust(length, b"\0")
    )


# -- policies -------------------------------------------------------------------------------------------


@syscall(partial=_ONE_NODE)
def set_mempolicy(task: Task, mode: Int, nodemask: Addr, maxnode: ULong) -> None:
    word = checked_mode(mode & _MODE)
    task.memory_policy = new_policy(word, _read_nodes(task, nodemask, maxnode))


@syscall(partial=_ONE_NODE)
def mbind(
    task: Task, addr: Addr, length: Size, mode: ULong, nodemask: Addr, maxnode: ULong, flags: MPOL_MF
) -> None:
    word = checked_mode(mode & _MODE)
    nodes = _read_nodes(task, nodemask, maxnode)
    if flags.outside(MPOL_MF.STRICT | MPOL_MF.MOVE | MPOL_MF.MOVE_ALL):
        raise LinuxError(Errno.EINVAL)
    if MPOL_MF.MOVE_ALL in flags:
        task.credentials.require(CAP.SYS_NICE)
    task.memory.bind(addr, length, word, nodes)


@syscall(partial=_ONE_NODE)
def set_mempolicy_home_node(task: Task, start: Addr, length: Size, home_node: ULong, flags: ULong) -> None:
    if start % PAGE_SIZE or flags or home_node >= NODES.bit_length():
        raise LinuxError(Errno.EINVAL)
    task.memory.set_home_node(start, length, home_node)


@syscall
def get_mempolicy(
    task: Task, policy: Addr, nodemask: Addr, maxnode: ULong, addr: Addr, flags: MPOL_GET
) -> None:
    if nodemask and maxnode < NODES.bit_length():
        raise LinuxError(Errno.EINVAL)
    if flags.outside(MPOL_GET.NODE | MPOL_GET.ADDR | MPOL_GET.MEMS_ALLOWED):
        raise LinuxError(Errno.EINVAL)
    if MPOL_GET.MEMS_ALLOWED in flags:
        if flags != MPOL_GET.MEMS_ALLOWED:
            raise LinuxError(Errno.EINVAL)
        word, nodes = 0, NODES
    else:
        word, nodes = _asked_policy(task, addr, flags)
    if policy:
        task.memory.write_word(policy, word, 4)
    if nodemask:
        _write_nodes(task, nodemask, maxnode, nodes)


def _asked_policy(task: Task, address: int, flags: MPOL_GET) -> tuple[int, int]:
    """Mode or node, and nodes."""
    found: Policy | None
    if MPOL_GET.ADDR in flags:
        found = task.memory.policy_at(address)
    elif address:
        raise LinuxError(Errno.EINVAL)
    else:
        found = task.memory_policy
    nodes = found.shown if found is not None else 0
    if MPOL_GET.NODE not in flags:
        return (found.word if found is not None else MPOL.DEFAULT), nodes
    if MPOL_GET.ADDR in flags:
        task.memory.read(address, 1)  # as if it were used: EFAULT
        return 0, nodes
    if found is None or found.mode not in {MPOL.INTERLEAVE, MPOL.WEIGHTED_INTERLEAVE}:
        raise LinuxError(Errno.EINVAL)
    return 0, nodes  # where the next page would be


# -- moving ---------------------------------------------------------------------------------------------


def _find(task: Task, pid: int) -> Task:
    """Whose memory is meant, 0 being the caller. ESRCH, EPERM; EINVAL if it has none any more."""
    target = task.kernel.tasks.get(pid) if pid else task
    if target is None:
        process = task.kernel.processes.get(pid)
        raise LinuxError(Errno.ESRCH if process is None else Errno.EINVAL)
    require_tracing(task, target)
    return target


@syscall(partial=_ONE_NODE)
def migrate_pages(task: Task, pid: Pid, maxnode: ULong, old_nodes: Addr, new_nodes: Addr) -> int:
    """Nothing can be elsewhere, so nothing has to move."""
    _read_nodes(task, old_nodes, maxnode)
    wanted = _read_nodes(task, new_nodes, maxnode)
    _find(task, pid)
    if wanted & ~NODES:
        task.credentials.require(CAP.SYS_NICE)
    if not wanted & NODES:
        raise LinuxError(Errno.EINVAL)
    return 0


@syscall(partial=f"{_ONE_NODE} Of at most 262144 pages at once (E2BIG).")
def move_pages(
    task: Task, pid: Pid, count: ULong, pages: Addr, nodes: Addr, status: Addr, flags: MPOL_MF
) -> None:
    if flags.outside(MPOL_MF.MOVE | MPOL_MF.MOVE_ALL):
        raise LinuxError(Errno.EINVAL)
    if MPOL_MF.MOVE_ALL in flags:
        task.credentials.require(CAP.SYS_NICE)
    target = _find(task, pid)
    if count > _MOST_PAGES:
        raise LinuxError(Errno.E2BIG)
    for first in range(0, count, _CHUNK):
        length = min(count - first, _CHUNK)
        places = task.memory.read(pages + first * 8, length * 8)
        if nodes:
            _require_nodes(task.memory.read(nodes + first * 4, length * 4))
        found = b"".join(_state(target.memory, places, index) for index in range(0, length * 8, 8))
        task.memory.write(status + first * 4, found)


def _require_nodes(numbers: bytes) -> None:
    """ENODEV for any other node than the one."""
    if any(numbers):
        raise LinuxError(Errno.ENODEV)


def _state(memory: Memory, places: bytes, index: int) -> bytes:
    """The node of a page, or the negative errno that says why there is none."""
    address = int.from_bytes(places[index : index + 8], "little")
    try:
        node = memory.node_of(address)
    except LinuxError as error:
        node = -error.errno
    return node.to_bytes(4, "little", signed=True)
