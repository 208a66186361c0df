"""What the API tells of the co-op itself: the figures of its page, its bills, offices, acts, decisions and signed pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest_asyncio

from billing.governance import store as governance_store
from billing.governance.decisions import Body, Resolution, ResolutionKind, Votes
from billing.portal.tokens import Scope
from billing.settings import BillingSettings
from meter import heads
from meter.heads import from_file
from tests.api_kit import GENEROUS, Api, a_full_co_op
from tests.coop import Coop
from tests.portal import running_site
from tests.reference_year import NOW as JANUARY_NOW

SETTINGS = BillingSettings(**GENEROUS, next_meeting="Friday, at the library")  # type: ignore[arg-type]
PARTS_MAX = 9


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_site(co_op, tmp_path / "journal", SETTINGS, kind=Api) as one:
        yield one


async def in_parts(site: Api, path: str, what: str, token: str) -> list[dict[str, Any]]:
    """Everything of a long answer, asked for one by one."""
    found, cursor = [], ""
    for _ in range(PARTS_MAX):
        part = await site.told(f"{path}?limit=1{cursor}", token)
        assert 1 >= len(part[what])
        found += part[what]
        if part["next"] is None:
            return found
        cursor = f"&cursor={part['next']}"
    raise AssertionError(f"{path} has no end")


async def test_the_co_op_s_figures_are_those_of_the_reference_s_year_and_of_the_page(site: Api) -> None:
    """G18: 3,500.00 charged in four months, 2,300.00 of costs, so 1,200.00 left over: 65.7 and 34.2 of each 100."""
    async with a_full_co_op(site) as (a, _):
        told = await site.told("/co-op", await site.token(a, Scope.BOOKS))
        closed = told["closed"]
        assert ("2026-09", "2026-12", 350_000, 230_000, 120_000) == tuple(
            closed[name] for name in ("from", "to", "charges_minor", "costs_minor", "left_minor")
        )
        assert [{"pool": "rack", "amount_minor": 230_000}] == closed["costs"]
        # The year: 20.00 of interest came in besides; 915.00 was shared, the collective account took 305.00.
        year = told["year"]
        assert (352_000, 230_000, 122_000, 91_500, 30_500) == tuple(
            year[f"{name}_minor"] for name in ("came", "costs", "left", "shared", "rest")
        )
        assert ["65.3…", "25.9…", "8.6…"] == [one["hundredths"] for one in told["one_unit"]]
        assert [230_000, 91_500, 30_500] == [one["amount_minor"] for one in told["one_unit"]]
        assert ("EUR", "Friday, at the library") == (told["currency"], told["next_meeting"])
        prices = told["list_prices"]
        # The last of four months: a quarter of the charges, the remainders stand in the first; 575.00 of costs.
        assert ("2026-12", 37_809 + 22_577 + 14_613 + 12_500, 57_500) == (
            prices["month"], prices["charges_minor"], prices["costs_minor"],
        )  # fmt: skip
        assert {"Amazon S3 Standard", "Backblaze B2"} <= {one["provider"] for one in prices["providers"]}
        await site.sign_in(a)
        page = await site.text("/co-op")
        for part in ("by_all", "in_names", "besides"):
            for one in told["kept"][part]:
                assert one["words"].replace("'", "&#39;") in page
        # What a, b, c and two workers keep in their names of the year, as the reference has it.
        assert told["kept"]["in_names"]


async def test_bills_decisions_and_acts_come_in_parts_and_the_newest_first(site: Api) -> None:
    async with a_full_co_op(site) as (a, _):
        token = await site.token(a)
        invoices = await in_parts(site, "/invoices", "invoices", token)
        assert [(4, "2026-12"), (3, "2026-11"), (2, "2026-10"), (1, "2026-09")] == [
            (one["number"], one["month"]) for one in invoices
        ]
        assert {("rack", 57_500, "EUR", None, None)} == {
            (one["pool"], one["amount_minor"], one["currency"], one["service"], one["credits"]) for one in invoices
        }  # fmt: skip
        books = await site.co_op.books()
        for day in range(2, 12):
            asked = Resolution(
                "", Body.MEETING, ResolutionKind.OTHER, date(2026, 12, day), f"number {day}", None, Votes(3, 1, 0), 2,
                None, "test", JANUARY_NOW,
            )  # fmt: skip
            await governance_store.insert_resolution(books, asked)
        whole = (await site.told("/resolutions", token))["resolutions"]
        # By number, not by text: 2026-10 comes before 2026-9.
        assert ["2027-1", *(f"2026-{place}" for place in range(10, 0, -1))] == [one["id"] for one in whole]
        first = await site.told("/resolutions?limit=2", token)
        second = await site.told(f"/resolutions?limit=2&cursor={first['next']}", token)
        assert ["2027-1", "2026-10", "2026-9", "2026-8"] == [
            one["id"] for part in (first, second) for one in part["resolutions"]
        ]
        assert ("meeting", "2026-12-11", "number 11", {"for": 3, "against": 1, "abstained": 0}, 2) == tuple(
            whole[1][name] for name in ("body", "decided_on", "text", "votes", "quorum")
        )
        assert ("board", None) == (whole[0]["body"], whole[0]["votes"])
        acts = await in_parts(site, "/acts", "acts", token)
        assert acts == (await site.told("/acts", token))["acts"]
        assert sorted((one["number"] for one in acts), reverse=True) == [one["number"] for one in acts]


async def test_an_act_about_a_member_is_told_in_full_to_nobody_else(site: Api) -> None:
    async with a_full_co_op(site) as (a, b):
        books = await site.co_op.books()
        (c,) = [row["id"] for row in await books.fetch("SELECT id FROM meter.member WHERE name = 'c'")]
        seen = {}
        for who in (a, b, c):
            told = await site.told("/acts", await site.token(who, Scope.ACTS))
            seen[who] = {one["what"]: (one["is_about_you"], one["detail"]) for one in told["acts"]}
            assert ("b", "treasurer") == (told["acts"][0]["who"], told["acts"][0]["office"])
            assert await books.fetchval("SELECT digest FROM billing.act ORDER BY number DESC LIMIT 1") == bytes.fromhex(
                told["digest"]
            )  # fmt: skip
        credit = "enter a credit of a member"
        assert {a: (True, "3.00 for a lost hour"), b: (False, "3.00 for a lost hour"), c: (False, "")} == {
            who: one[credit] for who, one in seen.items()
        }
        token = await site.token(a)
        mine = await site.told("/acts?about=me", token)
        assert ([credit], None) == ([one["what"] for one in mine["acts"]], mine["digest"])
        assert [] == (await site.told("/acts?about=me", await site.token(c)))["acts"]
        offices = (await site.told("/offices", token))["offices"]
        assert [("b", "treasurer", None)] == [
            (one["name"], one["office"], one["until"]) for one in offices
        ]  # fmt: skip


async def test_signed_pages_are_proof_without_us(site: Api, tmp_path: Path) -> None:
    async with a_full_co_op(site) as (a, _):
        token = await site.token(a, Scope.USAGE)
        told = await in_parts(site, "/heads", "heads", token)
        public = (tmp_path / "signing.pub").read_text("ascii").strip()
        assert [1, 2, 3, 4, 5] == [one["number"] for one in told]
        assert ["2026-09", "2026-10", "2026-11", "2026-12", None] == [one["month"] for one in told]
        signed = [from_file(one["page"]) for one in told]
        assert [] == heads.check(signed, trusted={public})
        changed = told[0]["page"].replace('"number":1', '"number":9')
        assert [] != heads.check([from_file(changed), *signed[1:]], trusted={public})
