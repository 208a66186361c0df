"""The upstream engine's multipart uploads: ids, parts and their checks are the upstream's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.storage.abilities import Ability
from gateway.storage.base import Staged
from gateway.storage.errors import (
    InvalidPart,
    InvalidPartOrder,
    NoSuchUpload,
    PartTooSmall,
    Unavailable,
)
from gateway.storage.model import (
    NO_CONDITION,
    NO_QUOTA,
    Checksum,
    Condition,
    ObjectHead,
    ObjectProperties,
    Part,
    Quota,
    Upload,
)
from gateway.storage.upstream.acts import Act
from gateway.storage.upstream.answers import (
    PartsPage,
    read_completed,
    read_parts,
    read_upload_id,
    read_uploads,
)
from gateway.storage.upstream.engine_base import Place, Standing, UpstreamBase
from gateway.storage.upstream.engine_objects import ObjectMethods
from gateway.storage.upstream.requests import complete_document, condition_headers
from gateway.storage.upstream.response import ResponseHead
from gateway.storage.upstream.staged import UpstreamStaged
from meter.event import StorageLine
from meter.ids import BucketId

PARTS_PAGE = 1000


class UploadMethods(ObjectMethods, UpstreamBase):
    """The part of UpstreamEngine that knows uploads and parts."""

    async def create_upload(
        self, bucket: BucketId, key: str, *, properties: ObjectProperties, checksum_algorithm: str,
        checksum_kind: str, now_us: int,
    ) -> Upload:  # fmt: skip
        """See Engine. Checksums of the parts are verified as they come, and not kept."""
        del checksum_algorithm, checksum_kind
        self.check_properties(properties)
        if properties.tags or properties.retention is not None or properties.legal_hold:
            self.need(Ability.PARTS_EXTRAS)
        place = self.place(bucket)
        request = self.request(
            "CreateMultipartUpload", Act.WRITE, "POST", place, key, {"uploads": ""},
            self.headers_of(properties), may_repeat=False,
            sets_lock=properties.retention is not None or properties.legal_hold,
        )  # fmt: skip
        _, body = await self._client.ask(request)
        return Upload(read_upload_id(body, request.asked), key, now_us, properties)

    async def get_upload(self, bucket: BucketId, key: str, upload_id: str) -> Upload:
        """See Engine. Of its properties the upstream tells none."""
        await self._page(self.place(bucket), key, upload_id, after=0, limit=1)
        return Upload(upload_id, key, 0, ObjectProperties())

    async def put_part(
        self, bucket: BucketId, key: str, upload_id: str, number: int, staged: Staged, *, etag: str,
        checksum: Checksum | None, now_us: int, quota: Quota = NO_QUOTA, sealing: str = "",
    ) -> Part:  # fmt: skip
        """See Engine. The part that had the number is looked up right before the last bytes are sent."""
        assert isinstance(staged, UpstreamStaged), "bytes staged by another engine"
        del checksum  # kept by nobody
        self.check_properties(ObjectProperties(), is_sealed=bool(sealing))
        part = Part(number, staged.size_bytes, etag, now_us)
        return await self.to_the_end(self._put_part(self.place(bucket), key, upload_id, staged, part, quota))

    async def _put_part(
        self, place: Place, key: str, upload_id: str, staged: UpstreamStaged, part: Part, quota: Quota
    ) -> Part:
        async with self._turns.of((place.bucket, key, upload_id, part.number)):
            before = await self._part(place, key, upload_id, part.number)
            replaced = 0 if before is None else before.size_bytes
            self.check_quota(place, quota, part.size_bytes - replaced)
            answer, failed = await self.outcome(
                staged.commit(self.proof_of(part.etag)), lambda: self._was_part_put(place, key, upload_id, part, before),
                f"an UploadPart into {place.bucket}",
            )  # fmt: skip
            if answer is None:
                assert failed is not None
                raise failed
            self.tell(place, StorageLine.PART, part.size_bytes - replaced, at_us=part.modified_us)
        return replace(part, etag=self.etag_of(answer, sent=part.etag))

    async def _was_part_put(
        self, place: Place, key: str, upload_id: str, part: Part, before: Part | None
    ) -> ResponseHead | None:
        found = await self._part(place, key, upload_id, part.number)
        if found is None or found == before or found.size_bytes != part.size_bytes:
            return None
        if part.etag and found.etag != part.etag:
            return None
        return ResponseHead(200, {"etag": found.etag}, 0, is_chunked=False, keeps_alive=False)

    async def list_parts(
        self, bucket: BucketId, key: str, upload_id: str, *, after: int, limit: int
    ) -> tuple[tuple[Part, ...], bool]:
        """See Engine."""
        page = await self._page(self.place(bucket), key, upload_id, after=after, limit=limit)
        return page.parts, page.truncated

    async def complete_upload(
        self, bucket: BucketId, key: str, upload_id: str, parts: Sequence[tuple[int, str]], *, etag: str,
        checksum: Checksum | None, condition: Condition, part_bytes_min: int, now_us: int,
        sealing: Mapping[str, str] | None = None,
    ) -> ObjectHead:  # fmt: skip
        """See Engine. A repeated Complete answers while the object it made is the current one."""
        del checksum
        if condition != NO_CONDITION:
            self.need(Ability.CONDITIONAL_COPY)
        if any(number != place for place, (number, _) in enumerate(parts, 1)):
            self.need(Ability.ANY_PARTS)
        self.check_properties(ObjectProperties(), is_sealed=bool(sealing))
        made = ObjectHead(key, 0, etag, now_us, ObjectProperties())
        work = self._complete(self.place(bucket), upload_id, parts, made, condition, part_bytes_min)
        return await self.to_the_end(work)

    async def _complete(
        self, place: Place, upload_id: str, named: Sequence[tuple[int, str]], made: ObjectHead,
        condition: Condition, part_bytes_min: int,
    ) -> ObjectHead:  # fmt: skip
        key = made.key
        async with self._turns.of((place.bucket, key)):
            before = await self.standing(place, key)
            try:
                stored = await self._all_parts(place, key, upload_id)
            except NoSuchUpload:
                if before.head is not None and before.head.etag == made.etag:
                    return before.head
                raise
            size_bytes = _checked(stored, named, part_bytes_min)
            request = self.request(
                "CompleteMultipartUpload", Act.WRITE, "POST", place, key, {"uploadId": upload_id},
                condition_headers(condition), complete_document(named), may_repeat=False,
            )  # fmt: skip

            async def completed() -> str:
                head, body = await self._client.ask(request)
                read_completed(body, request.asked)
                return head.headers.get("x-amz-version-id", "")

            version_id, failed = await self.outcome(
                completed(), lambda: self._was_completed(place, key, made.etag, before),
                f"a CompleteMultipartUpload in {place.bucket}",
            )  # fmt: skip
            if version_id is None:
                assert failed is not None
                raise failed
            made = ObjectHead(
                key, size_bytes, made.etag, made.modified_us, made.properties, version_id=version_id
            )
            gone = sum(part.size_bytes for part in stored.values())
            self.tell(place, StorageLine.PART, -gone, at_us=made.modified_us)
            if not version_id:
                # radosgw names the version in no answer to this.
                found = await self.found(place, key)
                made = made if found is None else ObjectHead(
                    key, size_bytes, found.etag, made.modified_us, found.properties, version_id=found.version_id
                )  # fmt: skip
            self.tell_written(place, made, before, made.version_id)
        return made

    async def _was_completed(self, place: Place, key: str, etag: str, before: Standing) -> str | None:
        found = await self.found(place, key)
        if found is None or found.etag != etag or found == before.head:
            return None
        return found.version_id

    async def abort_upload(self, bucket: BucketId, key: str, upload_id: str, *, now_us: int) -> None:
        """See Engine."""
        await self.to_the_end(self._abort(self.place(bucket), key, upload_id, now_us))

    async def _abort(self, place: Place, key: str, upload_id: str, now_us: int) -> None:
        async with self._turns.of((place.bucket, key)):
            gone = sum(part.size_bytes for part in (await self._all_parts(place, key, upload_id)).values())
            request = self.request(
                "AbortMultipartUpload",
                Act.DELETE,
                "DELETE",
                place,
                key,
                {"uploadId": upload_id},
                may_repeat=False,
            )

            async def aborted() -> bool:
                await self._client.ask(request)
                return True

            async def look() -> bool | None:
                try:
                    await self._page(place, key, upload_id, after=0, limit=1)
                except NoSuchUpload:
                    return True
                return None

            done, failed = await self.outcome(aborted(), look, f"an AbortMultipartUpload in {place.bucket}")
            if done is None:
                assert failed is not None
                raise failed
            self.tell(place, StorageLine.PART, -gone, at_us=now_us)

    async def list_uploads(
        self, bucket: BucketId, *, prefix: str, after_key: str, after_upload_id: str, limit: int
    ) -> tuple[tuple[Upload, ...], bool]:
        """See Engine."""
        if not limit:
            return (), False
        bounds = {"prefix": prefix, "key-marker": after_key, "upload-id-marker": after_upload_id}
        query = {"uploads": "", "max-uploads": str(limit)} | {
            name: value for name, value in bounds.items() if value
        }
        request = self.request("ListMultipartUploads", Act.LIST, "GET", self.place(bucket), query=query)
        try:
            _, body = await self._client.ask(request)
        except NoSuchUpload:
            # So rclone says that there is none.
            return (), False
        return read_uploads(body, request.asked)

    async def _part(self, place: Place, key: str, upload_id: str, number: int) -> Part | None:
        page = await self._page(place, key, upload_id, after=number - 1, limit=1)
        return next((part for part in page.parts if part.number == number), None)

    async def _all_parts(self, place: Place, key: str, upload_id: str) -> dict[int, Part]:
        if not upload_id:
            raise NoSuchUpload
        found: dict[int, Part] = {}
        after, more = 0, True
        while more:
            page = await self._page_behind(place, key, upload_id, after=after, limit=PARTS_PAGE)
            found |= {part.number: part for part in page.parts}
            if page.truncated and (not page.parts or page.parts[-1].number <= after):
                raise Unavailable(f"{self.name} lists parts without an end")
            after, more = page.parts[-1].number if page.parts else after, page.truncated
        return found

    async def _page(self, place: Place, key: str, upload_id: str, *, after: int, limit: int) -> PartsPage:
        """Parts behind a number that need not be there; asked from the first on where the upstream falls over that."""
        if not upload_id:
            raise NoSuchUpload
        if after and Ability.PART_MARKERS in self._lacks:
            parts = [
                part
                for part in (await self._all_parts(place, key, upload_id)).values()
                if part.number > after
            ]
            return PartsPage(tuple(parts[:limit]), len(parts) > limit, "", "")
        return await self._page_behind(place, key, upload_id, after=after, limit=limit)

    async def _page_behind(
        self, place: Place, key: str, upload_id: str, *, after: int, limit: int
    ) -> PartsPage:
        query = {"uploadId": upload_id, "max-parts": str(limit), "part-number-marker": str(after)}
        request = self.request("ListParts", Act.LIST, "GET", place, key, query)
        _, body = await self._client.ask(request)
        return read_parts(body, request.asked)


def _checked(stored: Mapping[int, Part], named: Sequence[tuple[int, str]], part_bytes_min: int) -> int:
    """The bytes of the named parts together. Raises InvalidPart, InvalidPartOrder, PartTooSmall."""
    before = size_bytes = 0
    for number, etag in named:
        part = stored.get(number)
        if number <= before:
            raise InvalidPartOrder
        if part is None or part.etag != etag:
            raise InvalidPart(number)
        before = number
        size_bytes += part.size_bytes
        if number != named[-1][0] and part.size_bytes < part_bytes_min:
            raise PartTooSmall(number, part.size_bytes, part_bytes_min)
    return size_bytes
