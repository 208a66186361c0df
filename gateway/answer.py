"""Sends a Reply on the socket, and ends the exchange's count with what really moved."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence

from gateway.accounting import CLIENT_LEFT
from gateway.body import Body
from gateway.call import Reply
from gateway.connection import Incoming
from gateway.counting import Counting, CutOff
from gateway.errors import S3Error, render_error, s3_error
from gateway.head import response_head
from gateway.limits import Throttle
from gateway.settings import GatewaySettings
from gateway.storage.errors import StorageError
from gateway.storage.model import Extent, MemoryExtent
from gateway.wire import RESET, DamagedFile, LongSend, ReceiverGone, ReceiverTooSlow, delivered
from meter.ongoing import TooManyExchanges

log = logging.getLogger(__name__)
SHORT_BYTES = 64 * 1024
"""Answers up to this size go out in one call to the kernel."""
NO_BODY = frozenset((204, 304))


class Answer:
    """How the answer of one request goes out."""

    __slots__ = (
        "_keep_alive",
        "_raw",
        "_settings",
        "body",
        "counting",
        "descriptor",
        "is_excess",
        "is_slow",
        "origin_headers",
        "resource",
        "throttle",
    )

    def __init__(self, raw: Incoming, counting: Counting, settings: GatewaySettings) -> None:
        self._raw = raw
        self._settings = settings
        self._keep_alive = raw.keep_alive
        self.counting = counting
        self.resource = "/"
        self.origin_headers: dict[str, str] = {}
        """What tells a browser that a page of another origin may see the answer, whatever it is."""
        self.body: Body | None = None
        self.descriptor = raw.descriptor
        self.is_excess = False
        """Somebody asked for more than they may: no failure of ours, and counted apart."""
        self.is_slow = False
        """The answer was ended because its receiver was too slow."""
        self.throttle: Throttle | None = None
        """What holds the bytes of the exchange to its member's pace."""

    def settle(self) -> None:
        """Count all that moved against its member's pace."""
        if self.throttle is not None:
            self.throttle.settle(self.counting.tab.moved_in + self.counting.moved_out)

    @property
    def timeout_s(self) -> int:
        """How long a receiver may take nothing."""
        return self._settings.send_timeout_s

    @property
    def bytes_per_s_min(self) -> int:
        """What a receiver must take on the average of such a time."""
        return self._settings.transfer_bytes_per_s_min

    @property
    def keep_alive(self) -> bool:
        """Whether the connection can go on: not if a body is left that nobody will read."""
        # A client that was never told to continue may send its body or not: no telling what comes next.
        body = self.body
        unsaid = self.expects_continue(self._raw.headers) if body is None else body.awaits_continue
        if not self._keep_alive or unsaid or (body is not None and body.given_up):
            return False
        content = self._raw.content
        if content.is_eof():
            return True
        if self.counting.is_left_out:
            return False
        announced = self._raw.content_length
        return announced is not None and announced <= self._settings.drain_bytes_max

    def expects_continue(self, headers: Mapping[str, str]) -> bool:
        """Whether the client holds its body back until it is told 100-continue (RFC 9110, section 10.1.1).

        One that speaks HTTP/1.0 sends it all the same, and is told nothing in between.
        """
        return (
            self._raw.knows_interim
            and headers.get("Expect", headers.get("expect", "")).lower() == "100-continue"
        )

    def cut(self) -> bool:
        """End the connection, which then does not go on: what would be read next has no defined place.

        It is reset, not closed: a closed socket's buffer is still delivered, unbilled, by the kernel.
        """
        transport = self._raw.transport
        if transport is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            transport.abort()
        return False

    @property
    def is_free(self) -> bool:
        """Whether the client is there, and nothing of the loop's own waits to be written."""
        transport = self._raw.transport
        return transport is not None and not (transport.get_write_buffer_size() or transport.is_closing())

    async def socket_is_free(self) -> bool:
        """Wait until the loop's own writes have left; False when the client is gone."""
        transport = self._raw.transport
        while transport is not None and not transport.is_closing():
            if not transport.get_write_buffer_size():
                return True
            await asyncio.sleep(0)
            transport = self._raw.transport
        return False


def error_reply(error: S3Error, resource: str, request_id: str) -> Reply:
    """The error as S3's XML."""
    headers = {"Content-Type": "application/xml"} | error.headers
    return Reply(error.status, headers, render_error(error, resource=resource, request_id=request_id))


async def answer(reply: Reply, counting: Counting, how: Answer) -> tuple[bool, int]:
    """Send the reply and record the exchange; whether the connection goes on, and the status that counts."""
    try:
        extents, length = _extents(reply, head_only=counting.tab.head_only)
        announced = reply.content_length if reply.content_length is not None else length
        keep_alive = how.keep_alive
        head = response_head(
            reply.status, reply.headers, content_length=None if reply.status in NO_BODY else announced,
            request_id=counting.tab.request_id.hex(), keep_alive=keep_alive,
        )  # fmt: skip
        if not how.is_free and not await _becomes_free(reply, counting, how):
            return _gone(reply, counting, how, moved_out=0)
        skip = 0
        if length <= SHORT_BYTES and (body := _in_memory(extents)) is not None:
            try:
                skip = counting.send_short(how.descriptor, head, body, status=reply.status)
            except ReceiverGone:
                return _gone(reply, counting, how, moved_out=0)
            if skip == len(head) + len(body):
                counting.moved_out = len(body)
                return keep_alive, reply.status
        return await _send_long(reply, counting, how, head, extents, skip=skip)
    finally:
        if reply.reader is not None:
            reply.reader.close()


