"""The operator's manual: every page of it is found from its front door, every alert has its runbook, and its sums add up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FRONT = (ROOT / "docs" / "operators.md").read_text("utf-8")
PAGES = sorted((ROOT / "docs" / "operators").glob("*.md"))
CENTS = 100


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_found_from_the_front_door_and_leads_back(page: Path) -> None:
    assert f"(operators/{page.name}" in FRONT
    assert "(../operators.md)" in page.read_text("utf-8").split("\n## ")[0]


def test_every_alert_has_a_runbook() -> None:
    rules = (ROOT / "deploy" / "prometheus" / "rules").glob("*.yml")
    alerts = {name for one in rules for name in re.findall(r"alert: (\w+)", one.read_text("utf-8"))}
    assert len(alerts) > 20
    assert alerts == {one.stem for one in (ROOT / "docs" / "runbooks").glob("*.md")}


def cents(text: str) -> int:
    whole, _, rest = text.strip(" *").replace(",", "").partition(".")
    return int(whole) * CENTS + int(rest)


def test_the_example_of_costs_adds_up() -> None:
    page = (ROOT / "docs" / "operators" / "sizing.md").read_text("utf-8")
    rows = [
        line.strip("| ").split("|")
        for line in page.split("| EUR a month |")[1].split("\n\n")[0].splitlines()[2:]
    ]
    costs = {row[0].strip(" *"): [cents(one) for one in row[1:]] for row in rows if "TB" not in row[1]}
    together, each = costs.pop("together"), costs.pop("a member")
    assert together == [sum(column) for column in zip(*costs.values(), strict=True)]
    assert each == [
        (sum_of * 2 + members) // (2 * members)
        for sum_of, members in zip(together, (10, 100, 1000), strict=True)
    ]
    # A TB elsewhere for a month of 730 hours at 0.0067 an hour is 4.89; the first is in the 5.00.
    assert costs["backup elsewhere"] == [500 + 489 * (stored - 1) for stored in (2, 20, 200)]
