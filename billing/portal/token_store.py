"""SQL of members' tokens for the API, by the digest of their secrets. It decides nothing."""

from __future__ import annotations

import asyncpg

from billing.portal.tokens import Caller, Scope, Token, WantedToken
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import to_datetime, to_us

_COLUMNS = "t.id, t.name, t.scopes, t.created_at, t.expires_at, t.seen_at, t.seen_from, t.revoked_at"
SEEN_EVERY_US = 60 * 10**6
"""When a token was used last is written once a minute at most."""


async def lock_tokens(connection: Connection, member: MemberId) -> None:
    """Be alone with a member's tokens until the transaction ends."""
    await connection.execute("SELECT billing.lock_api_tokens($1)", member)


async def open_count(connection: Connection, member: MemberId, *, now_us: int) -> int:
    """How many tokens of a member open anything."""
    query = (
        "SELECT count(*) FROM billing.api_token WHERE member = $1 AND revoked_at IS NULL AND expires_at > $2"
    )
    return int(await connection.fetchval(query, member, to_datetime(now_us)))


async def insert_token(
    connection: Connection,
    token_id: str,
    member: MemberId,
    digest: bytes,
    wanted: WantedToken,
    *,
    now_us: int,
) -> bool:
    """Keep a new token; False for who has left."""
    tag = await connection.execute(
        "INSERT INTO billing.api_token (id, member, secret_sha256, name, scopes, created_at, expires_at)"
        " SELECT $1, id, $3, $4, $5, $6, $7 FROM meter.member WHERE id = $2 AND status <> 'left'",
        token_id, member, digest, wanted.name, [one.value for one in wanted.scopes], to_datetime(now_us),
        to_datetime(wanted.expires_us),
    )  # fmt: skip
    return bool(tag == "INSERT 0 1")


async def forget_tokens(connection: Connection, member: MemberId, *, now_us: int, keep: int) -> None:
    """Remove this member's closed tokens but for the `keep` newest."""
    await connection.execute(
        "DELETE FROM billing.api_token WHERE id IN (SELECT id FROM billing.api_token"
        " WHERE member = $1 AND (revoked_at IS NOT NULL OR expires_at <= $2)"
        " ORDER BY created_at DESC, id OFFSET $3)",
        member, to_datetime(now_us), keep,
    )  # fmt: skip


async def tokens(connection: Connection, member: MemberId) -> list[Token]:
    """A member's tokens, the newest first, closed ones too."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM billing.api_token AS t WHERE member = $1 ORDER BY created_at DESC, id",  # noqa: S608 - our own columns
        member,
    )
    return [_token(row) for row in rows]


async def caller(connection: Connection, token_id: str) -> tuple[bytes, Caller] | None:
    """(digest of the secret, whose token it is); None for an unknown one, and for one of somebody who has left."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS}, t.secret_sha256, t.member, m.name AS whose FROM billing.api_token AS t"  # noqa: S608 - our own columns
        " JOIN meter.member AS m ON m.id = t.member WHERE t.id = $1 AND m.status <> 'left'",
        token_id,
    )
    if row is None:
        return None
    return row["secret_sha256"], Caller(MemberId(row["member"]), row["whose"], _token(row))


async def note_use(connection: Connection, token_id: str, *, address: str, now_us: int) -> None:
    """Write down when and from where a token was used, unless it was a moment ago."""
    await connection.execute(
        "UPDATE billing.api_token SET seen_at = $2, seen_from = $3"
        " WHERE id = $1 AND (seen_at IS NULL OR seen_at <= $4)",
        token_id, to_datetime(now_us), address, to_datetime(now_us - SEEN_EVERY_US),
    )  # fmt: skip


async def revoke_token(
    connection: Connection, member: MemberId | None, token_id: str, *, now_us: int
) -> bool:
    """Close a token for good, of this member's or of anybody's; whether there was an open one."""
    tag = await connection.execute(
        "UPDATE billing.api_token SET revoked_at = $3 WHERE id = $2 AND revoked_at IS NULL"
        " AND ($1::bigint IS NULL OR member = $1)",
        member, token_id, to_datetime(now_us),
    )  # fmt: skip
    return bool(tag == "UPDATE 1")


def _token(row: asyncpg.Record) -> Token:
    seen, revoked = row["seen_at"], row["revoked_at"]
    return Token(
        row["id"], row["name"], tuple(Scope(one) for one in row["scopes"]), to_us(row["created_at"]),
        to_us(row["expires_at"]), None if seen is None else to_us(seen), row["seen_from"],
        None if revoked is None else to_us(revoked),
    )  # fmt: skip
