"""Elections as pure code: who is elected, who is level, what is refused. Figures are worked out by hand."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from billing.canon import canonical, digest
from billing.governance.choices import check_choices, parse_choices
from billing.governance.decisions import ResolutionKind
from billing.pages import render
from billing.rules.book import rule_set, rule_set_ids
from billing.rules.voting import VotesEach, VotingChoice, voting_rules
from billing.voting.count import Ballot, Election, Terms, Vote
from billing.voting.document import poll_document, poll_terms, recount, result_document
from billing.voting.election import Elected, counted, elect
from billing.voting.poll import VoteRefused, read_vote
from billing.voting.proposal import Proposal, Slate, Wording, slate
from meter.ids import MemberId
from meter.refusal import Refusal

NAMES = ("Ada", "Bo", "Cy", "Di")


def terms(
    seats: int = 2,
    votes: int = 2,
    *,
    quorum: str = "0",
    chambers: dict[str, Fraction] | None = None,
    roll: int = 10,
) -> Terms:
    eligible = dict.fromkeys(chambers, roll) if chambers else {"members": roll}
    return Terms(Fraction(quorum), None, chambers or {}, eligible, Election(seats, NAMES, votes))


def box(*told: tuple[int, ...], chamber: str = "members") -> list[Ballot]:
    """Ballots by the places they name; an empty one abstains."""
    return [
        Ballot(f"{chamber[0].encode().hex()}{n:030x}", chamber, None if one else Vote.ABSTAIN, None, one)
        for n, one in enumerate(told)
    ]


@pytest.mark.parametrize(
    ("told", "seats", "elected", "tied"),
    [
        # Ada 3, Bo 2, Cy 1.
        ([(1, 2), (1, 2), (1, 3)], 2, (1, 2), ()),
        # Ada 3, Bo 1, Cy 1: one seat is Ada's, the other is between Bo and Cy.
        ([(1, 2), (1, 3), (1,)], 2, (1,), (2, 3)),
        # All level and no seat for all.
        ([(1,), (2,), (3,)], 2, (), (1, 2, 3)),
        # Level, and a seat for each.
        ([(1,), (2,)], 2, (1, 2), ()),
        # Whom nobody voted for is not elected, though a seat is free.
        ([(1,), (1,)], 2, (1,), ()),
        # Only one seat; Cy 2.
        ([(3,), (3,), (1,), ()], 1, (3,), ()),
        ([(), ()], 2, (), ()),
        ([], 2, (), ()),
    ],
)
def test_who_is_elected(
    told: list[tuple[int, ...]], seats: int, elected: tuple[int, ...], tied: tuple[int, ...]
) -> None:
    found = elect(box(*told), terms(seats))
    assert (elected, tied, bool(elected)) == (found.elected, found.tied, found.is_adopted)


def test_an_election_too_few_take_part_in_elects_nobody() -> None:
    told = [(1,), (1,)]
    assert (1,) == elect(box(*told), terms(1, quorum="2/10")).elected
    found = elect(box(*told), terms(1, quorum="21/100"))
    assert ((), "2 took part, and 3 of 10 were needed") == (found.elected, found.why)
    told_once = {
        "outcome": found,
        "elected": [],
        "tied": [],
        "problems": [],
        "rows": [],
        "chambers": [],
        "weights": {},
    }
    page = render("election_result.html", result=told_once, resolution=None)
    assert (True, 1) == ("2 of 10 took part, and 3 were needed." in page, page.count("took part"))


def test_who_abstains_takes_part() -> None:
    found = elect(box((1,), (), ()), terms(1, quorum="3/10"))
    assert ((1,), 3, 2) == (found.elected, found.cast, found.abstained)


def test_chambers_give_their_weight_in_the_proportion_of_their_own_votes() -> None:
    """Users 3:1 for Ada, the one worker for Bo. 1/4 × 3/4 = 3/16 to Ada; 1/4 × 1/4 + 3/4 × 1 = 13/16 to Bo."""
    weights = {"user": Fraction(1, 4), "worker": Fraction(3, 4)}
    ballots = [*box((1,), (1,), (1,), (2,), chamber="user"), *box((2,), chamber="worker")]
    found = elect(ballots, terms(1, 1, chambers=weights))
    assert (Fraction(3, 16), Fraction(13, 16)) == (found.standings[0].score, found.standings[1].score)
    assert ((2,), 3) == (found.elected, found.standings[0].all_votes)


@pytest.mark.parametrize("places", [(1, 2, 3), (5,), (0,), (2, 1), (1, 1)])
def test_a_ballot_the_terms_do_not_allow_is_never_counted(places: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a ballot"):
        elect(box(places), terms())


def test_a_ballot_of_another_kind_of_vote_is_never_counted() -> None:
    with pytest.raises(ValueError, match="for or against"):
        elect([Ballot("a" * 32, "members", Vote.FOR, None)], terms())
    plain, _ = poll_terms(json.loads(papers(is_election=False)))
    with pytest.raises(ValueError, match="nobody is elected"):
        counted(box((1,)), plain)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "nothing-chosen"), ("1,abstain", "both"), ("abstain,1", "both"), ("5", "no-such-choice"),
        ("0", "no-such-choice"), ("1,2,3", "too-many"), ("1,1", "one-twice"), ("for", "no-such-choice"),
        ("1,", "no-such-choice"), ("01", "no-such-choice"), ("-1", "no-such-choice"), ("²", "no-such-choice"),
    ],
)  # fmt: skip
def test_what_may_not_stand_on_a_ballot(text: str, reason: str) -> None:
    with pytest.raises(VoteRefused) as refused:
        read_vote(text, terms())
    assert reason == refused.value.reason


def test_what_may_stand_on_a_ballot_is_kept_in_order() -> None:
    assert (None, (1, 3)) == read_vote("3,1", terms())
    assert (Vote.ABSTAIN, ()) == read_vote("abstain", terms())


def test_how_many_votes_is_said_by_the_rule_set_and_may_be_chosen() -> None:
    for name in rule_set_ids():
        assert VotesEach.SEATS is voting_rules(name).election.votes
    one = voting_rules("plain", VotingChoice(election=VotesEach.ONE)).election
    assert (1, 3) == (one.votes_of(3), voting_rules("de-eg").election.votes_of(3))
    choices = parse_choices('[voting]\nelection = "one"\n', currency="EUR")
    check_choices(choices, rule_set("plain"), currency="EUR")
    assert VotesEach.ONE is choices.voting.election
    with pytest.raises(Refusal, match=r"voting.election"):
        parse_choices('[voting]\nelection = "two"\n', currency="EUR")


@pytest.mark.parametrize(
    ("seats", "options", "words"),
    [
        ("1", [], "options: name who"), ("1", ["  "], "options: name who"), ("0", ["A"], "seats: from 1 to 1"),
        ("3", ["A", "B"], "seats: from 1 to 2"), ("x", ["A"], "seats"), ("1", ["A", "a"], "stands there twice"),
        ("1", ["A" * 201], "at most 200"), ("1", ["A‮B"], "options: each"), ("1", [str(n) for n in range(51)], "50 at most"),
    ],
)  # fmt: skip
def test_what_cannot_be_elected(seats: str, options: list[str], words: str) -> None:
    with pytest.raises(Refusal, match=words):
        slate(seats=seats, options=options)


def test_a_slate_is_read_as_it_was_typed() -> None:
    assert Slate(2, ("Ada Lovelace", "Bo, of the workers")) == slate(
        seats=" 2", options=[" Ada  Lovelace ", "", "Bo, of the workers"]
    )


def papers(*, is_election: bool = True) -> str:
    """The paper of a poll: two seats, four options, eleven on the roll."""
    said = Wording("Board", "Who?", None, "board", 0, Slate(2, NAMES) if is_election else None)
    kind = ResolutionKind.ELECTION if is_election else ResolutionKind.OTHER
    return poll_document(
        Proposal(7, kind, None, "board", 0, said, 1), [], voting_rules("plain"), {"members": 11}, is_secret=True,
        record_us=0, opens_us=1, closes_us=2,
    )  # fmt: skip


def published() -> dict[str, Any]:
    """A result: Ada 2, Bo 1, Cy 1, one abstained, so one seat is Ada's and the other nobody's."""
    poll = papers()
    ballots = box((1, 2), (1, 3), ())
    own, _ = poll_terms(json.loads(poll))
    voted = [MemberId(3), MemberId(1), MemberId(2)]
    told: dict[str, Any] = json.loads(
        result_document(poll, ballots, voted, elect(ballots, own), [], place=1, previous="")
    )
    return told


def test_a_published_election_counts_to_itself() -> None:
    told = published()
    assert ("weir-election-1", ["Ada"], ["Bo", "Cy"]) == (
        told["format"], told["count"]["elected"], told["count"]["tied"]
    )  # fmt: skip
    assert ["1,2", "1,3", "abstain"] == [one["vote"] for one in told["ballots"]]
    again = recount(canonical(told))
    assert ((), True) == (again.problems, isinstance(again.outcome, Elected))


def changed(change: str) -> dict[str, Any]:
    """A result somebody changed by one thing."""
    told = published()
    match change:
        case "a name in place of another":
            told["ballots"][0]["vote"] = "3,4"
        case "who was elected":
            told["count"]["elected"] = ["Bo"]
        case "a lot was drawn":
            told["count"] |= {"elected": ["Ada", "Bo"], "tied": []}
        case "another option":
            told["poll"]["election"]["options"][0] = "Eve"
        case "another seat":
            told["poll"]["election"] |= {"seats": 1, "votes": 1}
        case "too many on one ballot":
            told["ballots"][0]["vote"] = "1,2,3"
        case "an option that is not there":
            told["ballots"][0]["vote"] = "9"
        case "one twice":
            told["ballots"][0]["vote"] = "1,1"
        case "written in another way":
            told["ballots"][0]["vote"] = "1, 2"
        case "not in order":
            told["ballots"][0]["vote"] = "2,1"
        case "for":
            told["ballots"][0]["vote"] = "for"
        case "more votes than seats":
            told["poll"]["election"]["votes"] = 3
        case "called an ordinary vote":
            told["format"] = "weir-vote-1"
        case "no election in it":
            del told["poll"]["election"]
    return told


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("a name in place of another", "the file's count is not that of its ballots"),
        ("who was elected", "the file's count is not that of its ballots"),
        ("a lot was drawn", "the file's count is not that of its ballots"),
        ("another option", "the terms are not those of the digest"),
    ],
)
def test_an_election_that_was_changed_is_seen_by_whoever_counts_again(change: str, words: str) -> None:
    assert [one for one in recount(canonical(changed(change))).problems if words in one]


@pytest.mark.parametrize(
    "change",
    [
        "another seat", "written in another way", "too many on one ballot", "an option that is not there", "one twice", "not in order", "for",
        "more votes than seats", "called an ordinary vote", "no election in it",
    ],
)  # fmt: skip
def test_what_is_no_election_is_refused_in_a_sentence(change: str) -> None:
    with pytest.raises(Refusal):
        recount(canonical(changed(change)))


def test_an_ordinary_vote_s_papers_are_what_they_always_were() -> None:
    """A file from before there were elections has this digest, worked out with the code of that time."""
    told = json.loads(papers(is_election=False))
    assert "election" not in told
    assert {"majority", "quorum", "chambers", "classes", "rule_set", "version"} == set(told["rules"])
    assert digest(canonical(told)) == digest(papers(is_election=False))
