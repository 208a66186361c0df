"""Votes as pure code: what carries, what is refused, what a published result says. Figures are worked out by hand."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from billing.canon import canonical, digest
from billing.governance.choices import check_choices, parse_choices
from billing.governance.decisions import ResolutionKind
from billing.rules.book import rule_set, rule_set_ids
from billing.rules.voting import Majority, VotingChoice, voting_rules
from billing.voting.count import Ballot, Terms, Vote, outcome
from billing.voting.document import count_document, poll_document, poll_terms, recount, result_document
from billing.voting.poll import check_times, roll
from billing.voting.proposal import Comment, Proposal, Wording, comment_text, media_type, wording
from meter.ids import MemberId
from meter.refusal import Refusal
from tests.register_kit import CUSTOMER, SUPPORTER, USER, WORKER, Book, at

HALF = Majority(Fraction(1, 2), or_equal=False, source="test")
THIRDS = Majority(Fraction(2, 3), or_equal=True, source="test")
DAY = 24 * 3600 * 10**6


def box(*counts: tuple[str, int, int, int]) -> list[Ballot]:
    """Ballots of (chamber, for, against, abstained)."""
    found: list[Ballot] = []
    for chamber, *sides in counts:
        for vote, count in zip(Vote, sides, strict=True):
            found += [Ballot(f"{len(found) + n:032x}", chamber, vote, None) for n in range(count)]
    return found


@pytest.mark.parametrize(
    ("sides", "quorum", "majority", "adopted"),
    [
        ((2, 1, 0), "0", HALF, True),
        ((1, 1, 0), "0", HALF, False),  # a tie carries nothing
        ((1, 0, 9), "0", HALF, True),  # who abstains is on neither side
        ((0, 0, 3), "0", HALF, False),
        ((0, 0, 0), "0", HALF, False),
        ((2, 1, 0), "0", THIRDS, True),  # just as much as two thirds
        ((199, 100, 0), "0", THIRDS, False),
        ((3, 0, 0), "3/10", HALF, True),  # of 10
        ((2, 0, 0), "3/10", HALF, False),
        ((2, 0, 1), "3/10", HALF, True),  # an abstention takes part
        ((3, 0, 0), "31/100", HALF, False),  # 3.1 is 4
    ],
)
def test_what_carries(sides: tuple[int, int, int], quorum: str, majority: Majority, *, adopted: bool) -> None:
    terms = Terms(Fraction(quorum), majority, {}, {"members": max(10, sum(sides))})
    assert adopted is outcome(box(("members", *sides)), terms).is_adopted


@pytest.mark.parametrize(
    ("members", "share", "more_than", "needed"),
    [
        (4, "1/2", True, 3),  # a majority of four
        (5, "1/2", True, 3),
        (1, "1/2", True, 1),
        (9, "1/3", True, 4),
        (4, "1/2", False, 2),
        (5, "1/2", False, 3),
        (9, "0", True, 1),
        (9, "0", False, 1),
    ],
)
def test_how_many_must_take_part(members: int, share: str, *, more_than: bool, needed: int) -> None:
    terms = Terms(Fraction(share), HALF, {}, {"members": members}, quorum_more_than=more_than)
    assert needed == terms.needed
    for there in range(members + 1):
        found = outcome(box(("members", there, 0, 0)), terms)
        assert (needed, there >= needed) == (found.needed, found.is_adopted)


def test_only_where_the_source_says_so_more_than_the_quorum_must_take_part() -> None:
    """'A majority of the members' is more than half; the Spanish law's second call is 'at least' a tenth."""
    told = {name: voting_rules(name) for name in rule_set_ids()}
    assert {"us-selc"} == {name for name, one in told.items() if one.quorum_more_than}
    assert {"us-selc": Fraction(1, 2), "es": Fraction(1, 10)} == {
        name: one.quorum for name, one in told.items() if one.quorum
    }
    assert voting_rules("us-selc", VotingChoice(quorum=Fraction(1, 2))).quorum_more_than
    # At least three quarters are more than half, and all of them can be there.
    assert not voting_rules("us-selc", VotingChoice(quorum=Fraction(3, 4))).quorum_more_than


def test_chambers_give_their_weight_in_the_proportion_of_their_votes() -> None:
    """0.5 × 1/4 + 0.3 × 1 + 0.2 × 1/2 = 0.525, though 13 of 42 heads are for it."""
    weights = {"user": Fraction(1, 2), "worker": Fraction(3, 10), "supporter": Fraction(1, 5)}
    terms = Terms(Fraction(0), HALF, weights, {"user": 40, "worker": 2, "supporter": 2})
    found = outcome(box(("user", 10, 30, 0), ("worker", 2, 0, 0), ("supporter", 1, 1, 0)), terms)
    assert (Fraction(21, 40), True, 13) == (found.share_for, found.is_adopted, found.whole.in_favour)


