"""The shipper as a process under test, and journals for it to ship."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from meter.journal import Journal
from meter.settings import MeterSettings
from tests.events import NOON_US, PLAIN

SMALL_SEGMENTS = {"journal_segment_bytes_max": 2**16}
"""A segment of 510 records, so that they roll all the time."""


@dataclass
class Shipping:
    """A shipper process, and what it told its supervisor."""

    process: subprocess.Popen[bytes]
    latest: dict[str, float] = field(default_factory=dict)
    alarms_max: float = 0

    def listen(self, pipe: int) -> None:
        """Read its metrics until it ends."""
        with os.fdopen(pipe) as lines:
            for line in lines:
                told = json.loads(line)
                self.latest = {**told["gauges"], **told["counters"]}
                self.alarms_max = max(self.alarms_max, self.latest.get("weir_meter_stream_alarms", 0))

    @property
    def failures(self) -> float:
        """Rounds that failed so far."""
        return self.latest.get("weir_meter_ship_failures_total", 0)


@contextmanager
def shipping(
    data: Path, dsn: str, *, alarms: int = 0, text: Mapping[str, str] | None = None, **settings: int
) -> Iterator[Shipping]:
    """`python -m meter` for the time of the block; killed at its end, for a kill must change nothing.

    `alarms` is how many streams may stand still at once.
    """
    reading, writing = os.pipe()
    chosen = {
        "ship_interval_ms": 20, "ship_interval_max_ms": 1000, "ship_retry_max_s": 1, "ship_batch_records_max": 200,
        **settings,
    }  # fmt: skip
    environment = {
        **os.environ, "WEIR_DATA": str(data), "WEIR_DATABASE_URL": dsn, "WEIR_METRICS_FD": str(writing),
        **{f"WEIR_{name.upper()}": str(value) for name, value in [*chosen.items(), *(text or {}).items()]},
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "meter"], env=environment, pass_fds=[writing],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(writing)
    told = Shipping(process)
    listener = threading.Thread(target=told.listen, args=(reading,))
    listener.start()
    try:
        yield told
    finally:
        process.kill()
        process.wait()
        listener.join()
    assert told.alarms_max == alarms


def write(data: Path, count: int, stream: str = "worker-0") -> None:
    """Events of 10 bytes, as a worker that starts, serves and stops leaves them."""
    settings = MeterSettings(data=data, **SMALL_SEGMENTS)  # type: ignore[arg-type]
    journal = Journal(
        settings.journal_directory / stream, segment_bytes_max=settings.journal_segment_bytes_max,
        segment_age_max_s=3600, now_us=NOON_US,
    )  # fmt: skip
    for _ in range(count):
        journal.append(PLAIN._replace(bytes_in=10, moved_in=10))
    journal.close()
