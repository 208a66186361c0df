"""What was promised, and whether it was kept: the simulation's own books, kept beside the code under test.

A promise is a set of outcomes. While a call is under way its outcome may be the old or the new one; when it
has returned, only the new one. A kill -9 changes nothing in this. A power cut allows less, but never more, for
everything that no sync had covered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from meter.event import Event, Mark
from meter.ids import StreamId
from meter.recount import billed_in
from meter.window import Month, hour_start_us
from tests.simulation.database import Tables

Moved = tuple[int, int]
"""Body bytes in and out."""


@dataclass(eq=False)
class Exchange:
    """One exchange and what may stand of it in the journal."""

    request_id: bytes
    stream: str
    outcomes: set[Moved | None]
    """None: no record at all."""
    at_most: Moved | None = None
    """After a power cut that it was not safe from: anything up to this,"""
    at_least: Moved = (0, 0)
    """and no less than this: the checkpoints that were on the disk."""
    has_failed: bool = False
    """What its checkpoints had billed may have been taken back."""
    moved_most: Moved = (0, 0)
    checkpointed: Moved = (0, 0)
    """What stands in checkpoints."""
    is_recorded: bool = False
    is_durable: bool = False

    def may_become(self, outcome: Moved | None) -> None:
        """A call begins that leads there."""
        self.outcomes = {*self.outcomes, outcome}

    def is_now(self, outcome: Moved | None) -> None:
        """The call has returned."""
        self.outcomes = {outcome}

    def power_cut(self) -> None:
        """Whatever was not on the disk may be there or not."""
        self.checkpointed = self.at_least
        if not self.is_durable:
            taken_back = self.moved_most if self.has_failed else None
            known = [one for one in (*self.outcomes, self.at_most, taken_back) if one is not None] or [(0, 0)]
            self.at_most = max(one[0] for one in known), max(one[1] for one in known)

    def complaint(self, found: list[Event]) -> str | None:
        """What is wrong with its records; None if nothing is."""
        requests = sum(not one.marks & (Mark.CHECKPOINT | Mark.CORRECTION) for one in found)
        total = (sum(one.bytes_in for one in found), sum(one.bytes_out for one in found))
        if requests > 1:
            return f"counted as {requests} requests"
        if self.at_most is not None:
            at_least = (0, 0) if self.has_failed else self.at_least
            within = all(
                least <= one <= most for least, one, most in zip(at_least, total, self.at_most, strict=True)
            )
            return None if within else f"{total} was counted, not {at_least} to {self.at_most}"
        outcome = total if found else None
        return None if outcome in self.outcomes else f"{outcome} was counted, promised was {self.outcomes}"


@dataclass
class Model:
    """Everything that was promised in a run."""

    exchanges: dict[bytes, Exchange] = field(default_factory=dict)
    stored: list[tuple[int, int]] = field(default_factory=list)
    """Changes of stored bytes in the engine's order: (bytes, when)."""
    closed: dict[Month, dict[tuple[Any, ...], Any]] = field(default_factory=dict)
    """The sums of each month as they were when it was closed."""
    complaints: list[str] = field(default_factory=list)

    def unsafe(self, stream: str) -> list[Exchange]:
        """Recorded exchanges of a stream that no sync has covered yet."""
        return [
            one
            for one in self.exchanges.values()
            if one.stream == stream and one.is_recorded and not one.is_durable
        ]

    def checkpoints(self, stream: str) -> list[tuple[Exchange, Moved]]:
        """What stands in checkpoints of a stream, by exchange."""
        return [(one, one.checkpointed) for one in self.exchanges.values() if one.stream == stream]

    def power_cut(self) -> None:
        """See Exchange.power_cut."""
        for one in self.exchanges.values():
            one.power_cut()

    def month_closed(self, month: Month, tables: Tables) -> None:
        """Keep what must never change again."""
        self.closed[month] = of_month(tables, month)

    def check(
        self,
        journal: dict[str, list[tuple[int, Event]]],
        tables: Tables,
        streams: dict[str, StreamId],
    ) -> list[str]:
        """Every promise, at the end; the complaints."""
        events = [event for records in journal.values() for _, event in records]
        self.complaints += [
            *self._records(events), *self._storage(journal), *_sequences(journal),
            *_sums(journal, tables, streams), *self._months(tables), *_times(events),
        ]  # fmt: skip
        return self.complaints

    def _records(self, events: Iterable[Event]) -> Iterable[str]:
        by_id: dict[bytes, list[Event]] = {}
        for event in events:
            if not event.marks & Mark.STORAGE:
                by_id.setdefault(event.request_id, []).append(event)
        for request_id, exchange in self.exchanges.items():
            complaint = exchange.complaint(by_id.pop(request_id, []))
            if complaint is not None:
                yield f"exchange {request_id.hex()[-8:]} of {exchange.stream}: {complaint}"
        for request_id in by_id:
            yield f"a record of {request_id.hex()[-8:]}, which never was"

    def _storage(self, journal: dict[str, list[tuple[int, Event]]]) -> Iterable[str]:
        found = [(event.stored_bytes, event.ended_us) for _, event in journal.get("engine", [])]
        if found != self.stored:
            yield f"{len(found)} changes of stored bytes were fed, {len(self.stored)} were made"

    def _months(self, tables: Tables) -> Iterable[str]:
        for month, sums in self.closed.items():
            if of_month(tables, month) != sums:
                yield f"{month} was closed, and its sums changed afterwards"


