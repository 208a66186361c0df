"""Somebody who left and whose data stayed: a customer from the first month that begins after they left.

Anna and ben store 100 GB each at 1.00 a GB-month; the rack costs 150.00 a month. Ben leaves at the first instant of
November 2026 and leaves his data there. By hand: each month charges 100.00 to either of them and leaves 50.00 over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import asyncpg

from billing import year_run
from billing.costs.costing import add_cost, set_pool
from billing.costs.run import figures, trueups
from billing.document import Document
from billing.governance import store as governance_store
from billing.governance.decisions import Body, Choice, Consent, Delivery, Hours, Resolution, ResolutionKind
from billing.month.closing import Closing
from billing.month.member_month import MemberMonth
from billing.month.proof import verify
from billing.register.run import change_class, members_in, verify_register
from billing.rules.book import rule_set_text
from billing.run import close, set_tariff, statement, trial, tried
from billing.year_proof import verify_year
from meter.ids import MemberId
from meter.store import add_member, part_name, set_member_status
from meter.usage import MemberClass, MemberStatus
from meter.usage_store import period_usage
from meter.window import DAY_US, Month, to_datetime
from tests.coop import NOVEMBER, OCTOBER, SEPTEMBER, TARIFF, Coop

DECEMBER = NOVEMBER.next()
USER, WORKER, CUSTOMER = MemberClass.USER, MemberClass.WORKER, MemberClass.CUSTOMER
STORED = 100 * 10**9
PRICES = TARIFF.replace('gb_month = "0"', 'gb_month = "1.00"')


async def stores(co_op: Coop, member: MemberId) -> None:
    """100 GB from the first instant of September on, as the shipper books it."""
    meter = await co_op.connection("weir_meter")
    period = date(2026, 9, 1)
    await meter.execute("SELECT meter.ensure_month($1)", period)
    await meter.execute(
        f"INSERT INTO {part_name('storage', period)} VALUES ($1, $2, $3, $4, 0, $5, $5::numeric * $6::numeric)",
        period, member, to_datetime(SEPTEMBER.start_us), int(member), STORED, SEPTEMBER.start_us,
    )  # fmt: skip


async def two(
    co_op: Coop, *, left_us: int = NOVEMBER.start_us
) -> tuple[asyncpg.Connection, MemberId, MemberId]:
    """The books of anna and ben, who has left by now."""
    owner, books = await co_op.owner(), await co_op.books()
    anna, ben = [
        (await add_member(owner, name=name, member_class=USER, email="", now_us=SEPTEMBER.start_us)).id
        for name in ("anna", "ben")
    ]
    await set_tariff(books, PRICES, now_us=SEPTEMBER.start_us)
    for one in (anna, ben):
        await stores(co_op, one)
    await set_member_status(owner, ben, MemberStatus.LEFT, now_us=left_us)
    return books, anna, ben


async def costs(books: asyncpg.Connection, months: Iterable[Month]) -> None:
    for month in months:
        await add_cost(books, month=month, pool="rack", amount="150.00", memo="", now_us=month.end_us)


async def closed(books: asyncpg.Connection, months: list[Month]) -> list[Closing]:
    await costs(books, months)
    return [await close(books, month, now_us=month.end_us) for month in months]


async def closed_year(books: asyncpg.Connection, year: int) -> dict[str, Any]:
    """The page of a year, closed on the second of January after it."""
    now_us = Month(year + 1, 1).start_us + DAY_US
    decision = Resolution(
        "", Body.BOARD, ResolutionKind.ALLOCATION, date(year + 1, 1, 2), "drafted", None, None, None, None, "test", now_us,
    )  # fmt: skip
    number = await governance_store.insert_resolution(books, decision)
    return (await year_run.close(books, year, resolution=number, now_us=now_us)).page


async def test_who_left_has_no_part_in_what_comes_after(co_op: Coop) -> None:
    """2026: 4 × 50.00 over 400.00 of anna, 200.00 of ben and 200.00 of the customer ben became: 150.00 and 50.00; the
    150.00 by 400 and 200. 2027: 12 × 50.00, half of it the members', who are anna."""
    books, anna, ben = await two(co_op)
    choice = Choice(0, "de-eg", 2026, 1, None, rule_set_text("de-eg"), "", "test", SEPTEMBER.start_us)
    await governance_store.insert_choice(books, choice)
    for year, first, results, shares in (
        (2026, 9, ("150.00", "50.00"), [10_000, 5_000]),
        (2027, 1, ("300.00", "300.00"), [30_000, 0]),
    ):
        await closed(books, [Month(year, number) for number in range(first, 13)])
        page = await closed_year(books, year)
        steps = {one["key"]: one["amount"] for one in page["steps"]}
        assert results == (steps["member_result"], steps["non_member_result"])
        now_us = Month(year + 1, 1).start_us + DAY_US
        told = [await year_run.statement(books, one, year, now_us=now_us) for one in (anna, ben)]
        assert shares == [one["amount_minor"] for one in told]
        for one in (anna, ben):
            assert (await verify_year(books, one, year)).agrees


