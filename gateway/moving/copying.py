"""Brings what is under a key from one engine to another, and knows that the bytes that arrived are those that left.

A key is always made the same as a whole: what is too much there goes, what is missing comes, oldest first.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from gateway.checksum import FULL_OBJECT, Hasher, digest_base64, hasher
from gateway.errors import S3Error
from gateway.handlers.copy import pieces
from gateway.moving.compare import Seen, amendment, common, is_same_object
from gateway.storage.base import Engine, ObjectReader, Staged
from gateway.storage.errors import IsDeleteMarker, NoSuchKey, NoSuchVersion, ObjectLocked
from gateway.storage.model import (
    NO_CONDITION,
    Amendment,
    Arriving,
    Checksum,
    Deletion,
    ObjectHead,
    Versioning,
)
from meter.ids import BucketId
from meter.refusal import Refusal

COPY_ATTEMPTS_MAX = 3
PAGE = 1000
_MD5 = re.compile(r"[0-9a-f]{32}")
Told = Callable[[int], None]
"""Told how many bytes more have arrived."""


class WrongBytes(Exception):
    """What arrived is not what is recorded of the source."""


class Copier:
    """From one bucket to another. Raises Refusal for what cannot be copied rightly."""

    def __init__(
        self, source: Engine, bucket: BucketId, target: Engine, to: BucketId, *, clock: Callable[[], int], told: Told
    ) -> None:  # fmt: skip
        self._source, self._bucket = source, bucket
        self._target, self._to = target, to
        self._clock = clock
        self._told = told
        self.versions = Versioning.OFF
        """What the source's bucket does; only one with versions is asked for them."""

    async def same(self, key: str) -> None:
        """Make the target's key what the source's is."""
        for attempt in range(1, COPY_ATTEMPTS_MAX + 1):
            try:
                if self.versions is Versioning.OFF:
                    await self._same_object(key)
                else:
                    await self._same_versions(key)
                return
            except (NoSuchKey, NoSuchVersion):
                # It went while we looked: look again. A later pass would see it too.
                if attempt == COPY_ATTEMPTS_MAX:
                    raise
            except (WrongBytes, S3Error) as wrong:
                if attempt == COPY_ATTEMPTS_MAX:
                    raise Refusal(
                        f"a copy was refused {COPY_ATTEMPTS_MAX} times: {wrong}; `weir audit` and a scrub look at it"
                    ) from wrong

    async def _same_object(self, key: str) -> None:
        ours, theirs = (
            await head_of(self._source, self._bucket, key),
            await head_of(self._target, self._to, key),
        )
        if ours is None:
            if theirs is not None:
                await self._delete([Deletion(key, may_bypass=True)])
        elif theirs is None or not is_same_object(ours, theirs):
            await self._copy(key, None)
        else:
            await self._amend(key, None, ours, theirs)

    async def _same_versions(self, key: str) -> None:
        ours = await versions_of(self._source, self._bucket, key)
        theirs = await versions_of(self._target, self._to, key)
        alike = common(ours, theirs)
        await self._delete([
            Deletion(key, one.version_id, may_bypass=True) for one in reversed(theirs[alike:])
        ])  # fmt: skip
        for old, new in zip(ours[:alike], theirs[:alike], strict=True):
            if not old.is_marker:
                await self._amend(
                    key, new.version_id, await self._source.head_object(self._bucket, key, old.version_id),
                    await self._target.head_object(self._to, key, new.version_id),
                )  # fmt: skip
        for one in ours[alike:]:
            if one.is_marker:
                await self._delete([Deletion(key)])
            else:
                await self._copy(key, one.version_id)

    async def _amend(self, key: str, version_id: str | None, ours: ObjectHead, theirs: ObjectHead) -> None:
        wanted = amendment(ours, theirs)
        if wanted is not None:
            await self._target.amend_object(self._to, key, version_id, wanted, now_us=self._clock())

    async def _delete(self, deletions: Sequence[Deletion]) -> None:
        await delete(self._target, self._to, deletions, now_us=self._clock())

    async def _copy(self, key: str, version_id: str | None) -> None:
        reader = await self._source.open_object(self._bucket, key, version_id)
        try:
            if reader.head.part_sizes and sum(reader.head.part_sizes) == reader.head.size_bytes:
                await self._copy_parts(key, reader)
            else:
                await self._copy_whole(key, reader)
        finally:
            reader.close()

    async def _copy_whole(self, key: str, reader: ObjectReader) -> None:
        head = reader.head
        staged = await self._target.stage(Arriving(self._to, key, head.size_bytes, head.properties))
        try:
            md5 = await self._stream(reader, 0, head.size_bytes, staged, head)
            if _MD5.fullmatch(head.etag) and not head.properties.sealing and md5.hex() != head.etag:
                raise WrongBytes(f"{key!r} has the ETag {head.etag}, and its bytes the MD5 {md5.hex()}")
            put = await self._target.put_object(
                self._to, key, staged, etag=head.etag, properties=head.properties, condition=NO_CONDITION,
                now_us=self._clock(),
            )  # fmt: skip
        finally:
            await staged.discard()
        self._check(key, head, put)

    async def _copy_parts(self, key: str, reader: ObjectReader) -> None:
        """In the parts it was put together from, so that its ETag is the same there."""
        head, checksum = reader.head, reader.head.properties.checksum
        composite = checksum if checksum is not None and checksum.kind != FULL_OBJECT else None
        upload = await self._target.create_upload(
            self._to, key, properties=head.properties.with_checksum(None),
            checksum_algorithm="" if checksum is None else checksum.algorithm,
            checksum_kind="" if checksum is None else checksum.kind, now_us=self._clock(),
        )  # fmt: skip
        try:
            start, digests = 0, []
            for number, size_bytes in enumerate(head.part_sizes, 1):
                arriving = Arriving(self._to, key, size_bytes, upload_id=upload.upload_id, part_number=number)
                staged = await self._target.stage(arriving)
                try:
                    md5 = await self._stream(reader, start, start + size_bytes, staged, None)
                    part = None
                    if composite is not None and head.part_checksums:
                        part = Checksum(composite.algorithm, head.part_checksums[number - 1])
                    await self._target.put_part(
                        self._to, key, upload.upload_id, number, staged, etag=md5.hex(), checksum=part,
                        now_us=self._clock(),
                    )  # fmt: skip
                finally:
                    await staged.discard()
                digests.append(md5)
                start += size_bytes
            etag = f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"
            if etag != head.etag and not head.properties.sealing:
                raise WrongBytes(f"{key!r} has the ETag {head.etag}, and its bytes {etag}")
            put = await self._target.complete_upload(
                self._to, key, upload.upload_id,
                [(number, digest.hex()) for number, digest in enumerate(digests, 1)], etag=head.etag,
                checksum=checksum, condition=NO_CONDITION, part_bytes_min=1, now_us=self._clock(),
                sealing=head.properties.sealing or None,
            )  # fmt: skip
        except BaseException:
            await self._target.abort_upload(self._to, key, upload.upload_id, now_us=self._clock())
            raise
        self._check(key, head, put)

    def _check(self, key: str, head: ObjectHead, put: ObjectHead) -> None:
        """What the target says it holds. A wrong one is gone with the next attempt, which finds it different."""
        if (put.etag, put.size_bytes) != (head.etag, head.size_bytes):
            raise WrongBytes(
                f"{key!r} left with ETag {head.etag} and {head.size_bytes} bytes, and arrived with {put.etag} and"
                f" {put.size_bytes}"
            )

    async def _stream(
        self, reader: ObjectReader, start: int, stop: int, staged: Staged, head: ObjectHead | None
    ) -> bytes:
        """Bytes from here to there; their MD5. With a head its own checksum is compared too."""
        md5: Hasher = hashlib.md5(usedforsecurity=False)
        kept = None if head is None or head.properties.sealing else head.properties.checksum
        own = hasher(kept.algorithm) if kept is not None and kept.kind == FULL_OBJECT else None
        digests = [md5] if own is None else [md5, own]
        async for piece in pieces(reader, start=start, stop=stop, digests=digests):
            await staged.write(piece)
            self._told(len(piece))
        if own is not None and kept is not None and digest_base64(own) != kept.value:
            raise WrongBytes(f"{reader.head.key!r} has another {kept.algorithm} than was recorded")
        return md5.digest()


