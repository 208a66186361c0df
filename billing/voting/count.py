"""Ballots counted: by chambers, against quorum and majority. Pure; it knows neither database nor register.

The same count is made when a box is closed and when anybody counts a published result again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from billing.money import ceil_share, floor_share
from billing.rules.voting import Majority
from meter.ids import MemberId


class Vote(StrEnum):
    """What a ballot says."""

    FOR = "for"
    AGAINST = "against"
    ABSTAIN = "abstain"


ABSTAINED = Vote.ABSTAIN


@dataclass(frozen=True, slots=True)
class Ballot:
    """One vote under its random name."""

    receipt: str
    chamber: str
    vote: Vote | None
    """In an election it is None where the ballot names somebody."""
    member: MemberId | None
    """Whose it is, in an open vote; None in a secret one."""
    places: tuple[int, ...] = ()
    """What a ballot of an election names: places on it from 1 on, ascending."""

    @property
    def says(self) -> str:
        """As it is kept and published: 'for', 'abstain', or places like '1,3'."""
        return ",".join(map(str, self.places)) if self.vote is None else self.vote.value


@dataclass(frozen=True, slots=True)
class Election:
    """What an election is held to, besides quorum and chambers."""

    seats: int
    options: tuple[str, ...]
    votes: int
    """How many options a ballot may name."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a vote is held to; frozen when it is opened."""

    quorum: Fraction
    majority: Majority | None
    """None in an election, where the most votes are elected."""
    chambers: Mapping[str, Fraction]
    eligible: Mapping[str, int]
    """Chamber → how many have a vote in it."""
    election: Election | None = None
    quorum_more_than: bool = False
    """Whether more than the quorum must take part, and just as much is not enough."""

    @property
    def needed(self) -> int:
        """How many must take part: where nobody does nothing is decided, even if no law names a quorum."""
        there = sum(self.eligible.values())
        if self.quorum_more_than:
            return floor_share(there, self.quorum) + 1
        return max(1, ceil_share(there, self.quorum))


@dataclass(frozen=True, slots=True)
class Tally:
    """The ballots of one chamber, or of all."""

    in_favour: int = 0
    against: int = 0
    abstained: int = 0

    @property
    def cast(self) -> int:
        """All of them."""
        return self.in_favour + self.against + self.abstained

    @property
    def decided(self) -> int:
        """Those that took a side."""
        return self.in_favour + self.against


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows from the ballots."""

    tallies: Mapping[str, Tally]
    whole: Tally
    eligible: int
    needed: int
    """How many must take part."""
    share_for: Fraction | None
    """Of the votes for and against, weighted by chamber; None where nobody took a side."""
    is_adopted: bool
    why: str

    @property
    def cast(self) -> int:
        """How many took part."""
        return self.whole.cast


def tally(ballots: Iterable[Ballot]) -> dict[str, Tally]:
    """Ballots of each chamber, by its name."""
    counts: dict[str, dict[Vote, int]] = {}
    for one in ballots:
        own = counts.setdefault(one.chamber, dict.fromkeys(Vote, 0))
        if one.vote is None:
            raise ValueError("a ballot that names somebody, where nobody is elected")
        own[one.vote] += 1
    return {
        chamber: Tally(own[Vote.FOR], own[Vote.AGAINST], own[Vote.ABSTAIN])
        for chamber, own in sorted(counts.items())
    }


def outcome(ballots: Iterable[Ballot], terms: Terms) -> Outcome:
    """Count, and hold the count against the terms. A tie carries nothing unless the majority is half and enough."""
    assert terms.majority is not None
    found = tally(ballots)
    tallies = {chamber: found.get(chamber, Tally()) for chamber in sorted({*terms.eligible, *found})}
    whole = Tally(
        sum(one.in_favour for one in tallies.values()),
        sum(one.against for one in tallies.values()),
        sum(one.abstained for one in tallies.values()),
    )
    eligible, needed = sum(terms.eligible.values()), terms.needed
    share = _share_for(tallies, whole, terms.chambers)
    if whole.cast < needed:
        adopted, why = False, f"{whole.cast} took part, and {needed} of {eligible} were needed"
    elif share is None:
        adopted, why = False, "nobody took a side"
    else:
        adopted = terms.majority.carries(share)
        weighed = ", as the chambers weigh" if terms.chambers else ""
        why = f"{share} of the votes for and against were for it{weighed}; {terms.majority.words} carry"
    return Outcome(tallies, whole, eligible, needed, share, adopted, why)


def _share_for(
    tallies: Mapping[str, Tally], whole: Tally, chambers: Mapping[str, Fraction]
) -> Fraction | None:
    """Each chamber gives its weight in the proportion of its own votes; one in which nobody took a side gives none."""
    if not chambers:
        return Fraction(whole.in_favour, whole.decided) if whole.decided else None
    there = {name: one for name, one in tallies.items() if one.decided}
    weight = sum((chambers[name] for name in there), Fraction(0))
    if not weight:
        return None
    given = sum(
        (chambers[name] * Fraction(one.in_favour, one.decided) for name, one in there.items()), Fraction(0)
    )
    return Fraction(given, weight)