async def test_the_statement_of_who_left_says_customer(co_op: Coop) -> None:
    books, anna, ben = await two(co_op)
    done = await closed(books, [SEPTEMBER, OCTOBER, NOVEMBER])
    assert [(2, 2), (2, 2), (1, 2)] == [(one.members, one.lines) for one in done]
    assert {USER: 10_000, CUSTOMER: 10_000} == done[2].by_class
    now_us = NOVEMBER.end_us
    last = await statement(books, ben, OCTOBER, now_us=now_us)
    assert "user" == last["member"]["class"]
    assert last["sentence"].startswith("You are one of 2 members.")
    after = await statement(books, ben, NOVEMBER, now_us=now_us)
    assert ("customer", 10_000) == (after["member"]["class"], after["charges_minor"])
    assert after["sentence"].startswith("You are a customer of a co-op of 1 member.")
    assert (await statement(books, anna, NOVEMBER, now_us=now_us))["sentence"].startswith(
        "You are the only member."
    )
    # What runs is told alike.
    running = await statement(books, ben, DECEMBER, now_us=DECEMBER.start_us + DAY_US)
    assert ("trial", "customer") == (running["kind"], running["member"]["class"])


async def test_the_month_of_leaving_is_theirs_to_its_end(co_op: Coop) -> None:
    books, _, ben = await two(co_op, left_us=OCTOBER.start_us + 1)
    for month, member_class in ((SEPTEMBER, USER), (OCTOBER, USER), (NOVEMBER, CUSTOMER)):
        told = await statement(books, ben, month, now_us=DECEMBER.start_us)
        assert member_class == told["member"]["class"], month
        assert member_class in [one.member_class for one in await members_in(books, month) if one.id == ben]


async def test_a_month_at_whose_first_instant_they_left_is_theirs_no_more(co_op: Coop) -> None:
    books, _, ben = await two(co_op, left_us=OCTOBER.start_us)
    for month, member_class in ((SEPTEMBER, USER), (OCTOBER, CUSTOMER)):
        told = await statement(books, ben, month, now_us=DECEMBER.start_us)
        assert member_class == told["member"]["class"], month
        assert member_class in [one.member_class for one in await members_in(books, month) if one.id == ben]


