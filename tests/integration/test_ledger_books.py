"""The whole books in a real database: a year's story in four reports, entries by hand, reversals, and the proof."""

from __future__ import annotations

import hashlib
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import asyncpg
import pytest

from billing.costs.costing import add_cost, list_costs
from billing.costs.invoices import Paper
from billing.ledger import books
from billing.ledger import store as ledger_store
from billing.ledger.books import Side
from billing.ledger.entry import Account, Entry, EntryKind, Posting, receivable
from billing.ledger.reports import Report
from billing.run import close
from meter.ids import MemberId
from meter.postgres import connect, migrate
from meter.refusal import Refusal
from meter.window import Month
from tests.coop import CENT, NOVEMBER, NOW, OCTOBER, Coop, left_on
from tests.postgres import MIGRATIONS, TestServer

DECEMBER = Month(2026, 12)


def sides(*given: tuple[str, str]) -> list[Side]:
    """'-12.00' is a credit of 12.00."""
    return [Side(account, amount.removeprefix("-"), is_debit=amount[0] != "-") for account, amount in given]


async def by_hand(
    connection: asyncpg.Connection,
    *given: tuple[str, str],
    period: Month = NOVEMBER,
    key: str = "k",
    memo: str = "why",
) -> int:
    done = await books.post_by_hand(connection, sides(*given), period=period, memo=memo, key=key, now_us=NOW)
    return done.number


async def a_story(co_op: Coop) -> asyncpg.Connection:
    """October: use 15.00 and 9.00, costs 20.00, closed. November: paid by anna, suppliers paid, interest, new costs."""
    anna, ben = await co_op.found("anna", "ben")
    await co_op.use(anna, OCTOBER, 1500 * CENT)
    await co_op.use(ben, OCTOBER, 900 * CENT)
    connection = await co_op.books()
    await add_cost(connection, month=OCTOBER, pool="transit", amount="20.00", memo="", now_us=NOW)
    await close(connection, OCTOBER, now_us=NOW)
    await by_hand(connection, ("bank:main", "15.00"), ("receivable:member:1", "-15.00"), key="1")
    await by_hand(connection, ("payable:suppliers", "20.00"), ("bank:main", "-20.00"), key="2")
    await by_hand(connection, ("bank:main", "7.00"), ("income:interest", "-7.00"), key="3")
    await by_hand(connection, ("cost:power", "3.00"), ("payable:suppliers", "-3.00"), key="4")
    return connection


def lines(report: Report) -> dict[str, dict[str, int]]:
    return {one.name: dict(one.lines) for one in report.sections}


async def test_the_trial_balance_of_the_story(co_op: Coop) -> None:
    connection = await a_story(co_op)
    found = lines(await books.trial_balance(connection, NOVEMBER, by_member=False))
    # The month's surplus of 4.00 waits for the year; members' accounts of one kind are one line.
    assert {"bank:main": 200, "receivable:member:*": 900, "cost:power": 300} == {
        name: amount for name, amount in found["debit"].items() if amount
    }
    assert {"income:interest": 700, "payable:suppliers": 300, "surplus:undistributed": 400} == found["credit"]
    apart = lines(await books.trial_balance(connection, NOVEMBER, by_member=True))
    assert {"receivable:member:2": 900} == {
        name: amount for name, amount in apart["debit"].items() if name.startswith("receivable") and amount
    }


async def test_the_balance_sheet_of_the_story_at_two_moments(co_op: Coop) -> None:
    connection = await a_story(co_op)
    assert {
        "assets": {"receivable:member:*": 2400},
        "liabilities": {"payable:suppliers": 2000},
        "equity": {"surplus:undistributed": 400},
    } == lines(await books.balance_sheet(connection, OCTOBER))
    assert {
        "assets": {"bank:main": 200, "receivable:member:*": 900},
        "liabilities": {"payable:suppliers": 300},
        "equity": {"surplus:undistributed": 400, "result of what is not closed yet": 400},
    } == lines(await books.balance_sheet(connection, NOVEMBER))


async def test_the_income_statement_counts_closed_months_and_open_ones(co_op: Coop) -> None:
    connection = await a_story(co_op)
    report = await books.income_statement(connection, Month(2026, 1), NOVEMBER)
    assert {
        "income": {"income:interest": 700, "revenue:gb_out": 2400},
        "expenses": {"cost:power": 300, "cost:transit": 2000},
    } == lines(report)
    assert 800 == report.result_minor
    november = await books.income_statement(connection, NOVEMBER, NOVEMBER)
    assert 400 == november.result_minor


