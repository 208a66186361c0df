"""Small objects that were read a moment ago, kept in memory for as long as the index stays as it is.

SQLite says whether it has: `PRAGMA data_version` changes for a connection whenever any other one has
committed, in this process or in another (sqlite.org/pragma.html#pragma_data_version). A reading
connection commits nothing, so an answer from here is the one the index would give. It knows no rows.
"""

from __future__ import annotations

import sqlite3

from gateway.storage.disk.index import Connection, storage_error
from gateway.storage.disk.reader import DiskReader
from meter.ids import BucketId

HOT_BYTES_MAX = 8 * 2**20
"""Of one worker, bytes of objects; a constant, because it changes nothing but speed."""
OVERHEAD_BYTES = 1024
"""Counted for each object beside its bytes, so that empty ones have their limit too."""


class HotObjects:
    """Opened objects whose bytes are all in memory. For one connection, and one thread."""

    def __init__(self, *, bytes_max: int = HOT_BYTES_MAX) -> None:
        """Nothing is known yet."""
        self._bytes_max = bytes_max
        self._connection: Connection | None = None
        self._version = -1
        self._readers: dict[tuple[BucketId, str], DiskReader] = {}
        self._bytes = 0

    def find(self, connection: Connection, bucket: BucketId, key: str) -> DiskReader | None:
        """The object, when nothing at all was committed since it was read. Raises Busy.

        Ask before reading the index: what is read after the question and kept is never older than
        the version it is kept under.
        """
        try:
            version = connection.execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.OperationalError as error:
            raise storage_error(error) from error
        if version != self._version or connection is not self._connection:
            self._readers.clear()
            self._bytes = 0
            self._version, self._connection = version, connection
            return None
        return self._readers.get((bucket, key))

    def keep(self, bucket: BucketId, key: str, reader: DiskReader) -> None:
        """Remember what find() did not know; the oldest go when there is no more room."""
        size_bytes = reader.head.size_bytes + OVERHEAD_BYTES
        if not reader.is_in_memory or size_bytes > self._bytes_max:
            return
        while self._bytes + size_bytes > self._bytes_max:
            oldest = self._readers.pop(next(iter(self._readers)))
            self._bytes -= oldest.head.size_bytes + OVERHEAD_BYTES
        self._readers[bucket, key] = reader
        self._bytes += size_bytes
