"""The writer's side of a stream: mapped segments that survive kill -9, fsynced in groups.

One process writes a stream; it holds the directory's lock. A record reaches the kernel when it is
copied into the mapped segment, so a killed process loses nothing. It knows files, not Postgres.

Invariant: sequences have no gaps, and each segment names the digest of the one before.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import mmap
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from meter import frame
from meter.event import Event
from meter.frame import HEADER_BYTES, RECORD_BYTES, SegmentHeader
from meter.reader import header_of, view
from meter.recovery import settle_end
from meter.refusal import Refusal
from meter.segments import (
    number_of,
    segment_path,
    segment_paths,
    stream_of,
    sync_directory,
    sync_file,
)

log = logging.getLogger(__name__)
_PUBLISHED, _SYNCED, _SEALED = (
    at // frame.WORD_BYTES for at in (frame.PUBLISHED_AT, frame.SYNCED_AT, frame.SEALED_AT)
)
_FIRST_LAST_WORD = (HEADER_BYTES + frame.LAST_WORD_AT) // frame.WORD_BYTES
_RECORD_WORDS = RECORD_BYTES // frame.WORD_BYTES
_put_record, _HELD, _CHECKSUM_SHIFT = frame.put_record, frame.HELD, frame.CHECKSUM_SHIFT
SPARE_NAME = "spare"
FULL = (errno.ENOSPC, errno.EDQUOT)
BLOCK_BYTES = 512
"""What st_blocks counts in."""
LOCK_POLL_S = 0.01
"""flock() has no waiting with a time limit."""


class JournalFull(Refusal):
    """There is no disk space for the next segment: nothing more may be served uncounted."""


class JournalLocked(Exception):
    """Another process writes this stream."""


class Segment:
    """One mapped segment being written."""

    __slots__ = (
        "_hash", "_hashed", "capacity", "count", "descriptor", "first_sequence", "header", "held_seed", "map", "path",
        "sealed", "seed", "words",
    )  # fmt: skip

    def __init__(self, path: Path, header: SegmentHeader, *, count: int) -> None:
        self.path = path
        self.header = header
        self.descriptor = os.open(path, os.O_RDWR)
        self.map = mmap.mmap(self.descriptor, 0)
        self.words = frame.words(self.map)
        self.capacity = (len(self.map) - HEADER_BYTES) // RECORD_BYTES
        self.count = count
        self.first_sequence = header.first_sequence
        last = HEADER_BYTES + count * RECORD_BYTES
        self.seed = frame.next_seed(
            self.map[last - RECORD_BYTES : last] if count else b"", frame.record_seed(header)
        )
        """What the checksum of the next record begins with."""
        self.held_seed = self.seed
        """The same for the record after the one that is held."""
        self._hash = hashlib.sha256(frame.pack_header(header))
        self._hashed = 0
        self.sealed = False

    def clear(self, index: int) -> None:
        """Empty a place that was never published."""
        at = HEADER_BYTES + index * RECORD_BYTES
        self.map[at : at + RECORD_BYTES] = bytes(RECORD_BYTES)

    def sync(self) -> int:
        """fdatasync, then tell readers how many records are on disk; called from the sync thread."""
        count = self.count
        os.fdatasync(self.descriptor)
        self.words[_SYNCED] = count
        return count

    @property
    def synced(self) -> int:
        """Records that are known to be on disk."""
        return self.words[_SYNCED]

    def let_go(self) -> None:
        """Close the file; what was published stays where it is."""
        self.words.release()
        self.map.close()
        os.close(self.descriptor)

    def digest(self) -> bytes:
        """SHA-256 so far; hashes only what is new since the last call."""
        count = self.count  # once: the writer goes on while another thread hashes
        start, stop = (HEADER_BYTES + n * RECORD_BYTES for n in (self._hashed, count))
        self._hash.update(memoryview(self.map)[start:stop])
        self._hashed = count
        return self._hash.digest()

    def seal(self) -> bytes:
        """Close the segment for good and cut its unused rest; the digest binds the next one."""
        digest = self.digest()
        os.fdatasync(self.descriptor)
        # The flag last: who has seen it and reads again sees all that belongs to it.
        self.map[frame.DIGEST_AT : frame.DIGEST_AT + len(digest)] = digest
        self.words[_PUBLISHED] = self.words[_SYNCED] = self.count
        self.words[_SEALED] = 1
        self.map.flush()
        self.words.release()
        self.map.close()
        os.ftruncate(self.descriptor, HEADER_BYTES + self.count * RECORD_BYTES)
        os.fsync(self.descriptor)
        os.close(self.descriptor)
        self.sealed = True
        return digest


class Journal:
    """The single writer of a stream. append() is called from one thread, sync() from another."""

    def __init__(
        self, directory: Path, *, segment_bytes_max: int, segment_age_max_s: int, now_us: int,
        lock_patience_s: float = 0,
    ) -> None:  # fmt: skip
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._lock_file = lock_stream(directory, patience_s=lock_patience_s)
        self._bytes_max = segment_bytes_max
        self._age_max_us = segment_age_max_s * 1_000_000
        self._roll_lock = threading.Lock()
        self._held = self._has_spare = self._is_full = False
        self.on_sync_failure: Callable[[OSError], None] = _nobody
        """Told when a segment cannot be sealed, or the next one not begun, on the writer's own thread."""
        self.torn_bytes = 0
        """Bytes of a torn tail found at the start; they are kept beside the segment as .torn."""
        try:
            self.stream = stream_of(directory)
            # A writer that was killed may have given names that are not on the disk yet: what is
            # synced in a file from now on must not go with its name.
            for place in (directory, *directory.parents[:2]):
                sync_directory(place)
            self._segment = self._reopen(now_us)
            self._has_spare = self._prepare_spare()
        except OSError as error:
            self._lock_file.close()
            if error.errno in FULL:
                raise JournalFull(f"no disk space for a stream in {directory}") from error
            raise
        except BaseException:
            self._lock_file.close()
            raise

    @property
    def next_sequence(self) -> int:
        """The sequence the next record gets."""
        return self._segment.header.first_sequence + self._segment.count

    @property
    def capacity(self) -> int:
        """Records a segment holds."""
        return self._segment.capacity

    @property
    def room(self) -> int:
        """Records that certainly find a place without another byte of disk."""
        left = self._segment.capacity - self._segment.count
        return left + self._segment.capacity if self._has_spare else left

    def append(self, event: Event) -> int:
        """Write a final record; its sequence. It survives kill -9 now, and a power cut after sync()."""
        assert not self._held, "one record is held at a time"
        segment = self._segment
        index = segment.count
        if index >= segment.capacity:
            self._roll(event.ended_us)
            segment, index = self._segment, 0
        sequence = segment.first_sequence + index
        segment.seed = _put_record(
            segment.map, HEADER_BYTES + index * RECORD_BYTES, sequence, event, segment.seed
        )
        segment.count = index + 1
        segment.words[_PUBLISHED] = index + 1
        return sequence

    def hold(self, event: Event) -> int:
        """Write a record that bills nothing until publish(): what it says may not come true; its sequence."""
        # One call within hold(), and none within publish(): every short answer pays for both, and between two requests
        # all of it falls out of the processor's caches, so that a call costs several times what it does in a loop.
        assert not self._held, "one record is held at a time"
        segment = self._segment
        index = segment.count
        if index >= segment.capacity:
            self._roll(event.ended_us)
            segment, index = self._segment, 0
        sequence = segment.first_sequence + index
        segment.held_seed = _put_record(
            segment.map, HEADER_BYTES + index * RECORD_BYTES, sequence, event, segment.seed, held=_HELD
        )
        self._held = True
        return sequence

    def withdraw(self) -> None:
        """Take the held record back: its exchange goes on, and will be recorded when it ends."""
        assert self._held, "nothing is held"
        self._held = False
        self._segment.clear(self._segment.count)

    def publish(self) -> None:
        """Make the held record final."""
        assert self._held, "nothing is held"
        self._held = False
        segment = self._segment
        index, seed, words = segment.count, segment.held_seed, segment.words
        # Final in one step, then readers may trust it.
        words[_FIRST_LAST_WORD + index * _RECORD_WORDS] = seed << _CHECKSUM_SHIFT
        segment.seed = seed
        segment.count = words[_PUBLISHED] = index + 1

    def sync(self) -> None:
        """Group commit: everything published is on disk afterwards. Raises OSError: stop, do not retry.

        After a failed fsync Linux may have dropped the pages, and a second one would lie.
        """
        with self._roll_lock:
            segment = self._segment
            if segment.synced < segment.count:
                segment.sync()
                segment.digest()
            if not self._has_spare:
                self._has_spare = self._prepare_spare()

    def roll_if_aged(self, now_us: int) -> None:
        """Seal a segment that is old enough, so that it can be compressed and shown; writer's thread only."""
        segment = self._segment
        # Without a spare the open segment's last places are worth more than its age.
        if (
            segment.count
            and self._has_spare
            and not self._held
            and now_us - segment.header.created_us >= self._age_max_us
        ):
            self._roll(now_us)

    def close(self) -> None:
        """Sync what is there and let go; the segment stays open for the next start."""
        with self._roll_lock:
            self._segment.sync()
            self._segment.let_go()
            self._lock_file.close()

    def _reopen(self, now_us: int) -> Segment:
        """Continue the last segment, or begin the first or the next one."""
        paths = segment_paths(self.directory)
        if not paths:
            return self._create(SegmentHeader(self.stream, 1, 1, now_us, frame.FIRST_DIGEST))
        last = paths[-1]
        header, live = header_of(last)
        if header.stream != self.stream:
            raise frame.DamagedSegment(f"{last.name} belongs to stream {header.stream}, not to {self.stream}")
        if header.number != number_of(last):
            raise frame.DamagedSegment(f"{last.name} holds segment {header.number}")
        if live.sealed:
            # Killed before it began the next one, which names this one's digest: so it is looked at. And the next one
            # must not be on the disk before the seal is.
            view(last, stream=self.stream)
            sync_file(last)
            return self._create(_successor(header, live.published, live.digest, now_us))
        end = settle_end(last, header, live)
        self.torn_bytes = end.torn_bytes
        segment = Segment(last, header, count=end.records)
        segment.words[_PUBLISHED] = segment.count
        segment.sync()
        return segment

    def _roll(self, now_us: int) -> None:
        """Seal, and begin the next segment. Raises JournalFull, and then nothing has changed."""
        with self._roll_lock:
            if not self._has_spare and not self._prepare_spare():
                raise JournalFull(f"no disk space for another segment in {self.directory}")
            old = self._segment
            try:
                digest = old.seal()
                self._segment = self._create(_successor(old.header, old.count, digest, now_us))
            except OSError as error:
                self.on_sync_failure(error)
                raise

    def _create(self, header: SegmentHeader) -> Segment:
        """Turn the spare into the next segment. Raises JournalFull."""
        spare = self.directory / SPARE_NAME
        if not self._prepare_spare():
            raise JournalFull(f"no disk space for another segment in {self.directory}")
        self._has_spare = False
        with spare.open("r+b") as file:
            file.write(frame.pack_header(header))
            file.flush()
            os.fsync(file.fileno())
        path = segment_path(self.directory, header.number)
        spare.rename(path)
        sync_directory(self.directory)
        return Segment(path, header, count=0)

    def _prepare_spare(self) -> bool:
        """Reserve the next segment's blocks now: a store into a mapped hole on a full disk is a SIGBUS."""
        fresh = self.directory / f"{SPARE_NAME}.new"
        if self._holds_spare():
            return True
        try:
            descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._bytes_max)
            finally:
                os.close(descriptor)
            fresh.rename(self.directory / SPARE_NAME)
        except OSError as error:
            if error.errno not in FULL:
                raise
            fresh.unlink(missing_ok=True)
            if not self._is_full:
                log.error("no space for a spare segment: stream=%s", self.stream)
            self._is_full = True
            return False
        if self._is_full:
            log.warning("there is space for a spare segment again: stream=%s", self.stream)
        self._is_full = False
        return True

    def _holds_spare(self) -> bool:
        """Whether a spare of our size is there with its blocks; after a power cut there may be a name and no more.

        One that the writer before left is taken: on a full disk there is no room for a second.
        """
        try:
            found = (self.directory / SPARE_NAME).stat()
        except FileNotFoundError:
            return False
        return found.st_size == self._bytes_max <= found.st_blocks * BLOCK_BYTES


def _nobody(error: OSError) -> None:
    """The caller is told by the exception alone."""
    del error


def _successor(header: SegmentHeader, count: int, digest: bytes, now_us: int) -> SegmentHeader:
    return SegmentHeader(header.stream, header.number + 1, header.first_sequence + count, now_us, digest)


def lock_stream(directory: Path, *, patience_s: float = 0) -> IO[str]:
    """Take the stream's lock and keep it while the returned file lives. Raises JournalLocked after so many seconds."""
    deadline = time.monotonic() + patience_s
    file = (directory / "lock").open("a")
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(LOCK_POLL_S)
                continue
            file.close()
            raise JournalLocked(f"{directory} is written by another process") from None
        return file
