"""Asks one upstream, on the hot path: signed, counted, tried again within bounds, and left alone while it fails.

Only what may be done twice is tried again, and only before the first byte of an answer was passed on.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from gateway.settings import GatewaySettings
from gateway.storage.errors import Busy, StorageError, Unavailable
from gateway.storage.upstream.acts import NO_ANSWER, Act, upstream_event
from gateway.storage.upstream.answers import ANSWER_BYTES_MAX
from gateway.storage.upstream.breaker import Breaker
from gateway.storage.upstream.connection import Broken, Connection
from gateway.storage.upstream.endpoint import Upstream
from gateway.storage.upstream.errors import (
    ERROR_BYTES_MAX,
    Asked,
    Failure,
    is_upstreams_fault,
    may_retry,
    read_failure,
    storage_error,
)
from gateway.storage.upstream.metrics import ANSWER, NOTHING, UpstreamMetrics
from gateway.storage.upstream.pool import Pool
from gateway.storage.upstream.requests import body_sha256
from gateway.storage.upstream.response import ResponseHead
from gateway.storage.upstream.signing import EMPTY_SHA256, UNSIGNED_PAYLOAD, signed_headers
from meter.event import Event
from meter.ids import BucketId
from meter.recorder import now_us

log = logging.getLogger(__name__)
_READS = frozenset(("GET", "HEAD"))
PAUSE_S = 0.05
"""Before the second attempt, on the average; twice as long before each further one."""


class Request(NamedTuple):
    """One request to an upstream."""

    asked: Asked
    act: Act
    bucket: BucketId
    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""
    may_repeat: bool = True
    """Doing it twice is the same as doing it once."""
    body_bytes: int | None = None
    """Of a body that is streamed: as many bytes follow."""
    is_unsigned: bool = False
    """The body's digest is not in the signature."""


class Exchange:
    """A request that was sent, and its answer. Give it back with close()."""

    __slots__ = (
        "_began_us",
        "_client",
        "_connection",
        "_is_closed",
        "head",
        "is_on_old_connection",
        "request",
    )

    def __init__(self, client: Client, connection: Connection, request: Request) -> None:
        self._client = client
        self._connection = connection
        self._began_us = now_us()
        self._is_closed = False
        self.is_on_old_connection = connection.was_used
        """The other side may have closed it a moment ago, as it may any that is idle."""
        self.request = request
        self.head = ResponseHead(NO_ANSWER, {}, 0, is_chunked=False, keeps_alive=False)

    async def answered(self) -> ResponseHead:
        """Wait for the answer's head. Raises Broken, and is closed then."""
        try:
            self.head = await self._connection.head()
        except BaseException:
            self.close()
            raise
        return self.head

    async def write(self, block: bytes | memoryview) -> None:
        """Send more of the body. Raises Broken, and is closed then; says nothing of an early answer."""
        try:
            await self._connection.write(block)
        except BaseException:
            self.close()
            raise

    @property
    def has_answered(self) -> bool:
        """An answer is there, perhaps before all of the body was sent."""
        return self._connection.has_answered

    @property
    def was_stale(self) -> bool:
        """The connection had been used before, and ended without a word: it was closed while nobody looked."""
        connection = self._connection
        return self.is_on_old_connection and not connection.has_head and not connection.was_given_up

    @property
    def has_refused(self) -> bool:
        """The head of an answer is there."""
        return self._connection.has_head

    async def may_send(self, patience_s: float) -> None:
        """Wait a moment for 100 Continue; whoever does not say it is sent the body all the same. Raises Broken."""
        try:
            async with asyncio.timeout(patience_s):
                await self._connection.may_send()
        except TimeoutError:
            return

    async def read(self) -> bytes:
        """The next bytes of the answer's body; empty at its end. Raises Unavailable, and is closed then."""
        try:
            block = await self._connection.read()
        except Broken as error:
            self.close()
            raise self._client.away(self.request, error) from error
        except BaseException:
            self.close()
            raise
        return block

    async def pour(self, pipe: int, bytes_max: int) -> int:
        """The next bytes into an empty pipe; 0: they are to be read. Raises Unavailable, and is closed then."""
        try:
            count = await self._connection.pour(pipe, bytes_max)
        except Broken as error:
            self.close()
            raise self._client.away(self.request, error) from error
        except BaseException:
            self.close()
            raise
        return count

    async def whole(self, *, bytes_max: int = ANSWER_BYTES_MAX) -> bytes:
        """The rest of the body, and close. Raises Unavailable."""
        try:
            return await self._connection.whole(bytes_max=bytes_max)
        except Broken as error:
            raise self._client.away(self.request, error) from error
        finally:
            self.close()

    async def failure(self) -> Failure:
        """The answer as a failure, and close."""
        body = b""
        try:
            body = await self._connection.whole(bytes_max=ERROR_BYTES_MAX)
        except Broken:
            # Its status has to do.
            log.debug("an error's body of %s broke off", self.request.asked.engine)
        finally:
            self.close()
        return read_failure(self.head.status, self.head.headers, body)

    def close(self) -> None:
        """Count it and let go of the connection; what was not read closes that. May be called twice."""
        if not self._is_closed:
            self._is_closed = True
            if self.head.status == NO_ANSWER and self._connection.has_head:
                self.head = self._connection.early_head
            self._client.ended(self, self._connection, self._began_us)


