"""The story of a month in a real database: prices, costs, trial, close, statement, proof."""

from dataclasses import replace

import asyncpg
import pytest

from billing.canon import canonical, digest
from billing.costs.costing import add_cost, list_costs, tariff_in_force
from billing.month.proof import verify
from billing.run import (
    close,
    closing_document,
    past_statements,
    set_tariff,
    statement,
    trial,
)
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.usage import MemberClass
from meter.usage_store import period_usage
from meter.window import Month
from tests.coop import CENT, NOVEMBER, NOW, OCTOBER, SEPTEMBER, TARIFF, Coop, balances


async def a_month(co_op: Coop) -> tuple[asyncpg.Connection, list[MemberId]]:
    """The users of the reference closing (G18): charges 1,512.37, 903.11, 584.52, costs 2,280.00."""
    members = await co_op.found("anna", "ben", "chloe")
    for member, cents in zip(members, (151237, 90311, 58452), strict=True):
        await co_op.use(member, OCTOBER, cents * CENT)
    connection = await co_op.books()
    for pool, amount in (("transit", "2000.00"), ("disks", "280.00")):
        await add_cost(connection, month=OCTOBER, pool=pool, amount=amount, memo="invented", now_us=NOW)
    return connection, members


async def test_a_month_is_closed_and_allocates_nothing(co_op: Coop) -> None:
    connection, members = await a_month(co_op)
    done = await close(connection, OCTOBER, now_us=NOW)
    told = [await statement(connection, member, OCTOBER, now_us=NOW) for member in members]
    assert [151237, 90311, 58452] == [one["charges_minor"] for one in told]
    assert [72000] * 3 == [one["co_op"]["result_minor"] for one in told]
    assert all("share" not in one and "A month shares nothing out" in one["meaning"] for one in told)
    assert {("final", done.digest)} == {(one["kind"], one["digest"]) for one in told}


async def test_the_ledger_after_a_close_says_who_owes_and_who_owns_what(co_op: Coop) -> None:
    connection, _ = await a_month(co_op)
    await close(connection, OCTOBER, now_us=NOW)
    expected = {
        "cost:disks": 0, "cost:transit": 0, "payable:suppliers": -228000, "revenue:gb_out": 0,
        "receivable:member:1": 151237, "receivable:member:2": 90311, "receivable:member:3": 58452,
        "surplus:undistributed": -72000,
    }  # fmt: skip
    found = await balances(connection)
    assert expected == {account: debit - credit for account, (debit, credit) in found.items()}
    assert (28000, 28000) == found["cost:disks"]


async def test_a_trial_changes_nothing_and_says_what_the_close_will_say(co_op: Coop) -> None:
    connection, _ = await a_month(co_op)
    before = await trial(connection, OCTOBER, now_us=NOW)
    assert before == await trial(connection, OCTOBER, now_us=NOW)
    assert before.to_document() == (await close(connection, OCTOBER, now_us=NOW)).to_document()


async def test_a_month_is_closed_once(co_op: Coop) -> None:
    connection, _ = await a_month(co_op)
    first = await close(connection, OCTOBER, now_us=NOW)
    with pytest.raises(Refusal, match="2026-10 is closed already"):
        await close(connection, OCTOBER, now_us=NOW)
    assert first.digest == (await trial(connection, OCTOBER, now_us=NOW)).digest


async def test_a_month_that_still_runs_is_not_closed(co_op: Coop) -> None:
    connection, _ = await a_month(co_op)
    with pytest.raises(Refusal, match="2026-11 is not over yet"):
        await close(connection, NOVEMBER, now_us=NOW)


async def test_an_earlier_open_month_is_closed_first(co_op: Coop) -> None:
    connection, members = await a_month(co_op)
    await co_op.use(members[0], SEPTEMBER, CENT)
    with pytest.raises(Refusal, match="2026-09 is still open"):
        await close(connection, OCTOBER, now_us=NOW)


