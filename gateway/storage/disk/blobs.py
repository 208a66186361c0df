"""Immutable files with random names: how they come to be, durably, and where they are.

One level of 256 directories, all made and synced when the engine is first opened: a directory made
later would have to be synced in its parent by the first put, and 256 × 40,000 files are enough.
A name is never used twice and a file never changes, so no reader ever sees half of a write.
"""

from __future__ import annotations

import errno
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from gateway.storage.disk.files import Files
from gateway.storage.errors import Busy, StorageFull
from meter.refusal import Refusal

FAN_OUT = tuple(f"{number:02x}" for number in range(256))
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
_CANNOT_COPY = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_COPY_BYTES = 2**20
_AHEAD_BYTES = 4 * 2**20
"""A long file goes to the disk in such steps while it still grows; else its sync would take all that time."""


@dataclass(slots=True)
class Draft:
    """A file that is being written; nobody else can see it."""

    blob: str
    descriptor: int
    staging: Path | None
    """Its name for now, on file systems without unnamed files."""
    written_bytes: int = 0
    """By append()."""
    begun_bytes: int = 0
    """Of those, what is on its way to the disk."""


def disk_error(error: OSError) -> Exception:
    """The contract's error for a full disk, or when no descriptors are left; any other as it is."""
    if error.errno in _FULL:
        return StorageFull(error.strerror)
    return Busy(error.strerror) if error.errno in _NO_DESCRIPTORS else error


class Blobs:
    """The files under one directory. Methods block: call them from a thread. They raise StorageFull."""

    def __init__(
        self, directory: Path, files: Files, *, waits_for_disk: bool = True, free_bytes_min: int = 0
    ) -> None:
        """Only names places; prepare() makes them. Without waiting, publish() leaves syncing to the kernel."""
        self._root = directory / "blobs"
        self._staging = directory / "staging"
        self._files = files
        self._free_bytes_min = free_bytes_min
        self._waits_for_disk = waits_for_disk
        self._can_be_unnamed = True

    @property
    def staging(self) -> Path:
        """Where drafts have names, if they need any."""
        return self._staging

    def prepare(self) -> None:
        """Make the directories, durably, and try how drafts can be written. Raises Refusal, OSError."""
        for path in (self._staging, self._root):
            if not path.is_dir():
                path.mkdir(mode=0o700)
        there = set(os.listdir(self._root))
        for name in FAN_OUT:
            if name not in there:
                self.directory(name).mkdir(mode=0o700)
        self._files.sync_directory(self._root)
        self._files.sync_directory(self._root.parent)
        self._can_be_unnamed = self._try_unnamed()

    def _try_unnamed(self) -> bool:
        path = self._staging / f"probe-{secrets.token_hex(8)}"
        try:
            descriptor = self._files.create_unnamed(self._staging)
        except OSError as error:
            if error.errno == errno.EROFS:
                raise Refusal(f"the storage directory {self._root.parent} is on a read-only disk") from error
            return False
        try:
            self._files.link(descriptor, path)
            self._files.unlink(path)
        except OSError:
            # No /proc, or a file system that cannot link: drafts get a name and are renamed.
            return False
        finally:
            os.close(descriptor)
        return True

    def check_space(self, grows_bytes: int) -> None:
        """Raises StorageFull when less than free_bytes_min would be left: index and journal must always find room."""
        if self._files.free_bytes(self._root) < self._free_bytes_min + grows_bytes:
            raise StorageFull("the disk is nearly full")

    def path(self, blob: str) -> Path:
        """Where the file is."""
        return self._root / blob[:2] / blob

    def directory(self, fan_out: str) -> Path:
        """The directory of all files whose names begin so."""
        return self._root / fan_out

    def draft(self) -> Draft:
        """Begin a file."""
        blob = secrets.token_hex(16)
        try:
            if self._can_be_unnamed:
                return Draft(blob, self._files.create_unnamed(self._root / blob[:2]), None)
            staging = self._staging / blob
            return Draft(blob, self._files.create_named(staging), staging)
        except OSError as error:
            raise disk_error(error) from error

    def append(self, draft: Draft, data: bytes | memoryview) -> None:
        """Write all of data at the draft's end."""
        self.check_space(len(data))
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._files.write(draft.descriptor, rest) :]
            draft.written_bytes += len(data)
            waiting_bytes = draft.written_bytes - draft.begun_bytes
            if self._waits_for_disk and waiting_bytes >= _AHEAD_BYTES:
                self._files.begin_writing(draft.descriptor, draft.begun_bytes, waiting_bytes)
                draft.begun_bytes = draft.written_bytes
        except OSError as error:
            raise disk_error(error) from error

    def append_file(self, draft: Draft, descriptor: int, offset: int, size_bytes: int) -> None:
        """Copy a range of an open file to the draft's end, inside the kernel where it can."""
        self.check_space(size_bytes)
        while size_bytes:
            try:
                copied = self._files.copy(descriptor, offset, size_bytes, draft.descriptor)
            except OSError as error:
                if error.errno not in _CANNOT_COPY:
                    raise disk_error(error) from error
                data = os.pread(descriptor, min(size_bytes, _COPY_BYTES), offset)
                self.append(draft, data)
                copied = len(data)
            assert copied, "a published file never shrinks"
            offset += copied
            size_bytes -= copied

    def publish(self, draft: Draft) -> None:
        """Make the draft a file under its name, durable if we wait for the disk.

        Invariant: bytes before name, name before directory, and only then may the index point at it.
        """
        path = self.path(draft.blob)
        try:
            if self._waits_for_disk:
                self._files.sync_data(draft.descriptor)
            if draft.staging is None:
                self._files.link(draft.descriptor, path)
            else:
                self._files.rename(draft.staging, path)
                draft.staging = None
            if self._waits_for_disk:
                self._files.sync_directory(path.parent)
        except OSError as error:
            raise disk_error(error) from error
        os.close(draft.descriptor)

    def abandon(self, draft: Draft) -> None:
        """Remove the draft, however far it came."""
        os.close(draft.descriptor)
        for path in (draft.staging, self.path(draft.blob)):
            if path is not None:
                self._files.unlink(path)

    def remove(self, blob: str) -> None:
        """Take a file off the disk; open readers keep their bytes."""
        self._files.unlink(self.path(blob))