def test_a_chamber_in_which_nobody_takes_a_side_gives_its_weight_to_nobody() -> None:
    """(0.5 × 1/4 + 0.3 × 1) ÷ 0.8 = 17/32."""
    weights = {"user": Fraction(1, 2), "worker": Fraction(3, 10), "supporter": Fraction(1, 5)}
    terms = Terms(Fraction(0), HALF, weights, {"user": 4, "worker": 1, "supporter": 1})
    found = outcome(box(("user", 1, 3, 0), ("worker", 1, 0, 0), ("supporter", 0, 0, 1)), terms)
    assert Fraction(17, 32) == found.share_for


def test_the_roll_is_the_register_of_the_record_date() -> None:
    book = Book()
    book.join(1, "2026-01-01")
    book.join(2, "2026-01-01", WORKER, USER)
    book.join(3, "2026-01-01", SUPPORTER)
    book.enter("customer", 4, "2026-01-01", classes=(CUSTOMER,))
    book.join(5, "2026-03-02")
    book.enter("leave", 1, "2026-03-03")
    book.hold(2, "2026-01-02", 500, 0)
    day = at("2026-03-01")
    assert [1, 2, 3] == [one.member for one in roll(book.operations, day, voting_rules("plain"))]
    assert [1, 2] == [one.member for one in roll(book.operations, day, voting_rules("de-eg"))]
    assert [2, 3, 5] == [one.member for one in roll(book.operations, at("2026-03-04"), voting_rules("plain"))]
    chosen = VotingChoice(chambers={"user": Fraction(1, 2), "worker": Fraction(1, 2)})
    told = {one.member: one.chamber for one in roll(book.operations, day, voting_rules("plain", chosen))}
    assert {1: "user", 2: "worker"} == told


def test_every_rule_set_says_how_its_members_vote() -> None:
    for name in rule_set_ids():
        rules = voting_rules(name)
        assert (name, True) == (rules.rule_set, "user" in rules.classes)
        assert rules.special.share >= rules.ordinary.share >= Fraction(1, 2)
        assert not rules.ordinary.carries(Fraction(1, 2))
        assert {"rule-set"} == rules.special_kinds


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("es", 'quorum = "9 %"', "voting.quorum: 0.09 is less than the rule set's 0.1"),
        ("de-eg", 'special = "2/3"', "voting.special: 2/3 is less than the rule set's 0.75"),
        ("plain", 'majority = "1/3"', "voting.majority: 1/3 is less"),
        ("plain", 'qourum = "1/3"', "did you mean 'quorum'"),
        ("uk-society", '[voting.chambers]\nuser = "1"', "uk-society knows no chambers"),
        ("fr-scic", '[voting.chambers]\nuser = "51 %"\nworker = "39 %"\nsupporter = "10 %"', "is not within 10 % and 50 %"),
        ("fr-scic", '[voting.chambers]\nuser = "50 %"\nworker = "50 %"', "there are 2, and 3 are the least"),
        ("plain", '[voting.chambers]\nuser = "50 %"\nworker = "40 %"', "come to 90 %"),
        ("plain", '[voting.chambers]\nuser = "50 %"\ncapital = "50 %"', "is no class with a vote"),
        ("plain", '[voting.chambers]\nuser = "100 %"\nworker = "0 %"', "is not within"),
    ],
)  # fmt: skip
def test_what_may_not_be_chosen(name: str, text: str, words: str) -> None:
    choices = text if text.startswith("[") else f"[voting]\n{text}"
    with pytest.raises(Refusal) as refused:
        check_choices(parse_choices(choices, currency="EUR"), rule_set(name), currency="EUR")
    assert words in str(refused.value)


def test_what_may_be_chosen_counts() -> None:
    choices = parse_choices('[voting]\nquorum = "20 %"\nspecial = "3/4"\n', currency="EUR")
    check_choices(choices, rule_set("plain"), currency="EUR")
    rules = voting_rules("plain", choices.voting)
    assert (Fraction(1, 5), Fraction(3, 4)) == (rules.quorum, rules.majority("rule-set").share)


