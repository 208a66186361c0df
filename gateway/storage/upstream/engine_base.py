"""What all parts of the upstream engine share: where a bucket is, what stands under a key, and how changes are told.

The story of every change: take the key's turn, see what stands there, ask the upstream, tell the difference, answer.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from gateway.settings import GatewaySettings
from gateway.storage.abilities import WORDS, Ability, constraint_of, lacking
from gateway.storage.errors import (
    Busy,
    IsDeleteMarker,
    NoSuchBucket,
    NoSuchKey,
    NoSuchVersion,
    QuotaExceeded,
    Unavailable,
    Unsupported,
)
from gateway.storage.model import (
    NULL_VERSION,
    BucketRules,
    ObjectHead,
    ObjectProperties,
    Quota,
    StorageChange,
    Versioning,
)
from gateway.storage.upstream.acts import Act
from gateway.storage.upstream.client import Client, Request
from gateway.storage.upstream.errors import Asked, says_nothing_is_set, storage_error
from gateway.storage.upstream.metrics import UpstreamMetrics
from gateway.storage.upstream.properties import Told, property_headers, read_head
from gateway.storage.upstream.requests import body_headers, object_path, query_text
from gateway.storage.upstream.rules import read_lock_configuration, read_tagging, read_versioning
from gateway.storage.upstream.stored import StoredSums
from gateway.storage.upstream.turns import Turns
from meter.event import StorageLine
from meter.ids import BucketId, MemberId

T = TypeVar("T")
log = logging.getLogger(__name__)
RULES_LIFE_S = 10.0
"""So long an answer about a bucket's rules is believed; counting does not hang on it but for suspended versions."""
CHECKSUM_MODE = "x-amz-checksum-mode"
"""Of an object's head: S3 tells no checksum to whoever does not ask for it."""
LOOKS_MAX = 5
LOOK_PAUSE_S = 0.1
"""Before the second look at what became of a write, on the average; twice as long before each further one."""


class Place(NamedTuple):
    """A bucket of this engine, as the directory knows it."""

    bucket: BucketId
    name: str
    """On the upstream."""
    owner: MemberId


Find = Callable[[BucketId], Place | None]
Tell = Callable[[StorageChange], None]
"""Keeps a change of stored bytes, before its cause is answered. The sequence is 0: it is the keeper's."""


class Standing(NamedTuple):
    """What stood under a key before a change, in bytes."""

    head: ObjectHead | None
    """The current object."""
    null_bytes: int
    """What the version 'null' holds, which a write or delete replaces where versions are off or suspended."""

    @property
    def bytes(self) -> int:
        """Of the current object."""
        return 0 if self.head is None else self.head.size_bytes


