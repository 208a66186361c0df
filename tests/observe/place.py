"""A real Prometheus for tests: started on a configuration, asked over its API."""

from __future__ import annotations

import json
import math
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.engines.place import free_ports, need, running, until

PROGRAMS = ("prometheus", "promtool")


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    url: str

    def ask(self, path: str, **words: str) -> Any:
        """The data of an answer; an error is the test's failure, with Prometheus' words."""
        query = urllib.parse.urlencode(words)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=20) as answer:  # noqa: S310
                told = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{words}: {error.read().decode()}") from error
        assert told["status"] == "success", told
        return told["data"]

    def now(self, expr: str, *, at_s: float | None = None) -> list[tuple[dict[str, str], float]]:
        """An instant query: labels and value of each series."""
        data = self.ask("query", query=expr, **({} if at_s is None else {"time": f"{at_s:.3f}"}))
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(one["metric"], float(one["value"][1])) for one in data["result"]]

    def over(self, expr: str, *, start_s: float, end_s: float, step_s: float) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:  # fmt: skip
        """A range query."""
        words = {"query": expr, "start": f"{start_s:.3f}", "end": f"{end_s:.3f}", "step": f"{step_s:.3f}"}
        found = self.ask("query_range", **words)["result"]
        return [
            (one["metric"], [(float(when), float(value)) for when, value in one["values"]]) for one in found
        ]

    def firing(self) -> set[str]:
        """Names of alerts that fire now."""
        return {
            one["labels"]["alertname"] for one in self.ask("alerts")["alerts"] if one["state"] == "firing"
        }

    def is_scraping(self) -> bool:
        """Whether every target was scraped well."""
        targets = self.ask("targets")["activeTargets"]
        return bool(targets) and all(one["health"] == "up" for one in targets)


@contextmanager
def running_prometheus(
    place: Path, targets: Sequence[str], *, rules: Path | None = None
) -> Iterator[Prometheus]:
    """It scrapes those every two seconds for the time of the block. Skips where Debian's package is missing."""
    need(*PROGRAMS)
    place.mkdir(parents=True, exist_ok=True)
    config = {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"},
        "scrape_configs": [{"job_name": "weir", "static_configs": [{"targets": list(targets)}]}],
        "rule_files": [str(rules)] if rules else [],
    }
    # JSON is YAML.
    (place / "prometheus.yml").write_text(json.dumps(config))
    (port,) = free_ports(1)
    log = place / "prometheus.log"
    words = (
        "nice", "-n", "19", "prometheus", f"--config.file={place / 'prometheus.yml'}", f"--storage.tsdb.path={place / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=1h",
    )  # fmt: skip
    with running(words, log) as process:
        until(lambda: _is_ready(port), process, log)
        yield Prometheus(f"http://127.0.0.1:{port}")


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def wait_for(holds: Callable[[], bool], *, within_s: float) -> bool:
    """Whether it held in that time."""
    end = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def finite(values: Sequence[float]) -> list[float]:
    """Those that are numbers."""
    return [value for value in values if math.isfinite(value)]


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Debian's promtool, whose words are the test's failure."""
    need(*PROGRAMS)
    return subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, timeout=250)
