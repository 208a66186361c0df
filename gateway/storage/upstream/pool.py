"""A worker's connections to one upstream: a bounded number, the last used first, closed when idle for long."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque

from gateway.settings import GatewaySettings
from gateway.storage.errors import Busy
from gateway.storage.upstream.connection import Broken, Connection
from gateway.storage.upstream.endpoint import Upstream

WATCH_EVERY_S = 0.5
LEAVE_TURNS = 3
FRESH_S = 1.0
"""Who was used so short a time ago is there: servers keep idle connections for several seconds at least."""


class Pool:
    """Invariant: at most upstream_connections_max connections, and upstream_waiting_max callers that wait for one."""

    def __init__(self, upstream: Upstream, settings: GatewaySettings) -> None:
        self._upstream = upstream
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._tls = ssl.create_default_context() if upstream.is_tls else None
        self._watching: asyncio.Task[None] | None = None

    @property
    def open_count(self) -> int:
        """Connections, idle ones too."""
        return len(self._all) + self._opening

    async def take(self, *, fresh: bool = False) -> Connection:
        """A connection to begin a request on; fresh: none that may have been closed unseen. Raises Broken, Busy."""
        while True:
            while self._idle:
                found = self._idle[-1]
                if fresh and self._loop.time() - found.idle_since > FRESH_S:
                    # Those below it have been idle for longer.
                    break
                self._idle.pop()
                if found.is_idle:
                    return found
                found.abort()
            if self.open_count >= self._settings.upstream_connections_max and self._idle:
                self._idle.pop(0).abort()
                # It leaves in the loop's next turn.
                await asyncio.sleep(0)
                continue
            if self.open_count < self._settings.upstream_connections_max:
                return await self._open()
            await self._wait()

    def give_back(self, connection: Connection) -> None:
        """Its exchange is over; one that was not read to its end is closed."""
        if connection.is_idle:
            connection.was_used = True
            connection.idle_since = self._loop.time()
            self._idle.append(connection)
            self._next()
        else:
            connection.abort()

    async def close(self) -> None:
        """Close everything."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        for one in list(self._all):
            one.abort()
        # Each leaves in one of the loop's next turns.
        for _ in range(LEAVE_TURNS):
            await asyncio.sleep(0)

    async def _open(self) -> Connection:
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        upstream = self._upstream
        self._opening += 1
        try:
            async with asyncio.timeout(self._settings.upstream_connect_timeout_s):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self._lost), upstream.host, upstream.port, ssl=self._tls,
                    server_hostname=upstream.host if upstream.is_tls else None,
                )  # fmt: skip
        except (OSError, TimeoutError, ssl.SSLError) as error:
            self._next()
            raise Broken(f"no connection: {type(error).__name__}") from error
        finally:
            self._opening -= 1
        if not connection.is_idle:
            # Already lost, or about to be: _lost may have been told before anybody knew it.
            self._next()
            raise Broken("no connection: it ended as it began")
        self._all.add(connection)
        return connection

    def _lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._next()

    def _next(self) -> None:
        while self._waiting:
            one = self._waiting.popleft()
            if not one.done():
                one.set_result(None)
                return

    async def _wait(self) -> None:
        if len(self._waiting) >= self._settings.upstream_waiting_max:
            raise Busy(f"too many requests wait for a connection to {self._upstream.name}")
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._settings.upstream_timeout_s):
                await turn
        except TimeoutError:
            raise Busy(f"no connection to {self._upstream.name} became free") from None
        except asyncio.CancelledError:
            if turn.done():
                self._next()
            raise

    async def _watch(self) -> None:
        """In place of a timer for each request: who waits too long is given up, who is idle too long closed."""
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            now = self._loop.time()
            for one in list(self._all):
                if one.waits_since is not None and now - one.waits_since > self._settings.upstream_timeout_s:
                    one.give_up(f"no byte for {self._settings.upstream_timeout_s} s")
                else:
                    one.look()
            for one in [one for one in self._idle if now - one.idle_since > self._settings.upstream_idle_s]:
                self._idle.remove(one)
                one.abort()
