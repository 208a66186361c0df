"""How far the index's write-ahead log has come, read from memory: whether anything was committed, without asking.

SQLite itself decides whether a connection's pages are still good by comparing the header of the log's index, 48
bytes that stand twice at the start of index.sqlite-shm (sqlite.org/walformat.html, section 2.1): every commit, by
whatever process, changes its counter of transactions. Asking SQLite for that costs two locks, which is two calls
to the kernel; looking costs none, and sees what SQLite would see.
"""

from __future__ import annotations

import mmap
import os
import threading

from gateway.storage.disk.index import Connection

_COPY_BYTES = 48
_BOTH_BYTES = 2 * _COPY_BYTES
_IS_WRITTEN_AT = 12
"""Not 0 in a header that a recovery has finished."""
_maps: dict[tuple[int, int], mmap.mmap] = {}
"""By device and inode, one for each index this process ever opened. Invariant: none is ever closed, for POSIX drops
all of a process's locks on a file, SQLite's too, when it closes any descriptor of it. As long as a map is kept, no
other file gets its inode."""
_lock = threading.Lock()


class LogHeader:
    """The header that one connection's index has. The connection must stay open: it keeps the file in its place."""

    def __init__(self, connection: Connection) -> None:
        """Raises sqlite3.OperationalError when the index is busy or cannot be read."""
        # A connection touches the log with its first question; from then on its locks keep the file there.
        connection.execute("PRAGMA data_version").fetchone()
        _, _, path = connection.execute("PRAGMA database_list").fetchone()
        self._map = _mapped(f"{path}-shm")

    def read(self) -> bytes | None:
        """Equal to what it was: nothing was committed. None: somebody is writing it just now, so ask SQLite."""
        both = self._map[:_BOTH_BYTES]
        # Its writer changes the second copy first, as its readers take the first one first.
        if both[:_COPY_BYTES] != both[_COPY_BYTES:] or not both[_IS_WRITTEN_AT]:
            return None
        return both


def _mapped(path: str) -> mmap.mmap:
    with _lock:
        found = os.stat(path)
        known = _maps.get((found.st_dev, found.st_ino))
        if known is None:
            # The map keeps a descriptor of its own, and ours must not be closed either.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            known = mmap.mmap(descriptor, _BOTH_BYTES, prot=mmap.PROT_READ)
            _maps[found.st_dev, found.st_ino] = known
        return known