async def test_no_month_is_skipped_after_the_first_close(co_op: Coop) -> None:
    connection, _ = await a_month(co_op)
    await close(connection, OCTOBER, now_us=NOW)
    later = Month(2027, 2).start_us
    with pytest.raises(Refusal, match="2026-11 is still open"):
        await close(connection, Month(2026, 12), now_us=later)


async def test_two_closings_at_once_close_once(co_op: Coop) -> None:
    first, _ = await a_month(co_op)
    second = await co_op.books()
    transaction = first.transaction()
    await transaction.start()
    await close(first, OCTOBER, now_us=NOW)
    await second.execute("SET lock_timeout = '100ms'")
    with pytest.raises(asyncpg.LockNotAvailableError):
        await close(second, OCTOBER, now_us=NOW)
    await transaction.commit()
    with pytest.raises(Refusal, match="closed already"):
        await close(second, OCTOBER, now_us=NOW)


async def test_a_close_that_fails_leaves_nothing_half_done(co_op: Coop) -> None:
    connection, _ = await a_month(co_op)
    before = await balances(connection)
    owner = await co_op.owner()
    await owner.execute("ALTER TABLE billing.closing ADD CONSTRAINT planted CHECK (false)")
    with pytest.raises(asyncpg.CheckViolationError):
        await close(connection, OCTOBER, now_us=NOW)
    await owner.execute("ALTER TABLE billing.closing DROP CONSTRAINT planted")
    assert before == await balances(connection)
    assert "trial" == (await statement(connection, MemberId(1), OCTOBER, now_us=NOW))["kind"]


async def test_a_closed_month_takes_no_cost_and_no_tariff(co_op: Coop) -> None:
    connection, _ = await a_month(co_op)
    await close(connection, OCTOBER, now_us=NOW)
    with pytest.raises(Refusal, match="2026-10 is closed; book the invoice"):
        await add_cost(connection, month=OCTOBER, pool="late", amount="1", memo="", now_us=NOW)
    with pytest.raises(Refusal, match="a tariff can start in 2026-11 at the earliest"):
        await set_tariff(connection, TARIFF, now_us=NOW)


async def test_the_latest_tariff_of_a_month_is_in_force(co_op: Coop) -> None:
    await co_op.found("anna")
    connection = await co_op.books()
    await set_tariff(connection, TARIFF.replace('"1.00"', '"2.00"'), now_us=NOW)
    later = TARIFF.replace('"1.00"', '"3.00"').replace("2026-01", "2026-11")
    await set_tariff(connection, later, now_us=NOW)
    in_force = [(await tariff_in_force(connection, month)).prices["gb_out"] for month in (OCTOBER, NOVEMBER)]  # type: ignore[index]
    assert [2 * 10**9, 3 * 10**9] == in_force


async def test_another_currency_is_refused(co_op: Coop) -> None:
    await co_op.found("anna")
    connection = await co_op.books()
    with pytest.raises(Refusal, match="the books are kept in EUR, the tariff is in USD"):
        await set_tariff(connection, TARIFF.replace("EUR", "USD"), now_us=NOW)


async def test_without_a_tariff_nothing_is_billed(co_op: Coop) -> None:
    connection = await co_op.books()
    with pytest.raises(Refusal, match="no tariff is in force in 2026-10"):
        await add_cost(connection, month=OCTOBER, pool="rack", amount="1", memo="", now_us=NOW)


async def test_invoices_are_listed_as_they_were_booked(co_op: Coop) -> None:
    connection, _ = await a_month(co_op)
    listed = await list_costs(connection, OCTOBER)
    assert [(1, "transit", 200000), (2, "disks", 28000)] == [
        (one.number, one.pool, one.amount_minor) for one in listed
    ]
    assert listed == await list_costs(connection, None)
    assert [] == await list_costs(connection, NOVEMBER)


