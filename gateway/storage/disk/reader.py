"""Opened objects: which open file, and which bytes of it, make up a range. It knows no index."""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

from gateway.storage.base import ObjectReader
from gateway.storage.disk.blobs import Blobs, disk_error
from gateway.storage.disk.piece import Piece
from gateway.storage.disk.pins import Pins
from gateway.storage.errors import Busy, DamagedObject
from gateway.storage.model import Extent, FileExtent, MemoryExtent, ObjectHead

OPEN_TRIES_MAX = 8
"""An object that was replaced under each of so many tries is Busy."""


class OpenFiles:
    """Each file that is being read, opened once a process, however many readers it has.

    Clients read one large object by many ranges at a time, and an object may have 10,000 parts:
    without sharing, each range would open the same parts again. Positions are never shared: readers
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


class LazyExtent(FileExtent):
    """A range of a file that is opened when its descriptor is first asked for, which may raise
    DamagedObject or Busy. The descriptor is good until files_max others of the reader were asked for."""

    __slots__ = ("_index", "_reader")
    _index: int
    _reader: DiskReader

    def __init__(self, reader: DiskReader, index: int, offset: int, size_bytes: int) -> None:
        object.__setattr__(self, "_reader", reader)
        object.__setattr__(self, "_index", index)
        object.__setattr__(self, "offset", offset)
        object.__setattr__(self, "size_bytes", size_bytes)

    @property
    def descriptor(self) -> int:
        """The open file."""
        return self._reader.open_piece(self._index)


class DiskReader(ObjectReader):
    """An object whose bytes no delete takes away: its files are open already, or pinned if they are many.

    Invariant: at most files_max of its files are open at a time, unless nothing could be pinned.
    """

    __slots__ = (
        "_ends",
        "_files",
        "_files_max",
        "_open",
        "_pieces",
        "_pinned",
        "_pins",
        "head",
        "is_in_memory",
        "was_pinned",
    )

    def __init__(
        self, head: ObjectHead, pieces: Sequence[Piece], files: OpenFiles, pins: Pins, *, files_max: int
    ) -> None:
        """Opens or pins every file. Raises DamagedObject, Busy."""
        self.head = head
        self._files = files
        self._files_max = files_max
        self._pieces = pieces
        self._pins = pins
        self._ends = list(accumulate([piece.size_bytes for piece in pieces]))
        self._open: dict[int, int] = {}
        self._pinned: str | None = None
        self.was_pinned = True
        """Whether nobody can have taken a file since the index was read."""
        if self._ends[-1] != head.size_bytes:
            raise DamagedObject(f"the index has {self._ends[-1]} of {head.size_bytes} bytes")
        in_files = [index for index, piece in enumerate(pieces) if piece.blob is not None]
        self.is_in_memory = not in_files
        """Whether it needs no file, so that any number of readers may share it."""
        if len(in_files) > files_max and self._pin([pieces[index].blob or "" for index in in_files]):
            return
        self._files_max = len(pieces)
        try:
            for index in in_files:
                self.open_piece(index)
        except BaseException:
            self.close()
            raise

    def _pin(self, blobs: list[str]) -> bool:
        try:
            self.was_pinned = self._pins.acquire(blobs)
        except OSError:
            # Reading goes on when the disk is full: every file is opened then.
            return False
        self._pinned = blobs[0]
        return True

    def open_piece(self, index: int) -> int:
        """The descriptor of a piece that is in a file. Raises DamagedObject, Busy."""
        descriptor = self._open.pop(index, None)
        if descriptor is None:
            piece = self._pieces[index]
            assert piece.blob is not None
            while len(self._open) >= self._files_max:
                self._close_piece(next(iter(self._open)))
            descriptor = self._files.acquire(piece.blob, piece.size_bytes)
        self._open[index] = descriptor  # the newest is the last
        return descriptor

    def _close_piece(self, index: int) -> None:
        del self._open[index]
        self._files.release(self._pieces[index].blob or "")

    def extents(self, start: int, stop: int) -> tuple[Extent, ...]:
        """The bytes [start, stop) in order; 0 ≤ start ≤ stop ≤ size."""
        assert 0 <= start <= stop <= self.head.size_bytes, "a range outside the object"
        first = self._pieces[0].data
        if first is not None and start < stop <= self._ends[0]:
            return (MemoryExtent(first[start:stop]),)
        extents: list[Extent] = []
        index = bisect_right(self._ends, start)
        while start < stop:
            piece = self._pieces[index]
            begins_at = self._ends[index] - piece.size_bytes
            until = min(stop, self._ends[index])
            if piece.data is not None:
                extents.append(MemoryExtent(piece.data[start - begins_at : until - begins_at]))
            elif until > start:
                extents.append(self._file_extent(index, start - begins_at, until - start))
            start = until
            index += 1
        return tuple(extents)

    def _file_extent(self, index: int, offset: int, size_bytes: int) -> FileExtent:
        if self._pinned is None:
            return FileExtent(self._open[index], offset, size_bytes)
        return LazyExtent(self, index, offset, size_bytes)

    def close(self) -> None:
        """Give the descriptors and the pin back. May be called twice."""
        if self.is_in_memory:
            return
        for index in list(self._open):
            self._close_piece(index)
        pinned, self._pinned = self._pinned, None
        if pinned is not None:
            self._pins.release(pinned)


def open_reader(
    read: Callable[[], tuple[ObjectHead, tuple[Piece, ...]]], files: OpenFiles, pins: Pins, *, files_max: int
) -> DiskReader:
    """Open what the index says. Raises what read() raises, DamagedObject, Busy.

    A file may go between reading the index and opening or pinning it. Then the index has moved on, and it
    is asked again: it is damage only if the index still says the same.
    """
    head, pieces = read()
    for _ in range(OPEN_TRIES_MAX):
        damage: DamagedObject | None = None
        reader: DiskReader | None = None
        try:
            reader = DiskReader(head, pieces, files, pins, files_max=files_max)
            if reader.was_pinned:
                return reader
        except DamagedObject as error:
            damage = error
        try:
            head, again = read()
        except BaseException:
            if reader is not None:
                reader.close()
            raise
        if again == pieces and damage is not None:
            raise damage
        if again == pieces and reader is not None:
            return reader
        pieces = again
        if reader is not None:
            reader.close()
    raise Busy("the object is replaced faster than it can be opened")
