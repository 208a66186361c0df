"""Bars of bytes: to scale, up and down from one line, whatever the number of days or hours."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.portal.bars import HEIGHT, Bar, Upright, Used, lengths, upright


def drawn(used: list[Used], slots: int) -> Upright:
    return upright(used, slots, words=lambda place: f"slot {used[place].slot}", labels=[])


def test_sent_stands_up_and_received_hangs_down_on_one_scale() -> None:
    # At most 300 up and 100 down: the line is at 90 of 120, and a byte is 0.3 high.
    made = drawn([Used(0, 300, 50), Used(2, 10, 100)], 10)
    assert 90 == made.line
    assert [
        [Bar("out", 2, 0, 16, 90), Bar("in", 2, 90, 16, 15)], [Bar("out", 42, 87, 16, 3), Bar("in", 42, 90, 16, 30)],
    ] == [group.bars for group in made.groups]  # fmt: skip
    assert ["slot 0: 300 bytes sent, 50 bytes received", "slot 2: 10 bytes sent, 100 bytes received"] == [
        group.says for group in made.groups
    ]


def test_what_is_little_can_be_seen_and_what_is_nothing_is_not_drawn() -> None:
    made = drawn([Used(0, 10**12, 0), Used(1, 1, 0), Used(2, 0, 1), Used(3, 0, 0)], 4)
    assert [[("out", 119)], [("out", 1)], [("in", 1)]] == [
        [(bar.kind, bar.height) for bar in group.bars] for group in made.groups
    ]


def test_where_nothing_moved_or_less_than_nothing_after_a_correction_there_is_a_line_and_no_bar() -> None:
    for used in ([], [Used(0, 0, 0)], [Used(0, -5, -7)]):
        made = drawn(used, 31)
        assert (HEIGHT, 0, 0, [], []) == (
            made.line, made.sent_max, made.received_max, made.groups, made.outlines,
        )  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(0, 10**15), st.integers(0, 10**15)), min_size=1, max_size=106),
)
def test_every_bar_lies_within_the_picture_and_beside_the_others(counts: list[tuple[int, int]]) -> None:
    made = drawn([Used(place, *one) for place, one in enumerate(counts)], len(counts))
    bars = [bar for group in made.groups for bar in group.bars]
    assert sum(count > 0 for one in counts for count in one) == len(bars)
    for bar in bars:
        assert 0 <= bar.x < bar.x + bar.width <= made.width
        assert 0 <= bar.y < bar.y + bar.height <= HEIGHT
        assert made.line == (bar.y + bar.height if bar.kind == "out" else bar.y)
    places = sorted({(bar.x, bar.width) for bar in bars})
    assert all(x + width < after for (x, width), (after, _) in itertools.pairwise(places))


@pytest.mark.parametrize("slots", [1, 3, 7, 31, 106])
def test_one_day_alone_is_no_tower(slots: int) -> None:
    made = drawn([Used(0, 5, 9)], slots)
    assert all(bar.width * 10 <= made.width for bar in made.groups[0].bars)


def test_hundreds_of_hours_are_two_outlines_that_have_every_hour_and_say_nothing() -> None:
    used = [Used(n, n % 3, n % 2) for n in range(744)]
    made = drawn(used, 744)
    assert [] == list(made.groups)
    # Two of three hours sent, every other one received; at most 2 and 1 bytes, so the line is at 80 of 120.
    paths = dict(made.outlines)
    assert ({"out", "in"}, 496, 372) == (set(paths), paths["out"].count("M"), paths["in"].count("M"))
    assert ["M22 80v-40h16v40z", "M42 80v-80h16v80z"] == re.findall("M[^M]+", paths["out"])[:2]
    assert "M22 80v40h16v-40z" == re.findall("M[^M]+", paths["in"])[0]
    assert 1 == len(drawn(used[:1] + used[-1:], 106 + 1).outlines) - 1


def test_the_bars_of_a_line_are_below_each_other_and_to_scale() -> None:
    assert [Bar("out", 0, 0, 640, 8), Bar("in", 0, 9, 160, 8)] == lengths(
        "films", sent=400, received=100, of=400
    ).bars
    assert [Bar("in", 0, 9, 1, 8)] == lengths("films", sent=0, received=1, of=10**9).bars
