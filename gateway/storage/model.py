"""Objects, versions, parts and listings as every storage engine tells of them. Pure; it does nothing.

Sizes are bytes, times UTC microseconds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from gateway.storage.errors import StorageError
from meter.event import StorageLine
from meter.ids import BucketId, MemberId


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
class Wanted:
    """What a reader is going to read, told to an engine that asks another machine for it: one question then does.

    Only a hint: whoever reads still checks the head against what was asked, and may read other bytes.
    """

    range: str = ""
    """The Range header, if it applies whatever the object is."""
    head_first: bool = False
    """The head decides whether anything is read at all."""


EVERYTHING = Wanted()


class Versioning(Enum):
    """What a bucket does with the object a write replaces, or a delete hides."""

    OFF = ""
    """Never asked for: a write replaces, a delete removes."""
    ENABLED = "Enabled"
    """Each write makes a version with an id of its own; a delete sets a marker."""
    SUSPENDED = "Suspended"
    """Writes make, and replace, the version 'null'; older versions stay."""


NULL_VERSION = "null"
"""The version id of what was written while the bucket was not versioned."""


class RetentionMode(Enum):
    """How hard a retention is."""

    GOVERNANCE = "GOVERNANCE"
    """May be bypassed by whoever has the right to, and says so."""
    COMPLIANCE = "COMPLIANCE"
    """Ends for nobody before its time."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Until when a version may be neither deleted nor overwritten."""

    mode: RetentionMode
    until_us: int


@dataclass(frozen=True, slots=True)
class DefaultRetention:
    """The retention a new version of the bucket gets when its writer names none; days or years."""

    mode: RetentionMode
    days: int = 0
    years: int = 0


@dataclass(frozen=True, slots=True)
class BucketRules:
    """What a bucket does in each commit; decided there, so it stands in the engine, not in the directory."""

    versioning: Versioning = Versioning.OFF
    locks: bool = False
    """Object lock is enabled; it cannot be taken back, and needs Versioning.ENABLED."""
    default_retention: DefaultRetention | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits of stored bytes (objects, versions and parts together) that a commit may not pass; None: none."""

    bucket_bytes_max: int | None = None
    member_bytes_max: int | None = None


NO_QUOTA = Quota()


@dataclass(frozen=True, slots=True)
class ObjectProperties:
    """What is kept beside the bytes."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case names: content-type, cache-control, content-disposition, content-encoding,
    content-language, expires, x-amz-website-redirect-location, and every x-amz-meta-*."""
    checksum: Checksum | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    """The object's tags."""
    acl: str = ""
    """The object's access list as the gateway writes it; empty: private. The engine only keeps it."""
    retention: Retention | None = None
    legal_hold: bool = False
    sealing: Mapping[str, str] = field(default_factory=dict)
    """How the stored bytes were encrypted with the customer's key (SSE-C), without that key; empty: not at
    all. The engine only keeps it."""

    def with_checksum(self, checksum: Checksum | None) -> ObjectProperties:
        """The same beside bytes of that checksum."""
        # In place of replace(), which every put would pay for with as much as a statement.
        return ObjectProperties(
            self.headers, checksum, self.tags, self.acl, self.retention, self.legal_hold, self.sealing
        )


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
    version_id: str = ""
    """Empty where the bucket never had versions; 'null' for what was written before it had."""
    part_checksums: tuple[str, ...] = ()
    """Of an object with a COMPOSITE checksum: each part's, base64, in the order of part_sizes. Else empty."""


@dataclass(frozen=True, slots=True)
class Amendment:
    """A change of what is kept beside the bytes of one version; None leaves a thing as it is."""

    tags: Mapping[str, str] | None = None
    acl: str | None = None
    retention: Retention | None = None
    clear_retention: bool = False
    legal_hold: bool | None = None
    may_bypass: bool = False
    """The caller may shorten or end a GOVERNANCE retention, and asked to."""


class MemoryExtent(NamedTuple):
    """Bytes of an object that are already in memory."""

    data: bytes


