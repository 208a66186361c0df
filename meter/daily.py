"""What is done once a day beside shipping: sign a head for the day and each closing, let old segments and samples go.

Doing it twice does nothing twice. It needs no clock of its own, and a fault here never stops the shipper.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from meter import frame, heads_store, sample_store
from meter.frame import HEADER_BYTES, RECORD_BYTES, DamagedSegment
from meter.heads import FIRST, Head, Tip, sign
from meter.heads_store import Kept, StreamRow
from meter.ids import StreamId
from meter.postgres import Connection
from meter.reader import read_bytes, streams
from meter.refusal import Refusal
from meter.retention import plan, remove
from meter.segments import segment_path, stream_of
from meter.settings import MeterSettings
from meter.signing import open_key, public_of, write_durably
from meter.window import MICROSECONDS, Month, to_datetime

log = logging.getLogger(__name__)
LOOK_US = 60 * MICROSECONDS
"""How often it is asked whether something is due."""


class Daily:
    """The day's chores of one shipper."""

    def __init__(self, settings: MeterSettings) -> None:
        self._settings = settings
        self._looked_us: int | None = None

    async def look(self, connection: Connection, *, now_us: int) -> None:
        """Do what is due; at most once a minute it is asked at all. Raises what a lost connection raises."""
        if self._looked_us is not None and 0 <= now_us - self._looked_us < LOOK_US:
            return
        self._looked_us = now_us
        try:
            made = await make_due_heads(connection, self._settings, now_us=now_us)
            if any(one.month is None for one in made):
                plans = await plan(connection, self._settings, now_us=now_us)
                await remove(connection, self._settings, plans, now_us=now_us)
                await sample_store.prune(
                    connection, keep_months=self._settings.samples_keep_months, now_us=now_us
                )
        except (Refusal, DamagedSegment, OSError, asyncpg.IntegrityConstraintViolationError) as error:
            if isinstance(error, ConnectionError | TimeoutError):
                raise
            log.error("the day's head or retention failed, and is tried again: %s", error)


async def make_due_heads(connection: Connection, settings: MeterSettings, *, now_us: int) -> list[Kept]:
    """Sign a head for each closing that has none, and for the day if it has none; keep files of all of them.

    Raises KeyLost.
    """
    key = open_key(settings.data)
    day = to_datetime(now_us).date()
    made = []
    # The pen is one for all machines: a thousand shippers that only look must not wait for each other.
    if await heads_store.is_due(connection, day):
        async with connection.transaction(isolation="read_committed"):
            await heads_store.take_pen(connection)
            for month, watermark in await heads_store.closings_without_head(connection):
                closed = {"month": str(month), "watermark": watermark}
                made.append(await _make(connection, settings, key, day, month, closed, now_us=now_us))
            if not await heads_store.has_head_of_day(connection, day):
                made.append(await _make(connection, settings, key, day, None, None, now_us=now_us))
    await write_missing_files(connection, settings.heads_directory)
    return made


async def _make(
    connection: Connection, settings: MeterSettings, key: Ed25519PrivateKey, day: date, month: Month | None,
    closed: Mapping[str, Any] | None, *, now_us: int,
) -> Kept:  # fmt: skip
    before = await heads_store.last_head(connection)
    public = public_of(key)
    previous, replaces = FIRST, None
    if before is not None and before.public_key == public:
        previous = before.page.digest
    elif before is not None:
        log.error(
            "a new signing key: head %d was the last one under key %s", before.number, before.public_key
        )
        replaces = {"key": before.public_key, "head": before.page.digest}
    rows = await heads_store.stream_rows(connection)
    tips = await asyncio.to_thread(_tips, settings.journal_directory, rows)
    number = 1 if before is None else before.number + 1
    head = Head(number, day.isoformat(), now_us, previous, public, replaces, closed, tips)
    kept = Kept(number, day, month, sign(head, key), public)
    await heads_store.add_head(connection, kept)
    return kept


def _tips(journal_directory: Path, rows: list[StreamRow]) -> tuple[Tip, ...]:
    here = {stream_of(directory): directory for directory in streams(journal_directory)}
    return tuple(_tip(row, here) for row in rows)


def _tip(row: StreamRow, here: Mapping[StreamId, Path]) -> Tip:
    sealed = row.sealed
    number, last, digest = (
        (0, 0, b"") if sealed is None else (sealed.number, sealed.last_sequence, sealed.digest)
    )
    directory = here.get(row.stream)
    tail = b""
    if directory is not None and row.last_sequence > last:
        tail = tail_digest(segment_path(directory, number + 1), count=row.last_sequence - last)
    return Tip(
        str(row.stream), row.label, number, last, digest.hex(), row.last_sequence, row.last_record.hex(), tail.hex()
    )  # fmt: skip


def tail_digest(path: Path, *, count: int) -> bytes:
    """SHA-256 over a segment's unchanging header and its first `count` records. Raises DamagedSegment."""
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        raise DamagedSegment(f"{path.parent.name}: segment {path.name} is missing") from None
    records = data[HEADER_BYTES : HEADER_BYTES + count * RECORD_BYTES]
    if len(records) != count * RECORD_BYTES or count > frame.unpack_live(data).published:
        raise DamagedSegment(f"{path.parent.name}: {path.name} holds fewer than {count} records")
    state = hashlib.sha256(frame.pack_header(frame.unpack_header(data)))
    state.update(records)
    return state.digest()


def file_name(number: int, page_day: str) -> str:
    """A head's file, in the order of heads."""
    return f"{number:06d}-{page_day}.head"


async def write_missing_files(connection: Connection, directory: Path) -> None:
    """A file for each head that has none: also after a kill between the commit and the file, and after a restore."""
    directory.mkdir(mode=0o700, exist_ok=True)
    there = {path.name for path in directory.glob("*.head")}
    for number, day in await heads_store.head_days(connection):
        name = file_name(number, day.isoformat())
        if name not in there:
            (kept,) = await heads_store.heads(connection, after=number - 1, limit=1)
            content = kept.page.to_file().encode()
            await asyncio.to_thread(write_durably, directory / name, content, mode=0o644)