async def test_a_refused_invoice_leaves_no_gap_in_the_numbers(co_op: Coop) -> None:
    connection, _ = await a_month(co_op)
    with pytest.raises(Refusal, match="negative"):
        await add_cost(connection, month=OCTOBER, pool="rack", amount="-1", memo="", now_us=NOW)
    third = await add_cost(connection, month=OCTOBER, pool="rack", amount="1", memo="", now_us=NOW)
    assert 3 == third.number


async def test_the_same_counts_verify_and_one_byte_more_does_not(co_op: Coop) -> None:
    connection, (anna, ben, _) = await a_month(co_op)
    done = await close(connection, OCTOBER, now_us=NOW)
    counted = await period_usage(connection, OCTOBER)
    same = await verify(connection, anna, OCTOBER, counted, now_us=NOW)
    assert (True, done.digest, done.digest, []) == (
        same.agrees, same.stored_digest, same.recomputed_digest, same.differences,
    )  # fmt: skip
    more = counted | {ben: replace(counted[ben], bytes_out=counted[ben].bytes_out + 1)}
    other = await verify(connection, anna, OCTOBER, more, now_us=NOW)
    assert not other.agrees
    assert (
        "ben: bytes_out is 903110000000 in the statement and 903110000001 in the recount" in other.differences
    )
    assert other.recomputed_digest != done.digest


async def test_an_open_month_can_be_verified_too(co_op: Coop) -> None:
    connection, (anna, *_) = await a_month(co_op)
    counted = await period_usage(connection, OCTOBER)
    assert (await verify(connection, anna, OCTOBER, counted, now_us=NOW)).agrees
    assert not (await verify(connection, anna, OCTOBER, {}, now_us=NOW)).agrees


async def test_a_forged_statement_does_not_verify(co_op: Coop) -> None:
    connection, (anna, *_) = await a_month(co_op)
    await close(connection, OCTOBER, now_us=NOW)
    owner = await co_op.owner()
    await owner.execute("ALTER TABLE billing.charge DISABLE TRIGGER ALL")
    forged = """replace(document, '"amount_minor":151237', '"amount_minor":1')"""
    await owner.execute(
        f"UPDATE billing.charge SET document = {forged}, digest = sha256(convert_to({forged}, 'UTF8'))"
    )
    counted = await period_usage(connection, OCTOBER)
    told = await verify(connection, anna, OCTOBER, counted, now_us=NOW)
    assert not told.agrees
    assert "anna: the stored line is not what its usage and the tariff work out to" in told.differences
    assert "the statement of this member comes out differently" in told.differences


async def test_a_forged_page_does_not_verify(co_op: Coop) -> None:
    connection, (anna, *_) = await a_month(co_op)
    await close(connection, OCTOBER, now_us=NOW)
    owner = await co_op.owner()
    await owner.execute("ALTER TABLE billing.closing DISABLE TRIGGER ALL")
    await owner.execute("UPDATE billing.closing SET document = replace(document, '72000', '71000')")
    counted = await period_usage(connection, OCTOBER)
    told = await verify(connection, anna, OCTOBER, counted, now_us=NOW)
    assert "the stored closing is not what its own inputs work out to" in told.differences


async def test_what_an_older_weir_closed_is_shown_and_not_worked_out_again(co_op: Coop) -> None:
    connection, (anna, *_) = await a_month(co_op)
    owner = await co_op.owner()
    await owner.execute("ALTER TABLE billing.closing DISABLE TRIGGER ALL")
    await owner.execute("ALTER TABLE billing.statement DISABLE TRIGGER ALL")
    await owner.execute(
        "INSERT INTO billing.closing (period, document, digest, closed_at) VALUES ('2026-10-01',"
        """ '{"format":"weir-closing-1","month":"2026-10"}', repeat('a', 64), now())"""
    )
    older = '{"format":"weir-statement-1","period":"2026-10"}'
    await owner.execute(
        "INSERT INTO billing.statement VALUES ($1, '2026-10-01', $2, repeat('b', 64))", anna, older
    )
    assert older == canonical(await statement(connection, anna, OCTOBER, now_us=NOW))
    assert [older] == [canonical(one) for one in await past_statements(connection, anna, count_max=5)]
    assert "weir-closing-1" == (await closing_document(connection, OCTOBER) or {})["format"]
    for work in (trial(connection, OCTOBER, now_us=NOW), verify(connection, anna, OCTOBER, {}, now_us=NOW)):
        with pytest.raises(Refusal, match="2026-10 was closed by an older Weir"):
            await work


