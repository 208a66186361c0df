"""What the closing of a fiscal year depends on, and nothing else. Money in minor units, all else exact.

It reads nothing: the books or a file of a simulation fill it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from billing.rules.ruleset import Empty, RuleSet

ZERO = Fraction(0)
ONE = Fraction(1)
CUSTOMER = "customer"
"""Whoever buys and is no member; a member's use before joining is a row of this class too."""
USER, WORKER, SUPPORTER = "user", "worker", "supporter"


class Key(StrEnum):
    """By what a class shares its pool."""

    CHARGES = "charges"
    HOURS = "hours"
    """Hours × factor."""
    POINTS = "points"
    """Any other exact measure that the by-laws name: years of service, support received."""
    EQUAL = "equal"


DEFAULT_KEYS: Mapping[str, Key] = {USER: Key.CHARGES, WORKER: Key.HOURS, SUPPORTER: Key.EQUAL}


@dataclass(frozen=True, slots=True)
class Use:
    """What one member did in one class over the year. (id, class) is unique; a member in two classes has two."""

    id: str
    member_class: str
    charges_minor: int = 0
    hours: Fraction = ZERO
    factor: Fraction = ONE
    points: Fraction = ZERO
    minimum: Fraction = ZERO
    """Activity they were obliged to do, in the measure of their class; a loss counts at least that."""
    member: bool = True
    """False for a worker who is no member, where the rule set lets these share."""


@dataclass(frozen=True, slots=True)
class Person:
    """What concerns a member whatever their classes."""

    id: str
    number: int = 0
    """Settles ties, the lower first; then the id does."""
    owed_minor: int = 0
    """Receivables to be set off against what is paid."""
    loss_minor: int = 0
    """Share of earlier losses still to be met from returns."""
    consent: bool = False
    """Consented to take retained patronage into income (26 USC 1388(c)(2))."""
    withhold: bool = False
    joined: str = ""
    left: str = ""


@dataclass(frozen=True, slots=True)
class ShareLot:
    """Share capital held for some days of the year."""

    id: str
    par_minor: int
    rate: Fraction
    days: int


@dataclass(frozen=True, slots=True)
class ShareInterest:
    """Interest on share capital: an amount that was decided, or lots it follows from; never both."""

    amount_minor: int = 0
    lots: tuple[ShareLot, ...] = ()
    days_in_year: int = 365
    reference_rate: Fraction | None = None
    """The published rate that the rule set's cap builds on."""
    public_aid_minor: int = 0


@dataclass(frozen=True, slots=True)
class Reserves:
    """Balances before this closing."""

    compulsory_minor: int = 0
    voluntary_minor: int = 0
    highest_capital_minor: int | None = None
    average: Fraction | None = None
    """Average part of surpluses paid into the compulsory reserve over the last years (Spain, art. 59)."""


class Small(StrEnum):
    """What becomes of an allocation below the minimum amount. It is booked either way."""

    HELD = "held"
    """Its cash part waits until there is more."""
    GIVEN = "given"
    """All of it goes to the community purpose that the rules name."""


@dataclass(frozen=True, slots=True)
class Form:
    """In what form an allocation comes."""

    cash_share: Fraction | None = None
    """None: as the rule set says."""
    nonqualified_share: Fraction = ZERO
    minimum_minor: int = 0
    small: Small = Small.HELD


@dataclass(frozen=True, slots=True)
class YearInputs:
    """Everything that is frozen before a fiscal year is closed."""

    currency: str
    rule_set: RuleSet
    costs_minor: int
    uses: Sequence[Use]
    people: Sequence[Person] = ()
    """Who is missing has nothing special."""
    fiscal_year: str = ""
    fiscal_year_number: int | None = None
    """1 for the first year of the co-op."""
    side_income_minor: int = 0
    non_member_minor: int = 0
    """Revenue from those who are no members and have no row of their own."""
    class_weights: Mapping[str, Fraction] = field(default_factory=lambda: {USER: ONE})
    class_keys: Mapping[str, Key] = field(default_factory=dict)
    """Where a class shares by another key than DEFAULT_KEYS says."""
    empty: Empty | None = None
    """None: as the rule set says."""
    non_member_hours: Fraction | None = None
    """Given: the operating result is split by hours of work instead of revenue."""
    prior_deficit_minor: int = 0
    interest: ShareInterest = ShareInterest()
    resolved: tuple[tuple[str, int], ...] = ()
    """(account, amount) put aside by resolution: reserve:voluntary, fund:education, fund:solidarity, …"""
    reserves: Reserves = Reserves()
    form: Form = Form()
