"""What follows from a year's inputs. Money in minor units; it works nothing out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from billing.year.inputs import YearInputs


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
    allocations: tuple[YearAllocation, ...]
    settlements: tuple[Settlement, ...]
    interest: Mapping[str, int]
    """Interest on share capital by member, where lots were given."""
    accounts: Mapping[str, int]
    """Account → what it gets (below zero: gives) of the result, but for the members' pool."""
    checks: tuple[YearCheck, ...]
    digest: str

    def step(self, key: str) -> int:
        """The amount of one step; 0 when it was not taken."""
        return sum(step.amount_minor for step in self.steps if step.key == key)
