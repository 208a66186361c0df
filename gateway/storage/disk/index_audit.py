"""What an audit asks of the index: its sums, its rows, what waits in the outbox and for the collector."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.storage.disk.index import Connection, snapshot
from gateway.storage.disk.index_outbox import last_sequence, read_changes, usage_totals
from gateway.storage.model import StorageChange

OUTBOX_MAX = 10_000_000
"""More changes than this are not read; then the journal has stood still for very long."""


@dataclass(frozen=True, slots=True)
class IndexView:
    """The index at one moment."""

    rows: dict[tuple[int, int], int]
    """Bytes by bucket and line, summed over the rows themselves."""
    totals: dict[tuple[int, int], int]
    """The same as the index keeps it for quotas."""
    sequence: int
    """The last change ever made."""
    outbox: tuple[StorageChange, ...]
    """Changes that may not stand in the journal yet."""


def look(connection: Connection) -> IndexView:
    """All of it, in one reading transaction."""
    with snapshot(connection):
        rows = {(int(bucket), int(line)): total for (bucket, line), total in usage_totals(connection).items()}
        kept = connection.execute("SELECT bucket, line, bytes FROM total WHERE bytes <> 0")
        totals = {(bucket, line): total for bucket, line, total in kept}
        outbox = read_changes(connection, after=0, limit=OUTBOX_MAX)
        return IndexView(rows, totals, last_sequence(connection), outbox)


def garbage_files(connection: Connection) -> list[str]:
    """Files of objects that are gone, which wait for their readers."""
    return [blob for (blob,) in connection.execute("SELECT blob FROM garbage")]
