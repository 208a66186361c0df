"""Caps: how near a member is, what they are told, and what a worker counts of the journals' records."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.caps import MonthCount, Sums, cap_reached, load_sums
from gateway.errors import render_error
from meter import frame
from meter.caps import NO_CAPS, Cap, CapLevel, Caps, check_caps, nearness, notices
from meter.event import Event, Mark
from meter.ids import MemberId, StreamId
from meter.refusal import Refusal
from meter.window import Month
from tests.events import PLAIN, stored

ANNA, BEN = MemberId(1), MemberId(2)
NOVEMBER, DECEMBER = Month(2026, 11), Month(2026, 12)
DECEMBER_US = 1_796_083_200_000_000  # 2026-12-01T00:00:00Z, checked with `date -u -d @1796083200`
NOTHING_YET = Sums(NOVEMBER, {ANNA: 0}, {})


def sent(bytes_out: int, at_us: int, *, payer: MemberId = ANNA, marks: Mark = Mark.NONE) -> Event:
    return PLAIN._replace(payer=payer, bytes_out=bytes_out, moved_out=bytes_out, ended_us=at_us, marks=marks)


def packed(*events: Event) -> bytes:
    return b"".join(frame.pack_record(number, event, 0) for number, event in enumerate(events, 1))


@pytest.mark.parametrize(
    ("cap", "used", "level", "percent"),
    [
        (Cap(), 10**18, CapLevel.CALM, None),
        (Cap(soft=100), 99, CapLevel.CALM, 99),
        (Cap(soft=100), 100, CapLevel.SOFT, 100),
        (Cap(soft=100), 10**6, CapLevel.SOFT, 10**6),
        (Cap(hard=1000), 799, CapLevel.CALM, 79),
        (Cap(hard=1000), 800, CapLevel.NEAR, 80),
        (Cap(hard=1000), 999, CapLevel.NEAR, 99),
        (Cap(hard=1000), 1000, CapLevel.REACHED, 100),
        (Cap(soft=500, hard=1000), 500, CapLevel.SOFT, 50),
        (Cap(soft=900, hard=1000), 850, CapLevel.NEAR, 85),
        (Cap(hard=0), 0, CapLevel.REACHED, 100),
    ],
)
def test_how_near_a_cap_is(cap: Cap, used: int, level: CapLevel, percent: int | None) -> None:
    assert (level, percent) == (cap.level(used), cap.percent(used))


def test_the_worst_is_told_first_and_in_words() -> None:
    caps = Caps(egress=Cap(soft=10), storage=Cap(hard=2_000))
    told = notices(caps, sent=11, stored=2_000, month=NOVEMBER)
    assert ["2,000 bytes stored: ", "11 bytes sent this month: "] == [
        one.sentence.partition("your")[0] for one in told
    ]
    assert (
        "your hard cap of 2,000 bytes is reached, and writes that store more are refused" in told[0].sentence
    )
    assert told[1].sentence.endswith("your soft cap of 10 bytes is passed. Nothing is refused for it.")
    (near,) = notices(Caps(egress=Cap(hard=1000)), sent=950, stored=0, month=NOVEMBER)
    assert "950 bytes sent this month: 95 % of your hard cap of 1,000 bytes." in near.sentence
    assert near.sentence.endswith("downloads and lists are refused until 2026-12-01 00:00 UTC.")
    assert [] == notices(NO_CAPS, sent=10**15, stored=10**15, month=NOVEMBER)


def test_a_soft_cap_above_the_hard_one_is_refused() -> None:
    check_caps(Caps(Cap(soft=10, hard=10)))
    for wrong in (Caps(egress=Cap(soft=11, hard=10)), Caps(storage=Cap(soft=11, hard=10))):
        with pytest.raises(Refusal):
            check_caps(wrong)


def test_members_near_a_cap_are_counted() -> None:
    caps = {ANNA: Caps(egress=Cap(hard=100)), BEN: Caps(egress=Cap(hard=100), storage=Cap(soft=1, hard=10))}
    assert {
        ("egress", CapLevel.NEAR): 1,
        ("egress", CapLevel.REACHED): 1,
        ("storage", CapLevel.NEAR): 0,
        ("storage", CapLevel.REACHED): 0,
    } == nearness(caps, sent={ANNA: 80, BEN: 100}, stored={BEN: 7})


def test_only_exchanges_of_the_month_and_of_counted_payers_count() -> None:
    count = MonthCount(NOTHING_YET, NOVEMBER)
    count.add(
        packed(
            sent(1, NOVEMBER.start_us - 1),
            sent(10, NOVEMBER.start_us),
            sent(100, DECEMBER_US - 1, marks=Mark.CHECKPOINT),
            sent(1000, DECEMBER_US),
            sent(10_000, NOVEMBER.start_us, payer=BEN),
            stored(100_000, NOVEMBER.start_us),
        )
    )
    assert (110, None) == (count.sent(ANNA), count.sent(BEN))


def test_what_was_counted_ahead_begins_the_new_month() -> None:
    count = MonthCount(Sums(NOVEMBER, {ANNA: 500}, {}), NOVEMBER)
    count.add(packed(sent(7, DECEMBER_US)))
    assert 500 == count.sent(ANNA)
    count.turn(DECEMBER)
    assert (7, DECEMBER) == (count.sent(ANNA), count.month)
    count.turn(NOVEMBER)  # a clock set back by a moment
    assert (7, DECEMBER) == (count.sent(ANNA), count.month)


def test_an_older_months_sums_begin_the_new_month_at_nothing() -> None:
    assert 0 == MonthCount(Sums(NOVEMBER, {ANNA: 500}, {}), DECEMBER).sent(ANNA)


def test_sums_outlive_their_process() -> None:
    sums = Sums(NOVEMBER, {ANNA: 2**40, BEN: 0}, {StreamId(UUID("6f9619ff-8b86-d011-b42d-00c04fc964ff")): 7})
    assert sums == load_sums(sums.dump())


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**40),
            st.integers(NOVEMBER.start_us - 10**12, DECEMBER.end_us + 10**12),
            st.sampled_from([ANNA, BEN]),
            st.sampled_from([Mark.NONE, Mark.CHECKPOINT, Mark.ABORTED]),
        ),
        max_size=20,
    ),
    st.integers(0, 20),
)
def test_sums_and_journal_add_up_wherever_they_are_parted(
    moves: list[tuple[int, int, MemberId, Mark]], place: int
) -> None:
    """However much the sums hold already, sums and the rest of the journal are what a plain addition says."""
    events = [sent(size, at, payer=payer, marks=marks) for size, at, payer, marks in moves]

    def by_hand(some: list[Event], month: Month) -> int:
        return sum(e.bytes_out for e in some if e.payer == ANNA and Month.of(e.ended_us) == month)

    count = MonthCount(Sums(NOVEMBER, {ANNA: by_hand(events[:place], NOVEMBER)}, {}), NOVEMBER)
    for event in events[place:]:
        count.add(packed(event))
    assert by_hand(events, NOVEMBER) == count.sent(ANNA)
    count.turn(DECEMBER)
    assert by_hand(events[place:], DECEMBER) == count.sent(ANNA)


def test_who_need_not_know_the_cap_is_told_only_when_it_ends() -> None:
    error = cap_reached(None, DECEMBER)
    assert {"ResetsAt": "2027-01-01T00:00:00Z"} == error.extra
    assert "cap of egress is reached" in error.message


def test_the_refusal_names_the_cap_and_when_it_ends() -> None:
    error = cap_reached(1000, DECEMBER)
    assert (403, "EgressCapReached") == (error.status, error.code)
    assert {"CapBytes": "1000", "ResetsAt": "2027-01-01T00:00:00Z"} == error.extra
    text = render_error(error, resource="/a/b", request_id="r")
    assert b"<Code>EgressCapReached</Code>" in text
    assert b"2027-01-01T00:00:00Z" in text
