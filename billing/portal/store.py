"""All SQL of the portal's way in: one-time links and sessions, by digest only. It decides nothing."""

from __future__ import annotations

from dataclasses import dataclass

from billing.acts.act import Office
from billing.portal.entry import Way
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import to_datetime, to_us


@dataclass(frozen=True, slots=True)
class Session:
    """A session as its member sees it."""

    number: int
    begun_us: int
    seen_us: int
    address: str
    agent: str
    way: Way


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


async def whose_link(connection: Connection, digest: bytes, *, now_us: int) -> str | None:
    """The name of the member whose link this is; None for one that cannot be used now. Uses nothing."""
    found: str | None = await connection.fetchval(
        "SELECT m.name FROM billing.login_link AS l JOIN meter.member AS m ON m.id = l.member"
        " WHERE l.token_sha256 = $1 AND l.expires_at > $2",
        digest, to_datetime(now_us),
    )  # fmt: skip
    return found


async def take_link(connection: Connection, digest: bytes, *, now_us: int) -> MemberId | None:
    """Use a link up; its member, or None when it is unknown, used or over. Only one of two takers gets it."""
    member = await connection.fetchval(
        "DELETE FROM billing.login_link WHERE token_sha256 = $1 AND expires_at > $2 RETURNING member",
        digest, to_datetime(now_us),
    )  # fmt: skip
    return None if member is None else MemberId(member)


async def note_link_used(
    connection: Connection, link: bytes, *, browser: bytes, session: bytes, now_us: int
) -> None:
    """Note which browser used a link, and which session it began."""
    await connection.execute(
        "INSERT INTO billing.link_used (token_sha256, browser_sha256, session_sha256, used_at) VALUES ($1, $2, $3, $4)",
        link, browser, session, to_datetime(now_us),
    )  # fmt: skip


async def forget_links_used(connection: Connection, *, until_us: int) -> None:
    """Remove what was noted up to an instant."""
    await connection.execute("DELETE FROM billing.link_used WHERE used_at <= $1", to_datetime(until_us))


async def link_used_by(connection: Connection, link: bytes, *, browser: bytes, after_us: int) -> bytes | None:
    """The session that a browser began by a link after an instant, locked until the transaction ends."""
    found: bytes | None = await connection.fetchval(
        "SELECT session_sha256 FROM billing.link_used WHERE token_sha256 = $1 AND browser_sha256 = $2 AND used_at > $3"
        " FOR UPDATE",
        link, browser, to_datetime(after_us),
    )  # fmt: skip
    return found


async def replace_link_session(connection: Connection, link: bytes, session: bytes) -> None:
    """Another session came in the place of the one that a link began."""
    await connection.execute(
        "UPDATE billing.link_used SET session_sha256 = $2 WHERE token_sha256 = $1", link, session
    )


async def take_session(connection: Connection, digest: bytes) -> MemberId | None:
    """End a session; whose it was, or None where it was over before."""
    member = await connection.fetchval(
        "DELETE FROM billing.session WHERE token_sha256 = $1 RETURNING member", digest
    )
    return None if member is None else MemberId(member)


async def insert_session(
    connection: Connection,
    digest: bytes,
    member: MemberId,
    *,
    address: str,
    agent: str,
    way: Way,
    now_us: int,
) -> None:
    """Keep a new session, from where and by what it was begun."""
    await connection.execute(
        "INSERT INTO billing.session (token_sha256, member, created_at, seen_at, address, agent, way)"
        " VALUES ($1, $2, $3, $3, $4, $5, $6)",
        digest, member, to_datetime(now_us), address, agent, way.value,
    )  # fmt: skip


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
    connection: Connection,
    digest: bytes,
    *,
    begun_after_us: int,
    seen_after_us: int,
    is_seen: bool,
    now_us: int,
) -> tuple[MemberId, str, int, frozenset[Office], str | None, bool] | None:
    """(member, name, session's number, offices held, chosen language, has left) of whose session it is, while it lasts.

    Being seen keeps it from idling out, so without is_seen nothing is written down.
    """
    row = await connection.fetchrow(
        "UPDATE billing.session SET seen_at = CASE WHEN $6 THEN $4 ELSE seen_at END FROM meter.member WHERE member.id = session.member"
        " AND token_sha256 = $1 AND created_at > $2 AND seen_at > $3 RETURNING member.id, member.name, session.number,"
        " member.status = 'left' AS has_left,"
        " ARRAY(SELECT role FROM unnest($5::text[]) AS role WHERE billing.holds_office(member.id, role, $4)) AS offices,"
        " (SELECT language FROM billing.member_language AS l WHERE l.member = session.member) AS language",
        digest, to_datetime(begun_after_us), to_datetime(seen_after_us), to_datetime(now_us),
        [one.value for one in Office], is_seen,
    )  # fmt: skip
    if row is None:
        return None
    offices = frozenset(Office(one) for one in row["offices"])
    return MemberId(row["id"]), row["name"], row["number"], offices, row["language"], row["has_left"]


