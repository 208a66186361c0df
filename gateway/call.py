"""A routed, authenticated request as handlers see it (Call), and what they answer (Reply).

Handlers know nothing of sockets: the exchange gathers a Call, and applies the Reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from gateway.operation import Operation
from gateway.settings import GatewaySettings
from gateway.storage.base import Checksum, Engine, ObjectReader, Staged
from meter.ids import BucketId, MemberId


class Caller(NamedTuple):
    """Who signed the request, proven."""

    member: MemberId
    member_name: str
    access_key: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket as the directory knows it."""

    id: BucketId
    name: str
    owner: MemberId
    created_us: int


@dataclass(frozen=True, slots=True)
class Received:
    """A body that arrived whole and passed every check its sender asked for."""

    size_bytes: int
    md5: bytes
    """16 bytes."""
    checksum: Checksum | None
    """The x-amz-checksum the client sent (header or trailer) and we verified, FULL_OBJECT; else None."""


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


class Directory(Protocol):
    """Buckets and their owners. Changes need Postgres and raise S3Error ServiceUnavailable without it."""

    async def bucket(self, name: str) -> Bucket | None:
        """The bucket of that name; a miss is asked of Postgres before it is believed."""
        ...

    async def buckets_of(self, member: MemberId) -> list[Bucket]:
        """The member's buckets by name."""
        ...

    async def create_bucket(self, name: str, owner: MemberId, *, now_us: int) -> tuple[Bucket, bool]:
        """The bucket now under that name and whether it is new. The owner may be another member."""
        ...

    async def delete_bucket(self, bucket: Bucket, *, now_us: int) -> None:
        """Take the name out of the directory."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers may use."""

    engine: Engine
    directory: Directory
    settings: GatewaySettings


@dataclass(slots=True)
class Call:
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
    caller: Caller
    bucket: Bucket | None
    """None only where the operation has no bucket, or creates it."""
    body: IncomingBody
    now_us: int


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
