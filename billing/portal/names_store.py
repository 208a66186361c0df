"""The words for numbers in the journal: what gateways state about operations and buckets. SQL alone."""

from __future__ import annotations

from collections.abc import Sequence

from meter.ids import MemberId
from meter.postgres import Connection


async def operation_names(connection: Connection) -> dict[int, str]:
    """S3's names of operations, by the code in the journal."""
    rows = await connection.fetch("SELECT code, name FROM gateway.operation")
    return {row["code"]: row["name"] for row in rows}


async def bucket_names(connection: Connection, numbers: Sequence[int]) -> dict[int, str]:
    """Names of buckets, deleted ones too."""
    rows = await connection.fetch(
        "SELECT id, name FROM gateway.bucket WHERE id = ANY($1::bigint[])", list(numbers)
    )
    return {row["id"]: row["name"] for row in rows}


async def own_buckets(connection: Connection, member: MemberId, *, count_max: int) -> dict[int, str]:
    """A member's buckets by number, deleted ones too, the newest first, at most count_max."""
    rows = await connection.fetch(
        "SELECT id, name FROM gateway.bucket WHERE owner = $1 ORDER BY id DESC LIMIT $2", member, count_max
    )
    return {row["id"]: row["name"] for row in rows}
