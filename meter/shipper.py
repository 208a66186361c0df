"""The meter's spine: from the journal on disk to sums in Postgres, each record exactly once.

    tail.read        the next records that are on disk, checked
    stream_place     lock the stream's row: what has been shipped, and the digest of its last record
    compare          the place after it is ours; the record before it is the one Postgres knows
    settled, tally   records into sums, late ones booked to the first open month
    add_tally        add the sums,
    move_stream      move the place, and
    add_segment      keep the link of a segment that is whole, all in one transaction

It may run in several processes at once: the lock on the stream's row decides.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from meter import frame, segments, spans, store
from meter.columns import tally_records
from meter.event import Mark
from meter.frame import RECORD_BYTES, DamagedSegment
from meter.journal import JournalLocked
from meter.pace import strain
from meter.postgres import Connection, connect
from meter.reader import compress, event_at, identity, published_sequence, streams, view
from meter.recorder import adopt, now_us
from meter.segments import number_of, segment_path, segment_paths, stream_of
from meter.settings import MeterSettings
from meter.tail import Batch, Tail
from meter.tally import Displaced
from meter.window import Month

log = logging.getLogger(__name__)
Told = Callable[[int], None]
PACKED_A_ROUND = 8
"""Segments of a stream that are compressed after its records were shipped: the next records do not wait for more."""
SMALL_BATCH = 1000
"""Records of the smallest batch that is tried while Postgres is too slow for larger ones."""
SYNC_WAITS_MAX = 160
"""How many quarters of a sync interval a complete answer waits for the writers' group fsync."""


@dataclass(slots=True)
class Round:
    """What one look at all streams did."""

    records: int = 0
    strain: float = 0.0
    """How slow Postgres was at worst, as meter.pace counts it; 0 when nothing was shipped."""
    alarms: list[str] = field(default_factory=list)
    """One sentence for each stream that is damaged; it stands still until somebody looks."""


def _nobody(count: int) -> None:
    """Nobody is told how many records were shipped just now."""


