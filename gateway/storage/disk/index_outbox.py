"""The outbox: each change of stored bytes, written in the transaction that caused it.

It knows sums, not objects. Whoever feeds the journal reads it in order and trims what is durable there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gateway.storage.disk.index import Connection, insert_rows
from gateway.storage.model import StorageChange
from meter.event import StorageLine
from meter.ids import BucketId, MemberId

_TOTALS = """
    SELECT bucket, :OBJECT, sum(size_bytes) FROM object GROUP BY bucket
    UNION ALL SELECT bucket, :VERSION, sum(size_bytes) FROM version GROUP BY bucket
    UNION ALL SELECT upload.bucket, :PART, sum(part.size_bytes) FROM part JOIN upload USING (upload_id)
    GROUP BY upload.bucket
    UNION ALL SELECT bucket, :REMOVED, sum(size_bytes) FROM garbage WHERE size_bytes > 0 GROUP BY bucket
"""


CLOCK_BACK_MAX_US = 2 * 24 * 3600 * 1_000_000
"""A clock that was set back by no more than this does not make bytes go before they came."""


class Delta(NamedTuple):
    """A change of stored bytes before it has its sequence; never of zero bytes."""

    member: MemberId
    bucket: BucketId
    line: StorageLine
    delta_bytes: int
    at_us: int


def add_changes(connection: Connection, deltas: Sequence[Delta]) -> None:
    """Note the changes in their order, and in the buckets' totals if they count against quotas.

    Invariant: sequences ascend by one in the order of commits; a total is the sum of all its changes; instants do
    not descend, unless the clock was set back by more than CLOCK_BACK_MAX_US.
    """
    if not deltas:
        return
    deltas = _in_time(connection, deltas)
    last = max(
        sequence
        for (sequence,) in connection.execute(
            "UPDATE meta SET value = CASE name WHEN 'sequence' THEN value + ? ELSE ? END"
            " WHERE name IN ('sequence', 'changed_us') RETURNING CASE name WHEN 'sequence' THEN value ELSE 0 END",
            (len(deltas), deltas[-1].at_us),
        )
    )
    insert_rows(
        connection,
        "INSERT INTO outbox (sequence, member, bucket, line, delta_bytes, at_us)",
        [
            (sequence, delta.member, delta.bucket, int(delta.line), delta.delta_bytes, delta.at_us)
            for sequence, delta in enumerate(deltas, start=last - len(deltas) + 1)
        ],
    )
    totals: dict[tuple[BucketId, int], int] = {}
    for delta in deltas:
        # What is removed is nobody's quota, and its bucket may be gone before it.
        if delta.line is not StorageLine.REMOVED:
            place = (delta.bucket, int(delta.line))
            totals[place] = totals.get(place, 0) + delta.delta_bytes
    for (bucket, line), delta_bytes in totals.items():
        row = (delta_bytes, bucket, line)
        # Not an upsert: there SQLite holds the row that is never inserted against the table's CHECK, too.
        if not connection.execute(
            "UPDATE total SET bytes = bytes + ? WHERE bucket = ? AND line = ?", row
        ).rowcount:
            connection.execute("INSERT INTO total (bytes, bucket, line) VALUES (?, ?, ?)", row)


def _in_time(connection: Connection, deltas: Sequence[Delta]) -> Sequence[Delta]:
    """The changes, none before the last one: else a put by a clock ahead would be billed less than no time."""
    (latest_us,) = connection.execute("SELECT value FROM meta WHERE name = 'changed_us'").fetchone()
    placed: list[Delta] = []
    for delta in deltas:
        if not 0 <= latest_us - delta.at_us <= CLOCK_BACK_MAX_US:
            latest_us = delta.at_us
        placed.append(delta if delta.at_us == latest_us else delta._replace(at_us=latest_us))
    return placed


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
    rows = connection.execute(_TOTALS, {line.name: int(line) for line in StorageLine})
    totals = {(BucketId(bucket), StorageLine(line)): int(total) for bucket, line, total in rows}
    return {line: total for line, total in totals.items() if total}
