"""Connections of a worker: aiohttp's parser and flow control, our loop from one request to the next.

An exchange begins the moment its head has arrived, within the socket's own callback. Most end there
too, and cost neither a task nor a turn of the event loop; one that has to wait goes on in the
connection's task. It knows no S3 operation. What is no HTTP names nobody, so nothing of it is billed
or kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from types import coroutine
from typing import Any, cast

from aiohttp import ClientError, HttpVersion11, StreamReader
from aiohttp.http import HttpRequestParser, RawRequestMessage
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web import Server
from aiohttp.web_protocol import RequestHandler, RequestPayloadError, _ErrInfo
from multidict import CIMultiDictProxy

from gateway.crowd import Crowd
from gateway.errors import render_error, s3_error
from gateway.head import response_head
from gateway.turned import Eviction
from gateway.wire import PeerVanished

log = logging.getLogger(__name__)
LINGERING_S = 0.5
"""So long a client that was told goodbye has for closing its own end."""
BODY_BROKE_OFF = (ConnectionError, RequestPayloadError, ClientError)
"""What reading a body raises when its sender left or its framing is broken."""


class Incoming:
    """A request as it arrives: its head, and its body to be read."""

    __slots__ = ("_connection", "content", "headers", "keep_alive", "knows_interim", "method", "raw_path")

    def __init__(self, message: RawRequestMessage, content: StreamReader, connection: Connection) -> None:
        self.method: str = message.method
        self.raw_path: str = message.path
        self.headers: CIMultiDictProxy[str] = message.headers
        # We speak no other protocol, and what follows a wish for one has no defined place.
        self.keep_alive: bool = not (message.should_close or message.upgrade or connection.is_leaving)
        self.knows_interim: bool = message.version >= HttpVersion11
        """Whether an interim answer would be understood: HTTP/1.0 takes the first answer for the last one."""
        self.content = content
        self._connection = connection

    @property
    def transport(self) -> asyncio.Transport | None:
        """None once the client is gone."""
        return self._connection.transport

    @property
    def descriptor(self) -> int:
        """The socket's."""
        return self._connection.descriptor

    def hold(self) -> None:
        """Read no more from the socket: somebody else reads the rest of this body there."""
        self._connection.hold()

    def go_on(self, *, past_parser: bool) -> None:
        """Read again. past_parser: the rest of the body was read there, and the next request comes."""
        self._connection.go_on(self.content, past_parser=past_parser)

    @property
    def is_leaving(self) -> bool:
        """Whether this worker is about to end: every answer is the last one of its connection."""
        return self._connection.is_leaving

    @property
    def running(self) -> int:
        """How many requests are under way in this worker, this one among them."""
        return self._connection.running

    @property
    def remote(self) -> str:
        """The address at the other end; empty where the socket has none."""
        return self._connection.remote

    @property
    def content_length(self) -> int | None:
        """As announced; the parser has seen that it is a number."""
        text = self.headers.get("Content-Length")
        return None if text is None else int(text)

    def _cancel(self, error: BaseException) -> None:
        """aiohttp tells us that the client is gone: who waits for the body learns of it."""
        self.content.set_exception(PeerVanished() if isinstance(error, TimeoutError) else error)


Handle = Callable[[Incoming], Coroutine[Any, Any, bool]]
"""Answers one request to its end; whether the connection goes on."""


