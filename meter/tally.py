"""Events into sums: readings and storage changes by key and hour, samples by payer and five minutes.

Pure, additive, orderless.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from meter.event import Event, Mark, RequestClass
from meter.ids import StreamId
from meter.window import SLOT_US, Credible, Month, hour_start_us

ReadingKey = tuple[str, int, int, int, int, int, int, bool]
"""(billing month, hour_us, payer, bucket, operation, class, zone, correction)"""
StorageKey = tuple[str, int, int, int, int]
"""(billing month, hour_us, member, bucket, line)"""
SampleKey = tuple[str, int, int, int]
"""(billing month, start of five minutes, payer, zone)"""


PART_OF_A_REQUEST = Mark.CHECKPOINT | Mark.CORRECTION
"""With one of these marks an event moves bytes and is no request of its own."""


@dataclass(slots=True)
class Reading:
    """Sums of the exchanges of one key; of a key of corrections the bytes are signed and nothing else counts."""

    requests: int = 0
    failures: int = 0
    """Requests answered with 400 or more."""
    aborts: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    moved_in: int = 0
    moved_out: int = 0


@dataclass(slots=True)
class StoredSums:
    """Sums of the storage changes of one key: D = Σδ and M = Σδ·t, t in microseconds."""

    delta: int = 0
    moment: int = 0


@dataclass(slots=True)
class Sample:
    """What one payer moved in five minutes, in each direction; corrections move nothing and are not in it."""

    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(slots=True)
class Tally:
    """What a batch of events adds up to. Adding tallies in any order gives the same sums."""

    readings: dict[ReadingKey, Reading] = field(default_factory=dict)
    storage: dict[StorageKey, StoredSums] = field(default_factory=dict)
    samples: dict[SampleKey, Sample] = field(default_factory=dict)

    def add(self, event: Event, *, first_open: Month) -> None:
        """Count one event; one of a closed month is booked to the first open month, its hour kept."""
        hour_us = hour_start_us(event.ended_us)
        period = booked_to(event.ended_us, first_open=first_open)
        if event.marks & Mark.STORAGE:
            stored = self.storage.setdefault(
                (period, hour_us, event.payer, event.bucket, event.line), StoredSums()
            )
            stored.delta += event.stored_bytes
            stored.moment += event.stored_bytes * event.ended_us
            return
        reading = self.readings.setdefault(
            (period, hour_us, event.payer, event.bucket, event.operation, event.request_class, event.zone,
             bool(event.marks & Mark.CORRECTION)),
            Reading(),
        )  # fmt: skip
        if not event.marks & PART_OF_A_REQUEST:
            reading.requests += 1
            reading.failures += event.status >= 400
            reading.aborts += bool(event.marks & Mark.ABORTED)
        reading.bytes_in += event.bytes_in
        reading.bytes_out += event.bytes_out
        reading.moved_in += event.moved_in
        reading.moved_out += event.moved_out
        if not event.marks & Mark.CORRECTION:
            slot_us = event.ended_us - event.ended_us % SLOT_US
            sample = self.samples.setdefault((period, slot_us, event.payer, event.zone), Sample())
            sample.bytes_in += event.bytes_in
            sample.bytes_out += event.bytes_out

    def take_in(self, other: Tally) -> None:
        """Add another's sums."""
        for key, reading in other.readings.items():
            into = self.readings.setdefault(key, Reading())
            into.requests += reading.requests
            into.failures += reading.failures
            into.aborts += reading.aborts
            into.bytes_in += reading.bytes_in
            into.bytes_out += reading.bytes_out
            into.moved_in += reading.moved_in
            into.moved_out += reading.moved_out
        for stored_key, change in other.storage.items():
            stored = self.storage.setdefault(stored_key, StoredSums())
            stored.delta += change.delta
            stored.moment += change.moment
        for sample_key, moved in other.samples.items():
            sample = self.samples.setdefault(sample_key, Sample())
            sample.bytes_in += moved.bytes_in
            sample.bytes_out += moved.bytes_out


def booked_to(instant_us: int, *, first_open: Month) -> str:
    """The billing month of an instant: its own, or the first open one when its own is closed."""
    return str(max(Month.of(instant_us), first_open))


def tally(events: Iterable[Event], *, first_open: Month) -> Tally:
    """Sum a batch."""
    sums = Tally()
    for event in events:
        sums.add(event, first_open=first_open)
    return sums


@dataclass(frozen=True, slots=True)
class Displaced:
    """Records of a stream that were settled: those among them whose instant could not be true count now."""

    stream: StreamId
    first_sequence: int
    last_sequence: int
    credible: Credible


def placed(event: Event, *, stream: StreamId, sequence: int, displaced: Sequence[Displaced]) -> Event:
    """The record as it was counted: with another instant if its own could not be true when it was shipped."""
    for one in displaced:
        if one.stream == stream and one.first_sequence <= sequence <= one.last_sequence:
            counted_us = one.credible.counted_us(event.ended_us)
            return event if counted_us == event.ended_us else event._replace(ended_us=counted_us)
    return event


def settled(events: Iterable[Event], credible: Credible) -> tuple[list[Event], bool]:
    """The events, each with an instant that can be true, and whether one had none.

    What claims to be from before the co-op or from months ahead was counted by a clock that was wrong; it
    counts from now on, so that its bytes are neither lost nor kept in a month that nobody would look at.
    """
    found, displaced = [], False
    for event in events:
        counted_us = credible.counted_us(event.ended_us)
        if counted_us != event.ended_us:
            event, displaced = event._replace(ended_us=counted_us), True
        found.append(event)
    return found, displaced


def billable_requests(request_class: RequestClass, count: int) -> tuple[int, int]:
    """Requests of class A and of class B among `count` of one class."""
    return (
        count if request_class is RequestClass.A else 0,
        count if request_class is RequestClass.B else 0,
    )
