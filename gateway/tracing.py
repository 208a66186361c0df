"""Exchanges that leave spans: what takes the place of the plain ones where tracing is on, and nothing where it is off.

A trace is found by the connection's task, because one exchange of a connection is under way at a time, and because the first
steps of an exchange run outside the task's own context.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from gateway.accounting import CLIENT_LEFT, Tab
from gateway.connection import Incoming
from gateway.counting import Counting
from gateway.exchange import Exchanges
from gateway.metrics import GatewayMetrics
from gateway.settings import GatewaySettings
from gateway.storage.upstream.acts import Act
from gateway.storage.upstream.metrics import UpstreamMetrics
from gateway.trace import CLIENT, SERVER, SERVER_ERROR, Parent, Span, is_chosen, read_traceparent
from gateway.trace_sender import Sender
from meter.metrics import Registry
from meter.proxies import is_proxy
from meter.recorder import now_us

ID_BITS, TRACE_BITS = 64, 128
SPANS_MAX = 64
"""Of one exchange: a copy of many parts asks an upstream often, and its first calls tell enough."""


class Seen:
    """What is known of an exchange that is traced."""

    __slots__ = ("began_us", "first_us", "parent_id", "span_id", "spans", "tab", "told", "trace_id")

    def __init__(self, parent: Parent | None) -> None:
        self.trace_id = parent.trace_id if parent else f"{random.getrandbits(TRACE_BITS) or 1:032x}"
        self.parent_id = parent.span_id if parent else ""
        self.span_id = new_id()
        self.began_us = now_us()
        self.first_us: int | None = None
        self.tab: Tab | None = None
        self.told = (CLIENT_LEFT, 0, 0)
        """Status, body bytes in and out; of one that was cancelled nothing better is known."""
        self.spans: list[Span] = []


def new_id() -> str:
    """A span's number, never zero."""
    return f"{random.getrandbits(ID_BITS) or 1:016x}"


class Tracer:
    """Decides which exchanges are traced, and keeps those that are open."""

    def __init__(self, settings: GatewaySettings, *, worker: str) -> None:
        self._proxies = settings.trusted_proxies
        self._per_million = settings.tracing_per_million
        self.sender = Sender(
            settings.tracing_url, waiting_max=settings.tracing_spans_max,
            resource={"service.name": "weir-gateway", "service.instance.id": worker},
        )  # fmt: skip
        self._open: dict[asyncio.Task[Any], Seen] = {}

    def begin(self, incoming: Incoming) -> Seen | None:
        """A trusted proxy's word counts; of everybody else's requests a part is chosen. None: not this one."""
        parent = None
        header = incoming.headers.get("traceparent")
        if header is not None and is_proxy(incoming.remote, self._proxies):
            parent = read_traceparent(header)
        if parent is not None:
            return Seen(parent) if parent.is_sampled else None
        chosen = is_chosen(random.getrandbits(ID_BITS), per_million=self._per_million)
        return Seen(None) if chosen else None

    def of_this_task(self) -> Seen | None:
        """The exchange that is under way here."""
        task = asyncio.current_task()
        return None if task is None else self._open.get(task)

    def open(self, seen: Seen) -> asyncio.Task[Any]:
        """From now on it is found by this task."""
        task = asyncio.current_task()
        assert task is not None, "an exchange is a part of its connection's task"
        self._open[task] = seen
        return task

    def end(self, task: asyncio.Task[Any], seen: Seen) -> None:
        """It is over: into the line."""
        del self._open[task]
        status, bytes_in, bytes_out = seen.told
        attributes: list[tuple[str, int | str]] = [
            ("http.response.status_code", status), ("weir.bytes_in", bytes_in), ("weir.bytes_out", bytes_out),
        ]  # fmt: skip
        if seen.first_us is not None:
            attributes.append(("weir.first_byte_us", max(0, seen.first_us - seen.began_us)))
        name = "Other"
        if seen.tab is not None:
            name = seen.tab.operation.s3_name
            attributes.append(("weir.request_id", seen.tab.request_id.hex()))
        own = Span(
            seen.trace_id, seen.span_id, seen.parent_id, name, SERVER, seen.began_us, now_us(), tuple(attributes),
            is_error=status >= SERVER_ERROR,
        )  # fmt: skip
        self.sender.add([own, *seen.spans])


class TracedExchanges(Exchanges):
    """Exchanges of which some are traced."""

    def __init__(self, tracer: Tracer, *parts: Any) -> None:
        super().__init__(*parts)
        self._tracer = tracer

    async def handle(self, raw: Incoming) -> bool:
        """See Exchanges."""
        seen = self._tracer.begin(raw)
        if seen is None:
            return await super().handle(raw)
        task = self._tracer.open(seen)
        try:
            return await super().handle(raw)
        finally:
            self._tracer.end(task, seen)


class TracedMetrics(GatewayMetrics):
    """Told at the same moments as the metrics are."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    def first_byte(self, tab: Tab, started: float) -> None:
        """See GatewayMetrics."""
        super().first_byte(tab, started)
        if (seen := self._tracer.of_this_task()) is not None:
            seen.first_us, seen.tab = now_us(), tab

    def ended(self, tab: Tab, status: int, counting: Counting) -> None:
        """See GatewayMetrics."""
        super().ended(tab, status, counting)
        if (seen := self._tracer.of_this_task()) is not None:
            seen.tab, seen.told = tab, (status, tab.moved_in, counting.moved_out)


class Ways(NamedTuple):
    """What a worker is put together from."""

    metrics: GatewayMetrics
    exchanges: Callable[..., Exchanges]
    upstream: Callable[[Registry, str], UpstreamMetrics]
    close: Callable[[], None]
    """At the worker's end."""


def ways(settings: GatewaySettings, *, worker: str) -> Ways:
    """The plain ones; or where a collector is named, those that leave spans."""
    if not settings.tracing_url:
        return Ways(GatewayMetrics(), Exchanges, UpstreamMetrics, lambda: None)
    tracer = Tracer(settings, worker=worker)
    return Ways(
        TracedMetrics(tracer), partial(TracedExchanges, tracer), partial(TracedUpstream, tracer), tracer.sender.close
    )  # fmt: skip


class TracedUpstream(UpstreamMetrics):
    """Requests to another storage engine, each a span below the exchange that needed it."""

    def __init__(self, tracer: Tracer, registry: Registry, engine: str) -> None:
        super().__init__(registry, engine)
        self._tracer = tracer
        self._name = engine

    def ended(self, act: Act, status: int, *, sent: int, received: int, took_us: int) -> None:
        """See UpstreamMetrics."""
        super().ended(act, status, sent=sent, received=received, took_us=took_us)
        seen = self._tracer.of_this_task()
        if seen is None or len(seen.spans) >= SPANS_MAX:
            return
        ended_us = now_us()
        attributes = (
            ("weir.engine", self._name), ("http.response.status_code", status), ("weir.bytes_sent", sent),
            ("weir.bytes_received", received),
        )  # fmt: skip
        seen.spans.append(
            Span(
                seen.trace_id, new_id(), seen.span_id, act.title, CLIENT, ended_us - took_us, ended_us, attributes,
                is_error=status >= SERVER_ERROR or status == 0,
            )
        )  # fmt: skip
