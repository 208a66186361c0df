"""The contract every storage engine keeps. It knows objects and bytes, not HTTP and not members' rights.

What an engine is given and gives is in model, what it refuses in errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

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
    Extent,
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


class ObjectReader(Protocol):
    """An object opened for reading; its bytes stay readable until close(), whatever happens to the key."""

    head: ObjectHead

    def extents(self, start: int, stop: int) -> tuple[Extent, ...]:
        """The bytes [start, stop) in order; 0 ≤ start ≤ stop ≤ size. Empty for start == stop."""
        ...

    def close(self) -> None:
        """Give the descriptors back. May be called twice."""
        ...


class Staged(Protocol):
    """Bytes on their way in: written, not yet visible. Either handed to a commit or discarded."""

    size_bytes: int
    wants_md5: bool = True
    """Its commit is to be told the MD5 of what was written; else the etag may be empty."""

    async def write(self, chunk: bytes | memoryview) -> None:
        """Append; the chunk's memory is the caller's again when this returns. Raises StorageFull."""
        ...

    async def discard(self) -> None:
        """Remove what was written. May be called after a commit, then it does nothing."""
        ...


class Engine(Protocol):
    """A storage engine. Every method may raise NoSuchBucket; sizes are bytes, times UTC microseconds.

    Invariant: when a writing method returns, what it wrote survives a power cut; until it returns,
    nothing of it is visible.
    """

    async def create_bucket(self, bucket: BucketId, *, owner: MemberId, locks: bool = False) -> None:
        """Make an empty bucket; doing it twice changes nothing.

        locks: it will have object lock, which some systems must know by now; set_bucket_rules still says so.
        """
        ...

    async def delete_bucket(self, bucket: BucketId) -> None:
        """Remove an empty bucket. Raises BucketNotEmpty, also for old versions, markers and open uploads.

        Unknown: no effect.
        """
        ...

    async def bucket_rules(self, bucket: BucketId) -> BucketRules:
        """The bucket's rules."""
        ...

    async def set_bucket_rules(self, bucket: BucketId, rules: BucketRules) -> None:
        """Change the rules for every commit after this one. Raises InvalidRules."""
        ...

    def check_space(self, bucket: BucketId, grows_bytes: int) -> None:
        """Raises StorageFull, at once, when there is no room for so many bytes more."""
        ...

    def stored_bytes(self, bucket: BucketId) -> int:
        """Bytes of the bucket's objects, versions and parts together, at once; what Quota is held against."""
        ...

    def stored_bytes_of(self, member: MemberId) -> int:
        """The same of all buckets the member owns, at once; 0 for a member without any."""
        ...

    async def stage(self, arriving: Arriving) -> Staged:
        """Begin receiving the bytes of that object or part. Raises StorageFull."""
        ...

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
        """Make the staged bytes the object, or its newest version.

        Its time is now_us, or just behind the key's newest version when that is later: times ascend within
        a key. Raises PreconditionFailed; with if_match also NoSuchKey; ObjectLocked; QuotaExceeded;
        InvalidRules when the properties ask for a lock in a bucket without.
        """
        ...

    async def open_object(
        self, bucket: BucketId, key: str, version_id: str | None = None, *, wanted: Wanted = EVERYTHING
    ) -> ObjectReader:
        """Open for reading.

        Raises NoSuchKey; with a version id NoSuchVersion, IsDeleteMarker.
        """
        ...

    async def head_object(self, bucket: BucketId, key: str, version_id: str | None = None) -> ObjectHead:
        """The index's row only. Raises as open_object."""
        ...

    async def delete_objects(
        self, bucket: BucketId, deletions: Sequence[Deletion], *, now_us: int
    ) -> tuple[Deleted, ...]:
        """Delete in one commit, in the order given. What is refused is told in Deleted.error.

        A key or version that is not there is deleted without error; only a condition can miss it, and then
        the error is NoSuchKey or NoSuchVersion.
        """
        ...

    async def amend_object(
        self, bucket: BucketId, key: str, version_id: str | None, amendment: Amendment, *, now_us: int
    ) -> ObjectHead:
        """Change what is kept beside the bytes; the bytes and their times stay.

        Raises NoSuchKey, NoSuchVersion, IsDeleteMarker; ObjectLocked; InvalidRules in a bucket without locks.
        """
        ...

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
        """Versions and markers behind (after_key, after_version_id); without a version id, keys > after_key.

        The version named may be gone by now: the page goes on where it was. Only where the version 'null'
        was, nobody knows; then its key is told again from its newest version.
        """
        ...

    def copies_alone(self, source: ObjectReader, bucket: BucketId) -> bool:
        """Whether copy_object from there into this bucket takes any object, and makes ETag and checksum itself.

        Else the caller sees to it that the copy's bytes are one piece, and what their checksum is.
        """
        ...

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
        """Copy all bytes to another (or the same) key, with its own properties and the source's ETag."""
        ...

    async def list_objects(
        self, bucket: BucketId, *, prefix: str, delimiter: str, after: str, limit: int
    ) -> Listing:
        """Keys and common prefixes > `after` (byte order), at most `limit` together; limit 0 gives none.

        A common prefix is skipped when `after` starts with it or equals it.
        """
        ...

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
        """Open a multipart upload. Raises InvalidRules as put_object."""
        ...

    async def get_upload(self, bucket: BucketId, key: str, upload_id: str) -> Upload:
        """Raises NoSuchUpload, also when the id belongs to another key or bucket."""
        ...

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
        """Store a part; the same number again replaces it. Raises NoSuchUpload, QuotaExceeded."""
        ...

    async def list_parts(
        self, bucket: BucketId, key: str, upload_id: str, *, after: int, limit: int
    ) -> tuple[tuple[Part, ...], bool]:
        """Parts with number > after, ascending, and whether more follow. Raises NoSuchUpload."""
        ...

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
        """Make the named (number, etag) parts the object, in one commit; other parts are dropped.

        With sealing, that is the object's, in place of the upload's.

        The same complete again with the same parts gives the same answer while the tombstone and the
        version it made are kept, also when that is no longer the newest. Raises NoSuchUpload, InvalidPart,
        InvalidPartOrder, PartTooSmall, PreconditionFailed.
        """
        ...

    async def abort_upload(self, bucket: BucketId, key: str, upload_id: str, *, now_us: int) -> None:
        """Drop the upload and its parts. Raises NoSuchUpload."""
        ...

    async def list_uploads(
        self, bucket: BucketId, *, prefix: str, after_key: str, after_upload_id: str, limit: int
    ) -> tuple[tuple[Upload, ...], bool]:
        """Open uploads ordered by key then id, after the pair given, and whether more follow."""
        ...

    async def outbox(self, *, after: int, limit: int) -> tuple[StorageChange, ...]:
        """Changes with sequence > after, ascending."""
        ...

    async def last_sequence(self) -> int:
        """The sequence of the newest change ever, also when it was trimmed; 0 before the first."""
        ...

    async def trim_outbox(self, *, up_to: int) -> None:
        """Forget changes with sequence ≤ up_to; they are durable in the journal."""
        ...

    async def close(self) -> None:
        """Finish queued commits and let go of everything."""
        ...