def test_a_majority_of_the_whole_is_everybody() -> None:
    choices = parse_choices('[voting]\nmajority = "100 %"\n', currency="EUR")
    check_choices(choices, rule_set("plain"), currency="EUR")
    wanted = voting_rules("plain", choices.voting).majority("other")
    assert "at least 1 of the votes for and against" == wanted.words
    assert (True, False) == (wanted.carries(Fraction(1)), wanted.carries(Fraction(99, 100)))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"record_us": 11}, "record:"),
        ({"opens_us": 9}, "never backwards"),
        ({"closes_us": 20}, "closes after it opens"),
        ({"closes_us": 20 + 366 * DAY + 1}, "at most 366 days"),
    ],
)
def test_times_are_not_chosen_afterwards(changed: dict[str, int], words: str) -> None:
    times = {"record_us": 10, "opens_us": 20, "closes_us": 30, "now_us": 10}
    check_times(**times)
    with pytest.raises(Refusal, match=words):
        check_times(**(times | changed))


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.pdf", b"%PDF-1.7 x", "application/pdf"),
        ("a.PNG", b"\x89PNG\r\n\x1a\n..", "image/png"),
        ("a.jpg", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("a.md", "größer".encode(), "text/plain"),
        ("a.csv", b"a,b", "text/csv"),
    ],
)
def test_what_may_be_attached(name: str, content: bytes, found: str) -> None:
    assert found == media_type(name, content, bytes_max=100)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.pdf", b"<script>"), ("a.png", b"%PDF-1.7"), ("a.txt", b"\xff\xfe"), ("a.txt", b"a\x00b"), ("a.svg", b"<svg/>"),
        ("a.html", b"<p>"), ("pdf", b""), ("a.txt", b"x" * 101), ("../a.txt", b"x"), ('a".txt', b"x"), ("a\n.txt", b"x"),
        ("x" * 252 + ".txt", b"x"), ("", b"x"),
    ],
)  # fmt: skip
def test_what_may_not_be_attached(name: str, content: bytes) -> None:
    with pytest.raises(Refusal, match="attachment"):
        media_type(name, content, bytes_max=100)


@pytest.mark.parametrize(
    ("title", "body", "calc_hash"),
    [
        ("", "x", None), ("t" * 201, "x", None), ("a\nb", "x", None), ("t", "", None), ("t", "x" * 20_001, None),
        ("t", "x\x00", None), ("t", "x‮y", None), ("t", "x", "AB" * 32), ("t", "x", "ab"),
    ],
)  # fmt: skip
def test_what_a_proposal_cannot_say(title: str, body: str, calc_hash: str | None) -> None:
    with pytest.raises(Refusal):
        wording(title=title, body=body, calc_hash=calc_hash, who="a", recorded_us=0)


def test_ends_of_lines_are_of_one_kind() -> None:
    assert "a\nb" == comment_text(" a\r\nb\r")
    with pytest.raises(Refusal):
        comment_text("x" * 4001)


def published(*, is_secret: bool = True) -> dict[str, object]:
    """A result: 2 for, 1 against, of 4."""
    said = Proposal(
        7, ResolutionKind.OTHER, None, "board", 0, Wording("A disk", "We buy it.", None, "board", 0), 1
    )
    poll = poll_document(
        said,
        [],
        voting_rules("plain"),
        {"members": 4},
        is_secret=is_secret,
        record_us=0,
        opens_us=1,
        closes_us=2,
    )
    votes = (("c", "for", 1), ("a", "against", 2), ("b", "for", 4))
    ballots = [
        Ballot(name * 32, "members", Vote(vote), None if is_secret else MemberId(member))
        for name, vote, member in votes
    ]
    terms, _ = poll_terms(json.loads(poll))
    comments = [Comment(1, MemberId(1), "anna", "Good.", 5)]
    text = result_document(
        poll,
        ballots,
        [MemberId(4), MemberId(1), MemberId(2)],
        outcome(ballots, terms),
        comments,
        place=1,
        previous="",
    )
    told: dict[str, object] = json.loads(text)
    return told


def test_a_secret_result_says_nowhere_whose_a_ballot_is() -> None:
    told = published()
    assert [1, 2, 4] == told["voted"]
    assert [
        {"receipt": "a" * 32, "chamber": "members", "vote": "against"},
        {"receipt": "b" * 32, "chamber": "members", "vote": "for"},
        {"receipt": "c" * 32, "chamber": "members", "vote": "for"},
    ] == told["ballots"]


@pytest.mark.parametrize("is_secret", [True, False])
def test_a_published_result_counts_to_itself(*, is_secret: bool) -> None:
    again = recount(canonical(published(is_secret=is_secret)))
    assert ((), 2, 1, True) == (
        again.problems, again.outcome.whole.in_favour, again.outcome.whole.against, again.outcome.is_adopted,
    )  # fmt: skip


