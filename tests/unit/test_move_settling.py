"""The second copy of a bucket that moved costs its member nothing: sums done by hand."""

from __future__ import annotations

import random

from gateway.feed import storage_event
from gateway.moving.settling import corrections, extra, missing
from gateway.storage.model import StorageChange
from meter.correction import Correction, event_of
from meter.event import Event, StorageLine
from meter.ids import BucketId, MemberId
from meter.tally import tally
from meter.window import Month

ANNA, OLD, NEW = MemberId(1), BucketId(7), BucketId(8)
OBJECT, VERSION = StorageLine.OBJECT, StorageLine.VERSION
HOUR = 3600 * 10**6
BEGAN = Month(2026, 11).start_us
SWITCHED, CLEARED = BEGAN + 2 * HOUR, BEGAN + 3 * HOUR


def change(bucket: BucketId, delta: int, at_us: int, line: StorageLine = OBJECT) -> Event:
    return storage_event(StorageChange(0, ANNA, bucket, line, delta, at_us))


def test_what_only_the_second_copy_stored_is_extra() -> None:
    """By hand: 100 bytes copied an hour before the switch: 100 byte-hours. Of the old copy 60 bytes stayed half an hour
    after it, 40 an hour: 30 + 40. What members wrote to the new place afterwards is theirs."""
    changes = [
        change(OLD, 100, BEGAN - HOUR), change(NEW, 100, BEGAN + HOUR), change(NEW, 50, SWITCHED + 1),
        change(OLD, -60, SWITCHED + HOUR // 2), change(OLD, -40, CLEARED), change(NEW, 9, BEGAN, StorageLine.REMOVED),
    ]  # fmt: skip
    found = extra(changes, source=OLD, target=NEW, switched_us=SWITCHED, ended_us=CLEARED)
    assert {(NEW, OBJECT): 100 * HOUR, (OLD, OBJECT): 70 * HOUR} == found


def byte_us(events: list[Event], end_us: int) -> int:
    """The exact integral as the meter keeps it: b·D − M."""
    sums = tally(events, first_open=Month(2026, 11)).storage.values()
    return sum(one.delta * end_us - one.moment for one in sums)


def test_corrections_take_back_exactly_the_extra_and_leave_no_byte(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(200):
        total = chance.choice((1, 7, HOUR, chance.randrange(1, 10**18), -chance.randrange(1, 10**12)))
        found = corrections({(NEW, VERSION): total}, member=ANNA, start_us=BEGAN, end_us=SWITCHED, why="x")
        events = [event_of(one) for one in found]
        assert -total == byte_us(events, CLEARED)
        assert 0 == sum(one.stored_bytes for one in events)
        assert len(found) <= 4
        assert all(BEGAN <= one.at_us <= SWITCHED for one in found)


def test_a_member_pays_for_one_copy() -> None:
    changes = [
        change(OLD, 100, BEGAN - HOUR), change(NEW, 77, BEGAN + 12345), change(NEW, 23, BEGAN + 777_777),
        change(OLD, -100, CLEARED - 3),
    ]  # fmt: skip
    found = extra(changes, source=OLD, target=NEW, switched_us=SWITCHED, ended_us=CLEARED)
    entered = corrections(found, member=ANNA, start_us=BEGAN, end_us=SWITCHED, why="x")
    # One copy of 100 bytes all the time, until an hour after the place was cleared.
    assert 100 * (5 * HOUR) == byte_us([*changes, *map(event_of, entered)], BEGAN + 4 * HOUR)


def test_what_a_killed_settlement_had_entered_is_not_entered_again() -> None:
    wanted = corrections({(NEW, OBJECT): 10**17 + 1}, member=ANNA, start_us=BEGAN, end_us=SWITCHED, why="x")
    assert 4 == len(wanted)
    for count in range(5):
        there: list[Correction] = wanted[:count]
        assert wanted[count:] == missing(wanted, there)