class UpstreamBase:
    """Client, rules and turns of one engine."""

    def __init__(
        self, client: Client, settings: GatewaySettings, *, find: Find, tell: Tell, sums: StoredSums,
        metrics: UpstreamMetrics, spool: Path, features: Mapping[str, bool] | None = None,
    ) -> None:  # fmt: skip
        """Owns the client from now on. spool is a directory for bytes whose number nobody announced.

        features: what the upstream was found to be able to, and not, when it was tried. What it is known to lack is
        refused before it is asked, since many pass over what they do not know.
        """
        self._client = client
        self._settings = settings
        self._find = find
        self._tell = tell
        self._sums = sums
        self._metrics = metrics
        self._spool = spool
        found = features or {}
        self._lacks = lacking(found)
        self._constraint = constraint_of(client.upstream.account.region, found)
        self._keeps_checksums = found.get(Ability.CHECKSUMS) is True
        self._asks_for_all = {CHECKSUM_MODE: "ENABLED"} if self._keeps_checksums else {}
        self._turns = Turns(waiting_max=settings.upstream_waiting_max)
        self._rules: dict[BucketId, tuple[float, BucketRules]] = {}
        self._loop = asyncio.get_running_loop()
        self._unfinished: set[asyncio.Future[Any]] = set()

    @property
    def name(self) -> str:
        """The engine's."""
        return self._client.upstream.name

    # Asking

    def place(self, bucket: BucketId) -> Place:
        """Where the bucket is. Raises NoSuchBucket."""
        found = self._find(bucket)
        if found is None:
            raise NoSuchBucket
        return found

    def unsupported(self, what: str) -> Unsupported:
        """What is raised for what no upstream does here."""
        return Unsupported(what, self.name)

    def request(
        self, operation: str, act: Act, method: str, place: Place, key: str = "",
        query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None, body: bytes = b"", *,
        version_id: str = "", may_be_locked: bool = False, sets_lock: bool = False, may_repeat: bool = True,
    ) -> Request:  # fmt: skip
        """A request about a bucket or an object; a body is a document.

        Raises Unsupported for a version where there are none: such a system would pass over it, and take the object.
        """
        parameters = dict(query or {})
        if version_id:
            self.need(Ability.VERSIONING)
            parameters["versionId"] = version_id
        asked = Asked(
            self.name, operation, key, version_id, "uploadId" in parameters, may_be_locked, sets_lock
        )
        sent = dict(headers or {})
        if body and act is Act.WRITE:
            act = Act.DOCUMENT
        if body:
            sent.update(body_headers(body))
        return Request(
            asked, act, place.bucket, method, object_path(place.name, key), query_text(parameters), sent, body,
            may_repeat,
        )  # fmt: skip

    async def head(self, place: Place, key: str, version_id: str | None = None) -> Told:
        """What the upstream tells of an object. Raises as head_object."""
        request = self.request(
            "HeadObject",
            Act.READ,
            "HEAD",
            place,
            key,
            headers=self._asks_for_all,
            version_id=version_id or "",
        )
        exchange = await self._client.open(request)
        exchange.close()
        return read_head(key, exchange.head.headers, request.asked)

    async def found(self, place: Place, key: str, version_id: str | None = None) -> ObjectHead | None:
        """The same; None where there is no object now."""
        try:
            return (await self.head(place, key, version_id)).head
        except (NoSuchKey, NoSuchVersion, IsDeleteMarker):
            return None

    async def standing(self, place: Place, key: str) -> Standing:
        """What stands under the key now."""
        head = await self.found(place, key)
        if head is None or head.version_id in ("", NULL_VERSION):
            null_bytes = 0 if head is None else head.size_bytes
            if head is not None or (await self.rules_of(place)).versioning is not Versioning.SUSPENDED:
                return Standing(head, null_bytes)
        elif (await self.rules_of(place)).versioning is not Versioning.SUSPENDED:
            return Standing(head, 0)
        null = await self.found(place, key, NULL_VERSION)
        return Standing(head, 0 if null is None else null.size_bytes)

    async def tags(self, place: Place, key: str, version_id: str) -> dict[str, str]:
        """The object's tags."""
        request = self.request(
            "GetObjectTagging", Act.READ, "GET", place, key, {"tagging": ""}, version_id=version_id
        )
        body = await self._document(request)
        return {} if body is None else read_tagging(body, request.asked)

    # Rules

    async def version_made(self, place: Place, key: str, told: str, *, is_put: bool) -> str:
        """The version a write made. radosgw tells it of a PutObject with versions, and of nothing else."""
        if told:
            return told
        versioning = (await self.rules_of(place)).versioning
        if versioning is Versioning.OFF:
            return ""
        if is_put or versioning is Versioning.SUSPENDED:
            return NULL_VERSION if versioning is Versioning.SUSPENDED else ""
        found = await self.found(place, key)
        return "" if found is None else found.version_id

    async def rules_of(self, place: Place) -> BucketRules:
        """The bucket's rules, as they were RULES_LIFE_S ago at the most."""
        if Ability.VERSIONING in self._lacks:
            return BucketRules()
        known = self._rules.get(place.bucket)
        if known is not None and self._loop.time() - known[0] < RULES_LIFE_S:
            return known[1]
        rules = await self._read_rules(place)
        self._rules[place.bucket] = (self._loop.time(), rules)
        return rules

    async def _read_rules(self, place: Place) -> BucketRules:
        request = self.request("GetBucketVersioning", Act.READ, "GET", place, query={"versioning": ""})
        body = await self._document(request)
        versioning = Versioning.OFF if body is None else read_versioning(body, request.asked)
        if versioning is not Versioning.ENABLED:
            return BucketRules(versioning)
        request = self.request(
            "GetObjectLockConfiguration", Act.READ, "GET", place, query={"object-lock": ""}
        )
        body = await self._document(request)
        locks, default = (False, None) if body is None else read_lock_configuration(body, request.asked)
        return BucketRules(versioning, locks, default)

    async def _document(self, request: Request) -> bytes | None:
        """The document; None where nothing is set, or the upstream knows no such thing."""
        exchange, failure = await self._client.attempt(request)
        if failure is None:
            return await exchange.whole()
        if says_nothing_is_set(failure):
            return None
        error = storage_error(failure, request.asked)
        if isinstance(error, Unsupported):
            return None
        raise error

    # Telling

    def tell(self, place: Place, line: StorageLine, delta_bytes: int, *, at_us: int) -> None:
        """Keep a change of stored bytes."""
        if delta_bytes:
            self._tell(StorageChange(0, place.owner, place.bucket, line, delta_bytes, at_us))

    def tell_object(self, place: Place, *, total: int, current: int, at_us: int) -> None:
        """Of a key: by so many bytes all its versions together changed, and by so many its current object."""
        self.tell(place, StorageLine.OBJECT, current, at_us=at_us)
        self.tell(place, StorageLine.VERSION, total - current, at_us=at_us)

    def check_quota(self, place: Place, quota: Quota, grows_bytes: int) -> None:
        """Raises QuotaExceeded. Other workers' changes are known some seconds later: by so much it is passed."""
        if grows_bytes <= 0:
            return
        for whose, limit, stored in (
            ("bucket", quota.bucket_bytes_max, self._sums.of_bucket(place.bucket)),
            ("member", quota.member_bytes_max, self._sums.of_member(place.owner)),
        ):
            if limit is not None and stored + grows_bytes > limit:
                raise QuotaExceeded(whose, limit)

    def need(self, ability: Ability) -> None:
        """Raises Unsupported where the upstream was found to lack it."""
        if ability in self._lacks:
            raise self.unsupported(WORDS[ability])

    def headers_of(self, properties: ObjectProperties) -> dict[str, str]:
        """What is kept beside the bytes, as headers. A checksum is passed on where the upstream keeps them, or not at all."""
        keeps = self._keeps_checksums
        return property_headers(
            properties if keeps else properties.with_checksum(None), keeps_checksums=keeps
        )

    def check_properties(self, properties: ObjectProperties, *, is_sealed: bool = False) -> None:
        """Raises Unsupported for what no upstream keeps for us, or this one does not."""
        if properties.tags:
            self.need(Ability.TAGGING)
        if properties.retention is not None or properties.legal_hold:
            self.need(Ability.OBJECT_LOCK)
        if is_sealed or properties.sealing:
            raise self.unsupported("encryption with the customer's key (SSE-C)")
        if properties.acl:
            raise self.unsupported("access list of an object")

    # Changes

    async def to_the_end(self, work: Coroutine[object, object, T]) -> T:
        """Do it, also when the caller is cancelled: what was asked of the upstream must be told."""
        task = asyncio.ensure_future(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return await asyncio.shield(task)

    async def outcome(
        self, change: Awaitable[T], look: Callable[[], Awaitable[T | None]], what: str
    ) -> tuple[T | None, Unavailable | None]:
        """What a change came to. Where there was no answer, what looking again found; else the error.

        An error with a found outcome None means that nobody knows, or that it did not happen.
        """
        try:
            return await change, None
        except Unavailable as error:
            failed = error
        for number in range(LOOKS_MAX):
            try:
                found = await look()
            except (Unavailable, Busy):
                found = None
            if found is not None:
                return found, None
            await asyncio.sleep(LOOK_PAUSE_S * 2**number * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
        self._metrics.unknown()
        log.warning("%s: what became of %s is not known: %s", self.name, what, failed)
        return None, failed

    async def settle(self) -> None:
        """Wait for changes whose callers have gone."""
        if self._unfinished:
            await asyncio.wait(self._unfinished)
