"""The worker's series for operating. Labels are closed sets: operation names, statuses, directions, reasons."""

from __future__ import annotations

import time
from collections.abc import Iterable

from gateway.accounting import CLIENT_LEFT, Tab
from gateway.counting import Counting
from gateway.operation import Operation
from gateway.turned import Eviction
from meter.live import OpenExchange, OpenSums
from meter.metrics import Histogram, Registry, series
from meter.recorder import now_us
from meter.window import MICROSECONDS

_REJECTIONS = {
    "SignatureDoesNotMatch": "signature",
    "RequestTimeTooSkewed": "clock",
    "InvalidAccessKeyId": "unknown_key",
    "AccountProblem": "suspended",
    "AccessDenied": "denied",
}


class GatewayMetrics:
    """Counts exchanges; series names are built once."""

    def __init__(self) -> None:
        self.registry = Registry()
        self._requests: dict[tuple[Operation, int], str] = {}
        self._first_bytes: dict[Operation, Histogram] = {}
        self._durations: dict[Operation, Histogram] = {}
        self._ingress = series("weir_gateway_bytes_total", direction="ingress", side="client")
        self._egress = series("weir_gateway_bytes_total", direction="egress", side="client")
        self._open_in = series("weir_gateway_open_bytes", direction="ingress")
        self._open_out = series("weir_gateway_open_bytes", direction="egress")
        self.registry.counters |= {self._ingress: 0, self._egress: 0}
        # What seldom happens is there at 0, so that its first time is a rise.
        self.registry.counters |= {_vanished(one): 0 for one in (Operation.PUT_OBJECT, Operation.UPLOAD_PART)}

    def first_byte(self, tab: Tab, started: float) -> None:
        """The answer is about to leave."""
        found = self._first_bytes.get(tab.operation)
        if found is None:
            key = series("weir_gateway_ttfb_seconds", operation=tab.operation.s3_name)
            found = self._first_bytes[tab.operation] = self.registry.histogram(key)
        found.observe(time.perf_counter() - started)

    def ended(self, tab: Tab, status: int, counting: Counting) -> None:
        """An exchange is over."""
        took = self._durations.get(tab.operation)
        if took is None:
            name = series("weir_gateway_request_duration_seconds", operation=tab.operation.s3_name)
            took = self._durations[tab.operation] = self.registry.histogram(name)
        # By the clock that dates the record: one that was set back meanwhile counts as no time.
        took.observe(max(0, now_us() - tab.began_us) / MICROSECONDS)
        place = (tab.operation, status)
        key = self._requests.get(place)
        if key is None:
            key = self._requests[place] = series(
                "weir_gateway_requests_total", operation=tab.operation.s3_name, code=str(status)
            )
            self.registry.add(key, 0)
        counters = self.registry.counters
        counters[key] += 1
        counters[self._ingress] += tab.moved_in
        counters[self._egress] += counting.moved_out
        if status < 400:
            return
        add = self.registry.add
        if status == CLIENT_LEFT:
            add(series("weir_gateway_client_aborts_total", operation=tab.operation.s3_name))
        else:
            add(series("weir_gateway_errors_total", operation=tab.operation.s3_name, code=str(status)))

    def vanished(self, tab: Tab) -> None:
        """A client's machine stopped answering in the middle of its body: one of the aborts."""
        self.registry.add(_vanished(tab.operation))

    def evicted(self, why: Eviction) -> None:
        """A connection is ended because its client is too slow, or silent."""
        self.registry.add(series("weir_gateway_evicted_total", reason=why))

    def still_open(self, found: Iterable[OpenExchange]) -> None:
        """What long exchanges that have not ended yet have moved; short ones are over before anybody looks."""
        sums = OpenSums()
        for one in found:
            sums = sums.plus(one.event)
        self.registry.gauges |= {
            "weir_gateway_open_exchanges": sums.exchanges,
            self._open_in: sums.bytes_in,
            self._open_out: sums.bytes_out,
        }

    def refused(self, tab: Tab, code: str) -> None:
        """A request was turned away at the door, or its body given up."""
        if code == "RequestTimeout":
            self.evicted(Eviction.SENDER)
        if not tab.authorised and (reason := _REJECTIONS.get(code)) is not None:
            self.registry.add(series("weir_gateway_auth_rejections_total", reason=reason))


def _vanished(operation: Operation) -> str:
    return series("weir_gateway_vanished_total", operation=operation.s3_name)
