"""The admin listener: /metrics, /livez, /readyz, /version. For operators; it knows no member and no bucket."""

from __future__ import annotations

import platform
import socket
from collections.abc import Callable, Iterable, Mapping

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from deploy.aggregate import Snapshot, parse_series
from meter import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SHUTDOWN_TIMEOUT_S = 1


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
            family = _family(families, series.name.removesuffix("_total"), "counter")
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


def _family(families: dict[str, Metric], name: str, kind: str) -> Metric:
    words = name.removeprefix("weir_").replace("_", " ")
    return families.setdefault(name, Metric(name, words, kind))


def build_info() -> str:
    """The series that says which version runs."""
    return f'weir_build_info{{python="{platform.python_version()}",version="{__version__}"}}'


class Admin:
    """The listener. `is_ready` is asked at each request; `facts` are what /version adds."""

    def __init__(
        self,
        *,
        total: Callable[[], Snapshot],
        is_ready: Callable[[], Mapping[str, bool]],
        facts: Callable[[], Mapping[str, object]],
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(SnapshotCollector(total))
        self._is_ready = is_ready
        self._facts = facts
        self._runner: web.AppRunner | None = None

    async def start(self, listening: socket.socket) -> None:
        """Serve on a socket that listens already."""
        application = web.Application()
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/version", self._version)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()

    async def stop(self) -> None:
        """Close the listener."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE})

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        parts = self._is_ready()
        ready = all(parts.values())
        body = {"ready": ready, "parts": dict(parts)}
        return web.json_response(body, status=200 if ready else 503)

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"version": __version__, "python": platform.python_version(), **self._facts()}
        )
