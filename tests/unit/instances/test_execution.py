"""Further programs that cannot be started."""

import os
from typing import Any

import pytest

from aionoah.hypervisor.errors import HypervisorError
from aionoah.instances.execution import execute
from aionoah.instances.protocol import Message
from aionoah.instances.supervisor import Running


class _Peer:
    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    def send(self, fields: dict[str, Any]) -> None:
        self.heard.append(fields)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (FileNotFoundError(2, "server is not in PATH."), 127),
        (PermissionError(13, "server may not be executed."), 126),
        (HypervisorError("there is no virtual machine left."), 125),
        (MemoryError("no guest memory is left."), 125),
        (RuntimeError("the instance is closing."), 125),
    ],
)
async def test_the_client_hears_why(error: Exception, status: int) -> None:
    class Linux:
        async def create_subprocess_exec(self, *_: str, **__: object) -> None:
            raise error

    peer, message = _Peer(), Message({"command": ["server"]}, [os.open(os.devnull, os.O_RDWR) for _ in "012"])
    await execute(Running(Linux(), None, {"env": {}}, 15), peer, message)  # type: ignore[arg-type]
    message.close()
    said = error.strerror if isinstance(error, OSError) else str(error)
    assert peer.heard == [{"error": said.rstrip("."), "status": status}]
