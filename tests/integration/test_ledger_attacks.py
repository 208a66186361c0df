"""Invariants 4 and 6 attacked in SQL: with billing's own role, and where its grants would hide it, as the owner."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime

import asyncpg
import pytest

from billing.costs.costing import add_cost
from billing.run import close
from tests.coop import CENT, NOVEMBER, NOW, OCTOBER, Coop

TABLES = {
    "tariff": "currency", "invoice": "memo", "closing": "digest", "statement": "digest", "entry": "memo",
    "posting": "account", "charge": "document", "closed_year": "year",
}  # fmt: skip
UNBALANCED = [
    ((100, -99), 2, "does not balance: its postings sum to 1"),
    ((100,), 2, "has 1 of its 2 postings"),
    ((), 2, "has 0 of its 2 postings"),
    ((100, -50, -50), 2, "has 3 of its 2 postings"),
    ((100, -100), 1, "postings_check"),
    ((100, -100, 0), 3, "amount_minor_check"),
]
BOOKED = datetime(2026, 11, 5, 12, 0, 0, 7, tzinfo=UTC)


async def a_closed_month(co_op: Coop) -> asyncpg.Connection:
    (anna,) = await co_op.found("anna")
    await co_op.use(anna, OCTOBER, 500 * CENT)
    connection = await co_op.books()
    await add_cost(connection, month=OCTOBER, pool="rack", amount="1.00", memo="", now_us=NOW)
    await close(connection, OCTOBER, now_us=NOW)
    return connection


def planted_hash(
    number: int, month: int, key: str, memo: str, previous: bytes, sides: Sequence[tuple[str, int]]
) -> bytes:
    """The hash of a planted entry, written down from the ledger's page and not from the code."""
    booked_us = int(BOOKED.timestamp()) * 10**6 + BOOKED.microsecond
    lines = [
        "weir-entry-1", str(number), f"2026-{month:02d}", "planted", str(booked_us), f"{len(key)}:{key}",
        f"{len(memo)}:{memo}", previous.hex(), *(f"{account} {amount}" for account, amount in sides),
    ]  # fmt: skip
    return hashlib.sha256("\n".join(lines).encode("utf-8")).digest()


async def entry(
    connection: asyncpg.Connection,
    *amounts: int,
    postings: int = 2,
    month: int = 11,
    key: str = "planted",
    memo: str = "",
    **wrong: object,
) -> None:
    """One transaction that writes an entry and postings of these amounts; `wrong` replaces what the chain asks."""
    async with connection.transaction():
        await connection.execute("SELECT billing.lock_books()")
        head = await connection.fetchrow("SELECT * FROM billing.ledger_head")
        sides = [(f"cost:planted-{place}", amount) for place, amount in enumerate(amounts, 1)]
        number = wrong.get("number", head["posted"] + 1)
        previous = wrong.get("previous", head["hash"])
        digest = wrong.get("digest", planted_hash(number, month, key, memo, previous, sides))  # type: ignore[arg-type]
        await connection.execute(
            "INSERT INTO billing.entry (number, period, kind, memo, idempotency_key, postings, booked_at,"
            " previous_hash, hash) VALUES ($1, $2, 'planted', $3, $4, $5, $6, $7, $8)",
            number, date(2026, month, 1), memo, key, postings, BOOKED, previous, digest,
        )  # fmt: skip
        for place, (account, amount) in enumerate(sides, 1):
            await connection.execute(
                "INSERT INTO billing.posting VALUES ($1, $2, $3, $4)", number, place, account, amount
            )


async def test_a_balanced_entry_is_taken_with_the_next_number(co_op: Coop) -> None:
    connection = await a_closed_month(co_op)
    last = await connection.fetchval("SELECT max(number) FROM billing.entry")
    await entry(connection, 100, -60, -40, postings=3)
    rows = await connection.fetch("SELECT number FROM billing.entry ORDER BY number")
    assert [*range(1, last + 2)] == [row["number"] for row in rows]


async def test_an_unbalanced_entry_is_refused(co_op: Coop) -> None:
    connection = await co_op.books()
    for amounts, postings, words in UNBALANCED:
        with pytest.raises(asyncpg.PostgresError, match=words):
            await entry(connection, *amounts, postings=postings)
    assert 0 == await connection.fetchval("SELECT count(*) FROM billing.entry")