async def delete_session(connection: Connection, digest: bytes) -> None:
    """End a session."""
    await connection.execute("DELETE FROM billing.session WHERE token_sha256 = $1", digest)


async def sessions(
    connection: Connection, member: MemberId, *, begun_after_us: int, seen_after_us: int
) -> list[Session]:
    """A member's sessions that last, the one seen last first."""
    rows = await connection.fetch(
        "SELECT number, created_at, seen_at, address, agent, way FROM billing.session"
        " WHERE member = $1 AND created_at > $2 AND seen_at > $3 ORDER BY seen_at DESC, number",
        member, to_datetime(begun_after_us), to_datetime(seen_after_us),
    )  # fmt: skip
    return [
        Session(
            row["number"], to_us(row["created_at"]), to_us(row["seen_at"]), row["address"], row["agent"], Way(row["way"])
        )
        for row in rows
    ]  # fmt: skip


async def end_session(connection: Connection, member: MemberId, number: int) -> bool:
    """End one session of this member's; whether there was one."""
    tag = await connection.execute(
        "DELETE FROM billing.session WHERE member = $1 AND number = $2", member, number
    )
    return bool(tag == "DELETE 1")


async def end_other_sessions(connection: Connection, member: MemberId, *, but: int) -> None:
    """End every session of this member's but one."""
    await connection.execute("DELETE FROM billing.session WHERE member = $1 AND number <> $2", member, but)


async def members_with_email(
    connection: Connection, email: str, *, count_max: int
) -> list[tuple[MemberId, str, str, str | None]]:
    """(number, name, address, chosen language) of those who have that address, but for ASCII case; who left comes last.

    Whoever left reads what they are still owed, so the door stays open to them.
    The address is the one that is registered: a mail must not go to what somebody typed.
    """
    rows = await connection.fetch(
        "SELECT id, name, email, language FROM meter.member"
        " LEFT JOIN billing.member_language ON member_language.member = id"
        " WHERE lower(email COLLATE \"C\") = lower($1 COLLATE \"C\") AND email <> ''"
        " ORDER BY status = 'left', id LIMIT $2",
        email, count_max,
    )  # fmt: skip
    return [(MemberId(row["id"]), row["name"], row["email"], row["language"]) for row in rows]


async def address_of(connection: Connection, member: MemberId) -> tuple[str, str, str | None] | None:
    """(e-mail, name, chosen language) of a member; None for who has no address or has left."""
    row = await connection.fetchrow(
        "SELECT email, name, language FROM meter.member LEFT JOIN billing.member_language ON member_language.member = id"
        " WHERE id = $1 AND email <> '' AND status <> 'left'",
        member,
    )  # fmt: skip
    return None if row is None else (row["email"], row["name"], row["language"])


async def language(connection: Connection, member: MemberId) -> str | None:
    """In which language a member wants to be told things."""
    found: str | None = await connection.fetchval(
        "SELECT language FROM billing.member_language WHERE member = $1", member
    )
    return found


async def set_language(connection: Connection, member: MemberId, chosen: str, *, now_us: int) -> None:
    """Keep it, in place of what was chosen before."""
    await connection.execute(
        "INSERT INTO billing.member_language VALUES ($1, $2, $3)"
        " ON CONFLICT (member) DO UPDATE SET language = $2, set_at = $3",
        member, chosen, to_datetime(now_us),
    )  # fmt: skip
