"""Round trips of one byte between two guest processes, or a guest and the host, blocks, and looks at what is ready."""

import asyncio
from typing import Final

from bench.compare import Case, compare
from bench.measure import Row
from bench.programs import Programs

_CASES: Final = (
    Case("UNIX socketpair, a round trip", ("sockets", "300"), "≤ 250 µs"),
    Case("the same with poll before each read", ("polled", "300"), ""),
    Case("two pipes, a round trip", ("pipes", "300"), ""),
    Case("64 KiB over a UNIX socketpair", ("socket-blocks", "500"), ""),
    Case("64 KiB over a pipe", ("pipe-blocks", "500"), ""),
    Case("poll of 1,000 descriptors", ("poll", "50"), "≤ 1.5 ms"),
    Case("epoll_wait, one of one ready", ("epoll", "300"), ""),
)


async def rows(programs: Programs) -> list[Row]:
    echo = await asyncio.create_subprocess_exec(
        programs.native("echo"), stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.PIPE
    )
    assert echo.stdout is not None
    port = (await echo.stdout.readline()).decode().strip()
    tcp = Case("TCP loopback to a host process, a round trip", ("tcp", "300", port), "≤ 200 µs")
    try:
        async with programs.linux() as linux:
            return [(await compare(programs, linux, "messages", case)).row(case) for case in (*_CASES, tcp)]
    finally:
        echo.kill()
        await echo.wait()
