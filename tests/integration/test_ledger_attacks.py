"""Invariants 4 and 6 attacked in SQL: with billing's own role, and where its grants would hide it, as the owner."""

from datetime import date

import asyncpg
import pytest

from billing.costing import add_cost
from billing.run import close
from tests.coop import CENT, NOVEMBER, NOW, OCTOBER, Coop

TABLES = {
    "tariff": "currency", "invoice": "memo", "closing": "digest", "statement": "digest", "entry": "memo",
    "posting": "account",
}  # fmt: skip
UNBALANCED = [
    ((100, -99), 2, "does not balance: its postings sum to 1"),
    ((100,), 2, "has 1 of its 2 postings"),
    ((), 2, "has 0 of its 2 postings"),
    ((100, -50, -50), 2, "has no place for a posting 3"),
    ((100, -100), 1, "postings_check"),
    ((100, -100, 0), 3, "amount_minor_check"),
]


async def a_closed_month(co_op: Coop) -> asyncpg.Connection:
    (anna,) = await co_op.found("anna")
    await co_op.use(anna, OCTOBER, 500 * CENT)
    connection = await co_op.books()
    await add_cost(connection, month=OCTOBER, pool="rack", amount="1.00", memo="", now_us=NOW)
    await close(connection, OCTOBER, now_us=NOW)
    return connection


async def entry(
    connection: asyncpg.Connection, *amounts: int, postings: int = 2, month: int = 11, key: str = "planted"
) -> None:
    """One transaction that writes an entry and postings of these amounts."""
    async with connection.transaction():
        number = await connection.fetchval(
            "INSERT INTO billing.entry (period, kind, memo, idempotency_key, postings, booked_at)"
            " VALUES ($1, 'planted', '', $2, $3, now()) RETURNING number",
            date(2026, month, 1), key, postings,
        )  # fmt: skip
        for place, amount in enumerate(amounts, 1):
            await connection.execute(
                "INSERT INTO billing.posting VALUES ($1, $2, $3, $4)",
                number,
                place,
                f"planted:{place}",
                amount,
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
    with pytest.raises(asyncpg.PostgresError, match="no place for a posting 3"):
        await connection.execute("INSERT INTO billing.posting VALUES (1, 3, 'planted:x', 5)")
    await transaction.rollback()


async def test_an_entry_of_a_closed_month_gets_no_posting(co_op: Coop) -> None:
    connection = await a_closed_month(co_op)
    with pytest.raises(asyncpg.PostgresError, match="no place for a posting"):
        await connection.execute("INSERT INTO billing.posting VALUES (1, 3, 'planted:x', 5)")


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


async def test_billing_may_not_change_or_remove_anything(co_op: Coop) -> None:
    connection = await a_closed_month(co_op)
    for table, column in TABLES.items():
        for attack in (
            f"UPDATE billing.{table} SET {column} = 'x'",
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