@dataclass(frozen=True, slots=True)
class FileExtent:
    """Bytes of an object in an open file; the descriptor stays open until the reader is closed."""

    descriptor: int
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ComputedExtent:
    """Bytes of an object that are made while they are read, such as those of a sealed one."""

    size_bytes: int
    read: Callable[[int, int], bytes]
    """(offset, count) to those bytes, fewer where the stored file is short. It may wait for the disk, so it runs
    in a thread, and is asked for little at a time."""


@dataclass(frozen=True, slots=True)
class StreamedExtent:
    """Bytes of an object that come from another machine; they can be read once, from the first to the last."""

    size_bytes: int
    read: Callable[[], Awaitable[bytes]]
    """The next bytes, as many as are there; empty behind the last. Raises DamagedObject when they end early,
    Unavailable."""
    pour: Callable[[int, int], Awaitable[int]] | None = None
    """(descriptor of an empty pipe, bytes at most): has the kernel put the next bytes into it; how many. 0: the next
    ones can only be read. Raises as read. None: all of them can only be read."""


Extent = MemoryExtent | FileExtent | ComputedExtent | StreamedExtent


@dataclass(frozen=True, slots=True)
class Condition:
    """If-Match / If-None-Match of a write, decided inside the commit."""

    if_match: str | None = None
    """An ETag without quotes, or '*'."""
    if_none_match: bool = False
    """True for If-None-Match: *: the key must not exist."""
    modified_us: int | None = None
    """The object must have been written at exactly this instant; for work on what a listing told."""


NO_CONDITION = Condition()


@dataclass(frozen=True, slots=True)
class Arriving:
    """Of which object or part the bytes are that are going to be staged. The commit names all of it again."""

    bucket: BucketId
    key: str
    size_bytes: int
    """As announced, after unframing."""
    properties: ObjectProperties = field(default_factory=ObjectProperties)
    condition: Condition = NO_CONDITION
    upload_id: str = ""
    """Of a part; empty: an object."""
    part_number: int = 0
    is_exact: bool = True
    """Whether it is known to be that many. Not of an upload form, which says how long it is as a whole."""
    is_sealed: bool = False
    """Whether they are sealed with a customer's key."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """One key, or one version of it, to be deleted."""

    key: str
    version_id: str | None = None
    """None: the key. Else that version for good; 'null' names the one written without versions."""
    condition: Condition = NO_CONDITION
    """if_match and modified_us, decided inside the commit against the current object, or the version named."""
    may_bypass: bool = False
    """A GOVERNANCE retention does not stop it."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """What became of one Deletion."""

    key: str
    version_id: str = ""
    """The version that was removed for good, if one was named."""
    is_marker: bool = False
    """A marker was set, or the version removed was a marker."""
    marker_version_id: str = ""
    """Its version id."""
    existed: bool = False
    """There was an object, or that version."""
    error: StorageError | None = None
    """Why this one was refused; the others of the same call are not hurt."""


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
class ListedVersion:
    """One line of a listing of versions: an object's version, or a delete marker."""

    key: str
    version_id: str
    """Never empty: 'null' for what was written without versions."""
    is_latest: bool
    is_marker: bool
    size_bytes: int
    etag: str
    modified_us: int
    checksum: Checksum | None = None
    superseded_us: int | None = None
    """When the next newer version took its place; None for the latest."""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VersionListing:
    """One page in byte order of the keys, the versions of a key from the newest to the oldest."""

    versions: tuple[ListedVersion, ...]
    prefixes: tuple[str, ...]
    next_after: tuple[str, str] | None
    """The key (or common prefix) and version id (empty for a prefix) given last when more follows."""


@dataclass(frozen=True, slots=True)
class Part:
    """An uploaded part."""

    number: int
    size_bytes: int
    etag: str
    modified_us: int
    checksum: Checksum | None = None
    sealing: str = ""
    """How the part's bytes were encrypted, without the key; the engine only keeps it until Complete."""


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
