"""SQL of the line of addresses that were members' until they were changed; a trigger writes it."""

from __future__ import annotations

from dataclasses import dataclass, field

from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import to_us


@dataclass(frozen=True, slots=True)
class OldAddress:
    """An address that was a member's, and what theirs is now."""

    number: int
    member: MemberId
    name: str
    old: str = field(repr=False)
    new: str = field(repr=False)
    language: str | None
    changed_us: int


async def take_next(connection: Connection, *, again_after_s: int, days_max: int) -> OldAddress | None:
    """One that is to be told now, the oldest first; for `again_after_s` nobody else takes it. None: there is none."""
    row = await connection.fetchrow(
        "UPDATE billing.address_notice n SET tried_at = now() FROM meter.member m"
        " LEFT JOIN billing.member_language l ON l.member = m.id"
        " WHERE m.id = n.member AND n.number = (SELECT number FROM billing.address_notice"
        " WHERE (tried_at IS NULL OR tried_at < now() - make_interval(secs => $1))"
        " AND changed_at > now() - make_interval(days => $2) ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED)"
        " RETURNING n.number, n.member, m.name, n.email AS old, m.email AS new, l.language, n.changed_at",
        again_after_s, days_max,
    )  # fmt: skip
    if row is None:
        return None
    return OldAddress(
        row["number"], MemberId(row["member"]), row["name"], row["old"], row["new"], row["language"],
        to_us(row["changed_at"]),
    )  # fmt: skip


async def forget(connection: Connection, number: int) -> None:
    """It was told, or cannot be."""
    await connection.execute("DELETE FROM billing.address_notice WHERE number = $1", number)


async def forget_old(connection: Connection, *, days_max: int) -> None:
    """What is older than that, which nobody needs to be told any more."""
    await connection.execute(
        "DELETE FROM billing.address_notice WHERE changed_at <= now() - make_interval(days => $1)", days_max
    )
