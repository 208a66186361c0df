"""SQL of members' caps, and of what they are held against."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from meter.caps import CAPPED_LINES, Cap, Caps
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import Month, to_datetime


async def caps(
    connection: Connection, *, member: MemberId | None = None, among: Sequence[MemberId] | None = None
) -> dict[MemberId, Caps]:
    """The caps of every member who has some, or of that one, or of those among some."""
    rows = await connection.fetch(
        """
        SELECT member, egress_soft, egress_hard, storage_soft, storage_hard
        FROM meter.member_cap
        WHERE ($1::bigint IS NULL OR member = $1) AND ($2::bigint[] IS NULL OR member = ANY($2)) ORDER BY member
        """,
        member, among,
    )  # fmt: skip
    return {
        MemberId(row["member"]): Caps(
            Cap(row["egress_soft"], row["egress_hard"]), Cap(row["storage_soft"], row["storage_hard"])
        )
        for row in rows
    }


async def set_caps(connection: Connection, member: MemberId, wanted: Caps, *, now_us: int) -> None:
    """Put a member's caps in the place of those they had."""
    await connection.execute(
        """
        INSERT INTO meter.member_cap (member, egress_soft, egress_hard, storage_soft, storage_hard, changed_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (member) DO UPDATE SET
            egress_soft = excluded.egress_soft, egress_hard = excluded.egress_hard,
            storage_soft = excluded.storage_soft, storage_hard = excluded.storage_hard,
            changed_at = excluded.changed_at
        """,
        member, wanted.egress.soft, wanted.egress.hard, wanted.storage.soft, wanted.storage.hard,
        to_datetime(now_us),
    )  # fmt: skip


async def sent_in(connection: Connection, members: Sequence[MemberId], month: Month) -> dict[MemberId, int]:
    """Bytes sent for each of these payers in the month, by when they moved; 0 for none."""
    rows = await connection.fetch(
        """
        SELECT payer, sum(bytes_out)::bigint AS bytes_out FROM meter.reading
        WHERE payer = ANY($1::bigint[]) AND period >= $2 AND hour >= $3 AND hour < $4 GROUP BY payer
        """,
        list(members), date(month.year, month.number, 1), to_datetime(month.start_us), to_datetime(month.end_us),
    )  # fmt: skip
    return dict.fromkeys(members, 0) | {MemberId(row["payer"]): int(row["bytes_out"]) for row in rows}


async def stored_by(connection: Connection, members: Sequence[MemberId]) -> dict[MemberId, int]:
    """Bytes each of these members stores as of the last shipped change, on the lines they pay for; 0 for none."""
    rows = await connection.fetch(
        "SELECT member, sum(delta) AS bytes FROM meter.storage"
        " WHERE member = ANY($1::bigint[]) AND line = ANY($2::smallint[]) GROUP BY member",
        list(members), [int(line) for line in CAPPED_LINES],
    )  # fmt: skip
    return dict.fromkeys(members, 0) | {MemberId(row["member"]): int(row["bytes"]) for row in rows}
