"""A web application with a Redis of its own: a Linux program in the same process, with no port of the host open.

pip install aionoah aiohttp redis
python redis_behind_aiohttp.py 8080
curl http://127.0.0.1:8080/hits/front    # 1, 2, 3 …
"""

import sys
from collections.abc import AsyncIterator
from typing import Any

import redis.asyncio as redis
from aiohttp import web
from redis.asyncio.connection import AbstractConnection

import aionoah

PORT = 6379  # in the guests' own network: any will do, and none of them is the host's
CLIENT = web.AppKey("client", redis.Redis)


class GuestConnection(AbstractConnection):
    """redis-py's connection, over a stream to a guest."""

    def __init__(self, *, linux: aionoah.Linux, **options: Any) -> None:
        super().__init__(**options)
        self._linux = linux

    def repr_pieces(self) -> list[tuple[str, object]]:
        return [("port", PORT), ("db", self.db)]

    async def _connect(self) -> None:
        self._reader, self._writer = await self._linux.connect(PORT)


async def redis_server(app: web.Application) -> AsyncIterator[None]:
    """Runs as long as the application does."""
    async with aionoah.Linux(network="loopback") as linux:
        command = ["redis-server", "--port", str(PORT), "--save", ""]
        server = await linux.create_subprocess_exec(*command, stdout=aionoah.PIPE)
        assert server.stdout is not None
        while b"Ready to accept" not in (line := await server.stdout.readline()):
            if not line:
                raise RuntimeError("redis-server has ended")
        pool = redis.ConnectionPool(connection_class=GuestConnection, linux=linux)
        async with redis.Redis(connection_pool=pool) as app[CLIENT]:
            yield
        await pool.aclose()


async def hits(request: web.Request) -> web.Response:
    count = await request.app[CLIENT].incr(request.match_info["page"])
    return web.Response(text=f"{count}\n")


def new_application() -> web.Application:
    app = web.Application()
    app.cleanup_ctx.append(redis_server)
    app.router.add_get("/hits/{page}", hits)
    return app


if __name__ == "__main__":
    web.run_app(new_application(), host="127.0.0.1", port=int(sys.argv[1]))
