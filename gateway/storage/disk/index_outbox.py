"""The outbox: each change of stored bytes, written in the transaction that caused it.

It knows sums, not objects. Whoever feeds the journal reads it in order and trims what is durable there.
"""

from __future__ import annotations

from gateway.storage.disk.index import Connection
from gateway.storage.model import StorageChange
from meter.event import StorageLine
from meter.ids import BucketId, MemberId


def add_change(
    connection: Connection,
    *,
    member: MemberId,
    bucket: BucketId,
    line: StorageLine,
    delta_bytes: int,
    at_us: int,
) -> None:
    """Note the change; none of zero bytes. Invariant: sequences ascend by one in the order of commits."""
    if delta_bytes == 0:
        return
    (sequence,) = connection.execute(
        "UPDATE meta SET value = value + 1 WHERE name = 'sequence' RETURNING value"
    ).fetchone()
    connection.execute(
        "INSERT INTO outbox (sequence, member, bucket, line, delta_bytes, at_us) VALUES (?, ?, ?, ?, ?, ?)",
        (sequence, member, bucket, int(line), delta_bytes, at_us),
    )


def read_changes(connection: Connection, *, after: int, limit: int) -> tuple[StorageChange, ...]:
    """Changes with sequence > after, ascending, at most limit."""
    rows = connection.execute(
        "SELECT sequence, member, bucket, line, delta_bytes, at_us FROM outbox"
        " WHERE sequence > ? ORDER BY sequence LIMIT ?",
        (after, limit),
    )
    return tuple(
        StorageChange(sequence, MemberId(member), BucketId(bucket), StorageLine(line), delta_bytes, at_us)
        for sequence, member, bucket, line, delta_bytes, at_us in rows
    )


def last_sequence(connection: Connection) -> int:
    """The last sequence ever given, also when it has been trimmed; 0 before the first."""
    (sequence,) = connection.execute("SELECT value FROM meta WHERE name = 'sequence'").fetchone()
    return int(sequence)


def trim(connection: Connection, *, up_to: int) -> None:
    """Forget changes with sequence ≤ up_to."""
    connection.execute("DELETE FROM outbox WHERE sequence <= ?", (up_to,))


def usage_totals(connection: Connection) -> dict[tuple[BucketId, StorageLine], int]:
    """Bytes stored a bucket and line, summed over the rows themselves; lines of zero bytes are left out."""
    objects = connection.execute("SELECT bucket, sum(size_bytes) FROM object GROUP BY bucket").fetchall()
    parts = connection.execute(
        "SELECT upload.bucket, sum(part.size_bytes) FROM part JOIN upload USING (upload_id)"
        " GROUP BY upload.bucket"
    ).fetchall()
    totals = {(BucketId(bucket), StorageLine.OBJECT): int(total) for bucket, total in objects}
    totals |= {(BucketId(bucket), StorageLine.PART): int(total) for bucket, total in parts}
    return {line: total for line, total in totals.items() if total}
