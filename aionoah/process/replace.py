"""execve as a whole: a task becomes another program."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aionoah.process.exec import Program, load_program

if TYPE_CHECKING:
    from aionoah.process.executable import Executable
    from aionoah.process.task import Task


async def replace_program(
    task: "Task",
    executable: "Executable",
    argv: Sequence[bytes],
    envp: Sequence[bytes],
    execfn: bytes,
) -> None:
    """Load a program and let the task go on as it. Up to its last step it can fail, and the task with
    its old program knows nothing of it. Raises what load_program raises.
    """
    program = Program(
        machine=task.kernel.machine,
        architecture=task.architecture,
        fs=task.fs,
        executable=executable,
        argv=argv,
        envp=envp,
        execfn=execfn,
        credentials=task.credentials.copy(),
        limits=task.process.limits,
        processor=task.kernel.processor,
        personality=task.personality,
        is_shared=lambda: _is_shared(task),
    )
    loaded = load_program(program)
    old, old_tid = task.memory, task.tid
    try:
        await task.leave_threads()
    except BaseException:  # killed meanwhile
        loaded.memory.drop()
        raise
    task.become(loaded)
    if task.tracing is not None:
        task.tracing.exec_from = old_tid
        task.tracing.debug = None
    task.control.start_program(loaded)
    old.drop()
    task.process.vfork_done.wake()


def _is_shared(task: "Task") -> bool:
    """Whether another process has the same root, working directory and umask."""
    others = (other for other in task.kernel.tasks.values() if other.process is not task.process)
    return any(other.fs.shared is task.fs.shared for other in others)
