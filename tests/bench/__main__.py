"""`make bench`: each figure beside its base, measured in turn within one run, and their ratio.

Absolute figures belong to the machine and the minute; the ratios are what is promised. Every pair is
measured several times in turn, A B A B, and the median of the paired ratios is printed.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import gateways, meter, storage
from tests.bench.billing import bench_billing, bench_statements
from tests.bench.books import bench_books
from tests.bench.crowd import bench_crowd
from tests.bench.large import bench_large
from tests.bench.ledger import bench_ledger
from tests.bench.metering import bench_metering
from tests.bench.portal import bench_portal
from tests.bench.scale.rows import bench_fleet
from tests.bench.small import BODY, bench_small, signed
from tests.bench.table import ROOT, show
from tests.bench.upstream import bench_upstream
from tests.gateway import client, running_gateway
from tests.postgres import running_server


def bench_gateway(directory: Path, database: str) -> None:
    """Small and large objects against their bases, and metering on against off."""
    with running_gateway(directory, database) as gateway:
        member = gateway.member("bench")
        client(gateway, member).create_bucket(Bucket="bench")
        bench_small(gateway, member, directory)
        bench_large(gateway, member, directory)
        bench_metering(signed(gateway.port, member, "small"), len(BODY), directory, database)


def bench_start() -> None:
    """From `weir up` to the ready file, first start (database made, co-op founded) and second."""
    with tempfile.TemporaryDirectory() as place:
        for name in ("first start", "second start"):
            ready = Path(place) / "ready.json"
            ready.unlink(missing_ok=True)
            began = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "deploy", "up", "--data", f"{place}/data", "--gateway-port", "0",
                 "--portal-port", "0", "--admin-port", "0", "--ready-file", str(ready)],
                stdout=subprocess.DEVNULL, cwd=ROOT,
            )  # fmt: skip
            while not ready.exists():
                assert process.poll() is None, "weir up ended"
                time.sleep(0.01)
            took = time.perf_counter() - began
            assert json.loads(ready.read_text())["gateway_url"]
            process.send_signal(signal.SIGTERM)
            process.wait()
            show(f"weir up to ready, {name}", f"{took:.2f} s", "goal 5 s", took / 5, "≤ 1")


def main() -> None:
    """Everything, one line a figure."""
    print(f"{'figure':<44} {'measured':>22} {'base':>30} {'ratio':>8}  goal")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        meter.bench_recorder(place / "recorder")
        (place / "pg" / "log").mkdir(parents=True)
        with running_server(place / "pg") as server:
            (place / "gateway").mkdir()
            bench_gateway(place / "gateway", server.database())
            gateways.run(place / "gateways", [server.database() for _ in range(3)])
            bench_upstream(place, server.database())
            meter.bench_shipping(place, server)
            meter.bench_restart(place, server.database())
            bench_books(server.database())
            database = server.database()
            bench_billing(database)
            (place / "shipped").mkdir()
            bench_statements(place / "shipped", database)
            bench_ledger(server.database())
            bench_portal(server.database())
    bench_fleet()
    storage.run()
    bench_start()
    bench_crowd()


if __name__ == "__main__":
    main()
