"""SQL of closed fiscal years, and of what the books hold for one. It decides nothing; triggers refuse."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date

from billing.year.fiscal import FiscalYear
from billing.year_lines import KeptLine
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import Month, to_datetime

_LINE = ("year", "member", "amount_minor", "document", "digest")
_CREDIT = "SELECT coalesce(-sum(amount_minor), 0)::numeric FROM billing.posting WHERE account = ANY($1)"


def _date(month: Month) -> date:
    return date(month.year, month.number, 1)


def _month(day: date) -> Month:
    return Month(day.year, day.month)


async def try_lock_books(connection: Connection) -> bool:
    """Be the one writer until the transaction ends, if nobody is now. The key is that of billing.lock_books()."""
    return bool(await connection.fetchval("SELECT pg_try_advisory_xact_lock(1651470187)"))


async def year_text(connection: Connection, year: int) -> tuple[str, str, int] | None:
    """(page, resolution, when) of a closed year; the instant in microseconds."""
    row = await connection.fetchrow(
        "SELECT document, resolution, (extract(epoch FROM closed_at) * 1000000)::bigint AS closed_us"
        " FROM billing.year WHERE year = $1",
        year,
    )
    return None if row is None else (row["document"], row["resolution"], row["closed_us"])


async def statement_format(connection: Connection, year: int) -> str | None:
    """The format a closed year's statements are told in; None for a year that is open."""
    found: str | None = await connection.fetchval(
        "SELECT statement_format FROM billing.year WHERE year = $1", year
    )
    return found


async def closed_years(connection: Connection) -> list[int]:
    """Every year that is closed, in order."""
    return [row["year"] for row in await connection.fetch("SELECT year FROM billing.year ORDER BY year")]


async def years_of(connection: Connection, member: MemberId) -> list[int]:
    """Closed years in which something was booked to a member, in order."""
    rows = await connection.fetch(
        "SELECT year FROM billing.year_line WHERE member = $1 ORDER BY year", member
    )
    return [row["year"] for row in rows]


async def closing_texts(connection: Connection) -> list[tuple[Month, str]]:
    """Every month's page, in order."""
    rows = await connection.fetch("SELECT period, document FROM billing.closing ORDER BY period")
    return [(_month(row["period"]), row["document"]) for row in rows]


async def year_charges(
    connection: Connection, year: FiscalYear, *, rows_max: int
) -> AsyncIterator[list[tuple[int, str, int]]]:
    """(member, class, charges in minor units) over the closed months of a year, at most rows_max at a time.

    In the order of members. Needs a transaction.
    """
    cursor = await connection.cursor(
        "SELECT member, class, sum(amount_minor)::bigint AS amount FROM billing.charge"
        " WHERE period BETWEEN $1 AND $2 GROUP BY member, class ORDER BY member, class",
        _date(year.first), _date(year.last),
    )  # fmt: skip
    while rows := await cursor.fetch(rows_max):
        yield list(map(tuple, rows))


async def first_charged(connection: Connection, year: FiscalYear) -> dict[MemberId, Month]:
    """The first closed month of a year in which somebody was charged as a member, of everybody who has a consent."""
    rows = await connection.fetch(
        "SELECT member, min(period) AS period FROM billing.charge WHERE period BETWEEN $1 AND $2"
        " AND class <> 'customer' AND amount_minor <> 0 AND member IN (SELECT member FROM billing.consent) GROUP BY member",
        _date(year.first), _date(year.last),
    )  # fmt: skip
    return {MemberId(row["member"]): _month(row["period"]) for row in rows}


async def names(
    connection: Connection, *, rows_max: int
) -> AsyncIterator[list[tuple[int, str, date, date | None]]]:
    """(number, name, the UTC day they came, the day they left) of everybody, by number. Needs a transaction."""
    cursor = await connection.cursor(
        "SELECT id, name, (joined_at AT TIME ZONE 'UTC')::date AS joined, (left_at AT TIME ZONE 'UTC')::date AS left"
        " FROM meter.member ORDER BY id"
    )
    while rows := await cursor.fetch(rows_max):
        yield list(map(tuple, rows))


async def first_month(connection: Connection) -> Month:
    """The month in which the first member came."""
    return _month(await connection.fetchval("SELECT meter.founded()"))


async def credit_balance(connection: Connection, *accounts: str) -> int:
    """What stands on the credit side of these accounts together, in minor units."""
    return int(await connection.fetchval(_CREDIT, list(accounts)))


