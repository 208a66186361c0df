"""The disk engine's multipart uploads."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from functools import partial

from gateway.storage.base import Staged
from gateway.storage.disk import index_listing, index_uploads
from gateway.storage.disk.engine_base import EngineBase
from gateway.storage.disk.index_uploads import Completion
from gateway.storage.disk.piece import md5_of
from gateway.storage.model import (
    NO_QUOTA,
    Checksum,
    Condition,
    ObjectHead,
    ObjectProperties,
    Part,
    Quota,
    Upload,
)
from meter.ids import BucketId
from meter.window import MICROSECONDS


class UploadMethods(EngineBase):
    """The part of DiskEngine that knows uploads and parts."""

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
        """See Engine. Also raises InvalidRules. Ids of one key sort by the time they were given."""
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
        quota: Quota = NO_QUOTA,
        sealing: str = "",
    ) -> Part:
        """See Engine."""
        part = Part(number, staged.size_bytes, etag, now_us, checksum, sealing)
        put = partial(
            index_uploads.put_part,
            bucket=bucket,
            key=key,
            upload_id=upload_id,
            part=part,
            quota=quota,
            timing=self._timing(now_us),
        )
        return await self._put(staged, lambda piece: partial(put, piece=piece), md5=md5_of(etag))

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
        sealing: Mapping[str, str] | None = None,
    ) -> ObjectHead:
        """See Engine. Once the object is replaced for good, a repeated Complete is NoSuchUpload."""
        tombstones_from_us = now_us - self._settings.upload_tombstone_s * MICROSECONDS
        completion = Completion(parts, etag, checksum, condition, part_bytes_min, tombstones_from_us, sealing)
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
