"""The SQL of what the co-op pays and gives: invoices and their parts, pools, credits, side income. It decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import NamedTuple

import asyncpg

from billing.charges.rating import Credit
from billing.costs.invoices import Invoice
from billing.document import Document
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import Month, to_datetime, to_us


def _date(month: Month) -> date:
    return date(month.year, month.number, 1)


def _month(day: date) -> Month:
    return Month(day.year, day.month)


async def insert_invoice(connection: Connection, invoice: Invoice, parts: Mapping[Month, int]) -> Invoice:
    """Add an invoice with its parts by month, if it has any; the same with its number."""
    first, last = invoice.service or (None, None)
    paper = invoice.document
    number = await connection.fetchval(
        """
        INSERT INTO billing.invoice (period, pool, amount_minor, currency, memo, booked_at, supplier, dated,
            service_from, service_to, credits, document_sha256, document_name, document_bytes, parts)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING number
        """,
        _date(min(parts, default=invoice.month)), invoice.pool, invoice.amount_minor, invoice.currency,
        invoice.memo, to_datetime(invoice.booked_us), invoice.supplier, invoice.dated, first, last,
        invoice.credits, paper and paper.sha256, paper and paper.name, paper and paper.size_bytes, len(parts),
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO billing.invoice_part (invoice, place, period, amount_minor)"
        " SELECT $1, place, period, amount FROM unnest($2::date[], $3::bigint[])"
        " WITH ORDINALITY AS given (period, amount, place)",
        number, [_date(month) for month in parts], list(parts.values()),
    )  # fmt: skip
    return replace(invoice, number=number)


async def invoices(connection: Connection, month: Month) -> list[Invoice]:
    """What a month bears: its invoices, and its part of those that are spread; by number."""
    rows = await connection.fetch(
        """
        SELECT invoice.*, coalesce(part.amount_minor, invoice.amount_minor) AS borne
        FROM billing.invoice LEFT JOIN billing.invoice_part AS part
            ON part.invoice = invoice.number AND part.period = $1
        WHERE part.invoice IS NOT NULL OR (invoice.parts = 0 AND invoice.period = $1)
        ORDER BY invoice.number
        """,
        _date(month),
    )
    return [replace(_invoice(row), month=month, amount_minor=row["borne"]) for row in rows]


async def all_invoices(connection: Connection) -> list[Invoice]:
    """Every invoice whole, by number."""
    return [_invoice(row) for row in await connection.fetch("SELECT * FROM billing.invoice ORDER BY number")]


async def newest_invoices(
    connection: Connection, *, before: int | None = None, count_max: int
) -> list[Invoice]:
    """Invoices whole, the newest first, below a number if one is named."""
    rows = await connection.fetch(
        "SELECT * FROM billing.invoice WHERE $1::bigint IS NULL OR number < $1 ORDER BY number DESC LIMIT $2",
        before, count_max,
    )  # fmt: skip
    return [_invoice(row) for row in rows]


async def find_invoice(connection: Connection, number: int) -> tuple[Invoice, dict[Month, int]] | None:
    """An invoice whole, and its parts by month."""
    row = await connection.fetchrow("SELECT * FROM billing.invoice WHERE number = $1", number)
    if row is None:
        return None
    found = await connection.fetch(
        "SELECT period, amount_minor FROM billing.invoice_part WHERE invoice = $1 ORDER BY place", number
    )
    return _invoice(row), {_month(part["period"]): part["amount_minor"] for part in found}


def _invoice(row: asyncpg.Record) -> Invoice:
    paper = None
    if row["document_sha256"] is not None:
        paper = Document(row["document_sha256"], row["document_name"], row["document_bytes"])
    service = None if row["service_from"] is None else (row["service_from"], row["service_to"])
    return Invoice(
        row["number"], _month(row["period"]), row["pool"], row["amount_minor"], row["currency"], row["memo"],
        to_us(row["booked_at"]), row["supplier"], row["dated"], service, row["credits"], paper,
    )  # fmt: skip


async def credited(connection: Connection, number: int) -> int:
    """What credit notes have taken back of an invoice, in minor units; zero or below."""
    query = "SELECT coalesce(sum(amount_minor), 0)::numeric FROM billing.invoice WHERE credits = $1"
    return int(await connection.fetchval(query, number))


class TakenBack(NamedTuple):
    """An entry that took an invoice, or a part of it, back in the ledger and nowhere else; in minor units."""

    reversal: int
    invoice: int
    amount_minor: int
    currency: str


async def taken_back_alone(
    connection: Connection, *, invoice: int | None = None, count_max: int
) -> list[TakenBack]:
    """Reversals of invoices' entries that stand, of one invoice or all, by entry; made before they were refused."""
    rows = await connection.fetch(
        "SELECT back.number AS reversal, invoice.number AS invoice, (SELECT sum(posting.amount_minor)"
        " FROM billing.posting WHERE entry = back.number AND posting.amount_minor > 0)::bigint, invoice.currency"
        " FROM billing.entry AS back"
        " JOIN billing.entry AS booked ON booked.kind = 'invoice' AND back.idempotency_key = 'reversal:' || booked.number"
        " JOIN billing.invoice ON invoice.number = split_part(booked.idempotency_key, ':', 2)::bigint"
        " WHERE ($1::bigint IS NULL OR invoice.number = $1) AND back.kind = 'reversal' AND NOT EXISTS ("
        " SELECT FROM billing.entry AS again WHERE again.idempotency_key = 'reversal:' || back.number)"
        " ORDER BY back.number LIMIT $2",
        invoice, count_max,
    )  # fmt: skip
    return [TakenBack(*row.values()) for row in rows]


