"""Capital after a closing, in a real database: paid back, left behind, forfeited, claimed, told."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from datetime import date
from fractions import Fraction
from typing import Any

import asyncpg
import pytest

from billing.capital import unclaimed_run
from billing.capital.exit_run import (
    Estate,
    EstateMethod,
    Leaving,
    leave,
    make_due,
    request,
    settle_estate,
)
from billing.capital.exit_standing import standings
from billing.capital.lots import capital_accounts
from billing.capital.retirement import Method, YearShare
from billing.capital.run import Retired, Retirement, capital_changes, carry_over, retire
from billing.ledger.entry import Account, retained
from billing.notices import run as notice_run
from billing.notices.notice import State
from billing.rules.afterwards import afterwards
from billing.run import close
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.window import Month
from tests.capital import allocate, balance, choose, gone, money, move, owes, waits
from tests.coop import NOVEMBER, NOW, Coop, balances
from tests.ordinary import ROOT
from tests.unit.test_notices import DOCUMENT

Work = Callable[[asyncpg.Connection], Coroutine[Any, Any, Any]]
DAY = date(2026, 11, 3)
YEAR_US = 366 * 86_400 * 10**6


async def a_co_op(co_op: Coop, *, bank: int = 100_000) -> tuple[asyncpg.Connection, list[MemberId]]:
    """anna, ben and carla, with lots of 2020 and 2021, and money in the bank."""
    anna, ben, carla = members = await co_op.found("anna", "ben", "carla")
    connection = await co_op.books()
    lots = {
        (2020, anna): 10_000,
        (2020, ben): 5_000,
        (2021, anna): 3_000,
        (2021, ben): 6_000,
        (2021, carla): 40,
    }
    await allocate(connection, lots)
    await money(connection, bank)
    return connection, members


def asked(budget: str, **given: object) -> Retirement:
    usual: dict[str, object] = {"method": Method.FIFO, "resolution": "2027-3"}
    return Retirement(budget=budget, **{**usual, **given})  # type: ignore[arg-type]


async def pay_back(connection: asyncpg.Connection, one: Retirement, *, trial: bool = False) -> Retired:
    return await retire(connection, one, trial=trial, now_us=NOW)


async def test_paying_back_empties_the_oldest_lots_into_what_is_payable(co_op: Coop) -> None:
    connection, _ = await a_co_op(co_op)
    found = await pay_back(connection, asked("180.00"))
    # 150.00 of 2020; 30.00 of the 90.40 in 2021: 9.956, 19.911 and 0.133, the cents to the largest remainders.
    told = {account: await balance(connection, account) for account in (
        "capital:member:1:2020:plain", "capital:member:2:2020:plain", "capital:member:1:2021:plain",
        "capital:member:2:2021:plain", "capital:member:3:2021:plain", "payable:member:1", "payable:member:2",
        "payable:member:3")}  # fmt: skip
    assert {
        "capital:member:1:2020:plain": 0, "capital:member:2:2020:plain": 0,
        "capital:member:1:2021:plain": -2004, "capital:member:2:2021:plain": -4009,
        "capital:member:3:2021:plain": -27, "payable:member:1": -10996, "payable:member:2": -6991,
        "payable:member:3": -13,
    } == told  # fmt: skip
    assert 18_000 == found.document["total_minor"]
    assert 100_000 == await balance(connection, "bank:main")  # payable is not paid


async def test_the_capital_account_tells_what_was_paid_back(co_op: Coop) -> None:
    connection, (anna, *_) = await a_co_op(co_op)
    await pay_back(connection, asked("180.00"))
    accounts = capital_accounts(await capital_changes(connection, anna), until=NOVEMBER)
    assert [(2020, 10_000, 10_000, 0), (2021, 3_000, 996, 2004)] == [
        (one.lot.year, one.added_minor, one.retired_minor, one.closing_minor) for one in accounts
    ]


async def test_a_trial_says_what_will_be_done_and_posts_nothing(co_op: Coop) -> None:
    connection, _ = await a_co_op(co_op)
    before = await balances(connection)
    tried = await pay_back(connection, asked("180.00"), trial=True)
    assert before == await balances(connection)
    assert None is tried.act
    done = await pay_back(connection, asked("180.00"))
    assert (tried.document, tried.lines) == (done.document, done.lines)
    assert (await pay_back(connection, asked("180.00"), trial=True)).before


async def test_the_same_decision_told_twice_is_carried_out_once(co_op: Coop) -> None:
    connection, _ = await a_co_op(co_op)
    first = await pay_back(connection, asked("180.00"))
    after = await balances(connection)
    second = await pay_back(connection, asked("180.00"))
    assert after == await balances(connection)
    assert (False, True, first.lines) == (first.before, second.before, second.lines)
    with pytest.raises(Refusal, match="resolution: 2027-3 was carried out as retirement 1 in other words"):
        await pay_back(connection, asked("180.01"))


async def test_a_hybrid_and_a_minimum_and_a_set_off(co_op: Coop) -> None:
    connection, (_, ben, _) = await a_co_op(co_op)
    await owes(connection, ben, 1_500)
    rule = (YearShare(2020, Fraction(1, 2)), YearShare(2021, Fraction(1, 4)))
    found = await pay_back(
        connection, asked("1000.00", method=Method.HYBRID, rule=rule, minimum="0.25", set_off=True)
    )
    # Half of 150.00 and a quarter of 90.40; carla's 0.10 stays where it is.
    assert (9_750, 10, 1_500) == tuple(
        found.document[name] for name in ("total_minor", "carried_minor", "set_off_minor")
    )
    assert [[3, 10]] == found.document["carried"]
    # ben: 25.00 + 15.00 − 15.00.
    assert (-2_500, 0) == (
        await balance(connection, "payable:member:2"), await balance(connection, "receivable:member:2"),
    )  # fmt: skip
    assert -40 == await balance(connection, "capital:member:3:2021:plain")


async def test_what_older_months_kept_gets_its_lots_once(co_op: Coop) -> None:
    anna, ben = await co_op.found("anna", "ben")
    connection = await co_op.books()
    kept = {(anna, Month(2024, 12)): 700, (anna, Month(2025, 1)): 200, (anna, Month(2025, 12)): 100,
            (ben, Month(2025, 12)): 50, (anna, Month(2026, 12)): -100}  # fmt: skip
    for (member, month), amount in kept.items():
        sides = [(retained(member), -amount), (Account("surplus:undistributed"), amount)]
        await move(connection, sides, key=f"{member}:{month}", month=month)
    # What was taken back counts against the oldest: 7.00 − 1.00.
    expected = {(2024, 1): 600, (2025, 1): 300, (2025, 2): 50}
    tried = await carry_over(connection, "2027-1", trial=True, now_us=NOW)
    assert expected == {(lot.year, int(lot.member)): amount for lot, amount in tried.items()}
    assert tried == await carry_over(connection, "2027-1", trial=False, now_us=NOW)
    assert {} == await carry_over(connection, "2027-1", trial=False, now_us=NOW)
    accounts = capital_accounts(await capital_changes(connection), until=NOVEMBER)
    assert expected == {(one.lot.year, int(one.lot.member)): one.added_minor for one in accounts}
    assert 0 == await balance(connection, "retained:member:1")
    await move(connection, [(retained(ben), -5), (Account("surplus:undistributed"), 5)], key="late")
    with pytest.raises(Refusal, match="what months kept since then needs one of its own"):
        await carry_over(connection, "2027-1", trial=False, now_us=NOW)


@pytest.mark.parametrize("budget", ["0", "-1", "1.001", "NaN", "1e30", "1000000000000000000"])
async def test_a_budget_that_is_none_posts_nothing(co_op: Coop, budget: str) -> None:
    connection, _ = await a_co_op(co_op)
    with pytest.raises(Refusal, match="budget: "):
        await pay_back(connection, asked(budget))
    assert 0 == await connection.fetchval("SELECT count(*) FROM billing.capital_act")


async def test_without_a_resolution_nothing_is_done(co_op: Coop) -> None:
    connection, _ = await a_co_op(co_op)
    with pytest.raises(Refusal, match="resolution: who decided this"):
        await pay_back(connection, asked("1.00", resolution="  "))


async def second_of_two(co_op: Coop, first: asyncpg.Connection, work: Work) -> Any:
    """Do the same work twice at once: the second waits for the first to commit. What the second came to."""
    second = await co_op.books()
    transaction = first.transaction()
    await transaction.start()
    await work(first)
    waiting = asyncio.ensure_future(work(second))
    observer = await co_op.owner()
    while not await observer.fetchval(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
    ):
        assert not waiting.done(), "the second did not wait for the first"
    await transaction.commit()
    return await waiting


async def test_two_retirements_at_once_pay_back_once(co_op: Coop) -> None:
    first, _ = await a_co_op(co_op)
    second = await second_of_two(co_op, first, lambda connection: pay_back(connection, asked("180.00")))
    assert second.before
    assert -18_000 == sum([await balance(first, f"payable:member:{number}") for number in (1, 2, 3)])


async def test_two_exits_and_two_payments_of_instalments_at_once_happen_once(co_op: Coop) -> None:
    first, (anna, *_) = await a_co_op(co_op)
    await gone(co_op, anna)
    one = leaving(anna, "us-selc")
    left = await second_of_two(
        co_op, first, lambda connection: leave(connection, one, trial=False, now_us=NOW)
    )
    assert left.before
    later = to_us_of(2027, 1, 5)
    due = await second_of_two(
        co_op, first, lambda connection: make_due(connection, trial=False, now_us=later)
    )
    assert [] == due
    assert -10_400 == await balance(first, "debt:member:1")


async def test_two_forfeits_and_two_claims_at_once_happen_once(co_op: Coop) -> None:
    first, (anna, *_) = await a_co_op(co_op)
    await waits(first, anna, 6_000, since_us=NOW - 3 * YEAR_US)
    gone = await second_of_two(
        co_op, first,
        lambda connection: unclaimed_run.forfeit(connection, "arizona", "2027-6", trial=False, now_us=NOW),
    )  # fmt: skip
    assert [] == gone
    claimed = await second_of_two(
        co_op, first,
        lambda connection: unclaimed_run.claim(connection, anna, None, "r", "proof", trial=False, now_us=NOW),
    )  # fmt: skip
    assert claimed["before"]
    assert (-6_000, 0) == (
        await balance(first, "payable:member:1"), await balance(first, "collective:main"),
    )  # fmt: skip


KILLED = """
import asyncio, os, signal, sys
from billing.capital.run import Retirement, retire
from billing.capital.retirement import Method
from meter.postgres import connect

