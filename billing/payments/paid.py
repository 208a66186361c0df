"""What was paid to one member, and for what: what the co-op decided to pay, laid on the orders to its bank. Pure.

A bank is told one sum, whatever it is for; so each order is taken to pay what was owed longest first. It moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum

from meter.window import to_datetime

_REVERSAL = "reversal:"


class For(StrEnum):
    """What money was made payable for."""

    YEAR = "year"
    RETIREMENT = "retirement"
    INSTALMENT = "instalment"
    ESTATE = "estate"
    CLAIM = "claim"
    CAME_BACK = "came-back"
    OTHER = "other"


class State(StrEnum):
    """How far a payment is. Only PAID is money the member has."""

    ORDERED = "ordered"
    PAID = "paid"
    RETURNED = "returned"
    CANCELLED = "cancelled"
    SET_OFF = "set-off"
    FORFEITED = "forfeited"
    OTHERWISE = "otherwise"


class Waits(StrEnum):
    """Why what is owed is not ordered yet."""

    NO_ACCOUNT = "no-account"
    NOT_REACHED = "not-reached"
    NEXT_ORDER = "next-order"


@dataclass(frozen=True, slots=True)
class Movement:
    """What one entry did to a member's payable account; above zero the co-op owes more."""

    entry: int
    kind: str
    key: str
    at_us: int
    amount_minor: int
    bank_day: date | None = None
    """Of the bank's line that the entry books, if it books one."""
    resolution: str = ""
    years: tuple[int, ...] = ()
    """From which years the capital was that it paid back."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order: 'paid', 'returned' or 'cancelled'."""

    what: str
    entry: int | None
    at_us: int
    on: date
    reason: str = ""
    """The bank's code for why it was returned; empty where it said none."""


@dataclass(frozen=True, slots=True)
class Order:
    """One transfer the bank was told to make."""

    batch: int
    amount_minor: int
    at_us: int
    last_four: str
    outcomes: tuple[Outcome, ...]
    """In their order, without those that were reversed."""


@dataclass(frozen=True, slots=True)
class Part:
    """So much of a payment, and what for."""

    what: For
    amount_minor: int
    years: tuple[int, ...] = ()
    resolution: str = ""


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment, or what took its place. Invariant: its parts sum to its amount."""

    state: State
    amount_minor: int
    parts: tuple[Part, ...]
    begun_on: date
    """When it was ordered; of what was never ordered, when it was booked."""
    is_ordered: bool = True
    last_four: str = ""
    paid_on: date | None = None
    ended_on: date | None = None
    """When it was returned or cancelled."""
    reason: str = ""
    """The bank's code for why it was returned."""


@dataclass(frozen=True, slots=True)
class Paid:
    """A member's payments, the newest first, and what is owed and not ordered, what was owed longest first."""

    payments: tuple[Payment, ...]
    waiting: tuple[Part, ...]

    @property
    def waiting_minor(self) -> int:
        """What the co-op decided to pay and has not ordered."""
        return sum(one.amount_minor for one in self.waiting)

    def of_year(self, year: int) -> dict[State | None, int]:
        """How far the member's part of a fiscal year is, in minor units; None for what waits. Nothing is counted twice."""
        found: dict[State | None, int] = {}
        for payment in self.payments:
            # What was returned or cancelled is owed again, and counted where it is now.
            if payment.state not in (State.RETURNED, State.CANCELLED):
                _count(found, payment.state, payment.parts, year)
        _count(found, None, self.waiting, year)
        return found


def _count(found: dict[State | None, int], state: State | None, parts: Iterable[Part], year: int) -> None:
    for part in parts:
        if part.what is For.YEAR and part.years == (year,):
            found[state] = found.get(state, 0) + part.amount_minor


def paid_to(movements: Sequence[Movement], orders: Sequence[Order]) -> Paid:
    """Every payment of one member, from all movements of their account and all their orders.

    At one instant what became payable comes first, then batches by their number, each before what became of it.
    """
    course = _Course({one.entry for order in orders for one in order.outcomes if one.entry is not None})
    steps: list[tuple[tuple[int, int, int], Movement | Order | tuple[Order, Outcome]]] = [
        ((one.at_us, -1, one.entry), one) for one in _in_force(movements)
    ]
    for order in orders:
        steps.append(((order.at_us, order.batch, 0), order))
        steps += [
            # No outcome is before its order, whatever the clocks of two machines say.
            ((max(one.at_us, order.at_us), order.batch, place), (order, one))
            for place, one in enumerate(order.outcomes, 1)
        ]
    for _when, step in sorted(steps, key=lambda one: one[0]):
        match step:
            case Movement():
                course.moved(step)
            case Order():
                course.ordered(step)
            case (order, outcome):
                course.ended(order, outcome)
    return course.paid()