async def test_who_changed_class_and_then_left_is_a_customer_too(co_op: Coop) -> None:
    """Carl works from October on and leaves in its course; ben goes only when November is over."""
    books, anna, ben = await two(co_op, left_us=DECEMBER.start_us)
    owner = await co_op.owner()
    carl = (await add_member(owner, name="carl", member_class=USER, email="", now_us=SEPTEMBER.start_us)).id
    await stores(co_op, carl)
    early = SEPTEMBER.start_us + DAY_US
    await change_class(owner, carl, (WORKER,), OCTOBER, who="test", memo="", now_us=early)
    await set_member_status(owner, carl, MemberStatus.LEFT, now_us=OCTOBER.start_us + DAY_US)
    for month, classes in (
        (SEPTEMBER, [USER, USER, USER]), (OCTOBER, [USER, USER, WORKER]), (NOVEMBER, [USER, USER, CUSTOMER]),
    ):  # fmt: skip
        found: list[MemberMonth] = []
        slow = await trial(books, month, now_us=DECEMBER.start_us, each=found.append)
        assert classes == [one.member.member_class for one in found], month
        quick = await tried(books, month, None, now_us=DECEMBER.start_us)
        assert slow.digest == quick.digest
    assert [anna, ben, carl] == [one.member.id for one in found]


async def test_a_true_up_and_the_costs_of_a_month_know_who_had_left(co_op: Coop) -> None:
    """Of 150.00 by stored GB half falls on anna, who was charged 100.00; a customer gets no price put right."""
    books, anna, ben = await two(co_op)
    await set_pool(books, name="rack", month=SEPTEMBER, key="gb_month", memo="", now_us=SEPTEMBER.start_us)
    await closed(books, [SEPTEMBER, OCTOBER, NOVEMBER])
    for month, whom in ((OCTOBER, [anna, ben]), (NOVEMBER, [anna])):
        found = await trueups(books, month, now_us=DECEMBER.start_us)
        assert [(one, 2_500) for one in whom] == [(one.member, one.difference_minor) for one in found]


async def test_a_price_of_customers_is_who_left_s_and_suggestions_count_it(co_op: Coop) -> None:
    """2.00 a GB-month for customers: 200.00 for ben, and the figures of costs say the same."""
    books, _, ben = await two(co_op)
    dearer = f'{PRICES}[class.customer]\ngb_month = "2.00"\n'.replace("2026-01", "2026-11")
    await set_tariff(books, dearer, now_us=OCTOBER.start_us)
    told = await statement(books, ben, NOVEMBER, now_us=DECEMBER.start_us)
    assert 20_000 == told["charges_minor"]
    counted = await figures(books, NOVEMBER, now_us=DECEMBER.start_us)
    assert 30_000 == sum(line.amount_minor for line in counted.lines)


async def test_a_month_of_who_left_is_worked_out_again_bit_for_bit(co_op: Coop) -> None:
    """Open and closed; and what was closed stays as it was when somebody leaves afterwards."""
    books, anna, ben = await two(co_op)
    await costs(books, [SEPTEMBER, OCTOBER, NOVEMBER])
    now_us = DECEMBER.start_us
    counted = await period_usage(books, NOVEMBER)
    assert (await verify(books, ben, NOVEMBER, counted, now_us=now_us)).agrees
    for month in (SEPTEMBER, OCTOBER, NOVEMBER):
        await close(books, month, now_us=now_us)
    assert (await verify(books, ben, NOVEMBER, counted, now_us=now_us)).agrees
    before = await statement(books, anna, NOVEMBER, now_us=now_us)
    await set_member_status(await co_op.owner(), anna, MemberStatus.LEFT, now_us=NOVEMBER.start_us)
    assert before == await statement(books, anna, NOVEMBER, now_us=now_us)
    assert (await verify(books, anna, NOVEMBER, counted, now_us=now_us)).agrees


async def bucket(co_op: Coop, owner: MemberId, name: str) -> None:
    """In the directory by the number of its owner, as `stores` books it."""
    await (await co_op.owner()).execute(
        "INSERT INTO gateway.bucket (id, name, owner, created_at) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $1, now())",
        int(owner), name,
    )  # fmt: skip


