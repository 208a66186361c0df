"""Feeds the engine's outbox into the journal: the stream whose sequence is the outbox's own.

Stored bytes changed in the same commit as the outbox row, so neither can be lost without the other;
because record n of the stream is row n of the outbox, a crash between the two doubles nothing.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from gateway.storage.base import Engine
from gateway.storage.model import StorageChange
from meter.event import Event, Mark, RequestClass, Zone
from meter.ids import NOBODY
from meter.journal import JournalFull, JournalLocked
from meter.reader import published_sequence
from meter.recorder import Recorder, now_us
from meter.settings import MeterSettings

log = logging.getLogger(__name__)
STREAM_LABEL = "engine"
ROWS_MAX = 5000
IDLE_S = 0.1
WAIT_FOR_LOCK_S = 1.0
SETTLE_PAUSE_S = 0.05
SETTLE_TRIES_MAX = 100


class OutboxMismatch(Exception):
    """Journal and outbox do not continue each other: one of them was exchanged."""


def storage_event(change: StorageChange) -> Event:
    """An outbox row as the journal keeps it."""
    return Event(
        request_id=bytes(16), payer=change.member, requester=NOBODY, bucket=change.bucket, operation=0,
        request_class=RequestClass.FREE, zone=Zone.INTERNET, began_us=change.at_us, ended_us=change.at_us,
        bytes_in=0, bytes_out=0, moved_in=0, moved_out=0, status=0, marks=Mark.STORAGE,
        stored_bytes=change.delta_bytes, line=change.line,
    )  # fmt: skip


async def feed(engine: Engine, recorder: Recorder) -> int:
    """Append what is new, make it durable, and let the outbox forget it; the rows fed. Raises OutboxMismatch."""
    after = recorder.journal.next_sequence - 1
    # With no room the outbox keeps them, and is asked again.
    changes = await engine.outbox(after=after, limit=min(ROWS_MAX, recorder.journal.room))
    for change in changes:
        if change.sequence != recorder.journal.next_sequence:
            raise OutboxMismatch(
                f"the outbox continues with {change.sequence}, the journal with {recorder.journal.next_sequence}"
            )
        recorder.record(storage_event(change))
    if changes:
        await asyncio.to_thread(recorder.sync)
        await engine.trim_outbox(up_to=changes[-1].sequence)
    return len(changes)


async def feed_what_is_left(engine: Engine, journal_directory: Path, settings: MeterSettings) -> None:
    """Wait until everything the outbox holds at this moment stands in the journal; feed it if no worker runs.

    For commands that must be complete up to now. Gives up after SETTLE_TRIES_MAX pauses: a worker that
    cannot feed has raised its own alarm.
    """
    directory = journal_directory / STREAM_LABEL
    target = await engine.last_sequence()
    for _ in range(SETTLE_TRIES_MAX):
        if published_sequence(directory) >= target:
            return
        try:
            recorder = await asyncio.to_thread(Recorder, directory, settings, slots_max=1)
        except JournalLocked:
            await asyncio.sleep(SETTLE_PAUSE_S)
            continue
        try:
            while await feed(engine, recorder):
                continue
        finally:
            recorder.close()


async def keep_feeding(engine: Engine, journal_directory: Path, settings: MeterSettings) -> None:
    """Feed for as long as this process holds the stream's lock; one worker does, the others wait for it."""
    while True:
        try:
            recorder = await asyncio.to_thread(
                Recorder, journal_directory / STREAM_LABEL, settings, slots_max=1
            )
        except (JournalLocked, JournalFull):
            await asyncio.sleep(WAIT_FOR_LOCK_S)
            continue
        try:
            while True:
                if not await feed(engine, recorder):
                    recorder.journal.roll_if_aged(now_us())
                    await asyncio.sleep(IDLE_S)
        finally:
            recorder.close()
