"""All SQL of the portal's way in: one-time links and sessions, by digest only. It decides nothing."""

from __future__ import annotations

from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import to_datetime


async def insert_link(
    connection: Connection, digest: bytes, member: MemberId, *, now_us: int, expires_us: int
) -> None:
    """Keep a new link."""
    await connection.execute(
        "INSERT INTO billing.login_link VALUES ($1, $2, $3, $4)",
        digest, member, to_datetime(now_us), to_datetime(expires_us),
    )  # fmt: skip


async def forget_links(connection: Connection, member: MemberId, *, now_us: int, keep: int) -> None:
    """Remove everybody's links that are over, and this member's oldest beyond `keep`."""
    await connection.execute(
        "DELETE FROM billing.login_link WHERE expires_at <= $2 OR token_sha256 IN ("
        " SELECT token_sha256 FROM billing.login_link WHERE member = $1"
        " ORDER BY created_at DESC, token_sha256 OFFSET $3)",
        member, to_datetime(now_us), keep,
    )  # fmt: skip


async def link_works(connection: Connection, digest: bytes, *, now_us: int) -> bool:
    """Whether the link could be used now; uses nothing."""
    query = "SELECT EXISTS (SELECT FROM billing.login_link WHERE token_sha256 = $1 AND expires_at > $2)"
    return bool(await connection.fetchval(query, digest, to_datetime(now_us)))


async def take_link(connection: Connection, digest: bytes, *, now_us: int) -> MemberId | None:
    """Use a link up; its member, or None when it is unknown, used or over. Only one of two takers gets it."""
    member = await connection.fetchval(
        "DELETE FROM billing.login_link WHERE token_sha256 = $1 AND expires_at > $2 RETURNING member",
        digest, to_datetime(now_us),
    )  # fmt: skip
    return None if member is None else MemberId(member)


async def insert_session(connection: Connection, digest: bytes, member: MemberId, *, now_us: int) -> None:
    """Keep a new session."""
    await connection.execute(
        "INSERT INTO billing.session VALUES ($1, $2, $3, $3)", digest, member, to_datetime(now_us)
    )


async def forget_sessions(
    connection: Connection, member: MemberId, *, begun_before_us: int, keep: int
) -> None:
    """Remove everybody's sessions that are over, and this member's oldest beyond `keep`."""
    await connection.execute(
        "DELETE FROM billing.session WHERE created_at <= $2 OR token_sha256 IN ("
        " SELECT token_sha256 FROM billing.session WHERE member = $1"
        " ORDER BY created_at DESC, token_sha256 OFFSET $3)",
        member, to_datetime(begun_before_us), keep,
    )  # fmt: skip


async def session_member(
    connection: Connection, digest: bytes, *, begun_after_us: int, seen_after_us: int, now_us: int
) -> tuple[MemberId, str] | None:
    """(number, name) of whose session it is, while it lasts; being seen keeps it from idling out."""
    row = await connection.fetchrow(
        "UPDATE billing.session SET seen_at = $4 FROM meter.member WHERE member.id = session.member"
        " AND token_sha256 = $1 AND created_at > $2 AND seen_at > $3 RETURNING member.id, member.name",
        digest, to_datetime(begun_after_us), to_datetime(seen_after_us), to_datetime(now_us),
    )  # fmt: skip
    return None if row is None else (MemberId(row["id"]), row["name"])


async def delete_session(connection: Connection, digest: bytes) -> None:
    """End a session."""
    await connection.execute("DELETE FROM billing.session WHERE token_sha256 = $1", digest)