class Connection(RequestHandler):
    """One client's connection."""

    __slots__ = (
        "_begun", "_handle", "_has_left", "_head_has_begun", "_new_parser", "_server", "descriptor", "remote",
    )  # fmt: skip

    def __init__(self, server: ConnectionServer, **limits: Any) -> None:
        super().__init__(server, **limits)
        self._handle = server.handle
        self._server = server
        self._has_left = False
        self._head_has_begun = False
        self._new_parser = partial(
            HttpRequestParser, self, self._loop, self._read_bufsize, max_line_size=self.max_line_size,
            max_field_size=self.max_field_size, max_headers=self.max_headers,
            payload_exception=RequestPayloadError, auto_decompress=False,
            max_msg_queue_size=self._max_msg_queue_size,
        )  # fmt: skip
        self._begun: tuple[Coroutine[Any, Any, bool], Any] | None = None
        """An exchange that has to wait, and what for."""
        self.descriptor = -1
        self.remote = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        peer = transport.get_extra_info("peername")
        self.remote = str(peer[0]) if peer else ""
        if (reason := self._server.crowd.enter(self.remote)) is not None:
            self._server.crowd.refuse(cast("asyncio.Transport", transport), reason)
            return
        super().connection_made(transport)
        self.descriptor = transport.get_extra_info("socket").fileno()

    def data_received(self, data: bytes) -> None:
        """Parse; when nothing else is going on, begin the request that this completes."""
        if self._has_left:
            return
        waiter = self._waiter
        if waiter is None or waiter.done():
            super().data_received(data)
            if not (self._messages or self._request_in_progress):
                self._head_has_begun = True  # so soon that the task has not begun to wait yet
            return
        # Without a waiter aiohttp only puts requests into its queue, and wakes nobody.
        self._waiter = None
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        if self._messages:
            self._begin(waiter)
        else:
            self._head_has_begun = True

    def _begin(self, waiter: asyncio.Future[None]) -> None:
        """Take the next exchange as far as it goes without waiting; the task does what is left."""
        loop, task = self._loop, self._task_handler
        assert task is not None, "an idle connection has its task"
        exchange = self._next()
        # It runs as a part of the task, although the task sleeps: timeouts find the task they interrupt.
        # (Of private names, and documented: docs.python.org/3/library/asyncio-extending.html.)
        asyncio._enter_task(loop, task)  # noqa: SLF001
        try:
            waits_for = exchange.send(None)
        except StopIteration as ended:
            if not ended.value:
                self.force_close()
            else:
                self._renew_patience()
                if self._messages and not waiter.done():
                    waiter.set_result(None)
        else:
            self._begun = exchange, waits_for
            if not waiter.done():
                waiter.set_result(None)
        finally:
            asyncio._leave_task(loop, task)  # noqa: SLF001

    async def start(self) -> None:
        """The connection's task: waits for requests, and finishes what could not be finished at once."""
        going_on = True
        while going_on and not self._force_close:
            if self._begun is None and not self._messages:
                await self._idle()
            if self._begun is not None:
                exchange, waits_for = self._begun
                self._begun = None
                going_on = await _rest_of(exchange, waits_for)
            elif self._messages:
                going_on = await self._next()
            self._renew_patience()
        if not self._force_close:
            self._task_handler = None
            if self.is_leaving:
                self._say_goodbye()
            elif self.transport is not None:
                self.transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client is gone, or was told to go."""
        self._server.crowd.leave(self.remote)
        super().connection_lost(exc)

    @property
    def is_leaving(self) -> bool:
        """See Incoming."""
        return self._server.is_leaving

    @property
    def running(self) -> int:
        """See Incoming."""
        return self._server.running

    def leave_if_idle(self) -> None:
        """Say goodbye where no request is under way; where one is, its end does so."""
        if self._waiter is not None and not self._messages and self._begun is None:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        """Our end is closed first, and what still comes is taken in: a plain close would reset it."""
        if self._has_left or self.transport is None:
            return
        self._has_left = True
        self.transport.write_eof()
        self._loop.call_later(LINGERING_S, self.force_close)

    def hold(self) -> None:
        """See Incoming."""
        self._pause_reading_for_buffer()

    def go_on(self, content: StreamReader, *, past_parser: bool) -> None:
        """See Incoming. The parser still waits for the body it has not seen, so a new one takes its place."""
        if past_parser:
            self._parser = self._new_parser()
            content.feed_eof()
        self._resume_reading_for_buffer()

    def _process_keepalive(self) -> None:
        """Time is up for the next head: counted where the connection ends by that."""
        was_open = not self._force_close
        super()._process_keepalive()
        if was_open and self._force_close:
            self._server.evicted(Eviction.HEAD if self._head_has_begun else Eviction.IDLE)

    def _renew_patience(self) -> None:
        """The next request has its full time from now on; the clock stops if it rings during an exchange."""
        self._head_has_begun = False
        until = self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None and not self._force_close:
            self._keepalive_handle = self._loop.call_at(until, self._process_keepalive)

    async def _idle(self) -> None:
        """Until the next request has begun or waits in the queue."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._begun is None or task is None:
                raise
            # Meant for the exchange that has just begun: let it reach that instead.
            task.uncancel()
            task.cancel()
        finally:
            self._waiter = None

    def _next(self) -> Coroutine[Any, Any, bool]:
        """The exchange of the next request in the queue; whether the connection goes on after it."""
        message, content = self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        if isinstance(message, _ErrInfo):
            return self._refuse(message.exc)
        return self._exchange(Incoming(message, content, self), content)

    async def _exchange(self, incoming: Incoming, content: StreamReader) -> bool:
        self._request_in_progress = True
        self._server.running += 1
        self._current_request = incoming  # type: ignore[assignment]
        try:
            going_on = await self._handle(incoming)
        except Exception:  # the edge: a part of an answer may have left, so the only honest end is a cut
            log.exception("an exchange failed outside its own edge")
            if self.transport is not None:
                self.transport.abort()
            return False
        finally:
            self._current_request = None
            self._request_in_progress = False
            self._server.running -= 1
            if self._handler_waiter is not None and not self._handler_waiter.done():
                self._handler_waiter.set_result(None)
        if not content.is_eof():
            going_on = await self._drained(content) and going_on
        return going_on and not (self._close or self._server.is_closing)

    async def _drained(self, content: StreamReader) -> bool:
        """Take in what nobody read, for a while; whether that was all of it."""
        try:
            async with asyncio.timeout(self._lingering_time):
                while not content.is_eof():
                    await content.readany()
        except (TimeoutError, *BODY_BROKE_OFF):
            return False
        return True

    async def _refuse(self, error: BaseException) -> bool:
        """Answer what is no HTTP, and end the connection."""
        # Only its kind: the parser's message quotes the line, and with it a signature or a link.
        log.info("not HTTP: %s", type(error).__name__)
        refusal = s3_error("RequestHeaderSectionTooLarge" if isinstance(error, LineTooLong) else "BadRequest")
        body = render_error(refusal, resource="", request_id="")
        head = response_head(
            refusal.status, {"Content-Type": "application/xml"}, content_length=len(body), request_id="",
            keep_alive=False,
        )  # fmt: skip
        if self.transport is not None:
            self.transport.write(head + body)
        return False


