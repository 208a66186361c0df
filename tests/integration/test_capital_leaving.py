"""Who may leave by which rules, and what is said of those who left: the register, the co-op's choice, the commands."""

import asyncio
import json
from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

from billing.capital.exit_run import Estate, EstateMethod, Leaving, leave, request, settle_estate
from billing.capital.exit_standing import standings
from billing.capital.exits import ExitState
from billing.capital.leavers import law_of
from billing.governance import store as governance_store
from billing.governance.decisions import Choice
from billing.ledger.entry import BANK, payable
from billing.rules.afterwards import afterwards
from billing.rules.book import rule_set_text
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.store import add_member
from meter.usage import MemberClass
from tests.capital import allocate, balance, choose, gone, money, move
from tests.coop import NOW, SEPTEMBER, Coop
from tests.integration.conftest import Command
from tests.unit.test_notices import DOCUMENT

LEFT = date(2026, 11, 6)
"""The day of NOW."""


def leaving(member: MemberId, on: date, **given: object) -> Leaving:
    usual: dict[str, object] = {
        "resolution": "2027-4",
        "rules": afterwards("us-selc"),
        "base_rate": Fraction(0),
    }
    return Leaving(member, on, **{**usual, **given})  # type: ignore[arg-type]


def died(member: MemberId, on: date, **given: object) -> Estate:
    usual: dict[str, object] = {"resolution": "2027-5", "rules": afterwards("us-subchapter-t"), "cycle_years": 18,
                                "method": EstateMethod.FACE}  # fmt: skip
    return Estate(member, on, **{**usual, **given})  # type: ignore[arg-type]


@pytest.mark.parametrize("trial", [True, False])
async def test_an_exit_of_a_member_who_did_not_leave_is_refused(co_op: Coop, trial: bool) -> None:
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    await allocate(books, {(2020, anna): 10_000})
    with pytest.raises(Refusal, match=r"^member: .* `weir member leave`, then .* `weir capital exit`$"):
        await leave(books, leaving(anna, LEFT), trial=trial, now_us=NOW)
    assert 0 == await balance(books, f"debt:member:{anna}")


@pytest.mark.parametrize("trial", [True, False])
async def test_a_day_on_which_they_were_no_member_is_refused(co_op: Coop, trial: bool) -> None:
    """They joined on 1 September and left on 4 November."""
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    await allocate(books, {(2020, anna): 10_000})
    await money(books, 100_000)
    await gone(co_op, anna, now_us=NOW - 2 * 86_400 * 10**6)
    for day in (date(2016, 11, 20), date(2026, 8, 31), date(2026, 11, 5)):
        with pytest.raises(Refusal, match=rf"^date: .* from 2026-09-01 to 2026-11-04; {day} is not within$"):
            await leave(books, leaving(anna, day), trial=trial, now_us=NOW)
    for day in (date(2026, 9, 1), date(2026, 11, 4)):
        found = await leave(books, leaving(anna, day), trial=True, now_us=NOW)
        assert 10_000 == found.document["debt_minor"]


async def test_an_estate_is_of_a_member_and_of_no_day_before_they_joined(co_op: Coop) -> None:
    anna, ben = await co_op.found("anna", "ben")
    books = await co_op.books()
    await allocate(books, {(2020, anna): 10_000, (2020, ben): 500})
    with pytest.raises(Refusal, match=r"^date: .* from 2026-09-01 on; 2026-08-31 is before$"):
        await settle_estate(books, died(anna, date(2026, 8, 31)), trial=False, now_us=NOW)
    assert (
        10_000
        == (await settle_estate(books, died(anna, LEFT), trial=False, now_us=NOW)).document["debt_minor"]
    )
    await gone(co_op, ben, now_us=SEPTEMBER.end_us)
    # Who left, and died before anything was booked.
    assert (
        500 == (await settle_estate(books, died(ben, LEFT), trial=False, now_us=NOW)).document["debt_minor"]
    )