async def test_the_cash_flow_of_the_story(co_op: Coop) -> None:
    connection = await a_story(co_op)
    found = lines(await books.cash_flow(connection, NOVEMBER, NOVEMBER))
    assert {"income:interest": 700, "payable:suppliers": -2000, "receivable:member:*": 1500} == found[
        "from use, costs and taxes"
    ]
    assert {"at the beginning": 0, "change": 200} == found["money"]
    later = lines(await books.cash_flow(connection, DECEMBER, DECEMBER))
    assert {"at the beginning": 200, "change": 0} == later["money"]


async def test_reports_of_empty_books_are_empty(co_op: Coop) -> None:
    connection = await co_op.books()
    for report in (
        await books.trial_balance(connection, NOVEMBER, by_member=False),
        await books.balance_sheet(connection, NOVEMBER),
        await books.income_statement(connection, OCTOBER, NOVEMBER),
    ):
        assert [0] * len(report.sections) == [one.total_minor for one in report.sections]


async def test_an_entry_by_hand_is_booked_once(co_op: Coop) -> None:
    await co_op.found("anna")
    connection = await co_op.books()
    number = await by_hand(connection, ("cost:bank-fees", "1.50"), ("bank:main", "-1.50"), key="fees 2026-11")
    with pytest.raises(Refusal, match=f"key: 'fees 2026-11' was booked already, as entry {number}"):
        await by_hand(connection, ("cost:bank-fees", "1.50"), ("bank:main", "-1.50"), key="fees 2026-11")
    entry = await ledger_store.entry(connection, number)
    assert entry is not None
    assert (NOVEMBER, "manual", "why", (("cost:bank-fees", 150), ("bank:main", -150))) == (
        entry.month, entry.kind, entry.memo, tuple((one.account, one.amount_minor) for one in entry.postings),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([("bank:main", "1.00")], "an entry has two sides at least"),
        ([], "an entry has two sides at least"),
        ([("bank:main", "1.00"), ("income:grant", "-1.01")], "the credits are more than the debits, by 1 of"),
        ([("bank:main", "2.00"), ("income:grant", "-1.00")], "the debits are more than the credits, by 100 of"),
        ([("bank:main", "1.001"), ("income:grant", "-1.001")], "debit bank:main: '1.001' has 3 decimals"),
        ([("bank:main", "NaN"), ("income:grant", "-1")], "debit bank:main: 'NaN' is not a plain decimal"),
        ([("bank:main", "1e30"), ("income:grant", "-1")], "'1e30' is not a plain decimal"),
        ([("bank:main", "0"), ("income:grant", "-0")], "debit bank:main: an amount is more than 0"),
        ([("bank:main", "1"), ("slush:fund", "-1")], "credit: 'slush:fund' is no account of the books"),
        ([("bank:main", "1"), ("receivable:member:99", "-1")], "there is no member 99 in the register"),
        ([("bank:main", "1"), ("shares:member:1", "-1")], "shares:member:1 has a register beside it .* `weir share`"),
        ([("capital:member:1:2026:plain", "1"), ("bank:main", "-1")], "not posted to by hand; use `weir capital`"),
    ],
)  # fmt: skip
async def test_a_wrong_entry_by_hand_is_refused_with_its_field(
    co_op: Coop, given: list[tuple[str, str]], words: str
) -> None:
    await co_op.found("anna")
    connection = await co_op.books()
    with pytest.raises(Refusal, match=words):
        await by_hand(connection, *given)
    assert 0 == await connection.fetchval("SELECT count(*) FROM billing.entry")


async def test_an_entry_by_hand_needs_a_reason_and_an_open_month(co_op: Coop) -> None:
    connection = await a_story(co_op)
    for memo in ("", "  ", "two\nlines", "x" * 501):
        with pytest.raises(Refusal, match="memo: one line"):
            await by_hand(connection, ("bank:main", "1"), ("income:grant", "-1"), memo=memo, key="other")
    with pytest.raises(Refusal, match="2026-10 is closed; an entry goes into a month that is open"):
        await by_hand(connection, ("bank:main", "1"), ("income:grant", "-1"), period=OCTOBER, key="other")


