"""A disk under real files, that may lose its power, fill up, or fail: what the meter's modules use for `os`.

Everything happens on a real directory, and beside it stands what would be left after a power cut: a file's
bytes as of its last fsync, a directory's names as of its own. At a cut each 512-byte sector of what was not synced is
there or not, and what the kernel wrote back by itself is there as of then (`write_back`). A kill -9 takes none of
it: the files are as they are. After a failed fsync nothing new is durable until the next one succeeds; that a
real kernel may have dropped the pages meanwhile is not modelled.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECTOR_BYTES = 512


def _nothing() -> None:
    """Nobody else is there."""


class Disk:
    """All files below one directory."""

    def __init__(self, root: Path, chance: random.Random) -> None:
        self.root = root
        self._chance = chance
        self._bytes: dict[int, bytes] = {}
        self._names: dict[Path, dict[str, int]] = {}
        self._directories: dict[Path, set[str]] = {}
        self.is_full = False
        self.failing_syncs = 0
        self.before_sync: Callable[[], None] = _nothing
        """Called as a sync begins: there the other processes go on."""

    def synced(self, descriptor: int) -> None:
        """An fsync or fdatasync. Raises OSError when one was to fail."""
        self.before_sync()
        if self.failing_syncs:
            self.failing_syncs -= 1
            raise OSError(errno.EIO, "Input/output error")
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if path.is_dir():
            self._names[path] = names(path)
            self._directories[path] = directories(path)
        else:
            self._keep(os.fstat(descriptor).st_ino, path)

    def _keep(self, inode: int, path: Path) -> None:
        try:
            self._bytes[inode] = path.read_bytes()
        except FileNotFoundError:
            return  # without a name: nothing that a cut could leave

    def synced_names(self, directory: Path) -> set[str]:
        """The names in a directory that no power cut takes."""
        return {*self._names.get(directory, ()), *self._directories.get(directory, ())}

    def write_back(self) -> None:
        """The kernel writes a file of its choice, or some of it, when it likes to."""
        files = [path for path in self.root.rglob("*") if path.is_file()]
        if not files:
            return
        path = self._chance.choice(sorted(files))
        inode, now = path.stat().st_ino, path.read_bytes()
        before = self._bytes.get(inode)
        if before is None or len(before) != len(now) or self._chance.random() < 0.5:
            self._bytes[inode] = now
        else:
            self._bytes[inode] = self._mixed(before, now)

    def cut(self) -> None:
        """The power goes and comes back."""
        self._cut_directories(self.root)
        for directory in sorted(path for path in self.root.rglob("*") if path.is_dir()):
            self._cut_directory(directory)
        self._bytes = {
            path.stat().st_ino: path.read_bytes() for path in self.root.rglob("*") if path.is_file()
        }
        left = [self.root, *(path for path in self.root.rglob("*") if path.is_dir())]
        self._names = {path: names(path) for path in left}
        self._directories = {path: directories(path) for path in left}

    def _cut_directories(self, directory: Path) -> None:
        """A directory whose own name was never synced may be gone with all that is in it."""
        for name in sorted(directories(directory)):
            if name not in self._directories.get(directory, ()) and self._chance.random() < 0.5:
                shutil.rmtree(directory / name)
            else:
                self._cut_directories(directory / name)

    def _cut_directory(self, directory: Path) -> None:
        now, before = names(directory), self._names.get(directory, {})
        kept = self._chance.choice((now, before))
        contents = {}
        for name, inode in kept.items():
            current = (directory / name).read_bytes() if now.get(name) == inode else None
            moved = next((directory / other for other, one in now.items() if one == inode), None)
            if current is None and moved is not None:
                current = moved.read_bytes()
            contents[name] = self._after_cut(inode, current)
        for name in now:
            (directory / name).unlink()
        for name, content in contents.items():
            (directory / name).write_bytes(content)

    def _after_cut(self, inode: int, current: bytes | None) -> bytes:
        before = self._bytes.get(inode)
        if current is None:
            assert before is not None or inode not in self._bytes
            return before or b""
        if before is None:
            # Never synced: its length may be there before its bytes.
            return self._chance.choice((b"", bytes(len(current)), current))
        if before == current:
            return current
        return self._chance.choice((before, current, self._mixed(before, current)))

    def _mixed(self, before: bytes, now: bytes) -> bytes:
        size = self._chance.choice((len(before), len(now)))
        before, now = before.ljust(size, b"\0")[:size], now.ljust(size, b"\0")[:size]
        return b"".join(
            self._chance.choice((before, now))[at : at + SECTOR_BYTES] for at in range(0, size, SECTOR_BYTES)
        )


def names(directory: Path) -> dict[str, int]:
    """The files' names in a directory, with their inodes."""
    return {path.name: path.stat().st_ino for path in sorted(directory.iterdir()) if path.is_file()}


def directories(directory: Path) -> set[str]:
    """The directories' names in a directory."""
    return {path.name for path in directory.iterdir() if path.is_dir()}


class Os:
    """The module `os`, with the calls that reach the disk bent to it, and descriptors noted for their owner."""

    def __init__(self, disk: Disk, descriptors: Callable[[], set[int]]) -> None:
        self._disk = disk
        self._descriptors = descriptors

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, *arguments: Any, **named: Any) -> int:
        """os.open."""
        descriptor = os.open(*arguments, **named)
        self._descriptors().add(descriptor)
        return descriptor

    def close(self, descriptor: int) -> None:
        """os.close."""
        self._descriptors().discard(descriptor)
        os.close(descriptor)

    def fsync(self, descriptor: int) -> None:
        """os.fsync."""
        self._disk.synced(descriptor)

    def fdatasync(self, descriptor: int) -> None:
        """os.fdatasync."""
        self._disk.synced(descriptor)

    def posix_fallocate(self, descriptor: int, offset: int, size: int) -> None:
        """os.posix_fallocate, unless the disk is full."""
        if self._disk.is_full and os.fstat(descriptor).st_size < offset + size:
            raise OSError(errno.ENOSPC, "No space left on device")
        os.posix_fallocate(descriptor, offset, size)