async def test_what_came_since_follows_an_estate_that_an_older_weir_booked(co_op: Coop) -> None:
    """It took estates at face value by any rule set, and no exit can follow an estate of the same day."""
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    await allocate(books, {(2020, anna): 10_000})
    older = died(anna, LEFT, rules=replace(afterwards("es"), discounting=True))
    await settle_estate(books, older, trial=False, now_us=NOW)
    assert (
        await settle_estate(books, died(anna, LEFT, rules=afterwards("es")), trial=False, now_us=NOW)
    ).before
    await allocate(books, {(2026, anna): 300}, key="since")
    more = died(anna, LEFT, rules=afterwards("es"), resolution="2028-1")
    assert 300 == (await settle_estate(books, more, trial=False, now_us=NOW)).document["debt_minor"]


async def test_a_notice_to_leave_is_a_member_s_and_for_a_day_to_come(co_op: Coop) -> None:
    anna, ben = await co_op.found("anna", "ben")
    books, owner = await co_op.books(), await co_op.owner()
    shop = await add_member(
        owner, name="shop", member_class=MemberClass.CUSTOMER, email="", now_us=SEPTEMBER.start_us
    )
    await gone(co_op, ben)
    refused = {
        (shop.id, LEFT): "^member: the register never had them as a member$",
        (ben, LEFT): "^member: they left already, on 2026-11-06",
        (
            anna,
            date(2020, 1, 1),
        ): r"^date: 2020-01-01 is not a day from today on \(in UTC it is 2026-11-06\), within",
        (anna, date(2026, 11, 5)): "^date: 2026-11-05 is not a day from today on",
        (anna, date(2036, 12, 31)): "within ten years$",
    }
    for (member, day), sentence in refused.items():
        with pytest.raises(Refusal, match=sentence):
            await request(books, member, wanted_on=day, why="", now_us=NOW)
    await request(books, anna, wanted_on=LEFT, why="", now_us=NOW)
    assert {anna: ExitState.REQUESTED, ben: ExitState.LEFT} == {
        one.member: one.state for one in await standings(books)
    }


async def test_the_rules_are_those_in_force_on_the_day_and_plain_where_none_was_chosen(co_op: Coop) -> None:
    await co_op.found("anna")
    books = await co_op.books()

    async def law(day: date, rule_set: str | None = None) -> tuple[str, int]:
        found = await law_of(books, day, rule_set=rule_set)
        return found.rules.rule_set, found.first_month

    assert ("plain", 1) == await law(LEFT)
    for rule_set, year in (("es", 2025), ("us-selc", 2026)):
        chosen = Choice(0, rule_set, year, 7, None, rule_set_text(rule_set), "", "test", NOW)
        await governance_store.insert_choice(books, chosen)
    assert ("us-selc", 7) == await law(LEFT)
    assert [("es", 7), ("us-selc", 7)] == [await law(date(2026, 6, 30)), await law(date(2026, 7, 1))]
    assert ("es", 7) == await law(date(2024, 1, 1))  # of before there was a choice: the earliest one
    assert ("it", 7) == await law(LEFT, "it")


async def test_an_exit_goes_by_the_rules_the_co_op_chose(co_op: Coop, typed: Command) -> None:
    """Spain allows five years; `plain`, which was taken before, allowed twenty."""
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    await money(books, 100_000)
    await choose(books, "es")
    await allocate(books, {(2020, anna): 10_000})
    await gone(co_op, anna)
    line = ["capital", "exit", "anna", "--date", "2026-11-06", "--base-rate", "0", "--resolution", "1"]
    assert "years: 20 is not from 1 to 5" in await asyncio.to_thread(typed, *line, "--years", "20", status=2)
    told = json.loads(await asyncio.to_thread(typed, *line, "--json"))
    assert ("es", 12, 5) == (told["asked"]["rule_set"], told["asked"]["year_end"], len(told["schedule"]))
    estate = ["capital", "estate", "anna", "--date", "2026-11-05", "--cycle", "18", "--resolution", "2"]
    for method in (["face"], ["present", "--rate", "5.18"]):
        assert "`weir capital exit --heirs`" in await asyncio.to_thread(
            typed, *estate, "--method", *method, status=2
        )


