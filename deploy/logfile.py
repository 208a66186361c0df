"""A log file that stays bounded: at its limit it is moved aside, and one older one is kept."""

from __future__ import annotations

import os
from asyncio import StreamReader
from collections import deque
from collections.abc import Callable
from pathlib import Path

TAIL_LINES = 20


class LogFile:
    """Lines of one child; also remembers the last few, to show them when the child fails."""

    def __init__(self, path: Path, *, bytes_max: int) -> None:
        self.path = path
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._bytes_max = bytes_max
        self._descriptor = -1
        self._size_bytes = 0

    def write(self, line: bytes) -> None:
        """Append one line. A full disk loses the line, never the child."""
        text = line.rstrip(b"\r\n")
        self.tail.append(text.decode("utf-8", "replace"))
        try:
            if self._descriptor < 0:
                self._open()
            elif self._size_bytes + len(text) + 1 > self._bytes_max:
                self._turn()
            self._size_bytes += os.write(self._descriptor, text + b"\n")
        except OSError:
            # Nowhere left to report to; the tail is still shown on the terminal.
            self.close()

    def close(self) -> None:
        """Let go of the file; a later write opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self.path, flags, 0o600)
        self._size_bytes = os.fstat(self._descriptor).st_size
        if self._size_bytes >= self._bytes_max:
            self._turn()

    def _turn(self) -> None:
        self.close()
        os.replace(self.path, self.path.with_name(self.path.name + ".1"))
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self.path, flags, 0o600)
        self._size_bytes = 0


async def pump(stream: StreamReader, take: Callable[[bytes], None], *, line_bytes_max: int) -> None:
    """Hand each line of a child's output on, cut at the limit, until the child closes it.

    Never stops reading early: a child that cannot write would hang.
    """
    kept = b""
    while chunk := await stream.read(64 * 1024):
        *lines, kept = (kept + chunk).split(b"\n")
        for line in lines:
            take(line[:line_bytes_max])
        if len(kept) > line_bytes_max:
            take(kept[:line_bytes_max])
            kept = b""
    if kept:
        take(kept)