async def test_without_a_tariff_the_books_have_no_currency(co_op: Coop) -> None:
    connection = await co_op.books()
    with pytest.raises(Refusal, match="the books have no currency yet"):
        await by_hand(connection, ("bank:main", "1"), ("income:grant", "-1"))


async def test_an_entry_is_reversed_once_in_the_first_open_month(co_op: Coop) -> None:
    await co_op.found("anna")
    connection = await co_op.books()
    number = await by_hand(
        connection, ("cost:power", "20.00"), ("payable:suppliers", "-20.00"), period=OCTOBER
    )
    await close(connection, OCTOBER, now_us=NOW)
    done = await books.reverse(connection, number, memo="sent twice", now_us=NOW)
    assert (NOVEMBER, "reversal", f"reverses entry {number} of 2026-10: sent twice") == (
        done.month, done.kind, done.memo,
    )  # fmt: skip
    assert (("cost:power", -2000), ("payable:suppliers", 2000)) == tuple(
        (one.account, one.amount_minor) for one in done.postings
    )
    with pytest.raises(Refusal, match=f"entry {number} was reversed already, as entry {done.number}"):
        await books.reverse(connection, number, memo="again", now_us=NOW)
    with pytest.raises(Refusal, match=f"entry {done.number} is a reversal"):
        await books.reverse(connection, done.number, memo="no", now_us=NOW)
    with pytest.raises(Refusal, match="there is no entry 999"):
        await books.reverse(connection, 999, memo="no", now_us=NOW)


async def test_what_an_invoice_booked_is_taken_back_by_a_credit_note_alone(co_op: Coop) -> None:
    """1,000.00 over October and November, of which 400.00 are credited: 600.00 are left to be taken back."""
    connection = await a_story(co_op)
    for month, amount, paper in (
        (NOVEMBER, "1000.00", Paper(service="2026-11..2026-12")),
        (NOVEMBER, "-400.00", Paper(credits=2)),
    ):
        await add_cost(
            connection, month=month, pool="rack", amount=amount, memo="", now_us=NOW, paper=paper
        )  # fmt: skip
    left = await left_on(connection)
    for key, words in (
        ("invoice:1", "invoice 1, .*`weir cost add --pool transit --amount -20.00 --credits 1`"),
        ("invoice:2:2026-11", "invoice 2, .*`weir cost add --pool rack --amount -600.00 --credits 2`"),
        ("invoice:2:2026-12", "invoice 2, .*`weir cost add --pool rack --amount -600.00 --credits 2`"),
        ("invoice:3", "credit note 3, .* `weir cost add --pool rack --amount 400.00`"),
    ):
        number = await ledger_store.key_number(connection, key)
        assert number is not None
        with pytest.raises(Refusal, match=f"entry {number} is of {words}"):
            await books.reverse(connection, number, memo="no", now_us=NOW)
    assert left == await left_on(connection)
    assert () == (await books.verify(connection)).told


async def test_an_invoice_that_older_books_reversed_is_told_and_never_taken_back_twice(co_op: Coop) -> None:
    """20.00 taken back in the ledger alone; then that is taken back, and a credit note takes it where all look."""
    connection = await a_story(co_op)
    await add_cost(connection, month=NOVEMBER, pool="rack", amount="20.00", memo="", now_us=NOW)
    number = await ledger_store.key_number(connection, "invoice:2")
    sides_ = (Posting(Account("cost:rack"), -2000), Posting(Account("payable:suppliers"), 2000))
    older = Entry(NOVEMBER, EntryKind.REVERSAL, "reverses it", sides_, f"reversal:{number}")
    back = await ledger_store.post(connection, older, now_us=NOW)
    found = await books.verify(connection)
    assert () == found.faults
    (told,) = found.told
    assert f"entry {back} took 20.00 EUR of invoice 2 back in the ledger alone" in told

    async def credit(amount: str) -> None:
        paper = Paper(credits=2)
        await add_cost(
            connection, month=NOVEMBER, pool="rack", amount=amount, memo="", now_us=NOW, paper=paper
        )  # fmt: skip

    with pytest.raises(Refusal, match=f"entry {back} took invoice 2 back in the ledger already"):
        await credit("-0.01")
    again = await books.reverse(connection, back, memo="by a credit note", now_us=NOW)
    with pytest.raises(Refusal, match=f"entry {again.number} is a reversal"):
        await books.reverse(connection, again.number, memo="no", now_us=NOW)
    assert () == (await books.verify(connection)).told
    assert 2000 == (await left_on(connection))["cost:rack"]
    await credit("-20.00")
    with pytest.raises(Refusal, match=r"of invoice 2 0\.00 EUR can be taken back"):
        await credit("-0.01")
    assert 0 == (await left_on(connection))["cost:rack"]
    assert [2000, -2000] == [one.amount_minor for one in await list_costs(connection, NOVEMBER)]


