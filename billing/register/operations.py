"""The register of members and shares: numbered operations, and who stands in it with what at an instant. Pure.

An operation is never changed; a correction does the opposite of what it names. Spans of time are [start, end).
What the closing of a year needs of it is worked out in year.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from meter.ids import MemberId
from meter.usage import MemberClass

INTEREST_UNIT = 1_000_000
"""A cap of interest on shares is a whole number of millionths: 5 % is 50,000."""


class OperationKind(StrEnum):
    """What happened."""

    CUSTOMER = "customer"
    JOIN = "join"
    CLASS = "class"
    LEAVE = "leave"
    ADDRESS = "address"
    SUBSCRIPTION = "subscription"
    PAYMENT = "payment"
    TRANSFER = "transfer"
    REDEMPTION = "redemption"
    CONVERSION = "conversion"
    CORRECTION = "correction"


CORRECTABLE = frozenset(
    {
        OperationKind.CLASS, OperationKind.SUBSCRIPTION, OperationKind.PAYMENT, OperationKind.TRANSFER,
        OperationKind.REDEMPTION, OperationKind.CONVERSION,
    }
)  # fmt: skip
"""A class only until it counts; who came and who left is no slip of the pen."""


@dataclass(frozen=True, slots=True)
class ShareKind:
    """Terms of one kind of shares; they never change."""

    name: str
    par_minor: int
    currency: str
    held_by: frozenset[MemberClass]
    is_investment: bool
    """Its holders stand in a register of their own."""
    interest_max_millionths: int | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of the register. `number` is 0 until it is entered."""

    number: int
    kind: OperationKind
    member: MemberId
    effective_us: int
    recorded_us: int
    who: str
    classes: tuple[MemberClass, ...] = ()
    """From here on; the first is the one that is shown where there is room for one."""
    share_kind: str | None = None
    quantity: int | None = None
    amount_minor: int | None = None
    counterpart: MemberId | None = None
    to_kind: str | None = None
    to_quantity: int | None = None
    corrects: int | None = None
    entry: int | None = None
    memo: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """What an operation does to one holding, signed."""

    number: int
    member: MemberId
    share_kind: str
    shares: int
    paid_minor: int
    effective_us: int


@dataclass(frozen=True, slots=True)
class Holding:
    """Shares of one kind, and what was paid on them. Invariant: 0 ≤ paid ≤ shares × par."""

    shares: int = 0
    paid_minor: int = 0


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the register at an instant."""

    member: MemberId
    classes: tuple[MemberClass, ...]
    """Empty once they left."""
    entered_us: int | None
    """When they became a member, for the last time; None for somebody who never was."""
    ceased_us: int | None
    holdings: Mapping[str, Holding] = field(default_factory=dict)

    @property
    def is_member(self) -> bool:
        """Whether they belong to the co-op; then they have one vote, whatever they hold."""
        return any(one.is_member for one in self.classes)


def effects(operations: Iterable[Operation]) -> list[Effect]:
    """What every operation did to holdings, in the order they were entered."""
    found: list[Effect] = []
    by_number: dict[int, list[Effect]] = {}
    for one in sorted(operations, key=lambda one: one.number):
        if one.kind is OperationKind.CORRECTION:
            assert one.corrects is not None, "a correction names what it corrects"
            own = [
                Effect(one.number, old.member, old.share_kind, -old.shares, -old.paid_minor, one.effective_us)
                for old in by_number.get(one.corrects, ())
            ]
        else:
            own = _plain_effects(one)
        by_number[one.number] = own
        found += own
    return found


def _plain_effects(one: Operation) -> list[Effect]:
    moved, paid = one.quantity or 0, one.amount_minor or 0

    def effect(member: MemberId, kind: str | None, shares: int, amount: int) -> Effect:
        assert kind is not None, "what happens to shares names their kind"
        return Effect(one.number, member, kind, shares, amount, one.effective_us)

    match one.kind:
        case OperationKind.SUBSCRIPTION:
            return [effect(one.member, one.share_kind, moved, 0)]
        case OperationKind.PAYMENT:
            return [effect(one.member, one.share_kind, 0, paid)]
        case OperationKind.REDEMPTION:
            return [effect(one.member, one.share_kind, -moved, -paid)]
        case OperationKind.TRANSFER:
            assert one.counterpart is not None, "a transfer has somebody who gets the shares"
            return [
                effect(one.member, one.share_kind, -moved, -paid),
                effect(one.counterpart, one.share_kind, moved, paid),
            ]
        case OperationKind.CONVERSION:
            return [
                effect(one.member, one.share_kind, -moved, -paid),
                effect(one.member, one.to_kind, one.to_quantity or 0, paid),
            ]
        case _:
            return []


def corrected(operations: Iterable[Operation]) -> frozenset[int]:
    """Numbers of operations that a later one corrects."""
    return frozenset(one.corrects for one in operations if one.corrects is not None)


def in_force(operations: Iterable[Operation]) -> dict[MemberId, list[Operation]]:
    """Of each member what decides their classes, in the order it counts: entering, changes, leaving last."""
    every = list(operations)
    gone = corrected(every)
    found: dict[MemberId, list[Operation]] = {}
    for one in every:
        if one.number not in gone and (one.classes or one.kind is OperationKind.LEAVE):
            found.setdefault(one.member, []).append(one)
    for steps in found.values():
        steps.sort(key=lambda one: (one.effective_us, one.number))
        left = next((n for n, one in enumerate(steps) if one.kind is OperationKind.LEAVE), None)
        if left is not None:  # a change that waited when they left never comes
            del steps[left + 1 :]
    return found


def classes_at(steps: Sequence[Operation], at_us: int) -> tuple[MemberClass, ...]:
    """The classes after the last of these steps that has come; none before the first."""
    now: tuple[MemberClass, ...] = ()
    for one in steps:
        if one.effective_us > at_us:
            break
        now = one.classes
    return now


def people_at(operations: Iterable[Operation], at_us: int) -> dict[MemberId, Person]:
    """Everybody who had come by then, also those who left, with what they held."""
    every = [one for one in operations if one.effective_us <= at_us]
    held: dict[MemberId, dict[str, Holding]] = {}
    for one in effects(every):
        own = held.setdefault(one.member, {})
        before = own.get(one.share_kind, Holding())
        own[one.share_kind] = Holding(before.shares + one.shares, before.paid_minor + one.paid_minor)
    found = {}
    for member, steps in in_force(every).items():
        entered, ceased = _membership(steps)
        own = {kind: one for kind, one in sorted(held.get(member, {}).items()) if one != Holding()}
        found[member] = Person(member, steps[-1].classes, entered, ceased, own)
    return dict(sorted(found.items()))


def _membership(steps: Sequence[Operation]) -> tuple[int | None, int | None]:
    """When they became a member for the last time, and when that ended."""
    entered: int | None = None
    ceased: int | None = None
    was = False
    for one in steps:
        is_one = any(name.is_member for name in one.classes)
        if is_one and not was:
            entered, ceased = one.effective_us, None
        elif was and not is_one:
            ceased = one.effective_us
        was = is_one
    return entered, ceased


def voters_at(operations: Iterable[Operation], at_us: int) -> int:
    """How many votes there are: one a member, whatever their classes and shares."""
    return sum(one.is_member for one in people_at(operations, at_us).values())


def paid_back(held: Holding, quantity: int, par_minor: int) -> int:
    """What was paid on `quantity` of these shares: all that the others do not cover at par."""
    return max(held.paid_minor - (held.shares - quantity) * par_minor, 0)
