"""Several engines as one: each call goes to the engine its bucket is on. It knows no engine's kind but the disk's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from gateway.storage.base import Engine, ObjectReader, Staged
from gateway.storage.errors import QuotaExceeded, Unreached
from gateway.storage.model import (
    EVERYTHING,
    NO_QUOTA,
    Amendment,
    Arriving,
    BucketRules,
    Checksum,
    Condition,
    Deleted,
    Deletion,
    Listing,
    ObjectHead,
    ObjectProperties,
    Part,
    Quota,
    StorageChange,
    Upload,
    VersionListing,
    Wanted,
)
from meter.ids import BucketId, MemberId


class PlacedEngines(Engine):
    """The disk, and what `elsewhere` finds. Upkeep and outbox are the disk's.

    A bucket nobody knows of is asked of the disk, which says that it is not there. Where the disk is on another machine
    its buckets are unavailable, and what lies in the one here is nobody's.
    """

    def __init__(
        self,
        disk: Engine,
        elsewhere: Callable[[BucketId], Engine | None],
        *,
        owner_of: Callable[[BucketId], MemberId | None],
        stored_elsewhere: Callable[[MemberId], int],
        has_disk: bool = True,
    ) -> None:
        """elsewhere gives the engine of a bucket that is not on the disk. stored_elsewhere: of a member, in bytes."""
        self._disk = disk
        self._elsewhere = elsewhere
        self._owner_of = owner_of
        self._stored_elsewhere = stored_elsewhere
        self._has_disk = has_disk

    def of(self, bucket: BucketId) -> Engine:
        """The engine the bucket is on. Raises Unreached where that is another machine's disk."""
        engine = self._elsewhere(bucket)
        if engine is None and not self._has_disk:
            raise Unreached(
                "the bucket is on the disk of another machine, and this gateway does not reach it"
            )
        return engine or self._disk

    async def create_bucket(self, bucket: BucketId, *, owner: MemberId, locks: bool = False) -> None:
        """See Engine."""
        await self.of(bucket).create_bucket(bucket, owner=owner, locks=locks)

    async def delete_bucket(self, bucket: BucketId) -> None:
        """See Engine."""
        await self.of(bucket).delete_bucket(bucket)

    async def bucket_rules(self, bucket: BucketId) -> BucketRules:
        """See Engine."""
        return await self.of(bucket).bucket_rules(bucket)

    async def set_bucket_rules(self, bucket: BucketId, rules: BucketRules) -> None:
        """See Engine."""
        await self.of(bucket).set_bucket_rules(bucket, rules)

    def check_space(self, bucket: BucketId, grows_bytes: int) -> None:
        """See Engine."""
        self.of(bucket).check_space(bucket, grows_bytes)

    def stored_bytes(self, bucket: BucketId) -> int:
        """See Engine."""
        return self.of(bucket).stored_bytes(bucket)

    def stored_bytes_of(self, member: MemberId) -> int:
        """See Engine. On all engines together."""
        return self._disk.stored_bytes_of(member) + self._stored_elsewhere(member)

    @contextmanager
    def _shared(self, bucket: BucketId, engine: Engine, quota: Quota) -> Iterator[Quota]:
        """The quota less what the member has on the other engines; an error names the whole limit."""
        owner, limit = self._owner_of(bucket), quota.member_bytes_max
        if limit is None or owner is None:
            yield quota
            return
        other = self._stored_elsewhere(owner) if engine is self._disk else self._disk.stored_bytes_of(owner)
        try:
            yield Quota(quota.bucket_bytes_max, max(0, limit - other))
        except QuotaExceeded as error:
            whose, told = error.args
            raise QuotaExceeded(whose, limit if whose == "member" else told) from None

    async def stage(self, arriving: Arriving) -> Staged:
        """See Engine."""
        return await self.of(arriving.bucket).stage(arriving)

    async def put_object(
        self, bucket: BucketId, key: str, staged: Staged, *, etag: str, properties: ObjectProperties,
        condition: Condition, now_us: int, quota: Quota = NO_QUOTA,
    ) -> ObjectHead:  # fmt: skip
        """See Engine."""
        engine = self.of(bucket)
        with self._shared(bucket, engine, quota) as rest:
            return await engine.put_object(
                bucket, key, staged, etag=etag, properties=properties, condition=condition, now_us=now_us,
                quota=rest,
            )  # fmt: skip

    async def open_object(
        self, bucket: BucketId, key: str, version_id: str | None = None, *, wanted: Wanted = EVERYTHING
    ) -> ObjectReader:
        """See Engine."""
        return await self.of(bucket).open_object(bucket, key, version_id, wanted=wanted)

    async def head_object(self, bucket: BucketId, key: str, version_id: str | None = None) -> ObjectHead:
        """See Engine."""
        return await self.of(bucket).head_object(bucket, key, version_id)

    async def delete_objects(
        self, bucket: BucketId, deletions: Sequence[Deletion], *, now_us: int
    ) -> tuple[Deleted, ...]:
        """See Engine."""
        return await self.of(bucket).delete_objects(bucket, deletions, now_us=now_us)

    async def amend_object(
        self, bucket: BucketId, key: str, version_id: str | None, amendment: Amendment, *, now_us: int
    ) -> ObjectHead:
        """See Engine."""
        return await self.of(bucket).amend_object(bucket, key, version_id, amendment, now_us=now_us)

    async def list_versions(
        self, bucket: BucketId, *, prefix: str, delimiter: str, after_key: str, after_version_id: str, limit: int
    ) -> VersionListing:  # fmt: skip
        """See Engine."""
        return await self.of(bucket).list_versions(
            bucket, prefix=prefix, delimiter=delimiter, after_key=after_key, after_version_id=after_version_id,
            limit=limit,
        )  # fmt: skip

    def copies_alone(self, source: ObjectReader, bucket: BucketId) -> bool:
        """See Engine."""
        return self.of(bucket).copies_alone(source, bucket)

    async def copy_object(
        self, source: ObjectReader, bucket: BucketId, key: str, *, properties: ObjectProperties,
        condition: Condition, now_us: int, quota: Quota = NO_QUOTA,
    ) -> ObjectHead:  # fmt: skip
        """See Engine. The source may be any engine's."""
        engine = self.of(bucket)
        with self._shared(bucket, engine, quota) as rest:
            return await engine.copy_object(
                source, bucket, key, properties=properties, condition=condition, now_us=now_us, quota=rest
            )

    async def list_objects(
        self, bucket: BucketId, *, prefix: str, delimiter: str, after: str, limit: int
    ) -> Listing:
        """See Engine."""
        return await self.of(bucket).list_objects(
            bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit
        )

    async def create_upload(
        self, bucket: BucketId, key: str, *, properties: ObjectProperties, checksum_algorithm: str,
        checksum_kind: str, now_us: int,
    ) -> Upload:  # fmt: skip
        """See Engine."""
        return await self.of(bucket).create_upload(
            bucket, key, properties=properties, checksum_algorithm=checksum_algorithm, checksum_kind=checksum_kind,
            now_us=now_us,
        )  # fmt: skip

    async def get_upload(self, bucket: BucketId, key: str, upload_id: str) -> Upload:
        """See Engine."""
        return await self.of(bucket).get_upload(bucket, key, upload_id)

    async def put_part(
        self, bucket: BucketId, key: str, upload_id: str, number: int, staged: Staged, *, etag: str,
        checksum: Checksum | None, now_us: int, quota: Quota = NO_QUOTA, sealing: str = "",
    ) -> Part:  # fmt: skip
        """See Engine."""
        engine = self.of(bucket)
        with self._shared(bucket, engine, quota) as rest:
            return await engine.put_part(
                bucket, key, upload_id, number, staged, etag=etag, checksum=checksum, now_us=now_us, quota=rest,
                sealing=sealing,
            )  # fmt: skip

    async def list_parts(
        self, bucket: BucketId, key: str, upload_id: str, *, after: int, limit: int
    ) -> tuple[tuple[Part, ...], bool]:
        """See Engine."""
        return await self.of(bucket).list_parts(bucket, key, upload_id, after=after, limit=limit)

    async def complete_upload(
        self, bucket: BucketId, key: str, upload_id: str, parts: Sequence[tuple[int, str]], *, etag: str,
        checksum: Checksum | None, condition: Condition, part_bytes_min: int, now_us: int,
        sealing: Mapping[str, str] | None = None,
    ) -> ObjectHead:  # fmt: skip
        """See Engine."""
        return await self.of(bucket).complete_upload(
            bucket, key, upload_id, parts, etag=etag, checksum=checksum, condition=condition,
            part_bytes_min=part_bytes_min, now_us=now_us, sealing=sealing,
        )  # fmt: skip

    async def abort_upload(self, bucket: BucketId, key: str, upload_id: str, *, now_us: int) -> None:
        """See Engine."""
        await self.of(bucket).abort_upload(bucket, key, upload_id, now_us=now_us)

    async def list_uploads(
        self, bucket: BucketId, *, prefix: str, after_key: str, after_upload_id: str, limit: int
    ) -> tuple[tuple[Upload, ...], bool]:
        """See Engine."""
        return await self.of(bucket).list_uploads(
            bucket, prefix=prefix, after_key=after_key, after_upload_id=after_upload_id, limit=limit
        )

    async def outbox(self, *, after: int, limit: int) -> tuple[StorageChange, ...]:
        """See Engine. The disk's: the others tell their changes themselves."""
        return await self._disk.outbox(after=after, limit=limit)

    async def last_sequence(self) -> int:
        """See Engine."""
        return await self._disk.last_sequence()

    async def trim_outbox(self, *, up_to: int) -> None:
        """See Engine."""
        await self._disk.trim_outbox(up_to=up_to)

    async def close(self) -> None:
        """See Engine. Who found the others closes them."""
        await self._disk.close()