async def test_a_year_that_begins_in_july_is_taken_from_the_choice(co_op: Coop, typed: Command) -> None:
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    await money(books, 100_000)
    chosen = Choice(0, "us-selc", 2025, 7, None, rule_set_text("us-selc"), "", "test", NOW)
    await governance_store.insert_choice(books, chosen)
    await allocate(books, {(2026, anna): 10_000})
    await gone(co_op, anna)
    line = ["capital", "exit", "anna", "--date", "2026-11-06", "--base-rate", "4.5", "--resolution", "1"]
    told = json.loads(await asyncio.to_thread(typed, *line, "--json"))
    # 2026 is July 2026 to June 2027: it ends as the first part falls due, so that part bears nothing.
    assert 6 == told["asked"]["year_end"]
    assert [("2027-06-30", 0), ("2028-06-30", 520)] == [
        (one["due_on"], one["interest_minor"]) for one in told["schedule"][:2]
    ]


async def test_a_present_value_that_was_paid_is_paid_and_not_set_off(co_op: Coop) -> None:
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    await money(books, 100_000)
    await allocate(books, {(2008, anna): 10_000})
    one = died(anna, LEFT, method=EstateMethod.PRESENT, rate=Fraction(5, 100))
    await settle_estate(books, one, trial=False, now_us=NOW)
    assert [ExitState.WAITING] == [found.state for found in await standings(books)]
    await move(books, [(payable(anna), 10_000), (BANK, -10_000)], key="paid")
    assert [ExitState.PAID] == [found.state for found in await standings(books)]


async def test_who_left_without_capital_has_left_and_their_shares_are_told(
    co_op: Coop, typed: Command
) -> None:
    anna, ben, carla = await co_op.found("anna", "ben", "carla")
    books = await co_op.books()
    await allocate(books, {(2020, ben): 700})
    for line in (
        "share kind member --par 100.00 --held-by user",
        "share subscribe anna 3",
        "share pay anna 250.00",
    ):
        await asyncio.to_thread(typed, *line.split())
    await request(books, anna, wanted_on=LEFT, why="", now_us=NOW)
    await request(books, carla, wanted_on=LEFT, why="", now_us=NOW)
    await gone(co_op, anna, ben)
    with pytest.raises(Refusal, match="there is no capital in this member's name"):
        await leave(books, leaving(anna, LEFT), trial=False, now_us=NOW)
    told = json.loads(await asyncio.to_thread(typed, "capital", "exits", "--json"))["exits"]
    assert [
        ("left", "2026-11-06", 25_000, 0),
        ("left", "2026-11-06", 0, 700),
        ("exit requested", None, 0, 0),
    ] == [(one["state"], one["left_on"], one["shares_minor"], one["lots_minor"]) for one in told]
    text = await asyncio.to_thread(typed, "capital", "exits")
    assert "250.00" in text
    assert "`weir share redeem --owed`" in text
    assert "left: of some the capital is still in their name; `weir capital exit`" in text
    await asyncio.to_thread(typed, "share", "redeem", "anna", "3", "--kind", "member", "--owed")
    (left, *_) = await standings(books)
    assert (ExitState.LEFT, 0, 25_000) == (left.state, left.shares_minor, left.payable_minor)


async def test_notices_go_by_the_rules_of_their_year(co_op: Coop, typed: Command, tmp_path: Path) -> None:
    """The document of 2026 has a qualified notice: us-selc knows it, `plain` does not."""
    await co_op.found("anna", "ben", "carla", "wim")
    books = await co_op.books()
    file = tmp_path / "allocations.json"
    file.write_text(json.dumps(DOCUMENT))
    line = ["capital", "notice", "make", str(file), "--trial"]
    assert "this rule set knows no qualified notices" in await asyncio.to_thread(typed, *line, status=2)
    await choose(books, "us-selc")
    later = Choice(0, "es", 2027, 1, None, rule_set_text("es"), "", "test", NOW)
    await governance_store.insert_choice(books, later)
    assert "4 notices of 2026 could be made" in await asyncio.to_thread(typed, *line)
    assert "this rule set knows no qualified notices" in await asyncio.to_thread(
        typed, *line, "--rule-set", "es", status=2
    )
