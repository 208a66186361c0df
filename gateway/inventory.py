"""An inventory: everything that lies in a bucket, held against what was counted of it. It only looks.

Traffic goes on meanwhile, and what it wrote may stand on the engine and not yet in the sums. So a look counts only if
nothing was counted during it, and a difference only if the next look, a while later, finds the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from gateway import inventory_store
from gateway.directory import PostgresDirectory
from gateway.engine_store import S3_KIND
from gateway.inventory_store import Counted, Placed
from gateway.settings import GatewaySettings
from gateway.storage.base import Engine
from gateway.storage.disk.turnstile import only_one
from gateway.storage.errors import NoSuchBucket, NoSuchUpload, StorageError
from gateway.storage.model import Versioning
from meter.event import StorageLine
from meter.ids import BucketId
from meter.metrics import Registry, series
from meter.recorder import now_us
from meter.usage import LOGICAL

log = logging.getLogger(__name__)
PAGE = 1000
LOOKS_MAX = 4
SETTLE_S = 60.0
"""Between two looks of a worker: longer than a change needs into the sums."""
WAIT_FOR_LOCK_S = 60.0
FIRST_LOOK_S = 300.0
Step = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Looked:
    """What became of a look at one bucket."""

    placed: Placed
    lines: dict[StorageLine, tuple[int, int]]
    """Counted and listed bytes of each line."""
    is_settled: bool
    """Not: it was written to during every look, and nobody knows."""

    @property
    def drift_bytes(self) -> int:
        """How many bytes differ, either way, line by line."""
        return sum(abs(listed - counted) for counted, listed in self.lines.values())


async def look(
    engine: Engine, placed: Placed, counted: Callable[[BucketId], Awaitable[Counted]], *, settle_s: float, step: Step
) -> Looked:  # fmt: skip
    """Look at a bucket until two looks agree that it differs, or one that it does not."""
    last: dict[StorageLine, tuple[int, int]] | None = None
    for turn in range(LOOKS_MAX):
        if turn:
            await asyncio.sleep(settle_s)
        before = await counted(placed.bucket)
        listed = await listed_bytes(engine, placed.bucket, step=step)
        if await counted(placed.bucket) != before:
            continue
        found = {line: (before.get(line, (0, 0))[0], listed[line]) for line in LOGICAL}
        if found == last or all(ours == theirs for ours, theirs in found.values()):
            return Looked(placed, found, is_settled=True)
        last = found
    return Looked(placed, {}, is_settled=False)


async def listed_bytes(engine: Engine, bucket: BucketId, *, step: Step) -> Counter[StorageLine]:
    """Bytes of every object, old version and part that the engine tells of; none where the bucket is not there."""
    found: Counter[StorageLine] = Counter()
    try:
        if (await engine.bucket_rules(bucket)).versioning is Versioning.OFF:
            await _objects(engine, bucket, found, step)
        else:
            await _versions(engine, bucket, found, step)
        await _parts(engine, bucket, found, step)
    except NoSuchBucket:
        found.clear()
    return found


async def _objects(engine: Engine, bucket: BucketId, found: Counter[StorageLine], step: Step) -> None:
    after: str | None = ""
    while after is not None:
        page = await engine.list_objects(bucket, prefix="", delimiter="", after=after, limit=PAGE)
        found[StorageLine.OBJECT] += sum(one.size_bytes for one in page.objects)
        step(len(page.objects))
        after = page.next_after


async def _versions(engine: Engine, bucket: BucketId, found: Counter[StorageLine], step: Step) -> None:
    after: tuple[str, str] | None = ("", "")
    while after is not None:
        page = await engine.list_versions(
            bucket, prefix="", delimiter="", after_key=after[0], after_version_id=after[1], limit=PAGE
        )
        for one in page.versions:
            found[StorageLine.OBJECT if one.is_latest else StorageLine.VERSION] += one.size_bytes
        step(len(page.versions))
        after = page.next_after


async def _parts(engine: Engine, bucket: BucketId, found: Counter[StorageLine], step: Step) -> None:
    after, more = ("", ""), True
    while more:
        uploads, more = await engine.list_uploads(
            bucket, prefix="", after_key=after[0], after_upload_id=after[1], limit=PAGE
        )
        for upload in uploads:
            after = (upload.key, upload.upload_id)
            number, follows = 0, True
            while follows:
                try:
                    parts, follows = await engine.list_parts(bucket, *after, after=number, limit=PAGE)
                except NoSuchUpload:
                    break  # completed or aborted meanwhile; the sums tell
                found[StorageLine.PART] += sum(part.size_bytes for part in parts)
                step(len(parts))
                number = parts[-1].number if parts else number


async def keep_inventories(
    engine: Engine,
    directory: PostgresDirectory,
    settings: GatewaySettings,
    registry: Registry,
    lock_file: Path,
) -> None:
    """Look through all engines but the disk once in inventory_interval_s, in one process of the machine."""
    while True:
        with only_one(lock_file) as is_ours:
            if is_ours:
                await asyncio.sleep(min(FIRST_LOOK_S, settings.inventory_interval_s))
            while is_ours:
                for row in list(directory.engines.values()):
                    if row.kind == S3_KIND:
                        await _look_through(engine, directory, row.name, registry)
                await asyncio.sleep(settings.inventory_interval_s)
        await asyncio.sleep(WAIT_FOR_LOCK_S)


async def _look_through(engine: Engine, directory: PostgresDirectory, name: str, registry: Registry) -> None:
    async def counted(bucket: BucketId) -> Counted:
        found = await directory.ask(lambda connection: inventory_store.counted(connection, bucket))
        if found is None:
            raise TimeoutError("PostgreSQL is away")
        return found

    drift_bytes = unsettled = 0
    for placed in await directory.ask(lambda connection: inventory_store.placed(connection, name)) or ():
        if not placed.is_there:
            continue
        try:
            looked = await look(engine, placed, counted, settle_s=SETTLE_S, step=lambda _: None)
        except (StorageError, TimeoutError) as error:
            log.warning("inventory: bucket %d is left for the next look: %s", placed.bucket, error)
            unsettled += 1
            continue
        unsettled += not looked.is_settled
        drift_bytes += looked.drift_bytes
        if looked.drift_bytes:
            log.error(
                "inventory: bucket %d on %s drifted by %d bytes", placed.bucket, name, looked.drift_bytes
            )
        if looked.is_settled:
            await directory.ask(
                lambda connection, one=looked: inventory_store.keep(  # type: ignore[misc]
                    connection, one.placed.bucket, one.lines, now_us=now_us()
                )
            )
    registry.add(series("weir_gateway_inventories_total", engine=name))
    registry.gauges[series("weir_gateway_inventory_drift_bytes", engine=name)] = drift_bytes
    registry.gauges[series("weir_gateway_inventory_unsettled", engine=name)] = unsettled
