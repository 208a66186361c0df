"""A vote: its terms, its time, its roll, and who is refused with what sentence. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from billing.register.operations import Operation, Person, people_at
from billing.rules.voting import VotingRules
from billing.voting.count import Election, Terms, Vote
from billing.words import instant_text
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.window import DAY_US

DAYS_MAX = 366


class VoteRefused(Refusal):
    """A vote that does not count; `reason` is a word for the log."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Voter:
    """Somebody with a vote: one, whatever their classes and shares."""

    member: MemberId
    chamber: str


@dataclass(frozen=True, slots=True)
class Poll:
    """A vote that was opened; nothing of it changes any more."""

    proposal: int
    is_secret: bool
    record_us: int
    opens_us: int
    closes_us: int
    terms: Terms
    classes: tuple[str, ...]
    """Those with a vote."""
    document: str
    digest: str

    def is_open(self, now_us: int) -> bool:
        """Whether votes are taken now: [opens, closes)."""
        return self.opens_us <= now_us < self.closes_us


def check_times(*, record_us: int, opens_us: int, closes_us: int, now_us: int) -> None:
    """Refuse a vote whose time or roll could be chosen afterwards. Raises Refusal naming the field."""
    if record_us > now_us:
        raise Refusal("record: the register of a day still to come is not known yet")
    if opens_us < now_us:
        raise Refusal("opens: a vote opens now or later, never backwards")
    if closes_us <= opens_us:
        raise Refusal("closes: a vote closes after it opens")
    if closes_us - opens_us > DAYS_MAX * DAY_US:
        raise Refusal(f"closes: a vote is open for at most {DAYS_MAX} days")


def roll(operations: Iterable[Operation], record_us: int, rules: VotingRules) -> list[Voter]:
    """Everybody with a vote by the register of the record date, in the order of their numbers."""
    found = []
    for member, person in people_at(operations, record_us).items():
        chamber = rules.chamber(person.classes) if person.is_member else None
        if chamber is not None:
            found.append(Voter(member, chamber))
    return found


def eligible(voters: Iterable[Voter]) -> Mapping[str, int]:
    """How many have a vote in each chamber."""
    return dict(sorted(Counter(one.chamber for one in voters).items()))


def check_time(poll: Poll, now_us: int) -> None:
    """Refuse a vote before its time or after. Raises VoteRefused."""
    if now_us < poll.opens_us:
        raise VoteRefused(
            "early", f"this vote opens on {instant_text(poll.opens_us)}; nothing is taken before"
        )
    if now_us >= poll.closes_us:
        raise VoteRefused(
            "late", f"this vote closed on {instant_text(poll.closes_us)}; nothing is taken after"
        )


def read_vote(text: str, terms: Terms) -> tuple[Vote | None, tuple[int, ...]]:
    """What somebody chose: a side, or in an election the places on the ballot, like '1,3'. Raises VoteRefused."""
    if terms.election is not None:
        return _read_places(text, terms.election)
    if text not in [one.value for one in Vote]:
        raise VoteRefused(
            "no-such-choice", f"'{text[:20]}' is not to be chosen here; there is for, against and abstain"
        )
    return Vote(text), ()


def _read_places(text: str, election: Election) -> tuple[Vote | None, tuple[int, ...]]:
    if text == Vote.ABSTAIN:
        return Vote.ABSTAIN, ()
    if not text:
        raise VoteRefused("nothing-chosen", "choose somebody, or say that you abstain")
    named = text.split(",")
    known = {str(place): place for place in range(1, len(election.options) + 1)}
    wrong = next((one for one in named if one not in known), None)
    if wrong == Vote.ABSTAIN:
        raise VoteRefused("both", "choose somebody or abstain, and not both")
    if wrong is not None:
        raise VoteRefused("no-such-choice", f"'{wrong[:20]}' is not on this ballot")
    if len(set(named)) != len(named):
        raise VoteRefused("one-twice", "one stands twice on your ballot; each can have one of your votes")
    if len(named) > election.votes:
        raise VoteRefused(
            "too-many", f"you chose {len(named)}, and a ballot here names at most {election.votes}"
        )
    return None, tuple(sorted(known[one] for one in named))


def no_vote(person: Person | None, now: Person | None, poll: Poll) -> VoteRefused:
    """Why somebody is not on the roll, from what the register said then, and says now."""
    if person is not None and person.is_member:
        return VoteRefused(
            "class-without-vote",
            f"by the rules of this vote your class has none; it is one of {_words(poll.classes)}",
        )
    if now is not None and now.is_member:
        return VoteRefused(
            "admitted-later",
            f"who votes is who was a member on {instant_text(poll.record_us)}, and you were admitted after that",
        )
    return VoteRefused("not-a-member", "only members vote, and the register has you as none")


def twice() -> VoteRefused:
    """Somebody voted before."""
    return VoteRefused("twice", "you have voted already; a vote is cast once and stays")


def _words(classes: Iterable[str]) -> str:
    return ", ".join(classes)
