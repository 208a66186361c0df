"""Adds the counters of several processes, living and ended, so that no sum ever goes back. Pure.

It knows the line a child writes each second, and no metric by name:

    {"counters": {"name{label=\\"value\\"}": int}, "gauges": {"name": number},
     "histograms": {"name{...}": {"bounds": [upper, ...], "counts": [int, ...], "sum": number}}}

counts has one number more than bounds, each for its own bucket alone, the last for what is above all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

_SERIES = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-z_]+="[^"\\\n]*",?)+)\})?')
_LABEL = re.compile(r'([a-z_]+)="([^"\\\n]*)"')


class BadSnapshot(ValueError):
    """A line that is not a snapshot, or one with too many series; it is dropped and counted."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram: upper bounds ascending, one count a bucket and one for the rest, the sum of all values."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    def cumulative(self) -> list[tuple[str, int]]:
        """(le, count) as Prometheus wants them, '+Inf' last."""
        names = [*(repr(float(bound)) for bound in self.bounds), "+Inf"]
        return list(zip(names, accumulate(self.counts), strict=True))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One process's series, or the sum of several."""

    counters: Mapping[str, float] = field(default_factory=dict)
    """Whole numbers, but for seconds of processor time."""
    gauges: Mapping[str, float] = field(default_factory=dict)
    histograms: Mapping[str, Distribution] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Series:
    """A series' key taken apart."""

    name: str
    labels: Mapping[str, str]


def parse_series(key: str) -> Series:
    """Read name{label="value"}. Raises BadSnapshot."""
    match = _SERIES.fullmatch(key)
    if match is None:
        raise BadSnapshot(f"{key!r} is not a series")
    return Series(match[1], dict(_LABEL.findall(match[2] or "")))


def parse_snapshot(line: bytes, *, series_max: int) -> Snapshot:
    """Read one line of a child. Raises BadSnapshot."""
    try:
        told = json.loads(line)
        counters = {str(key): int(value) for key, value in told["counters"].items()}
        gauges = {str(key): float(value) for key, value in told["gauges"].items()}
        histograms = {str(key): _distribution(value) for key, value in told["histograms"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadSnapshot(f"not a snapshot: {error}") from None
    keys = [*counters, *gauges, *histograms]
    if len(keys) > series_max:
        raise BadSnapshot(f"{len(keys)} series, and at most {series_max} are taken")
    for key in keys:
        parse_series(key)
    return Snapshot(counters, gauges, histograms)


def _distribution(told: Mapping[str, object]) -> Distribution:
    bounds, counts = told["bounds"], told["counts"]
    if not isinstance(bounds, list) or not isinstance(counts, list) or len(counts) != len(bounds) + 1:
        raise BadSnapshot("a histogram has one count more than bounds")
    total = told["sum"]
    if not isinstance(total, int | float):
        raise BadSnapshot("a histogram's sum is a number")
    return Distribution(tuple(map(float, bounds)), tuple(map(int, counts)), float(total))


class Fleet:
    """What every child last said, and what the ended ones had counted."""

    def __init__(self) -> None:
        self._living: dict[str, Snapshot] = {}
        self._ended = Snapshot()

    def report(self, child: str, snapshot: Snapshot) -> None:
        """A living child's latest totals."""
        self._living[child] = snapshot

    def end(self, child: str) -> None:
        """The child is gone: its counts stay, its gauges do not. Its successor starts from nothing."""
        last = self._living.pop(child, Snapshot())
        self._ended = add([self._ended, Snapshot(last.counters, {}, last.histograms)])

    def total(self) -> Snapshot:
        """The sum over all children. Invariant: a counter in it never falls."""
        return add([self._ended, *self._living.values()])


def add(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Counters, histograms and gauges summed; a gauge in seconds is an age, and the oldest counts.

    A gauge that ends in `_least` says what all have reached.
    """
    counters: dict[str, float] = {}
    gauges: dict[str, float] = {}
    histograms: dict[str, Distribution] = {}
    for snapshot in snapshots:
        for key, count in snapshot.counters.items():
            counters[key] = counters.get(key, 0) + count
        for key, value in snapshot.gauges.items():
            known, name = gauges.get(key), parse_series(key).name
            if known is None:
                gauges[key] = value
            elif name.endswith("_least"):
                gauges[key] = min(known, value)
            else:
                gauges[key] = max(known, value) if name.endswith("_seconds") else known + value
        for key, distribution in snapshot.histograms.items():
            histograms[key] = _merged(histograms.get(key), distribution)
    return Snapshot(counters, gauges, histograms)


def _merged(known: Distribution | None, more: Distribution) -> Distribution:
    # Other bounds can only come from a child of another version; the newer one's are kept.
    if known is None or known.bounds != more.bounds:
        return more
    counts = tuple(a + b for a, b in zip(known.counts, more.counts, strict=True))
    return Distribution(known.bounds, counts, known.total + more.total)