async def _send_long(
    reply: Reply, counting: Counting, how: Answer, head: bytes, extents: Sequence[Extent], *, skip: int
) -> tuple[bool, int]:
    try:
        # The descriptor first: without one no place is taken.
        sending = LongSend(
            how.descriptor, timeout_s=how.timeout_s, bytes_per_s_min=how.bytes_per_s_min,
            on_progress=counting.sent, throttle=None if how.throttle is None else how.throttle.moved,
        )  # fmt: skip
    except OSError as error:
        return _no_room(reply, counting, how, head, extents, skip=skip, why=error)
    try:
        counting.begin_long(status=reply.status)
    except TooManyExchanges as error:
        sending.close()
        return _no_room(reply, counting, how, head, extents, skip=skip, why=error)
    try:
        await sending.send(head, extents, skip=skip)
    except (ReceiverGone, CutOff, S3Error) as ended:
        how.is_slow = isinstance(ended, ReceiverTooSlow)
        # Of the last two what a checkpoint was answered with: the head has left, there is no other way to say it.
        return _gone(reply, counting, how, moved_out=sending.delivered)
    except (DamagedFile, StorageError, OSError):
        log.exception("cannot read a stored file: request=%s", counting.tab.request_id.hex())
        return _gone(reply, counting, how, moved_out=sending.delivered)
    except BaseException:
        # We stop, or a bug of ours: the transport is closed already, or will be, and what the kernel holds would be
        # delivered uncounted.
        sending.throw_away()
        counting.end(status=reply.status, moved_out=sending.delivered, aborted=True)
        raise
    else:
        counting.end(status=reply.status, moved_out=sending.delivered, aborted=False)
        counting.moved_out = sending.delivered
        return how.keep_alive, reply.status
    finally:
        sending.close()


async def _becomes_free(reply: Reply, counting: Counting, how: Answer) -> bool:
    """See Answer.socket_is_free; a cancel meanwhile ends the count too."""
    try:
        return await how.socket_is_free()
    except asyncio.CancelledError:
        counting.end(status=reply.status, moved_out=0, aborted=True)
        raise


def _no_room(
    reply: Reply, counting: Counting, how: Answer, head: bytes, extents: Sequence[Extent], *, skip: int,
    why: Exception,
) -> tuple[bool, int]:  # fmt: skip
    """No descriptor, or no place, is left for a long answer: SlowDown where nothing of it has left, else a cut."""
    log.warning("no room for a long answer: request=%s: %s", counting.tab.request_id.hex(), why)
    if skip:
        moved_out = delivered(how.descriptor, skip, len(head), sum(_size_bytes(extent) for extent in extents))
        return _gone(reply, counting, how, moved_out=moved_out)
    request_id, keep_alive = counting.tab.request_id.hex(), how.keep_alive
    refusal = error_reply(s3_error("SlowDown"), how.resource, request_id)
    body = b"" if counting.tab.head_only else refusal.body
    head = response_head(
        refusal.status, refusal.headers | how.origin_headers, content_length=len(refusal.body), request_id=request_id,
        keep_alive=keep_alive,
    )  # fmt: skip
    try:
        taken = counting.send_short(how.descriptor, head, body, status=refusal.status)
    except ReceiverGone:
        return _gone(refusal, counting, how, moved_out=0)
    if taken < len(head) + len(body):
        moved_out = delivered(how.descriptor, taken, len(head), len(body))
        return _gone(refusal, counting, how, moved_out=moved_out)
    counting.moved_out = len(body)
    return keep_alive, refusal.status


def _gone(reply: Reply, counting: Counting, how: Answer, *, moved_out: int) -> tuple[bool, int]:
    """The receiver left: bill what it acknowledged, and end the connection."""
    counting.moved_out = moved_out
    counting.end(status=reply.status, moved_out=moved_out, aborted=True)
    return how.cut(), CLIENT_LEFT


def _extents(reply: Reply, *, head_only: bool) -> tuple[Sequence[Extent], int]:
    if head_only or reply.status in NO_BODY:
        return (), 0
    if reply.reader is None:
        return (MemoryExtent(reply.body),), len(reply.body)
    return reply.reader.extents(reply.start, reply.stop), reply.stop - reply.start


def _size_bytes(extent: Extent) -> int:
    return len(extent.data) if isinstance(extent, MemoryExtent) else extent.size_bytes


def _in_memory(extents: Sequence[Extent]) -> bytes | None:
    """The body, if all of it is in memory already."""
    if not extents:
        return b""
    if len(extents) == 1 and isinstance(extents[0], MemoryExtent):
        return extents[0].data
    return None
