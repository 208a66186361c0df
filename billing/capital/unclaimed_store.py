"""All SQL of unclaimed money: what waits, who cannot be reached, what was forfeited and claimed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from billing.capital.unclaimed import Movement
from billing.ledger.entry import Account
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import to_datetime


@dataclass(frozen=True, slots=True)
class Forfeit:
    """Money of a member that went elsewhere after the rule's years, in minor units."""

    act: int
    member: MemberId
    rule: str
    since: date
    destination: Account
    listed: bool
    amount_minor: int
    claimed_minor: int

    @property
    def open_minor(self) -> int:
        """What may still be claimed."""
        return self.amount_minor - self.claimed_minor


async def payable_movements(connection: Connection, member: MemberId | None = None) -> list[Movement]:
    """What became payable to members and what was paid, by day."""
    rows = await connection.fetch(
        "SELECT split_part(account, ':', 3)::bigint AS member, booked_at::date AS day, -amount_minor AS amount"
        " FROM billing.posting JOIN billing.entry ON entry.number = posting.entry WHERE account LIKE $1"
        " ORDER BY entry.number, place",
        f"payable:member:{'%' if member is None else member}",
    )
    return [Movement(MemberId(row["member"]), row["day"], row["amount"]) for row in rows]


async def ordered(connection: Connection) -> dict[MemberId, int]:
    """What waits at the bank for each member, in minor units: ordered in a batch, with no outcome told yet."""
    rows = await connection.fetch(
        "SELECT member, sum(amount_minor)::bigint AS amount FROM billing.payment_waiting GROUP BY member ORDER BY member"
    )
    return {MemberId(row["member"]): row["amount"] for row in rows}


async def insert_contact(
    connection: Connection, member: MemberId, *, reached: bool, why: str, now_us: int
) -> None:
    """A member cannot be reached, or can be again."""
    await connection.execute(
        "INSERT INTO billing.capital_contact (member, reached, why, made_at) VALUES ($1, $2, $3, $4)",
        member, reached, why, to_datetime(now_us),
    )  # fmt: skip


async def lost_contact(connection: Connection) -> set[MemberId]:
    """Members who cannot be reached now."""
    rows = await connection.fetch(
        "SELECT member FROM (SELECT DISTINCT ON (member) member, reached FROM billing.capital_contact"
        " ORDER BY member, number DESC) AS last WHERE NOT reached"
    )
    return {MemberId(row["member"]) for row in rows}


async def insert_forfeit(
    connection: Connection, act: int, member: MemberId, *, rule: str, since: date, destination: Account,
    listed: bool, amount_minor: int,
) -> None:  # fmt: skip
    """Money of a member goes elsewhere."""
    await connection.execute(
        "INSERT INTO billing.capital_forfeit (act, member, rule, since, destination, listed, amount_minor)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        act, member, rule, since, destination, listed, amount_minor,
    )  # fmt: skip


async def forfeits(connection: Connection, member: MemberId | None = None) -> list[Forfeit]:
    """All that was forfeited, with what of it was claimed since, in order."""
    rows = await connection.fetch(
        "SELECT act, member, rule, since, destination, listed, amount_minor,"
        " (SELECT coalesce(sum(c.amount_minor), 0)::bigint FROM billing.capital_claim AS c WHERE c.forfeit = f.act)"
        " FROM billing.capital_forfeit AS f WHERE $1::bigint IS NULL OR member = $1 ORDER BY act",
        member,
    )
    return [Forfeit(*row) for row in rows]


async def insert_claims(connection: Connection, act: int, parts: Mapping[int, int]) -> None:
    """What of which forfeit a claim takes up."""
    await connection.executemany(
        "INSERT INTO billing.capital_claim (act, place, forfeit, amount_minor) VALUES ($1, $2, $3, $4)",
        [(act, place, number, amount) for place, (number, amount) in enumerate(parts.items(), 1)],
    )