class Client:
    """The one client of a worker for an upstream."""

    def __init__(
        self, upstream: Upstream, settings: GatewaySettings, metrics: UpstreamMetrics,
        record: Callable[[Event], object],
    ) -> None:  # fmt: skip
        """record keeps an event of the upstream's side."""
        self.upstream = upstream
        self._settings = settings
        self._metrics = metrics
        self._record = record
        self._pool = Pool(upstream, settings)
        self._breaker = Breaker(failures_max=settings.upstream_failures_max, open_s=settings.upstream_rest_s)
        self._loop = asyncio.get_running_loop()

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def ask(self, request: Request) -> tuple[ResponseHead, bytes]:
        """The answer whole. Raises what a failure means."""
        exchange = await self.open(request)
        return exchange.head, await exchange.whole()

    async def open(self, request: Request) -> Exchange:
        """The answer's head, its body to be read. Raises what a failure means."""
        exchange, failure = await self.attempt(request)
        if failure is not None:
            raise storage_error(failure, request.asked)
        return exchange

    async def attempt(self, request: Request) -> tuple[Exchange, Failure | None]:
        """The answer, and what a refusal says, read and closed. Raises Unavailable, Busy where there is none."""
        attempts_max = self._settings.upstream_attempts_max if request.may_repeat else 1
        attempt = 0
        while True:
            attempt += 1
            is_last = attempt >= attempts_max
            exchange = None
            try:
                exchange = await self.begin(request)
                if self._settings.upstream_hedge_after_ms and request.method in _READS:
                    exchange = await self._first_of(exchange, request)
                head = await exchange.answered()
            except Broken as error:
                if exchange is not None and exchange.was_stale and request.may_repeat:
                    # It was closed while nobody looked: no attempt was made.
                    attempt -= 1
                    continue
                self._failed(request, NOTHING, str(error))
                if is_last:
                    raise self.away(request, error) from error
            else:
                if head.status < 300:
                    self._is_well()
                    return exchange, None
                failure = await exchange.failure()
                self._judge(request, failure)
                if is_last or not may_retry(failure):
                    return exchange, failure
            self._metrics.retried()
            await asyncio.sleep(PAUSE_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311 - jitter

    async def _first_of(self, exchange: Exchange, request: Request) -> Exchange:
        """The exchange, or a second one that answers before it. Raises Broken when neither does."""
        patience_s = self._settings.upstream_hedge_after_ms / 1000
        racing = {asyncio.ensure_future(exchange.answered()): exchange}
        try:
            done, _ = await asyncio.wait(racing, timeout=patience_s)
            if not done:
                self._metrics.retried()
                second = await self.begin(request)
                racing[asyncio.ensure_future(second.answered())] = second
            while True:
                done, rest = await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
                won = [one for one in done if one.exception() is None]
                if won or not rest:
                    # Without a winner the last one's failure is what is said.
                    return racing.pop(won[0]) if won else racing[done.pop()]
                for one in done:
                    del racing[one]
        finally:
            for one in racing:
                one.cancel()
            await asyncio.gather(*racing, return_exceptions=True)
            for left in racing.values():
                left.close()

    async def begin(self, request: Request) -> Exchange:
        """Send it, a streamed body's bytes excepted. Raises Broken; Busy while the upstream is left alone."""
        if not self._breaker.admits(self._loop.time()):
            raise Busy(f"{self.upstream.name} fails and is left alone for a while")
        payload = UNSIGNED_PAYLOAD if request.body_bytes is not None or request.is_unsigned else (
            body_sha256(request.body) if request.body else EMPTY_SHA256
        )  # fmt: skip
        sent = signed_headers(
            self.upstream.account, request.method, request.path, request.query,
            {**request.headers, "host": self.upstream.host_header}, now_us=now_us(), payload=payload,
        )  # fmt: skip
        head = _head(request, sent)
        while True:
            connection = await self._pool.take(fresh=not request.may_repeat)
            exchange = Exchange(self, connection, request)
            try:
                connection.begin(head, request.body, head_only=request.method == "HEAD")
            except Broken:
                # It ended between being taken and this line.
                exchange.close()
                continue
            return exchange

    def ended(self, exchange: Exchange, connection: Connection, began_us: int) -> None:
        """Count a request, and take its connection back."""
        request, status = exchange.request, exchange.head.status
        bytes_in, bytes_out = connection.bytes_out, connection.bytes_in
        self._pool.give_back(connection)
        ended_us = now_us()
        self._record(
            upstream_event(
                request.act, request.bucket, began_us=began_us, ended_us=ended_us, bytes_in=bytes_in,
                bytes_out=bytes_out, status=status,
            )
        )  # fmt: skip
        self._metrics.ended(
            request.act, status, sent=bytes_in, received=bytes_out, took_us=ended_us - began_us
        )
        self._metrics.connections(self._pool.open_count)

    def judge(self, request: Request, failure: Failure) -> StorageError:
        """What a refusal of a streamed body means; the breaker hears of it."""
        self._judge(request, failure)
        return storage_error(failure, request.asked)

    def away(self, request: Request, error: Broken) -> Unavailable:
        """There was no whole answer."""
        return Unavailable(f"{request.asked.engine} did not answer {request.asked.operation}: {error}")

    def failed(self, request: Request, error: Broken) -> Unavailable:
        """A streamed body found no answer; the breaker hears of it."""
        self._failed(request, NOTHING, str(error))
        return self.away(request, error)

    def is_well(self) -> None:
        """It answered a streamed body."""
        self._is_well()

    def _judge(self, request: Request, failure: Failure) -> None:
        if is_upstreams_fault(failure):
            self._failed(request, ANSWER, f"{failure.status} {failure.code[:64]}")
        else:
            self._is_well()

    def _failed(self, request: Request, kind: str, how: str) -> None:
        self._metrics.failed(kind)
        log.info("%s failed %s: %s", self.upstream.name, request.asked.operation, how)
        if self._breaker.failed(self._loop.time()):
            log.warning("%s fails again and again and is left alone: %s", self.upstream.name, how)
        self._metrics.rests(is_open=self._breaker.is_open)

    def _is_well(self) -> None:
        if self._breaker.succeeded():
            log.warning("%s answers again", self.upstream.name)
            self._metrics.rests(is_open=False)


def _head(request: Request, sent: dict[str, str]) -> bytes:
    """The request's head as bytes. A value with a line break is a bug of ours and refused."""
    target = f"{request.path}?{request.query}" if request.query else request.path
    fields = "".join([f"{name}: {value}\r\n" for name, value in sent.items()])
    length, expect = "", ""
    if request.body_bytes is not None:
        length, expect = f"content-length: {request.body_bytes}\r\n", "expect: 100-continue\r\n"
    elif request.body or request.method in ("PUT", "POST"):
        length = f"content-length: {len(request.body)}\r\n"
    text = f"{request.method} {target} HTTP/1.1\r\n{fields}{length}{expect}\r\n"
    assert text.count("\n") == len(sent) + 2 + bool(length) + bool(expect), "a value breaks the line"
    return text.encode("utf-8", "surrogateescape")