def of_month(tables: Tables, month: Month) -> dict[tuple[Any, ...], Any]:
    """All sums booked to a month or an earlier one."""
    return {
        key: sums
        for table in (tables.readings, tables.storage)
        for key, sums in table.items()
        if key[0] <= str(month)
    }


def _sequences(journal: dict[str, list[tuple[int, Event]]]) -> Iterable[str]:
    for stream, records in journal.items():
        if [sequence for sequence, _ in records] != list(range(1, len(records) + 1)):
            yield f"{stream}: the sequence has a gap"


def _sums(
    journal: dict[str, list[tuple[int, Event]]], tables: Tables, streams: dict[str, StreamId]
) -> Iterable[str]:
    """The sums once more, in another way: month, hour and payer of each record, added up."""
    ours: Counter[tuple[Any, ...]] = Counter()
    stored: Counter[tuple[Any, ...]] = Counter()
    for label, records in journal.items():
        stream = streams[label]
        place = tables.places.get(stream)
        if (0 if place is None else place.last_sequence) != len(records):
            yield f"{label}: {place} is shipped, the journal holds {len(records)}"
        cut = sum(bool(event.marks & Mark.RECOVERED) for _, event in records)
        if place is not None and place.exchanges_cut != cut:
            yield f"{label}: {place.exchanges_cut} exchanges are counted as cut, {cut} were"
        for sequence, event in records:
            event = event._replace(ended_us=_counted_us(event, stream, sequence, tables))
            month = billed_in(event, stream=stream, sequence=sequence, watermarks=tables.closed)
            where = str(month), hour_start_us(event.ended_us), event.payer
            if event.marks & Mark.STORAGE:
                stored[(*where, "delta")] += event.stored_bytes
                stored[(*where, "moment")] += event.stored_bytes * event.ended_us
            else:
                ours[(*where, "in")] += event.bytes_in
                ours[(*where, "out")] += event.bytes_out
                ours[(*where, "requests")] += not event.marks & (Mark.CHECKPOINT | Mark.CORRECTION)
    theirs: Counter[tuple[Any, ...]] = Counter()
    for key, sums in tables.readings.items():
        for name, value in (("in", sums[3]), ("out", sums[4]), ("requests", sums[0])):
            theirs[(*key[:3], name)] += value
    kept: Counter[tuple[Any, ...]] = Counter()
    for key, (delta, moment) in tables.storage.items():
        kept[(*key[:3], "delta")] += delta
        kept[(*key[:3], "moment")] += moment
    for name, one, other in (("readings", ours, theirs), ("storage", stored, kept)):
        if +one != +other or -one != -other:
            differing = sorted(key for key in {*one, *other} if one[key] != other[key])[:3]
            yield f"{name}: the sums differ: {[(key, one[key], other[key]) for key in differing]}"


def _counted_us(event: Event, stream: StreamId, sequence: int, tables: Tables) -> int:
    """When a record counts: a time that could not be true when it was shipped gave way to that moment."""
    for (label, first), one in tables.displaced.items():
        if label == stream and first <= sequence <= one.last_sequence:
            is_true = one.credible.earliest_us <= event.ended_us < one.credible.latest_us
            return event.ended_us if is_true else one.credible.now_us
    return event.ended_us


def _times(events: Iterable[Event]) -> Iterable[str]:
    for event in events:
        if event.ended_us < event.began_us:
            yield f"exchange {event.request_id.hex()[-8:]} ended {event.began_us - event.ended_us} µs before it began"