async def takes_invoice_back(connection: Connection, number: int) -> bool:
    """Whether an entry is the reversal of an invoice's entry."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM billing.entry AS back JOIN billing.entry AS booked"
            " ON booked.kind = 'invoice' AND back.idempotency_key = 'reversal:' || booked.number"
            " WHERE back.number = $1 AND back.kind = 'reversal')",
            number,
        )
    )


async def credit_notes(connection: Connection, number: int) -> list[tuple[int, Month, int]]:
    """(number, month, amount in minor units) of the credit notes that name an invoice, by number."""
    rows = await connection.fetch(
        "SELECT number, period, amount_minor FROM billing.invoice WHERE credits = $1 ORDER BY number", number
    )
    return [(row["number"], _month(row["period"]), row["amount_minor"]) for row in rows]


async def first_invoice_month(connection: Connection) -> Month | None:
    """The earliest month with an invoice."""
    found = await connection.fetchval("SELECT min(period) FROM billing.invoice")
    return None if found is None else _month(found)


async def insert_pool(
    connection: Connection, *, name: str, month: Month, key: str, memo: str, now_us: int
) -> None:
    """Set a pool's key from a month on."""
    await connection.execute(
        "INSERT INTO billing.pool (name, period, key, memo, set_at) VALUES ($1, $2, $3, $4, $5)",
        name, _date(month), key, memo, to_datetime(now_us),
    )  # fmt: skip


async def pool_keys(connection: Connection, month: Month) -> dict[str, str]:
    """Pool → its key in force in a month."""
    rows = await connection.fetch(
        "SELECT DISTINCT ON (name) name, key FROM billing.pool WHERE period <= $1"
        " ORDER BY name, period DESC, number DESC",
        _date(month),
    )
    return {row["name"]: row["key"] for row in rows}


async def pool_history(
    connection: Connection, name: str | None
) -> list[tuple[int, str, Month, str, str, int]]:
    """(number, name, from, key, memo, set at) of every key that was set, of one pool or all, by number."""
    rows = await connection.fetch(
        "SELECT * FROM billing.pool WHERE $1::text IS NULL OR name = $1 ORDER BY number", name
    )
    return [
        (row["number"], row["name"], _month(row["period"]), row["key"], row["memo"], to_us(row["set_at"]))
        for row in rows
    ]


