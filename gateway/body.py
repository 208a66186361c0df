"""An incoming body: counted as it moves, unframed, hashed and compared with what its sender promised.

Hashing and writing of a block run in threads while the next block arrives.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import TypeVar

from aiohttp import ClientError, StreamReader
from aiohttp.web_protocol import RequestPayloadError

from gateway.call import Received
from gateway.checksum import (
    DEFAULT_ALGORITHM,
    AskedChecksum,
    Crc,
    Hasher,
    asked_checksum,
    content_md5,
    digest_base64,
    hasher,
    trailer_names,
)
from gateway.connection import BODY_BROKE_OFF, Incoming
from gateway.counting import Counting
from gateway.errors import s3_error
from gateway.head import CONTINUE
from gateway.intake import Blocks, Intake, Lane
from gateway.limits import Throttle
from gateway.operation import Operation
from gateway.pace import Pace, TooSlow
from gateway.settings import GatewaySettings
from gateway.sigv4.chunked import ChunkDecoder
from gateway.sigv4.parse import Claim, PayloadMode
from gateway.storage.base import Staged
from gateway.storage.model import Checksum
from gateway.wire import ReceiverGone, send_at_once

_T = TypeVar("_T")
SHORT_BYTES = 64 * 1024
"""Up to this size hashing inline is cheaper than a thread, and no place for open exchanges is taken."""
TICK_S = 1.0
"""While a sender takes its time, the count is told so often that time passes."""


class SenderGone(ConnectionError):
    """The client left in the middle of its body."""


class Digests:
    """All sums that are kept over one body."""

    def __init__(self, *, with_md5: bool, with_sha256: bool, checksum: Hasher | None) -> None:
        self.md5 = hashlib.md5(usedforsecurity=False) if with_md5 else None
        self.sha256 = hashlib.sha256() if with_sha256 else None
        self.checksum = checksum
        self.size_bytes = 0

    def update(self, block: bytes | memoryview) -> None:
        """Take in the next block; may run in a thread, one block at a time."""
        self.update_md5(block)
        self.update_others(block)

    def beside_each_other(self) -> Callable[[memoryview], Awaitable[object]]:
        """Takes in blocks in their order, in threads: MD5 in one, what else is slow in another."""
        md5 = None if self.md5 is None else Lane(self.update_md5)
        if self.sha256 is not None or not isinstance(self.checksum, Crc):
            others = Lane(self.update_others)
            if md5 is None:
                return others.put
            return lambda block: asyncio.gather(md5.put(block), others.put(block))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)

        def with_quick_crc(block: memoryview) -> Awaitable[object]:
            # A block's CRC takes a tenth of a millisecond, less than to wake a thread for it.
            hashing = done if md5 is None else md5.put(block)
            self.update_others(block)
            return hashing

        return with_quick_crc

    def update_md5(self, block: bytes | memoryview) -> None:
        """MD5 alone, the slowest: the other sums may be kept beside it in another thread."""
        if self.md5 is not None:
            self.md5.update(block)

    def update_others(self, block: bytes | memoryview) -> None:
        """All but MD5."""
        if self.sha256 is not None:
            self.sha256.update(block)
        if self.checksum is not None:
            self.checksum.update(block)
        self.size_bytes += len(block)


class Body:
    """IncomingBody of gateway.call for one request."""

    __slots__ = (
        "_claim", "_content", "_counting", "_descriptor", "_headers", "_incoming", "_settings", "_signing_key",
        "awaits_continue", "given_up", "throttle",
    )  # fmt: skip

    def __init__(
        self, content: StreamReader, headers: Mapping[str, str], *, claim: Claim, signing_key: bytes,
        counting: Counting, settings: GatewaySettings, ask_for_it: bool, descriptor: int,
        incoming: Incoming | None = None, throttle: Throttle | None = None,
    ) -> None:  # fmt: skip
        self.throttle = throttle
        """What holds a long body to its member's pace."""
        self._content = content
        self._incoming = incoming
        self._headers = headers
        self._claim = claim
        self._signing_key = signing_key
        self._counting = counting
        self._settings = settings
        self.awaits_continue = ask_for_it
        """The client waits for 100-continue before it sends; it is told when a handler first reads."""
        self.given_up = False
        """The client stopped sending in the middle: what it may send yet belongs to no request."""
        self._descriptor = descriptor

    async def document(self, limit_bytes: int) -> bytes:
        """A small body whole, verified against every digest its sender named."""
        size = self._announced()
        if size is not None and size > limit_bytes:
            raise s3_error("EntityTooLarge", MaxSizeAllowed=limit_bytes, ProposedSize=size)
        # In Complete the checksum headers speak of the object, not of this list of its parts.
        of_object = self._counting.tab.operation is Operation.COMPLETE_MULTIPART_UPLOAD
        wanted = None if of_object else asked_checksum(self._headers)
        digests = self._digests(wanted)
        decoder = self._decoder(size or 0)
        pieces = bytearray()
        async for piece in self._payload(decoder):
            pieces += piece
            if len(pieces) > limit_bytes:
                raise s3_error("EntityTooLarge", MaxSizeAllowed=limit_bytes)
        digests.update(bytes(pieces))
        self._compare(digests, wanted, decoder)
        return bytes(pieces)

    async def into(self, staged: Staged, *, limit_bytes: int) -> Received:
        """Stream everything into staged, verified; the caller commits or discards."""
        size = self._announced()
        if size is None:
            raise s3_error("MissingContentLength")
        if size > limit_bytes:
            raise s3_error("EntityTooLarge", MaxSizeAllowed=limit_bytes, ProposedSize=size)
        if size > SHORT_BYTES:
            self._counting.begin_long()
        wanted = asked_checksum(self._headers)
        digests = self._digests(wanted, kept=True, engine_wants_md5=staged.wants_md5)
        decoder = self._decoder(size)
        await self._absorb(digests, staged, decoder, size_bytes=size)
        if digests.size_bytes != size:
            raise s3_error("IncompleteBody")
        return self._compare(digests, wanted, decoder)

    async def _absorb(
        self, digests: Digests, staged: Staged, decoder: ChunkDecoder | None, *, size_bytes: int
    ) -> None:
        """Everything into the sums and the file; size_bytes as announced."""
        if size_bytes <= SHORT_BYTES:
            # A form ends where its own frames say so: what came of it is not the body.
            whole = self._whole() if decoder is None and self._incoming is not None else None
            if whole is not None:
                digests.update(whole)
                await staged.write(whole)
                return
            async for piece in self._payload(decoder):
                digests.update(piece)
                await staged.write(piece)
            return
        blocks = Blocks(
            hash_block=digests.beside_each_other(), write=staged.write, body_bytes=size_bytes,
            block_bytes_min=self._settings.receive_block_bytes,
            memory_bytes=self._settings.receive_memory_bytes,
        )  # fmt: skip
        try:
            # Nor may what follows a form be taken, and chunks of HTTP's own are the parser's business.
            if self._incoming is None or self._incoming.content_length is None:
                async for piece in self._payload(decoder):
                    await blocks.add(piece)
            else:
                await self._read_straight(self._incoming, self._incoming.content_length, blocks, decoder)
            await blocks.finish()
        finally:
            await blocks.close()

    async def _read_straight(
        self, incoming: Incoming, length_bytes: int, blocks: Blocks, decoder: ChunkDecoder | None
    ) -> None:
        """What has arrived, then all the rest straight from the socket. The answer to it ends the connection
        unless the whole body was read."""
        self._say_continue()
        incoming.hold()
        past_parser = False
        self.given_up = True
        try:
            while data := self._arrived():
                for piece in self._unframed(data, decoder):
                    await blocks.add(piece)
            left_bytes = length_bytes - self._content.total_bytes
            if left_bytes:
                await self._take_in(left_bytes, blocks, decoder)
                past_parser = True
            self.given_up = False
        finally:
            incoming.go_on(past_parser=past_parser)

    async def _take_in(self, left_bytes: int, blocks: Blocks, decoder: ChunkDecoder | None) -> None:
        """Everything that is left. Raises SenderGone, S3Error RequestTimeout, SlowDown."""
        try:
            intake = Intake(self._descriptor, left_bytes=left_bytes)
        except OSError as error:
            raise s3_error("SlowDown") from error  # no descriptor is left
        try:
            await self._take_all(intake, blocks, decoder)
        finally:
            intake.close()

    async def _take_all(self, intake: Intake, blocks: Blocks, decoder: ChunkDecoder | None) -> None:
        timeout_s, clock = self._settings.receive_timeout_s, asyncio.get_running_loop().time
        pace = Pace(window_s=timeout_s, bytes_per_s_min=self._settings.transfer_bytes_per_s_min)
        framed = None if decoder is None else memoryview(bytearray(self._settings.receive_block_bytes))
        waited_s = 0.0
        while intake.left_bytes:
            room = blocks.room if framed is None else framed
            try:
                count = intake.take(room)
                pace.waited(waited_s, moved_bytes=count)
                waited_s = 0.0
                if not count:
                    began = clock()
                    await self._patiently(intake.readable)
                    # Only the time we waited for the client: a slow disk of ours is not its fault.
                    waited_s = clock() - began
                    continue
            except (TimeoutError, TooSlow):
                raise s3_error("RequestTimeout") from None
            except ConnectionError as error:
                raise SenderGone from error
            if self.throttle is not None:
                await self._rest(self.throttle.moved(count))
            if decoder is None:
                self._counting.received(count)
                await blocks.came(count)
            else:
                for piece in self._unframed(bytes(room[:count]), decoder):
                    await blocks.add(piece)

    def _whole(self) -> bytes | None:
        """The body, counted, if all of it came with its head, as a small one does; None where it may need waiting."""
        content = self._content
        if self.awaits_continue or not content.is_eof() or content.exception() is not None:
            return None
        data = content.read_nowait()
        self._counting.received(len(data))
        return data

    def _arrived(self) -> bytes:
        """What the parser has of the body. Raises SenderGone."""
        try:
            return self._content.read_nowait()
        except BODY_BROKE_OFF as error:
            raise SenderGone from error

    def _unframed(self, data: bytes, decoder: ChunkDecoder | None) -> Iterator[bytes]:
        """The payload in it, counted."""
        for piece in (data,) if decoder is None else decoder.feed(data):
            self._counting.received(len(piece))
            yield piece

    async def _payload(self, decoder: ChunkDecoder | None) -> AsyncIterator[bytes]:
        """The pieces of the body in order, unframed and counted. Raises SenderGone, S3Error RequestTimeout."""
        self._say_continue()
        content, timeout_s = self._content, self._settings.receive_timeout_s
        clock = asyncio.get_running_loop().time
        pace = Pace(window_s=timeout_s, bytes_per_s_min=self._settings.transfer_bytes_per_s_min)
        while not content.at_eof():
            try:
                # A small body is mostly there already, and waiting for nothing would cost a timer.
                data, waited_s = content.read_nowait(), 0.0
                if not data and not content.at_eof():
                    began = clock()
                    data = await self._patiently(content.readany)
                    # Only the time we waited for the client: a slow disk of ours is not its fault.
                    waited_s = clock() - began
                pace.waited(waited_s, moved_bytes=len(data))
            except (TimeoutError, TooSlow):
                self.given_up = True
                raise s3_error("RequestTimeout") from None
            except (ConnectionError, RequestPayloadError, ClientError) as error:
                if decoder is None:
                    # What had arrived and was not read yet moved all the same.
                    self._counting.received(content.total_bytes - self._counting.tab.moved_in)
                raise SenderGone from error
            if decoder is None:
                self._counting.received(len(data))
                yield data
            else:
                for piece in decoder.feed(data):
                    self._counting.received(len(piece))
                    yield piece

    async def _rest(self, seconds: float) -> None:
        """The member is ahead of their pace: nothing is read for a while, and the kernel tells the sender to wait."""
        while seconds > 0:
            await asyncio.sleep(min(seconds, TICK_S))
            seconds -= TICK_S
            self._counting.tick()

    async def _patiently(self, wait: Callable[[], Awaitable[_T]]) -> _T:
        """Wait for the client, and tell the count of the time that passes. Raises TimeoutError."""
        left_s = float(self._settings.receive_timeout_s)
        while True:
            slice_s = min(left_s, TICK_S)
            try:
                async with asyncio.timeout(slice_s):
                    return await wait()
            except TimeoutError:
                left_s -= slice_s
                if left_s <= 0:
                    raise
            self._counting.tick()

    def _say_continue(self) -> None:
        if self.awaits_continue:
            self.awaits_continue = False
            try:
                send_at_once(self._descriptor, CONTINUE, b"")
            except ReceiverGone as error:
                raise SenderGone from error

    def _announced(self) -> int | None:
        """The payload's size as announced, framing not counted; None where nothing was."""
        name = "x-amz-decoded-content-length" if self._claim.payload.mode.is_chunked else "content-length"
        text = self._headers.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise s3_error("InvalidArgument", ArgumentName=name, ArgumentValue=text[:40])
        return int(text)

    def _digests(
        self, wanted: AskedChecksum | None, *, kept: bool = False, engine_wants_md5: bool = True
    ) -> Digests:
        """kept: the bytes are stored, so they get a checksum also when their sender names none."""
        algorithm = wanted.algorithm if wanted is not None else DEFAULT_ALGORITHM if kept else ""
        return Digests(
            with_md5=engine_wants_md5 or content_md5(self._headers) is not None,
            with_sha256=self._claim.payload.mode is PayloadMode.HASHED,
            checksum=hasher(algorithm) if algorithm else None,
        )

    def _decoder(self, size: int) -> ChunkDecoder | None:
        claim = self._claim
        if not claim.payload.mode.is_chunked:
            return None
        return ChunkDecoder(
            claim.payload.mode, decoded_length=size, trailer_names=trailer_names(self._headers), seed_signature=claim.signature,
            signing_key=self._signing_key, scope=claim.scope, timestamp=claim.timestamp,
        )  # fmt: skip

    def _compare(
        self, digests: Digests, wanted: AskedChecksum | None, decoder: ChunkDecoder | None
    ) -> Received:
        """Everything the sender promised against what came. Raises S3Error; never passes what it cannot check."""
        trailers = decoder.finish() if decoder is not None else {}
        if digests.sha256 is not None and digests.sha256.hexdigest() != self._claim.payload.sha256_hex:
            raise s3_error("XAmzContentSHA256Mismatch")
        md5 = b"" if digests.md5 is None else digests.md5.digest()
        promised = content_md5(self._headers)
        if promised is not None and promised != md5:
            raise s3_error("BadDigest")
        checksum = None
        if wanted is None and digests.checksum is not None:
            checksum = Checksum(DEFAULT_ALGORITHM, digest_base64(digests.checksum))
        elif wanted is not None and digests.checksum is not None:
            value = wanted.value if wanted.value is not None else trailers.get(wanted.header)
            computed = digest_base64(digests.checksum)
            if value != computed:
                raise s3_error(
                    "BadDigest",
                    f"The {wanted.algorithm} you specified did not match the calculated checksum.",
                )
            checksum = Checksum(wanted.algorithm, computed)
        return Received(digests.size_bytes, md5, checksum)