def _in_force(movements: Sequence[Movement]) -> list[Movement]:
    """Without entries that were reversed and their reversals; a reversal can be reversed too, so the last one decides."""
    gone: set[int] = set()
    numbers = {one.entry for one in movements}
    for one in sorted(movements, key=lambda one: -one.entry):
        number = one.key.removeprefix(_REVERSAL)
        if one.entry not in gone and number != one.key and number.isdecimal() and int(number) in numbers:
            gone |= {one.entry, int(number)}
    return [one for one in movements if one.entry not in gone]


@dataclass(slots=True)
class _Course:
    """The account as it goes on. `owed` has what was owed longest first."""

    by_order: set[int]
    """Entries that book what became of an order; the order tells of them."""
    owed: list[Part] = field(default_factory=list)
    orders: dict[int, Payment] = field(default_factory=dict)
    besides: list[Payment] = field(default_factory=list)

    def moved(self, one: Movement) -> None:
        if one.entry in self.by_order:
            return
        if one.amount_minor > 0:
            self.owed.append(_part(one))
            return
        amount, day = -one.amount_minor, one.bank_day or to_datetime(one.at_us).date()
        if one.kind == "payment":
            parts = self._take(amount)
            self.besides.append(
                Payment(State.PAID, amount, parts, begun_on=day, is_ordered=False, paid_on=day)
            )
        else:
            # What is set off is taken from what just became payable, not from what waited before.
            state = _TAKEN.get(one.kind, State.OTHERWISE)
            parts = self._take(amount, newest=state is not State.FORFEITED)
            self.besides.append(Payment(state, amount, parts, begun_on=day, is_ordered=False))

    def ordered(self, one: Order) -> None:
        day = to_datetime(one.at_us).date()
        parts = self._take(one.amount_minor)
        self.orders[one.batch] = Payment(
            State.ORDERED, one.amount_minor, parts, begun_on=day, last_four=one.last_four
        )

    def ended(self, order: Order, outcome: Outcome) -> None:
        before = self.orders[order.batch]
        if outcome.what == "paid":
            self.orders[order.batch] = replace(before, state=State.PAID, paid_on=outcome.on)
            return
        self.orders[order.batch] = replace(
            before, state=State(outcome.what), ended_on=outcome.on, reason=outcome.reason
        )
        self.owed[:0] = before.parts

    def paid(self) -> Paid:
        found = sorted([*self.orders.values(), *self.besides], key=lambda one: one.begun_on)
        return Paid(tuple(reversed(found)), tuple(self.owed))

    def _take(self, amount: int, *, newest: bool = False) -> tuple[Part, ...]:
        place, found = -1 if newest else 0, []
        while amount and self.owed:
            part = self.owed.pop(place)
            taken = min(amount, part.amount_minor)
            if part.amount_minor > taken:
                rest = replace(part, amount_minor=part.amount_minor - taken)
                self.owed.insert(len(self.owed) if newest else 0, rest)
            found.append(replace(part, amount_minor=taken))
            amount -= taken
        if amount:
            found.append(Part(For.OTHER, amount))
        return tuple(found)


_TAKEN = {"set-off": State.SET_OFF, "forfeit": State.FORFEITED}
_WHAT = {one.value: one for one in (For.RETIREMENT, For.INSTALMENT, For.ESTATE, For.CLAIM)}


def _part(one: Movement) -> Part:
    if one.kind == "year":
        return Part(For.YEAR, one.amount_minor, (int(one.key.split(":")[1]),))
    what = For.CAME_BACK if one.kind == "payment" else _WHAT.get(one.kind, For.OTHER)
    return Part(what, one.amount_minor, one.years, one.resolution)


def by_year(payments: Iterable[Payment]) -> Iterator[tuple[int, list[Payment]]]:
    """Payments by the calendar year they were begun in, in their order."""
    found: dict[int, list[Payment]] = {}
    for one in payments:
        found.setdefault(one.begun_on.year, []).append(one)
    yield from found.items()
