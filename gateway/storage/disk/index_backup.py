"""The index as it is at one moment, copied beside its writers; and what a copy says of itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.storage.disk.index import Connection, connect_to_look, roll_back
from gateway.storage.disk.index_outbox import last_sequence

_PAGES_A_STEP = 4096


class IndexMoment:
    """One state of the index, held by a reading transaction; writers go on meanwhile, their log grows."""

    def __init__(self, path: Path, *, busy_timeout_s: int) -> None:
        """Raises sqlite3.Error."""
        self._connection = connect_to_look(path, busy_timeout_s=busy_timeout_s)
        self._connection.execute("BEGIN")
        self.sequence = last_sequence(self._connection)
        """The last change of stored bytes in it. With this first read the state is fixed."""

    def buckets(self) -> set[int]:
        """The numbers of its buckets."""
        return {bucket for (bucket,) in self._connection.execute("SELECT bucket FROM bucket")}

    def copy(self, path: Path, told: Callable[[int, int], None]) -> None:
        """Write that state to a new file; told(pages done, all). Raises sqlite3.Error.

        SQLite begins anew when another connection writes, unless this one holds its state already, as here.
        """
        target = sqlite3.connect(path, isolation_level=None)
        try:
            self._connection.backup(
                target, pages=_PAGES_A_STEP, progress=lambda _, left, of: told(of - left, of), sleep=0
            )
        finally:
            target.close()

    def close(self) -> None:
        """Let go of the state."""
        roll_back(self._connection)
        self._connection.close()


def files_of(connection: Connection) -> Iterator[tuple[str, int]]:
    """(name, bytes) of every file that objects, versions and parts point at, by name."""
    yield from connection.execute("SELECT blob, size_bytes FROM piece WHERE blob IS NOT NULL ORDER BY blob")


def size_of_files(connection: Connection) -> int:
    """Bytes of all of them."""
    (total,) = connection.execute(
        "SELECT coalesce(sum(size_bytes), 0) FROM piece WHERE blob IS NOT NULL"
    ).fetchone()
    return int(total)