async def test_nothing_is_added_to_an_entry_after_it_was_checked(co_op: Coop) -> None:
    connection = await co_op.books()
    transaction = connection.transaction()
    await transaction.start()
    await entry(connection, 100, -100)
    await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(asyncpg.PostgresError, match="entry 1 is complete; it takes no further posting"):
        await connection.execute("INSERT INTO billing.posting VALUES (1, 3, 'cost:x', 5)")
    await transaction.rollback()


async def test_an_entry_of_a_closed_month_gets_no_posting(co_op: Coop) -> None:
    connection = await a_closed_month(co_op)
    with pytest.raises(asyncpg.PostgresError, match="entry 1 is complete"):
        await connection.execute("INSERT INTO billing.posting VALUES (1, 3, 'cost:x', 5)")


async def test_a_posting_without_its_entry_is_refused(co_op: Coop) -> None:
    connection = await co_op.books()
    await entry(connection, 100, -100)
    for number in (2, 0, -1):
        with pytest.raises(
            asyncpg.PostgresError, match=f"there is no entry {number}|entry {number} is complete"
        ):
            await connection.execute("INSERT INTO billing.posting VALUES ($1, 1, 'cost:x', 5)", number)


async def test_an_entry_dated_into_a_closed_month_is_refused(co_op: Coop) -> None:
    connection = await a_closed_month(co_op)
    for month in (9, 10):
        with pytest.raises(asyncpg.PostgresError, match=f"the month 2026-{month:02d} is closed"):
            await entry(connection, 100, -100, month=month)
    await entry(connection, 100, -100, month=11)


async def test_a_doubled_key_is_refused(co_op: Coop) -> None:
    connection = await co_op.books()
    await entry(connection, 100, -100, key="once")
    with pytest.raises(asyncpg.UniqueViolationError):
        await entry(connection, 100, -100, key="once")


async def test_an_entry_dated_into_a_closed_year_is_refused(co_op: Coop) -> None:
    connection = await co_op.books()
    await connection.execute(
        "INSERT INTO billing.closed_year VALUES (2026, '2025-11-01', '2026-10-01', now())"
    )
    with pytest.raises(asyncpg.PostgresError, match="the month 2026-10 lies in a fiscal year that is closed"):
        await entry(connection, 100, -100, month=10)
    await entry(connection, 100, -100, month=11)


async def test_a_year_is_closed_once_and_in_order(co_op: Coop) -> None:
    connection = await co_op.books()
    year = "INSERT INTO billing.closed_year VALUES ($1, $2, $3, now())"
    await connection.execute(year, 2026, date(2026, 1, 1), date(2026, 12, 1))
    for number, first, last in ((2026, 2027, 2027), (2027, 2026, 2027), (2025, 2025, 2025)):
        with pytest.raises(asyncpg.PostgresError, match=f"the fiscal year {number} is closed, or one after"):
            await connection.execute(year, number, date(first, 1, 1), date(last, 12, 1))


async def test_the_chain_takes_what_fits_it(co_op: Coop) -> None:
    connection = await co_op.books()
    await entry(connection, 100, -100, key="schlüssel:1", memo="two\nlines, ünïcode 日本")
    await entry(connection, 5, -5, key="2")
    rows = await connection.fetch("SELECT previous_hash, hash FROM billing.entry ORDER BY number")
    assert rows[0]["previous_hash"] == bytes(32)
    assert rows[1]["previous_hash"] == rows[0]["hash"]
    assert (2, 2, rows[1]["hash"]) == tuple(
        await connection.fetchrow("SELECT posted, verified, hash FROM billing.ledger_head")
    )