async def test_what_is_in_an_open_month_is_reversed_there_and_a_result_is_not(co_op: Coop) -> None:
    connection = await a_story(co_op)
    late = await by_hand(connection, ("bank:main", "1"), ("income:grant", "-1"), period=DECEMBER, key="late")
    assert DECEMBER == (await books.reverse(connection, late, memo="x", now_us=NOW)).month
    result = await ledger_store.key_number(connection, "result:2026-10")
    assert result is not None
    with pytest.raises(Refusal, match=f"entry {result} is a result, which follows from others"):
        await books.reverse(connection, result, memo="x", now_us=NOW)
    charge = await ledger_store.key_number(connection, "charge:2026-10:1")
    assert charge is not None
    with pytest.raises(
        Refusal, match=f"entry {charge} is of the charges of 2026-10, which members' statements"
    ):
        await books.reverse(connection, charge, memo="x", now_us=NOW)


async def test_a_reversal_stays_out_of_a_closed_year(co_op: Coop) -> None:
    await co_op.found("anna")
    connection = await co_op.books()
    number = await by_hand(connection, ("bank:main", "1"), ("income:grant", "-1"))
    await connection.execute(
        "INSERT INTO billing.closed_year VALUES (2026, '2026-01-01', '2026-12-01', now())"
    )
    assert Month(2027, 1) == (await books.reverse(connection, number, memo="x", now_us=NOW)).month


async def test_entries_are_found_by_what_they_are(co_op: Coop) -> None:
    connection = await a_story(co_op)

    async def found(**asked: object) -> list[str]:
        got = await ledger_store.entries(connection, **({"after": 0, "count_max": 50} | asked))  # type: ignore[arg-type]
        return [one.idempotency_key for one in got]

    every = await found()
    assert ["invoice:1", "charge:2026-10:1"] == every[:2]
    assert every[3:5] == await found(after=3, count_max=2)
    assert ["charge:2026-10:1", "manual:1"] == await found(account="receivable:member:1")
    assert ["charge:2026-10:1", "manual:1"] == await found(account="receivable:member")
    assert [] == await found(account="receivable:mem")
    assert ["charge:2026-10:1"] == await found(member=MemberId(2))
    assert ["invoice:1"] == await found(kind="invoice")
    assert ["manual:1", "manual:2", "manual:3", "manual:4"] == await found(period=NOVEMBER)


async def test_whole_books_verify_and_the_digest_is_the_head(co_op: Coop) -> None:
    connection = await a_story(co_op)
    told: list[tuple[int, int]] = []
    done = await books.verify(connection, tell=lambda done, whole: told.append((done, whole)))
    count = await connection.fetchval("SELECT count(*) FROM billing.entry")
    head = await connection.fetchval("SELECT encode(hash, 'hex') FROM billing.ledger_head")
    assert (count, 0, head, ()) == (done.entries, 0, done.digest, done.faults)
    assert [(count, count)] == told


@pytest.mark.parametrize(
    ("tampering", "words"),
    [
        ("UPDATE billing.posting SET amount_minor = amount_minor * 2 WHERE entry = 1", "entry 1 is not what its hash"),
        ("UPDATE billing.posting SET amount_minor = 1 WHERE entry = 1 AND place = 1", "entry 1 does not balance"),
        ("UPDATE billing.entry SET memo = 'other' WHERE number = 2", "entry 2 is not what its hash"),
        ("UPDATE billing.entry SET period = '2026-09-01' WHERE number = 2", "entry 2 is not what its hash"),
        ("DELETE FROM billing.posting WHERE entry = 3", "entry 3 has 0 of its 3 postings"),
        ("DELETE FROM billing.entry WHERE number = 3", "entry 3 is missing; entry 4 comes in its place"),
        ("DELETE FROM billing.entry WHERE number = 7", "the chain ends at entry 6"),
        ("UPDATE billing.entry SET hash = previous_hash WHERE number = 4", "entry 4 is not what its hash"),
        ("UPDATE billing.ledger_start SET hash = sha256('x')", "where the chain begins was changed"),
    ],
)  # fmt: skip
async def test_whoever_owns_the_machine_and_changes_the_past_is_seen(
    co_op: Coop, tampering: str, words: str
) -> None:
    connection = await a_story(co_op)
    assert 7 == await connection.fetchval("SELECT count(*) FROM billing.entry")
    owner = await co_op.owner()
    await owner.execute("SET session_replication_role = replica")  # triggers off: only a superuser can
    await owner.execute(tampering)
    done = await books.verify(connection)
    assert any(words in fault for fault in done.faults), done.faults


