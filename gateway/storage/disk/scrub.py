"""The slow check: reads every stored byte again, compares it with its digest, and names what is damaged.

It repairs nothing. It goes by the numbers of the pieces, so what is written meanwhile is checked as well,
and keeps its place in the index; a restart reads at most SAVE_BYTES again. Who calls step() sets the pace.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import sqlite3
from collections import deque
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from gateway.storage.disk.blobs import Blobs
from gateway.storage.disk.committer import Committer
from gateway.storage.disk.index import Connection, connect_reader
from gateway.storage.disk.index_scrub import (
    Progress,
    Recorded,
    bytes_in_index,
    is_there,
    keep_progress,
    owner_of_piece,
    pieces_after,
    read_progress,
)
from gateway.storage.disk.turnstile import only_one
from gateway.storage.disk.workers import Workers
from meter.window import MICROSECONDS

log = logging.getLogger(__name__)
STEP_BYTES = 2**20
"""Read at one go; the pace is kept between such steps."""
SAVE_BYTES = 64 * 2**20
"""The place is kept in the index after so many bytes, and at each finding."""
PIECE_BYTES_MIN = 4096
"""What a piece counts at least, so that small ones are paced too."""
PIECES_MAX = 256
"""Rows taken from the index at one go."""


@dataclass(slots=True)
class _Reading:
    """A file in the middle of being read; closed when it is done."""

    piece: Recorded
    descriptor: int
    offset: int = 0
    digest: hashlib._Hash = field(default_factory=partial(hashlib.md5, usedforsecurity=False))


@dataclass(slots=True)
class _Found:
    """What was found and is not in the index yet."""

    digests: dict[int, bytes] = field(default_factory=dict)
    damaged: dict[int, str] = field(default_factory=dict)
    sound: list[int] = field(default_factory=list)
    size_bytes: int = 0


class Scrub:
    """The check of one engine's directory. One process at a time works on it; see is_ours()."""

    def __init__(
        self, directory: Path, blobs: Blobs, committer: Committer, workers: Workers, *, interval_s: int
    ) -> None:
        """Borrows everything. A round begins interval_s after the one before began."""
        self.lock = partial(only_one, directory / "scrub.lock")
        """Inside `with scrub.lock() as is_ours`, no other process may check while is_ours is true."""
        self.progress = Progress()
        self._blobs = blobs
        self._committer = committer
        self._workers = workers
        self._interval_us = interval_s * MICROSECONDS
        self._rows: deque[Recorded] = deque()
        self._reading: _Reading | None = None
        self._found = _Found()

    async def resume(self) -> None:
        """Go on where this or another process stopped. To be called once the lock is ours."""
        self.close()
        self._rows.clear()
        self._found = _Found()
        self.progress = await self._workers.read(read_progress)

    async def step(self, now_us: int) -> int:
        """Check about STEP_BYTES more; how many bytes that counts, 0 while no round is due."""
        if not self._rows and self._reading is None and not await self._next_rows(now_us):
            return 0
        work = asyncio.ensure_future(self._workers.read(self._check))
        try:
            done_bytes = await asyncio.shield(work)
        except asyncio.CancelledError:
            # The file must not be closed under the thread that reads it.
            await asyncio.wait({work})
            raise
        found = self._found
        if found.size_bytes >= SAVE_BYTES or found.digests or found.damaged:
            await self._save(now_us)
        return done_bytes

    def close(self) -> None:
        """Let go of the file that is being read."""
        if self._reading is not None:
            os.close(self._reading.descriptor)
            self._reading = None

    async def _next_rows(self, now_us: int) -> bool:
        progress = self.progress
        if progress.piece == 0:
            if now_us < progress.began_us + self._interval_us:
                return False
            self.progress = progress = replace(progress, began_us=now_us, checked_bytes=0, filled=0)
        self._rows.extend(
            await self._workers.read(partial(pieces_after, piece=progress.piece, limit=PIECES_MAX))
        )
        if self._rows:
            return True
        self.progress = replace(progress, piece=0, ended_us=now_us)
        await self._save(now_us)
        log.info("checked all stored bytes: %s", self.progress)
        return False

    async def _save(self, now_us: int) -> None:
        found, self._found = self._found, _Found()
        await self._committer.commit(
            partial(
                keep_progress,
                progress=self.progress,
                digests=found.digests,
                damaged=found.damaged,
                sound=found.sound,
                now_us=now_us,
            )
        )
        self.progress = await self._workers.read(read_progress)

    def _check(self, connection: Connection) -> int:
        """Runs in a thread: pieces one after the other, until a step is full."""
        done_bytes = 0
        while done_bytes < STEP_BYTES and (self._reading is not None or self._rows):
            if self._reading is None:
                done_bytes += self._begin(connection, self._rows.popleft())
            else:
                done_bytes += self._read_on(connection, self._reading)
        return done_bytes

    def _begin(self, connection: Connection, piece: Recorded) -> int:
        if piece.blob is None:
            data = bytes_in_index(connection, piece.number)
            if data is not None:
                self._compare(connection, piece, hashlib.md5(data, usedforsecurity=False).digest())
            self._passed(piece)
            return max(PIECE_BYTES_MIN, piece.size_bytes)
        try:
            descriptor = os.open(self._blobs.path(piece.blob), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._damaged(connection, piece, "missing")
            self._passed(piece)
            return PIECE_BYTES_MIN
        # What the kernel has in memory says nothing about the disk; clean pages are dropped, dirty ones stay.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        self._reading = _Reading(piece, descriptor)
        return 0

    def _read_on(self, connection: Connection, reading: _Reading) -> int:
        piece = reading.piece
        try:
            data = os.pread(reading.descriptor, STEP_BYTES, reading.offset)
        except OSError as error:
            self._damaged(connection, piece, f"unreadable: {error.strerror}")
            data = b""
        else:
            reading.digest.update(data)
            reading.offset += len(data)
            if not data and reading.offset != piece.size_bytes:
                self._damaged(connection, piece, f"{reading.offset} of {piece.size_bytes} bytes")
            elif not data:
                self._compare(connection, piece, reading.digest.digest())
        if not data:
            self.close()
            self._passed(piece)
        return max(PIECE_BYTES_MIN, len(data))

    def _compare(self, connection: Connection, piece: Recorded, digest: bytes) -> None:
        if piece.md5 is None:
            self._found.digests[piece.number] = digest
            self.progress = replace(self.progress, filled=self.progress.filled + 1)
        elif piece.md5 != digest:
            self._damaged(connection, piece, "other bytes than were written")
        elif self.progress.damaged:
            self._found.sound.append(piece.number)

    def _damaged(self, connection: Connection, piece: Recorded, what: str) -> None:
        if not is_there(connection, piece.number):
            return  # deleted or replaced while it was read
        bucket, key = owner_of_piece(connection, piece.number)
        log.error(
            "damaged: bucket=%d key=%r piece=%d file=%s: %s", bucket, key, piece.number, piece.blob, what
        )
        self._found.damaged[piece.number] = what

    def _passed(self, piece: Recorded) -> None:
        self._found.size_bytes += max(PIECE_BYTES_MIN, piece.size_bytes)
        progress = self.progress
        self.progress = replace(
            progress, piece=piece.number, checked_bytes=progress.checked_bytes + piece.size_bytes
        )


def progress_of(index: Path, *, busy_timeout_s: int) -> Progress | None:
    """How far the check of this index is, read without an engine; None where there is no such index yet."""
    if not index.exists():
        return None
    connection = connect_reader(index, busy_timeout_s=busy_timeout_s)
    try:
        return read_progress(connection)
    except sqlite3.OperationalError:
        return None  # an index of an older Weir, or one that is being written; it is only shown
    finally:
        connection.close()
