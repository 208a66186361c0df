"""The meter's spine: from the journal on disk to sums in Postgres, each record exactly once.

    tail.read        the next records that are on disk, checked
    stream_place     lock the stream's row: what has been shipped, and the digest of its last record
    compare          the place after it is ours; the record before it is the one Postgres knows
    tally            records into sums, late ones booked to the first open month
    add_tally        add the sums,
    move_stream      move the place, and
    add_segment      keep the link of a segment that is whole, all in one transaction

It may run in several processes at once: the lock on the stream's row decides.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from meter import frame, store
from meter.event import Mark
from meter.frame import RECORD_BYTES, DamagedSegment
from meter.journal import JournalLocked, segment_path
from meter.postgres import Connection, connect
from meter.reader import compress, event_at, published_sequence, streams
from meter.recorder import adopt
from meter.settings import MeterSettings
from meter.tail import Batch, Tail
from meter.tally import tally

log = logging.getLogger(__name__)
SYNC_WAITS_MAX = 160
"""How many quarters of a sync interval a complete answer waits for the writers' group fsync."""


@dataclass(slots=True)
class Round:
    """What one look at all streams did."""

    records: int = 0
    alarms: list[str] = field(default_factory=list)
    """One sentence for each stream that is damaged; it stands still until somebody looks."""


class Shipper:
    """Ships every stream of one journal directory."""

    def __init__(self, settings: MeterSettings) -> None:
        self._settings = settings
        self._tails: dict[Path, Tail] = {}

    async def ship(self, connection: Connection) -> Round:
        """Ship what is on disk now, stream after stream. Raises what asyncpg raises; nothing is lost then."""
        done = Round()
        for directory in streams(self._settings.journal_directory):
            try:
                done.records += await self._ship_stream(connection, directory)
            except DamagedSegment as alarm:
                self._tails.pop(directory, None)
                log.error("stream %s stands still: %s", directory.name, alarm)
                done.alarms.append(str(alarm))
            except BaseException:
                # The tail has moved on, Postgres has not: look the place up again next time.
                self._tails.pop(directory, None)
                raise
        return done

    async def _ship_stream(self, connection: Connection, directory: Path) -> int:
        total = 0
        while True:
            tail = self._tails.get(directory)
            if tail is None:
                tail = self._tails[directory] = await find_place(connection, directory)
            batch = await asyncio.to_thread(tail.read, self._settings.ship_batch_records_max)
            if not batch.records and batch.sealed is None:
                return total
            if not await ship_batch(connection, tail, batch):
                del self._tails[directory]
                continue
            total += len(batch.records) // RECORD_BYTES
            if batch.sealed is not None:
                await asyncio.to_thread(_compress_once, directory, batch.sealed.number)
                if not batch.records:
                    return total


async def find_place(connection: Connection, directory: Path) -> Tail:
    """A tail that stands after the last shipped record, which must be the one Postgres knows.

    Raises DamagedSegment when the journal was exchanged or rewound.
    """
    tail = Tail(directory)
    last, digest = await store.stream_place(connection, tail.stream, label=directory.name, lock=False)
    await asyncio.to_thread(tail.seek, last + 1)
    before = tail.record_before()
    if before is not None and hashlib.sha256(before).digest() != digest:
        raise DamagedSegment(f"{directory.name}: record {last} is not the one that was shipped")
    return tail


async def ship_batch(connection: Connection, tail: Tail, batch: Batch) -> bool:
    """One transaction: identity and sums. False when another shipper was here; nothing was changed then."""
    async with connection.transaction():
        last, _ = await store.stream_place(connection, tail.stream, label=tail.directory.name, lock=True)
        if batch.first_sequence != last + 1:
            return False
        if batch.records:
            first_open = await store.first_open_month(connection)
            sums = tally((event for _, event in frame.events(batch.records)), first_open=first_open)
            await store.add_tally(connection, sums)
            await store.move_stream(
                connection, tail.stream, last_sequence=batch.last_sequence,
                last_record=hashlib.sha256(batch.records[-RECORD_BYTES:]).digest(),
                cut=frame.count_marked(batch.records, Mark.RECOVERED),
            )  # fmt: skip
        if batch.sealed is not None:
            kept = await store.add_segment(connection, tail.stream, batch.sealed)
            if kept != batch.sealed.digest:
                raise DamagedSegment(
                    f"{tail.directory.name}: segment {batch.sealed.number} differs from the one shipped before"
                )
    return True


def _compress_once(directory: Path, number: int) -> None:
    if segment_path(directory, number).exists():
        compress(directory, number)


def adopt_dead_streams(settings: MeterSettings) -> int:
    """Close what killed writers left open; the number of exchanges closed. Living writers are left alone."""
    closed = 0
    for directory in streams(settings.journal_directory):
        try:
            closed += adopt(directory, settings)
        except JournalLocked:
            continue
        except DamagedSegment as alarm:
            log.error("stream %s cannot be recovered: %s", directory.name, alarm)
    return closed


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the journals hold and the sums do not."""

    events: int
    oldest_us: int | None
    """When the oldest of them ended; None when there is none."""


async def places(connection: Connection, journal_directory: Path) -> dict[Path, int]:
    """How far each stream has been shipped."""
    found = {}
    for directory in streams(journal_directory):
        last, _ = await store.stream_place(
            connection, Tail(directory).stream, label=directory.name, lock=False
        )
        found[directory] = last
    return found


def backlog(journal_directory: Path, shipped: Mapping[Path, int]) -> Backlog:
    """The backlog beyond places that were looked up before; also while Postgres is away."""
    count, oldest_us = 0, None
    for directory in streams(journal_directory):
        last = shipped.get(directory, 0)
        waiting = published_sequence(directory) - last
        if waiting <= 0:
            continue
        count += waiting
        event = event_at(directory, last + 1)
        if event is not None and (oldest_us is None or event.ended_us < oldest_us):
            oldest_us = event.ended_us
    return Backlog(count, oldest_us)


async def unshipped(connection: Connection, journal_directory: Path) -> int:
    """Published records that are not in the sums yet, over all streams."""
    return backlog(journal_directory, await places(connection, journal_directory)).events


async def ship_everything(settings: MeterSettings, dsn: str) -> int:
    """Ship what the journals hold at this moment; how much of that is still unshipped, 0 if all went well.

    Safe beside a running shipper. Waits for writers to fsync, a few intervals at most. Raises DatabaseAway.
    """
    await asyncio.to_thread(adopt_dead_streams, settings)
    connection = await connect(dsn, role="weir_meter", timeout_s=settings.database_timeout_s)
    try:
        shipper = Shipper(settings)
        wanted = {path: published_sequence(path) for path in streams(settings.journal_directory)}
        left = 0
        for _ in range(SYNC_WAITS_MAX):
            await shipper.ship(connection)
            shipped = await places(connection, settings.journal_directory)
            left = sum(max(0, sequence - shipped.get(path, 0)) for path, sequence in wanted.items())
            if not left:
                break
            await asyncio.sleep(settings.journal_sync_interval_ms / 4000)
        return left
    finally:
        await connection.close()