async def test_an_older_ledger_is_chained_on_from_what_it_held(
    postgres_server: TestServer, tmp_path: Path
) -> None:
    """Entries from before the chain: their digest is where it starts, and a later change of them is seen."""
    dsn = postgres_server.empty_database()
    before = tmp_path / "before"
    before.mkdir()
    for name in ("0001_billing.sql", "0002_portal.sql"):
        shutil.copy(MIGRATIONS[2][1] / name, before / name)
    owner = await connect(dsn)
    try:
        await migrate(owner, [*MIGRATIONS[:2], ("billing", before)])
        booked = datetime(2026, 10, 3, 4, 5, 6, 789, tzinfo=UTC)
        async with owner.transaction():
            await owner.execute(
                "INSERT INTO billing.entry (period, kind, memo, idempotency_key, postings, booked_at)"
                " VALUES ($1, 'invoice', 'ünï', 'invoice:1', 2, $2)", date(2026, 10, 1), booked,
            )  # fmt: skip
            await owner.execute(
                "INSERT INTO billing.posting VALUES (1, 1, 'cost:a', 5), (1, 2, 'payable:suppliers', -5)"
            )
        await migrate(owner, MIGRATIONS)
        text = (
            f"weir-entry-1\n1\n2026-10\ninvoice\n{int(booked.timestamp()) * 10**6 + 789}\n9:invoice:1\n3:ünï\n{'00' * 32}\n"
            "cost:a 5\npayable:suppliers -5"
        )
        start = await owner.fetchrow("SELECT number, hash FROM billing.ledger_start")
        assert (1, hashlib.sha256(text.encode()).digest()) == (start["number"], start["hash"])
        entry = Entry(
            OCTOBER,
            EntryKind.MANUAL,
            "m",
            (Posting(Account("cost:a"), 1), Posting(Account("cost:b"), -1)),
            "k",
        )
        assert 2 == await ledger_store.post(owner, entry, now_us=NOW)
        done = await books.verify(owner)
        assert (2, 1, ()) == (done.entries, done.before_chain, done.faults)
        await owner.execute("SET session_replication_role = replica")
        await owner.execute("UPDATE billing.posting SET account = 'cost:b' WHERE entry = 1 AND place = 1")
        assert "what was booked before the chain began was changed" in (await books.verify(owner)).faults
    finally:
        await owner.close()
        postgres_server.drop(dsn)


async def test_many_entries_are_written_in_order_and_whole_or_not_at_all(co_op: Coop) -> None:
    connection = await co_op.books()

    def charges(count: int, *, key: str = "c") -> list[Entry]:
        return [
            Entry(OCTOBER, EntryKind.CHARGE, "use", (Posting(receivable(MemberId(n)), n), Posting(Account("revenue:gb_out"), -n)), f"{key}:{n}")
            for n in range(1, count + 1)
        ]  # fmt: skip

    many = ledger_store.POSTINGS_A_BATCH // 2 + 10  # two batches
    assert many == await ledger_store.post_many(connection, charges(many), now_us=NOW)
    assert 0 == await ledger_store.post_many(await co_op.books(), [], now_us=NOW) - many
    doubled = [*charges(5, key="d"), *charges(1)]
    with pytest.raises(asyncpg.UniqueViolationError):
        await ledger_store.post_many(connection, doubled, now_us=NOW)
    assert many == await connection.fetchval("SELECT max(number) FROM billing.entry")
    done = await books.verify(connection)
    assert (many, ()) == (done.entries, done.faults)
