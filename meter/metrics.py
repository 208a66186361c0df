"""Counters for operating, as plain integers; a process tells its supervisor about them once a second.

Never the source of a bill: money comes from the journal. No member and no bucket is ever a label.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

from meter.caps import CapLevel
from meter.shipper import Backlog, Round
from meter.window import MICROSECONDS

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(slots=True)
class Histogram:
    """Observations in buckets with upper bounds; the last count is for what is above all of them."""

    bounds: tuple[float, ...] = SECONDS
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


def series(name: str, **labels: str) -> str:
    """The name of one series, as Prometheus writes it: name{a="x",b="y"}, labels in order."""
    inner = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inner}}}" if inner else name


class Registry:
    """One process's series."""

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}
        self.gauges: dict[str, float] = {}
        self.histograms: dict[str, Histogram] = {}

    def add(self, key: str, amount: int = 1) -> None:
        """Raise a counter; its series is made on first use."""
        self.counters[key] = self.counters.get(key, 0) + amount

    def histogram(self, key: str) -> Histogram:
        """The histogram of that series, made on first use."""
        found = self.histograms.get(key)
        if found is None:
            found = self.histograms[key] = Histogram()
        return found

    def snapshot(self) -> dict[str, object]:
        """What the supervisor is told."""
        return {
            "counters": self.counters,
            "gauges": self.gauges,
            "histograms": {
                key: {"bounds": one.bounds, "counts": one.counts, "sum": one.total}
                for key, one in self.histograms.items()
            },
        }

    def publish(self) -> None:
        """One JSON line into the pipe the supervisor gave us; a full pipe drops this second's line."""
        descriptor = os.environ.get("WEIR_METRICS_FD")
        if descriptor is None:
            return
        line = json.dumps(self.snapshot(), separators=(",", ":")).encode() + b"\n"
        try:
            os.write(int(descriptor), line)
        except BlockingIOError:
            return  # the next line says the same and more: counters are totals


class ShipperMetrics:
    """The shipper's series."""

    def __init__(self) -> None:
        self._registry = Registry()
        self.failures = 0

    def rounds(self, done: Round, *, took_s: float, now_us: int) -> None:
        """Note what one round that went well did."""
        self._registry.histogram("weir_meter_ship_seconds").observe(took_s)
        self._registry.gauges["weir_meter_last_ship_timestamp_seconds"] = now_us / MICROSECONDS
        self._registry.add("weir_meter_shipped_events_total", done.records)
        self._registry.gauges["weir_meter_stream_alarms"] = len(done.alarms)

    def waiting(self, backlog: Backlog, *, now_us: int) -> None:
        """Note what is left, and for how long it has been waiting."""
        age_us = 0 if backlog.oldest_us is None else max(0, now_us - backlog.oldest_us)
        self._registry.gauges["weir_meter_unshipped_events"] = backlog.events
        self._registry.gauges["weir_meter_oldest_unshipped_seconds"] = age_us / MICROSECONDS

    def torn(self, count: int) -> None:
        """Note what crashes left behind the last whole records, kept aside in files."""
        self._registry.gauges["weir_meter_torn_bytes"] = count

    def capped(self, near: Mapping[tuple[str, CapLevel], int]) -> None:
        """Note how many members are near a hard cap of theirs, and how many have reached one."""
        for (kind, level), count in near.items():
            key = series("weir_meter_capped_members", cap=kind, level=level.name.lower())
            self._registry.gauges[key] = count

    def publish(self) -> None:
        """Tell the supervisor."""
        self._registry.counters["weir_meter_ship_failures_total"] = self.failures
        self._registry.publish()
