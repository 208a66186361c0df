"""Who reads old segments holds the journal still, and only then does retention wait: nothing is written for it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held_still(journal_directory: Path) -> Iterator[None]:
    """While the block runs no segment is removed. Any number of readers at once."""
    descriptor = _opened(journal_directory)
    try:
        if descriptor is not None:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def nobody_reads(journal_directory: Path) -> Iterator[bool]:
    """Whether nobody reads old segments; if so, nobody begins to while the block runs."""
    descriptor = _opened(journal_directory)
    try:
        yield descriptor is not None and _taken(descriptor)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _opened(journal_directory: Path) -> int | None:
    """The directory itself is what is locked; None where nothing was ever counted."""
    try:
        return os.open(journal_directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
