"""All SQL of the gateway: access keys, buckets, and the names of operations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.call import DISK, Bucket, Subject
from gateway.engine_store import DISK_KIND, EngineRow
from gateway.placement import upstream_name
from meter.ids import BucketId, MemberId
from meter.postgres import Connection
from meter.usage import MemberStatus
from meter.window import to_datetime, to_us

Among = tuple[Sequence[str], Sequence[MemberId]]
"""Those that bear one of these names, and those of these members."""

ON_DISK = EngineRow(DISK, DISK_KIND, is_default=True)
"""The engine that is always there."""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An access key as it is kept; the secret is sealed."""

    access_key: str
    member: MemberId
    member_name: str
    member_status: MemberStatus
    secret: bytes
    created_us: int
    revoked_us: int | None
    scope: str | None = None
    """What the key is held to, as gateway.scope writes it; None: nothing."""


_KEYS = """
    SELECT k.access_key, k.member, m.name, m.status, k.secret, k.created_at, k.revoked_at, k.scope
    FROM gateway.access_key k JOIN meter.member m ON m.id = k.member
    WHERE ($1::bigint IS NULL OR k.member = $1) AND ($2::text IS NULL OR k.access_key = $2)
      AND ($3::text[] IS NULL OR k.access_key = ANY($3) OR k.member = ANY($4::bigint[]))
    ORDER BY k.created_at, k.access_key
"""


async def keys(
    connection: Connection,
    *,
    member: MemberId | None = None,
    access_key: str | None = None,
    among: Among | None = None,
) -> list[KeyRow]:
    """Access keys with their members, all or those of one member or name or among some, revoked ones included."""
    names, members = among or (None, None)
    return [
        KeyRow(
            row["access_key"], MemberId(row["member"]), row["name"], MemberStatus(row["status"]), row["secret"],
            to_us(row["created_at"]), None if row["revoked_at"] is None else to_us(row["revoked_at"]),
            row["scope"],
        )
        for row in await connection.fetch(_KEYS, member, access_key, names, members)
    ]  # fmt: skip


async def some_key(connection: Connection) -> KeyRow | None:
    """Any one, the first by name: whoever has the master key can open it."""
    name = await connection.fetchval("SELECT min(access_key) FROM gateway.access_key")
    return None if name is None else (await keys(connection, access_key=name))[0]


async def add_key(
    connection: Connection, *, access_key: str, member: MemberId, secret: bytes, now_us: int,
    scope: str | None = None,
) -> None:  # fmt: skip
    """Keep a new access key."""
    await connection.execute(
        "INSERT INTO gateway.access_key (access_key, member, secret, created_at, scope)"
        " VALUES ($1, $2, $3, $4, $5::jsonb)",
        access_key, member, secret, to_datetime(now_us), scope,
    )  # fmt: skip


async def revoke_key(connection: Connection, access_key: str, *, now_us: int) -> MemberId | None:
    """Close an access key for good; whose it was, None where no open one was there."""
    owner = await connection.fetchval(
        "UPDATE gateway.access_key SET revoked_at = $2 WHERE access_key = $1 AND revoked_at IS NULL RETURNING member",
        access_key, to_datetime(now_us),
    )  # fmt: skip
    return None if owner is None else MemberId(owner)


async def publish_letterbox(connection: Connection, public_key: bytes) -> None:
    """Make this the public key that is in force; nothing happens where it is."""
    await connection.execute(
        "INSERT INTO gateway.letterbox (public_key)"
        " SELECT $1 WHERE $1 IS DISTINCT FROM"
        " (SELECT public_key FROM gateway.letterbox ORDER BY published_at DESC LIMIT 1)"
        " ON CONFLICT (public_key) DO UPDATE SET published_at = excluded.published_at",
        public_key,
    )


_BUCKETS = """
    SELECT b.id, b.name, b.owner, b.created_at, m.name AS owner_name, m.status, b.bytes_max, l.bytes_max AS owner_bytes_max,
           c.storage_hard AS owner_cap_bytes, b.engine, b.upstream_name,
           (SELECT jsonb_object_agg(d.subject, d.document)
            FROM gateway.bucket_document d WHERE d.bucket = b.id) AS documents
    FROM gateway.bucket b
    JOIN meter.member m ON m.id = b.owner
    LEFT JOIN gateway.member_limit l ON l.member = b.owner
    LEFT JOIN meter.member_cap c ON c.member = b.owner
    WHERE b.deleted_at IS NULL AND ($1::text IS NULL OR b.name = $1) AND ($2::bigint IS NULL OR b.owner = $2)
      AND ($3::text[] IS NULL OR b.name = ANY($3) OR b.owner = ANY($4::bigint[]))
    ORDER BY b.name COLLATE "C"
"""


