"""The disk engine's objects and versions: put, open, copy, delete, amend, list."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from gateway.storage.base import ObjectReader, Staged
from gateway.storage.disk import index_listing, index_objects, index_version_listing, index_writing
from gateway.storage.disk.engine_base import EngineBase
from gateway.storage.disk.index_putting import Put
from gateway.storage.disk.piece import md5_of
from gateway.storage.disk.reader import open_reader
from gateway.storage.model import (
    EVERYTHING,
    NO_QUOTA,
    Amendment,
    Condition,
    Deleted,
    Deletion,
    Listing,
    ObjectHead,
    ObjectProperties,
    Quota,
    VersionListing,
    Wanted,
)
from meter.ids import BucketId


class ObjectMethods(EngineBase):
    """The part of DiskEngine that knows objects."""

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
        quota: Quota = NO_QUOTA,
    ) -> ObjectHead:
        """See Engine."""
        head = ObjectHead(key, staged.size_bytes, etag, now_us, properties)
        timing = self._timing(now_us)
        return await self._put(
            staged, lambda piece: Put(bucket, head, piece, condition, quota, timing), md5=md5_of(etag)
        )

    async def open_object(
        self,
        bucket: BucketId,
        key: str,
        version_id: str | None = None,
        *,
        wanted: Wanted = EVERYTHING,  # noqa: ARG002 - all of it is here
    ) -> ObjectReader:
        """See Engine. Also raises DamagedObject, Busy."""
        connection = self._workers.connection()
        if version_id is None:
            known = self._hot.find(connection, bucket, key)
            if known is not None:
                return known
        read = partial(index_objects.read_pieces, connection, bucket, key, version_id)
        reader = open_reader(read, self._files, self._pins, files_max=self._settings.reader_files_max)
        if version_id is None:
            self._hot.keep(bucket, key, reader)
        return reader

    async def head_object(self, bucket: BucketId, key: str, version_id: str | None = None) -> ObjectHead:
        """See Engine."""
        return index_objects.read_head(self._workers.connection(), bucket, key, version_id)

    async def delete_objects(
        self, bucket: BucketId, deletions: Sequence[Deletion], *, now_us: int
    ) -> tuple[Deleted, ...]:
        """See Engine."""
        return await self._committer.commit(
            partial(
                index_writing.delete_objects,
                bucket=bucket,
                deletions=deletions,
                timing=self._timing(now_us),
            )
        )

    async def amend_object(
        self, bucket: BucketId, key: str, version_id: str | None, amendment: Amendment, *, now_us: int
    ) -> ObjectHead:
        """See Engine. Also raises InvalidRules."""
        return await self._committer.commit(
            partial(
                index_writing.amend_object,
                bucket=bucket,
                key=key,
                version_id=version_id,
                amendment=amendment,
                timing=self._timing(now_us),
            )
        )

    def copies_alone(self, source: ObjectReader, bucket: BucketId) -> bool:  # noqa: ARG002 - it never does
        """See Engine."""
        return False

    async def copy_object(
        self,
        source: ObjectReader,
        bucket: BucketId,
        key: str,
        *,
        properties: ObjectProperties,
        condition: Condition,
        now_us: int,
        quota: Quota = NO_QUOTA,
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
                quota=quota,
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

    async def list_versions(
        self,
        bucket: BucketId,
        *,
        prefix: str,
        delimiter: str,
        after_key: str,
        after_version_id: str,
        limit: int,
    ) -> VersionListing:
        """See Engine."""
        return await self._workers.read(
            partial(
                index_version_listing.list_versions,
                bucket=bucket,
                prefix=prefix,
                delimiter=delimiter,
                after_key=after_key,
                after_version_id=after_version_id,
                limit=limit,
            )
        )