class Shipper:
    """Ships every stream of one journal directory."""

    def __init__(self, settings: MeterSettings, *, packs: bool = True) -> None:
        self._settings = settings
        self._tails: dict[Path, Tail] = {}
        self._opened: Month | None = None
        self._packs = packs
        """Whether shipped segments are compressed; not on a disk that may only be read."""
        self._unpacked: dict[Path, list[int]] = {}
        """Shipped segments that are not compressed yet, oldest last."""
        self._records_max = settings.ship_batch_records_max
        self.shipped: dict[Path, int] = {}
        """How far each stream is shipped, as it was last seen or moved here: nobody needs to ask Postgres again."""
        self._strain = 0.0

    def forget(self) -> None:
        """Look every place up anew. After a lost connection Postgres may be another one, that lost the last commits."""
        self._tails.clear()
        self.shipped.clear()

    async def ship(self, connection: Connection) -> Round:
        """Ship what is on disk now, stream after stream. Raises what asyncpg raises; nothing is lost then."""
        done, self._strain = Round(), 0.0
        if self._opened != (month := Month.of(now_us())):
            await store.open_ahead(connection)
            self._opened = month
        for directory in streams(self._settings.journal_directory):
            try:
                done.records += await self.ship_stream(connection, directory)
                await self._pack(directory)
            except DamagedSegment as alarm:
                self._tails.pop(directory, None)
                log.error("stream %s stands still: %s", directory.name, alarm)
                done.alarms.append(str(alarm))
            except BaseException:
                # The tail has moved on, Postgres has not: look the place up again next time.
                self._tails.pop(directory, None)
                raise
        done.strain = self._strain
        return done

    async def ship_stream(self, connection: Connection, directory: Path, *, told: Told = _nobody) -> int:
        """Ship what one stream has on disk; the records. Raises DamagedSegment, and what asyncpg raises."""
        total = 0
        while True:
            tail = self._tails.get(directory)
            if tail is None:
                tail = self._tails[directory] = await find_place(connection, directory)
                self.shipped[directory] = tail.next_sequence - 1
                self._unpacked[directory] = await asyncio.to_thread(_plain_before, tail)
            batch = await asyncio.to_thread(tail.read, self._records_max)
            if not batch.records and not batch.sealed:
                return total
            if not await self._ship_batch(connection, tail, batch):
                del self._tails[directory]
                continue
            self.shipped[directory] = batch.last_sequence
            count = len(batch.records) // RECORD_BYTES
            total += count
            told(count)
            self._unpacked[directory][:0] = [one.number for one in reversed(batch.sealed)]

    async def _ship_batch(self, connection: Connection, tail: Tail, batch: Batch) -> bool:
        began_s = time.monotonic()
        try:
            is_ours = await ship_batch(connection, tail, batch)
        except TimeoutError:
            # The same batch would take as long again: the next ones are smaller until they pass.
            self._records_max = max(min(SMALL_BATCH, self._records_max), self._records_max // 4)
            raise
        took_s, count = time.monotonic() - began_s, len(batch.records) // RECORD_BYTES
        self._strain = max(self._strain, strain(took_s, count))
        self._records_max = min(self._settings.ship_batch_records_max, self._records_max * 2)
        return is_ours

    async def _pack(self, directory: Path) -> None:
        """Compress some of what is shipped: the sums come first, and a full disk stops no sum."""
        waiting = self._unpacked.get(directory, [])
        for _ in range(PACKED_A_ROUND if self._packs else 0):
            if not waiting:
                return
            try:
                await asyncio.to_thread(_compress_once, directory, waiting[-1])
            except OSError as error:
                log.warning("stream %s: segment %d stays as it is: %s", directory.name, waiting[-1], error)
                waiting.clear()
                return
            waiting.pop()


def _plain_before(tail: Tail) -> list[int]:
    """Segments before a place that are not compressed, oldest last: a shipper ended in between."""
    paths = [path for path in segment_paths(tail.directory) if path.suffix == ".seg"]
    return [number for path in reversed(paths) if (number := number_of(path)) < tail.segment_number]


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
            first_open, credible = await store.open_months(connection)
            sums, displaced = tally_records(batch.records, first_open=first_open, credible=credible)
            await store.add_tally(connection, sums)
            if displaced:
                log.warning("%s: records have times that cannot be true, counted now", tail.directory.name)
                place = Displaced(tail.stream, batch.first_sequence, batch.last_sequence, credible)
                await store.add_displaced(connection, place)
            await store.move_stream(
                connection, tail.stream, last_sequence=batch.last_sequence,
                last_record=hashlib.sha256(batch.records[-RECORD_BYTES:]).digest(),
                cut=frame.count_marked(batch.records, Mark.RECOVERED),
            )  # fmt: skip
        for sealed in batch.sealed:
            kept = await store.add_segment(connection, tail.stream, sealed)
            if kept != sealed.digest:
                raise DamagedSegment(
                    f"{tail.directory.name}: segment {sealed.number} differs from the one shipped before"
                )
    return True


def _compress_once(directory: Path, number: int) -> None:
    path = segment_path(directory, number)
    if path.exists():
        spans.learn(directory, view(path, stream=stream_of(directory)))
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


async def places(
    connection: Connection, journal_directory: Path, *, known: Mapping[Path, int] | None = None
) -> dict[Path, int]:
    """How far each stream has been shipped; a damaged one is left out, for the shipper raises its alarm.

    Of those that are `known` Postgres is not asked.
    """
    found = dict(known or {})
    for directory in streams(journal_directory):
        if directory in found:
            continue
        try:
            stream = identity(directory)
        except DamagedSegment:
            continue  # named in each round of the shipper, and by alarms()
        found[directory], _ = await store.stream_place(connection, stream, label=directory.name, lock=False)
    return found


def backlog(journal_directory: Path, shipped: Mapping[Path, int]) -> Backlog:
    """The backlog beyond places that were looked up before; also while Postgres is away."""
    count, oldest_us = 0, None
    for directory in streams(journal_directory):
        last = shipped.get(directory, 0)
        try:
            waiting = published_sequence(directory) - last
            event = event_at(directory, last + 1) if waiting > 0 else None
        except DamagedSegment:
            count += 1  # how many cannot be read off it, and none would be a lie
            continue
        count += max(0, waiting)
        if event is not None and (oldest_us is None or event.ended_us < oldest_us):
            oldest_us = event.ended_us
    return Backlog(count, oldest_us)


async def unshipped(connection: Connection, journal_directory: Path) -> int:
    """Published records that are not in the sums yet, over all streams; a damaged stream counts as one at least."""
    return backlog(journal_directory, await places(connection, journal_directory)).events


async def alarms(connection: Connection, settings: MeterSettings) -> list[str]:
    """One sentence for each stream whose next records cannot be shipped; looks, and changes nothing."""
    found = []
    for directory in streams(settings.journal_directory):
        try:
            tail = await find_place(connection, directory)
            await asyncio.to_thread(tail.read, settings.ship_batch_records_max)
        except DamagedSegment as alarm:
            found.append(str(alarm))
    return found


def torn_bytes(journal_directory: Path) -> int:
    """Bytes that crashes left behind the last whole records of all streams: lost to the co-op, kept aside."""
    return sum(segments.torn_bytes(directory) for directory in streams(journal_directory))


async def ship_everything(settings: MeterSettings, dsn: str) -> int:
    """Ship what the journals hold at this moment; how much of that is still unshipped, 0 if all went well.

    Safe beside a running shipper. Waits for writers to fsync, a few intervals at most. Raises DatabaseAway.
    """
    await asyncio.to_thread(adopt_dead_streams, settings)
    connection = await connect(dsn, role="weir_meter", timeout_s=settings.database_timeout_s)
    try:
        shipper = Shipper(settings)
        wanted = {path: _wanted(path) for path in streams(settings.journal_directory)}
        left = 0
        for _ in range(SYNC_WAITS_MAX):
            await shipper.ship(connection)
            shipped = await places(connection, settings.journal_directory)
            left = sum(
                1 if sequence is None else max(0, sequence - shipped.get(path, 0))
                for path, sequence in wanted.items()
            )
            if not left:
                break
            await asyncio.sleep(settings.journal_sync_interval_ms / 4000)
        return left
    finally:
        await connection.close()


def _wanted(directory: Path) -> int | None:
    """The sequence that must be shipped; None when the end of a damaged stream cannot be read off it."""
    try:
        return published_sequence(directory)
    except DamagedSegment:
        return None
