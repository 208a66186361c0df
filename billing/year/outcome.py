"""What follows from a year's inputs. Money in minor units; it works nothing out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import compress
from typing import Any, ClassVar, NamedTuple

from billing.year.columns import Columns
from billing.year.inputs import YearInputs
from billing.year.roll import Roll


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the closing, in the order it was taken."""

    key: str
    name: str
    formula: str
    """In words."""
    amount_minor: int


class YearAllocation(NamedTuple):
    """One member's share through one class; below zero where a loss is shared. Invariant: cash + retained = amount."""

    id: str
    member_class: str
    weight: Fraction | int
    """Their own measure: charges in minor units, hours × factor, points or 1."""
    amount_minor: int
    cash_minor: int
    retained_minor: int
    qualified_minor: int
    nonqualified_minor: int
    """Parts of what is retained; both 0 where the rule set knows no such kinds."""


class Settlement(NamedTuple):
    """What becomes of all a member was allocated; who was allocated nothing has none. Invariant: withheld + set off + given + held + paid = cash."""

    id: str
    amount_minor: int
    cash_minor: int
    retained_minor: int
    loss_met_minor: int
    """Part of what is retained: it meets the member's share of an earlier loss."""
    withheld_minor: int
    set_off_minor: int
    given_minor: int
    held_minor: int
    paid_minor: int


@dataclass(frozen=True, slots=True, eq=False)
class Allocations(Columns[YearAllocation]):
    """Who gets what through which class, in the order of the roll and of classes."""

    row: ClassVar[Any] = YearAllocation
    ids: Sequence[str]
    classes: Sequence[str]
    weights: Sequence[Fraction | int]
    amounts: Sequence[int]
    cash: list[int]
    retained: list[int]
    qualified: list[int]
    nonqualified: list[int]


@dataclass(frozen=True, slots=True)
class Settlements:
    """What becomes of what members were allocated: a place for everybody on the roll, zeros for who got nothing.

    Read as rows, those who got nothing are left out.
    """

    ids: Sequence[str]
    amounts: list[int]
    cash: list[int]
    retained: list[int]
    losses_met: list[int]
    withheld: list[int]
    set_off: list[int]
    given: list[int]
    held: list[int]
    paid: list[int]
    qualified: list[int]
    """Of what is retained, over all classes; no part of a row."""
    nonqualified: list[int]

    def lines(self) -> tuple[list[int], ...]:
        """The columns of amounts of a row, in its order."""
        return (
            self.amounts, self.cash, self.retained, self.losses_met, self.withheld, self.set_off, self.given,
            self.held, self.paid,
        )  # fmt: skip

    def __iter__(self) -> Iterator[Settlement]:
        return map(Settlement, *(compress(column, self.amounts) for column in (self.ids, *self.lines())))


@dataclass(frozen=True, slots=True)
class YearCheck:
    """A sum worked out in two ways."""

    name: str
    left: int
    right: int
    figures: str = ""
    """The sum written out."""

    @property
    def agree(self) -> bool:
        """No tolerance."""
        return self.left == self.right


@dataclass(frozen=True, slots=True)
class YearClosing:
    """Everything that follows. Invariant: accounts' amounts and the pool sum to the result."""

    inputs: YearInputs
    steps: tuple[Step, ...]
    result_minor: int
    """Members' and others' together, before anything is taken."""
    member_result_minor: int
    non_member_result_minor: int
    collective_minor: int
    """To the collective account by source: non-member result and side income, less what it bears of a loss."""
    pool_minor: int
    """What members share; below zero for a loss."""
    class_pools: Mapping[str, int]
    roll: Roll
    allocations: Allocations
    settlements: Settlements
    interest: Mapping[str, int]
    """Interest on share capital by member, where lots were given."""
    accounts: Mapping[str, int]
    """Account → what it gets (below zero: gives) of the result, but for the members' pool."""
    checks: tuple[YearCheck, ...]
    digest: str

    def step(self, key: str) -> int:
        """The amount of one step; 0 when it was not taken."""
        return sum(step.amount_minor for step in self.steps if step.key == key)
