"""The admin listener: /metrics, /livez, /readyz, /version. For operators."""

from __future__ import annotations

import platform
import socket
from collections.abc import Callable, Mapping

from aiohttp import web

from meter import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SHUTDOWN_TIMEOUT_S = 1


class Admin:
    """The listener. `is_ready` and `metrics` are asked at each request; `facts` are what /version adds."""

    def __init__(
        self,
        *,
        metrics: Callable[[], bytes],
        is_ready: Callable[[], Mapping[str, bool]],
        facts: Callable[[], Mapping[str, object]],
    ) -> None:
        self._text = metrics
        self._is_ready = is_ready
        self._facts = facts
        self._runner: web.AppRunner | None = None

    async def start(self, listening: socket.socket) -> None:
        """Serve on a socket that listens already."""
        application = web.Application()
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/version", self._version)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()

    async def stop(self) -> None:
        """Close the listener."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._text(), headers={"Content-Type": CONTENT_TYPE})

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        parts = self._is_ready()
        ready = all(parts.values())
        body = {"ready": ready, "parts": dict(parts)}
        return web.json_response(body, status=200 if ready else 503)

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"version": __version__, "python": platform.python_version(), **self._facts()}
        )
