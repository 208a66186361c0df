"""The upstream engine's deletions, one or many, and the pages of what is there."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import replace

from gateway.storage.abilities import Ability
from gateway.storage.errors import (
    IsDeleteMarker,
    NoSuchKey,
    NoSuchVersion,
    PreconditionFailed,
    StorageError,
    Unavailable,
)
from gateway.storage.model import (
    NULL_VERSION,
    Condition,
    Deleted,
    Deletion,
    Listing,
    ObjectHead,
    Versioning,
    VersionListing,
)
from gateway.storage.upstream.acts import Act
from gateway.storage.upstream.answers import read_deleted, read_listing, read_versions
from gateway.storage.upstream.engine_base import Place, Standing, UpstreamBase
from gateway.storage.upstream.engine_copying import BYPASS
from gateway.storage.upstream.requests import can_be_named, delete_document, start_behind
from meter.ids import BucketId
from meter.window import MICROSECONDS

AT_ONCE = 16
"""Look-ups of one DeleteObjects that are on their way together."""


class _Doomed:
    """One deletion, with what stood there before."""

    __slots__ = ("answer", "before", "deletion", "refused", "removed_bytes")

    def __init__(self, deletion: Deletion) -> None:
        self.deletion = deletion
        self.answer: Deleted | None = None
        self.before = Standing(None, 0)
        self.removed_bytes = 0
        """Of the version that is named."""
        self.refused: StorageError | None = None

    @property
    def told(self) -> Deleted:
        """What became of it."""
        if self.answer is None:
            return Deleted(self.deletion.key, error=self.refused)
        return replace(self.answer, existed=self.before.head is not None or bool(self.removed_bytes))


class DeleteMethods(UpstreamBase):
    """The part of UpstreamEngine that deletes and lists."""

    async def delete_objects(
        self, bucket: BucketId, deletions: Sequence[Deletion], *, now_us: int
    ) -> tuple[Deleted, ...]:
        """See Engine. Not one commit: each is decided by itself.

        A condition of a client's is Unsupported: no upstream decides it in the moment of the deletion. One on the
        time, which lifecycle rules ask for, is seen right before, in the key's turn.
        """
        place = self.place(bucket)
        if any(one.condition.if_match is not None for one in deletions):
            raise self.unsupported("deletion on a condition")
        return await self.to_the_end(self._delete_all(place, deletions, now_us))

    async def _delete_all(
        self, place: Place, deletions: Sequence[Deletion], now_us: int
    ) -> tuple[Deleted, ...]:
        async with self._turns.of_all((place.bucket, one.key) for one in deletions):
            found = [_Doomed(one) for one in deletions]
            await _some_at_once([self._look(place, one) for one in found])
            keys = Counter(one.deletion.key for one in found)
            # Several versions of one key each change what the others leave behind: one after the other.
            together = [
                one for one in found
                if one.refused is None and keys[one.deletion.key] == 1 and can_be_named(one.deletion.key)
            ]  # fmt: skip
            if len(together) > 1 and len({one.deletion.may_bypass for one in together}) == 1:
                for one, told in zip(together, await self._delete_together(place, together), strict=True):
                    one.answer = told
                await _some_at_once([self._tell_gone(place, one, now_us) for one in together])
            for one in found:
                if one.answer is None and one.refused is None:
                    if keys[one.deletion.key] > 1:
                        await self._look(place, one)
                    one.answer = await self._delete_one(place, one)
                    await self._tell_gone(place, one, now_us)
            return tuple(one.told for one in found)

    async def _look(self, place: Place, one: _Doomed) -> None:
        """What stands there now, and whether the condition holds."""
        deletion = one.deletion
        try:
            one.before = await self.standing(place, deletion.key)
            named = one.before.head
            if deletion.version_id is not None and (named is None or id_of(named) != deletion.version_id):
                named = await self.found(place, deletion.key, deletion.version_id)
            one.removed_bytes = 0 if named is None else named.size_bytes
            await self._check(place, deletion, named)
        except StorageError as error:
            one.refused = error

    async def _check(self, place: Place, deletion: Deletion, named: ObjectHead | None) -> None:
        """Raises PreconditionFailed when it is not what was written at that time; to the second, as heads tell it."""
        condition: Condition = deletion.condition
        if condition.modified_us is None:
            return
        modified_us = None if named is None else named.modified_us
        if modified_us is None:
            try:
                await self.head(place, deletion.key, deletion.version_id)
            except IsDeleteMarker as error:
                modified_us = error.args[2] or condition.modified_us
        if modified_us is None:
            raise NoSuchKey(deletion.key)
        if modified_us // MICROSECONDS != condition.modified_us // MICROSECONDS:
            raise PreconditionFailed

    async def _delete_together(self, place: Place, doomed: Sequence[_Doomed]) -> tuple[Deleted, ...]:
        deletions = [one.deletion for one in doomed]
        bypass = BYPASS if deletions[0].may_bypass else {}
        # Conditions were seen to already.
        body = delete_document(replace(one, condition=Condition()) for one in deletions)
        request = self.request(
            "DeleteObjects", Act.DELETE, "POST", place, query={"delete": ""}, headers=bypass, body=body
        )
        try:
            _, answer = await self._client.ask(request)
            return read_deleted(answer, deletions, request.asked)
        except StorageError as error:
            return tuple(Deleted(one.key, one.version_id or "", error=error) for one in deletions)

    async def _delete_one(self, place: Place, one: _Doomed) -> Deleted:
        deletion = one.deletion
        rules = await self.rules_of(place)
        named = deletion.version_id or ""
        request = self.request(
            "DeleteObject", Act.DELETE, "DELETE", place, deletion.key, version_id=named,
            headers=BYPASS if deletion.may_bypass else {}, may_be_locked=bool(named),
            # Without versions, or of a named one, a second time finds nothing and changes nothing.
            may_repeat=bool(named) or not rules.versioning.value,
        )  # fmt: skip
        try:
            head, _ = await self._client.ask(request)
        except (NoSuchKey, NoSuchVersion):
            return Deleted(deletion.key, named)
        except StorageError as error:
            return Deleted(deletion.key, named, error=error)
        is_marker = head.headers.get("x-amz-delete-marker", "").lower() == "true"
        version_id = head.headers.get("x-amz-version-id", "")
        return Deleted(deletion.key, named, is_marker, "" if named else version_id)

    async def _tell_gone(self, place: Place, one: _Doomed, now_us: int) -> None:
        """The change of stored bytes; where the answer does not say, what stands there now does."""
        deletion, before, answer = one.deletion, one.before, one.answer
        assert answer is not None, "told before it was done"
        is_unknown = isinstance(answer.error, Unavailable)
        if answer.error is not None and not is_unknown:
            return
        named, marker = deletion.version_id, answer.marker_version_id
        versioning = (await self.rules_of(place)).versioning
        if not is_unknown and named is None and (marker or versioning is Versioning.OFF):
            gone = before.null_bytes if marker in ("", NULL_VERSION) else 0
            self.tell_object(place, total=-gone, current=-before.bytes, at_us=now_us)
            return
        if not is_unknown and before.head is not None and named not in (None, id_of(before.head)):
            # An older one: what is current stays so.
            self.tell_object(place, total=-one.removed_bytes, current=0, at_us=now_us)
            return
        after = await self._look_after(place, deletion.key)
        if after is None:
            return
        if named is None:
            gone = 0 if versioning is Versioning.ENABLED or after.head is not None else before.null_bytes
        else:
            is_there = is_unknown and await self.found(place, deletion.key, named) is not None
            gone = 0 if is_there else one.removed_bytes
        self.tell_object(place, total=-gone, current=after.bytes - before.bytes, at_us=now_us)

    async def _look_after(self, place: Place, key: str) -> Standing | None:
        """What stands there after a deletion; None, said in log and metric, where nobody knows."""

        async def look() -> Standing:
            return await self.standing(place, key)

        found, _ = await self.outcome(look(), look, f"a deletion in {place.bucket}")
        return found

    async def list_objects(
        self, bucket: BucketId, *, prefix: str, delimiter: str, after: str, limit: int
    ) -> Listing:
        """See Engine."""
        place = self.place(bucket)
        if not limit:
            return Listing((), (), None)
        query = {
            "list-type": "2", "prefix": prefix, "delimiter": delimiter, "max-keys": str(limit),
            "encoding-type": "url", "start-after": start_behind(after, prefix=prefix, delimiter=delimiter),
        }  # fmt: skip
        request = self.request("ListObjectsV2", Act.LIST, "GET", place, query=_named(query, keep="list-type"))
        _, body = await self._client.ask(request)
        return read_listing(body, request.asked, after=after)

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
        """See Engine. Tags are not told."""
        self.need(Ability.VERSIONING)
        place = self.place(bucket)
        if not limit:
            return VersionListing((), (), None)
        newer = None
        if after_version_id:
            # When the page's first was put behind is told by the last of the page before.
            modified_us = await self._modified_us(place, after_key, after_version_id)
            newer = None if modified_us is None else (after_key, modified_us)
        marker = (
            after_key if after_version_id else start_behind(after_key, prefix=prefix, delimiter=delimiter)
        )
        query = {
            "versions": "", "prefix": prefix, "delimiter": delimiter, "max-keys": str(limit),
            "encoding-type": "url", "key-marker": marker, "version-id-marker": after_version_id,
        }  # fmt: skip
        begin = (after_key, after_version_id)
        after = begin
        while True:
            request = self.request(
                "ListObjectVersions", Act.LIST, "GET", place, query=_named(query, keep="versions")
            )
            _, body = await self._client.ask(request)
            listing = read_versions(body, request.asked, newer=newer, behind=(begin, after))
            if listing.versions or listing.prefixes or listing.next_after is None:
                return listing
            # versitygw tells what it is to go on behind once more, and here there was room for nothing else.
            if listing.next_after != after:
                after = listing.next_after
                query |= {"key-marker": after[0], "version-id-marker": after[1]}
            elif query["max-keys"] != str(limit):
                raise Unavailable(f"{self.name} lists versions without an end")
            else:
                query["max-keys"] = str(limit + 1)

    async def _modified_us(self, place: Place, key: str, version_id: str) -> int | None:
        try:
            return (await self.head(place, key, version_id)).head.modified_us
        except IsDeleteMarker as error:
            return int(error.args[2]) or None
        except (NoSuchKey, NoSuchVersion):
            return None


async def _some_at_once(work: Sequence[Coroutine[object, object, None]]) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one_of(piece: Coroutine[object, object, None]) -> None:
        async with slots:
            await piece

    await asyncio.gather(*map(one_of, work))


def _named(query: dict[str, str], *, keep: str) -> dict[str, str]:
    """Without what has no value, but for the parameter that names the operation."""
    return {name: value for name, value in query.items() if value or name == keep}


def id_of(head: ObjectHead) -> str:
    """The version's id; upstreams may leave it out for what was written without versions."""
    return head.version_id or NULL_VERSION
