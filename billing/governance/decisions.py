"""What members and board decide and agree to: resolutions, consents, the rule set they chose, hours worked. Pure.

Everything is read here from what was typed; a later line takes the place of an earlier one by naming it. What a rule
set's percentages mean is left to rules/ruleset.py and the year's closing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from billing.document import Document
from billing.money import parse_decimal
from billing.year.fiscal import FiscalYear
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.window import DAY_US, HOUR_US, Month

TEXT_CHARACTERS_MAX = 20_000
HOUR_DECIMALS = 3
THOUSANDTHS = 1000
FACTOR_THOUSANDTHS_MAX = 1_000_000


class Body(StrEnum):
    """Who decided."""

    BOARD = "board"
    MEETING = "meeting"


class ResolutionKind(StrEnum):
    """About what."""

    TARIFF = "tariff"
    RULE_SET = "rule-set"
    CLOSING = "closing"
    ALLOCATION = "allocation"
    RETIREMENT = "retirement"
    ELECTION = "election"
    OTHER = "other"


class Delivery(StrEnum):
    """How by-laws came to a member. A poster or a website is none of them (26 CFR 1.1388-1(c)(3)(ii))."""

    HAND = "hand"
    POST = "post"
    EMAIL = "e-mail"
    SIGNED = "signed"


@dataclass(frozen=True, slots=True)
class Votes:
    """A count. Invariant: it carried."""

    in_favour: int
    against: int
    abstained: int

    @property
    def cast(self) -> int:
        """All of them."""
        return self.in_favour + self.against + self.abstained


@dataclass(frozen=True, slots=True)
class Resolution:
    """A decision. `id` is its year and a running number, and empty until it is entered."""

    id: str
    body: Body
    kind: ResolutionKind
    decided_on: date
    text: str
    document: Document | None
    votes: Votes | None
    quorum: int | None
    calc_hash: str | None
    who: str
    recorded_us: int


def check_resolution(asked: Resolution, *, today: date, voters: int) -> None:
    """Refuse what no body decided. `voters` are the votes of the meeting's day. Raises Refusal naming the field."""
    if not 1 <= len(asked.text.strip()) <= TEXT_CHARACTERS_MAX:
        raise Refusal(
            f"text: a resolution says what was decided, in at most {TEXT_CHARACTERS_MAX:,} characters"
        )
    if asked.decided_on > today:
        raise Refusal(f"date: {asked.decided_on} is still to come; in UTC it is {today}")
    votes = asked.votes
    if asked.quorum is not None and asked.quorum < 1:
        raise Refusal("quorum: it is a number of votes, 1 or more")
    if votes is None:
        if asked.quorum is not None:
            raise Refusal("quorum: without a count of votes nobody can see that it was reached")
        return
    if min(votes.in_favour, votes.against, votes.abstained) < 0:
        raise Refusal("votes: a count is 0 or more")
    if votes.in_favour <= votes.against:
        raise Refusal(f"votes: {votes.in_favour} for and {votes.against} against carry nothing")
    if asked.quorum is not None and votes.cast < asked.quorum:
        raise Refusal(f"quorum: {votes.cast} votes were cast, and {asked.quorum} were needed")
    if asked.body is Body.MEETING and votes.cast > voters:
        raise Refusal(
            f"votes: {votes.cast} were cast, and the register of {asked.decided_on} has {voters} members"
        )


@dataclass(frozen=True, slots=True)
class Consent:
    """A member's consent to by-laws, or with `withdraws` the end of one. `from_on` is the first day it counts."""

    number: int
    member: MemberId
    bylaws: str
    delivered_on: date
    how: Delivery
    evidence: Document | None
    from_on: date
    withdraws: int | None
    who: str
    recorded_us: int


def check_consent(asked: Consent, *, today: date) -> None:
    """Refuse a consent nobody could show. Raises Refusal naming the field."""
    if not 1 <= len(asked.bylaws.strip()) <= 60:
        raise Refusal("bylaws: name the version, in at most 60 characters, like 2026-1")
    if asked.delivered_on > today:
        raise Refusal(f"delivered-at: {asked.delivered_on} is still to come; in UTC it is {today}")
    if asked.from_on < asked.delivered_on:
        raise Refusal(f"from: consent counts from the delivery on, {asked.delivered_on}, and not before")


def consents_at(consents: Iterable[Consent], day: date) -> dict[MemberId, Consent]:
    """Whose consent holds on a day, and which: the latest that has begun and was not withdrawn by then."""
    every = list(consents)
    ended = {one.withdraws for one in every if one.withdraws is not None and one.from_on <= day}
    found: dict[MemberId, Consent] = {}
    for one in sorted(every, key=lambda one: (one.from_on, one.number)):
        if one.withdraws is None and one.from_on <= day and one.number not in ended:
            found[one.member] = one
    return found


def consented_through(given: Iterable[Consent], first: date, last: date) -> bool:
    """Whether on each day from the first to the last one of a member's consents held; `given` with withdrawals."""
    every = list(given)
    ended = {one.withdraws: one.from_on for one in every if one.withdraws is not None}
    begun = sorted((one.from_on, one.number) for one in every if one.withdraws is None)
    day = first
    for from_on, number in begun:
        if from_on > day:
            return False
        if number not in ended or ended[number] > last:
            return True
        day = max(day, ended[number])
    return False