async def insert_credit(connection: Connection, credit: Credit) -> Credit:
    """Give a member a credit; the same with its number."""
    number = await connection.fetchval(
        "INSERT INTO billing.credit (member, period, amount_minor, currency, reason, given_at)"
        " VALUES ($1, $2, $3, $4, $5, $6) RETURNING number",
        credit.member, _date(credit.month), credit.amount_minor, credit.currency, credit.reason,
        to_datetime(credit.given_us),
    )  # fmt: skip
    return replace(credit, number=number)


async def credits_of(connection: Connection, month: Month | None) -> list[Credit]:
    """Credits of a month, or all, by number."""
    rows = await connection.fetch(
        "SELECT * FROM billing.credit WHERE $1::date IS NULL OR period = $1 ORDER BY number",
        None if month is None else _date(month),
    )
    return [
        Credit(
            row["number"], MemberId(row["member"]), _month(row["period"]), row["amount_minor"],
            row["currency"], row["reason"], to_us(row["given_at"]),
        )
        for row in rows
    ]  # fmt: skip


async def next_income_number(connection: Connection) -> int:
    """One more than there are entries of side income; under the lock of the books."""
    query = "SELECT count(*) + 1 FROM billing.entry WHERE kind = 'income'"
    return int(await connection.fetchval(query))


async def incomes(connection: Connection, month: Month | None) -> list[tuple[int, Month, str, int, str]]:
    """(entry, month, kind, amount in minor units, memo) of side income, by entry."""
    rows = await connection.fetch(
        "SELECT entry.number, entry.period, posting.account, -posting.amount_minor AS amount_minor, entry.memo"
        " FROM billing.entry JOIN billing.posting ON posting.entry = entry.number"
        " AND posting.account LIKE 'income:%'"
        " WHERE entry.kind = 'income' AND ($1::date IS NULL OR entry.period = $1) ORDER BY entry.number",
        None if month is None else _date(month),
    )
    return [
        (row["number"], _month(row["period"]), row["account"].partition(":")[2], row["amount_minor"], row["memo"])
        for row in rows
    ]  # fmt: skip


async def was_trued_up(connection: Connection, month: Month) -> bool:
    """Whether the prices of a month were adjusted already."""
    query = "SELECT EXISTS (SELECT FROM billing.entry WHERE idempotency_key = $1)"
    return bool(await connection.fetchval(query, f"trueup:{month}"))


async def trued_up(connection: Connection) -> list[Month]:
    """The months whose prices were adjusted, in order."""
    rows = await connection.fetch(
        "SELECT substr(idempotency_key, 8) AS month FROM billing.entry WHERE idempotency_key LIKE 'trueup:%' ORDER BY 1"
    )
    return [Month.parse(row["month"]) for row in rows]


async def closed_year(connection: Connection, month: Month) -> int | None:
    """The closed fiscal year that a month lies in; None while it is open."""
    query = "SELECT year FROM billing.year WHERE $1 BETWEEN first_period AND last_period"
    found: int | None = await connection.fetchval(query, _date(month))
    return found


async def charged(connection: Connection, month: Month) -> dict[MemberId, int]:
    """What each member was charged for a month that is closed, by the ledger, in minor units."""
    rows = await connection.fetch(
        "SELECT posting.account, sum(posting.amount_minor)::numeric AS amount_minor FROM billing.entry"
        " JOIN billing.posting ON posting.entry = entry.number AND posting.account LIKE 'receivable:member:%'"
        " WHERE entry.period = $1 AND entry.kind = 'charge' GROUP BY posting.account",
        _date(month),
    )
    return {MemberId(int(row["account"].rpartition(":")[2])): int(row["amount_minor"]) for row in rows}
