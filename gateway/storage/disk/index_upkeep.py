"""What the collector and the sweep ask of the index: garbage, tombstones, and which file is whose."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from gateway.storage.disk.index import Connection
from gateway.storage.disk.index_outbox import Delta, add_changes
from meter.event import StorageLine
from meter.ids import BucketId, MemberId


def due_garbage(connection: Connection, *, now_us: int, limit: int) -> list[str]:
    """Files whose time has come, the oldest first."""
    rows = connection.execute(
        "SELECT blob FROM garbage WHERE after_us <= ? ORDER BY after_us LIMIT ?", (now_us, limit)
    )
    return [blob for (blob,) in rows]


def forget_garbage(connection: Connection, blobs: Sequence[str], *, now_us: int) -> None:
    """The files are off the disk, and off the line of what was removed."""
    removed: Counter[tuple[int, int]] = Counter()
    for blob in blobs:
        row = connection.execute(
            "DELETE FROM garbage WHERE blob = ? RETURNING bucket, member, size_bytes", (blob,)
        ).fetchone()
        if row is not None:
            removed[row[0], row[1]] += row[2]
    add_changes(
        connection,
        [
            Delta(MemberId(member), BucketId(bucket), StorageLine.REMOVED, -size_bytes, now_us)
            for (bucket, member), size_bytes in removed.items()
            if size_bytes
        ],
    )


def postpone_garbage(connection: Connection, blobs: Sequence[str], *, after_us: int) -> None:
    """Somebody still reads the files; they wait until after the instant."""
    connection.executemany(
        "UPDATE garbage SET after_us = ? WHERE blob = ?", [(after_us, one) for one in blobs]
    )


def has_tombstones(connection: Connection, *, before_us: int) -> bool:
    """Whether an upload completed before the instant is still remembered."""
    row = connection.execute(
        "SELECT 1 FROM tombstone WHERE completed_us < ? LIMIT 1", (before_us,)
    ).fetchone()
    return row is not None


def forget_tombstones(connection: Connection, *, before_us: int) -> None:
    """Forget uploads completed before the instant."""
    connection.execute("DELETE FROM tombstone WHERE completed_us < ?", (before_us,))


def blobs_between(connection: Connection, *, first: str, end: str) -> dict[str, int]:
    """Names in [first, end) that objects and parts point at, with their recorded bytes."""
    rows = connection.execute("SELECT blob, size_bytes FROM piece WHERE blob >= ? AND blob < ?", (first, end))
    return dict(rows)


def recorded_bytes(connection: Connection, blob: str) -> int | None:
    """The bytes the index expects in the file, or None when nothing points at it."""
    row = connection.execute("SELECT size_bytes FROM piece WHERE blob = ?", (blob,)).fetchone()
    return None if row is None else int(row[0])


def is_known(connection: Connection, blob: str) -> bool:
    """Whether the file belongs to an object or part, or waits for the collector."""
    (known,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM piece WHERE blob = ?) OR EXISTS (SELECT 1 FROM garbage WHERE blob = ?)",
        (blob, blob),
    ).fetchone()
    return bool(known)


def owners_of_blobs(connection: Connection, blobs: Sequence[str]) -> dict[str, tuple[BucketId, str]]:
    """Bucket and key of the object, version or open upload each file belongs to. Slow: it reads whole tables."""
    rows = connection.execute(
        "WITH damaged AS (SELECT value AS blob, piece FROM json_each(?) JOIN piece ON piece.blob = value),"
        " holder AS ("
        "  SELECT blob, piece FROM damaged"
        "  UNION SELECT blob, first_piece FROM damaged JOIN manifest USING (piece)"
        ")"
        " SELECT holder.blob, bucket, key FROM object JOIN holder USING (piece)"
        " UNION ALL SELECT holder.blob, bucket, key FROM version JOIN holder USING (piece)"
        " UNION ALL SELECT holder.blob, bucket, key FROM part JOIN upload USING (upload_id)"
        " JOIN holder USING (piece)",
        (json.dumps(list(blobs)),),
    )
    return {blob: (BucketId(bucket), key.decode()) for blob, bucket, key in rows}
