"""Before an exit is booked: what the register says of who leaves, and which rules and fiscal year the co-op chose.

It only reads and refuses; exit_run.py books. The connection acts as weir_billing; times are UTC microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from billing.governance import store as governance_store
from billing.governance.decisions import choice_at, first_month_of
from billing.register import store as register_store
from billing.register.operations import Operation, OperationKind, Person, in_force, people_at
from billing.rules.afterwards import Afterwards, afterwards
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.window import to_datetime, to_us

NOTICE_DAYS_MAX = 3660
"""A notice to leave is for a day within ten years."""
NO_CHOICE = "plain"
"""The rules of a co-op that chose none."""


@dataclass(frozen=True, slots=True)
class Law:
    """By which rules somebody's leaving goes, and in which month the co-op's fiscal years begin."""

    rules: Afterwards
    first_month: int


async def law_of(connection: Connection, day: date, *, rule_set: str | None) -> Law:
    """The rules named, or those in force on the day they left; of a day before the first choice, that one's.

    Raises Refusal for a rule set that is none.
    """
    choices = await governance_store.choices(connection)
    on_the_day = to_us(datetime(day.year, day.month, day.day, tzinfo=UTC))
    chosen = choice_at(choices, on_the_day)
    if chosen is None:
        return Law(afterwards(rule_set or NO_CHOICE), 1)
    return Law(afterwards(rule_set or chosen.rule_set), first_month_of(choices))


async def refuse_unless_left(connection: Connection, member: MemberId, day: date, *, now_us: int) -> None:
    """An exit is of somebody who left, and of a day on which they were a member. Raises Refusal."""
    person, joined = await _member(connection, member, now_us=now_us)
    if person.ceased_us is None:
        raise Refusal(
            "member: the register has them as a member still; enter that they left with `weir member leave`, then book "
            "the exit with `weir capital exit`"
        )
    left = to_datetime(person.ceased_us).date()
    if not joined <= day <= left:
        raise Refusal(f"date: the register has them as a member from {joined} to {left}; {day} is not within")


def refuse_no_estate(rules: Afterwards) -> None:
    """Where estates are not discounted, none waits for its face value either: death is an exit there. Raises Refusal."""
    if not rules.discounting:
        raise Refusal(
            f"method: the rule set {rules.rule_set} discounts no estate ({rules.estate_source}); after "
            "`weir member leave` book it with `weir capital exit --heirs`"
        )


async def refuse_unless_joined(connection: Connection, member: MemberId, day: date, *, now_us: int) -> None:
    """An estate is of somebody who was a member when they died, or had been one before. Raises Refusal."""
    _, joined = await _member(connection, member, now_us=now_us)
    if day < joined:
        raise Refusal(f"date: the register has them as a member from {joined} on; {day} is before")


async def refuse_no_notice(connection: Connection, member: MemberId, day: date, *, now_us: int) -> None:
    """A notice to leave is given by a member, for a day from today on. Raises Refusal."""
    person, _ = await _member(connection, member, now_us=now_us)
    if person.ceased_us is not None:
        left = to_datetime(person.ceased_us).date()
        raise Refusal(f"member: they left already, on {left}; `weir capital exit` books what follows")
    today = to_datetime(now_us).date()
    if not today <= day <= today + timedelta(days=NOTICE_DAYS_MAX):
        raise Refusal(f"date: {day} is not a day from today on (in UTC it is {today}), within ten years")


def left_days(operations: Iterable[Operation]) -> dict[MemberId, date]:
    """Which members left, and when. Customers who go were never members and are not among them."""
    return {
        member: to_datetime(steps[-1].effective_us).date()
        for member, steps in in_force(operations).items()
        if steps[-1].kind is OperationKind.LEAVE
        and any(name.is_member for one in steps for name in one.classes)
    }


async def _member(connection: Connection, member: MemberId, *, now_us: int) -> tuple[Person, date]:
    found = people_at(await register_store.operations(connection, members=[member]), now_us).get(member)
    if found is None or found.entered_us is None:
        raise Refusal("member: the register never had them as a member")
    return found, to_datetime(found.entered_us).date()
