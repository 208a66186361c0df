"""Turns of those who change one thing: one at a time, a bounded number in all. For one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.storage.errors import Busy


class Turns:
    """Invariant: of one name at most one holder; nothing is kept of a name nobody holds or waits for."""

    def __init__(self, *, waiting_max: int) -> None:
        self._waiting_max = waiting_max
        self._waiting = 0
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def of(self, name: Hashable) -> AsyncIterator[None]:
        """Hold the name for the time of the block. Raises Busy when too many wait."""
        lock, users = self._locks.get(name) or (asyncio.Lock(), 0)
        if users and self._waiting >= self._waiting_max:
            raise Busy("too many changes wait for their turn")
        self._locks[name] = (lock, users + 1)
        self._waiting += 1
        try:
            await lock.acquire()
        except BaseException:
            self._leave(name)
            raise
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            lock.release()
            self._leave(name)

    @asynccontextmanager
    async def of_all(self, names: Iterable[tuple[int, str]]) -> AsyncIterator[None]:
        """Hold several, always in the same order, so that nobody waits in a circle."""
        async with AsyncExitStack() as stack:
            for name in sorted(set(names)):
                await stack.enter_async_context(self.of(name))
            yield

    def _leave(self, name: Hashable) -> None:
        lock, users = self._locks[name]
        if users == 1:
            del self._locks[name]
        else:
            self._locks[name] = (lock, users - 1)
