"""SQL of the books: tariffs, invoices, ledger, closings. It decides nothing; triggers refuse.

Members' own lines of a closing are in `charges/store.py`, costs in `costs/store.py`.
"""

from __future__ import annotations

from datetime import date

import asyncpg

from billing.canon import canonical
from billing.charges.tariff import Tariff, parse_tariff
from billing.ledger.store import post as post
from billing.ledger.store import post_many as post_many
from billing.month.closing import Closing
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import Month, to_datetime, to_us

CLOSED_STATE = "WC001"


def _date(month: Month) -> date:
    return date(month.year, month.number, 1)


def _month(day: date) -> Month:
    return Month(day.year, day.month)


async def lock_books(connection: Connection) -> None:
    """Be the one writer until the transaction ends."""
    await connection.execute("SELECT billing.lock_books()")


async def last_closed(connection: Connection) -> Month | None:
    """The last month that was closed."""
    found = await connection.fetchval("SELECT max(period) FROM billing.closing")
    return None if found is None else _month(found)


async def last_closing_us(connection: Connection) -> int | None:
    """When a month was last closed."""
    found = await connection.fetchval("SELECT max(closed_at) FROM billing.closing")
    return None if found is None else to_us(found)


async def insert_tariff(connection: Connection, tariff: Tariff, text: str, *, now_us: int) -> None:
    """Add a tariff; the text is kept as it was written."""
    await connection.execute(
        "INSERT INTO billing.tariff (effective_from, currency, document, set_at) VALUES ($1, $2, $3, $4)",
        _date(tariff.effective_from), tariff.currency, text, to_datetime(now_us),
    )  # fmt: skip


async def last_tariff(connection: Connection) -> int:
    """The number of the tariff that was set last, in force or still to come; 0 while there is none."""
    return int(await connection.fetchval("SELECT coalesce(max(number), 0) FROM billing.tariff"))


async def tariff_at(connection: Connection, month: Month) -> Tariff | None:
    """The tariff in force in a month: the latest start, and of several with one start the last that was set."""
    text = await connection.fetchval(
        "SELECT document FROM billing.tariff WHERE effective_from <= $1"
        " ORDER BY effective_from DESC, number DESC LIMIT 1",
        _date(month),
    )
    return None if text is None else parse_tariff(text)


async def book_currency(connection: Connection) -> str | None:
    """The currency the books are kept in: that of the first tariff."""
    found: str | None = await connection.fetchval(
        "SELECT currency FROM billing.tariff ORDER BY number LIMIT 1"
    )
    return found


async def insert_closing(connection: Connection, done: Closing, *, told_as: str, now_us: int) -> None:
    """Close the books of a month; from here on they take nothing. `told_as`: the format its statements stay in."""
    await connection.execute(
        "INSERT INTO billing.closing (period, document, digest, closed_at, lines, lines_digest, charges_minor,"
        " statement_format) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        _date(done.inputs.month), canonical(done.to_document()), done.digest, to_datetime(now_us), done.lines,
        bytes.fromhex(done.lines_digest), done.result.charges_minor, told_as,
    )  # fmt: skip


async def closing_text(connection: Connection, month: Month) -> str | None:
    """The stored document of a closed month."""
    found: str | None = await connection.fetchval(
        "SELECT document FROM billing.closing WHERE period = $1", _date(month)
    )
    return found


async def statement_format(connection: Connection, month: Month) -> str | None:
    """The format in which a closed month's statements are told."""
    found: str | None = await connection.fetchval(
        "SELECT statement_format FROM billing.closing WHERE period = $1", _date(month)
    )
    return found


async def statement_text(connection: Connection, member: MemberId, month: Month) -> str | None:
    """What a member was told about a month that an older Weir closed, byte for byte."""
    found: str | None = await connection.fetchval(
        "SELECT document FROM billing.statement WHERE member = $1 AND period = $2", member, _date(month)
    )
    return found


async def statement_texts(connection: Connection, member: MemberId, *, count_max: int) -> list[str]:
    """A member's statements by an older Weir, the newest first."""
    rows = await connection.fetch(
        "SELECT document FROM billing.statement WHERE member = $1 ORDER BY period DESC LIMIT $2",
        member, count_max,
    )  # fmt: skip
    return [row["document"] for row in rows]


def closed_month(error: asyncpg.PostgresError) -> bool:
    """Whether the database refused because the month is closed."""
    return error.sqlstate == CLOSED_STATE
