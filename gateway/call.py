"""A routed, authenticated request as handlers see it (Call), and what they answer (Reply).

Handlers know nothing of sockets: the exchange gathers a Call, and applies the Reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from gateway.engine_store import EngineRow
from gateway.errors import s3_error
from gateway.operation import Operation
from gateway.scope import KeyScope
from gateway.settings import GatewaySettings
from gateway.storage.base import Engine, ObjectReader, Staged
from gateway.storage.model import NO_QUOTA, Checksum, Quota
from meter.ids import BucketId, MemberId
from meter.usage import MemberStatus

DISK = "disk"
"""The name of the engine on this machine's own disk."""


class Subject(StrEnum):
    """What a document of a bucket is about; written into the directory, so never renamed."""

    ACL = "acl"
    CORS = "cors"
    ENCRYPTION = "encryption"
    LIFECYCLE = "lifecycle"
    OWNERSHIP = "ownership"
    POLICY = "policy"
    PUBLIC_ACCESS_BLOCK = "public-access-block"
    TAGGING = "tagging"
    WEBSITE = "website"


class Caller(NamedTuple):
    """Who signed the request, proven."""

    member: MemberId
    member_name: str
    access_key: str
    scope: KeyScope | None = None
    """What this key is held to; None: whatever its member may."""


class Origin(NamedTuple):
    """Where a request came from and how it was signed; some rights depend on it."""

    peer: str = ""
    """The address at the other end of the connection."""
    authentication: str = ""
    """REST-HEADER, REST-QUERY-STRING or POST, as policies name them; empty: nobody signed."""
    signed_us: int | None = None
    """The instant the signer wrote."""


NOWHERE = Origin()


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket as the directory knows it."""

    id: BucketId
    name: str
    owner: MemberId
    created_us: int
    owner_name: str = ""
    owner_status: MemberStatus = MemberStatus.ACTIVE
    bytes_max: int | None = None
    """Limit of stored bytes; None: none."""
    owner_bytes_max: int | None = None
    """The co-op's limit for its owner over all buckets; None: none."""
    owner_cap_bytes: int | None = None
    """What the owner allows themselves over all buckets; None: anything."""
    engine: str = DISK
    """The name of the storage engine its bytes are on; one bucket number stays on one engine."""
    upstream_name: str = ""
    """The bucket's name there; empty on the disk."""
    documents: Mapping[Subject, str] = field(default_factory=dict)
    """What its owner set, as the gateway keeps it; each subject's own module reads its document."""

    @property
    def quota(self) -> Quota:
        """The limits a commit into this bucket may not pass."""
        cap, limit = self.owner_cap_bytes, self.owner_bytes_max
        if cap is not None:
            limit = cap if limit is None else min(cap, limit)
        if self.bytes_max is None and limit is None:
            return NO_QUOTA
        return Quota(self.bytes_max, limit)


class Received(NamedTuple):
    """A body that arrived whole and passed every check its sender asked for."""

    size_bytes: int
    md5: bytes
    """16 bytes; empty where neither sender nor engine asked for it."""
    checksum: Checksum | None
    """The x-amz-checksum the client sent (header or trailer) and we verified; else our own. FULL_OBJECT."""


class IncomingBody(Protocol):
    """The request's body, decoded from aws-chunked and counted as it moves.

    Both methods raise gateway.errors.S3Error (IncompleteBody, BadDigest, XAmzContentSHA256Mismatch,
    EntityTooLarge, …) and leave nothing behind.
    """

    async def document(self, limit_bytes: int) -> bytes:
        """A small body (XML) whole, verified; more than the limit is MalformedXML's size error."""
        ...

    async def into(self, staged: Staged, *, limit_bytes: int) -> Received:
        """Stream everything into staged, verifying as asked by the headers. The caller discards staged."""
        ...


class NoBody:
    """IncomingBody of a request whose body nobody reads, such as a preflight."""

    async def document(self, limit_bytes: int) -> bytes:
        """Nothing."""
        del limit_bytes
        return b""

    async def into(self, staged: Staged, *, limit_bytes: int) -> Received:
        """Refused: there is nothing to keep."""
        del staged, limit_bytes
        raise s3_error("MissingContentLength")


class Directory(Protocol):
    """Buckets and their owners. Changes need Postgres and raise S3Error ServiceUnavailable without it."""

    engines: Mapping[str, EngineRow]
    """Storage engines by name, closed ones too."""
    engines_at: frozenset[str]
    """The locations of engines."""

    def known_bucket(self, name: str) -> Bucket | None:
        """The bucket, from memory only; None also where bucket() may know better."""
        ...

    async def bucket(self, name: str, *, ask: bool = True) -> Bucket | None:
        """The bucket of that name; a miss is asked of Postgres before it is believed, unless told not to."""
        ...

    async def buckets_of(self, member: MemberId) -> list[Bucket]:
        """The member's buckets by name."""
        ...

    async def create_bucket(
        self, name: str, owner: MemberId, *, engine: EngineRow, now_us: int
    ) -> tuple[Bucket, bool]:
        """The bucket now under that name and whether it is new. The owner may be another member."""
        ...

    async def delete_bucket(self, bucket: Bucket, *, now_us: int) -> None:
        """Take the name out of the directory."""
        ...

    async def set_document(
        self, bucket: Bucket, subject: Subject, document: str | None, *, now_us: int
    ) -> None:
        """Keep a document, or take it away; every worker of this machine sees it in its next request."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers may use."""

    engine: Engine
    directory: Directory
    settings: GatewaySettings


class Call(NamedTuple):
    """One authorised request."""

    operation: Operation
    request_id: str
    bucket_name: str
    """Empty for ListBuckets."""
    key: str
    """Decoded exactly once from the raw target; empty where the operation has no key."""
    query: Mapping[str, str]
    """Decoded; a parameter without '=' has the empty string."""
    headers: Mapping[str, str]
    """Looked up with lower-case names."""
    caller: Caller | None
    """None: nobody signed, and the bucket lets everybody do this."""
    bucket: Bucket | None
    """None only where the operation has no bucket, or creates it."""
    body: IncomingBody
    now_us: int
    origin: Origin = NOWHERE


@dataclass(slots=True)
class Reply:
    """What to answer. Either body, or reader with the range [start, stop) of it."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    """Without Content-Length, Date, Server and x-amz-request-id: the exchange sets those."""
    body: bytes = b""
    reader: ObjectReader | None = None
    start: int = 0
    stop: int = 0
    content_length: int | None = None
    """Only for HEAD: the length to announce without sending a body."""