def result_of_two(members: int) -> dict[str, Any]:
    """Two of so many members are for it, by rules under which a majority of the members must take part."""
    said = Proposal(1, ResolutionKind.OTHER, None, "board", 0, Wording("A", "B", None, "board", 0), 1)
    poll = poll_document(
        said, [], voting_rules("us-selc"), {"members": members}, is_secret=True, record_us=0, opens_us=1, closes_us=2
    )  # fmt: skip
    terms, _ = poll_terms(json.loads(poll))
    ballots = box(("members", 2, 0, 0))
    voted = [MemberId(1), MemberId(2)]
    told: dict[str, Any] = json.loads(
        result_document(poll, ballots, voted, outcome(ballots, terms), [], place=1, previous="")
    )
    return told


def test_a_recount_knows_whether_more_than_the_quorum_had_to_be_there() -> None:
    """A majority of 4 is 3, of 3 it is 2."""
    for members, needed, is_adopted in ((4, 3, False), (3, 2, True)):
        told = result_of_two(members)
        assert {"share": "0.5", "more_than": True} == {
            name: told["poll"]["rules"]["quorum"][name] for name in ("share", "more_than")
        }
        again = recount(canonical(told))
        assert ((), needed, is_adopted) == (again.problems, again.outcome.needed, again.outcome.is_adopted)
    assert "2 took part, and 3 of 4 were needed" == recount(canonical(result_of_two(4))).outcome.why


def test_a_result_from_before_that_was_told_counts_as_it_did() -> None:
    """Two of four took part where at least half had to: adopted, and the file has no word about more."""
    told = result_of_two(4)
    del told["poll"]["rules"]["quorum"]["more_than"]
    told["poll_digest"] = digest(canonical(told["poll"]))
    told["count"] |= {
        "needed": 2, "adopted": True,
        "why": "1 of the votes for and against were for it; more than 1/2 of the votes for and against carry",
    }  # fmt: skip
    again = recount(canonical(told))
    assert ((), 2, True) == (again.problems, again.outcome.needed, again.outcome.is_adopted)


def forged(change: str) -> dict[str, object]:
    """A result somebody changed by one thing."""
    told: dict[str, object] = published(is_secret=change != "another's ballot")
    ballots, voted, count, poll = told["ballots"], told["voted"], told["count"], told["poll"]
    assert isinstance(ballots, list)
    assert isinstance(voted, list)
    assert isinstance(count, dict)
    assert isinstance(poll, dict)
    match change:
        case "a vote turned":
            ballots[0]["vote"] = "for"
        case "a ballot more":
            ballots.append(ballots[0] | {"receipt": "d" * 32})
        case "a ballot less":
            ballots.pop()
        case "a ballot twice":
            ballots[1] = ballots[0]
        case "a voter twice":
            voted[0] = voted[1]
        case "another count":
            count["for"] = 3
        case "another outcome":
            count["adopted"] = False
        case "other terms":
            poll["rules"]["quorum"]["share"] = "1"
        case "another text":
            poll["text"] = "We sell it."
        case "more than have a vote":
            poll["eligible"]["members"] = 2
        case "whose it is":
            ballots[0]["member"] = 1
        case "another's ballot":
            ballots[0]["member"] = 3
    return told


def counted_again(told: dict[str, Any]) -> dict[str, Any]:
    """The same with a count that fits its ballots, so that the box alone can be wrong."""
    terms, _ = poll_terms(told["poll"])
    ballots = [Ballot(one["receipt"], one["chamber"], Vote(one["vote"]), None) for one in told["ballots"]]
    return told | {
        "count": count_document(outcome(ballots, terms)),
        "poll_digest": digest(canonical(told["poll"])),
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("a vote turned", "the file's count is not that of its ballots"),
        ("another count", "the file's count is not that of its ballots"),
        ("another outcome", "the file's count is not that of its ballots"),
        ("other terms", "the terms are not those of the digest"),
        ("another text", "the terms are not those of the digest"),
    ],
)
def test_a_result_that_was_changed_is_seen_by_whoever_counts_again(change: str, words: str) -> None:
    assert [one for one in recount(canonical(forged(change))).problems if words in one]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("a ballot more", "there are 4 ballots of 3 who voted"),
        ("a ballot less", "there are 2 ballots of 3 who voted"),
        ("a ballot twice", "two ballots have one name"),
        ("a voter twice", "somebody stands twice among those who voted"),
        ("more than have a vote", "3 ballots in the chamber members, in which 2 have a vote"),
        ("whose it is", "a secret ballot says whose it is"),
        ("another's ballot", "the open ballots are not those of the members who voted"),
    ],
)
def test_a_box_that_was_stuffed_is_seen_though_its_count_fits(change: str, words: str) -> None:
    assert (words,) == recount(canonical(counted_again(forged(change)))).problems


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format":"weir-vote-1"}', '{"format":"weir-vote-1","poll":[],"ballots":{}}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_result_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(Refusal):
        recount(text)
