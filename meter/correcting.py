"""Corrections into the journal: first the row with who and why, then the record it names.

Record n of the stream `corrections` is row n of the table, so that a crash between the two is seen by the
number and mended by the next look: a correction is entered once, and never without its reason.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from meter import correction_store
from meter.correction import Correction, Entered, check, event_of
from meter.journal import Journal, JournalLocked
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.settings import MeterSettings

STREAM_LABEL = "corrections"
LOCK_TRIES_MAX = 40
LOCK_PAUSE_S = 0.05


def _journal(settings: MeterSettings, now_us: int) -> Journal:
    return Journal(
        settings.journal_directory / STREAM_LABEL,
        segment_bytes_max=settings.journal_segment_bytes_max,
        segment_age_max_s=settings.journal_segment_age_max_s,
        now_us=now_us,
    )


async def _journal_in_turn(settings: MeterSettings, now_us: int) -> Journal:
    for _ in range(LOCK_TRIES_MAX):
        try:
            return _journal(settings, now_us)
        except JournalLocked:
            await asyncio.sleep(LOCK_PAUSE_S)
    raise Refusal("somebody else enters a correction at this moment; try again")


async def enter(
    connection: Connection, settings: MeterSettings, asked: Correction, *, now_us: int
) -> Entered:
    """Enter a correction; it is durable afterwards, and in the sums once it is shipped. Raises Refusal."""
    check(asked, now_us=now_us)
    journal = await _journal_in_turn(settings, now_us)
    try:
        await _complete(connection, journal)
        entered = Entered(journal.stream, journal.next_sequence, now_us, asked)
        await correction_store.add(connection, entered)
        journal.append(event_of(asked))
        journal.roll_if_aged(now_us)
    finally:
        journal.close()
    return entered


async def complete(connection: Connection, settings: MeterSettings, *, now_us: int) -> int:
    """Write the records of corrections that were entered and did not reach the journal; how many.

    It looks only where there is a stream of corrections already, and leaves it to whoever writes it now.
    """
    directory: Path = settings.journal_directory / STREAM_LABEL
    if not directory.exists():
        return 0
    try:
        journal = _journal(settings, now_us)
    except JournalLocked:
        return 0
    try:
        return await _complete(connection, journal)
    finally:
        journal.close()


async def _complete(connection: Connection, journal: Journal) -> int:
    waiting = await correction_store.after(connection, journal.stream, journal.next_sequence - 1)
    for entered in waiting:
        if entered.sequence != journal.next_sequence:
            raise Refusal(
                f"the journal of corrections continues with {journal.next_sequence}, the table with"
                f" {entered.sequence}: one of them was exchanged"
            )
        journal.append(event_of(entered.correction))
    return len(waiting)
