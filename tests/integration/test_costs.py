"""Invoices, pools, credits, side income and true-ups in a real database, and what the books hold of them."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from pathlib import Path

import asyncpg
import pytest

from billing.charges.tariff import Service
from billing.costs import store as cost_store
from billing.costs.costing import (
    add_cost,
    add_credit,
    add_income,
    credits_of_invoice,
    list_costs,
    set_pool,
    show_cost,
)
from billing.costs.entries import IncomeKind
from billing.costs.invoices import Paper
from billing.costs.run import figures, keyless_pools, post_trueup, shared, suggest, trueups
from billing.costs.variance import added_up, by_pool, by_service
from billing.document import Document
from billing.documents import fetch, keep, path_of, problem
from billing.run import close, statement
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.sample_store import has_samples, prune
from meter.window import DAY_US, SLOT_US, Month, to_datetime
from tests.coop import CENT, NOVEMBER, NOW, OCTOBER, SEPTEMBER, Coop, left_on

GB = 10**9


async def balances(connection: asyncpg.Connection) -> dict[str, int]:
    """Account → debits less credits, those at zero left out."""
    found = await left_on(connection)
    return {account: amount for account, amount in found.items() if amount}


async def cost(
    connection: asyncpg.Connection, pool: str, amount: str, month: Month = OCTOBER, **paper: object
) -> int:
    booked = await add_cost(
        connection, month=month, pool=pool, amount=amount, memo="invented", now_us=NOW, paper=Paper(**paper)  # type: ignore[arg-type]
    )  # fmt: skip
    return booked.number


async def test_an_invoice_of_a_year_is_borne_by_its_months_by_days(co_op: Coop) -> None:
    """365.00 for 2027: a day is 1.00, so a month bears as many as it has days."""
    await co_op.found("anna")
    books = await co_op.books()
    number = await cost(books, "rack", "365.00", Month(2027, 1), service="2027-01..2027-12")
    _, parts = await show_cost(books, number)
    assert [3100, 2800, 3100, 3000, 3100, 3000, 3100, 3100, 3000, 3100, 3000, 3100] == list(parts.values())
    (february,) = await list_costs(books, Month(2027, 2))
    assert (number, 2800) == (february.number, february.amount_minor)
    assert {"cost:rack": 36_500, "payable:suppliers": -36_500} == await balances(books)


async def test_what_a_closed_month_would_bear_falls_to_the_first_open_one(co_op: Coop) -> None:
    """61 days of October and November at 1.00, booked once October is closed."""
    await co_op.found("anna")
    books = await co_op.books()
    await close(books, OCTOBER, now_us=NOW)
    number = await cost(books, "rack", "61.00", NOVEMBER, service="2026-10-01..2026-11-30")
    assert {NOVEMBER: 6100} == (await show_cost(books, number))[1]


async def test_a_credit_note_takes_back_no_more_than_its_invoice(co_op: Coop) -> None:
    await co_op.found("anna")
    books = await co_op.books()
    number = await cost(books, "transit", "100.00")
    await cost(books, "transit", "-60.00", credits=number)
    assert [10_000, -6000] == [one.amount_minor for one in await list_costs(books, OCTOBER)]
    assert {"cost:transit": 4000, "payable:suppliers": -4000} == await balances(books)
    for amount, pool, credited, words in (
        ("-40.01", "transit", number, r"amount: of invoice 1 40\.00 EUR can be taken back"),
        ("40.00", "transit", number, "amount: a credit note is less than 0"),
        ("-40.00", "rack", number, "pool: invoice 1 is in pool transit"),
        ("-40.00", "transit", 9, "credits: there is no invoice 9"),
        ("-1.00", "transit", 2, "credits: 2 is a credit note itself"),
    ):
        with pytest.raises(Refusal, match=words):
            await cost(books, pool, amount, credits=credited)
    assert 2 == len(await list_costs(books, None))
    assert ([(2, OCTOBER, -6000)], 4000) == await credits_of_invoice(books, 1)
    assert ([], None) == await credits_of_invoice(books, 2)


async def test_a_document_is_kept_by_its_content_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    paper = tmp_path / "bill.pdf"
    paper.write_bytes(b"abc")
    kept = keep(tmp_path, paper, bytes_max=3)
    # FIPS 180-2, appendix B.1: SHA-256 of "abc".
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert Document(digest, "bill.pdf", 3) == kept == keep(tmp_path, paper, bytes_max=3)
    assert b"abc" == fetch(tmp_path, kept)
    path = path_of(tmp_path, digest)
    path.chmod(0o600)
    path.write_bytes(b"abd")
    with pytest.raises(Refusal, match="was changed"):
        fetch(tmp_path, kept)
    assert "was changed" in (problem(tmp_path, kept) or "")
    path.unlink()
    with pytest.raises(Refusal, match="cannot be read"):
        fetch(tmp_path, kept)
    assert "cannot be read" in (problem(tmp_path, kept) or "")


async def test_a_document_of_before_is_found_where_it_lay_and_not_kept_twice(tmp_path: Path) -> None:
    paper = tmp_path / "minutes.txt"
    paper.write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    flat = tmp_path / "documents" / digest
    flat.parent.mkdir()
    flat.write_bytes(b"abc")
    kept = keep(tmp_path, paper, bytes_max=3)
    assert (b"abc", None) == (fetch(tmp_path, kept), problem(tmp_path, kept))
    assert [flat] == [one for one in flat.parent.rglob("*") if one.is_file()]


async def test_a_document_that_is_too_large_or_none_is_refused(tmp_path: Path) -> None:
    paper = tmp_path / "bill.pdf"
    for content, words in ((b"abcd", "larger than paper_bytes_max, 3 bytes"), (b"", "is empty")):
        paper.write_bytes(content)
        with pytest.raises(Refusal, match=words):
            keep(tmp_path, paper, bytes_max=3)
    with pytest.raises(Refusal, match="cannot be read"):
        keep(tmp_path, tmp_path / "nothing.pdf", bytes_max=3)


async def test_the_books_name_a_document_with_its_hash(co_op: Coop) -> None:
    await co_op.found("anna")
    books = await co_op.books()
    paper = Document("a" * 64, "bill.pdf", 7)
    number = await cost(books, "rack", "1.00", supplier="Rack Ltd", dated="2026-10-31", document=paper)
    found, _ = await show_cost(books, number)
    assert ("Rack Ltd", date(2026, 10, 31), paper) == (found.supplier, found.dated, found.document)


async def a_month(co_op: Coop) -> tuple[asyncpg.Connection, list[MemberId]]:
    """Charges 6.00 and 4.00; transit 5.00 by GB, staff 2.00 equally."""
    members = await co_op.found("anna", "ben")
    for member, cents in zip(members, (600, 400), strict=True):
        await co_op.use(member, OCTOBER, cents * CENT)
    books = await co_op.books()
    for pool, amount, key in (("transit", "5.00", "gb_out"), ("staff", "2.00", "equal")):
        await cost(books, pool, amount)
        await set_pool(books, name=pool, month=SEPTEMBER, key=key, memo="", now_us=NOW)
    return books, members


async def test_a_month_s_pools_are_shared_by_their_keys(co_op: Coop) -> None:
    books, (anna, ben) = await a_month(co_op)
    done = await shared(books, OCTOBER, now_us=NOW)
    assert {"staff": {anna: 100, ben: 100}, "transit": {anna: 300, ben: 200}} == done.parts


async def test_a_pool_s_key_holds_from_its_month_on_and_the_last_one_set_counts(co_op: Coop) -> None:
    books, _ = await a_month(co_op)
    for month, key in ((NOVEMBER, "p95:internet"), (OCTOBER, "gb_in"), (OCTOBER, "equal")):
        await set_pool(books, name="transit", month=month, key=key, memo="decided", now_us=NOW)
    keys = [(await cost_store.pool_keys(books, one))["transit"] for one in (SEPTEMBER, OCTOBER, NOVEMBER)]
    assert ["gb_out", "equal", "p95:internet"] == keys
    assert 4 == len(await cost_store.pool_history(books, "transit"))


async def test_a_pool_without_a_key_is_named(co_op: Coop) -> None:
    books, _ = await a_month(co_op)
    await cost(books, "power", "1.00")
    with pytest.raises(Refusal, match="pool power: it has no key in 2026-10"):
        await shared(books, OCTOBER, now_us=NOW)


async def test_a_pool_without_a_key_in_a_closed_month_is_given_one_and_no_other_after_it(co_op: Coop) -> None:
    """power cost 1.00 and had no key: equally it is 0.50 each, beside 4.00 and 3.00 of the pools that had one."""
    books, (anna, ben) = await a_month(co_op)
    await cost(books, "power", "1.00")
    done = await close(books, OCTOBER, now_us=NOW)
    for refused in (trueups, shared, post_trueup):
        with pytest.raises(Refusal, match="pool power: it has no key in 2026-10"):
            await refused(books, OCTOBER, now_us=NOW)
    assert ["power"] == await keyless_pools(books, OCTOBER, done.costs)
    await set_pool(books, name="power", month=OCTOBER, key="equal", memo="", now_us=NOW)
    assert [] == await keyless_pools(books, OCTOBER, done.costs)
    assert {
        "staff": {anna: 100, ben: 100},
        "transit": {anna: 300, ben: 200},
        "power": {anna: 50, ben: 50},
    } == (await shared(books, OCTOBER, now_us=NOW)).parts
    assert [450, 350] == [one.cost_minor for one in await trueups(books, OCTOBER, now_us=NOW)]
    assert 800 == sum(one.cost_minor for one in by_pool(await figures(books, OCTOBER, now_us=NOW)))
    with pytest.raises(Refusal, match="2026-10 is closed; let the key begin in a month that is open"):
        await set_pool(books, name="power", month=OCTOBER, key="gb_out", memo="", now_us=NOW)
    with pytest.raises(asyncpg.PostgresError, match="the month 2026-10 is closed"):
        await cost_store.insert_pool(
            books, name="power", month=OCTOBER, key="gb_out", memo="", now_us=NOW
        )  # fmt: skip


async def test_a_true_up_keeps_what_it_was_posted_by_whatever_key_begins_in_its_month(co_op: Coop) -> None:
    """A pool that had no key then had no cost either, or the true-up would have been refused."""
    books, _ = await a_month(co_op)
    await close(books, OCTOBER, now_us=NOW)
    await post_trueup(books, OCTOBER, now_us=NOW)
    before = await trueups(books, OCTOBER, now_us=NOW)
    assert [400, 300] == [one.cost_minor for one in before]
    await cost(books, "power", "1.00", NOVEMBER)
    await set_pool(books, name="power", month=SEPTEMBER, key="gb_out", memo="", now_us=NOW)
    await set_pool(books, name="transit", month=Month(2026, 8), key="equal", memo="", now_us=NOW)
    assert before == await trueups(books, OCTOBER, now_us=NOW)


@pytest.mark.parametrize(
    ("key", "parts", "equally"),
    [
        ("gb_in", [250, 250], 1),  # nobody received anything
        ("equal:worker", [250, 250], 1),  # nobody is a worker
        ("50 % gb_out + 50 % gb_in", [275, 225], 1),  # 2.50 by 6 to 4, 2.50 equally
        ("fee 5.01 + gb_out", [250, 250], 0),  # the fee is all of the cost
        ("gb_out", [300, 200], 0),
    ],
)
async def test_what_a_closed_month_s_key_cannot_share_is_shared_equally(
    co_op: Coop, key: str, parts: list[int], equally: int
) -> None:
    books, members = await a_month(co_op)
    await set_pool(books, name="transit", month=OCTOBER, key=key, memo="", now_us=NOW)
    if parts != [300, 200]:
        with pytest.raises(Refusal, match="pool transit: "):
            await shared(books, OCTOBER, now_us=NOW)
    await close(books, OCTOBER, now_us=NOW)
    done = await shared(books, OCTOBER, now_us=NOW)
    assert parts == [done.parts["transit"][one] for one in members]
    assert equally == len(done.equally.get("transit", ()))
    assert [part + 100 for part in parts] == [
        one.cost_minor for one in await trueups(books, OCTOBER, now_us=NOW)
    ]


async def test_the_peak_is_shared_by_who_made_it(co_op: Coop) -> None:
    """In October's 8,928 samples 500 are busy; 446 are dropped, so the 54th busiest from below is billed, and the
    band of 89 below it takes all 54. Sample n moves n MB: anna alone in those with n ≤ 54, ben alone in the rest.
    """
    books, (anna, ben) = await a_month(co_op)
    meter = await co_op.connection("weir_meter")
    await meter.executemany(
        "INSERT INTO meter.sample_2026_10 VALUES ('2026-10-01', $1, $2, 0, 0, $3)",
        [
            (to_datetime(OCTOBER.start_us + n * SLOT_US), anna if n <= 54 else ben, n * 10**6)
            for n in range(1, 501)
        ],
    )
    await set_pool(books, name="transit", month=OCTOBER, key="p95", memo="", now_us=NOW)
    done = await shared(books, OCTOBER, now_us=NOW)
    assert {anna: 500} == done.parts["transit"]
    (line,) = done.lines.values()
    assert (8928, 54 * 10**6, 54) == (line.samples, line.billed_bytes, len(line.band))


async def test_without_samples_a_peak_is_not_guessed(co_op: Coop) -> None:
    books, _ = await a_month(co_op)
    await set_pool(books, name="transit", month=OCTOBER, key="p95", memo="", now_us=NOW)
    with pytest.raises(
        Refusal, match="pool transit: nobody used anything that its key p95 counts in 2026-10"
    ):
        await shared(books, OCTOBER, now_us=NOW)
    owner = await co_op.owner()
    await owner.execute("DROP TABLE meter.sample_2026_10")
    with pytest.raises(Refusal, match="there are no 5-minute samples of 2026-10"):
        await shared(books, OCTOBER, now_us=NOW)


async def test_a_true_up_gives_back_what_was_charged_above_cost_once(co_op: Coop) -> None:
    """anna was charged 6.00 and cost 4.00, ben was charged 4.00 and cost 3.00."""
    books, (anna, ben) = await a_month(co_op)
    with pytest.raises(Refusal, match="2026-10 is open"):
        await trueups(books, OCTOBER, now_us=NOW)
    await close(books, OCTOBER, now_us=NOW)
    before = await balances(books)
    assert [(anna, 600, 400), (ben, 400, 300)] == [
        (one.member, one.charged_minor, one.cost_minor) for one in await trueups(books, OCTOBER, now_us=NOW)
    ]
    booked, _ = await post_trueup(books, OCTOBER, now_us=NOW)
    after = await balances(books)
    moved = {
        one: after.get(one, 0) - before.get(one, 0) for one in after if after.get(one) != before.get(one)
    }
    assert NOVEMBER == booked
    assert {"adjustment:trueup": 300, "receivable:member:1": -200, "receivable:member:2": -100} == moved
    with pytest.raises(Refusal, match="the prices of 2026-10 were adjusted already"):
        await post_trueup(books, OCTOBER, now_us=NOW)
    assert after == await balances(books)


async def test_what_was_charged_is_held_against_what_it_cost(co_op: Coop) -> None:
    """10.00 was charged for sending; it cost 5.00, and bears the 2.00 of staff, for it alone costs anything."""
    books, _ = await a_month(co_op)
    found = await figures(books, OCTOBER, now_us=NOW)
    (service,) = by_service(found)
    assert ("gb_out", 1000, 700, 300, True) == (
        service.name, service.collected_minor, service.cost_minor, service.difference_minor, service.is_flagged,
    )  # fmt: skip
    assert {"staff": (286, 200), "transit": (714, 500)} == {
        one.name: (one.collected_minor, one.cost_minor) for one in by_pool(found)
    }
    (twice,) = added_up([by_service(found)] * 2)
    assert (2000, 1400) == (twice.collected_minor, twice.cost_minor)


async def test_a_suggested_price_is_unit_cost_and_reserve(co_op: Coop) -> None:
    """7.00 for 10 GB is 0.70 a GB; with 5 % on top 0.735."""
    books, _ = await a_month(co_op)
    months, found, made = await suggest(
        books, Month(2027, 1), quarters=1, reserve=Fraction(5, 100), now_us=Month(2027, 1).start_us
    )
    assert ([OCTOBER], Month(2027, 1)) == ([one.month for one in months], made.effective_from)
    assert "0.735" == made.price_text(Service.GB_OUT)
    # Nothing was received, so there is no unit cost, and the price stays.
    assert [None] == [one.unit_cost_minor for one in found if one.service is Service.GB_IN]
    with pytest.raises(Refusal, match="no costs are booked in the months before 2026-07"):
        await suggest(books, Month(2026, 7), quarters=1, reserve=Fraction(0), now_us=NOW)


async def test_a_credit_is_a_line_of_the_statement_and_of_the_result(co_op: Coop) -> None:
    books, (anna, _) = await a_month(co_op)
    await add_credit(books, member=anna, month=OCTOBER, amount="1.50", reason="outage of the 3rd", now_us=NOW)
    done = await close(books, OCTOBER, now_us=NOW)
    told = await statement(books, anna, OCTOBER, now_us=NOW)
    assert ("Credit 1: outage of the 3rd", -150, 450) == (
        told["lines"][-1]["words"], told["lines"][-1]["amount_minor"], told["charges_minor"],
    )  # fmt: skip
    assert 850 == done.result.charges_minor
    with pytest.raises(Refusal, match="2026-10 is closed; let the key begin in a month that is open"):
        await set_pool(books, name="transit", month=OCTOBER, key="equal", memo="", now_us=NOW)
    with pytest.raises(Refusal, match="2026-10 is closed; give the credit in a month that is open"):
        await add_credit(books, member=anna, month=OCTOBER, amount="1.50", reason="late", now_us=NOW)


@pytest.mark.parametrize(
    ("amount", "reason", "words"),
    [
        ("0", "x", "amount: a credit is more than 0"),
        ("-1", "x", "amount: '-1' is negative"),
        ("NaN", "x", "amount: 'NaN' is not a plain decimal"),
        ("1", " ", "reason: a credit says why"),
        ("1", "x\ny", "reason: one line"),
    ],
)
async def test_a_wrong_credit_is_refused(co_op: Coop, amount: str, reason: str, words: str) -> None:
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    with pytest.raises(Refusal, match=words):
        await add_credit(books, member=anna, month=OCTOBER, amount=amount, reason=reason, now_us=NOW)
    assert [] == await cost_store.credits_of(books, None)


async def test_side_income_stands_on_an_account_of_its_kind(co_op: Coop) -> None:
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    for kind, amount, owed_by in (
        ("interest", "20.00", None),
        ("grant", "5.00", anna),
        ("interest", "1.00", None),
    ):
        await add_income(books, month=OCTOBER, kind=kind, amount=amount, memo="", owed_by=owed_by, now_us=NOW)
    assert {
        "bank:main": 2100,
        "receivable:member:1": 500,
        "income:interest": -2100,
        "income:grant": -500,
    } == (await balances(books))
    listed = await cost_store.incomes(books, OCTOBER)
    assert [("interest", 2000), ("grant", 500), ("interest", 100)] == [(one[2], one[3]) for one in listed]
    assert IncomeKind("interest") is IncomeKind.INTEREST
    for kind, amount, words in (
        ("wages", "1", "kind: 'wages' is none; it is interest, grant, gain, other"),
        ("grant", "0", "amount: income is more than 0"),
        ("grant", "1e30", "amount: '1e30' is not a plain decimal"),
    ):
        with pytest.raises(Refusal, match=words):
            await add_income(
                books, month=OCTOBER, kind=kind, amount=amount, memo="", owed_by=None, now_us=NOW
            )


ATTACKS = [
    "UPDATE billing.invoice_part SET amount_minor = 1",
    "DELETE FROM billing.invoice_part",
    "TRUNCATE billing.invoice_part",
    "UPDATE billing.pool SET key = 'equal'",
    "DELETE FROM billing.pool",
    "UPDATE billing.credit SET amount_minor = 1",
    "DELETE FROM billing.credit",
    "UPDATE meter.sample SET bytes_out = 0",
    "DELETE FROM meter.sample",
    "UPDATE meter.sample_2026_10 SET bytes_out = 0",
    "SELECT meter.drop_samples('2026-09-01')",
    "SELECT meter.make_sample_month('2031-01-01')",
    "ALTER TABLE billing.credit DISABLE TRIGGER ALL",
]
INVOICE = (
    "INSERT INTO billing.invoice (period, pool, amount_minor, currency, memo, booked_at, credits, parts)"
)
PART = "INSERT INTO billing.invoice_part VALUES (2, 1, '2026-11-01', 4)"
REFUSED = [
    ("INSERT INTO billing.invoice_part VALUES (1, 3, '2026-11-01', 5)", "has no place for a part 3"),
    ("INSERT INTO billing.pool VALUES (9, 'rack', '2026-10-01', 'equal', '', now())", "2026-10 is closed"),
    ("INSERT INTO billing.credit VALUES (9, 1, '2026-10-01', 5, 'EUR', 'x', now())", "2026-10 is closed"),
    ("INSERT INTO billing.credit VALUES (9, 1, '2026-11-01', -5, 'EUR', 'x', now())", "amount_minor_check"),
    (f"{INVOICE} VALUES ('2026-11-01', 'rack', -5, 'EUR', '', now(), NULL, 0)", "invoice_amount_minor_check"),
    (
        f"{INVOICE} VALUES ('2026-11-01', 'rack', -6101, 'EUR', '', now(), 1, 0)",
        "take back more than invoice 1 was",
    ),
    (f"{INVOICE} VALUES ('2026-11-01', 'disks', -5, 'EUR', '', now(), 1, 0)", "an invoice of its own pool"),
    (
        f"{INVOICE} VALUES ('2026-11-01', 'rack', 5, 'EUR', '', now(), NULL, 2)",
        "invoice 2 has 0 of its 2 parts",
    ),
    (
        f"{INVOICE} VALUES ('2026-11-01', 'rack', 5, 'EUR', '', now(), NULL, 1);{PART}",
        "its parts sum to 4",
    ),
]


async def a_closed_month(co_op: Coop) -> asyncpg.Connection:
    (anna,) = await co_op.found("anna")
    await co_op.use(anna, OCTOBER, CENT)
    books = await co_op.books()
    await cost(books, "rack", "61.00", service="2026-10-01..2026-11-30")
    await set_pool(books, name="rack", month=OCTOBER, key="equal", memo="", now_us=NOW)
    await add_credit(books, member=anna, month=OCTOBER, amount="0.01", reason="x", now_us=NOW)
    await close(books, OCTOBER, now_us=NOW)
    return books


async def test_no_role_changes_what_was_booked(co_op: Coop) -> None:
    books = await a_closed_month(co_op)
    for attack in ATTACKS:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await books.execute(attack)
    owner = await co_op.owner()
    for attack in ATTACKS[:9]:
        with pytest.raises(asyncpg.RaiseError, match=r"only added to|is written by"):
            await owner.execute(attack)


async def test_what_contradicts_itself_is_refused_by_the_database(co_op: Coop) -> None:
    books = await a_closed_month(co_op)
    for attack, words in REFUSED:
        with pytest.raises(asyncpg.PostgresError, match=words):
            await books.execute(attack)


async def test_samples_go_only_when_their_month_is_closed_and_old(co_op: Coop) -> None:
    from_meter = await co_op.connection("weir_meter")
    await a_closed_month(co_op)
    with pytest.raises(asyncpg.RaiseError, match="2026-11 is open, and its samples stay"):
        await from_meter.execute("SELECT meter.drop_samples('2026-11-01')")
    early = Month(2027, 1).start_us + DAY_US
    assert [] == await prune(from_meter, keep_months=0, now_us=early)
    assert [] == await prune(from_meter, keep_months=3, now_us=early)
    assert await has_samples(from_meter, OCTOBER)
    assert [OCTOBER] == await prune(from_meter, keep_months=2, now_us=early)
    assert not await has_samples(from_meter, OCTOBER)
    assert [] == await prune(from_meter, keep_months=2, now_us=early)
