"""`python -m tests.bench.scale --gateways 1000 --minutes 2`: a fleet of gateways ships to one PostgreSQL.

Journals, shippers, SQL and connections are the real ones; only that all gateways share one machine is not. So PostgreSQL's
processor time counts, and ratios between runs; what the clock says belongs to the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from deploy.progress import bar
from tests.bench.scale.listeners import bench_listeners
from tests.bench.scale.plan import Plan
from tests.bench.scale.report import asked, print_rows, summary
from tests.bench.scale.run import run
from tests.bench.scale.server import MeasuredServer, measured_server
from tests.bench.scale.sizes import bench_sizes
from tests.bench.scale.variants import VARIANTS, compared

STEPS = 1000


def options() -> argparse.Namespace:
    """What was asked for."""
    one = argparse.ArgumentParser(prog="tests.bench.scale", description=__doc__)
    one.add_argument("--gateways", type=int, default=1000)
    one.add_argument("--workers", type=int, default=1, help="streams a gateway has besides its engine's")
    one.add_argument("--members", type=int, default=10_000)
    one.add_argument("--minutes", type=float, default=0.5, help="of the measured part of each run")
    one.add_argument("--warm-up-s", type=float, default=15.0)
    one.add_argument("--rate", type=int, default=500, help="exchanges a second, all gateways together")
    one.add_argument("--interval-ms", type=int, default=10_000, help="ship_interval_ms")
    one.add_argument("--spread", type=int, default=0, help="gateways that serve a member; 0: any")
    one.add_argument("--hot", type=float, default=0.0, help="share of exchanges that read one bucket")
    one.add_argument("--synchronous-commit", default="on", choices=("on", "off", "local"))
    one.add_argument("--fillfactor", type=int, default=0, help="of this month's sums; 0: as shipped")
    one.add_argument("--pooled", type=int, default=0, help="connections behind PgBouncer; 0: none between")
    one.add_argument("--shared-buffers-mb", type=int, default=1024)
    one.add_argument("--seed", type=int, default=1)
    one.add_argument(
        "--compare", nargs="*", default=[], choices=sorted(VARIANTS), help="runs beside the one asked for"
    )
    one.add_argument(
        "--sizes", type=int, default=0, metavar="MEMBERS", help="only measure an hour of so many members"
    )
    one.add_argument(
        "--listeners", type=int, default=0, metavar="N", help="only measure news to so many workers"
    )
    one.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return one.parse_args()


def main() -> int:
    """Entry point."""
    chosen = options()
    # So that whoever ends it ends the fleet too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="weir-scale-") as name:
        Path(name).chmod(0o755)  # for PostgreSQL's and the pooler's user
        sessions = max(chosen.gateways, chosen.listeners)
        with measured_server(
            Path(name) / "pg", connections=sessions, shared_buffers_mb=chosen.shared_buffers_mb
        ) as server:
            if chosen.sizes:
                rows = bench_sizes(server, chosen.sizes)
            elif chosen.listeners:
                rows = bench_listeners(server, chosen.listeners)
            else:
                rows = _fleets(chosen, server)
    if chosen.json:
        keep(chosen.json, rows)
    return 0


def _fleets(chosen: argparse.Namespace, server: MeasuredServer) -> list[dict[str, object]]:
    plan = Plan(
        gateways=chosen.gateways, workers=chosen.workers, members=chosen.members, rate=chosen.rate,
        seconds=chosen.minutes * 60, warm_up_s=chosen.warm_up_s, interval_ms=chosen.interval_ms,
        spread=chosen.spread, hot=chosen.hot, synchronous_commit=chosen.synchronous_commit,
        fillfactor=chosen.fillfactor, pooled=chosen.pooled, shared_buffers_mb=chosen.shared_buffers_mb,
        seed=chosen.seed,
    )  # fmt: skip
    shown, kept = [], list[dict[str, object]]()
    try:
        for title, one in compared(plan, chosen.compare):
            with bar(f"{one.gateways} gateways, {title}", total=STEPS) as advance:
                figures = summary(run(one, server, lambda part: advance(int(part * STEPS))))
            shown.append((title, figures))
            kept.append({"run": title, "plan": asked(one), "figures": figures})
            if chosen.json:
                keep(chosen.json, kept)
    finally:
        # Whoever ends it early has waited for some of it.
        print_rows(shown)
    return kept


def keep(path: Path, rows: list[dict[str, object]]) -> None:
    """The figures so far, for programs."""
    path.write_text(json.dumps({"processors": os.cpu_count(), "runs": rows}, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