async def test_an_entry_that_does_not_fit_the_chain_is_refused(co_op: Coop) -> None:
    connection = await co_op.books()
    await entry(connection, 100, -100, key="first")
    for wrong, words in (
        ({"number": 1}, "entry 2 comes next, not 1|duplicate key"),
        ({"number": 3}, "entries are numbered without gaps: entry 2 comes next, not 3"),
        ({"previous": bytes(32)}, "entry 2 does not name the hash of the entry before it"),
        ({"digest": bytes(32)}, "entry 2 is not what its hash was made of"),
        ({"digest": None}, "entry_is_chained"),
        ({"digest": b"short"}, "entry_is_chained"),
    ):
        with pytest.raises(asyncpg.PostgresError, match=words):
            await entry(connection, 7, -7, key="second", **wrong)
    assert 1 == await connection.fetchval("SELECT count(*) FROM billing.entry")


async def test_a_posting_to_an_account_of_no_known_type_is_refused(co_op: Coop) -> None:
    connection = await co_op.books()
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(
        "INSERT INTO billing.entry VALUES (1, '2026-11-01', 'planted', '', 'k', 2, now(), $1, $1)", bytes(32)
    )
    with pytest.raises(asyncpg.CheckViolationError, match="posting_account_known"):
        await connection.execute("INSERT INTO billing.posting VALUES (1, 1, 'slush:fund', 5)")
    await transaction.rollback()


