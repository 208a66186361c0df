"""SQL of ways in that are under way, and of the record of what happened at the door. It decides nothing."""

from __future__ import annotations

from dataclasses import dataclass

from billing.portal.entry import Happened, Purpose
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import to_datetime, to_us


@dataclass(frozen=True, slots=True)
class EntryLine:
    """A line of the record, as its member sees it."""

    at_us: int
    what: Happened
    name: str
    """Of the passkey, or of the provider; empty for a one-time link."""
    address: str


async def insert_try(
    connection: Connection,
    digest: bytes,
    purpose: Purpose,
    session: int | None,
    *,
    now_us: int,
    expires_us: int,
) -> None:
    """Keep that a way in was begun."""
    await connection.execute(
        "INSERT INTO billing.entry_try VALUES ($1, $2, $3, $4, $5)",
        digest, purpose.value, session, to_datetime(now_us), to_datetime(expires_us),
    )  # fmt: skip


async def forget_tries(connection: Connection, *, now_us: int, keep: int) -> None:
    """Remove those that are over, and the oldest beyond `keep`."""
    await connection.execute(
        "DELETE FROM billing.entry_try WHERE expires_at <= $1 OR token_sha256 IN ("
        " SELECT token_sha256 FROM billing.entry_try ORDER BY created_at DESC, token_sha256 OFFSET $2)",
        to_datetime(now_us), keep,
    )  # fmt: skip


async def take_try(
    connection: Connection, digest: bytes, purpose: Purpose, session: int | None, *, now_us: int
) -> bool:
    """Use it up; whether it was there, for this purpose and this session. Only one of two takers gets it."""
    tag = await connection.execute(
        "DELETE FROM billing.entry_try WHERE token_sha256 = $1 AND purpose = $2"
        " AND session IS NOT DISTINCT FROM $3 AND expires_at > $4",
        digest, purpose.value, session, to_datetime(now_us),
    )  # fmt: skip
    return bool(tag == "DELETE 1")


async def note(
    connection: Connection, member: MemberId, what: Happened, *, name: str, address: str, now_us: int
) -> None:
    """Add a line to a member's record."""
    await connection.execute(
        "INSERT INTO billing.entry_record (member, at, what, name, address) VALUES ($1, $2, $3, $4, $5)",
        member, to_datetime(now_us), what.value, name, address,
    )  # fmt: skip


async def forget_lines(connection: Connection, member: MemberId, *, keep: int) -> None:
    """Remove this member's oldest lines beyond `keep`."""
    await connection.execute(
        "DELETE FROM billing.entry_record WHERE number IN (SELECT number FROM billing.entry_record"
        " WHERE member = $1 ORDER BY number DESC OFFSET $2)",
        member, keep,
    )  # fmt: skip


async def lines(connection: Connection, member: MemberId, *, count_max: int) -> list[EntryLine]:
    """A member's record, the newest first."""
    rows = await connection.fetch(
        "SELECT at, what, name, address FROM billing.entry_record WHERE member = $1 ORDER BY number DESC LIMIT $2",
        member, count_max,
    )  # fmt: skip
    return [EntryLine(to_us(row["at"]), Happened(row["what"]), row["name"], row["address"]) for row in rows]


async def link_account(
    connection: Connection, member: MemberId, issuer: str, subject: str, *, now_us: int
) -> bool:
    """Let an account open a membership; False where either has one already, or the member has left."""
    tag = await connection.execute(
        "INSERT INTO billing.outside_account (issuer, subject, member, created_at)"
        " SELECT $2, $3, id, $4 FROM meter.member WHERE id = $1 AND status <> 'left' ON CONFLICT DO NOTHING",
        member, issuer, subject, to_datetime(now_us),
    )  # fmt: skip
    return bool(tag == "INSERT 0 1")


async def unlink_account(connection: Connection, member: MemberId, issuer: str) -> bool:
    """Let it open nothing from now on; whether there was one."""
    tag = await connection.execute(
        "DELETE FROM billing.outside_account WHERE member = $1 AND issuer = $2", member, issuer
    )
    return bool(tag == "DELETE 1")


async def member_of_account(
    connection: Connection, issuer: str, subject: str, *, now_us: int
) -> MemberId | None:
    """Whose account it is, of those who have not left; being used is noted."""
    member = await connection.fetchval(
        "UPDATE billing.outside_account AS a SET seen_at = $3 FROM meter.member AS m"
        " WHERE a.issuer = $1 AND a.subject = $2 AND m.id = a.member AND m.status <> 'left' RETURNING a.member",
        issuer, subject, to_datetime(now_us),
    )  # fmt: skip
    return None if member is None else MemberId(member)


async def has_account(connection: Connection, member: MemberId, issuer: str) -> bool:
    """Whether a member linked an account at this provider."""
    query = "SELECT EXISTS (SELECT FROM billing.outside_account WHERE member = $1 AND issuer = $2)"
    return bool(await connection.fetchval(query, member, issuer))
