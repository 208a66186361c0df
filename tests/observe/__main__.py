"""Draws docs/dashboards from a real Weir under traffic: `python -m tests.observe`. A picture is no test."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.observe.draw import picture
from tests.observe.faults import end_rclone
from tests.observe.place import wait_for
from tests.observe.rig import rig
from tests.observe.test_dashboards import ROOT, dashboards

PLACE = ROOT / "docs" / "dashboards"
TRAFFIC_S = 100


def main() -> None:
    """Run for a while, let the upstream fail at the end, draw."""
    PLACE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="weir-pictures-") as name, rig(Path(name)) as one:
        one.weir.command("cost", "add", "--period", time.strftime("%Y-%m", time.gmtime()), "--pool", "transit", "--amount", "0.02")  # fmt: skip
        wait_for(one.prometheus.is_scraping, within_s=60)
        start_s = time.time() + 5
        wait_for(lambda: time.time() > start_s + TRAFFIC_S, within_s=TRAFFIC_S + 60)
        end_rclone(one)
        wait_for(lambda: time.time() > start_s + TRAFFIC_S + 30, within_s=60)
        end_s = time.time()
        for name, dashboard in dashboards().items():
            (PLACE / f"{name}.svg").write_text(
                picture(dashboard, one.prometheus, start_s=start_s, end_s=end_s)
            )
            print(f"{name}.svg", file=sys.stderr)


if __name__ == "__main__":
    main()
