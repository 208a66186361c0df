"""SQL of passkeys. It decides nothing but one thing: a counter only goes up."""

from __future__ import annotations

from billing.portal.passkey import Holder, NewPasskey, Passkey
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import to_datetime, to_us


async def lock_passkeys(connection: Connection, member: MemberId) -> None:
    """Be alone with a member's passkeys until the transaction ends."""
    await connection.execute("SELECT billing.lock_passkeys($1)", member)


async def handle_of(connection: Connection, member: MemberId, *, fresh: bytes) -> bytes:
    """By what name devices know this member: `fresh`, where they have none yet."""
    await connection.execute(
        "INSERT INTO billing.passkey_holder VALUES ($1, $2) ON CONFLICT (member) DO NOTHING", member, fresh
    )
    return bytes(
        await connection.fetchval("SELECT handle FROM billing.passkey_holder WHERE member = $1", member)
    )


async def passkeys(connection: Connection, member: MemberId) -> list[Passkey]:
    """A member's passkeys, the oldest first."""
    rows = await connection.fetch(
        "SELECT number, name, is_synced, created_at, seen_at FROM billing.passkey WHERE member = $1 ORDER BY number",
        member,
    )  # fmt: skip
    return [
        Passkey(
            row["number"], row["name"], row["is_synced"], to_us(row["created_at"]),
            None if row["seen_at"] is None else to_us(row["seen_at"]),
        )
        for row in rows
    ]  # fmt: skip


async def credentials(connection: Connection, member: MemberId) -> list[bytes]:
    """Ids of a member's passkeys, by which a device knows that it has one already."""
    rows = await connection.fetch(
        "SELECT credential FROM billing.passkey WHERE member = $1 ORDER BY number", member
    )
    return [bytes(row["credential"]) for row in rows]


async def insert_passkey(
    connection: Connection, member: MemberId, made: NewPasskey, *, name: str, now_us: int
) -> bool:
    """Keep a new passkey; False where there is one of this id, whoever's, or the member has left."""
    tag = await connection.execute(
        "INSERT INTO billing.passkey (member, credential, public_key, counter, is_synced, name, created_at)"
        " SELECT id, $2, $3, $4, $5, $6, $7 FROM meter.member WHERE id = $1 AND status <> 'left'"
        " ON CONFLICT (credential) DO NOTHING",
        member, made.credential, made.public_key, made.counter, made.is_synced, name, to_datetime(now_us),
    )  # fmt: skip
    return bool(tag == "INSERT 0 1")


async def holder_of(connection: Connection, credential: bytes) -> Holder | None:
    """Whose passkey has this id; who left may still read what they are owed."""
    row = await connection.fetchrow(
        "SELECT p.number, p.member, h.handle, p.public_key, p.name FROM billing.passkey AS p"
        " JOIN billing.passkey_holder AS h USING (member) WHERE p.credential = $1",
        credential,
    )  # fmt: skip
    if row is None:
        return None
    return Holder(
        row["number"],
        MemberId(row["member"]),
        bytes(row["handle"]),
        bytes(row["public_key"]),
        row["name"],
    )


async def count_up(connection: Connection, number: int, counter: int, *, now_us: int) -> bool:
    """Note a use; False where the counter did not go up, as a copy's does not. A device that counts not says 0 always."""
    tag = await connection.execute(
        "UPDATE billing.passkey SET counter = $2, seen_at = $3"
        " WHERE number = $1 AND (counter < $2 OR (counter = 0 AND $2 = 0))",
        number, counter, to_datetime(now_us),
    )  # fmt: skip
    return bool(tag == "UPDATE 1")


async def delete_passkey(connection: Connection, member: MemberId, number: int) -> str | None:
    """Take away one of this member's; its name, or None where there was none."""
    found: str | None = await connection.fetchval(
        "DELETE FROM billing.passkey WHERE member = $1 AND number = $2 RETURNING name", member, number
    )
    return found
