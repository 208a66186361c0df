"""The disk engine: bytes into files first, then one index change that makes them the truth.

The story of a put is _put below: publish the bytes durably, commit, and only then answer. It does not
know HTTP, members' rights or money; the change of stored bytes goes to the outbox in the same commit.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from gateway.settings import GatewaySettings
from gateway.storage.base import (
    Checksum,
    Condition,
    DamagedObject,
    Engine,
    Listing,
    ObjectHead,
    ObjectProperties,
    ObjectReader,
    Part,
    Staged,
    StorageChange,
    StorageError,
    Upload,
)
from gateway.storage.disk import index_listing, index_objects, index_outbox, index_uploads
from gateway.storage.disk.blobs import Blobs
from gateway.storage.disk.committer import Committer
from gateway.storage.disk.index import Connection
from gateway.storage.disk.index_hot import HotObjects
from gateway.storage.disk.index_objects import Timing
from gateway.storage.disk.index_uploads import Completion
from gateway.storage.disk.opening import open_files_and_index
from gateway.storage.disk.piece import Piece
from gateway.storage.disk.reader import DiskReader, OpenFiles
from gateway.storage.disk.staged import DiskStaged
from gateway.storage.disk.upkeep import SweepReport, Upkeep
from gateway.storage.disk.workers import Workers
from meter.event import StorageLine
from meter.ids import BucketId, MemberId
from meter.window import MICROSECONDS

T = TypeVar("T")


async def open_engine(directory: Path, settings: GatewaySettings) -> DiskEngine:
    """Open the directory, made on first use; other processes may have it open too.

    Raises Refusal when it cannot be written, or is of a newer Weir, or its index is damaged.
    """
    blobs, committer = await asyncio.to_thread(open_files_and_index, directory, settings)
    return DiskEngine(directory, settings, blobs, committer)


class DiskEngine(Engine):
    """Engine on one local directory. Make it with open_engine()."""

    def __init__(
        self, directory: Path, settings: GatewaySettings, blobs: Blobs, committer: Committer
    ) -> None:
        """Owns blobs and committer from now on."""
        self._settings = settings
        self._blobs = blobs
        self._committer = committer
        self._files = OpenFiles(blobs)
        self._hot = HotObjects()
        self._workers = Workers(
            directory / "index.sqlite",
            threads_max=settings.disk_threads_max,
            busy_timeout_s=settings.index_busy_timeout_s,
        )
        self._upkeep = Upkeep(directory, settings, blobs, committer, self._workers)
        self._unfinished: set[asyncio.Task[object]] = set()

    # Buckets

    async def create_bucket(self, bucket: BucketId, *, owner: MemberId) -> None:
        """See Engine."""
        await self._committer.commit(partial(index_objects.create_bucket, bucket=bucket, owner=owner))

    async def delete_bucket(self, bucket: BucketId) -> None:
        """See Engine."""
        await self._committer.commit(partial(index_objects.delete_bucket, bucket=bucket))

    # Objects

    async def stage(self) -> Staged:
        """See Engine."""
        return self._stage()

    def _stage(self) -> DiskStaged:
        return DiskStaged(
            self._blobs, self._workers.executor, inline_bytes_max=self._settings.inline_bytes_max
        )

    async def put_object(
        self,
        bucket: BucketId,
        key: str,
        staged: Staged,
        *,
        etag: str,
        properties: ObjectProperties,
        condition: Condition,
        now_us: int,
    ) -> ObjectHead:
        """See Engine."""
        head = ObjectHead(key, staged.size_bytes, etag, now_us, properties)
        put = partial(
            index_objects.put_object,
            bucket=bucket,
            head=head,
            condition=condition,
            timing=self._timing(now_us),
        )
        await self._put(staged, lambda connection, piece: put(connection, piece=piece))
        return head

    def open_object(self, bucket: BucketId, key: str) -> ObjectReader:
        """See Engine. Also raises DamagedObject, Busy."""
        connection = self._workers.connection()
        known = self._hot.find(connection, bucket, key)
        if known is not None:
            return known
        head, pieces = index_objects.read_pieces(connection, bucket, key)
        try:
            reader = DiskReader(head, pieces, self._files)
            self._hot.keep(bucket, key, reader)
            return reader
        except DamagedObject:
            # Replaced and collected between the two lines above? Then the index has moved on.
            again, pieces_again = index_objects.read_pieces(connection, bucket, key)
            if pieces_again == pieces:
                raise
            return DiskReader(again, pieces_again, self._files)

    def head_object(self, bucket: BucketId, key: str) -> ObjectHead:
        """See Engine."""
        return index_objects.read_head(self._workers.connection(), bucket, key)

    async def delete_objects(self, bucket: BucketId, keys: Sequence[str], *, now_us: int) -> tuple[bool, ...]:
        """See Engine."""
        return await self._committer.commit(
            partial(index_objects.delete_objects, bucket=bucket, keys=keys, timing=self._timing(now_us))
        )

    async def copy_object(
        self,
        source: ObjectReader,
        bucket: BucketId,
        key: str,
        *,
        properties: ObjectProperties,
        condition: Condition,
        now_us: int,
    ) -> ObjectHead:
        """See Engine. The bytes are copied, so that no file ever has two owners."""
        staged = self._stage()
        try:
            await staged.append(source.extents(0, source.head.size_bytes))
            return await self.put_object(
                bucket,
                key,
                staged,
                etag=source.head.etag,
                properties=properties,
                condition=condition,
                now_us=now_us,
            )
        finally:
            await staged.discard()

    async def list_objects(
        self, bucket: BucketId, *, prefix: str, delimiter: str, after: str, limit: int
    ) -> Listing:
        """See Engine."""
        return await self._workers.read(
            partial(
                index_listing.list_objects,
                bucket=bucket,
                prefix=prefix,
                delimiter=delimiter,
                after=after,
                limit=limit,
            )
        )

    # Uploads

    async def create_upload(
        self,
        bucket: BucketId,
        key: str,
        *,
        properties: ObjectProperties,
        checksum_algorithm: str,
        checksum_kind: str,
        now_us: int,
    ) -> Upload:
        """See Engine. Ids of one key sort by the time they were given."""
        upload_id = f"{now_us:016x}{secrets.token_hex(16)}"
        upload = Upload(upload_id, key, now_us, properties, checksum_algorithm, checksum_kind)
        await self._committer.commit(partial(index_uploads.add_upload, bucket=bucket, upload=upload))
        return upload

    async def get_upload(self, bucket: BucketId, key: str, upload_id: str) -> Upload:
        """See Engine."""
        return await self._workers.read(
            partial(index_uploads.read_upload, bucket=bucket, key=key, upload_id=upload_id)
        )

    async def put_part(
        self,
        bucket: BucketId,
        key: str,
        upload_id: str,
        number: int,
        staged: Staged,
        *,
        etag: str,
        checksum: Checksum | None,
        now_us: int,
    ) -> Part:
        """See Engine."""
        part = Part(number, staged.size_bytes, etag, now_us, checksum)
        put = partial(
            index_uploads.put_part,
            bucket=bucket,
            key=key,
            upload_id=upload_id,
            part=part,
            timing=self._timing(now_us),
        )
        await self._put(staged, lambda connection, piece: put(connection, piece=piece))
        return part

    async def list_parts(
        self, bucket: BucketId, key: str, upload_id: str, *, after: int, limit: int
    ) -> tuple[tuple[Part, ...], bool]:
        """See Engine."""
        return await self._workers.read(
            partial(
                index_uploads.read_parts,
                bucket=bucket,
                key=key,
                upload_id=upload_id,
                after=after,
                limit=limit,
            )
        )

    async def complete_upload(
        self,
        bucket: BucketId,
        key: str,
        upload_id: str,
        parts: Sequence[tuple[int, str]],
        *,
        etag: str,
        checksum: Checksum | None,
        condition: Condition,
        part_bytes_min: int,
        now_us: int,
    ) -> ObjectHead:
        """See Engine. Once the object is replaced, a repeated Complete is NoSuchUpload."""
        tombstones_from_us = now_us - self._settings.upload_tombstone_s * MICROSECONDS
        completion = Completion(parts, etag, checksum, condition, part_bytes_min, tombstones_from_us)
        return await self._committer.commit(
            partial(
                index_uploads.complete_upload,
                bucket=bucket,
                key=key,
                upload_id=upload_id,
                completion=completion,
                timing=self._timing(now_us),
            )
        )

    async def abort_upload(self, bucket: BucketId, key: str, upload_id: str, *, now_us: int) -> None:
        """See Engine."""
        await self._committer.commit(
            partial(
                index_uploads.abort_upload,
                bucket=bucket,
                key=key,
                upload_id=upload_id,
                timing=self._timing(now_us),
            )
        )

    async def list_uploads(
        self, bucket: BucketId, *, prefix: str, after_key: str, after_upload_id: str, limit: int
    ) -> tuple[tuple[Upload, ...], bool]:
        """See Engine. Without after_upload_id, only keys after after_key."""
        return await self._workers.read(
            partial(
                index_listing.list_uploads,
                bucket=bucket,
                prefix=prefix,
                after_key=after_key,
                after_upload_id=after_upload_id,
                limit=limit,
            )
        )

    # Outbox and audit

    async def outbox(self, *, after: int, limit: int) -> tuple[StorageChange, ...]:
        """See Engine."""
        return await self._workers.read(partial(index_outbox.read_changes, after=after, limit=limit))

    async def trim_outbox(self, *, up_to: int) -> None:
        """See Engine."""
        await self._committer.commit(partial(index_outbox.trim, up_to=up_to))

    async def last_sequence(self) -> int:
        """The last sequence the outbox ever gave, also when it is trimmed; 0 before the first."""
        return await self._workers.read(index_outbox.last_sequence)

    async def usage_totals(self) -> dict[tuple[BucketId, StorageLine], int]:
        """Bytes stored a bucket and line, summed over the rows themselves; zero lines are left out."""
        return await self._workers.read(index_outbox.usage_totals)

    # Upkeep

    async def collect(self, now_us: int) -> int:
        """Take replaced and deleted files off the disk once their delay passed; how many went.

        At most collect_files_max a call; call again while it returns that many. 0 while another
        process does this work.
        """
        return await self._upkeep.collect(now_us)

    async def sweep(self, now_us: int) -> SweepReport:
        """Remove what crashes left behind, and name every object whose file is missing or cut.

        Reads all names on the disk: for the start and for now and then. Empty while another process
        does this work.
        """
        return await self._upkeep.sweep(now_us)

    async def close(self) -> None:
        """See Engine. Open readers keep their files."""
        if self._unfinished:
            await asyncio.wait(self._unfinished)
        await self._committer.close()
        await self._workers.close()

    # How a put happens

    async def _put(self, staged: Staged, change: Callable[[Connection, Piece], None]) -> None:
        """Publish, commit, answer. A caller who is cancelled leaves it running to its end: whether
        the bytes are garbage or an object is decided by the commit, and by nobody else."""
        assert isinstance(staged, DiskStaged), "bytes staged by another engine"
        staged.hand_over()
        await self._to_the_end(self._publish_and_commit(staged, change))

    async def _publish_and_commit(
        self, staged: DiskStaged, change: Callable[[Connection, Piece], None]
    ) -> None:
        piece = await staged.publish()
        try:
            await self._committer.commit(partial(self._point_at, piece=piece, change=change))
        except StorageError:
            # Only when the index has surely not kept it: after an I/O error of COMMIT nobody knows,
            # and then the file stays until the sweep has asked the index again.
            if piece.blob is not None:
                await self._workers.run(partial(self._blobs.remove, piece.blob))
            raise

    def _point_at(
        self, connection: Connection, *, piece: Piece, change: Callable[[Connection, Piece], None]
    ) -> None:
        # A process that stood still for an hour may find its file swept. The sweep holds the same
        # lock as this change, so what is there now stays there.
        if piece.blob is not None and not self._blobs.path(piece.blob).exists():
            raise DamagedObject(f"the file {piece.blob} was swept before its commit")
        change(connection, piece)

    async def _to_the_end(self, work: Coroutine[object, object, None]) -> None:
        task: asyncio.Task[object] = asyncio.ensure_future(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        await asyncio.shield(task)

    def _timing(self, now_us: int) -> Timing:
        return Timing(now_us, now_us + self._settings.blob_delete_delay_s * MICROSECONDS)
