"""What this host process holds: threads and descriptors, to be compared before and after."""

import asyncio
import os
import re
import threading
from collections import Counter
from typing import NamedTuple


class Resources(NamedTuple):
    """Names of threads, and what descriptors are for, each with how many there are."""

    threads: Counter[str]
    descriptors: Counter[str]

    @property
    def virtual_machines(self) -> int:
        return sum(n for name, n in self.descriptors.items() if name.startswith("anon_inode:kvm-vm"))

    def more_than(self, before: "Resources") -> "Resources":
        return Resources(self.threads - before.threads, self.descriptors - before.descriptors)

    def __bool__(self) -> bool:
        return bool(self.threads or self.descriptors)


def resources() -> Resources:
    threads = Counter(thread.name for thread in threading.enumerate())
    descriptors: Counter[str] = Counter()
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:  # the listing itself
            continue
        descriptors[re.sub(r"\[\d+\]", "", target)] += 1
    return Resources(threads, descriptors)


async def warmed_up() -> Resources:
    """What is held once the running loop has all that it opens for itself on first use."""
    reading, writing = os.pipe()
    os.close(writing)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", 0)
    )
    await reader.read()
    transport.close()
    await asyncio.sleep(0)
    return resources()
