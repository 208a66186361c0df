"""A few shared bytes by which the workers of one machine tell each other that the directory changed.

NOTIFY comes a moment later than the answer to the client who made the change; this comes before it. It
says only that there is news, not what.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

MARK_BYTES = 16


class ChangeMark:
    """A random token in a mapped file: two writers at once still leave one that nobody has seen."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._map: mmap.mmap | None = None
        self._seen = b""

    def open(self) -> None:
        """Map the file, made on first use; what stands there now is no news."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, MARK_BYTES)
            self._map = mmap.mmap(descriptor, MARK_BYTES)
        finally:
            os.close(descriptor)
        self._seen = self._map[:]

    def close(self) -> None:
        """Let go of the file."""
        if self._map is not None:
            self._map.close()
            self._map = None

    def news(self) -> bytes | None:
        """The token, if it is not the one noted last."""
        if self._map is None:
            return None
        token = self._map[:]
        return None if token == self._seen else token

    def note(self, token: bytes) -> None:
        """What was told with this token is known now. A later token is news again."""
        self._seen = token

    def tell(self) -> None:
        """There is news for every worker, and for this one too: another may have told at the same time."""
        if self._map is not None:
            self._map[:] = os.urandom(MARK_BYTES)
