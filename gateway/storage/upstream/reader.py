"""An object of an upstream, opened: its head, and its bytes as they come.

The answer that told the head also brings the bytes, if they are those that are then read; others are asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.storage.base import ObjectReader
from gateway.storage.errors import DamagedObject
from gateway.storage.model import Extent, MemoryExtent, ObjectHead, StreamedExtent
from gateway.storage.upstream.client import Exchange

AskAgain = Callable[[int, int], Awaitable[Exchange]]
"""The bytes [start, stop) of the same object as before. Raises DamagedObject when it is another one by now."""


class UpstreamReader(ObjectReader):
    """Invariant: bytes are never told longer than they came; an answer that ends early is an error, not an end."""

    __slots__ = ("_ask", "_data", "_exchange", "_first", "_stop", "engine_name", "head", "source_name")

    def __init__(
        self, head: ObjectHead, ask: AskAgain, *, exchange: Exchange | None = None, data: bytes | None = None,
        first: int = 0, body_bytes: int = 0, engine_name: str, source_name: str,
    ) -> None:  # fmt: skip
        """exchange, or data that is whole already, has the bytes [first, first + body_bytes)."""
        self.head = head
        self.engine_name = engine_name
        self.source_name = source_name
        """The bucket's name on the upstream."""
        self._ask = ask
        self._exchange = exchange
        self._data = data
        self._first = first
        self._stop = first + body_bytes

    def extents(self, start: int, stop: int) -> tuple[Extent, ...]:
        """See ObjectReader. Bytes that are not here yet can be read once."""
        if start == stop:
            return ()
        if self._data is not None and self._first <= start and stop <= self._stop:
            return (MemoryExtent(self._data[start - self._first : stop - self._first]),)
        run = _Run(self, start, stop)
        return (StreamedExtent(stop - start, run.read, run.pour),)

    def close(self) -> None:
        """Let go of what is not read yet. May be called twice."""
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = None

    async def take(self, start: int, stop: int) -> Exchange:
        """An exchange that brings these bytes, and perhaps more behind them."""
        found, self._exchange = self._exchange, None
        if found is not None and self._first == start and stop <= self._stop:
            self._exchange = found
            self._first = -1
            return found
        if found is not None:
            found.close()
        self._exchange = await self._ask(start, stop)
        return self._exchange


class _Run:
    """One reading from start to stop."""

    __slots__ = ("_exchange", "_left", "_reader", "_start", "_stop")

    def __init__(self, reader: UpstreamReader, start: int, stop: int) -> None:
        self._reader = reader
        self._start = start
        self._stop = stop
        self._left = stop - start
        self._exchange: Exchange | None = None

    async def read(self) -> bytes:
        """The next bytes; empty when all were read. Raises DamagedObject, Unavailable."""
        if not self._left:
            return b""
        exchange = self._exchange or await self._begun()
        block = await exchange.read()
        if not block:
            raise DamagedObject(f"an upstream's answer ends {self._left} bytes early")
        block = block[: self._left]
        self._moved(exchange, len(block))
        return block

    async def pour(self, pipe: int, bytes_max: int) -> int:
        """See StreamedExtent. Raises as read."""
        exchange = self._exchange or await self._begun()
        count = await exchange.pour(pipe, min(bytes_max, self._left))
        self._moved(exchange, count)
        return count

    async def _begun(self) -> Exchange:
        self._exchange = await self._reader.take(self._start, self._stop)
        return self._exchange

    def _moved(self, exchange: Exchange, count: int) -> None:
        self._left -= count
        if not self._left:
            # If that was the answer's end too, its connection is free from now on.
            exchange.close()
