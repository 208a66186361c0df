"""The papers of a vote: what it is about and its terms, and the result with every ballot. Canonical, with a digest. Pure.

A result is published as it is here: whoever has the file can count it again, by `recount` or by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from billing.canon import canonical, digest
from billing.fields import Table
from billing.money import exact_text
from billing.rules.voting import Majority, VotingRules
from billing.voting.count import Ballot, Election, Outcome, Tally, Terms, Vote
from billing.voting.election import Counted, Elected, counted
from billing.voting.proposal import Attachment, Comment, Proposal, Slate
from billing.words import iso_text
from meter.ids import MemberId
from meter.refusal import Refusal

POLL_FORMAT = "weir-poll-1"
RESULT_FORMAT = "weir-vote-1"
ELECTION_FORMAT = "weir-election-1"
"""Of a result whose ballots name options."""
FILE_BYTES_MAX = 256 * 2**20


def poll_document(
    proposal: Proposal, attachments: Sequence[Attachment], rules: VotingRules, eligible: Mapping[str, int], *,
    is_secret: bool, record_us: int, opens_us: int, closes_us: int,
) -> str:  # fmt: skip
    """What is voted on, by whom and by what rule: frozen at the opening."""
    slate = proposal.wording.slate
    return canonical(
        {
            "format": POLL_FORMAT,
            "proposal": proposal.number,
            "kind": proposal.kind.value,
            "title": proposal.wording.title,
            "text": proposal.wording.body,
            "calc_hash": proposal.wording.calc_hash,
            "by": None if proposal.member is None else int(proposal.member),
            "attachments": [
                {"name": one.name, "bytes": one.size_bytes, "sha256": one.sha256} for one in attachments
            ],
            "ballot": "secret" if is_secret else "open",
            "record": iso_text(record_us),
            "opens": iso_text(opens_us),
            "closes": iso_text(closes_us),
            "rules": {
                "rule_set": rules.rule_set,
                "version": rules.version,
                "classes": list(rules.classes),
                "chambers": {name: exact_text(one) for name, one in rules.chambers.items()},
                "quorum": {
                    "share": exact_text(rules.quorum),
                    "more_than": rules.quorum_more_than,
                    "source": rules.quorum_source,
                },
                **_what_decides(proposal, rules),
            },
            "eligible": dict(eligible),
            **({} if slate is None else {"election": _election(slate, rules)}),
        }
    )


def _what_decides(proposal: Proposal, rules: VotingRules) -> dict[str, object]:
    if proposal.wording.slate is not None:
        return {"election": {"votes": rules.election.votes.value, "source": rules.election.source}}
    majority = rules.majority(proposal.kind.value)
    told = {"share": exact_text(majority.share), "or_equal": majority.or_equal, "source": majority.source}
    return {"majority": told}


def _election(slate: Slate, rules: VotingRules) -> dict[str, object]:
    votes = rules.election.votes_of(slate.seats)
    return {"seats": slate.seats, "options": list(slate.options), "votes": votes}


def poll_terms(document: Mapping[str, Any]) -> tuple[Terms, tuple[str, ...]]:
    """The terms a poll's document says, and the classes with a vote. Raises Refusal."""
    rules = Table(document, "poll").table("rules")
    quorum, chambers = rules.table("quorum"), rules.table("chambers")
    eligible = Table(document, "poll").table("eligible")
    election = _read_election(document)
    terms = Terms(
        quorum=quorum.exact("share"),
        majority=_read_majority(rules.table("majority")) if election is None else None,
        chambers={name: chambers.exact(name) for name in tuple(chambers.keys())},
        eligible={name: eligible.whole(name, default=0) for name in tuple(eligible.keys())},
        election=election,
        quorum_more_than=quorum.flag("more_than"),  # Not there in a file of before it was told: at least.
    )
    if terms.chambers and set(terms.eligible) - set(terms.chambers):
        raise Refusal("poll.eligible: a chamber without a weight")
    return terms, rules.texts("classes")


def _read_majority(table: Table) -> Majority:
    return Majority(table.exact("share"), table.flag("or_equal"), table.text("source"))


def _read_election(document: Mapping[str, Any]) -> Election | None:
    found = document.get("election")
    if found is None:
        return None
    seats, votes, options = found["seats"], found["votes"], found["options"]
    if not (type(seats) is type(votes) is int and 1 <= votes <= seats <= len(options)):
        raise Refusal("poll.election: more seats than options, or more votes than seats")
    if not all(isinstance(one, str) for one in options) or len(set(options)) != len(options):
        raise Refusal("poll.election: an option stands there twice, or is none")
    return Election(seats, tuple(options), votes)


def discussion_digest(comments: Iterable[Comment]) -> str:
    """SHA-256 of all that was said, in its order."""
    told = [[one.place, int(one.member), iso_text(one.recorded_us), one.body] for one in comments]
    return digest(canonical({"comments": told}))


