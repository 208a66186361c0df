"""The upstream engine's copies, and changes of what is kept beside the bytes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from gateway.locks import legal_hold_document, retention_document
from gateway.markup import document
from gateway.storage.abilities import Ability
from gateway.storage.base import ObjectReader, Staged
from gateway.storage.errors import DamagedObject
from gateway.storage.model import (
    NO_CONDITION,
    NO_QUOTA,
    Amendment,
    Arriving,
    ComputedExtent,
    Condition,
    Extent,
    FileExtent,
    MemoryExtent,
    ObjectHead,
    ObjectProperties,
    Quota,
    StreamedExtent,
)
from gateway.storage.upstream.acts import Act
from gateway.storage.upstream.answers import Written, read_copy
from gateway.storage.upstream.engine_base import Place, Standing
from gateway.storage.upstream.engine_objects import ObjectMethods
from gateway.storage.upstream.reader import UpstreamReader
from gateway.storage.upstream.requests import condition_headers, copy_source
from gateway.tags import tagging_document
from meter.ids import BucketId

PIECE_BYTES = 2**20
BYPASS = {"x-amz-bypass-governance-retention": "true"}
"""Whether a member may was judged before; the upstream knows only us, who may."""


class CopyMethods(ObjectMethods):
    """The part of UpstreamEngine that copies and amends."""

    def copies_alone(self, source: ObjectReader, bucket: BucketId) -> bool:
        """See Engine."""
        del bucket
        return isinstance(source, UpstreamReader) and source.engine_name == self.name

    async def copy_object(
        self, source: ObjectReader, bucket: BucketId, key: str, *, properties: ObjectProperties,
        condition: Condition, now_us: int, quota: Quota = NO_QUOTA,
    ) -> ObjectHead:  # fmt: skip
        """See Engine. Within the upstream no byte comes here; from another engine all of them do."""
        self.check_properties(properties)
        place = self.place(bucket)
        if (
            isinstance(source, UpstreamReader)
            and source.engine_name == self.name
            and self._copies_all(source.head.properties, properties, condition)
        ):
            made = ObjectHead(key, source.head.size_bytes, source.head.etag, now_us, properties)
            return await self.to_the_end(self._copy(place, source, made, condition, quota))
        size_bytes = source.head.size_bytes
        staged = await self.stage(Arriving(bucket, key, size_bytes, properties, condition))
        try:
            for extent in source.extents(0, size_bytes):
                await _pass_on(extent, staged)
            return await self.put_object(
                bucket, key, staged, etag=source.head.etag, properties=properties, condition=condition,
                now_us=now_us, quota=quota,
            )  # fmt: skip
        finally:
            await staged.discard()

    def _copies_all(self, old: ObjectProperties, new: ObjectProperties, condition: Condition) -> bool:
        """Whether the upstream's own copy keeps all that is asked; else the bytes come here and are put."""
        lacks = self._lacks
        has_extras = bool(new.tags) or new.retention is not None or new.legal_hold
        return not (
            (condition != NO_CONDITION and Ability.CONDITIONAL_COPY in lacks)
            or (has_extras and Ability.PARTS_EXTRAS in lacks)
            or (Ability.REPLACING_COPY in lacks and not old.headers.keys() <= new.headers.keys())
        )

    async def _copy(
        self, place: Place, source: UpstreamReader, made: ObjectHead, condition: Condition, quota: Quota
    ) -> ObjectHead:
        headers = self.headers_of(made.properties) | condition_headers(condition)
        headers["x-amz-copy-source"] = copy_source(
            source.source_name, source.head.key, source.head.version_id
        )
        headers["x-amz-metadata-directive"] = headers["x-amz-tagging-directive"] = "REPLACE"
        # Else one that was replaced since it was opened would be copied with the size of the old one.
        headers["x-amz-copy-source-if-match"] = f'"{source.head.etag}"'
        # The same by the name under which radosgw looks for it.
        headers["x-amz-copy-if-match"] = f'"{source.head.etag}"'
        request = self.request(
            "CopyObject", Act.WRITE, "PUT", place, made.key, headers=headers, may_repeat=False,
            sets_lock=made.properties.retention is not None or made.properties.legal_hold,
        )  # fmt: skip

        async def copied() -> tuple[Written, str]:
            head, body = await self._client.ask(request)
            return read_copy(body, request.asked), head.headers.get("x-amz-version-id", "")

        async with self._turns.of((place.bucket, made.key)):
            before = await self.standing(place, made.key)
            self.check_quota(place, quota, made.size_bytes - before.null_bytes)
            found, failed = await self.outcome(
                copied(), lambda: self._was_copied(place, made, before), f"a CopyObject into {place.bucket}"
            )
            if found is None:
                assert failed is not None
                raise failed
            written, told = found
            version_id = await self.version_made(place, made.key, told, is_put=False)
            self.tell_written(place, made, before, version_id)
        return replace(made, etag=written.etag or made.etag, version_id=version_id)

    async def _was_copied(
        self, place: Place, made: ObjectHead, before: Standing
    ) -> tuple[Written, str] | None:
        """Whether the copy is there, though nobody answered."""
        found = await self.was_put(place, made, before)
        return None if found is None else (Written(made.etag), found.headers.get("x-amz-version-id", ""))

    async def amend_object(
        self, bucket: BucketId, key: str, version_id: str | None, amendment: Amendment, *, now_us: int
    ) -> ObjectHead:
        """See Engine. Each kind is a request of its own, in this order."""
        del now_us
        place, asks = self.place(bucket), version_id or ""
        if amendment.acl is not None:
            raise self.unsupported("access list of an object")
        if amendment.tags is not None:
            self.need(Ability.TAGGING)
            body = tagging_document(amendment.tags) if amendment.tags else b""
            method = "PUT" if body else "DELETE"
            operation = "PutObjectTagging" if body else "DeleteObjectTagging"
            await self._change(place, key, asks, operation, method, "tagging", body)
        if amendment.retention is not None or amendment.clear_retention or amendment.legal_hold is not None:
            self.need(Ability.OBJECT_LOCK)
        if amendment.clear_retention:
            self.need(Ability.CLEARED_RETENTION)
        if amendment.retention is not None or amendment.clear_retention:
            bypass = BYPASS if amendment.may_bypass else {}
            kept = amendment.retention
            body = document("Retention", "") if kept is None else retention_document(kept)
            await self._change(place, key, asks, "PutObjectRetention", "PUT", "retention", body, bypass)
        if amendment.legal_hold is not None:
            body = legal_hold_document(holds=amendment.legal_hold)
            await self._change(place, key, asks, "PutObjectLegalHold", "PUT", "legal-hold", body)
        return await self.head_object(bucket, key, version_id)

    async def _change(
        self, place: Place, key: str, version_id: str, operation: str, method: str, subject: str, body: bytes,
        headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        await self._client.ask(
            self.request(
                operation, Act.WRITE, method, place, key, {subject: ""}, headers, body, version_id=version_id,
                may_be_locked=subject != "tagging", sets_lock=subject != "tagging",
            )
        )  # fmt: skip


async def _pass_on(extent: Extent, staged: Staged) -> None:
    """Write the bytes of another engine's object."""
    match extent:
        case MemoryExtent(data):
            await staged.write(data)
        case StreamedExtent(_, read):
            while block := await read():
                await staged.write(block)
        case FileExtent(descriptor, begins_at, size_bytes):
            read_at = partial(_read_file, descriptor, begins_at)
            await _in_pieces(size_bytes, read_at, staged)
        case ComputedExtent(size_bytes, read_at):
            await _in_pieces(size_bytes, read_at, staged)


async def _in_pieces(size_bytes: int, read: Callable[[int, int], bytes], staged: Staged) -> None:
    for offset in range(0, size_bytes, PIECE_BYTES):
        count = min(PIECE_BYTES, size_bytes - offset)
        block = await asyncio.to_thread(read, offset, count)
        if len(block) != count:
            raise DamagedObject(f"the source ends {count - len(block)} bytes early")
        await staged.write(block)


def _read_file(descriptor: int, begins_at: int, offset: int, count: int) -> bytes:
    return os.pread(descriptor, count, begins_at + offset)
