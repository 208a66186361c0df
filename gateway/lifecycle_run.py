"""Carries lifecycle rules out: one look through the buckets, at an instant it is handed; and the loop around it.

What goes is deleted only if it still is what the listing told, so nothing written meanwhile is lost. Locks hold
here as everywhere. Nobody asked for these deletions, so no request is counted; the bytes leave through the outbox.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.call import DISK, Bucket, Subject
from gateway.directory import PostgresDirectory
from gateway.lifecycle import (
    Doom,
    Fate,
    Judge,
    Rule,
    abortion,
    listing_prefix,
    looks_at_uploads,
    looks_at_versions,
)
from gateway.lifecycle_document import rules_of
from gateway.settings import GatewaySettings
from gateway.storage.base import Engine
from gateway.storage.disk.turnstile import only_one
from gateway.storage.errors import (
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    NoSuchVersion,
    ObjectLocked,
    PreconditionFailed,
    StorageError,
    Unsupported,
)
from gateway.storage.model import NULL_VERSION, Condition, Deletion, ListedVersion, VersionListing
from meter.metrics import Registry, series
from meter.recorder import now_us

log = logging.getLogger(__name__)
FIRST_LOOK_S = 60.0
"""A worker that starts serves first; one that is started again and again still looks."""
WAIT_FOR_LOCK_S = 30.0


@dataclass(slots=True)
class Summary:
    """What one look did."""

    buckets: int = 0
    seen: int = 0
    """Versions, markers and uploads looked at."""
    gone: Counter[Fate] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    """locked, changed (it was not any more what the listing told), failed (a bucket's look ended early)."""

    def __str__(self) -> str:
        parts = [f"{self.buckets} buckets", f"{self.seen} seen"]
        parts += [
            f"{count} {fate.value}" for fate, count in sorted(self.gone.items(), key=lambda i: i[0].value)
        ]
        parts += [f"{count} {reason}" for reason, count in sorted(self.refused.items())]
        return ", ".join(parts)


class Look:
    """One look through buckets."""

    def __init__(
        self,
        engine: Engine,
        settings: GatewaySettings,
        find_bucket: Callable[[str], Awaitable[Bucket | None]],
        *,
        clock: Callable[[], int] = now_us,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """find_bucket gives a bucket as it is now; clock tells UTC microseconds; rest is waited for between steps."""
        self._engine = engine
        self._batch_max = settings.lifecycle_batch_max
        self._pause_s = settings.lifecycle_pause_ms / 1000
        self._find_bucket = find_bucket
        self._clock = clock
        self._now_us = clock()
        self._rest = rest
        self.summary = Summary()

    async def through(self, names: Iterable[str]) -> Summary:
        """Every bucket with rules; one that fails does not keep the others from their turn."""
        for name in names:
            # Asked now, not when the look began: rules that were taken away meanwhile hold no more.
            bucket = await self._find_bucket(name)
            kept = None if bucket is None else bucket.documents.get(Subject.LIFECYCLE)
            if bucket is None or kept is None:
                continue
            rules = rules_of(kept)
            self.summary.buckets += 1
            try:
                if looks_at_versions(rules):
                    await self._versions(bucket, rules)
                if looks_at_uploads(rules):
                    await self._uploads(bucket, rules)
            except NoSuchBucket:
                continue  # deleted meanwhile
            except StorageError as error:
                self.summary.refused["failed"] += 1
                log.warning("lifecycle: bucket %d is left for the next look: %s", bucket.id, error)
        return self.summary

    async def _versions(self, bucket: Bucket, rules: Sequence[Rule]) -> None:
        judge = Judge(rules, now_us=self._now_us)
        async for page in self._pages(bucket, listing_prefix(rules)):
            await self._remove(bucket, list(judge.tell(page)))
            await self._rest(self._pause_s)
        await self._remove(bucket, list(judge.finish()))

    async def _pages(self, bucket: Bucket, prefix: str) -> AsyncIterator[tuple[ListedVersion, ...]]:
        after: tuple[str, str] | None = ("", "")
        while after is not None:
            listing = await self._page(bucket, prefix, after)
            self.summary.seen += len(listing.versions)
            yield listing.versions
            after = listing.next_after

    async def _page(self, bucket: Bucket, prefix: str, after: tuple[str, str]) -> VersionListing:
        """A page of versions; where the engine has none, each object is the only version of its key."""
        try:
            return await self._engine.list_versions(
                bucket.id, prefix=prefix, delimiter="", after_key=after[0], after_version_id=after[1],
                limit=self._batch_max,
            )  # fmt: skip
        except Unsupported:
            page = await self._engine.list_objects(
                bucket.id, prefix=prefix, delimiter="", after=after[0], limit=self._batch_max
            )
        versions = tuple(
            ListedVersion(
                one.key, NULL_VERSION, is_latest=True, is_marker=False, size_bytes=one.size_bytes, etag=one.etag,
                modified_us=one.modified_us,
            )
            for one in page.objects
        )  # fmt: skip
        return VersionListing(versions, (), None if page.next_after is None else (page.next_after, ""))

    async def _remove(self, bucket: Bucket, doomed: Sequence[Doom]) -> None:
        if not doomed:
            return
        answers = await self._engine.delete_objects(
            bucket.id, [_deletion(doom) for doom in doomed], now_us=self._clock()
        )
        for doom, answer in zip(doomed, answers, strict=True):
            if answer.error is None:
                self.summary.gone[doom.fate] += 1
            else:
                self.summary.refused[_reason(answer.error)] += 1

    async def _uploads(self, bucket: Bucket, rules: Sequence[Rule]) -> None:
        after, more = ("", ""), True
        while more:
            uploads, more = await self._engine.list_uploads(
                bucket.id, prefix=listing_prefix(rules), after_key=after[0], after_upload_id=after[1],
                limit=self._batch_max,
            )  # fmt: skip
            for upload in uploads:
                after = (upload.key, upload.upload_id)
                self.summary.seen += 1
                found = abortion(rules, key=upload.key, started_us=upload.started_us)
                if found is not None and found[0] <= self._now_us:
                    await self._abort(bucket, *after)
            await self._rest(self._pause_s)

    async def _abort(self, bucket: Bucket, key: str, upload_id: str) -> None:
        try:
            await self._engine.abort_upload(bucket.id, key, upload_id, now_us=self._clock())
        except NoSuchUpload:
            self.summary.refused["changed"] += 1
        else:
            self.summary.gone[Fate.UPLOAD] += 1


async def keep_looking(
    engine: Engine,
    directory: PostgresDirectory,
    settings: GatewaySettings,
    registry: Registry,
    lock_file: Path,
) -> None:
    """Look again and again while this process is the one of the machine; the others wait for its lock."""
    while True:
        with only_one(lock_file) as is_ours:
            if is_ours:
                await asyncio.sleep(min(FIRST_LOOK_S, settings.lifecycle_interval_s))
            while is_ours:
                names = [
                    bucket.name for bucket in directory.known_buckets()
                    if _has_rules(bucket) and (settings.has_disk or bucket.engine != DISK)
                ]  # fmt: skip
                summary = await Look(engine, settings, directory.bucket).through(names)
                count(summary, registry)
                if summary.buckets:
                    log.info("lifecycle: %s", summary)
                await asyncio.sleep(settings.lifecycle_interval_s)
        await asyncio.sleep(WAIT_FOR_LOCK_S)


def count(summary: Summary, registry: Registry) -> None:
    """Add a look to the counters."""
    registry.add("weir_gateway_lifecycle_looks_total")
    registry.add("weir_gateway_lifecycle_seen_total", summary.seen)
    for fate, number in summary.gone.items():
        registry.add(series("weir_gateway_lifecycle_removed_total", reason=fate.value), number)
    for reason, number in summary.refused.items():
        registry.add(series("weir_gateway_lifecycle_refused_total", reason=reason), number)


def _has_rules(bucket: Bucket) -> bool:
    return Subject.LIFECYCLE in bucket.documents


def _deletion(doom: Doom) -> Deletion:
    version = doom.version
    still_the_same = Condition(modified_us=version.modified_us)
    if doom.fate is Fate.EXPIRED:
        return Deletion(version.key, condition=still_the_same)
    return Deletion(version.key, version.version_id, still_the_same)


def _reason(error: StorageError) -> str:
    match error:
        case ObjectLocked():
            return "locked"
        case PreconditionFailed() | NoSuchKey() | NoSuchVersion():
            return "changed"
        case _:
            return "failed"
