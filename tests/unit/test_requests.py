"""Single requests out of the journal: the right ones, in order, and no segment read that cannot hold any."""

from __future__ import annotations

from pathlib import Path

import pytest

from meter import requests, spans
from meter.event import Event, Mark, Zone
from meter.ids import BucketId, MemberId
from meter.journal import Journal
from meter.reader import compress
from meter.requests import Counts, Found, Search, grouped, search
from meter.window import HOUR_US
from tests.events import NOON_US, PLAIN, stored

SEGMENT = 256 + 8 * 128  # room for eight records
ONE = MemberId(1)
ALL_DAY = Search(ONE, NOON_US - 12 * HOUR_US, NOON_US + 12 * HOUR_US)


def write(journal_directory: Path, *events: Event, stream: str = "worker-0") -> Path:
    directory = journal_directory / stream
    journal = Journal(directory, segment_bytes_max=SEGMENT, segment_age_max_s=3600, now_us=NOON_US)
    for event in events:
        journal.append(event)
    journal.close()
    return directory


def at(seconds: int, **changes: object) -> Event:
    moment = NOON_US + seconds * 10**6
    return PLAIN._replace(began_us=moment, ended_us=moment, **changes)  # type: ignore[arg-type]


def seconds_of(found: list[Found]) -> list[int]:
    return [(one.event.ended_us - NOON_US) // 10**6 for one in found]


def test_events_of_all_streams_come_in_the_order_of_time_with_their_places(tmp_path: Path) -> None:
    directory = write(tmp_path, *[at(2 * n) for n in range(20)])
    write(tmp_path, *[at(2 * n + 1, payer=MemberId(1 + n % 2)) for n in range(20)], stream="worker-1")
    compress(directory, 1)
    found = list(search(tmp_path, ALL_DAY))
    even, odd = range(0, 40, 2), range(1, 40, 4)
    assert sorted([*even, *odd]) == seconds_of(found)
    last = found[-1]
    assert ("worker-0", 3, 20) == (last.stream, last.segment, last.sequence)
    assert [("worker-1", 3, 19)] == [(f.stream, f.segment, f.sequence) for f in found if f.event == at(37)]


def test_filters_keep_what_was_asked_for(tmp_path: Path) -> None:
    write(
        tmp_path,
        at(0, bucket=BucketId(8)),
        at(1, operation=5),
        at(2, zone=Zone.OWN),
        stored(5, NOON_US + 3 * 10**6),
        at(-86_400),
        at(4, payer=MemberId(2)),
    )

    def by(**changes: object) -> list[int]:
        fields = {"payer": ONE, "start_us": ALL_DAY.start_us, "end_us": ALL_DAY.end_us, **changes}
        return seconds_of(list(search(tmp_path, Search(**fields))))  # type: ignore[arg-type]

    assert [0, 1, 2] == by()
    assert [0] == by(buckets=frozenset([BucketId(8)]))
    assert [1] == by(operation=5)
    assert [2] == by(zone=Zone.OWN)
    assert [0, 1] == by(zone=Zone.INTERNET)
    assert [0, 1, 2, 3] == by(storage=True)
    assert [1] == by(start_us=NOON_US + 10**6, end_us=NOON_US + 2 * 10**6)


def test_segments_outside_the_window_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, *[at(n * 60) for n in range(80)])
    assert 80 == len(list(search(tmp_path, ALL_DAY)))
    read: list[str] = []
    original = vars(requests)["view"]

    def watched(path: Path, **named: object) -> object:
        read.append(path.name[:12].lstrip("0"))
        return original(path, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(requests, "view", watched)
    window = Search(ONE, NOON_US + 17 * 60 * 10**6, NOON_US + 25 * 60 * 10**6)
    assert [n * 60 for n in range(17, 25)] == seconds_of(list(search(tmp_path, window)))
    # Records 17 to 23 are in the third segment, 24 in the fourth; the open one is always looked at.
    assert ["3", "4"] == read[:2]
    assert len(read) <= 3


def test_a_torn_or_foreign_span_is_learned_again(tmp_path: Path) -> None:
    directory = write(tmp_path, *[at(n) for n in range(24)])
    list(search(tmp_path, ALL_DAY))
    kept = spans.read(directory)
    assert {1, 2} <= kept.keys()
    assert spans.Span(NOON_US + 8 * 10**6, NOON_US + 15 * 10**6, holds_storage=False) == kept[2]
    data = bytearray((directory / spans.FILE_NAME).read_bytes())
    data[32 + 9] ^= 1
    (directory / spans.FILE_NAME).write_bytes(data)
    assert 2 not in spans.read(directory)
    assert 24 == len(list(search(tmp_path, ALL_DAY)))
    assert kept == spans.read(directory)


def test_clock_steps_back_hide_nothing(tmp_path: Path) -> None:
    """A clock set back by an hour in the middle of a segment: its span is from the events, not from its ends."""
    write(tmp_path, *[at(n) for n in range(4)], *[at(n - 3600) for n in range(4)], *[at(n) for n in range(8)])
    for _ in range(2):
        window = Search(ONE, NOON_US - HOUR_US, NOON_US - HOUR_US + 10 * 10**6)
        assert [-3600, -3599, -3598, -3597] == seconds_of(list(search(tmp_path, window)))


def test_checkpoints_are_shown_each_and_summed_by_request(tmp_path: Path) -> None:
    long, other = b"\x07" * 16, b"\x08" * 16
    parts = [
        at(1, request_id=long, bytes_out=100, bytes_in=0, moved_out=100, marks=Mark.CHECKPOINT),
        at(2, request_id=other, bytes_out=5, bytes_in=0),
        at(6, request_id=long, bytes_out=100, bytes_in=0, moved_out=110, marks=Mark.CHECKPOINT),
        at(9, request_id=long, bytes_out=7, bytes_in=0, moved_out=8, marks=Mark.ABORTED),
        at(10, request_id=other, bytes_in=1, marks=Mark.CHECKPOINT),
    ]
    write(tmp_path, *parts)
    each, together = list(search(tmp_path, ALL_DAY)), list(grouped(search(tmp_path, ALL_DAY)))
    assert [100, 5, 100, 7, 0] == [one.event.bytes_out for one in each]
    assert [(5, 1), (207, 3), (0, 1)] == [(one.event.bytes_out, one.records) for one in together]
    assert (218, Mark.ABORTED, NOON_US + 10**6) == (
        together[1].event.moved_out, together[1].event.marks, together[1].event.began_us,
    )  # fmt: skip
    assert Mark.CHECKPOINT == together[2].event.marks
    for found in (each, together):
        counts = Counts()
        for one in found:
            counts.add(one)
        assert (5, 212, 2) == (counts.events, counts.bytes_out, counts.requests_a)
