"""How a data directory is opened: made durably on first use, checked, and refused with one sentence."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path

from gateway.settings import Durability, GatewaySettings
from gateway.storage.disk.blobs import Blobs
from gateway.storage.disk.committer import Committer
from gateway.storage.disk.files import Files
from gateway.storage.disk.index import connect, migrate, sync_log
from gateway.storage.disk.turnstile import Turnstile, one_at_a_time
from meter.refusal import Refusal


def open_files_and_index(
    directory: Path, settings: GatewaySettings, files: Files | None = None
) -> tuple[Blobs, Committer]:
    """The directory's files and its writer, the thread of which is running. Blocks; raises Refusal."""
    files = files or Files()
    waits = settings.durability is Durability.STRICT
    index = directory / "index.sqlite"
    try:
        make_durable_directory(directory, files)
        with one_at_a_time(directory / "open.lock"):
            blobs = Blobs(directory, files, waits_for_disk=waits, free_bytes_min=settings.disk_free_bytes_min)
            blobs.prepare()
            connection = connect(index, busy_timeout_s=settings.index_busy_timeout_s, waits_for_disk=waits)
            try:
                migrate(connection)
                files.sync_directory(directory)
            except BaseException:
                connection.close()
                raise
        turnstile = Turnstile(directory, timeout_s=settings.index_busy_timeout_s)
    except OSError as error:
        raise Refusal(f"the storage directory {directory} cannot be used: {error.strerror}") from error
    except sqlite3.DatabaseError as error:
        raise Refusal(f"the storage index in {directory} cannot be used: {error}") from error
    return blobs, Committer(
        connection,
        turnstile,
        batch_max=settings.commit_batch_max,
        queue_max=settings.commit_queue_max,
        sync_log=None if waits else partial(sync_log, index, files),
    )


def make_durable_directory(directory: Path, files: Files) -> None:
    """Make the directory and its parents so that each name survives a power cut."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
        files.sync_directory(path.parent)
