"""SQL of the keys that members make in the portal. It reads no secret, and the database lets it write own keys alone."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from billing.portal.keys import KeyLine, KeyRefused
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import to_datetime, to_us


async def own_keys(connection: Connection, member: MemberId, *, count_max: int) -> list[KeyLine]:
    """A member's keys, the newest first, revoked ones included."""
    rows = await connection.fetch(
        "SELECT access_key, created_at, revoked_at, scope FROM gateway.access_key WHERE member = $1"
        " ORDER BY revoked_at IS NOT NULL, created_at DESC, access_key LIMIT $2",
        member, count_max,
    )  # fmt: skip
    return [_line(row) for row in rows]


async def own_key(connection: Connection, member: MemberId, access_key: str) -> KeyLine | None:
    """One of a member's own keys; None for everybody else's."""
    row = await connection.fetchrow(
        "SELECT access_key, created_at, revoked_at, scope FROM gateway.access_key"
        " WHERE member = $1 AND access_key = $2",
        member, access_key,
    )  # fmt: skip
    return None if row is None else _line(row)


def _line(row: asyncpg.Record) -> KeyLine:
    revoked = row["revoked_at"]
    return KeyLine.read(
        row["access_key"], to_us(row["created_at"]), None if revoked is None else to_us(revoked), row["scope"]
    )


async def letterbox(connection: Connection) -> bytes | None:
    """The public key to which secrets are sealed."""
    found: bytes | None = await connection.fetchval(
        "SELECT public_key FROM gateway.letterbox ORDER BY published_at DESC LIMIT 1"
    )
    return found


async def add_key(
    connection: Connection, member: MemberId, access_key: str, sealed: bytes, scope: str | None, *, now_us: int,
    open_max: int,
) -> None:  # fmt: skip
    """Enter a key of this member's. Raises Refusal where one may not be made, or was made already."""
    try:
        await connection.execute(
            "SELECT gateway.add_own_key($1, $2, $3, $4::jsonb, $5, $6)",
            member, access_key, sealed, scope, to_datetime(now_us), open_max,
        )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise KeyRefused(
            "this key was made already, and its secret was shown then. Go back to your keys for another"
        ) from None
    except asyncpg.PostgresError as error:
        if error.sqlstate == "WK001":
            raise KeyRefused("no keys are made for you now: you are suspended, or have left") from None
        if error.sqlstate == "WK002":
            raise KeyRefused(f"you have {open_max} open keys, which is the most; revoke one first") from None
        raise


async def revoke_key(connection: Connection, member: MemberId, access_key: str, *, now_us: int) -> bool:
    """Close a key of this member's for good; whether there was an open one."""
    query = "SELECT gateway.revoke_own_key($1, $2, $3)"
    return bool(await connection.fetchval(query, member, access_key, to_datetime(now_us)))


async def end_key(connection: Connection, member: MemberId, access_key: str, *, expires_us: int) -> bool:
    """Let a key of this member's end then, or before if it would; whether there was an open one."""
    return bool(
        await connection.fetchval("SELECT gateway.end_own_key($1, $2, $3)", member, access_key, expires_us)
    )


async def live_buckets(connection: Connection, member: MemberId, *, count_max: int) -> Sequence[str]:
    """Names of the buckets a member has, at most count_max."""
    rows = await connection.fetch(
        "SELECT name FROM gateway.bucket WHERE owner = $1 AND deleted_at IS NULL ORDER BY name LIMIT $2",
        member, count_max,
    )  # fmt: skip
    return [row["name"] for row in rows]
