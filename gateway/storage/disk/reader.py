"""Opened objects: which open file, and which bytes of it, make up a range. It knows no index."""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from gateway.storage.base import (
    DamagedObject,
    Extent,
    FileExtent,
    MemoryExtent,
    ObjectHead,
    ObjectReader,
)
from gateway.storage.disk.blobs import Blobs, disk_error
from gateway.storage.disk.piece import Piece


class OpenFiles:
    """Each file that is being read, opened once a process, however many readers it has.

    Clients read one large object by many ranges at a time, and an object may have 10,000 parts:
    without sharing, each range would open every part again. Positions are never shared: readers
    name the offset themselves (pread, sendfile).
    """

    def __init__(self, blobs: Blobs) -> None:
        """Nothing is open yet."""
        self._blobs = blobs
        self._descriptors: dict[str, int] = {}
        self._readers: dict[str, int] = {}
        self._lock = threading.Lock()

    def acquire(self, blob: str, size_bytes: int) -> int:
        """A descriptor to be given back by release(). Raises DamagedObject, Busy (out of descriptors)."""
        with self._lock:
            descriptor = self._descriptors.get(blob)
            if descriptor is None:
                descriptor = self._descriptors[blob] = self._open(blob, size_bytes)
                self._readers[blob] = 0
            self._readers[blob] += 1
            return descriptor

    def release(self, blob: str) -> None:
        """The last reader closes the file."""
        with self._lock:
            self._readers[blob] -= 1
            if not self._readers[blob]:
                del self._readers[blob]
                os.close(self._descriptors.pop(blob))

    def _open(self, blob: str, size_bytes: int) -> int:
        try:
            descriptor = os.open(self._blobs.path(blob), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise DamagedObject(f"the file {blob} is missing") from None
        except OSError as error:
            raise disk_error(error) from error
        found_bytes = os.fstat(descriptor).st_size
        if found_bytes != size_bytes:
            os.close(descriptor)
            raise DamagedObject(f"the file {blob} has {found_bytes} of {size_bytes} bytes")
        return descriptor


class DiskReader(ObjectReader):
    """An object whose files are all open already, so that a delete takes nothing away from it."""

    __slots__ = ("_ends", "_files", "_held", "_pieces", "_sources", "head")

    def __init__(self, head: ObjectHead, pieces: Sequence[Piece], files: OpenFiles) -> None:
        """Opens every file. Raises DamagedObject, Busy."""
        self.head = head
        self._files = files
        self._pieces = pieces
        self._ends = list(accumulate([piece.size_bytes for piece in pieces]))
        self._held: list[str] = []
        self._sources: list[bytes | int] = []
        try:
            for piece in pieces:
                self._sources.append(self._source(piece))
        except BaseException:
            self.close()
            raise
        if self._ends[-1] != head.size_bytes:
            self.close()
            raise DamagedObject(f"the index has {self._ends[-1]} of {head.size_bytes} bytes")

    def _source(self, piece: Piece) -> bytes | int:
        if piece.data is not None:
            return piece.data
        assert piece.blob is not None
        descriptor = self._files.acquire(piece.blob, piece.size_bytes)
        self._held.append(piece.blob)
        return descriptor

    @property
    def is_in_memory(self) -> bool:
        """Whether it holds no file, so that any number of readers may share it."""
        return not self._held

    def extents(self, start: int, stop: int) -> tuple[Extent, ...]:
        """The bytes [start, stop) in order; 0 ≤ start ≤ stop ≤ size."""
        assert 0 <= start <= stop <= self.head.size_bytes, "a range outside the object"
        first = self._sources[0]
        if 0 < stop <= self._ends[0] and start < stop and isinstance(first, bytes):
            return (MemoryExtent(first[start:stop]),)
        extents: list[Extent] = []
        index = bisect_right(self._ends, start)
        while start < stop:
            begins_at = self._ends[index] - self._pieces[index].size_bytes
            until = min(stop, self._ends[index])
            source = self._sources[index]
            if isinstance(source, bytes):
                extents.append(MemoryExtent(source[start - begins_at : until - begins_at]))
            elif until > start:
                extents.append(FileExtent(source, start - begins_at, until - start))
            start = until
            index += 1
        return tuple(extents)

    def close(self) -> None:
        """Give the descriptors back. May be called twice."""
        held, self._held = self._held, []
        for blob in held:
            self._files.release(blob)