async def test_a_month_closed_in_other_words_stays_in_them_and_its_digest_too(co_op: Coop) -> None:
    """The words are those of the Weir before, which called a customer's 125.00 the members'."""
    connection, (anna, *_) = await a_month(co_op)
    (shop,) = await co_op.found("shop", member_class=MemberClass.CUSTOMER)
    await co_op.use(shop, OCTOBER, 12500 * CENT)
    done = await close(connection, OCTOBER, now_us=NOW)
    now = await statement(connection, anna, OCTOBER, now_us=NOW)
    assert ("weir-statement-3", 12500) == (now["format"], now["co_op"]["customers_charges_minor"])
    assert "members were charged 3,000.00 EUR and customers 125.00 EUR" in now["sentence"]
    counted = await period_usage(connection, OCTOBER)
    checked = await verify(connection, anna, OCTOBER, counted, now_us=NOW)
    assert (True, digest(canonical(now))) == (checked.agrees, checked.statement_digest)
    owner = await co_op.owner()
    await owner.execute("ALTER TABLE billing.closing DISABLE TRIGGER ALL")
    # As the migration leaves what was closed before it, and what an older Weir closes beside a newer one.
    await owner.execute("UPDATE billing.closing SET statement_format = DEFAULT")
    then = await statement(connection, anna, OCTOBER, now_us=NOW)
    assert (
        "You are one of 3 members. In October 2026 the service cost 2,280.00 EUR and members were charged 3,125.00 EUR: "
        "845.00 EUR is left over."
    ) == then["sentence"]
    assert ("weir-statement-2", done.digest, False) == (
        then["format"], then["digest"], "customers_charges_minor" in then["co_op"],
    )  # fmt: skip
    assert [then] == await past_statements(connection, anna, count_max=5)
    checked = await verify(connection, anna, OCTOBER, counted, now_us=NOW)
    assert (True, digest(canonical(then))) == (checked.agrees, checked.statement_digest)


async def test_a_month_before_the_co_op_is_not_called_a_closed_one(co_op: Coop) -> None:
    """The members came in September; October is the first month with anything in it."""
    connection, (anna, *_) = await a_month(co_op)
    await close(connection, OCTOBER, now_us=NOW)
    for month, why in (
        (Month(2019, 1), "2019-01 is before the co-op began, in 2026-09"),
        (Month(2026, 8), "2026-08 is before the co-op began, in 2026-09"),
        (SEPTEMBER, "2026-09 was closed without usage or costs"),
    ):
        with pytest.raises(Refusal, match=why):
            await statement(connection, anna, month, now_us=NOW)
        with pytest.raises(Refusal, match=why):
            await trial(connection, month, now_us=NOW)


async def test_a_month_not_begun_and_a_stranger_are_refused(co_op: Coop) -> None:
    connection, (anna, *_) = await a_month(co_op)
    with pytest.raises(Refusal, match="2026-12 has not begun"):
        await trial(connection, Month(2026, 12), now_us=NOW)
    with pytest.raises(Refusal, match="no statement for 2026-08"):
        await statement(connection, anna, Month(2026, 8), now_us=NOW)


async def test_a_closing_of_what_was_used_late_goes_to_the_next_month(co_op: Coop) -> None:
    connection, (anna, *_) = await a_month(co_op)
    await close(connection, OCTOBER, now_us=NOW)
    await co_op.use(anna, NOVEMBER, 5 * CENT)
    told = await statement(connection, anna, NOVEMBER, now_us=NOW)
    assert ("trial", 5) == (told["kind"], told["charges_minor"])
