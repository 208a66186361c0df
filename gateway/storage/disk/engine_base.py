"""What all parts of the disk engine share: what they own, and how bytes become part of the index.

The story of a put is _put below: publish the bytes durably, commit, and only then answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from gateway.settings import GatewaySettings
from gateway.storage.base import Staged
from gateway.storage.disk.blobs import Blobs
from gateway.storage.disk.committer import Committer
from gateway.storage.disk.index import Connection
from gateway.storage.disk.index_change import Timing
from gateway.storage.disk.index_hot import HotObjects
from gateway.storage.disk.piece import Piece
from gateway.storage.disk.pins import Pins
from gateway.storage.disk.reader import OpenFiles
from gateway.storage.disk.scrub import Scrub
from gateway.storage.disk.staged import DiskStaged
from gateway.storage.disk.upkeep import Upkeep
from gateway.storage.disk.workers import Workers
from gateway.storage.errors import DamagedObject, StorageError
from gateway.storage.model import Arriving
from meter.window import MICROSECONDS

T = TypeVar("T")


class EngineBase:
    """Files, index and threads of one directory."""

    def __init__(
        self, directory: Path, settings: GatewaySettings, blobs: Blobs, committer: Committer
    ) -> None:
        """Owns blobs and committer from now on."""
        self._settings = settings
        self._blobs = blobs
        self._committer = committer
        self._files = OpenFiles(blobs)
        self._pins = Pins(directory)
        self._hot = HotObjects()
        self._workers = Workers(
            directory / "index.sqlite",
            threads_max=settings.disk_threads_max,
            busy_timeout_s=settings.index_busy_timeout_s,
        )
        self._upkeep = Upkeep(directory, settings, blobs, committer, self._workers, self._pins)
        self.scrub = Scrub(directory, blobs, committer, self._workers, interval_s=settings.scrub_interval_s)
        self._unfinished: set[asyncio.Future[Any]] = set()

    async def stage(self, arriving: Arriving) -> Staged:  # noqa: ARG002 - a file is a file
        """See Engine."""
        return self._stage()

    def _stage(self) -> DiskStaged:
        self._blobs.check_space(0)
        return DiskStaged(
            self._blobs, self._workers.executor, inline_bytes_max=self._settings.inline_bytes_max
        )

    async def _put(
        self, staged: Staged, make: Callable[[Piece], Callable[[Connection], T]], *, md5: bytes | None
    ) -> T:
        """Publish, commit, answer. A caller who is cancelled leaves it running to its end: whether
        the bytes are garbage or an object is decided by the commit, and by nobody else."""
        assert isinstance(staged, DiskStaged), "bytes staged by another engine"
        staged.hand_over(md5)
        small = staged.inline_piece()
        if small is not None:
            # No file that somebody would have to remove: a commit once queued runs, whoever waits for it.
            return await self._committer.commit(make(small))
        return await self._to_the_end(self._publish_and_commit(staged, make))

    async def _publish_and_commit(
        self, staged: DiskStaged, make: Callable[[Piece], Callable[[Connection], T]]
    ) -> T:
        piece = await staged.publish()
        try:
            return await self._committer.commit(partial(self._point_at, piece=piece, change=make(piece)))
        except StorageError:
            # Only when the index has surely not kept it: after an I/O error of COMMIT nobody knows,
            # and then the file stays until the sweep has asked the index again.
            if piece.blob is not None:
                await self._workers.run(partial(self._blobs.remove, piece.blob))
            raise

    def _point_at(self, connection: Connection, *, piece: Piece, change: Callable[[Connection], T]) -> T:
        # A process that stood still for an hour may find its file swept. The sweep holds the same
        # lock as this change, so what is there now stays there.
        if piece.blob is not None and not self._blobs.path(piece.blob).exists():
            raise DamagedObject(f"the file {piece.blob} was swept before its commit")
        return change(connection)

    async def _to_the_end(self, work: Coroutine[object, object, T]) -> T:
        task = asyncio.ensure_future(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return await asyncio.shield(task)

    def _timing(self, now_us: int) -> Timing:
        return Timing(now_us, now_us + self._settings.blob_delete_delay_s * MICROSECONDS)
