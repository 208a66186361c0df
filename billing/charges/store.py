"""SQL of members' own lines of closed months: written by the thousand, read one by one or in the order of members."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import NamedTuple

from billing.charges.quick import Kept
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import Month

COLUMNS = ("period", "member", "class", "amount_minor", "document", "digest")


_TOLD = "SELECT closing.document, charge.document, statement_format FROM billing.charge JOIN billing.closing USING (period)"


class ChargeText(NamedTuple):
    """What a member's statement of a closed month is made from."""

    closing: str
    line: str
    """The member's own, of that closing."""
    told_as: str
    """The statement's format, as it was when the month was closed."""


def _date(month: Month) -> date:
    return date(month.year, month.number, 1)


async def add_charges(connection: Connection, month: Month, members: Sequence[Kept]) -> None:
    """Keep the lines of members of a month that is being closed."""
    period = _date(month)
    await connection.copy_records_to_table(
        "charge",
        schema_name="billing",
        columns=COLUMNS,
        records=[(period, *one) for one in members],
    )


async def charge_text(connection: Connection, member: MemberId, month: Month) -> ChargeText | None:
    """Of one closed month."""
    row = await connection.fetchrow(f"{_TOLD} WHERE member = $1 AND period = $2", member, _date(month))
    return None if row is None else ChargeText(*row)


async def charge_texts(connection: Connection, member: MemberId, *, count_max: int) -> list[ChargeText]:
    """The same of a member's closed months, the newest first."""
    query = f"{_TOLD} WHERE member = $1 ORDER BY period DESC LIMIT $2"
    return [ChargeText(*row) for row in await connection.fetch(query, member, count_max)]


async def charged_months(
    connection: Connection, member: MemberId, *, count_max: int
) -> list[tuple[Month, int]]:
    """A member's closed months with what they were charged, the newest first."""
    rows = await connection.fetch(
        "SELECT period, amount_minor FROM billing.charge JOIN billing.closing USING (period) WHERE member = $1"
        " ORDER BY period DESC LIMIT $2",
        member, count_max,
    )  # fmt: skip
    return [(Month(row["period"].year, row["period"].month), row["amount_minor"]) for row in rows]


async def charge_lines(
    connection: Connection, member: MemberId, first: Month, last: Month
) -> list[tuple[Month, str]]:
    """A member's lines of the closed months from `first` to `last`, in order."""
    rows = await connection.fetch(
        "SELECT period, document FROM billing.charge WHERE member = $1 AND period BETWEEN $2 AND $3 ORDER BY period",
        member, _date(first), _date(last),
    )  # fmt: skip
    return [(Month(row["period"].year, row["period"].month), row["document"]) for row in rows]


async def all_charges(
    connection: Connection, month: Month, *, rows_max: int
) -> AsyncIterator[list[tuple[str, bytes]]]:
    """(line, its digest) of every member of a closed month, by number, at most rows_max at a time.

    Needs a transaction.
    """
    cursor = await connection.cursor(
        "SELECT document, digest FROM billing.charge WHERE period = $1 ORDER BY member", _date(month)
    )
    while rows := await cursor.fetch(rows_max):
        yield [(row["document"], row["digest"]) for row in rows]


async def charge_amounts(
    connection: Connection, month: Month, *, rows_max: int
) -> AsyncIterator[list[tuple[int, int]]]:
    """(member, amount charged) of everybody in a closed month, by number, at most rows_max at a time.

    Needs a transaction.
    """
    cursor = await connection.cursor(
        "SELECT member, amount_minor FROM billing.charge WHERE period = $1 ORDER BY member", _date(month)
    )
    while rows := await cursor.fetch(rows_max):
        yield [(row["member"], row["amount_minor"]) for row in rows]
