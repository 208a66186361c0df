"""One connection to an upstream: a request out, an answer in, one after the other, with back-pressure both ways.

A protocol of our own in place of aiohttp's client, which takes half as much again for a small read; docs/engines.md
has the figures.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import cast

from gateway.pipe import pour
from gateway.storage.upstream.response import (
    END_OF_HEAD,
    HEAD_BYTES_MAX,
    Dechunker,
    MalformedAnswer,
    ResponseHead,
    read_response_head,
)

UNREAD_BYTES_MAX = 2**20
"""So much of a body waits for its reader; then the socket is not read."""
SMALL_BYTES = 64 * 1024
"""A body of this size is waited for with its head, so that one that breaks off can be asked for again."""
POUR_BYTES = 2**18
"""The kernel tells of a long body's bytes when so many are there; each telling costs as much as moving 200 KiB."""
_CONTINUE = 100


class Broken(Exception):
    """The connection ended, or what came was no answer; args[0] says how."""


class Connection(asyncio.Protocol):
    """One connection. Invariant: is_idle only when the last answer was read to its end, as its framing says."""

    __slots__ = (
        "_blocks", "_body_left", "_broken", "_dechunker", "_drained", "_head", "_head_only", "_is_over", "_is_polled",
        "_is_tls", "_least_bytes", "_loop", "_on_lost", "_paused", "_received", "_socket", "_transport", "_unread",
        "_waiter", "_writable", "bytes_in", "bytes_out", "idle_since", "may_go_on", "waits_since", "was_given_up",
        "was_used",
    )  # fmt: skip

    def __init__(self, on_lost: Callable[[Connection], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._broken: str | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._writable = True
        self._paused = False
        self._is_tls = False
        self._is_polled = False
        self._least_bytes = 1
        self.was_used = False
        """It has answered before, so the other side may close it at any moment."""
        self.was_given_up = False
        """It was we who ended it, for the other side was silent."""
        self.waits_since: float | None = None
        """Since when we wait for the other side, on the loop's clock; None while it waits for us."""
        self.idle_since = 0.0
        self._over()

    def _over(self) -> None:
        self._received = bytearray()
        self._head: ResponseHead | None = None
        self._head_only = False
        self._body_left: int | None = 0
        self._dechunker: Dechunker | None = None
        self._blocks: deque[bytes] = deque()
        self._unread = 0
        self._is_over = True
        self.may_go_on = False
        """The other side said 100 Continue."""
        self.bytes_in = 0
        """Of the answer's body, as they came off the socket."""
        self.bytes_out = 0
        """Of the request's body, as the socket took them."""

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        # uvloop's transports are nobody's subclass.
        self._transport = cast(asyncio.Transport, transport)
        # Who writes waits until everything has left: then the memory is the caller's again.
        # TLS has made its own copy by then, and says that it is full at exactly its limit: 0 would be always.
        self._is_tls = transport.get_extra_info("ssl_object") is not None
        self._transport.set_write_buffer_limits(high=1 if self._is_tls else 0, low=0)
        # A descriptor of our own: uvloop's stand-in for the socket would make and close one at each call.
        try:
            self._socket = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        except OSError as error:
            self._break(f"no second descriptor for it: {error.strerror}")
            self.abort()
            return
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended: whoever waits learns of it."""
        self._transport = None
        self._poll_no_more()
        if hasattr(self, "_socket"):
            self._socket.close()
        head = self._head
        ends_here = head is not None and head.body_bytes is None and not head.is_chunked
        if ends_here and exc is None and not self._is_over:
            self._is_over = True
        elif not self._is_over:
            self._break(f"the connection ended{'' if exc is None else f': {type(exc).__name__}'}")
        else:
            self._broken = self._broken or "the connection ended"
        self._writable = True
        self._wake()
        self._on_lost(self)

    def pause_writing(self) -> None:
        """The socket takes no more."""
        self._writable = False

    def resume_writing(self) -> None:
        """Everything has left."""
        self._writable = True
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def eof_received(self) -> bool:
        """The other side sends no more; the transport closes itself."""
        return False

    def data_received(self, data: bytes) -> None:
        """Head, then body."""
        try:
            if self._is_over:
                raise MalformedAnswer("bytes that nobody asked for")
            if self._head is None:
                data = self._head_came(data)
            if data and self._head is not None:
                self._body_came(data)
            elif self._head is not None and not self._is_over:
                # A server that sends its head by itself may wait for us to acknowledge it, which the kernel would
                # put off by 40 ms (Nagle's algorithm against delayed acknowledgement).
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        except MalformedAnswer as error:
            self._break(str(error))
            self.abort()
        if not self._is_small_and_coming or self._broken is not None:
            self._wake()

    def _head_came(self, data: bytes) -> bytes:
        """What of the data is body. 100 Continue is noted, other interim answers are passed over."""
        received = self._received
        received += data
        while True:
            end = received.find(END_OF_HEAD)
            if end < 0:
                if len(received) > HEAD_BYTES_MAX:
                    raise MalformedAnswer("a head without an end")
                return b""
            head = read_response_head(bytes(received[:end]), head_only=self._head_only)
            del received[: end + len(END_OF_HEAD)]
            if head.status >= 200:
                break
            self.may_go_on = self.may_go_on or head.status == _CONTINUE
        rest = bytes(received)
        received.clear()
        self._head = head
        self._body_left = head.body_bytes
        self._dechunker = Dechunker() if head.is_chunked else None
        self._is_over = head.body_bytes == 0
        if self._is_over and rest:
            raise MalformedAnswer("bytes behind the answer")
        return rest

    def _body_came(self, data: bytes) -> None:
        if self._dechunker is not None:
            for piece in self._dechunker.feed(data):
                self._keep(piece)
            self._is_over = self._dechunker.is_done
            return
        if self._body_left is not None:
            if len(data) > self._body_left:
                raise MalformedAnswer("more bytes than announced")
            self._body_left -= len(data)
            self._is_over = not self._body_left
        self._keep(data)

    def _keep(self, piece: bytes) -> None:
        self._blocks.append(piece)
        self._unread += len(piece)
        self.bytes_in += len(piece)
        if self._unread > UNREAD_BYTES_MAX and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _break(self, how: str) -> None:
        self._broken = self._broken or how

    def _wake(self) -> None:
        for one in (self._waiter, self._drained):
            if one is not None and not one.done():
                one.set_result(None)

    @property
    def _is_small_and_coming(self) -> bool:
        """The head is there, and a small body is on its way: nobody is woken for the one without the other."""
        head = self._head
        return (
            head is not None and not self._is_over and head.body_bytes is not None
            and head.body_bytes <= SMALL_BYTES
        )  # fmt: skip

    # What its user calls

    @property
    def is_idle(self) -> bool:
        """Whether another request may be sent on it."""
        head = self._head
        return (
            self._transport is not None and not self._transport.is_closing() and self._broken is None
            and self._is_over and not self._blocks and (head is None or head.keeps_alive)
        )  # fmt: skip

    @property
    def has_answered(self) -> bool:
        """Whether the head of an answer is there, or never will be."""
        return self._head is not None or self._broken is not None

    @property
    def has_head(self) -> bool:
        """Whether the head of an answer is there."""
        return self._head is not None

    @property
    def early_head(self) -> ResponseHead:
        """The head that has_head says is there."""
        assert self._head is not None
        return self._head

    def begin(self, head: bytes, body: bytes = b"", *, head_only: bool) -> None:
        """Begin a request; a short body goes with its head. Raises Broken."""
        if not self.is_idle:
            raise Broken(self._broken or "the connection is taken")
        assert self._transport is not None
        self._over()
        self._is_over = False
        self._head_only = head_only
        self.bytes_out = len(body)
        self._transport.write(head + body if body else head)

    async def write(self, block: bytes | memoryview) -> None:
        """Send more of the request's body; the block is the caller's again when this returns. Raises Broken."""
        if self._transport is None or self._broken is not None:
            raise Broken(self._broken or "the connection ended")
        self._transport.write(block)
        while not self._writable:
            self._drained = self._loop.create_future()
            self.waits_since = self._loop.time()
            try:
                await self._drained
            finally:
                self._drained = self.waits_since = None
            if self._broken is not None or self._transport is None:
                raise Broken(self._broken or "the connection ended")
        self.bytes_out += len(block)

    async def may_send(self) -> bool:
        """Wait for 100 Continue, or for the answer; whether to go on. Raises Broken."""
        while not self.may_go_on and not self.has_answered:
            await self._wait()
        if self._broken is not None and self._head is None:
            raise Broken(self._broken)
        return self._head is None

    async def head(self) -> ResponseHead:
        """The answer's head, and of a small answer the body with it. Raises Broken."""
        while self._head is None or self._is_small_and_coming:
            if self._broken is not None:
                raise Broken(self._broken)
            await self._wait()
        return self._head

    async def read(self) -> bytes:
        """The next bytes of the answer's body; empty at its end. Raises Broken, also when the body breaks off."""
        while not self._blocks:
            if self._is_over:
                return b""
            if self._broken is not None:
                raise Broken(self._broken)
            self._read_on()
            await self._wait()
        block = self._blocks.popleft()
        self._unread -= len(block)
        if self._unread < UNREAD_BYTES_MAX // 2:
            self._read_on()
        return block

    async def pour(self, pipe: int, bytes_max: int) -> int:
        """Have the kernel move the next bytes of the body into an empty pipe; how many, 0 where read() has to.

        Raises Broken, as read does.
        """
        if self._is_tls or self._blocks or not self._body_left or self._broken is not None:
            return 0
        assert self._transport is not None, "a connection without one is broken"
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()
        waits_since = None
        while True:
            if self._broken is not None or self._transport is None:
                raise Broken(self._broken or "the connection ended")
            try:
                count = pour(self._socket.fileno(), pipe, min(bytes_max, self._body_left))
                break
            except BlockingIOError:
                waits_since = waits_since or self._loop.time()
                await self._arrival(since=waits_since)
            except OSError as error:
                self.give_up(f"the connection ended: {type(error).__name__}")
        if not count:
            self.give_up("the connection ended")
            raise Broken(self._broken or "the connection ended")
        self.bytes_in += count
        self._body_left -= count
        if not self._body_left:
            self._is_over = True
            self._read_on()
        return count

    async def _arrival(self, *, since: float) -> None:
        """Until there is something to pour; since when we have waited for it."""
        assert self._body_left, "nothing is to come"
        self._tell_from(min(POUR_BYTES, self._body_left))
        self._loop.add_reader(self._socket, self._wake)
        self._is_polled = True
        try:
            await self._wait(since=since)
        finally:
            self._poll_no_more()

    def _poll_no_more(self) -> None:
        if self._is_polled:
            self._is_polled = False
            self._loop.remove_reader(self._socket)

    def _tell_from(self, least_bytes: int) -> None:
        """The kernel wakes us when so many bytes are there, or the other side has ended."""
        if least_bytes != self._least_bytes:
            self._least_bytes = least_bytes
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, least_bytes)

    def _read_on(self) -> None:
        """The transport reads the socket again."""
        if self._paused and self._transport is not None:
            self._paused = False
            self._tell_from(1)
            self._transport.resume_reading()

    def look(self) -> None:
        """Whoever pours takes what is there, though it is little: a slow sender is not a silent one."""
        if self._is_polled:
            self._wake()

    async def whole(self, *, bytes_max: int) -> bytes:
        """The rest of the body, if it is not more. Raises Broken."""
        blocks: list[bytes] = []
        size = 0
        while block := await self.read():
            size += len(block)
            if size > bytes_max:
                raise Broken(f"an answer of more than {bytes_max} bytes")
            blocks.append(block)
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    async def _wait(self, *, since: float | None = None) -> None:
        self._waiter = self._loop.create_future()
        self.waits_since = self._loop.time() if since is None else since
        try:
            await self._waiter
        finally:
            self._waiter = self.waits_since = None

    def give_up(self, how: str) -> None:
        """End it; whoever waits learns how."""
        self.was_given_up = True
        self._break(how)
        self.abort()
        self._wake()

    def abort(self) -> None:
        """Reset it, whatever is on its way."""
        if self._transport is not None:
            self._transport.abort()
