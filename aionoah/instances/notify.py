"""Telling systemd how a service is (sd_notify(3)), if it is one."""

import contextlib
import os
import socket


class Notifier:
    """Takes NOTIFY_SOCKET out of the environment, which is also programs'."""

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")

    def tell(self, *lines: str) -> None:
        """Such as READY=1. Nothing happens where nobody listens."""
        if not self._address.startswith(("/", "@")):
            return
        address = self._address.replace("@", "\0", 1) if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.sendto("\n".join(lines).encode(), address)