async def buckets(
    connection: Connection,
    *,
    name: str | None = None,
    owner: MemberId | None = None,
    among: Among | None = None,
) -> list[Bucket]:
    """All buckets that exist, or the one of that name, or those of that member, or those among some; by name."""
    names, owners = among or (None, None)
    return [
        Bucket(
            BucketId(row["id"]), row["name"], MemberId(row["owner"]), to_us(row["created_at"]),
            row["owner_name"], MemberStatus(row["status"]), row["bytes_max"], row["owner_bytes_max"],
            row["owner_cap_bytes"], row["engine"], row["upstream_name"],
            {} if row["documents"] is None else _documents(json.loads(row["documents"])),
        )
        for row in await connection.fetch(_BUCKETS, name, owner, names, owners)
    ]  # fmt: skip


def _documents(found: dict[str, str]) -> dict[Subject, str]:
    return {Subject(subject): document for subject, document in found.items()}


async def put_document(
    connection: Connection, bucket: BucketId, subject: Subject, document: str, *, now_us: int
) -> None:
    """Keep the document; the one that was there is replaced."""
    await connection.execute(
        "INSERT INTO gateway.bucket_document VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (bucket, subject) DO UPDATE"
        " SET document = excluded.document, changed_at = excluded.changed_at",
        bucket, subject.value, document, to_datetime(now_us),
    )  # fmt: skip


async def remove_document(connection: Connection, bucket: BucketId, subject: Subject) -> None:
    """Take the document away, if there is one."""
    await connection.execute(
        "DELETE FROM gateway.bucket_document WHERE bucket = $1 AND subject = $2", bucket, subject.value
    )


async def limit_bucket(connection: Connection, bucket: BucketId, bytes_max: int | None) -> None:
    """Set or lift the bucket's limit of stored bytes."""
    await connection.execute("UPDATE gateway.bucket SET bytes_max = $2 WHERE id = $1", bucket, bytes_max)


async def limit_member(connection: Connection, member: MemberId, bytes_max: int | None) -> None:
    """Set or lift the member's limit of stored bytes over all buckets."""
    await connection.execute(
        "INSERT INTO gateway.member_limit (member, bytes_max) VALUES ($1, $2)"
        " ON CONFLICT (member) DO UPDATE SET bytes_max = excluded.bytes_max",
        member, bytes_max,
    )  # fmt: skip


async def member_limit(connection: Connection, member: MemberId) -> int | None:
    """The member's limit of stored bytes over all buckets; None: none."""
    found: int | None = await connection.fetchval(
        "SELECT bytes_max FROM gateway.member_limit WHERE member = $1", member
    )
    return found


async def bucket_names(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """Names of buckets by number, deleted ones too."""
    rows = await connection.fetch(
        "SELECT id, name FROM gateway.bucket WHERE id = ANY($1::bigint[])", list(ids)
    )
    return {row["id"]: row["name"] for row in rows}


async def add_bucket(
    connection: Connection, name: str, owner: MemberId, *, engine: EngineRow = ON_DISK, now_us: int
) -> bool:
    """Enter a bucket on that engine unless the name is taken; whether it was entered."""
    number: int = await connection.fetchval("SELECT nextval('gateway.bucket_id_seq')")
    row = await connection.fetchrow(
        "INSERT INTO gateway.bucket (id, name, owner, created_at, engine, upstream_name)"
        " OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT (name) WHERE deleted_at IS NULL DO NOTHING RETURNING id",
        number, name, owner, to_datetime(now_us), engine.name, upstream_name(engine, number, name),
    )  # fmt: skip
    return row is not None


async def remove_bucket(connection: Connection, bucket: BucketId, *, now_us: int) -> None:
    """Give the name free; the number stays for the readings."""
    await connection.execute(
        "UPDATE gateway.bucket SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL",
        bucket,
        to_datetime(now_us),
    )


async def name_operations(connection: Connection, names: dict[int, str]) -> None:
    """State what the operation codes mean."""
    await connection.executemany(
        "INSERT INTO gateway.operation VALUES ($1, $2) ON CONFLICT (code) DO UPDATE SET name = excluded.name",
        sorted(names.items()),
    )


async def buckets_named(connection: Connection, name: str) -> list[int]:
    """The numbers of all buckets that bear or bore a name, deleted ones too; usually one."""
    rows = await connection.fetch("SELECT id FROM gateway.bucket WHERE name = $1 ORDER BY id", name)
    return [row["id"] for row in rows]
