"""The rows of `make bench`: a small fleet, and what its members' number and its pause change."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from tests.bench.scale.plan import Plan
from tests.bench.scale.report import summary
from tests.bench.scale.run import run
from tests.bench.scale.server import measured_server
from tests.bench.table import show

SMALL = Plan(gateways=40, members=1_000, rate=200, seconds=10.0, warm_up_s=5.0, interval_ms=1_000)
MANY_MEMBERS = 100_000
PAUSE_MS = 5_000
COST = "postgres_us_per_transaction", "postgres_us_per_event"


def bench_fleet() -> None:
    """PostgreSQL's processor time, which the shippers beside it on this machine do not blur."""
    with tempfile.TemporaryDirectory(prefix="weir-scale-") as name:
        with measured_server(Path(name) / "pg", connections=SMALL.gateways, shared_buffers_mb=256) as server:
            base = summary(run(SMALL, server))
            many = summary(run(replace(SMALL, members=MANY_MEMBERS), server))
            rare = summary(run(replace(SMALL, interval_ms=PAUSE_MS), server))
    transaction, event = COST
    title = f"{SMALL.gateways} gateways, {MANY_MEMBERS:,} members: PG a batch"
    show(
        title, f"{many[transaction]:,} µs", f"{SMALL.members:,} members {base[transaction]:,} µs",
        many[transaction] / base[transaction], "≤ 1.5",
    )  # fmt: skip
    show(
        f"  shipping every {PAUSE_MS // 1000} s: PG a record", f"{rare[event]:,} µs",
        f"every second {base[event]:,} µs", rare[event] / base[event], "≤ 0.8",
    )  # fmt: skip
