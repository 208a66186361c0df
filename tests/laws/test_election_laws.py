"""Laws of elections: a second count that shares no code, any order of ballots and of options, nothing won or lost."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing.voting.count import Ballot, Election, Terms, Vote
from billing.voting.election import elect

CHAMBERS = ("supporter", "user", "worker")
OPTIONS_MAX = 6


@st.composite
def elections(draw: st.DrawFn) -> tuple[int, int, int, list[tuple[str, tuple[int, ...]]]]:
    """(options, seats, votes each, ballots as (chamber, places))."""
    options = draw(st.integers(1, OPTIONS_MAX))
    seats = draw(st.integers(1, options))
    votes = draw(st.sampled_from([1, seats]))
    one = st.sets(st.integers(1, options), max_size=votes).map(lambda found: tuple(sorted(found)))
    return options, seats, votes, draw(st.lists(st.tuples(st.sampled_from(CHAMBERS), one), max_size=40))


weights = st.lists(st.integers(1, 20), min_size=3, max_size=3)


def box(votes: list[tuple[str, tuple[int, ...]]], *, one_chamber: bool) -> list[Ballot]:
    return [
        Ballot(
            f"{n * 7919 % 2**32:032x}", "members" if one_chamber else chamber, None if places else Vote.ABSTAIN, None, places,
        )
        for n, (chamber, places) in enumerate(votes)
    ]  # fmt: skip


def terms(
    options: int, seats: int, votes: int, told: list[tuple[str, tuple[int, ...]]], parts: list[int] | None
) -> Terms:
    names = tuple(f"option {n}" for n in range(1, options + 1))
    if parts is None:
        return Terms(Fraction(0), None, {}, {"members": len(told) + 1}, Election(seats, names, votes))
    chambers = {name: Fraction(part, sum(parts)) for name, part in zip(CHAMBERS, parts, strict=True)}
    roll = Counter(chamber for chamber, _ in told)
    return Terms(
        Fraction(0), None, chambers, {one: roll[one] + 1 for one in CHAMBERS}, Election(seats, names, votes)
    )


def second_count(
    options: int, seats: int, told: list[tuple[str, tuple[int, ...]]], parts: list[int] | None
) -> tuple[set[int], set[int]]:
    """(elected, tied), counted another way: for each option, how many have more and how many as much, in whole numbers."""
    groups = [(1, told)] if parts is None else [
        (part, [one for one in told if one[0] == name]) for name, part in zip(CHAMBERS, parts, strict=True)
    ]  # fmt: skip
    common = 1
    for _, group in groups:
        common *= max(1, sum(len(places) for _, places in group))
    score = [0] * (options + 1)
    for part, group in groups:
        given = sum(len(places) for _, places in group)
        for _, places in group:
            for place in places:
                # Without chambers the one group's common part is the same for every option.
                score[place] += part * common // given
    there = [place for place in range(1, options + 1) if score[place]]
    elected, tied = set(), set()
    for place in there:
        more = sum(score[other] > score[place] for other in there)
        as_much = sum(score[other] >= score[place] for other in there)
        if as_much <= seats:
            elected.add(place)
        elif more < seats:
            tied.add(place)
    return elected, tied


@given(elections(), st.none() | weights)
def test_a_second_count_agrees(
    election: tuple[int, int, int, list[tuple[str, tuple[int, ...]]]], parts: list[int] | None
) -> None:
    options, seats, votes, told = election
    found = elect(box(told, one_chamber=parts is None), terms(options, seats, votes, told, parts))
    assert second_count(options, seats, told, parts) == (set(found.elected), set(found.tied))
    assert len(found.elected) <= seats
    assert not set(found.elected) & set(found.tied)
    # Level ones are only told apart where there is a seat for each.
    assert not found.tied or len(found.elected) + len(found.tied) > seats > len(found.elected)


@given(elections(), st.none() | weights)
def test_every_vote_is_counted_once_and_every_chamber_gives_its_whole_weight(
    election: tuple[int, int, int, list[tuple[str, tuple[int, ...]]]], parts: list[int] | None
) -> None:
    options, seats, votes, told = election
    found = elect(box(told, one_chamber=parts is None), terms(options, seats, votes, told, parts))
    assert sum(len(places) for _, places in told) == sum(one.all_votes for one in found.standings)
    assert len(told) == found.cast
    assert sum(not places for _, places in told) == found.abstained
    if parts is not None:
        there = {chamber for chamber, places in told if places}
        given_away = [part for name, part in zip(CHAMBERS, parts, strict=True) if name in there]
        assert Fraction(sum(given_away), sum(parts)) == sum(
            (one.score for one in found.standings), Fraction(0)
        )


@given(elections(), st.none() | weights, st.integers(0, 2**32))
def test_neither_the_order_of_ballots_nor_of_options_changes_who_is_elected(
    election: tuple[int, int, int, list[tuple[str, tuple[int, ...]]]], parts: list[int] | None, seed: int
) -> None:
    options, seats, votes, told = election
    asked, shuffle = terms(options, seats, votes, told, parts), random.Random(seed)
    first = elect(box(told, one_chamber=parts is None), asked)
    ballots = box(told, one_chamber=parts is None)
    shuffle.shuffle(ballots)
    assert first == elect(ballots, asked)
    moved = list(range(1, options + 1))
    shuffle.shuffle(moved)
    other = [(chamber, tuple(sorted(moved[place - 1] for place in places))) for chamber, places in told]
    second = elect(box(other, one_chamber=parts is None), asked)
    for before, after in ((first.elected, second.elected), (first.tied, second.tied)):
        assert {moved[place - 1] for place in before} == set(after)


@given(elections(), st.integers(1, OPTIONS_MAX))
def test_one_more_vote_for_who_is_elected_never_unseats_them(
    election: tuple[int, int, int, list[tuple[str, tuple[int, ...]]]], place: int
) -> None:
    options, seats, votes, told = election
    first = elect(box(told, one_chamber=True), terms(options, seats, votes, told, None))
    if place in first.elected:
        more = [*told, ("user", (place,))]
        assert place in elect(box(more, one_chamber=True), terms(options, seats, votes, more, None)).elected
