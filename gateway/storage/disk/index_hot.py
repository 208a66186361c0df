"""Small objects that were read a moment ago, kept in memory for as long as the index stays as it is.

The log's header says whether it has: every commit changes it, in this process or in another. So an answer from
here is the one the index would give. It knows no rows.
"""

from __future__ import annotations

import sqlite3

from gateway.storage.disk.index import Connection, storage_error
from gateway.storage.disk.index_log import LogHeader
from gateway.storage.disk.reader import DiskReader
from meter.ids import BucketId

HOT_BYTES_MAX = 32 * 2**20
"""Of one worker, bytes of objects; a constant, because it changes nothing but speed."""
OVERHEAD_BYTES = 1024
"""Counted for each object beside its bytes, so that empty ones have their limit too."""


class HotObjects:
    """Opened objects whose bytes are all in memory. For one connection, and one thread."""

    def __init__(self, *, bytes_max: int = HOT_BYTES_MAX) -> None:
        """Nothing is known yet."""
        self._bytes_max = bytes_max
        self._connection: Connection | None = None
        self._header: LogHeader | None = None
        self._version: bytes | None = None
        self._readers: dict[tuple[BucketId, str], DiskReader] = {}
        self._bytes = 0

    def find(self, connection: Connection, bucket: BucketId, key: str) -> DiskReader | None:
        """The object, when nothing at all was committed since it was read. Raises Busy.

        Ask before reading the index: what is read after the question and kept is never older than
        the version it is kept under.
        """
        if connection is not self._connection:
            self._follow(connection)
        assert self._header is not None, "a connection has a log"
        version = self._header.read()
        if version != self._version:
            self._forget()
            self._version = version
        return None if version is None else self._readers.get((bucket, key))

    def _follow(self, connection: Connection) -> None:
        """What another connection read was of its own index."""
        try:
            self._header = LogHeader(connection)
        except sqlite3.OperationalError as error:
            raise storage_error(error) from error
        self._forget()
        self._version, self._connection = None, connection

    def _forget(self) -> None:
        self._readers.clear()
        self._bytes = 0

    def keep(self, bucket: BucketId, key: str, reader: DiskReader) -> None:
        """Remember what find() did not know; the oldest go when there is no more room."""
        size_bytes = reader.head.size_bytes + OVERHEAD_BYTES
        if self._version is None or not reader.is_in_memory or size_bytes > self._bytes_max:
            return
        while self._bytes + size_bytes > self._bytes_max:
            oldest = self._readers.pop(next(iter(self._readers)))
            self._bytes -= oldest.head.size_bytes + OVERHEAD_BYTES
        self._readers[bucket, key] = reader
        self._bytes += size_bytes
