"""The contract every storage engine keeps. It knows objects and bytes, not HTTP and not members' rights.

Engines are entered only through this module's types. Errors are its own small tree:

    StorageError
    ├── NoSuchBucket        the engine holds no such bucket
    ├── BucketNotEmpty      objects or open uploads are left
    ├── NoSuchKey
    ├── NoSuchUpload        unknown, completed by other parts, or aborted
    ├── InvalidPart         a part is missing, or its ETag differs
    ├── InvalidPartOrder    part numbers do not ascend
    ├── PartTooSmall        a part before the last is under the minimum
    ├── PreconditionFailed  If-Match or If-None-Match, decided inside the commit
    ├── StorageFull         the disk refused; nothing was committed
    ├── Busy                too many changes wait; the client should slow down and try again
    └── DamagedObject       the index knows the object, its bytes are missing or short
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from meter.event import StorageLine
from meter.ids import BucketId, MemberId


class StorageError(Exception):
    """Base of what an engine refuses; anything else an engine raises is a bug or a broken disk."""


class NoSuchBucket(StorageError): ...


class BucketNotEmpty(StorageError): ...


class NoSuchKey(StorageError): ...


class NoSuchUpload(StorageError): ...


class InvalidPart(StorageError):
    """args[0] is the part number."""


class InvalidPartOrder(StorageError): ...


class PartTooSmall(StorageError):
    """args are part number, its size in bytes, the minimum in bytes."""


class PreconditionFailed(StorageError): ...


class StorageFull(StorageError): ...


class Busy(StorageError):
    """Nothing was changed; the same call may succeed a little later."""


class DamagedObject(StorageError):
    """args[0] says which file is missing or short; bytes that are gone are never answered as zeros."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum a client asked us to keep, verified before it got here."""

    algorithm: str
    """CRC32, CRC32C, CRC64NVME, SHA1 or SHA256."""
    value: str
    """Base64; of a COMPOSITE checksum with its -N suffix."""
    kind: str = "FULL_OBJECT"
    """FULL_OBJECT or COMPOSITE."""


@dataclass(frozen=True, slots=True)
class ObjectProperties:
    """What is kept beside the bytes."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case names: content-type, cache-control, content-disposition, content-encoding,
    content-language, expires, and every x-amz-meta-*."""
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """An object as the index knows it."""

    key: str
    size_bytes: int
    etag: str
    """Without quotes: MD5 in hexadecimal, or md5-of-md5s with -N."""
    modified_us: int
    properties: ObjectProperties
    part_sizes: tuple[int, ...] = ()
    """Sizes in bytes of the parts it was completed from; empty for a single PUT."""


class MemoryExtent(NamedTuple):
    """Bytes of an object that are already in memory."""

    data: bytes


@dataclass(frozen=True, slots=True)
class FileExtent:
    """Bytes of an object in an open file; the descriptor stays open until the reader is closed."""

    descriptor: int
    offset: int
    size_bytes: int


Extent = MemoryExtent | FileExtent


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

    async def write(self, chunk: bytes) -> None:
        """Append. Raises StorageFull."""
        ...

    async def discard(self) -> None:
        """Remove what was written. May be called after a commit, then it does nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Condition:
    """If-Match / If-None-Match of a write, decided inside the commit."""

    if_match: str | None = None
    """An ETag without quotes, or '*'."""
    if_none_match: bool = False
    """True for If-None-Match: *: the key must not exist."""


@dataclass(frozen=True, slots=True)
class ListedObject:
    """One line of a listing."""

    key: str
    size_bytes: int
    etag: str
    modified_us: int
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """One page, in byte order of the UTF-8 keys; objects and common prefixes share the limit."""

    objects: tuple[ListedObject, ...]
    prefixes: tuple[str, ...]
    next_after: str | None
    """The last key or common prefix given when more follows, else None; pass it as `after`."""


@dataclass(frozen=True, slots=True)
class Part:
    """An uploaded part."""

    number: int
    size_bytes: int
    etag: str
    modified_us: int
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """An open multipart upload."""

    upload_id: str
    key: str
    started_us: int
    properties: ObjectProperties
    checksum_algorithm: str = ""
    checksum_kind: str = ""


@dataclass(frozen=True, slots=True)
class StorageChange:
    """One row of the outbox: a change of stored bytes, committed together with what caused it."""

    sequence: int
    """1 and up, without gaps."""
    member: MemberId
    bucket: BucketId
    line: StorageLine
    delta_bytes: int
    at_us: int


class Engine(Protocol):
    """A storage engine. Every method may raise NoSuchBucket; sizes are bytes, times UTC microseconds.

    Invariant: when a writing method returns, what it wrote survives a power cut; until it returns,
    nothing of it is visible.
    """

    async def create_bucket(self, bucket: BucketId, *, owner: MemberId) -> None:
        """Make an empty bucket; doing it twice changes nothing."""
        ...

    async def delete_bucket(self, bucket: BucketId) -> None:
        """Remove an empty bucket. Raises BucketNotEmpty (also for open uploads). Unknown: no effect."""
        ...

    async def stage(self) -> Staged:
        """Begin receiving bytes."""
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
    ) -> ObjectHead:
        """Make the staged bytes the object. Raises PreconditionFailed; with if_match also NoSuchKey."""
        ...

    def open_object(self, bucket: BucketId, key: str) -> ObjectReader:
        """Open for reading, at once, without waiting for a thread. Raises NoSuchKey."""
        ...

    def head_object(self, bucket: BucketId, key: str) -> ObjectHead:
        """The index's row only. Raises NoSuchKey."""
        ...

    async def delete_objects(self, bucket: BucketId, keys: Sequence[str], *, now_us: int) -> tuple[bool, ...]:
        """Remove keys in one commit; True where the key existed, in the order given."""
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
        """Open a multipart upload."""
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
    ) -> Part:
        """Store a part; the same number again replaces it. Raises NoSuchUpload."""
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
    ) -> ObjectHead:
        """Make the named (number, etag) parts the object, in one commit; other parts are dropped.

        The same complete again with the same parts gives the same answer while the tombstone is
        kept. Raises NoSuchUpload, InvalidPart, InvalidPartOrder, PartTooSmall, PreconditionFailed.
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