async def balances_below(connection: Connection, prefix: str) -> dict[str, int]:
    """Account → balance, debit above zero, of accounts that begin so; those at zero left out."""
    rows = await connection.fetch(
        "SELECT account, sum(amount_minor)::numeric AS total FROM billing.posting WHERE starts_with(account, $1)"
        " GROUP BY account HAVING sum(amount_minor) <> 0 ORDER BY account",
        prefix,
    )
    return {row["account"]: int(row["total"]) for row in rows}


async def unswept(connection: Connection, first: Month, last: Month) -> dict[str, int]:
    """Account → what the entries of these months left on the accounts of income and expense, debit above zero.

    Month by month revenue and cost are emptied, so this is what no month's closing knows of.
    """
    rows = await connection.fetch(
        "SELECT account, sum(amount_minor)::numeric AS total FROM billing.posting"
        " JOIN billing.entry ON entry.number = posting.entry"
        " WHERE period BETWEEN $1 AND $2 AND kind <> 'year'"
        " AND split_part(account, ':', 1) IN ('revenue', 'income', 'adjustment', 'cost', 'interest')"
        " GROUP BY account HAVING sum(amount_minor) <> 0 ORDER BY account",
        _date(first), _date(last),
    )  # fmt: skip
    return {row["account"]: int(row["total"]) for row in rows}


async def highest_capital(connection: Connection, until_us: int) -> int:
    """The most that was ever paid on shares together, in minor units."""
    found = await connection.fetchval(
        "SELECT max(total) FROM (SELECT sum(sum(paid_minor)) OVER (ORDER BY effective_at) AS total"
        " FROM billing.share_effect WHERE effective_at < $1 GROUP BY effective_at) AS held",
        to_datetime(until_us),
    )
    return int(found or 0)


async def add_lines(connection: Connection, year: FiscalYear, lines: Sequence[KeptLine]) -> None:
    """Keep the lines of members of a year that is being closed."""
    await connection.copy_records_to_table(
        "year_line",
        schema_name="billing",
        columns=_LINE,
        records=[(year.number, *one) for one in lines],
    )


async def insert_year(
    connection: Connection, year: FiscalYear, *, resolution: str, document: str, digest: str, lines: int,
    lines_digest: str, shared: int, told_as: str, now_us: int,
) -> None:  # fmt: skip
    """Close the year; from here on it takes nothing. `told_as`: the format its statements stay in."""
    await connection.execute(
        "INSERT INTO billing.year VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        year.number, _date(year.first), _date(year.last), resolution, document, digest, lines,
        bytes.fromhex(lines_digest), shared, to_datetime(now_us), told_as,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO billing.closed_year VALUES ($1, $2, $3, $4)",
        year.number, _date(year.first), _date(year.last), to_datetime(now_us),
    )  # fmt: skip


async def line_text(connection: Connection, member: MemberId, year: int) -> str | None:
    """A member's line of a closed year."""
    found: str | None = await connection.fetchval(
        "SELECT document FROM billing.year_line WHERE member = $1 AND year = $2", member, year
    )
    return found


async def all_lines(
    connection: Connection, year: int, *, rows_max: int
) -> AsyncIterator[list[tuple[str, bytes]]]:
    """(line, its digest) of every member of a closed year, by number. Needs a transaction."""
    cursor = await connection.cursor(
        "SELECT document, digest FROM billing.year_line WHERE year = $1 ORDER BY member", year
    )
    while rows := await cursor.fetch(rows_max):
        yield [(row["document"], row["digest"]) for row in rows]


async def last_entry(connection: Connection, year: int) -> int:
    """The last entry of the books that a closed year's closing knew: its own, or of one without any the last before."""
    return int(
        await connection.fetchval(
            "SELECT coalesce("
            "(SELECT max(number) FROM billing.entry WHERE kind = 'year'"
            " AND (idempotency_key = $1 OR starts_with(idempotency_key, $2))),"
            " (SELECT max(number) FROM billing.entry WHERE booked_at <= (SELECT closed_at FROM billing.year WHERE year = $3)),"
            " 0)",
            f"year:{year}", f"year:{year}:", year,
        )
    )  # fmt: skip


async def kept_minor(connection: Connection, member: MemberId) -> int:
    """What is kept in the co-op in a member's name, in minor units: all their lots, and what an older Weir kept."""
    lots = await connection.fetchval(
        "SELECT coalesce(-sum(amount_minor), 0)::numeric FROM billing.posting"
        " WHERE account LIKE $1 AND account LIKE 'capital:member:%'",
        f"capital:member:{member}:%",
    )
    return int(lots) + await credit_balance(connection, f"retained:member:{member}")
