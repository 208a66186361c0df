"""Bytes on their way to an upstream: streamed as they come, the last of them held back until everything is verified.

Without its last bytes the upstream's request is not whole, so what is given up has stored nothing. For an upstream that
stores it all the same, all of them are held back.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from gateway.storage.base import Staged
from gateway.storage.errors import Unavailable
from gateway.storage.model import Arriving
from gateway.storage.upstream.client import Client, Exchange, Request
from gateway.storage.upstream.connection import Broken
from gateway.storage.upstream.errors import Failure
from gateway.storage.upstream.response import ResponseHead

WHOLE_BYTES = 64 * 1024
"""Up to this size a body is sent at once when it is verified; a refusal or a broken connection can be tried again."""
HELD_BYTES = 16 * 1024
"""Of a longer one so much is held back."""
CONTINUE_WITHIN_S = 1.0
"""So long an upstream may take to say whether it wants a body at all; then it is sent."""
SPOOL_BLOCK_BYTES = 2**20

MakeRequest = Callable[[Mapping[str, str], int | None, bytes], Request]
"""(further headers, bytes of a body that is streamed, else the body) to the request that stores it."""


class UpstreamStaged(Staged):
    """One body. Invariant: the upstream has at most all but the last of its bytes until commit()."""

    def __init__(
        self, client: Client, arriving: Arriving, request: MakeRequest, headers: Mapping[str, str], spool: Path,
        *, verifies: bool, waits: bool = False,
    ) -> None:  # fmt: skip
        """headers are those that are known before the bytes; spool is where bytes wait that cannot be sent yet.

        verifies: the ETag of a long body is held against its MD5, as that of a short one always is.
        waits: nothing is sent before commit(), since the upstream stores what came of a body that breaks off.
        """
        self.size_bytes = 0
        self._streams = arriving.is_exact and arriving.size_bytes > WHOLE_BYTES and not waits
        self.wants_md5 = verifies or not self._streams
        self.arriving = arriving
        self._client = client
        self._request = request
        self._headers = headers
        self._spool = spool
        self._file: IO[bytes] | None = None
        self._held = bytearray()
        self._exchange: Exchange | None = None
        self._sent_bytes = 0
        self._is_over = False

    async def write(self, chunk: bytes | memoryview) -> None:
        """Append. Raises what the upstream refuses it with, Unavailable when it is gone."""
        assert not self._is_over, "bytes after the commit"
        self.size_bytes += len(chunk)
        if self._streams:
            await self._stream(chunk)
            return
        self._held += chunk
        if len(self._held) > WHOLE_BYTES:
            await self._to_file()

    async def commit(self, headers: Mapping[str, str]) -> ResponseHead:
        """Send what is left, and the answer. headers of a body that was not begun. Raises as write.

        Unavailable: nobody knows whether it is stored.
        """
        self._is_over = True
        try:
            if self._file is not None:
                return await self._from_file(self._file, headers)
            if self._exchange is None:
                exchange = await self._client.open(self._request(headers, None, bytes(self._held)))
                await exchange.whole()
                return exchange.head
            await self._send(self._exchange, self._held)
            return await self._answer(self._exchange)
        finally:
            self._let_go()

    async def discard(self) -> None:
        """Give up what was not committed. May be called after a commit."""
        self._is_over = True
        self._let_go()

    def _let_go(self) -> None:
        if self._exchange is not None:
            self._exchange.close()
        if self._file is not None:
            self._file.close()
            self._file = None

    async def _stream(self, chunk: bytes | memoryview) -> None:
        """All but the last HELD_BYTES of the body that was announced."""
        if self._exchange is None:
            self._exchange = await self._begin(self._headers, self.arriving.size_bytes)
        may_go = self.arriving.size_bytes - HELD_BYTES - self._sent_bytes
        now = max(0, min(len(chunk), may_go - len(self._held)))
        if now:
            await self._send(self._exchange, memoryview(chunk)[:now])
        self._held += memoryview(chunk)[now:]

    async def _begin(self, headers: Mapping[str, str], size_bytes: int) -> Exchange:
        """The head is sent, and the upstream wants the body, as far as it says. A stale connection costs nothing."""
        request = self._request(headers, size_bytes, b"")
        while True:
            exchange = None
            try:
                exchange = await self._client.begin(request)
                await exchange.may_send(CONTINUE_WITHIN_S)
                if exchange.has_answered:
                    await self._refused(exchange)
            except Broken as error:
                if exchange is not None:
                    exchange.close()
                    if exchange.was_stale:
                        continue
                raise self._client.failed(request, error) from error
            return exchange

    async def _send(self, exchange: Exchange, block: bytes | bytearray | memoryview) -> None:
        if exchange.has_answered:
            await self._refused(exchange)
        try:
            await exchange.write(memoryview(block))
        except Broken as error:
            if exchange.has_refused:
                await self._refused(exchange)
            raise self._client.failed(exchange.request, error) from error
        self._sent_bytes += len(block)

    async def _refused(self, exchange: Exchange) -> None:
        """An answer came before the whole body was sent. Raises what it says."""
        try:
            head = await exchange.answered()
        except Broken as error:
            raise self._client.failed(exchange.request, error) from error
        if head.status >= 300:
            raise self._client.judge(exchange.request, await exchange.failure())
        exchange.close()
        raise Unavailable(f"{exchange.request.asked.engine} answered before it had the whole body")

    async def _answer(self, exchange: Exchange) -> ResponseHead:
        try:
            head = await exchange.answered()
        except Broken as error:
            raise self._client.failed(exchange.request, error) from error
        if head.status >= 300:
            failure: Failure = await exchange.failure()
            raise self._client.judge(exchange.request, failure)
        await exchange.whole()
        self._client.is_well()
        return head

    async def _to_file(self) -> None:
        """Of bytes nobody said how many they are, as those of a form; or the upstream may not have them yet."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._spool)  # noqa: SIM115 - closed by _let_go
        await asyncio.to_thread(self._file.write, bytes(self._held))
        self._held.clear()

    async def _from_file(self, file: IO[bytes], headers: Mapping[str, str]) -> ResponseHead:
        await asyncio.to_thread(file.write, bytes(self._held))
        await asyncio.to_thread(file.seek, 0)
        self._exchange = await self._begin(headers, self.size_bytes)
        while block := await asyncio.to_thread(file.read, SPOOL_BLOCK_BYTES):
            await self._send(self._exchange, block)
        return await self._answer(self._exchange)
