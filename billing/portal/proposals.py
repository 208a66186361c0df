"""The pages of proposals: what they show of a proposal, its vote and its result. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import assert_never

from billing.money import scale_down
from billing.tongue import _
from billing.voting.count import Ballot, Outcome, Tally, Vote
from billing.voting.document import Recount, recount
from billing.voting.election import Counted, Elected
from billing.voting.poll import Poll
from billing.voting.proposal import Proposal
from billing.words import count_text
from meter.ids import MemberId

BAR_WIDTH = 360
RESULTS_KEPT = 32
KINDS = {
    "tariff": "prices", "rule-set": "the rules of a year", "closing": "closing a year",
    "allocation": "sharing a surplus out", "retirement": "paying capital back", "election": "an election",
    "other": "anything else",
}  # fmt: skip
"""Kind → about what it is, in plain words."""


def state(one: Proposal, poll: Poll | None, is_adopted: bool | None, *, now_us: int) -> str:
    """How far a proposal is: a word that the template puts into a sentence."""
    if poll is None:
        return "discussed" if one.withdrawal is None else "withdrawn"
    if is_adopted is not None:
        return "adopted" if is_adopted else "declined"
    return "waiting" if now_us < poll.opens_us else "open" if now_us < poll.closes_us else "over"


def rows(
    found: Sequence[Proposal], polls: Mapping[int, Poll], adopted: Mapping[int, bool], *, now_us: int
) -> list[dict[str, object]]:
    """The list of proposals."""
    return [
        {
            "number": one.number,
            "title": one.wording.title,
            "about": _(KINDS[one.kind.value]),
            "state": state(one, polls.get(one.number), adopted.get(one.number), now_us=now_us),
            "poll": polls.get(one.number),
            "is_election": one.wording.slate is not None,
        }
        for one in found
    ]


@lru_cache(maxsize=RESULTS_KEPT)
def _counted(document: str) -> Recount:
    """Once a result, for ten thousand ballots take a tenth of a second."""
    return recount(document)


def result_page(document: str) -> Mapping[str, object]:
    """A result in words and bars, counted from its ballots."""
    again = _counted(document)
    found = again.outcome
    told: dict[str, object] = {
        "outcome": found,
        "digest": again.digest,
        "problems": again.problems,
        "width": BAR_WIDTH,
    }
    if isinstance(found, Elected):
        return told | _election_page(found, again)
    chambers = [(name, one) for name, one in found.tallies.items()]
    return told | {
        "is_election": False,
        "bars": bars(found),
        "told": ", ".join(str(one["words"]) for one in bars(found)),
        "chambers": chambers if len(chambers) > 1 else [],
        "weights": {name: str(one) for name, one in _weights(again).items()},
    }


def who_voted(document: str, *, count_max: int) -> tuple[list[MemberId], int]:
    """(the first count_max of those who voted, in the order of their numbers; how many voted)."""
    voted = [MemberId(one) for one in _counted(document).document["voted"]]
    return voted[:count_max], len(voted)


def voters(
    document: str, shown: Sequence[MemberId], names: Mapping[MemberId, str]
) -> list[dict[str, object]]:
    """Who voted, and in an open vote what they said."""
    again = _counted(document)
    said = {one.member: _said(one, again.outcome) for one in again.ballots if one.member is not None}
    return [{"number": one, "name": names.get(one, ""), "said": said.get(one, "")} for one in shown]


def _said(ballot: Ballot, found: Counted) -> str:
    """A ballot in words."""
    match ballot.vote:
        case Vote.FOR:
            return _("for it")
        case Vote.AGAINST:
            return _("against it")
        case Vote.ABSTAIN:
            return _("abstained")
        case None:
            assert isinstance(found, Elected), "a ballot that names somebody is one of an election"
            return ", ".join(found.names(ballot.places))
        case _ as never:
            assert_never(never)


def _election_page(found: Elected, again: Recount) -> dict[str, object]:
    """Who got how much, the most first, and who was elected."""
    weights, chambers = _weights(again), sorted({name for one in found.standings for name in one.votes})
    rows = [
        {
            "name": one.name, "votes": one.all_votes, "score": str(one.score) if weights else "",
            "by_chamber": [one.votes.get(name, 0) for name in chambers], "is_elected": one.place in found.elected,
            "is_tied": one.place in found.tied,
        }
        for one in sorted(found.standings, key=lambda one: (-one.score, one.place))
    ]  # fmt: skip
    return {
        "is_election": True,
        "rows": rows,
        "chambers": chambers if weights else [],
        "weights": {name: str(one) for name, one in weights.items()},
        "elected": found.names(found.elected),
        "tied": found.names(found.tied),
    }


def _weights(again: Recount) -> Mapping[str, object]:
    found: Mapping[str, object] = again.document["poll"]["rules"]["chambers"]
    return found


def bars(found: Outcome) -> list[dict[str, object]]:
    """Three bars on one scale, whose whole length is everybody with a vote."""
    whole: Tally = found.whole
    sides = (
        (_("{count} for", count=count_text(whole.in_favour)), "out", whole.in_favour),
        (_("{count} against", count=count_text(whole.against)), "back", whole.against),
        (_("{count} abstained", count=count_text(whole.abstained)), "in", whole.abstained),
    )
    return [
        {"words": words, "kind": kind, "count": count,
         "width": scale_down(count, of=found.eligible, to=BAR_WIDTH)}
        for words, kind, count in sides
    ]  # fmt: skip
