"""What operators see of an upstream; names of series are built once."""

from __future__ import annotations

from gateway.storage.upstream.acts import NO_ANSWER, Act
from meter.metrics import Histogram, Registry, series

ANSWER, NOTHING = "answer", "none"
"""What an attempt that failed got."""


class UpstreamMetrics:
    """The series of one upstream."""

    def __init__(self, registry: Registry, engine: str) -> None:
        self._registry = registry
        self._engine = engine
        self._requests: dict[tuple[Act, int], str] = {}
        self._seconds: dict[Act, Histogram] = {}
        self._sent = series("weir_gateway_upstream_bytes_total", engine=engine, direction="sent")
        self._received = series("weir_gateway_upstream_bytes_total", engine=engine, direction="received")
        self._retries = series("weir_gateway_upstream_retries_total", engine=engine)
        self._unknown = series("weir_gateway_upstream_unknown_total", engine=engine)
        self._open = series("weir_gateway_upstream_resting", engine=engine)
        self._connections = series("weir_gateway_upstream_connections", engine=engine)
        self._failures = {
            kind: series("weir_gateway_upstream_failures_total", engine=engine, kind=kind)
            for kind in (ANSWER, NOTHING)
        }
        registry.counters |= dict.fromkeys(self._failures.values(), 0)
        registry.counters |= {self._sent: 0, self._received: 0, self._retries: 0, self._unknown: 0}
        registry.gauges |= {self._open: 0, self._connections: 0}

    def ended(self, act: Act, status: int, *, sent: int, received: int, took_us: int) -> None:
        """A request is over; status 0: nobody answered it."""
        key = self._requests.get((act, status))
        if key is None:
            key = self._requests[act, status] = series(
                "weir_gateway_upstream_requests_total", engine=self._engine, act=act.title,
                code="none" if status == NO_ANSWER else str(status),
            )  # fmt: skip
            self._registry.add(key, 0)
            self._seconds.setdefault(
                act,
                self._registry.histogram(
                    series("weir_gateway_upstream_seconds", engine=self._engine, act=act.title)
                ),
            )
        counters = self._registry.counters
        counters[key] += 1
        counters[self._sent] += sent
        counters[self._received] += received
        self._seconds[act].observe(took_us / 1e6)

    def failed(self, kind: str) -> None:
        """An attempt failed by the upstream's fault; also one that found no connection, and was no request."""
        self._registry.counters[self._failures[kind]] += 1

    def retried(self) -> None:
        """A request is going to be sent again."""
        self._registry.counters[self._retries] += 1

    def unknown(self) -> None:
        """Of a write nobody found out whether it happened: the stored bytes may be wrong until an inventory."""
        self._registry.counters[self._unknown] += 1

    def rests(self, *, is_open: bool) -> None:
        """Whether the upstream is left alone."""
        self._registry.gauges[self._open] = int(is_open)

    def connections(self, count: int) -> None:
        """How many there are."""
        self._registry.gauges[self._connections] = count