async def test_who_stores_data_leaves_only_with_it(co_op: Coop, typed: Callable[..., str]) -> None:
    anna, ben = await co_op.found("anna", "ben")
    await stores(co_op, anna)
    await bucket(co_op, anna, "films")
    refused = await asyncio.to_thread(typed, "member", "leave", "anna", status=2)
    assert (
        "anna stores 100,000,000,000 bytes, in films (100,000,000,000 bytes): let them take their data away and empty the"
        " buckets first, or leave it there with --with-data: what is stored goes on being charged, as a customer's"
    ) in " ".join(refused.split())
    owner = await co_op.owner()
    standing = "SELECT status FROM meter.member WHERE id = $1"
    assert "active" == await owner.fetchval(standing, anna)
    await asyncio.to_thread(typed, "member", "leave", "anna", "--with-data")
    await asyncio.to_thread(typed, "member", "leave", "ben")
    assert ["left", "left"] == [await owner.fetchval(standing, one) for one in (anna, ben)]
    again = await asyncio.to_thread(typed, "member", "leave", "anna", status=2)
    assert "that member has left" in again


async def test_a_taken_name_is_refused_with_a_free_one(co_op: Coop, typed: Callable[..., str]) -> None:
    longest = "c" * 63
    carla, *_ = await co_op.found("carla", "dora", "dora-2", longest)
    await set_member_status(await co_op.owner(), carla, MemberStatus.LEFT, now_us=NOVEMBER.start_us)
    for name, words in (
        ("carla", "who has left; a new membership is a new line in the register, and 'carla-2' is free"),
        ("dora", "there is a member named 'dora' already; 'dora-3' is free"),
        (longest, f"'{longest[:61]}-2' is free"),
    ):
        told = await asyncio.to_thread(typed, "member", "add", name, status=2)
        assert words in " ".join(told.split())
    # The refusals left no gap in the register's numbers, and the free name is taken at once.
    await asyncio.to_thread(typed, "member", "add", "carla-2")
    assert [] == await verify_register(await co_op.owner(), now_us=time.time_ns() // 1000)


async def test_a_consent_qualifies_what_came_after_it_and_while_they_were_members(co_op: Coop) -> None:
    """26 USC 1388(c)(2)(B): for patronage after the by-laws were received, and while a member. 100.00 each of ten;
    500.00 of costs in all; so 50.00 each, of which a fifth is money and 40.00 are kept."""
    owner, books = await co_op.owner(), await co_op.books()
    september, october = date(2026, 9, 1), date(2026, 10, 1)
    cases: dict[str, tuple[list[date], date | None, int]] = {
        "always": ([september], None, 4_000),
        "left": ([september], date(2026, 11, 1), 4_000),
        "quiet-in-september": ([october], None, 4_000),
        "late": ([date(2026, 12, 30)], None, 0),
        "one-day-late": ([date(2026, 9, 2)], None, 0),
        "withdrawn": ([september], date(2026, 12, 31), 0),
        "renewed": ([september, date(2026, 11, 1)], date(2026, 12, 1), 4_000),
        "with-a-gap": ([september, date(2026, 12, 2)], date(2026, 12, 1), 0),
        "never": ([], None, 0),
    }
    members = dict(zip(cases, await co_op.found(*cases), strict=True))
    choice = Choice(
        0, "us-subchapter-t", 2026, 1, None, rule_set_text("us-subchapter-t"), "", "test", SEPTEMBER.start_us
    )
    await governance_store.insert_choice(books, choice)
    for name, (given, withdrawn, _) in cases.items():
        await co_op.use(members[name], OCTOBER if name.startswith("quiet") else SEPTEMBER, STORED)
        entered = [await consent(books, members[name], day) for day in given]
        if withdrawn is not None:
            first = replace(entered[0], evidence=None, from_on=withdrawn, withdraws=entered[0].number)
            await governance_store.insert_consent(books, first)
    # Who came later is judged from the day they came.
    dora = (
        await add_member(
            owner, name="dora", member_class=USER, email="", now_us=OCTOBER.start_us + 9 * DAY_US
        )
    ).id
    await consent(books, dora, october + timedelta(days=9))
    await co_op.use(dora, OCTOBER, STORED, day=20)
    await set_member_status(owner, members["left"], MemberStatus.LEFT, now_us=OCTOBER.start_us)
    for month in (SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER):
        if month == SEPTEMBER:
            await add_cost(books, month=month, pool="rack", amount="500.00", memo="", now_us=month.end_us)
        await close(books, month, now_us=month.end_us)
    now_us = Month(2027, 1).start_us + DAY_US
    trial_page = (await year_run.trial(books, 2026, now_us=now_us)).page
    page = await closed_year(books, 2026)
    assert page["digest"] == trial_page["digest"]
    for name, member in {**members, "dora": dora}.items():
        (share,) = (await year_run.statement(books, member, 2026, now_us=now_us))["shares"]
        qualified = 4_000 if name == "dora" else cases[name][2]
        told = (share["qualified_minor"], share["nonqualified_minor"])
        assert (qualified, 4_000 - qualified) == told, name


async def test_a_year_that_runs_judges_consents_by_its_open_months(co_op: Coop) -> None:
    """Anna is charged in September and consents in October; ben is charged in November, after his consent."""
    anna, ben = await co_op.found("anna", "ben")
    books = await co_op.books()
    choice = Choice(
        0, "us-subchapter-t", 2026, 1, None, rule_set_text("us-subchapter-t"), "", "test", SEPTEMBER.start_us
    )
    await governance_store.insert_choice(books, choice)
    for member, month in ((anna, SEPTEMBER), (ben, NOVEMBER)):
        await co_op.use(member, month, STORED)
        await consent(books, member, date(2026, 10, 1))
    now_us = DECEMBER.start_us + DAY_US
    for member, qualified in ((anna, 0), (ben, 8_000)):
        (share,) = (await year_run.statement(books, member, 2026, now_us=now_us))["shares"]
        assert qualified == share["qualified_minor"]


async def test_a_consent_need_not_be_older_than_what_a_customer_bought_or_no_hour_was_worked_in(
    co_op: Coop,
) -> None:
    """Carl buys for 100.00 in September and uses for 100.00 as a member in October; wim works in October alone. 100.00
    of costs leave 100.00, half of it the members', half of that to either class: 25.00, of which 20.00 are kept."""
    (wim,) = await co_op.found("wim", member_class=WORKER)
    owner, books = await co_op.owner(), await co_op.books()
    carl = (
        await add_member(owner, name="carl", member_class=CUSTOMER, email="", now_us=SEPTEMBER.start_us)
    ).id
    early = SEPTEMBER.start_us + DAY_US
    await change_class(owner, carl, (USER,), OCTOBER, who="test", memo="", now_us=early)
    weights = "[class_weights]\nuser = 50\nworker = 50\n"
    law = "us-subchapter-t"
    choice = Choice(0, law, 2026, 1, None, rule_set_text(law), weights, "test", SEPTEMBER.start_us)
    await governance_store.insert_choice(books, choice)
    for month in (SEPTEMBER, OCTOBER):
        await co_op.use(carl, month, STORED)
    await governance_store.insert_hours(books, Hours(0, wim, OCTOBER, 10_000, 1000, None, "", "test", early))
    for member in (carl, wim):
        await consent(books, member, date(2026, 10, 1))
    await add_cost(books, month=OCTOBER, pool="rack", amount="100.00", memo="", now_us=OCTOBER.end_us)
    for month in (SEPTEMBER, OCTOBER):
        await close(books, month, now_us=NOVEMBER.start_us)
    for member in (carl, wim):
        (share,) = (await year_run.statement(books, member, 2026, now_us=NOVEMBER.start_us + DAY_US))[
            "shares"
        ]
        assert (2_000, 0) == (share["qualified_minor"], share["nonqualified_minor"])


async def consent(books: asyncpg.Connection, member: MemberId, day: date) -> Consent:
    paper = Document("ab" * 32, "receipt.pdf")
    given = Consent(0, member, "2026-1", day, Delivery("post"), paper, day, None, "test", DECEMBER.end_us)
    return replace(given, number=await governance_store.insert_consent(books, given))
