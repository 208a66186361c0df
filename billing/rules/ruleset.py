"""The rules by which a year is closed at some place: dated, versioned data. Pure.

Every number names its source, and the least or most that the law allows stands beside what was chosen. There is no
percentage in the code; text.py reads and checks them. It knows no member.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from meter.window import Month

OTHER_NUMBERS = (
    "collective_target",
    "interest_cap",
    "interest_over_reference",
    "investors_most",
    "workers_least",
    "cash_share",
    "loss_of_members",
    "loss_from_compulsory_reserve",
    "withholding",
)
"""Keys of the numbers that are no levy's."""


class Origin(StrEnum):
    """Whose result a levy is taken from."""

    MEMBERS = "members"
    OTHERS = "others"
    """What was earned with non-members, and side income."""


class Base(StrEnum):
    """What a levy's percentage is of."""

    SURPLUS = "surplus"
    REST = "rest"
    """What the levies before it left."""


class Position(StrEnum):
    """When interest on share capital is taken."""

    BEFORE_RESERVES = "before_reserves"
    AFTER_RESERVES = "after_reserves"
    BESIDE_PATRONAGE = "beside_patronage"
    """In addition to patronage: from what was earned with others (26 USC 1388(a), last sentence)."""


class Empty(StrEnum):
    """What becomes of the share of a class in which nobody has anything to share by."""

    RESERVE = "reserve"
    OTHERS = "others"


class CashBase(StrEnum):
    """What the least cash part is a percentage of."""

    ALLOCATION = "allocation"
    QUALIFIED = "qualified"
    """An allocation without its nonqualified part: 26 CFR 1.1388-1(c)(1)."""


class Bearer(StrEnum):
    """Who bears what the members do not bear of a loss."""

    COLLECTIVE = "collective"
    CARRIED = "carried"
    """Nobody yet: it is met from the surpluses of coming years."""


@dataclass(frozen=True, slots=True)
class Number:
    """One percentage: what was chosen, what the law allows, and where that is written."""

    share: Fraction
    least: Fraction | None
    most: Fraction | None
    source: str


@dataclass(frozen=True, slots=True)
class Levy:
    """A compulsory part of a surplus, rounded up, for its percentage is a minimum."""

    key: str
    words: str
    origin: Origin
    base: Base
    number: Number
    to: str
    """The account that takes it."""
    until_highest_capital: bool
    """Only until the compulsory reserve is as high as the capital ever was."""


@dataclass(frozen=True, slots=True)
class InterestRule:
    """Limited return on share capital."""

    position: Position
    cap: Number | None
    over_reference: Number | None
    """Points above a rate that is published elsewhere; with a cap too, the greater of the two counts."""
    reference: str
    without_public_aid: bool
    within_worker_part: bool
    source: str


@dataclass(frozen=True, slots=True)
class ClassRule:
    """Which classes share, and what becomes of an empty one."""

    sharing: frozenset[str]
    empty: Empty
    investors: Number | None
    """Supporters together at most."""
    workers: Number | None
    """Workers together at least, of the surplus after prior losses."""
    workers_need_not_be_members: bool
    source: str


@dataclass(frozen=True, slots=True)
class CashRule:
    """The part of an allocation that is paid, rounded up."""

    number: Number
    base: CashBase
    setoff_is_cash: bool
    """Whether a credit against what a member owes counts towards the least cash part."""


@dataclass(frozen=True, slots=True)
class LossRule:
    """Reserves first, then members and the rest."""

    members: Number
    first_years: int
    """Years from founding on, of whose losses the members bear nothing."""
    rest: Bearer
    compulsory_reserve: Number
    """Of a loss at most this part is met from the compulsory reserve."""
    average_years: int
    """Not 0: the average part of the surpluses of so many years that went there takes the place of that part."""
    source: str


@dataclass(frozen=True, slots=True)
class WithholdingRule:
    """Tax held back from what a member is paid."""

    number: Number
    above: Fraction
    """Of what is above this amount in major units."""
    currency: str


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Everything a closing takes from the law and the by-laws of a place."""

    id: str
    version: int
    effective_from: Month
    name: str
    law: str
    decided_by: str
    consent_kinds: bool
    """Whether retained parts are qualified or nonqualified, by the member's consent (US)."""
    levies: tuple[Levy, ...]
    target: Number | None
    """The least part of the whole result that the collective account must get; topped up from the members' part."""
    interest: InterestRule
    classes: ClassRule
    cash: CashRule
    loss: LossRule
    withholding: WithholdingRule | None
    notes: tuple[str, ...]

    def numbers(self) -> dict[str, Number]:
        """Every percentage by the key that names it, in the order of the closing."""
        values = (
            self.target,
            self.interest.cap,
            self.interest.over_reference,
            self.classes.investors,
            self.classes.workers,
            self.cash.number,
            self.loss.members,
            self.loss.compulsory_reserve,
            None if self.withholding is None else self.withholding.number,
        )
        others = zip(OTHER_NUMBERS, values, strict=True)
        return {levy.key: levy.number for levy in self.levies} | {
            key: number for key, number in others if number is not None
        }
