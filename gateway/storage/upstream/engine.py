"""The upstream engine: buckets on another S3 system, which keeps them under the co-op's one account.

Its parts are engine_base (what every change does), engine_objects, engine_copying, engine_deleting and engine_uploads;
here are buckets and their rules. What the upstream cannot do is Unsupported, never imitated. It has no outbox: each
change of stored bytes is told to the worker's journal before it is answered.
"""

from __future__ import annotations

from gateway.locks import lock_configuration_document
from gateway.results import versioning
from gateway.storage.abilities import Ability
from gateway.storage.base import Engine
from gateway.storage.errors import BucketNotEmpty, InvalidRules, NoSuchBucket
from gateway.storage.model import BucketRules, StorageChange, Versioning
from gateway.storage.upstream.acts import Act
from gateway.storage.upstream.answers import read_root, text_of
from gateway.storage.upstream.engine_base import Place
from gateway.storage.upstream.engine_copying import CopyMethods
from gateway.storage.upstream.engine_deleting import DeleteMethods
from gateway.storage.upstream.engine_uploads import UploadMethods
from gateway.storage.upstream.errors import storage_error
from gateway.storage.upstream.requests import create_document
from meter.ids import BucketId, MemberId

_OURS_ALREADY, _SOMEBODYS_ALREADY = "BucketAlreadyOwnedByYou", "BucketAlreadyExists"


class UpstreamEngine(CopyMethods, DeleteMethods, UploadMethods, Engine):
    """Engine on one upstream."""

    async def create_bucket(self, bucket: BucketId, *, owner: MemberId, locks: bool = False) -> None:
        """See Engine."""
        del owner
        if locks:
            self.need(Ability.OBJECT_LOCK)
        place = self.place(bucket)
        headers = {"x-amz-bucket-object-lock-enabled": "true"} if locks else {}
        body = create_document(self._constraint)
        request = self.request("CreateBucket", Act.WRITE, "PUT", place, headers=headers, body=body)
        exchange, failure = await self._client.attempt(request)
        if failure is None:
            # Read to its end, so that it is counted and its connection is free.
            await exchange.whole()
        if failure is None or failure.code == _OURS_ALREADY:
            return
        if failure.code == _SOMEBODYS_ALREADY and await self._is_ours(place):
            return
        raise storage_error(failure, request.asked)

    async def _is_ours(self, place: Place) -> bool:
        """Some systems say of one's own bucket, too, that the name is taken. The account's own list tells them apart.

        Not whether we may look into it: somebody can take a name before us and open that bucket to us, and would be
        sent members' data.
        """
        request = self.request("ListBuckets", Act.READ, "GET", place)._replace(path="/")
        exchange, failure = await self._client.attempt(request)
        if failure is not None:
            return False
        root = read_root(await exchange.whole(), request.asked, "ListAllMyBucketsResult")
        return any(
            text_of(bucket, "Name") == place.name
            for listed in root.all("Buckets")
            for bucket in listed.all("Bucket")
        )

    async def delete_bucket(self, bucket: BucketId) -> None:
        """See Engine. Some systems drop open uploads with their bucket, so that is asked first."""
        place = self.place(bucket)
        try:
            uploads, _ = await self.list_uploads(bucket, prefix="", after_key="", after_upload_id="", limit=1)
            if uploads:
                raise BucketNotEmpty
            await self._client.ask(self.request("DeleteBucket", Act.DELETE, "DELETE", place))
        except NoSuchBucket:
            return

    async def bucket_rules(self, bucket: BucketId) -> BucketRules:
        """See Engine. Another gateway's change is seen RULES_LIFE_S later at the most."""
        return await self.rules_of(self.place(bucket))

    async def set_bucket_rules(self, bucket: BucketId, rules: BucketRules) -> None:
        """See Engine."""
        place = self.place(bucket)
        if rules.versioning is not Versioning.OFF:
            self.need(Ability.VERSIONING)
        if rules.locks:
            self.need(Ability.OBJECT_LOCK)
        if rules.default_retention is not None:
            self.need(Ability.DEFAULT_RETENTION)
        if rules == BucketRules() and Ability.VERSIONING in self._lacks:
            return
        known = await self._read_rules(place)
        if rules.locks and (not known.locks and known.versioning is Versioning.ENABLED):
            raise InvalidRules("object lock belongs to a bucket from its creation on")
        self._rules.pop(bucket, None)
        if rules.versioning is not known.versioning:
            body = versioning(rules.versioning)
            await self._client.ask(
                self.request(
                    "PutBucketVersioning", Act.WRITE, "PUT", place, query={"versioning": ""}, body=body
                )
            )
        if rules.locks and (not known.locks or rules.default_retention != known.default_retention):
            body = lock_configuration_document(rules)
            await self._client.ask(
                self.request(
                    "PutObjectLockConfiguration",
                    Act.WRITE,
                    "PUT",
                    place,
                    query={"object-lock": ""},
                    body=body,
                )
            )
        self._rules.pop(bucket, None)

    def check_space(self, bucket: BucketId, grows_bytes: int) -> None:
        """See Engine. An upstream tells nobody how much room it has."""

    def stored_bytes(self, bucket: BucketId) -> int:
        """See Engine."""
        return self._sums.of_bucket(bucket)

    def stored_bytes_of(self, member: MemberId) -> int:
        """See Engine. Of the member's buckets on all upstreams."""
        return self._sums.of_member(member)

    async def outbox(self, *, after: int, limit: int) -> tuple[StorageChange, ...]:
        """See Engine. It has none."""
        del after, limit
        return ()

    async def last_sequence(self) -> int:
        """See Engine."""
        return 0

    async def trim_outbox(self, *, up_to: int) -> None:
        """See Engine."""

    async def close(self) -> None:
        """See Engine."""
        await self.settle()
        await self._client.close()