@dataclass(frozen=True, slots=True)
class Hours:
    """What a worker worked in a month, in thousandths of an hour, and the published factor, in thousandths."""

    number: int
    member: MemberId
    month: Month
    thousandths: int
    factor_thousandths: int
    corrects: int | None
    memo: str
    who: str
    recorded_us: int

    @property
    def weight(self) -> int:
        """Hours × factor, exact, in millionths."""
        return self.thousandths * self.factor_thousandths


def hours(
    *, member: MemberId, month: Month, worked: str, factor: str, corrects: int | None, memo: str, who: str,
    recorded_us: int,
) -> Hours:  # fmt: skip
    """Read what was typed. Raises Refusal naming the field."""
    thousandths = parse_decimal(worked, field="hours", decimals_max=HOUR_DECIMALS)
    times = parse_decimal(factor, field="factor", decimals_max=HOUR_DECIMALS)
    days = len(range(month.start_us, month.end_us, DAY_US))
    if thousandths * HOUR_US > days * DAY_US * THOUSANDTHS:
        raise Refusal(f"hours: {worked} is more than {month} has, which is {days * 24}")
    if not 1 <= times <= FACTOR_THOUSANDTHS_MAX:
        raise Refusal("factor: it is above 0 and at most 1000, with three decimals at most")
    if len(memo) > 500 or not memo.isprintable():
        raise Refusal("memo: one line of at most 500 characters")
    return Hours(0, member, month, thousandths, times, corrects, memo, who, recorded_us)


def current_hours(entered: Iterable[Hours]) -> list[Hours]:
    """The figures that count: those no later one took the place of, by month and member."""
    every = list(entered)
    gone = {one.corrects for one in every}
    return sorted((one for one in every if one.number not in gone), key=lambda one: (one.month, one.member))


def weights_of(entered: Iterable[Hours], months: Sequence[Month]) -> dict[MemberId, int]:
    """Σ hours × factor of each worker over these months, in millionths."""
    found: dict[MemberId, int] = {}
    for one in current_hours(entered):
        if one.month in months:
            found[one.member] = found.get(one.member, 0) + one.weight
    return found


@dataclass(frozen=True, slots=True)
class Choice:
    """The rule set that was chosen from a fiscal year on, which is named by the year it begins in."""

    number: int
    rule_set: str
    from_year: int
    first_month: int
    resolution: str | None
    document: str
    """The rule set's own text, as it was when it was chosen."""
    choices: str
    """TOML: class weights, the cash part, and what else the rule set leaves to the members."""
    who: str
    recorded_us: int

    @property
    def start(self) -> Month:
        """The first month it is in force."""
        return Month(self.from_year, self.first_month)


def check_choice(
    asked: Choice,
    before: Sequence[Choice],
    resolution: Resolution | None,
    *,
    anything_closed: bool,
    now_us: int,
) -> None:
    """Refuse a change of the rules for a year that has begun, or without a decision. Raises Refusal.

    The first choice is free, and so is every one until a month has been closed.
    """
    if asked.resolution is not None and (
        resolution is None or resolution.kind is not ResolutionKind.RULE_SET
    ):
        raise Refusal(
            f"resolution: {asked.resolution} is no resolution of kind {ResolutionKind.RULE_SET.value}"
        )
    if not before or not anything_closed:
        return
    if asked.start.start_us <= now_us:
        raise Refusal(
            f"from-year: {asked.from_year} has begun; a rule set is changed for a coming fiscal year only"
        )
    if asked.resolution is None:
        raise Refusal(
            f"resolution: changing the rule set needs a resolution of kind {ResolutionKind.RULE_SET.value}"
        )
    if asked.first_month != before[-1].first_month:
        raise Refusal("first-month: once months are closed the fiscal year begins where it began")


def choice_for(choices: Iterable[Choice], year: int) -> Choice | None:
    """What is in force for a fiscal year: the latest start, and of several the last that was entered.

    The earliest choice counts for the years before it too: a co-op can have months before its books begin.
    """
    every = list(choices)
    return _latest([one for one in every if one.from_year <= year]) or _earliest(every)


def choice_at(choices: Iterable[Choice], at_us: int) -> Choice | None:
    """What is in force at an instant, by the fiscal year it lies in; before every start the earliest choice."""
    every = list(choices)
    return choice_for(every, FiscalYear.of(Month.of(at_us), first_month_of(every)).number)


def first_month_of(choices: Sequence[Choice]) -> int:
    """The month with which every fiscal year begins, of choices in the order they were entered; January without one.

    It is the last one's for all of them, also for years of earlier choices: were each to keep its own, a month could
    lie in two years or in none. Once a month is closed no choice names another.
    """
    return choices[-1].first_month if choices else 1


def _latest(begun: Sequence[Choice]) -> Choice | None:
    return max(begun, key=lambda one: (one.from_year, one.number), default=None)


def _earliest(every: Sequence[Choice]) -> Choice | None:
    return min(every, key=lambda one: (one.from_year, -one.number), default=None)
