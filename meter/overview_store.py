"""SQL of what operators are shown of members: a bounded list and one line for all the rest. It changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from meter.caps import CAPPED_LINES
from meter.ids import NOBODY, MemberId
from meter.postgres import Connection
from meter.store import month_date
from meter.usage import Usage
from meter.window import Month


@dataclass(frozen=True, slots=True)
class Shown:
    """One member's running month; of everybody who is not named, together."""

    member: MemberId | None
    """None: all the rest."""
    bytes_in: int
    bytes_out: int
    stored_bytes: int


async def shown_members(connection: Connection, month: Month, *, members_max: int) -> list[Shown]:
    """Those with most bytes on their bill of a month, then those who store most; the last line is all the rest.

    Stored bytes are those of the last shipped change, on the lines a member pays for.
    """
    rows = await connection.fetch(
        """
        WITH moved AS (
            SELECT payer AS member, sum(bytes_in) AS bytes_in, sum(bytes_out) AS bytes_out
            FROM meter.reading_day WHERE period = $1 AND payer <> 0 GROUP BY payer
        ), kept AS (
            SELECT member, sum(delta) AS stored FROM meter.stored WHERE line = ANY($3::smallint[]) GROUP BY member
        ), ranked AS (
            SELECT member, coalesce(bytes_in, 0) AS bytes_in, coalesce(bytes_out, 0) AS bytes_out,
                   coalesce(stored, 0) AS stored,
                   row_number() OVER (
                       ORDER BY coalesce(bytes_in, 0) + coalesce(bytes_out, 0) DESC, coalesce(stored, 0) DESC, member
                   ) AS place
            FROM moved FULL JOIN kept USING (member)
        )
        SELECT CASE WHEN place <= $2 THEN member END AS member, sum(bytes_in) AS bytes_in,
               sum(bytes_out) AS bytes_out, sum(stored) AS stored
        FROM ranked GROUP BY 1 ORDER BY 1 NULLS LAST
        """,
        month_date(month), members_max, [int(line) for line in CAPPED_LINES],
    )  # fmt: skip
    found = [
        Shown(
            None if row["member"] is None else MemberId(row["member"]), int(row["bytes_in"]), int(row["bytes_out"]),
            int(row["stored"]),
        )
        for row in rows
    ]  # fmt: skip
    return found if found and found[-1].member is None else [*found, Shown(None, 0, 0, 0)]


async def members_by_status(connection: Connection) -> dict[str, int]:
    """How many members there are of each status."""
    rows = await connection.fetch("SELECT status, count(*) AS members FROM meter.member GROUP BY status")
    return {row["status"]: int(row["members"]) for row in rows}


async def use_of_all(connection: Connection, month: Month, *, until_us: int) -> Usage:
    """What all members together have on their bills of a month, stored bytes up to an instant."""
    row = await connection.fetchrow(
        """
        SELECT coalesce(sum(bytes_in), 0) AS bytes_in, coalesce(sum(bytes_out), 0) AS bytes_out,
               coalesce(sum(requests) FILTER (WHERE class = 1), 0) AS requests_a,
               coalesce(sum(requests) FILTER (WHERE class = 2), 0) AS requests_b,
               (SELECT coalesce(sum(delta) * $2::numeric - sum(moment), 0) FROM meter.storage_day
                WHERE period = $1 AND line <> 3)
               + (SELECT coalesce(sum(delta), 0) * ($2::numeric - $3::numeric) FROM meter.stored
                  WHERE period < $1 AND line <> 3) AS byte_us
        FROM meter.reading_day WHERE period = $1 AND payer <> 0
        """,
        month_date(month), Decimal(until_us), Decimal(month.start_us),
    )  # fmt: skip
    assert row is not None, "sums are one row"
    return Usage(
        NOBODY, month.start_us, month.end_us, int(row["bytes_in"]), int(row["bytes_out"]), int(row["requests_a"]),
        int(row["requests_b"]), int(row["byte_us"]),
    )  # fmt: skip