async def test_billing_may_not_move_the_head_of_the_chain(co_op: Coop) -> None:
    connection = await co_op.books()
    await entry(connection, 100, -100)
    for attack in (
        "UPDATE billing.ledger_head SET posted = 9",
        "DELETE FROM billing.ledger_head",
        "TRUNCATE billing.ledger_head",
        "INSERT INTO billing.ledger_head VALUES (false, 0, 0, '')",
        "UPDATE billing.ledger_start SET number = 9",
        "DELETE FROM billing.ledger_start",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(attack)


async def test_billing_may_not_hang_the_owner_s_functions_on_a_table_of_its_own(co_op: Coop) -> None:
    connection = await co_op.books()
    await connection.execute("CREATE TEMP TABLE bait (number bigint, period date, entry bigint)")
    for function in ("take_entries", "take_postings", "refuse_broken_entries"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                "CREATE TRIGGER hook AFTER INSERT ON bait REFERENCING NEW TABLE AS fresh"
                f" FOR EACH STATEMENT EXECUTE FUNCTION billing.{function}()"
            )


async def test_a_second_writer_waits_and_what_it_worked_out_before_is_refused(co_op: Coop) -> None:
    first, second = await co_op.books(), await co_op.books()
    stale = await second.fetchrow("SELECT * FROM billing.ledger_head")
    transaction = first.transaction()
    await transaction.start()
    await entry(first, 100, -100, key="first")
    await second.execute("SET lock_timeout = '100ms'")
    insert = (
        "INSERT INTO billing.entry (number, period, kind, memo, idempotency_key, postings, booked_at, previous_hash,"
        " hash) VALUES (1, '2026-11-01', 'planted', '', 'second', 2, now(), $1, $1)"
    )
    with pytest.raises(asyncpg.LockNotAvailableError):
        await second.execute(insert, stale["hash"])
    await transaction.commit()
    with pytest.raises(asyncpg.PostgresError, match=r"duplicate key|entry 2 comes next"):
        await second.execute(insert, stale["hash"])


async def test_who_writes_an_entry_is_alone_also_who_did_not_ask_for_it(co_op: Coop) -> None:
    first, second = await co_op.books(), await co_op.books()
    transaction = first.transaction()
    await transaction.start()
    await first.execute(
        "INSERT INTO billing.entry (number, period, kind, memo, idempotency_key, postings, booked_at, previous_hash,"
        " hash) VALUES (1, '2026-11-01', 'planted', '', 'first', 2, now(), $1, $1)",
        bytes(32),
    )
    await second.execute("SET lock_timeout = '100ms'")
    with pytest.raises(asyncpg.LockNotAvailableError):
        await second.execute("SELECT billing.lock_books()")
    await transaction.rollback()
    await second.execute("SELECT billing.lock_books()")


async def test_billing_may_not_change_or_remove_anything(co_op: Coop) -> None:
    connection = await a_closed_month(co_op)
    for table, column in TABLES.items():
        for attack in (
            f"UPDATE billing.{table} SET {column} = {column}",
            f"DELETE FROM billing.{table}",
            f"TRUNCATE billing.{table} CASCADE",
            f"ALTER TABLE billing.{table} DISABLE TRIGGER ALL",
            f"DROP TABLE billing.{table}",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(attack)


async def test_the_owner_is_refused_too(co_op: Coop) -> None:
    await a_closed_month(co_op)
    owner = await co_op.owner()
    for table, column in TABLES.items():
        for attack in (
            f"UPDATE billing.{table} SET {column} = {column}",
            f"DELETE FROM billing.{table}",
            f"TRUNCATE billing.{table} CASCADE",
        ):
            with pytest.raises(asyncpg.RaiseError, match="is only added to"):
                await owner.execute(attack)


async def test_a_closed_month_gets_no_second_statement_tariff_or_invoice(co_op: Coop) -> None:
    connection = await a_closed_month(co_op)
    for attack in (
        "INSERT INTO billing.statement VALUES (1, '2026-09-01', '{}', repeat('a', 64))",
        "INSERT INTO billing.tariff VALUES (9, '2026-10-01', 'EUR', '', now())",
        "INSERT INTO billing.invoice VALUES (9, '2026-10-01', 'rack', 1, 'EUR', '', now())",
        "INSERT INTO billing.closing VALUES ('2026-09-01', '{}', repeat('a', 64), now())",
    ):
        with pytest.raises(asyncpg.PostgresError, match="is closed"):
            await connection.execute(attack)


async def test_a_statement_needs_its_closing(co_op: Coop) -> None:
    await co_op.found("anna")
    connection = await co_op.books()
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await connection.execute(
            "INSERT INTO billing.statement VALUES (1, '2026-11-01', '{}', repeat('a', 64))"
        )


CHARGE = "INSERT INTO billing.charge VALUES ($1, 9, 'user', 5, '{}', sha256(convert_to('{}', 'UTF8')))"


async def test_a_closed_month_gets_no_further_line(co_op: Coop) -> None:
    connection = await a_closed_month(co_op)
    for month in (9, 10):
        with pytest.raises(asyncpg.PostgresError, match=f"the month 2026-{month:02d} is closed"):
            await connection.execute(CHARGE, date(2026, month, 1))


async def test_a_line_is_what_its_digest_says(co_op: Coop) -> None:
    connection = await co_op.books()
    with pytest.raises(asyncpg.CheckViolationError, match="charge_check"):
        await connection.execute(CHARGE.replace("'{}', s", "'{ }', s"), date(2026, 11, 1))


async def test_a_closing_sums_the_lines_that_are_there(co_op: Coop) -> None:
    connection = await co_op.books()
    closing = (
        "INSERT INTO billing.closing (period, document, digest, closed_at, lines, lines_digest, charges_minor)"
        " VALUES ('2026-11-01', '{}', repeat('a', 64), now(), $1, sha256(sha256(convert_to($2, 'UTF8'))), $3)"
    )
    for members, text, amount in ((2, "{}", 5), (1, "{ }", 5), (1, "{}", 6), (0, "{}", 0)):
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(CHARGE, date(2026, 11, 1))
        with pytest.raises(asyncpg.PostgresError, match="the closing of 2026-11 sums"):
            await connection.execute(closing, members, text, amount)
        await transaction.rollback()
    with pytest.raises(asyncpg.PostgresError, match="says how many lines it sums"):
        await connection.execute(
            "INSERT INTO billing.closing VALUES ('2026-11-01', '{}', repeat('a', 64), now())"
        )
    await connection.execute(CHARGE, date(2026, 11, 1))
    await connection.execute(closing, 1, "{}", 5)


async def test_two_writers_never_share_a_number(co_op: Coop) -> None:
    first, second = await co_op.books(), await co_op.books()
    await co_op.found("anna")
    transaction = first.transaction()
    await transaction.start()
    await add_cost(first, month=NOVEMBER, pool="rack", amount="1", memo="", now_us=NOW)
    await second.execute("SET lock_timeout = '100ms'")
    with pytest.raises(asyncpg.LockNotAvailableError):
        await add_cost(second, month=NOVEMBER, pool="rack", amount="1", memo="", now_us=NOW)
    await transaction.commit()
    assert 2 == (await add_cost(second, month=NOVEMBER, pool="rack", amount="1", memo="", now_us=NOW)).number
