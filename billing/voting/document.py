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
from billing.voting.count import Ballot, Outcome, Tally, Terms, Vote, outcome
from billing.voting.proposal import Attachment, Comment, Proposal
from billing.words import iso_text
from meter.ids import MemberId
from meter.refusal import Refusal

POLL_FORMAT = "weir-poll-1"
RESULT_FORMAT = "weir-vote-1"
FILE_BYTES_MAX = 256 * 2**20


def poll_document(
    proposal: Proposal, attachments: Sequence[Attachment], rules: VotingRules, eligible: Mapping[str, int], *,
    is_secret: bool, record_us: int, opens_us: int, closes_us: int,
) -> str:  # fmt: skip
    """What is voted on, by whom and by what rule: frozen at the opening."""
    majority = rules.majority(proposal.kind.value)
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
                "quorum": {"share": exact_text(rules.quorum), "source": rules.quorum_source},
                "majority": {
                    "share": exact_text(majority.share),
                    "or_equal": majority.or_equal,
                    "source": majority.source,
                },
            },
            "eligible": dict(eligible),
        }
    )


def poll_terms(document: Mapping[str, Any]) -> tuple[Terms, tuple[str, ...]]:
    """The terms a poll's document says, and the classes with a vote. Raises Refusal."""
    rules = Table(document, "poll").table("rules")
    quorum, majority, chambers = (rules.table(name) for name in ("quorum", "majority", "chambers"))
    eligible = Table(document, "poll").table("eligible")
    terms = Terms(
        quorum=quorum.exact("share"),
        majority=Majority(majority.exact("share"), majority.flag("or_equal"), majority.text("source")),
        chambers={name: chambers.exact(name) for name in tuple(chambers.keys())},
        eligible={name: eligible.whole(name, default=0) for name in tuple(eligible.keys())},
    )
    if terms.chambers and set(terms.eligible) - set(terms.chambers):
        raise Refusal("poll.eligible: a chamber without a weight")
    return terms, rules.texts("classes")


def discussion_digest(comments: Iterable[Comment]) -> str:
    """SHA-256 of all that was said, in its order."""
    told = [[one.place, int(one.member), iso_text(one.recorded_us), one.body] for one in comments]
    return digest(canonical({"comments": told}))


def result_document(
    poll: str, ballots: Iterable[Ballot], voted: Iterable[MemberId], found: Outcome, comments: Sequence[Comment], *,
    place: int, previous: str,
) -> str:  # fmt: skip
    """The result. Ballots stand in the order of their random names, who voted in the order of their numbers."""
    return canonical(
        {
            "format": RESULT_FORMAT,
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
    told: dict[str, object] = {"receipt": one.receipt, "chamber": one.chamber, "vote": one.vote.value}
    return told if one.member is None else told | {"member": int(one.member)}


def count_document(found: Outcome) -> dict[str, object]:
    """What follows from the ballots."""
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


def _tally(one: Tally) -> dict[str, object]:
    return {"for": one.in_favour, "against": one.against, "abstained": one.abstained}


@dataclass(frozen=True, slots=True)
class Recount:
    """A published result counted again."""

    document: Mapping[str, Any]
    digest: str
    ballots: tuple[Ballot, ...]
    outcome: Outcome
    problems: tuple[str, ...]
    """What does not agree, in sentences; none where the file says what its ballots say."""


def recount(text: str) -> Recount:
    """Count a published result again, from its ballots alone. Raises Refusal for what is no such file."""
    try:
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("format") != RESULT_FORMAT:
            raise Refusal(f"this is no result of a vote ({RESULT_FORMAT})")
        terms, _ = poll_terms(document["poll"])
        ballots = tuple(_read_ballot(one) for one in document["ballots"])
        voted = [MemberId(one) for one in document["voted"]]
        is_secret = document["poll"]["ballot"] == "secret"
        found = outcome(ballots, terms)
        # What is printed here is made again, so that a space or another order of keys is no difference.
        again = digest(canonical(document))
        problems = (*_of_the_box(ballots, voted, terms, is_secret=is_secret), *_of_the_paper(document, found))
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, RecursionError) as error:
        raise Refusal(f"this result cannot be read: {type(error).__name__} at {str(error)[:60]}") from None
    return Recount(document, again, ballots, found, problems)


def _read_ballot(one: Mapping[str, Any]) -> Ballot:
    member = one.get("member")
    return Ballot(
        str(one["receipt"]),
        str(one["chamber"]),
        Vote(one["vote"]),
        None if member is None else MemberId(member),
    )


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


def _of_the_paper(document: Mapping[str, Any], found: Outcome) -> Iterable[str]:
    if document["poll_digest"] != digest(canonical(document["poll"])):
        yield "the terms are not those of the digest they were opened with"
    if document["count"] != count_document(found):
        yield f"the file's count is not that of its ballots: {found.why}"
