"""A snapshot as the text Prometheus reads, with the catalogue's words as help."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from deploy.aggregate import Snapshot, parse_series
from deploy.observe.catalogue import CATALOGUE


class SnapshotCollector(Collector):
    """Hands a snapshot to prometheus_client, each time it is asked."""

    def __init__(self, total: Callable[[], Snapshot]) -> None:
        self._total = total

    def collect(self) -> Iterable[Metric]:
        """The families of the snapshot, each series once."""
        families: dict[str, Metric] = {}
        snapshot = self._total()
        for key, count in sorted(snapshot.counters.items()):
            series = parse_series(key)
            family = _family(families, series.name, "counter")
            family.add_sample(series.name, dict(series.labels), count)
        for key, value in sorted(snapshot.gauges.items()):
            series = parse_series(key)
            _family(families, series.name, "gauge").add_sample(series.name, dict(series.labels), value)
        for key, distribution in sorted(snapshot.histograms.items()):
            series = parse_series(key)
            family = _family(families, series.name, "histogram")
            buckets = distribution.cumulative()
            for bound, count in buckets:
                family.add_sample(f"{series.name}_bucket", {**series.labels, "le": bound}, count)
            family.add_sample(f"{series.name}_count", dict(series.labels), buckets[-1][1])
            family.add_sample(f"{series.name}_sum", dict(series.labels), distribution.total)
        return families.values()


def render(snapshot: Snapshot) -> bytes:
    """The text of one snapshot."""
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(lambda: snapshot))
    return generate_latest(registry)


def _family(families: dict[str, Metric], name: str, kind: str) -> Metric:
    found = families.get(name)
    if found is None:
        declared = CATALOGUE.get(name)
        words = name.removeprefix("weir_").replace("_", " ") if declared is None else declared.meaning
        family = name.removesuffix("_total") if kind == "counter" else name
        found = families[name] = Metric(family, words, kind)
    return found