async def main():
    connection = await connect(sys.argv[1], role="weir_office")
    left = [int(sys.argv[3])]
    def tell(done, of):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    asked = Retirement(Method.FIFO, "180.00", "2027-3")
    await retire(connection, asked, trial=False, now_us=int(sys.argv[2]), tell=tell)

asyncio.run(main())
"""


@pytest.mark.parametrize("members_done", [1, 2, 3])
async def test_killed_in_the_middle_nothing_is_half_done(co_op: Coop, members_done: int) -> None:
    connection, _ = await a_co_op(co_op)
    before = await balances(connection)
    line = [sys.executable, "-c", KILLED, co_op.dsn, str(NOW), str(members_done)]
    done = await asyncio.to_thread(
        subprocess.run, line, cwd=ROOT, env={**os.environ}, capture_output=True, timeout=60
    )
    assert -signal.SIGKILL == done.returncode, done.stderr
    assert before == await balances(connection)
    assert 0 == await connection.fetchval("SELECT count(*) FROM billing.capital_act")
    again = await pay_back(connection, asked("180.00"))
    assert (False, 18_000) == (again.before, again.document["total_minor"])


def leaving(member: MemberId, rules: str, **given: object) -> Leaving:
    usual: dict[str, object] = {
        "member": member,
        "left_on": DAY,
        "resolution": "2027-4",
        "rules": afterwards(rules),
    }
    return Leaving(**{**usual, "base_rate": Fraction(45, 1000), **given})  # type: ignore[arg-type]


async def test_an_exit_becomes_a_debt_that_is_paid_to_the_cent(co_op: Coop) -> None:
    connection, (anna, *_) = await a_co_op(co_op)
    await gone(co_op, anna)
    found = await leave(connection, leaving(anna, "us-selc"), trial=False, now_us=NOW)
    assert (-13_000, 0) == (
        await balance(connection, "debt:member:1"), await balance(connection, "capital:member:1:2020:plain"),
    )  # fmt: skip
    assert 13_000 == sum(one.principal_minor for one in found.schedule)
    assert [] == await make_due(connection, trial=False, now_us=NOW)
    later = to_us_of(2028, 1, 5)
    assert 2 == len(await make_due(connection, trial=False, now_us=later))
    assert [] == await make_due(connection, trial=False, now_us=later)
    # Two of five parts, and 6.5 % of 130.00 and of 104.00.
    assert (-7_800, -(5_200 + 845 + 676), 1_521) == (
        await balance(connection, "debt:member:1"), await balance(connection, "payable:member:1"),
        await balance(connection, "interest:exits"),
    )  # fmt: skip
    await make_due(connection, trial=False, now_us=to_us_of(2035, 1, 1))
    assert 0 == await balance(connection, "debt:member:1")


def to_us_of(year: int, month: int, day: int) -> int:
    return Month(year, month).start_us + (day - 1) * 86_400 * 10**6


async def test_losses_deduction_and_set_off_come_before_the_debt(co_op: Coop) -> None:
    connection, (anna, *_) = await a_co_op(co_op)
    await gone(co_op, anna)
    await move(
        connection, [(Account("loss:member:1:2025"), 1_000), (Account("loss:carried"), -1_000)], key="loss"
    )
    await owes(connection, anna, 500)
    one = leaving(anna, "es", deduction=Fraction(30, 100), set_off=True)
    await leave(connection, one, trial=False, now_us=NOW)
    # 130.00 − 10.00 = 120.00; 30 % = 36.00; − 5.00 = 79.00.
    told = [await balance(connection, account) for account in (
        "loss:member:1:2025", "reserve:compulsory", "receivable:member:1", "debt:member:1")]  # fmt: skip
    assert [0, -3_600, 0, -7_900] == told


async def test_an_exit_is_refused_where_its_first_year_could_not_be_paid(co_op: Coop) -> None:
    """A fifth of 130.00 and 6.5 % of 130.00 fall due on 31 December: 34.45. The next part is more than a year off."""
    connection, (anna, *_) = await a_co_op(co_op, bank=3_444)
    await gone(co_op, anna, MemberId(2))
    before = await balances(connection)
    for trial in (True, False):
        with pytest.raises(
            Refusal, match=r"have 34\.44 EUR .* owe 34\.45 EUR within a year; the rule set us-selc"
        ):
            await leave(connection, leaving(anna, "us-selc"), trial=trial, now_us=NOW)
    assert before == await balances(connection)
    await money(connection, 1)
    assert (
        13_000
        == (await leave(connection, leaving(anna, "us-selc"), trial=False, now_us=NOW)).document["debt_minor"]
    )
    # What is due within a year of that exit counts against the next one: 60.00 in five, and 6.5 % of it.
    with pytest.raises(Refusal, match=r"have 34\.45 EUR .* owe 63\.60 EUR"):
        await leave(connection, leaving(MemberId(2), "us-selc"), trial=True, now_us=NOW)


@pytest.mark.parametrize("rule_set", ["us-selc", "plain"])
async def test_a_retirement_is_held_against_the_rule_set_in_force(co_op: Coop, rule_set: str) -> None:
    connection, (_, ben, _) = await a_co_op(co_op, bank=10_000)
    await choose(connection, rule_set)
    await waits(connection, ben, 4_000, since_us=NOW)
    if rule_set == "us-selc":
        for trial in (True, False):
            with pytest.raises(Refusal, match=r"have 100\.00 EUR .* owe 100\.01 EUR within a year"):
                await pay_back(connection, asked("60.01"), trial=trial)
        assert 6_000 == (await pay_back(connection, asked("60.00"))).document["total_minor"]
    else:
        assert 18_000 == (await pay_back(connection, asked("180.00"))).document["total_minor"]


async def test_an_exit_told_twice_is_booked_once_and_never_before_its_day(co_op: Coop) -> None:
    connection, (anna, ben, _) = await a_co_op(co_op)
    await gone(co_op, anna, ben)
    first = await leave(connection, leaving(anna, "us-selc"), trial=False, now_us=NOW)
    after = await balances(connection)
    again = await leave(connection, leaving(anna, "us-selc"), trial=False, now_us=NOW)
    assert (after, True, list(first.schedule)) == (
        await balances(connection),
        again.before,
        list(again.schedule),
    )
    with pytest.raises(Refusal, match="booked before as act 1, in other words"):
        await leave(connection, leaving(anna, "us-selc", years=3), trial=False, now_us=NOW)
    with pytest.raises(Refusal, match="date: 2026-12-31 is still to come"):
        await leave(connection, leaving(ben, "us-selc", left_on=date(2026, 12, 31)), trial=False, now_us=NOW)


def estate(member: MemberId, method: EstateMethod, **given: object) -> Estate:
    usual: dict[str, object] = {"member": member, "died_on": DAY, "resolution": "2027-5", "cycle_years": 18,
                                "rules": afterwards("us-subchapter-t"), "method": method}  # fmt: skip
    return Estate(**{**usual, **given})  # type: ignore[arg-type]


async def test_an_estate_is_paid_its_present_value_and_the_rest_stays_with_all(co_op: Coop) -> None:
    """G14: a lot of the year of death counts 0.402905 of its face at 18 years and 5.18 %."""
    connection, (anna, *_) = await a_co_op(co_op)
    await allocate(connection, {(2026, anna): 1_000_000, (2008, anna): 777}, key="b")
    found = await settle_estate(
        connection, estate(anna, EstateMethod.PRESENT, rate=Fraction(518, 10000)), trial=False, now_us=NOW
    )
    values = {year: value for year, _, _, value in found.document["values"]}
    assert (402_905, 777) == (values[2026], values[2008])
    paid = found.document["present_value_minor"]
    assert (-paid, -(1_013_777 - paid), 0) == (
        await balance(connection, "payable:member:1"), await balance(connection, "collective:main"),
        await balance(connection, "capital:member:1:2026:plain"),
    )  # fmt: skip


async def test_an_estate_that_waits_has_a_schedule_at_face_value(co_op: Coop) -> None:
    connection, (anna, *_) = await a_co_op(co_op)
    found = await settle_estate(connection, estate(anna, EstateMethod.FACE), trial=False, now_us=NOW)
    assert [("2038-12-31", 10_000), ("2039-12-31", 3_000)] == [
        (str(one.due_on), one.principal_minor) for one in found.schedule
    ]
    assert -13_000 == await balance(connection, "debt:member:1")


async def test_a_rule_set_that_discounts_no_estate_refuses_it(co_op: Coop) -> None:
    connection, (anna, *_) = await a_co_op(co_op)
    for method, rate in ((EstateMethod.PRESENT, Fraction(1, 20)), (EstateMethod.FACE, Fraction(0))):
        one = estate(anna, method, rate=rate, rules=afterwards("es"))
        for trial in (True, False):
            with pytest.raises(
                Refusal, match=r"method: the rule set es discounts no estate .* `weir capital exit --heirs`"
            ):
                await settle_estate(connection, one, trial=trial, now_us=NOW)
    assert 0 == await balance(connection, "debt:member:1")


async def test_everybody_s_leaving_has_its_state(co_op: Coop) -> None:
    connection, (anna, ben, carla) = await a_co_op(co_op)
    await gone(co_op, anna, ben)
    await request(connection, carla, wanted_on=date(2026, 12, 31), why="moving", now_us=NOW)
    await leave(connection, leaving(anna, "us-selc"), trial=False, now_us=NOW)
    await leave(connection, leaving(ben, "es"), trial=False, now_us=NOW)
    await unclaimed_run.mark(connection, ben, reached=False, why="two letters came back", now_us=NOW)
    assert {1: "payable schedule", 2: "unlocated", 3: "exit requested"} == {
        one.member: one.state.value for one in await standings(connection)
    }
    await make_due(connection, trial=False, now_us=to_us_of(2035, 1, 1))
    await move(connection, [(Account("payable:member:1"), -await balance(connection, "payable:member:1")),
                            (Account("bank:main"), await balance(connection, "payable:member:1"))], key="paid")  # fmt: skip
    assert "paid" == next(one.state.value for one in await standings(connection) if one.member == anna)


async def test_what_was_forfeited_is_paid_to_whoever_proves_it_later(co_op: Coop) -> None:
    connection, (anna, ben, _) = await a_co_op(co_op)
    await waits(connection, anna, 6_000, since_us=NOW - 3 * YEAR_US)
    await waits(connection, anna, 100, since_us=NOW)
    await waits(connection, ben, 4_000, since_us=NOW - 3 * YEAR_US)
    found = await unclaimed_run.forfeit(connection, "arizona", "2027-6", trial=False, now_us=NOW)
    assert [(1, 6_000, True), (2, 4_000, False)] == [
        (one.member, one.amount_minor, one.listed) for one in found
    ]
    assert [] == await unclaimed_run.forfeit(connection, "arizona", "2027-6", trial=False, now_us=NOW)
    assert (-100, -10_000) == (
        await balance(connection, "payable:member:1"), await balance(connection, "collective:main"),
    )  # fmt: skip
    much_later = NOW + 20 * YEAR_US
    for _ in range(2):
        told = await unclaimed_run.claim(
            connection, anna, "25.00", "2046-1", "her passport", trial=False, now_us=much_later
        )
    assert (True, -2_600, -7_500) == (
        told["before"], await balance(connection, "payable:member:1"), await balance(connection, "collective:main"),
    )  # fmt: skip
    with pytest.raises(Refusal, match=r"amount: 35\.00 EUR was forfeited and not claimed"):
        await unclaimed_run.claim(
            connection, anna, "35.01", "2046-2", "again", trial=False, now_us=much_later
        )
    picture = await unclaimed_run.picture(connection, "arizona", now_us=NOW)
    assert [(1, 3_500), (2, 4_000)] == [(one.member, one.open_minor) for one in picture.forfeited]


async def noticed(co_op: Coop) -> tuple[asyncpg.Connection, list[MemberId]]:
    members = await co_op.found("anna", "ben", "carla", "wim")
    connection = await co_op.books()
    await notice_run.make(connection, DOCUMENT, afterwards("us-selc"), trial=False, now_us=NOW)
    return connection, members


async def test_a_credit_on_the_books_is_no_notice_until_it_was_sent(co_op: Coop) -> None:
    connection, (anna, ben, *_) = await noticed(co_op)
    assert {State.CREATED} == {one.state for one in await notice_run.kept(connection, 2026)}
    sent = await notice_run.step(
        connection, 2026, None, state=State.SENT, how="letter", evidence="posting list 12", now_us=NOW
    )
    await notice_run.step(
        connection, 2026, [anna], state=State.DELIVERED, how="letter", evidence="receipt 7", now_us=NOW
    )
    await notice_run.step(
        connection, 2026, [ben], state=State.FAILED, how="letter", evidence="came back", now_us=NOW
    )
    states = {one.member: one.state.value for one in await notice_run.kept(connection, 2026)}
    assert (4, {1: "delivered", 2: "failed", 3: "sent", 4: "sent"}) == (sent, states)
    assert ["sent", "delivered"] == [one.state for one in await notice_run.history(connection, 2026, anna)]
    again = await notice_run.step(
        connection, 2026, None, state=State.SENT, how="email", evidence="250 2.0.0 queued", now_us=NOW
    )
    assert 1 == again


async def test_a_step_without_evidence_or_out_of_turn_is_refused(co_op: Coop) -> None:
    connection, (anna, *_) = await noticed(co_op)
    with pytest.raises(Refusal, match="evidence: it must be said"):
        await notice_run.step(
            connection, 2026, None, state=State.SENT, how="letter", evidence=" ", now_us=NOW
        )
    with pytest.raises(Refusal, match=r"a notice that is created cannot be delivered \(member 1\)"):
        await notice_run.step(
            connection, 2026, [anna], state=State.DELIVERED, how="letter", evidence="receipt", now_us=NOW
        )


async def test_notices_are_made_once_and_never_changed(co_op: Coop) -> None:
    connection, _ = await noticed(co_op)
    again = await notice_run.make(connection, DOCUMENT, afterwards("us-selc"), trial=False, now_us=NOW)
    assert again.before
    other = json.loads(json.dumps(DOCUMENT)) | {"tax": "none"}
    with pytest.raises(Refusal, match="the notices of 2026 were made before and say something else"):
        await notice_run.make(connection, other, afterwards("us-selc"), trial=False, now_us=NOW)
    stranger = json.loads(json.dumps(DOCUMENT).replace("carla", "dora")) | {"year": 2027}
    with pytest.raises(Refusal, match="'dora' is no member's name or number"):
        await notice_run.make(connection, stranger, afterwards("us-selc"), trial=False, now_us=NOW)


async def test_an_entry_of_a_closed_month_goes_to_the_first_open_one(co_op: Coop) -> None:
    connection, _ = await a_co_op(co_op)
    await close(connection, NOVEMBER, now_us=to_us_of(2026, 12, 1))
    await pay_back(connection, asked("180.00"))
    periods = await connection.fetch("SELECT DISTINCT period FROM billing.entry WHERE kind = 'retirement'")
    assert [date(2026, 12, 1)] == [row["period"] for row in periods]


async def shares_of(connection: asyncpg.Connection, member: MemberId, year: int, amount: int) -> None:
    await allocate(connection, {(year, member): amount}, key=f"closing:{year}")


async def test_a_share_that_came_after_leaving_becomes_a_debt_on_the_terms_of_the_same_day(
    co_op: Coop,
) -> None:
    """Left on 10 February 2027; 2026 is closed in March 2027, 2027 in March 2028. 6.5 % on year-end balances.

    146.46 of 2027 in five parts: 29.30 and four of 29.29. Two fell due in 2027 and on 31 December 2028. 2027 ended as
    the first part fell due, so its interest is nothing; then a year on 117.16, 87.87, 58.58 and 29.29: 7.6154,
    5.71155, 3.8077, 1.90385.
    """
    connection, (anna, *_) = await a_co_op(co_op)
    day, march_27, march_28 = date(2027, 2, 10), to_us_of(2027, 3, 20), to_us_of(2028, 3, 20)
    one = leaving(anna, "us-selc", left_on=day, resolution="2027-1")
    await gone(co_op, anna, now_us=to_us_of(2027, 2, 10))
    first = await leave(connection, one, trial=False, now_us=march_27)
    await shares_of(connection, anna, 2026, 10_000)
    two = leaving(anna, "us-selc", left_on=day, resolution="2027-2")
    second = await leave(connection, two, trial=False, now_us=march_27)
    await shares_of(connection, anna, 2027, 14_646)
    three = leaving(anna, "us-selc", left_on=day, resolution="2028-2")
    tried = await leave(connection, three, trial=True, now_us=march_28)
    third = await leave(connection, three, trial=False, now_us=march_28)
    assert (tried.document, tried.schedule) == (third.document, third.schedule)
    assert (13_000, 10_000, 14_646) == tuple(left.document["debt_minor"] for left in (first, second, third))
    ends = [date(year, 12, 31) for year in range(2027, 2032)]
    assert [ends] * 3 == [[part.due_on for part in left.schedule] for left in (first, second, third)]
    assert [(2_000, amount) for amount in (650, 520, 390, 260, 130)] == [
        (part.principal_minor, part.interest_minor) for part in second.schedule
    ]
    assert [(2_930, 0), (2_929, 762), (2_929, 571), (2_929, 381), (2_929, 190)] == [
        (part.principal_minor, part.interest_minor) for part in third.schedule
    ]
    for again in (one, two, three):
        assert (await leave(connection, again, trial=False, now_us=march_28)).before
        assert (await leave(connection, again, trial=True, now_us=march_28)).before
    standing = next(left for left in await standings(connection) if left.member == anna)
    assert ([13_000, 10_000, 14_646], 37_646, 0) == (
        [debt.principal_minor for debt in standing.debts], standing.owed_minor, standing.came_since_minor,
    )  # fmt: skip
    await make_due(connection, trial=False, now_us=to_us_of(2032, 1, 1))
    assert 0 == await balance(connection, "debt:member:1")


async def test_what_came_after_leaving_waits_for_a_resolution_and_is_told(co_op: Coop) -> None:
    connection, (anna, *_) = await a_co_op(co_op)
    await gone(co_op, anna)
    await leave(connection, leaving(anna, "us-selc"), trial=False, now_us=NOW)
    await shares_of(connection, anna, 2026, 500)
    standing = next(left for left in await standings(connection) if left.member == anna)
    assert (500, 13_000) == (standing.came_since_minor, standing.owed_minor)
    # The same resolution in the same words is the first act, whatever came since.
    again = await leave(connection, leaving(anna, "us-selc"), trial=False, now_us=NOW)
    assert (True, 1, 13_000) == (again.before, again.act, again.document["debt_minor"])


@pytest.mark.parametrize("trial", [True, False])
async def test_a_trial_of_an_exit_refuses_what_the_act_refuses(co_op: Coop, trial: bool) -> None:
    connection, (anna, *_) = await a_co_op(co_op)
    await gone(co_op, anna)
    await leave(connection, leaving(anna, "us-selc"), trial=False, now_us=NOW)
    with pytest.raises(Refusal, match="booked before as act 1, in other words"):
        await leave(connection, leaving(anna, "us-selc", years=3), trial=trial, now_us=NOW)
    with pytest.raises(Refusal, match="booked before as act 1, and nothing came in their name since"):
        await leave(connection, leaving(anna, "us-selc", resolution="2028-2"), trial=trial, now_us=NOW)
    await shares_of(connection, anna, 2026, 500)
    died = estate(anna, EstateMethod.FACE)
    with pytest.raises(Refusal, match="booked as act 1, an exit; book what came since as an exit too"):
        await settle_estate(connection, died, trial=trial, now_us=NOW)


async def test_heirs_are_paid_what_came_late_within_their_year(co_op: Coop) -> None:
    """Spain, left on 3 November 2026 and died: heirs within a year, so all of it is due at once in 2028.

    4.5 % from the end of 2026, when the share's year ended, to 3 November 2027: 307 of 365 days on 100.00 = 3.78.
    """
    connection, (anna, *_) = await a_co_op(co_op)
    await gone(co_op, anna)
    await leave(connection, leaving(anna, "es"), trial=False, now_us=NOW)
    await shares_of(connection, anna, 2026, 10_000)
    late = to_us_of(2028, 2, 1)
    heirs = leaving(anna, "es", resolution="2028-1", heirs=True)
    found = await leave(connection, heirs, trial=False, now_us=late)
    assert [(date(2027, 11, 3), 10_000, 378)] == [
        (part.due_on, part.principal_minor, part.interest_minor) for part in found.schedule
    ]
    # Beside it the first of the five parts of before.
    assert 2 == len(await make_due(connection, trial=False, now_us=late))


async def test_a_loss_after_leaving_is_met_from_what_came_since_and_never_from_the_debt(co_op: Coop) -> None:
    """A share of 40.00 comes for 2026, a loss of 60.00 for 2027: 40.00 of it is met, 20.00 stays, the debt is whole."""
    connection, (anna, *_) = await a_co_op(co_op)
    await gone(co_op, anna)
    await leave(connection, leaving(anna, "us-selc"), trial=False, now_us=NOW)
    await shares_of(connection, anna, 2026, 4_000)
    sides = [(Account("loss:member:1:2027"), 6_000), (Account("loss:carried"), -6_000)]
    await move(connection, sides, key="loss")
    late = to_us_of(2028, 2, 1)
    found = await leave(connection, leaving(anna, "us-selc", resolution="2028-1"), trial=False, now_us=late)
    assert (4_000, 0, ()) == (
        found.document["losses_minor"], found.document["debt_minor"], tuple(found.schedule),
    )  # fmt: skip
    assert (2_000, -13_000) == (
        await balance(connection, "loss:member:1:2027"), await balance(connection, "debt:member:1"),
    )  # fmt: skip


async def test_an_estate_takes_what_came_after_the_death_in_its_own_turn(co_op: Coop) -> None:
    connection, (anna, *_) = await a_co_op(co_op)
    await settle_estate(connection, estate(anna, EstateMethod.FACE), trial=False, now_us=NOW)
    await shares_of(connection, anna, 2026, 700)
    more = estate(anna, EstateMethod.FACE, resolution="2028-1")
    found = await settle_estate(connection, more, trial=False, now_us=NOW)
    assert [("2044-12-31", 700)] == [(str(one.due_on), one.principal_minor) for one in found.schedule]
    assert -13_700 == await balance(connection, "debt:member:1")
