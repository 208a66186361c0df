"""Writes what is made from code and committed: docs/metrics.md and the dashboards. `python -m deploy.observe` in the tree."""

from __future__ import annotations

from pathlib import Path

from deploy.observe.boards_co_op import DASHBOARDS
from deploy.observe.page import page
from deploy.observe.panels import text

ROOT = Path(__file__).parents[2]
GRAFANA = Path("deploy/grafana/dashboards")


def made() -> dict[Path, str]:
    """Every such file by its path in the tree, and its content."""
    return {
        Path("docs/metrics.md"): page(),
        **{GRAFANA / f"{one.uid}.json": text(one) for one in DASHBOARDS},
    }


def main() -> None:
    """Write them."""
    for path, content in made().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(content, "utf-8")


if __name__ == "__main__":
    main()
