"""The upstream engine's objects: put, open, copy, amend."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from gateway.headers import quoted, unquoted
from gateway.storage.abilities import Ability
from gateway.storage.base import ObjectReader, Staged
from gateway.storage.errors import (
    DamagedObject,
    IsDeleteMarker,
    NoSuchKey,
    NoSuchVersion,
    PreconditionFailed,
    Unavailable,
)
from gateway.storage.model import (
    EVERYTHING,
    NO_QUOTA,
    NULL_VERSION,
    Arriving,
    Condition,
    ObjectHead,
    ObjectProperties,
    Quota,
    Versioning,
    Wanted,
)
from gateway.storage.upstream.acts import Act
from gateway.storage.upstream.client import Exchange, Request
from gateway.storage.upstream.connection import SMALL_BYTES
from gateway.storage.upstream.engine_base import Place, Standing, UpstreamBase
from gateway.storage.upstream.errors import storage_error
from gateway.storage.upstream.properties import read_head
from gateway.storage.upstream.reader import UpstreamReader
from gateway.storage.upstream.requests import condition_headers
from gateway.storage.upstream.response import ResponseHead
from gateway.storage.upstream.staged import MakeRequest, UpstreamStaged
from meter.ids import BucketId

_RANGE = re.compile(r"bytes=(?:[0-9]{1,18}-[0-9]{0,18}|-[0-9]{1,18})")
_MD5 = re.compile(r"[0-9a-f]{32}")


class ObjectMethods(UpstreamBase):
    """The part of UpstreamEngine that knows objects."""

    async def stage(self, arriving: Arriving) -> Staged:
        """See Engine. Nothing is sent before the first bytes are there."""
        self.check_properties(arriving.properties, is_sealed=arriving.is_sealed)
        place = self.place(arriving.bucket)
        if arriving.upload_id:
            return self.staged_part(place, arriving)
        condition = condition_headers(arriving.condition)
        if condition:
            self.need(Ability.CONDITIONAL_PUT)
        rules = await self.rules_of(place)
        # Done twice, a conditional write would find itself, and one with versions would make two.
        may_repeat = not condition and rules.versioning is Versioning.OFF

        def request(headers: Mapping[str, str], body_bytes: int | None, body: bytes) -> Request:
            made = self.request(
                "PutObject", Act.WRITE, "PUT", place, arriving.key, headers={**headers, **condition},
                sets_lock=arriving.properties.retention is not None or arriving.properties.legal_hold,
                may_repeat=may_repeat,
            )  # fmt: skip
            return made._replace(body=body, body_bytes=body_bytes, is_unsigned=True)

        known = self.headers_of(arriving.properties)
        return self._staged(arriving, request, known)

    def _staged(self, arriving: Arriving, request: MakeRequest, headers: Mapping[str, str]) -> UpstreamStaged:
        return UpstreamStaged(
            self._client,
            arriving,
            request,
            headers,
            self._spool,
            verifies=self._settings.upstream_verify_etag,
            waits=Ability.CUT_BODIES in self._lacks,
        )

    def proof_of(self, etag: str) -> dict[str, str]:
        """The MD5 of what is sent, for an upstream that would store it cut off; an ETag that is none says nothing."""
        if Ability.CUT_BODIES not in self._lacks or not _MD5.fullmatch(etag):
            return {}
        return {"content-md5": b64encode(bytes.fromhex(etag)).decode()}

    def staged_part(self, place: Place, arriving: Arriving) -> Staged:
        """Bytes of a part on their way in."""
        query = {"partNumber": str(arriving.part_number), "uploadId": arriving.upload_id}

        def request(headers: Mapping[str, str], body_bytes: int | None, body: bytes) -> Request:
            made = self.request("UploadPart", Act.WRITE, "PUT", place, arriving.key, query, headers)
            return made._replace(body=body, body_bytes=body_bytes, is_unsigned=True)

        return self._staged(arriving, request, {})

    async def put_object(
        self, bucket: BucketId, key: str, staged: Staged, *, etag: str, properties: ObjectProperties,
        condition: Condition, now_us: int, quota: Quota = NO_QUOTA,
    ) -> ObjectHead:  # fmt: skip
        """See Engine. What the key held is looked up in its turn, right before the last bytes are sent."""
        assert isinstance(staged, UpstreamStaged), "bytes staged by another engine"
        self.check_properties(properties)
        head = ObjectHead(key, staged.size_bytes, etag, now_us, properties)
        del condition  # went with the bytes
        return await self.to_the_end(self._put(self.place(bucket), staged, head, quota))

    async def _put(self, place: Place, staged: UpstreamStaged, made: ObjectHead, quota: Quota) -> ObjectHead:
        async with self._turns.of((place.bucket, made.key)):
            before = await self.standing(place, made.key)
            self.check_quota(place, quota, made.size_bytes - before.null_bytes)
            headers = self.headers_of(made.properties) | self.proof_of(made.etag)
            answer, failed = await self.outcome(
                staged.commit(headers), lambda: self.was_put(place, made, before), f"a PutObject into {place.bucket}"
            )  # fmt: skip
            if answer is None:
                assert failed is not None
                raise failed
            told = answer.headers.get("x-amz-version-id", "")
            version_id = await self.version_made(place, made.key, told, is_put=True)
            self.tell_written(place, made, before, version_id)
        # A copy's bytes are put under the ETag of their source, which may be that of parts.
        return replace(made, etag=self.etag_of(answer, sent=made.etag), version_id=version_id)

    def tell_written(self, place: Place, made: ObjectHead, before: Standing, version_id: str) -> None:
        """A key has a new object: without versions it replaced the old one, else it put it behind itself."""
        replaced = before.null_bytes if version_id in ("", NULL_VERSION) else 0
        self.tell_object(
            place, total=made.size_bytes - replaced, current=made.size_bytes - before.bytes,
            at_us=made.modified_us,
        )  # fmt: skip

    async def was_put(self, place: Place, made: ObjectHead, before: Standing) -> ResponseHead | None:
        """Whether the object is there, though nobody answered."""
        head = await self.found(place, made.key)
        if head is None or head.size_bytes != made.size_bytes or head.etag != (made.etag or head.etag):
            return None
        old = before.head
        if old is not None and (old.version_id, old.modified_us) == (head.version_id, head.modified_us):
            return None
        told = {"x-amz-version-id": head.version_id} if head.version_id else {}
        return ResponseHead(200, {**told, "etag": head.etag}, 0, is_chunked=False, keeps_alive=False)

    def etag_of(self, answer: ResponseHead, *, sent: str) -> str:
        """The ETag of what was stored; sent is that of the bytes, empty where nobody asked for it.

        Raises Unavailable when the upstream says that it has other bytes than it was sent, or nothing at all.
        """
        told = unquoted(answer.headers.get("etag", ""))
        if _MD5.fullmatch(sent) and _MD5.fullmatch(told.lower()) and told.lower() != sent:
            raise Unavailable(f"{self.name} stored other bytes than it was sent")
        if not (told or sent):
            raise Unavailable(f"{self.name} told no ETag of what it stored")
        return told or sent

    async def open_object(
        self, bucket: BucketId, key: str, version_id: str | None = None, *, wanted: Wanted = EVERYTHING
    ) -> ObjectReader:
        """See Engine. One request brings head and bytes, if the bytes wanted are those that are then read."""
        place = self.place(bucket)
        if wanted.head_first:
            return await self._opened_head(place, key, version_id)
        headers = {"range": wanted.range} if _RANGE.fullmatch(wanted.range) else self._asks_for_all
        request = self.request(
            "GetObject", Act.READ, "GET", place, key, headers=headers, version_id=version_id or ""
        )
        exchange, failure = await self._client.attempt(request)
        if failure is not None:
            if failure.code == "InvalidRange":
                # What a range means is said by the gateway, which needs the size for it.
                return await self._opened_head(place, key, version_id)
            raise storage_error(failure, request.asked)
        try:
            told = read_head(key, exchange.head.headers, request.asked)
            head = told.head
            data = None
            if told.body_bytes <= SMALL_BYTES:
                data = await exchange.whole(bytes_max=SMALL_BYTES)
                if len(data) != told.body_bytes:
                    raise DamagedObject("an upstream's answer has another length than it says")
            if told.tags_count:
                tags = await self.tags(place, key, head.version_id if version_id else "")
                head = replace(head, properties=replace(head.properties, tags=tags))
        except BaseException:
            exchange.close()
            raise
        return UpstreamReader(
            head, self._again(place, key, version_id, head), exchange=None if data is not None else exchange,
            data=data, first=told.first, body_bytes=told.body_bytes,
            engine_name=self.name, source_name=place.name,
        )  # fmt: skip

    async def _opened_head(self, place: Place, key: str, version_id: str | None) -> UpstreamReader:
        head = await self.head_object(place.bucket, key, version_id)
        return UpstreamReader(
            head, self._again(place, key, version_id, head), engine_name=self.name, source_name=place.name
        )

    def _again(
        self, place: Place, key: str, version_id: str | None, head: ObjectHead
    ) -> Callable[[int, int], Awaitable[Exchange]]:
        """Asks for other bytes of the object that was opened, as it was then."""

        async def ask(start: int, stop: int) -> Exchange:
            request = self.request(
                "GetObject", Act.READ, "GET", place, key, version_id=version_id or "",
                headers={"range": f"bytes={start}-{stop - 1}", "if-match": quoted(head.etag)},
            )  # fmt: skip
            try:
                exchange = await self._client.open(request)
            except (PreconditionFailed, NoSuchKey, NoSuchVersion, IsDeleteMarker):
                raise DamagedObject("the object was replaced while it was read") from None
            told = read_head(key, exchange.head.headers, request.asked)
            if (told.head.etag, told.first) != (head.etag, start):
                exchange.close()
                raise DamagedObject("an upstream answered with other bytes than it was asked for")
            return exchange

        return ask

    async def head_object(self, bucket: BucketId, key: str, version_id: str | None = None) -> ObjectHead:
        """See Engine."""
        place = self.place(bucket)
        told = await self.head(place, key, version_id)
        if not told.tags_count:
            return told.head
        tags = await self.tags(place, key, told.head.version_id if version_id else "")
        return replace(told.head, properties=replace(told.head.properties, tags=tags))
