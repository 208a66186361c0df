"""The SQL of storage engines: which there are, where they are, and what they were found to be able to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import asyncpg

from meter.postgres import Connection
from meter.refusal import Refusal
from meter.window import to_datetime, to_us

DISK_KIND, S3_KIND = "disk", "s3"


@dataclass(frozen=True, slots=True)
class EngineRow:
    """An engine as it is kept; the secret of its account is sealed by the vault under sealed_under."""

    name: str
    kind: str
    """disk or s3."""
    endpoint: str = ""
    """Of s3, as http://host:port; empty for the disk, like all that follows up to bucket_prefix."""
    region: str = ""
    access_key: str = ""
    secret: bytes = field(default=b"", repr=False)
    bucket_prefix: str = ""
    """How the names of our buckets begin there."""
    storage_class: str = ""
    """The class, and the location, by which members choose it; empty: by its name only."""
    location: str = ""
    is_default: bool = False
    added_us: int = 0
    closed_us: int | None = None
    """From when on it takes no new buckets."""
    features: Mapping[str, bool] = field(default_factory=dict)
    checked_us: int | None = None
    usage_uid: str = ""
    """The account's name in Ceph's usage log; empty: nothing is reconciled with it."""

    @property
    def sealed_under(self) -> str:
        """What the vault binds the secret to."""
        return sealed_under(self.name)

    @property
    def is_open(self) -> bool:
        """It takes new buckets."""
        return self.closed_us is None


def sealed_under(name: str) -> str:
    """The name under which the vault seals the secret of the engine of that name."""
    return f"engine:{name}"


def find(rows: Iterable[EngineRow], name: str) -> EngineRow:
    """The engine of that name. Raises Refusal."""
    for row in rows:
        if row.name == name:
            return row
    raise Refusal(f"there is no engine named '{name}'; `weir engine list` names them")


async def engines(connection: Connection) -> list[EngineRow]:
    """All engines, closed ones too, by name."""
    return [_row(row) for row in await connection.fetch("SELECT * FROM gateway.engine ORDER BY name")]


def _row(row: asyncpg.Record) -> EngineRow:
    return EngineRow(
        row["name"], row["kind"], row["endpoint"] or "", row["region"] or "", row["access_key"] or "",
        row["secret"] or b"", row["bucket_prefix"], row["storage_class"] or "", row["location"] or "",
        row["is_default"], to_us(row["added_at"]),
        None if row["closed_at"] is None else to_us(row["closed_at"]),
        json.loads(row["features"]), None if row["checked_at"] is None else to_us(row["checked_at"]),
        row["usage_uid"] or "",
    )  # fmt: skip


async def add_engine(connection: Connection, row: EngineRow) -> None:
    """Enter an S3 engine. Raises asyncpg.UniqueViolationError for a name, location or class that is taken."""
    await connection.execute(
        """
        INSERT INTO gateway.engine (name, kind, endpoint, region, access_key, secret, bucket_prefix, storage_class,
            location, features, checked_at, added_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, nullif($8, ''), nullif($9, ''), $10::jsonb, $11, $12)
        """,
        row.name, row.kind, row.endpoint, row.region, row.access_key, row.secret, row.bucket_prefix,
        row.storage_class, row.location, json.dumps(dict(row.features), sort_keys=True),
        None if row.checked_us is None else to_datetime(row.checked_us), to_datetime(row.added_us),
    )  # fmt: skip


async def change_account(connection: Connection, row: EngineRow) -> None:
    """Another endpoint, region, or key of the same storage."""
    await connection.execute(
        "UPDATE gateway.engine SET endpoint = $2, region = $3, access_key = $4, secret = $5 WHERE name = $1",
        row.name, row.endpoint, row.region, row.access_key, row.secret,
    )  # fmt: skip


async def note_features(
    connection: Connection, name: str, features: Mapping[str, bool], *, now_us: int
) -> None:
    """What a check found."""
    await connection.execute(
        "UPDATE gateway.engine SET features = $2::jsonb, checked_at = $3 WHERE name = $1",
        name, json.dumps(dict(features), sort_keys=True), to_datetime(now_us),
    )  # fmt: skip


async def set_usage_uid(connection: Connection, name: str, uid: str) -> None:
    """Whose entries in the engine's own usage log are ours; empty: none."""
    await connection.execute(
        "UPDATE gateway.engine SET usage_uid = nullif($2, '') WHERE name = $1", name, uid
    )


async def make_default(connection: Connection, name: str) -> None:
    """New buckets go there from now on unless they say where; of two at once the index lets one through."""
    async with connection.transaction():
        await connection.execute("UPDATE gateway.engine SET is_default = false WHERE is_default")
        await connection.execute("UPDATE gateway.engine SET is_default = true WHERE name = $1", name)


async def close_engine(connection: Connection, name: str, *, now_us: int) -> None:
    """No new buckets from now on."""
    await connection.execute(
        "UPDATE gateway.engine SET closed_at = $2 WHERE name = $1 AND closed_at IS NULL",
        name,
        to_datetime(now_us),
    )


async def buckets_on(connection: Connection) -> dict[str, int]:
    """Engine to how many buckets it holds."""
    rows = await connection.fetch(
        "SELECT engine, count(*) AS buckets FROM gateway.bucket WHERE deleted_at IS NULL GROUP BY engine"
    )
    return {row["engine"]: row["buckets"] for row in rows}


async def upstream_names(connection: Connection, engine: str) -> list[str]:
    """What our buckets on an engine are called there."""
    rows = await connection.fetch(
        "SELECT upstream_name FROM gateway.bucket WHERE engine = $1 AND deleted_at IS NULL ORDER BY id",
        engine,
    )
    return [row["upstream_name"] for row in rows]
