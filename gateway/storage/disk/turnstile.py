"""Takes turns between the worker processes that write one index, so that none starves.

SQLite's own lock is not fair: a waiter sleeps up to 100 ms between tries while a busy writer takes the
lock again at once. Here a waiter holds the gate, so the one who leaves has to queue behind it. The
kernel gives both locks back when a process dies.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.storage.errors import Busy

_POLL_S = 0.0003
"""Short against one commit, and there is no waiting flock() with a time limit."""


class Turnstile:
    """A fair lock between processes, made of two file locks in a directory."""

    def __init__(self, directory: Path, *, timeout_s: int) -> None:
        """Opens gate.lock and writer.lock in the directory; a wait longer than timeout_s is Busy."""
        self._timeout_s = timeout_s
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._gate = os.open(directory / "gate.lock", flags, 0o600)
        self._writer = os.open(directory / "writer.lock", flags, 0o600)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Inside, this process is the only one that writes. Raises Busy."""
        deadline = time.monotonic() + self._timeout_s
        _lock(self._gate, deadline)
        try:
            _lock(self._writer, deadline)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._writer, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the lock files."""
        os.close(self._gate)
        os.close(self._writer)


def _lock(descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Busy("another worker keeps the storage index") from None
            time.sleep(_POLL_S)
        else:
            return


@contextmanager
def only_one(path: Path) -> Iterator[bool]:
    """Whether this process is the one that holds the lock file now; it never waits."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Waits until this process alone holds the lock file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
