"""A year's statement taken home: its months, the member's line of the sum, and what every class shares by."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from billing import run, year_run
from billing.costs.costing import add_cost
from billing.governance import store as governance_store
from billing.governance.decisions import Body, Choice, Hours, Resolution, ResolutionKind
from billing.rules.book import rule_set_text
from meter.event import RequestClass
from meter.settings import MeterSettings
from meter.shipper import ship_everything
from meter.signing import known_public
from meter.store import add_member
from meter.usage import MemberClass
from meter.window import HOUR_US, Month
from tests.coop import Coop
from tests.integration.journals import write
from tests.integration.test_bundle import edited, exchange, lived, put, signed_again, verified, weir, wrong
from tests.postgres import TestServer

MONTHS = tuple(Month(2026, number) for number in (9, 10, 11, 12))
NOW = Month(2027, 1).start_us + 24 * HOUR_US
CHOICES = """
cash_share = "0.30"
[class_weights]
user = 80
worker = 20
"""


async def live(co_op: Coop, settings: MeterSettings) -> None:
    """anna sends 151.237 GB over four months, ben 90.311 GB, at 1.00 a GB; wanda works; 200.00 of costs."""
    anna, ben = await co_op.found("anna", "ben")
    begun = MONTHS[0].start_us
    owner, books = await co_op.owner(), await co_op.books()
    wanda, nils = [
        (await add_member(owner, name=name, member_class=one, email="", now_us=begun)).id
        for name, one in (("wanda", MemberClass.WORKER), ("nils", MemberClass.CUSTOMER))
    ]
    await governance_store.insert_choice(
        books, Choice(0, "us-selc", 2026, 1, None, rule_set_text("us-selc"), CHOICES, "test", begun)
    )
    sent = {anna: 151_237, ben: 90_311, nils: 20_000}
    for place, month in enumerate(MONTHS):
        events = [
            exchange(
                member, month.start_us + HOUR_US, bytes_out=part, moved_out=part, request_class=RequestClass.B
            )
            for member, megabytes in sent.items()
            for part in ((megabytes // 4 + (megabytes % 4 if place == 0 else 0)) * 10**6,)
        ]
        write(settings, *events)
        assert 0 == await ship_everything(settings, settings.database_url)
        await add_cost(books, month=month, pool="rack", amount="50.00", memo="", now_us=month.end_us)
        await governance_store.insert_hours(
            books, Hours(0, wanda, month, 40_500, 1000, None, "", "test", NOW)
        )
        await run.close(books, month, now_us=NOW)
    resolution = await governance_store.insert_resolution(
        books,
        Resolution(
            "", Body.BOARD, ResolutionKind.ALLOCATION, date(2027, 1, 1), "as drafted", None, None, None, None, "test", NOW
        ),
    )  # fmt: skip
    await year_run.close(books, 2026, resolution=resolution, now_us=NOW)


@pytest.fixture(scope="module")
def place(
    postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str]]:
    with lived(postgres_server, tmp_path_factory.mktemp("coop"), live) as one:
        yield one


@pytest.fixture(scope="module")
def bundles(place: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for name in ("anna", "wanda", "nils"):
        found[name] = tmp_path_factory.mktemp("bundles") / name
        done = weir(*place, name, "2026", "--to", str(found[name]))
        assert 0 == done.returncode, done.stderr
    return found


def test_a_year_follows_from_its_months_and_everybody_s_total(
    place: tuple[Path, str], bundles: dict[str, Path]
) -> None:
    key = known_public(place[0])
    assert key is not None
    for bundle in bundles.values():
        status, said = verified(bundle, "--key", key)
        assert 0 == status, [line for line in said if line.startswith("DIFFERS")]


def test_the_line_of_the_sum_is_worked_out_by_hand(bundles: dict[str, Path]) -> None:
    told = json.loads((bundles["anna"] / "statement.json").read_text())
    # 4 × 37.81 = 151.24, and 4 × 22.58 = 90.32 of ben: 241.56 in all; the users' part is 80 % of what is left for members.
    page = json.loads((bundles["anna"] / "page.json").read_text())
    users = int(page["class_pools"]["user"].replace(".", ""))
    (share,) = told["shares"]
    assert ("user", "15124") == (share["class"], share["measure"])
    exact = 15_124 * users
    assert share["amount_minor"] in (exact // 24_156, exact // 24_156 + 1)
    _, said = verified(bundles["anna"])
    assert any(
        line.startswith(f"agrees   your share as user, 15124 × {users:,} / 24156, rounded") for line in said
    )


def test_a_year_s_bundle_tells_nothing_of_another(bundles: dict[str, Path]) -> None:
    for name, bundle in bundles.items():
        for path in bundle.rglob("*"):
            if path.is_file():
                text = path.read_text("utf-8")
                assert [] == [
                    other for other in {"anna", "ben", "wanda", "nils"} - {name} if f'"{other}"' in text
                ], path
    assert 1 == len({(bundle / "page.json").read_bytes() for bundle in bundles.values()})
    assert 1 == len({(bundle / "totals.json").read_bytes() for bundle in bundles.values()})


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("statement.json", put("shares", 0, "amount_minor", to=lambda old: old - 1), "your shares in it"),
        ("statement.json", put("charges_minor", to=lambda old: old + 1), "your charges of its months"),
        ("statement.json", put("paid_minor", to=lambda old: old + 1), "what becomes of them"),
        ("page.json", put("class_pools", "user", to=lambda old: "1.00"), "your share as user"),
        ("page.json", put("measures", "user", to=lambda old: "99999"), "what the class shares by"),
        ("page.json", put("months", "2026-10", to=lambda old: "0" * 64), "closing and result, as in the year's"),
        ("page.json", put("month_results", "2026-10", to=lambda old: old + 1), "closing and result, as in the year's"),
        ("page.json", put("digest", to=lambda old: "0" * 64), "the closing that statement and totals name"),
        ("totals.json", put("classes", "user", "tree", "root", to=lambda old: "0" * 64), "leads to the root"),
        ("proof.json", put("classes", "user", "leaves", to=lambda old: old[:1]), "all parts of it"),
        ("line.json", put("interest", to=lambda old: old + 1), "digest of your line of the year"),
    ],
)  # fmt: skip
def test_a_lie_about_the_year_is_found_out(
    place: tuple[Path, str], bundles: dict[str, Path], tmp_path: Path, name: str, change: object, said: str
) -> None:
    forged = tmp_path / "forged"
    shutil.copytree(bundles["anna"], forged)
    edited(name, change)(forged)  # type: ignore[arg-type]
    signed_again(forged, place[0])
    found = wrong(forged)
    assert any(said in line for line in found), found


def test_a_month_left_out_is_missed(
    place: tuple[Path, str], bundles: dict[str, Path], tmp_path: Path
) -> None:
    forged = tmp_path / "forged"
    shutil.copytree(bundles["anna"], forged)
    shutil.rmtree(forged / "months" / "2026-11")
    assert any("files that are listed and are not there" in line for line in wrong(forged))


def test_an_open_year_is_refused(place: tuple[Path, str], tmp_path: Path) -> None:
    done = weir(*place, "anna", "2027", "--to", str(tmp_path / "new"))
    assert (2, []) == (done.returncode, list(tmp_path.iterdir()))
    assert "the fiscal year 2027 is not closed yet" in done.stderr
