"""Which files a reader still needs although it has not opened them: a list in a locked file, seen by all processes.

The collector of whichever process leaves pinned files where they are. The kernel gives the lock back when a
process dies, so a pin never outlives its reader.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

_UNFINISHED = ".new"
UNFINISHED_AGE_S = 3600
"""A pin half made by a process that died is removed after so long."""


class Pins:
    """The pins of one process. Readers of the same files share one."""

    def __init__(self, directory: Path) -> None:
        """The directory is the engine's; its pins are made below it."""
        self._place = directory / "pins"
        self._place.mkdir(mode=0o700, exist_ok=True)
        self._held: dict[str, tuple[Path, int]] = {}
        self._readers: dict[str, int] = {}

    def acquire(self, blobs: Sequence[str]) -> bool:
        """Pin the files under the first one's name, until release(); whether they were pinned already.

        Raises OSError, for example on a full disk; then nothing is pinned.
        """
        first = blobs[0]
        known = first in self._held
        if not known:
            self._held[first] = self._make(blobs)
        self._readers[first] = self._readers.get(first, 0) + 1
        return known

    def release(self, first: str) -> None:
        """The last reader takes the pin away."""
        self._readers[first] -= 1
        if not self._readers[first]:
            del self._readers[first]
            path, descriptor = self._held.pop(first)
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def _make(self, blobs: Sequence[str]) -> tuple[Path, int]:
        path = self._place / secrets.token_hex(16)
        # Locked and filled under another name: what the collector can see is whole.
        unfinished = path.with_suffix(_UNFINISHED)
        descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            rest = memoryview("\n".join(blobs).encode())
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            unfinished.rename(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        return path, descriptor

    def of_all_processes(self) -> set[str]:
        """Every file that is pinned now; pins of processes that are gone are removed. Blocks."""
        pinned: set[str] = set()
        for path in list(self._place.iterdir()):
            try:
                if path.suffix == _UNFINISHED and path.stat().st_mtime > time.time() - UNFINISHED_AGE_S:
                    continue
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # its reader has just ended
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pinned.update(os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode().split())
            else:
                path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)
        return pinned