class ConnectionServer(Server):
    """Makes them."""

    def __init__(
        self, handle: Handle, *, crowd: Crowd | None = None, evicted: Callable[[Eviction], None] = lambda _: None,
        **limits: Any,
    ) -> None:  # fmt: skip
        super().__init__(_unused, **limits)
        self.handle = handle
        self.crowd = crowd or Crowd()
        self.evicted = evicted
        self.running = 0
        """Requests under way."""
        self.is_leaving = False
        self.is_closing = False
        self._ended = asyncio.Event()

    def __call__(self) -> Connection:
        """For the next client."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """One is over."""
        super().connection_lost(handler, exc)
        self._ended.set()
        task = handler._task_handler  # noqa: SLF001 - aiohttp keeps the connection in its list until this has ended
        if task is not None:
            task.add_done_callback(lambda _: self._ended.set())

    async def leave(self, *, goodbye_s: float, drain_s: float) -> None:
        """Let every client go without a reset; nobody new may be let in any more.

        For goodbye_s each answer says that it is the last one, and clients that wait to send are waited for. Then
        idle connections are closed, and those with a request after its answer, for drain_s at most.
        """
        self.is_leaving = True
        await self._until_none_is_left(goodbye_s)
        self.is_closing = True
        for one in self.connections:
            if isinstance(one, Connection):
                one.leave_if_idle()
        await self._until_none_is_left(drain_s)

    async def _until_none_is_left(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while self.connections:
                    self._ended.clear()
                    await self._ended.wait()
        except TimeoutError:
            log.debug("%d connections are left", len(self.connections))


async def _unused(_: object) -> Any:
    """aiohttp wants a handler of its own kind; our connections call theirs."""
    raise AssertionError("an exchange went past the connection")


@coroutine
def _rest_of(exchange: Coroutine[Any, Any, bool], waits_for: Any) -> Generator[Any, Any, bool]:
    """Go on with an exchange that began outside a task, and now waits for what it has yielded."""
    try:
        while True:
            try:
                answer = yield waits_for
            except BaseException as error:  # noqa: BLE001 - whatever the task is told, the exchange is told
                waits_for = exchange.throw(error)
            else:
                waits_for = exchange.send(answer)
    except StopIteration as ended:
        return bool(ended.value)
