"""The storage at one moment: its index copied, and every file that this index points at left where it is meanwhile."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.storage.disk.blobs import Blobs
from gateway.storage.disk.files import Files
from gateway.storage.disk.index_backup import IndexMoment
from gateway.storage.disk.turnstile import only_one
from meter.refusal import Refusal

_POLL_S = 0.05


@contextmanager
def kept_files(engine_directory: Path, *, timeout_s: float) -> Iterator[None]:
    """For the time of the block nothing is collected or swept, so no file goes that the index points at now.

    What members delete meanwhile waits on the disk. Raises Refusal when collector or sweep do not end in time.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        with only_one(engine_directory / "upkeep.lock") as is_ours:
            if is_ours:
                yield
                return
        if time.monotonic() > deadline:
            raise Refusal(
                f"the collector or the sweep has been at work in {engine_directory} for more than {timeout_s:g} s; "
                "try again later"
            )
        time.sleep(_POLL_S)


@contextmanager
def index_moment(engine_directory: Path, *, busy_timeout_s: int) -> Iterator[IndexMoment | None]:
    """The index as it is now, for the time of the block; None where nothing was ever stored. Raises Refusal."""
    path = engine_directory / "index.sqlite"
    if not path.exists():
        yield None
        return
    try:
        moment = IndexMoment(path, busy_timeout_s=busy_timeout_s)
    except sqlite3.Error as error:
        raise Refusal(f"the storage index {path} cannot be read: {error}") from error
    try:
        yield moment
    finally:
        moment.close()


def make_places(engine_directory: Path) -> None:
    """The directories of a restored engine, also those that no restored file is in."""
    Blobs(engine_directory, Files()).prepare()
