"""weir compare as a person types it, on a real co-op: both sides of one member, of all, of a year."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from billing.costs.costing import add_cost
from tests.coop import NOW, OCTOBER, SEPTEMBER, Coop

GB = 10**9


def weir(data: Path, database: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy", "compare", *words], capture_output=True, text=True,
        env={**os.environ, "WEIR_DATA": str(data), "WEIR_DATABASE_URL": database},
    )  # fmt: skip


def told(data: Path, database: str, *words: str) -> dict[str, Any]:
    done = weir(data, database, *words, "--json")
    assert (0, "") == (done.returncode, done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def amounts(document: dict[str, Any]) -> dict[str, int]:
    return {one["id"]: one["amount_minor"] for one in document["providers"]}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory as `weir up` leaves it; the database is the test's own."""
    made = tmp_path / "data"
    made.mkdir()
    (made / "FORMAT").write_text("1\n")
    return made


async def two_months(co_op: Coop) -> None:
    """anna sent 300 GB in September and 2,000 GB in October, ben 1,000 GB in October; a GB is 1.00 EUR."""
    anna, ben = await co_op.found("anna", "ben")
    await co_op.use(anna, SEPTEMBER, 300 * GB)
    await co_op.use(anna, OCTOBER, 2000 * GB)
    await co_op.use(ben, OCTOBER, 1000 * GB)
    books = await co_op.books()
    for pool, amount in (("transit", "500.00"), ("staff", "1000.00")):
        await add_cost(books, month=OCTOBER, pool=pool, amount=amount, memo="", now_us=NOW)


async def test_a_member_s_month_has_our_full_cost_beside_every_list(
    co_op: Coop, data: Path, database: str
) -> None:
    await two_months(co_op)
    found = told(data, database, "anna", "--month", "2026-10")
    # 2,000.00 charged of 3,000.00 in all, and 1,500.00 of invoices, staff among them.
    assert {"currency": "EUR", "charged_minor": 200_000, "cost_minor": 100_000} == found["ours"]
    # 2 × 10^12 / 2^30 = 1,862.645… GB of theirs: (1,862.645 − 100) × 0.09 = 158.638; 1,024 × 0.12 + 838.645 × 0.11.
    assert 15_864 == amounts(found)["aws-s3-standard"]
    assert 21_513 == amounts(found)["google-cloud-storage"]
    assert 0 == amounts(found)["cloudflare-r2"]
    assert 600 == amounts(found)["hetzner"]  # 5.00, and 1 TB beyond the first


async def test_all_members_are_compared_as_one_customer(co_op: Coop, data: Path, database: str) -> None:
    await two_months(co_op)
    found = told(data, database, "--month", "2026-10")
    assert {"currency": "EUR", "charged_minor": 300_000, "cost_minor": 150_000} == found["ours"]
    assert 700 == amounts(found)["hetzner"]


async def test_a_year_adds_months_each_with_its_own_allowance(co_op: Coop, data: Path, database: str) -> None:
    await two_months(co_op)
    found = told(data, database, "anna", "--year", "2026")
    # September is without costs, so no full cost is claimed for the year.
    assert {"currency": "EUR", "charged_minor": 230_000, "cost_minor": None} == found["ours"]
    # 279.397 GB of 2^30: 179.397 × 0.09 = 16.15, and October's 158.64.
    assert 1615 + 15_864 == amounts(found)["aws-s3-standard"]


async def test_what_is_typed_in_is_priced_by_our_tariff_too(co_op: Coop, data: Path, database: str) -> None:
    await two_months(co_op)
    words = ("--gb-out", "10000", "--month", "2026-10")
    found = told(data, database, *words)
    assert {"currency": "EUR", "charged_minor": 1_000_000, "cost_minor": 500_000} == found["ours"]
    assert 89_100 == amounts(found)["aws-s3-standard"]
    # The same bytes for all: 10^13 / 2^30 = 9,313.226 GB, less 100, × 0.09.
    assert 82_919 == amounts(told(data, database, *words, "--gb", "10^9"))["aws-s3-standard"]


async def test_people_see_the_arithmetic_the_sources_and_what_is_not_compared(
    co_op: Coop, data: Path, database: str, tmp_path: Path
) -> None:
    await two_months(co_op)
    picture = tmp_path / "bars.svg"
    done = weir(
        data, database, "anna", "--month", "2026-10", "--svg", str(picture), "--rate", "USD=0.5@2026-10-31"
    )
    assert 0 == done.returncode, done.stderr
    assert "1 USD = 0.5 EUR on 2026-10-31, as given with --rate" in done.stdout
    assert "our full cost" in done.stdout
    assert "1,024 × 0.12 + 838.645149… × 0.11 = 215.13  [secondary]" in done.stdout
    assert "no negotiated discount" in done.stdout
    assert "Cloudflare R2" in done.stdout
    drawn = ElementTree.fromstring(picture.read_text())  # noqa: S314  written a moment ago
    assert "anna, 2026-10" in str(drawn.findtext("{http://www.w3.org/2000/svg}title"))


def test_without_a_co_op_only_the_lists_are_shown(tmp_path: Path) -> None:
    found = told(tmp_path / "none", "", "--gb-out", "10000")
    assert found["ours"] is None
    assert (89_100, 86_130, 111_024, 0) == tuple(
        amounts(found)[one] for one in ("aws-s3-standard", "azure", "google-cloud-storage", "cloudflare-r2")
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "there is no co-op here"),
        (("--gb-out", "1e30"), "--gb-out: '1e30' is not a plain decimal"),
        (("--gb-out", "-1"), "--gb-out: '-1' is negative"),
        (("anna", "--gb-out", "1"), "it goes with neither MEMBER nor --year"),
        (("--month", "2026-13"), "'2026-13' is not a month"),
        (("--month", "2026-10", "--year", "2026"), "give one of them"),
        (("--gb", "2^30"), "--gb goes with --gb-out"),
        (("--gb-out", "1", "--rate", "USD"), "rate: 'USD' is not a rate"),
    ],
)
def test_wrong_words_are_refused(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = weir(tmp_path / "none", "", *words)
    assert 2 == done.returncode
    assert said in done.stderr


def test_the_list_says_what_is_old(tmp_path: Path) -> None:
    rows = {one["id"]: one for one in json.loads(weir(tmp_path, "", "--list", "--json").stdout)}
    assert 9 == len(rows)
    assert (True, None) == (rows["ovhcloud"]["is_old"], rows["ovhcloud"]["age_days"])
    assert rows["hetzner"]["is_old"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "bad.toml").write_text("id = 1")
    done = subprocess.run(
        [sys.executable, "-m", "deploy", "compare", "--list"], capture_output=True, text=True,
        env={**os.environ, "WEIR_LIST_PRICE_DIRECTORY": str(tmp_path / "mine")},
    )  # fmt: skip
    assert (2, True) == (done.returncode, "bad.toml: id: must be there, in quotes" in done.stderr)


async def test_costs_are_told_where_nobody_was_charged(co_op: Coop, data: Path, database: str) -> None:
    await two_months(co_op)
    books = await co_op.books()
    await add_cost(books, month=SEPTEMBER.previous(), pool="rack", amount="10.00", memo="", now_us=NOW)
    found = told(data, database, "--month", str(SEPTEMBER.previous()))
    assert {"currency": "EUR", "charged_minor": 0, "cost_minor": 1000} == found["ours"]
