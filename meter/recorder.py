"""The recorder: what the gateway tells about an exchange goes into the journal, before the exchange ends.

It never awaits the network. A thread of its own fsyncs in groups; a failed fsync stops the process.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from meter.event import Event
from meter.frame import DamagedSegment
from meter.journal import FULL, Journal, JournalFull
from meter.ongoing import Ongoing, Recorded, Slot, rest_of
from meter.reader import events_of
from meter.settings import MeterSettings

log = logging.getLogger(__name__)
RECORDS_TO_END = 2
"""An exchange that has begun may still need so many: what it takes back, and its last."""


def now_us() -> int:
    """The wall clock in UTC microseconds."""
    return time.time_ns() // 1000


def stop_process(error: OSError) -> None:
    """The default answer to a failed fsync: end at once; the supervisor starts a fresh worker."""
    log.critical("journal fsync failed, stopping: %s", error)
    os._exit(70)


class Recorder:
    """One worker's stream: journal, open exchanges and the thread that makes them durable."""

    def __init__(
        self, directory: Path, settings: MeterSettings, *, slots_max: int,
        on_sync_failure: Callable[[OSError], None] = stop_process, lock_patience_s: float = 0,
    ) -> None:  # fmt: skip
        self.journal = Journal(
            directory,
            segment_bytes_max=settings.journal_segment_bytes_max,
            segment_age_max_s=settings.journal_segment_age_max_s,
            now_us=now_us(),
            lock_patience_s=lock_patience_s,
        )
        try:
            self._ongoing = Ongoing(directory, slots_max=slots_max)
        except OSError as error:
            self.journal.close()
            if error.errno in FULL:
                raise JournalFull(f"no disk space for open exchanges in {directory}") from error
            raise
        self._reserve_records = RECORDS_TO_END * slots_max
        self.recovered = self._close_left_over()
        self.record: Callable[[Event], int] = self.journal.append
        self.hold = self.journal.hold
        self.withdraw = self.journal.withdraw
        self.publish = self.journal.publish
        self._interval_s = settings.journal_sync_interval_ms / 1000
        self._on_sync_failure = self.journal.on_sync_failure = on_sync_failure
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._sync_forever, name="journal-sync", daemon=True)
        self._thread.start()

    @property
    def has_room(self) -> bool:
        """Whether another exchange may begin without the risk that it, or an open one, goes uncounted.

        There are never more open ones than slots_max, nor is there ever room in segments that do not hold their ends.
        """
        return self.journal.room > self._reserve_records

    def close(self) -> None:
        """Make everything durable and let go of the stream."""
        self._stopping.set()
        self._thread.join()
        self.journal.close()
        self._ongoing.close()

    def open(self, event: Event) -> Slot:
        """A place for an exchange that begins, of which nothing was recorded. Raises TooManyExchanges."""
        return self._ongoing.open(event, next_sequence=self.journal.next_sequence)

    def checkpoint(self, slot: Slot, event: Event, *, moved_in: int, moved_out: int) -> None:
        """Record what moved since the last checkpoint of an exchange; moved_* is all that is recorded then.

        A kill at any instant counts it once: whether the record stands, the journal says.
        """
        sequence = self.journal.append(event)
        slot.recorded(Recorded(sequence + 1, moved_in, moved_out))

    def finish(self, slot: Slot, event: Event) -> None:
        """Record the last event of an exchange that had a slot, and free it; a kill between the two counts once."""
        self.journal.append(event)
        slot.free()

    def sync(self) -> None:
        """Make everything published durable now, from any thread but the writer's; a failure stops the process."""
        try:
            self.journal.sync()
        except OSError as error:
            self._on_sync_failure(error)
            raise

    def _close_left_over(self) -> int:
        """Record what open exchanges had moved and nobody recorded; killed in the middle, it is done once."""
        self._ongoing.journal_ends(self.journal.next_sequence)
        found = self._ongoing.left_over()
        since = {one.event.request_id: one.recorded.before_sequence for one in found}
        try:
            recorded = events_of(self.journal.directory, since)
        except DamagedSegment:
            # What stands in it is unknown: the shipper names the damage, and nothing is billed that may be.
            log.exception(
                "open exchanges are given up: stream=%s exchanges=%d", self.journal.stream, len(found)
            )
            recorded = {one.event.request_id: [one.event] for one in found}
        closed = 0
        for one in found:
            rest = rest_of(one, recorded.get(one.event.request_id, []))
            if rest is not None:
                self.journal.append(rest)
                closed += 1
            self._ongoing.clear(one.at)
        return closed

    def _sync_forever(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self.sync()
            except OSError:
                return  # the process has been told to stop


def adopt(directory: Path, settings: MeterSettings) -> int:
    """Close what a dead writer left open in a stream; the events written. Raises JournalLocked if it lives."""
    recorder = Recorder(directory, settings, slots_max=1)
    recorder.close()
    return recorder.recovered
