"""A door without a socket: real handlers and a real engine; body and directory kept in memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from gateway.call import Bucket, Call, Caller, Directory, IncomingBody, Received, Reply, Services, Subject
from gateway.checksum import asked_checksum, digest_base64, hasher
from gateway.engine_store import EngineRow
from gateway.errors import s3_error
from gateway.handlers.table import HANDLERS
from gateway.route import route
from gateway.storage.base import Staged
from gateway.storage.model import Checksum, ComputedExtent, FileExtent, MemoryExtent
from gateway.store import ON_DISK
from meter.ids import BucketId, MemberId

ANNA = Caller(MemberId(1), "anna", "KEY1")
BERT = Caller(MemberId(2), "bert", "KEY2")
NOW_US = 1_700_000_000_000_000


@dataclass
class MemoryBody(IncomingBody):
    """A body that arrived whole."""

    data: bytes
    headers: dict[str, str]

    async def document(self, limit_bytes: int) -> bytes:
        """All of it."""
        assert len(self.data) <= limit_bytes
        return self.data

    async def into(self, staged: Staged, *, limit_bytes: int) -> Received:
        """Stage it, with the checksum that was asked for."""
        if len(self.data) > limit_bytes:
            raise s3_error("EntityTooLarge")
        await staged.write(self.data)
        asked = asked_checksum(self.headers)
        algorithm = asked.algorithm if asked is not None else "CRC64NVME"
        digest = hasher(algorithm)
        digest.update(self.data)
        checksum = Checksum(algorithm, digest_base64(digest))
        if asked is not None and asked.value != checksum.value:
            raise s3_error("BadDigest")
        return Received(len(self.data), hashlib.md5(self.data).digest(), checksum)


@dataclass
class MemoryDirectory(Directory):
    """Buckets by name."""

    known: dict[str, Bucket] = field(default_factory=dict)
    engines: Mapping[str, EngineRow] = field(default_factory=lambda: {ON_DISK.name: ON_DISK})
    engines_at: frozenset[str] = frozenset()
    is_away: bool = False

    def known_bucket(self, name: str) -> Bucket | None:
        """The bucket of that name."""
        return self.known.get(name)

    async def bucket(self, name: str, *, ask: bool = True) -> Bucket | None:
        """The bucket of that name."""
        del ask
        return self.known.get(name)

    async def buckets_of(self, member: MemberId) -> list[Bucket]:
        """By name."""
        return [bucket for _, bucket in sorted(self.known.items()) if bucket.owner == member]

    async def create_bucket(
        self, name: str, owner: MemberId, *, engine: EngineRow, now_us: int
    ) -> tuple[Bucket, bool]:
        """The bucket now under that name, and whether it is new."""
        assert engine is ON_DISK
        is_new = name not in self.known
        if is_new:
            names = {ANNA.member: ANNA.member_name, BERT.member: BERT.member_name}
            self.known[name] = Bucket(BucketId(len(self.known) + 1), name, owner, now_us, names[owner])
        return self.known[name], is_new

    async def delete_bucket(self, bucket: Bucket, *, now_us: int) -> None:
        """Forget the name."""
        del now_us
        if self.is_away:
            raise s3_error("ServiceUnavailable")
        del self.known[bucket.name]

    async def set_document(
        self, bucket: Bucket, subject: Subject, document: str | None, *, now_us: int
    ) -> None:
        """Keep it, or take it away."""
        del now_us
        if self.is_away:
            raise s3_error("ServiceUnavailable")
        kept = {name: text for name, text in bucket.documents.items() if name is not subject}
        if document is not None:
            kept[subject] = document
        self.known[bucket.name] = replace(bucket, documents=kept)


@dataclass
class Door:
    """Asks as a caller, and reads a reply's bytes."""

    services: Services
    directory: MemoryDirectory

    async def ask(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        *,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        caller: Caller = ANNA,
    ) -> Reply:
        """Route and answer one request. Raises S3Error."""
        sent = headers or {}
        asked = route(method, path, urlencode(query or {}), sent)
        call = Call(
            asked.operation,
            "id",
            asked.bucket,
            asked.key,
            asked.query,
            sent,
            caller,
            await self.directory.bucket(asked.bucket),
            MemoryBody(body, sent),
            NOW_US,
        )
        return await HANDLERS[asked.operation](self.services, call)


def read(reply: Reply) -> bytes:
    """The bytes of the reply's range, from the engine's extents."""
    assert reply.reader is not None
    data = b""
    for extent in reply.reader.extents(reply.start, reply.stop):
        match extent:
            case MemoryExtent():
                data += extent.data
            case FileExtent():
                data += os.pread(extent.descriptor, extent.size_bytes, extent.offset)
            case ComputedExtent():
                data += extent.read(0, extent.size_bytes)
    reply.reader.close()
    return data