def result_document(
    poll: str, ballots: Iterable[Ballot], voted: Iterable[MemberId], found: Counted, comments: Sequence[Comment], *,
    place: int, previous: str,
) -> str:  # fmt: skip
    """The result. Ballots stand in the order of their random names, who voted in the order of their numbers."""
    return canonical(
        {
            "format": RESULT_FORMAT if isinstance(found, Outcome) else ELECTION_FORMAT,
            "place": place,
            "previous": previous,
            "poll": json.loads(poll),
            "poll_digest": digest(poll),
            "discussion": {"comments": len(comments), "digest": discussion_digest(comments)},
            "voted": sorted(int(one) for one in voted),
            "ballots": [_ballot(one) for one in sorted(ballots, key=lambda one: one.receipt)],
            "count": count_document(found),
        }
    )


def _ballot(one: Ballot) -> dict[str, object]:
    told: dict[str, object] = {"receipt": one.receipt, "chamber": one.chamber, "vote": one.says}
    return told if one.member is None else told | {"member": int(one.member)}


def count_document(found: Counted) -> dict[str, object]:
    """What follows from the ballots."""
    if isinstance(found, Elected):
        return _elected(found)
    return {
        "chambers": {name: _tally(one) for name, one in found.tallies.items()},
        **_tally(found.whole),
        "cast": found.whole.cast,
        "eligible": found.eligible,
        "needed": found.needed,
        "share_for": None if found.share_for is None else str(found.share_for),
        "adopted": found.is_adopted,
        "why": found.why,
    }


def _elected(found: Elected) -> dict[str, object]:
    return {
        "options": [
            {"option": one.place, "name": one.name, "votes": dict(one.votes), "score": str(one.score)}
            for one in found.standings
        ],
        "elected": found.names(found.elected),
        "tied": found.names(found.tied),
        "seats": found.seats,
        "abstained": found.abstained,
        "cast": found.cast,
        "eligible": found.eligible,
        "needed": found.needed,
        "adopted": found.is_adopted,
        "why": found.why,
    }


def _tally(one: Tally) -> dict[str, object]:
    return {"for": one.in_favour, "against": one.against, "abstained": one.abstained}


@dataclass(frozen=True, slots=True)
class Recount:
    """A published result counted again."""

    document: Mapping[str, Any]
    digest: str
    ballots: tuple[Ballot, ...]
    outcome: Counted
    problems: tuple[str, ...]
    """What does not agree, in sentences; none where the file says what its ballots say."""


def recount(text: str) -> Recount:
    """Count a published result again, from its ballots alone. Raises Refusal for what is no such file."""
    try:
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("format") not in (RESULT_FORMAT, ELECTION_FORMAT):
            raise Refusal(f"this is no result of a vote ({RESULT_FORMAT}, {ELECTION_FORMAT})")
        terms, _ = poll_terms(document["poll"])
        if (document["format"] == ELECTION_FORMAT) != (terms.election is not None):
            raise Refusal("this result is not of the kind of vote that its terms are of")
        ballots = tuple(_read_ballot(one) for one in document["ballots"])
        voted = [MemberId(one) for one in document["voted"]]
        is_secret = document["poll"]["ballot"] == "secret"
        found = counted(ballots, terms)
        # What is printed here is made again, so that a space or another order of keys is no difference.
        again = digest(canonical(document))
        problems = (*_of_the_box(ballots, voted, terms, is_secret=is_secret), *_of_the_paper(document, found))
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, RecursionError) as error:
        raise Refusal(f"this result cannot be read: {type(error).__name__} at {str(error)[:60]}") from None
    return Recount(document, again, ballots, found, problems)


def _read_ballot(one: Mapping[str, Any]) -> Ballot:
    member = one.get("member")
    return read_ballot(
        str(one["receipt"]),
        str(one["chamber"]),
        str(one["vote"]),
        None if member is None else MemberId(member),
    )


def read_ballot(receipt: str, chamber: str, says: str, member: MemberId | None) -> Ballot:
    """A ballot by what it says. Raises ValueError."""
    if says in [one.value for one in Vote]:
        return Ballot(receipt, chamber, Vote(says), member)
    places = tuple(int(one) for one in says.split(","))
    if says != ",".join(map(str, places)):
        raise ValueError("a ballot that is written in another way")
    return Ballot(receipt, chamber, None, member, places)


def _of_the_box(
    ballots: Sequence[Ballot], voted: Sequence[MemberId], terms: Terms, *, is_secret: bool
) -> Iterable[str]:
    if len(set(voted)) != len(voted):
        yield "somebody stands twice among those who voted"
    if len(ballots) != len(voted):
        yield f"there are {len(ballots)} ballots of {len(voted)} who voted"
    if len({one.receipt for one in ballots}) != len(ballots):
        yield "two ballots have one name"
    for chamber in sorted({one.chamber for one in ballots}):
        there = sum(one.chamber == chamber for one in ballots)
        if there > terms.eligible.get(chamber, 0):
            yield f"{there} ballots in the chamber {chamber}, in which {terms.eligible.get(chamber, 0)} have a vote"
    own = [one.member for one in ballots if one.member is not None]
    if is_secret and own:
        yield "a secret ballot says whose it is"
    if not is_secret and sorted(own) != sorted(voted):
        yield "the open ballots are not those of the members who voted"


def _of_the_paper(document: Mapping[str, Any], found: Counted) -> Iterable[str]:
    if document["poll_digest"] != digest(canonical(document["poll"])):
        yield "the terms are not those of the digest they were opened with"
    if document["count"] != count_document(found):
        yield f"the file's count is not that of its ballots: {found.why}"