async def head_of(engine: Engine, bucket: BucketId, key: str) -> ObjectHead | None:
    """The current object; None where there is none."""
    try:
        return await engine.head_object(bucket, key)
    except (NoSuchKey, NoSuchVersion, IsDeleteMarker):
        return None


async def versions_of(engine: Engine, bucket: BucketId, key: str) -> list[Seen]:
    """All versions and markers of one key, from the oldest to the newest."""
    found: list[Seen] = []
    after: tuple[str, str] | None = ("", "")
    while after is not None:
        page = await engine.list_versions(
            bucket, prefix=key, delimiter="", after_key=after[0], after_version_id=after[1], limit=PAGE
        )
        for one in page.versions:
            if one.key != key:
                return found[::-1]
            found.append(Seen(one.version_id, one.is_marker, one.etag, one.size_bytes))
        after = page.next_after
    return found[::-1]


async def keys_of(engine: Engine, bucket: BucketId, versions: Versioning) -> AsyncIterator[list[str]]:
    """Every key once, in pages, those with nothing but old versions and markers too."""
    if versions is Versioning.OFF:
        after: str | None = ""
        while after is not None:
            listing = await engine.list_objects(bucket, prefix="", delimiter="", after=after, limit=PAGE)
            yield [one.key for one in listing.objects]
            after = listing.next_after
        return
    place: tuple[str, str] | None = ("", "")
    while place is not None:
        page = await engine.list_versions(
            bucket, prefix="", delimiter="", after_key=place[0], after_version_id=place[1], limit=PAGE
        )
        yield list(dict.fromkeys(one.key for one in page.versions))
        place = page.next_after


async def delete(engine: Engine, bucket: BucketId, deletions: Sequence[Deletion], *, now_us: int) -> None:
    """Delete them all, lifting legal holds. Raises Refusal for what stays."""
    if not deletions:
        return
    again = []
    for asked, answer in zip(
        deletions, await engine.delete_objects(bucket, deletions, now_us=now_us), strict=True
    ):
        if isinstance(answer.error, ObjectLocked):
            lifted = Amendment(legal_hold=False, may_bypass=True)
            await engine.amend_object(bucket, asked.key, asked.version_id, lifted, now_us=now_us)
            again.append(replace(asked, may_bypass=True))
        elif answer.error is not None and not isinstance(answer.error, NoSuchKey | NoSuchVersion):
            raise answer.error
    if again:
        for answer in await engine.delete_objects(bucket, again, now_us=now_us):
            if answer.error is not None:
                raise Refusal(f"{answer.key!r} is locked and cannot be removed before its time")
