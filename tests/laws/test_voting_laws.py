"""Laws of counting: against a second count that shares no code, in any order, within the roll."""

from __future__ import annotations

import json
import random
from collections import Counter
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from billing.canon import canonical, digest
from billing.governance.decisions import ResolutionKind
from billing.rules.voting import Majority, VotingChoice, voting_rules
from billing.voting.count import Ballot, Terms, Vote, outcome
from billing.voting.document import poll_document, poll_terms, recount, result_document
from billing.voting.proposal import Proposal, Wording
from meter.ids import MemberId

CHAMBERS = ("supporter", "user", "worker")
weights = st.lists(st.integers(1, 20), min_size=3, max_size=3)
shares = st.fractions(0, 1, max_denominator=20)
boxes = st.lists(
    st.tuples(st.sampled_from(CHAMBERS), st.sampled_from([one.value for one in Vote])), max_size=60
)


def ballots_of(votes: list[tuple[str, str]], *, one_chamber: bool) -> list[Ballot]:
    return [
        Ballot(f"{n * 7919 % 2**32:032x}", "members" if one_chamber else chamber, Vote(vote), None)
        for n, (chamber, vote) in enumerate(votes)
    ]


def second_count(
    votes: list[tuple[str, str]], *, weights: dict[str, int] | None, roll: int, quorum: Fraction, majority: Fraction,
    or_equal: bool, more_than: bool,
) -> bool:  # fmt: skip
    """Whether it is adopted, counted another way: over integers, with every side times all denominators."""
    there, wanted_there = len(votes) * quorum.denominator, roll * quorum.numerator
    if not votes or there < wanted_there or (more_than and there == wanted_there):
        return False
    counts = Counter(votes)
    groups = [((1, CHAMBERS))] if weights is None else [(weights[one], (one,)) for one in CHAMBERS]
    sides = []
    for weight, names in groups:
        pro = sum(counts[name, "for"] for name in names)
        con = sum(counts[name, "against"] for name in names)
        if pro + con:
            sides.append((weight, pro, pro + con))
    if not sides:
        return False
    common = 1
    for _, _, whole in sides:
        common *= whole
    gained = sum(weight * pro * (common // whole) for weight, pro, whole in sides) * majority.denominator
    wanted = sum(weight for weight, _, _ in sides) * common * majority.numerator
    return gained >= wanted if or_equal else gained > wanted


@given(boxes, weights, shares, shares, st.booleans(), st.booleans(), st.booleans(), st.integers(0, 40))
@example([("user", "for"), ("user", "for")], [1, 1, 1], Fraction(1, 2), Fraction(1, 2), False, True, False, 2)
def test_a_second_count_agrees(
    votes: list[tuple[str, str]], parts: list[int], quorum: Fraction, majority: Fraction, or_equal: bool, more_than: bool,
    with_chambers: bool, stayed_away: int,
) -> None:  # fmt: skip
    roll = Counter(chamber for chamber, _ in votes) + Counter({"user": stayed_away})
    whole = sum(parts)
    chambers = (
        {name: Fraction(part, whole) for name, part in zip(CHAMBERS, parts, strict=True)}
        if with_chambers
        else {}
    )
    eligible = dict(roll) if with_chambers else {"members": sum(roll.values())}
    terms = Terms(quorum, Majority(majority, or_equal, "law"), chambers, eligible, quorum_more_than=more_than)
    found = outcome(ballots_of(votes, one_chamber=not with_chambers), terms)
    expected = second_count(
        votes, weights=dict(zip(CHAMBERS, parts, strict=True)) if with_chambers else None, roll=sum(roll.values()),
        quorum=quorum, majority=majority, or_equal=or_equal, more_than=more_than,
    )  # fmt: skip
    assert expected is found.is_adopted
    assert len(votes) == found.whole.cast <= found.eligible


@given(boxes, st.integers(0, 2**32), st.booleans())
def test_neither_the_order_of_ballots_nor_of_voters_changes_a_byte(
    votes: list[tuple[str, str]],
    seed: int,
    with_chambers: bool,
) -> None:
    chosen = VotingChoice(chambers=dict.fromkeys(CHAMBERS, Fraction(1, 3)) if with_chambers else {})
    said = Proposal(1, ResolutionKind.OTHER, None, "board", 0, Wording("A", "B", None, "board", 0), 1)
    roll = Counter(chamber for chamber, _ in votes)
    poll = poll_document(
        said, [], voting_rules("plain", chosen), dict(roll) if with_chambers else {"members": len(votes)},
        is_secret=True, record_us=0, opens_us=1, closes_us=2,
    )  # fmt: skip
    terms, _ = poll_terms(json.loads(poll))
    ballots, voters = (
        ballots_of(votes, one_chamber=not with_chambers),
        [MemberId(n + 1) for n in range(len(votes))],
    )
    first = result_document(poll, ballots, voters, outcome(ballots, terms), [], place=1, previous="")
    shuffle = random.Random(seed)
    shuffle.shuffle(ballots)
    shuffle.shuffle(voters)
    second = result_document(poll, ballots, voters, outcome(ballots, terms), [], place=1, previous="")
    assert first == second
    again = recount(first)
    assert ((), digest(first), first) == (again.problems, again.digest, canonical(json.loads(first)))


@given(boxes, st.integers(0, 59), st.sampled_from([one.value for one in Vote]))
def test_one_ballot_turned_is_another_digest(votes: list[tuple[str, str]], place: int, vote: str) -> None:
    if place >= len(votes) or votes[place][1] == vote:
        return
    turned = [*votes[:place], (votes[place][0], vote), *votes[place + 1 :]]
    digests = set()
    for each in (votes, turned):
        terms = Terms(Fraction(0), Majority(Fraction(1, 2), or_equal=False, source="x"), {}, {"members": 60})
        ballots = ballots_of(each, one_chamber=True)
        digests.add(
            digest(result_document("{}", ballots, [], outcome(ballots, terms), [], place=1, previous=""))
        )
    assert 2 == len(digests)
