"""The few calls by which bytes reach the disk, one method each, so that a test can watch or break them.

It knows no index and no names of its own.
"""

from __future__ import annotations

import os
from pathlib import Path


class Files:
    """The file system as it is. Every method raises OSError."""

    def create_unnamed(self, directory: Path) -> int:
        """A file without a name on the directory's file system; it vanishes unless it is linked."""
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def create_named(self, path: Path) -> int:
        """A new file under a name that was free."""
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        """Append; how many bytes were taken."""
        return os.write(descriptor, data)

    def copy(self, source: int, offset: int, size_bytes: int, target: int) -> int:
        """Append from another file without passing the bytes through us; how many were copied."""
        return os.copy_file_range(source, target, size_bytes, offset_src=offset)

    def begin_writing(self, descriptor: int, offset: int, size_bytes: int) -> None:
        """Let the kernel send these bytes to the disk now, and do not wait: the sync at the end is short then.

        To say that they are not needed does that; bytes on their way stay in memory (posix_fadvise(2)).
        """
        os.posix_fadvise(descriptor, offset, size_bytes, os.POSIX_FADV_DONTNEED)

    def sync_data(self, descriptor: int) -> None:
        """The file's bytes and size survive a power cut."""
        os.fdatasync(descriptor)

    def link(self, descriptor: int, path: Path) -> None:
        """Give an unnamed file its name (open(2): linkat through /proc, no privilege needed)."""
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # With a directory descriptor Python calls linkat(AT_SYMLINK_FOLLOW), without one link().
            os.link(f"/proc/self/fd/{descriptor}", path.name, dst_dir_fd=directory, follow_symlinks=True)
        finally:
            os.close(directory)

    def rename(self, source: Path, target: Path) -> None:
        """Move a named file to its place."""
        os.rename(source, target)

    def sync_directory(self, path: Path) -> None:
        """The directory's names survive a power cut."""
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def free_bytes(self, directory: Path) -> int:
        """What the directory's file system still has for us."""
        found = os.statvfs(directory)
        return found.f_bavail * found.f_frsize

    def unlink(self, path: Path) -> None:
        """Remove the name if it is there."""
        path.unlink(missing_ok=True)
