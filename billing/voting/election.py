"""An election counted: so many seats to those with the most votes, by chambers, against the quorum. Pure.

Who is level for what is left is not told apart here by any lot: whoever runs the program draws the ballots' random names,
and could draw them until a lot falls as they like. A tie is said to be one, and the members decide it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from billing.voting.count import ABSTAINED, Ballot, Outcome, Terms, outcome


@dataclass(frozen=True, slots=True)
class Standing:
    """What one option got."""

    place: int
    """On the ballot, from 1 on."""
    name: str
    votes: Mapping[str, int]
    """By chamber."""
    score: Fraction
    """Its votes; with chambers the sum of each one's weight in the proportion of its own votes."""

    @property
    def all_votes(self) -> int:
        """Of every chamber."""
        return sum(self.votes.values())


@dataclass(frozen=True, slots=True)
class Elected:
    """What follows from the ballots of an election."""

    standings: tuple[Standing, ...]
    """In the order of the ballot."""
    elected: tuple[int, ...]
    """Places of who was elected, in the order of the ballot."""
    tied: tuple[int, ...]
    """Of those who are level for what is left of the seats, and too many for it."""
    seats: int
    cast: int
    abstained: int
    eligible: int
    needed: int
    why: str

    @property
    def is_adopted(self) -> bool:
        """Whether anything was decided."""
        return bool(self.elected)

    @property
    def left(self) -> int:
        """Seats that nobody was elected to."""
        return self.seats - len(self.elected)

    def names(self, places: Iterable[int]) -> list[str]:
        """Options by their places."""
        return [self.standings[one - 1].name for one in places]


Counted = Outcome | Elected


def counted(ballots: Iterable[Ballot], terms: Terms) -> Counted:
    """Count by what the vote is: for and against, or an election."""
    return outcome(ballots, terms) if terms.election is None else elect(ballots, terms)


def elect(ballots: Iterable[Ballot], terms: Terms) -> Elected:
    """Count the ballots of an election. Raises ValueError for one that its terms do not allow."""
    asked = terms.election
    assert asked is not None
    every = list(ballots)
    for one in every:
        _refuse_wrong(one, options=len(asked.options), votes=asked.votes)
    standings = _standings(every, terms)
    abstained, cast = sum(not one.places for one in every), len(every)
    needed, eligible = terms.needed, sum(terms.eligible.values())
    elected: tuple[int, ...] = ()
    tied: tuple[int, ...] = ()
    if cast < needed:
        why = f"{cast} took part, and {needed} of {eligible} were needed"
    elif abstained == cast:
        why = "nobody was voted for"
    else:
        elected, tied = seated(standings, seats=asked.seats)
        seats, left = asked.seats, asked.seats - len(elected)
        why = f"of {seats} seats {len(elected)} went to those with the most votes"
        if tied:
            why = f"{why}; for {left} more {len(tied)} have equally much, and the members decide between them"
    return Elected(standings, elected, tied, asked.seats, cast, abstained, eligible, needed, why)


def _refuse_wrong(one: Ballot, *, options: int, votes: int) -> None:
    places = one.places
    if one.vote is not None and one.vote != ABSTAINED:
        raise ValueError("a ballot that is for or against, in an election")
    if len(places) > votes or list(places) != sorted(set(places)):
        raise ValueError("a ballot names more than there are votes, or one twice")
    if any(not 1 <= place <= options for place in places):
        raise ValueError("a ballot names what is not to be chosen")


def _standings(ballots: Iterable[Ballot], terms: Terms) -> tuple[Standing, ...]:
    assert terms.election is not None, "an election has options"
    found: dict[str, dict[int, int]] = {name: {} for name in sorted(terms.eligible)}
    for one in ballots:
        own = found.setdefault(one.chamber, {})
        for place in one.places:
            own[place] = own.get(place, 0) + 1
    given = {name: sum(own.values()) for name, own in found.items()}

    def score(place: int) -> Fraction:
        if not terms.chambers:
            return Fraction(sum(own.get(place, 0) for own in found.values()))
        parts = (
            terms.chambers[name] * Fraction(own.get(place, 0), given[name])
            for name, own in found.items()
            if given[name]
        )
        return sum(parts, Fraction(0))

    return tuple(
        Standing(place, name, {chamber: own.get(place, 0) for chamber, own in found.items()}, score(place))
        for place, name in enumerate(terms.election.options, 1)
    )


def seated(standings: Iterable[Standing], *, seats: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(elected, level for the rest), by places in their order. Whom nobody voted for is neither."""
    ranked = sorted((one for one in standings if one.score), key=lambda one: (-one.score, one.place))
    if len(ranked) <= seats:
        return tuple(sorted(one.place for one in ranked)), ()
    line = ranked[seats - 1].score
    if ranked[seats].score < line:
        return tuple(sorted(one.place for one in ranked[:seats])), ()
    above = tuple(sorted(one.place for one in ranked if one.score > line))
    return above, tuple(sorted(one.place for one in ranked if one.score == line))
