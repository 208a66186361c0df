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

from meter import frame
from meter.event import Event
from meter.journal import Journal
from meter.ongoing import Ongoing, Slot
from meter.reader import chain
from meter.settings import MeterSettings

log = logging.getLogger(__name__)
ROOM_RESERVE_RECORDS = 4096
"""New exchanges are refused when fewer records than this would certainly find a place."""


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
        on_sync_failure: Callable[[OSError], None] = stop_process,
    ) -> None:  # fmt: skip
        self.journal = Journal(
            directory,
            segment_bytes_max=settings.journal_segment_bytes_max,
            segment_age_max_s=settings.journal_segment_age_max_s,
            now_us=now_us(),
        )
        self._ongoing = Ongoing(directory, slots_max=slots_max)
        self.recovered = self._close_left_over()
        self.record: Callable[[Event], int] = self.journal.append
        self.hold = self.journal.hold
        self.revise = self.journal.revise
        self.withdraw = self.journal.withdraw
        self.publish = self.journal.publish
        self._interval_s = settings.journal_sync_interval_ms / 1000
        self._on_sync_failure = self.journal.on_sync_failure = on_sync_failure
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._sync_forever, name="journal-sync", daemon=True)
        self._thread.start()

    @property
    def has_room(self) -> bool:
        """Whether another exchange may begin without the risk that it goes uncounted."""
        return self.journal.room > ROOM_RESERVE_RECORDS

    def close(self) -> None:
        """Make everything durable and let go of the stream."""
        self._stopping.set()
        self._thread.join()
        self.journal.close()
        self._ongoing.close()

    def open(self, event: Event) -> Slot:
        """A place for an exchange that begins. Raises TooManyExchanges."""
        return self._ongoing.open(event, next_sequence=self.journal.next_sequence)

    def finish(self, slot: Slot, event: Event) -> None:
        """Record the event of an exchange that had a slot, and free it; a kill between the two counts once."""
        slot.closing(self.journal.next_sequence)
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
        """Record what open exchanges had moved and nobody recorded.

        After a power cut the file of open exchanges may be older than the journal, and name one that has ended.
        """
        found = self._ongoing.left_over()
        since = min((one.since_sequence for one in found), default=0)
        recorded = {
            event.request_id
            for segment in (chain(self.journal.directory, from_sequence=since) if found else ())
            for _, event in frame.events(segment.records)
        }
        unrecorded = [
            one
            for one in found
            if one.event.request_id not in recorded
            and not self.journal.holds(one.closing_sequence, one.event.request_id)
        ]
        for one in found:
            if one in unrecorded:
                self.journal.append(one.event)
            self._ongoing.clear(one.at)
        return len(unrecorded)

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
