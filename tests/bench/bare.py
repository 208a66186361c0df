"""The base of the small GET: aiohttp's low-level server, one process, a handler that returns 4 KiB."""

from __future__ import annotations

import asyncio
import socket
import sys

import uvloop
from aiohttp import web

BODY = b"x" * 4096


async def handle(request: web.BaseRequest) -> web.StreamResponse:
    """Nothing but the body."""
    return web.Response(body=BODY)


async def main(descriptor: int) -> None:
    """Serve until killed."""
    server = web.Server(handle, access_log=None)
    await asyncio.get_running_loop().create_server(server, sock=socket.socket(fileno=descriptor))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
