"""What keeps the disk and the index in step: the delayed collector, and the sweep after crashes.

Neither touches a file that the index knows. Only one process works here at a time.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from gateway.settings import GatewaySettings
from gateway.storage.disk.blobs import FAN_OUT, Blobs
from gateway.storage.disk.committer import Committer
from gateway.storage.disk.index import Connection
from gateway.storage.disk.index_upkeep import (
    blobs_between,
    due_garbage,
    forget_garbage,
    forget_tombstones,
    has_tombstones,
    is_known,
    owners_of_blobs,
    postpone_garbage,
    recorded_bytes,
)
from gateway.storage.disk.pins import Pins
from gateway.storage.disk.turnstile import only_one
from gateway.storage.disk.workers import Workers
from meter.ids import NO_BUCKET, BucketId
from meter.window import MICROSECONDS

ORPHAN_AGE_US = 3_600_000_000
"""A file nothing points at is left alone for an hour: a put links its file before it commits."""


@dataclass(frozen=True, slots=True)
class Damage:
    """An object or part whose file is not what the index says."""

    bucket: BucketId
    key: str
    blob: str
    recorded_bytes: int
    found_bytes: int | None
    """None when the file is missing."""


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What one sweep found and did."""

    drafts_removed: int = 0
    """Half-written files that a crash left in staging."""
    orphans_removed: int = 0
    """Whole files that a crash kept from their commit."""
    orphan_bytes: int = 0
    damaged: tuple[Damage, ...] = ()
    """By name, up to the setting damage_reported_max."""
    damaged_count: int = 0
    """All of them."""


class Upkeep:
    """The two chores of one engine; both are safe beside all traffic of all processes."""

    def __init__(
        self,
        directory: Path,
        settings: GatewaySettings,
        blobs: Blobs,
        committer: Committer,
        workers: Workers,
        pins: Pins,
    ) -> None:
        """Borrows everything."""
        self._lock_file = directory / "upkeep.lock"
        self._settings = settings
        self._blobs = blobs
        self._committer = committer
        self._workers = workers
        self._pins = pins

    async def collect(self, now_us: int) -> int:
        """See DiskEngine.collect. A crash after unlinking leaves rows whose files are gone: no harm."""
        with only_one(self._lock_file) as is_ours:
            if not is_ours:
                return 0
            limit = self._settings.collect_files_max
            due = await self._workers.read(partial(due_garbage, now_us=now_us, limit=limit))
            if due:
                # The row that made a file garbage must not come back without its file.
                await self._committer.make_durable()
                due = await self._without_pinned(due, now_us)
                await self._workers.run(partial(self._remove, due))
                await self._committer.commit(partial(forget_garbage, blobs=due, now_us=now_us))
            await self._forget_tombstones(now_us)
            return len(due)

    async def _without_pinned(self, due: list[str], now_us: int) -> list[str]:
        """Those that no reader of any process waits for; the others get a delay once more.

        The pins are read after the garbage: a reader pins first and then looks whether the index still
        says the same, so what was garbage before it looked is not its.
        """
        pinned = await self._workers.run(self._pins.of_all_processes)
        waiting = [blob for blob in due if blob in pinned]
        if waiting:
            after_us = now_us + self._settings.blob_delete_delay_s * MICROSECONDS
            await self._committer.commit(partial(postpone_garbage, blobs=waiting, after_us=after_us))
        return [blob for blob in due if blob not in pinned]

    async def _forget_tombstones(self, now_us: int) -> None:
        before_us = now_us - self._settings.upload_tombstone_s * MICROSECONDS
        if await self._workers.read(partial(has_tombstones, before_us=before_us)):
            await self._committer.commit(partial(forget_tombstones, before_us=before_us))

    async def sweep(self, now_us: int) -> SweepReport:
        """See DiskEngine.sweep."""
        with only_one(self._lock_file) as is_ours:
            if not is_ours:
                return SweepReport()
            reported_max = self._settings.damage_reported_max
            found = await self._workers.read(
                partial(survey, blobs=self._blobs, now_us=now_us, reported_max=reported_max)
            )
            damaged = await self._workers.read(partial(name_damage, found=found))
            await self._workers.run(partial(_unlink, found.drafts))
            removed: dict[str, int] = {}
            if found.orphans:
                removed = await self._committer.commit(partial(self._remove_orphans, orphans=found.orphans))
            return SweepReport(
                len(found.drafts), len(removed), sum(removed.values()), damaged, found.damaged_count
            )

    def _remove(self, names: list[str]) -> None:
        for blob in names:
            self._blobs.remove(blob)

    def _remove_orphans(self, connection: Connection, *, orphans: dict[str, int]) -> dict[str, int]:
        # Under the writer's lock: no put can point at a file while we take it away.
        removed = {blob: size for blob, size in orphans.items() if not is_known(connection, blob)}
        self._remove(list(removed))
        return removed


@dataclass(slots=True)
class Survey:
    """What a look over the whole disk found; nothing is changed yet."""

    drafts: list[Path] = field(default_factory=list)
    orphans: dict[str, int] = field(default_factory=dict)
    """Names and bytes of old files that the index does not know."""
    damaged: list[tuple[str, int, int | None]] = field(default_factory=list)
    """Name, bytes recorded, bytes found."""
    damaged_count: int = 0
    files: int = 0
    size_bytes: int = 0
    """Of all files there are."""


def survey(connection: Connection, blobs: Blobs, *, now_us: int, reported_max: int) -> Survey:
    """Compare disk and index, one directory at a time, so that memory holds a 256th of the names."""
    found = Survey()
    with os.scandir(blobs.staging) as entries:
        for entry in entries:
            if _is_old(entry.stat(), now_us):
                found.drafts.append(Path(entry.path))
    for fan_out in FAN_OUT:
        # The index first: what is committed after this look is younger than an hour.
        recorded = blobs_between(connection, first=fan_out, end=_next_name(fan_out))
        sizes = _scan(connection, blobs.directory(fan_out), recorded, found, now_us=now_us)
        for blob, size_bytes in recorded.items():
            if sizes.get(blob) == size_bytes or recorded_bytes(connection, blob) is None:
                continue
            found.damaged_count += 1
            if len(found.damaged) < reported_max:
                found.damaged.append((blob, size_bytes, sizes.get(blob)))
    return found


def _scan(
    connection: Connection, directory: Path, recorded: dict[str, int], found: Survey, *, now_us: int
) -> dict[str, int]:
    sizes = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                continue
            sizes[entry.name] = status.st_size
            found.files += 1
            found.size_bytes += status.st_size
            if (
                entry.name not in recorded
                and _is_old(status, now_us)
                and not is_known(connection, entry.name)
            ):
                found.orphans[entry.name] = status.st_size
    return sizes


def _is_old(status: os.stat_result, now_us: int) -> bool:
    # The change time moves when a file is linked or renamed, the modification time when it is written.
    return max(status.st_ctime_ns, status.st_mtime_ns) // 1000 < now_us - ORPHAN_AGE_US


def _next_name(fan_out: str) -> str:
    return fan_out + "g"  # the first letter above the hexadecimal digits


def name_damage(connection: Connection, found: Survey) -> tuple[Damage, ...]:
    """Whose bytes the damaged files are. Reads whole tables, and only when something is damaged."""
    if not found.damaged:
        return ()
    owners = owners_of_blobs(connection, [blob for blob, _, _ in found.damaged])
    return tuple(
        Damage(*owners.get(blob, (NO_BUCKET, "")), blob, recorded, on_disk)
        for blob, recorded, on_disk in found.damaged
    )


def _unlink(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
