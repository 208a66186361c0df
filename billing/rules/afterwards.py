"""Rules of what comes after a year's closing, from one dated file: deadlines, exits, unclaimed money.

It knows how the rules are written and that each has a source; it works nothing out with them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from billing.capital.lots import percent, share
from billing.ledger.entry import Account
from meter.refusal import Refusal

RULES = Path(__file__).with_name("afterwards.toml")
APPROVAL = "approval"
"""What a deadline counts from when it counts from the day the members approve the accounts."""
RESOLUTION_RATE = "resolution"
"""The name of a rate that no law names: the resolution says it."""


class InterestOn(StrEnum):
    """On what a debt to somebody who left bears interest."""

    YEAR_END = "year-end"
    """A year's interest on what stands at each fiscal year's end, before that year's instalment."""
    OUTSTANDING = "outstanding"
    """On what is still owed, for as long as it is owed."""


@dataclass(frozen=True, slots=True)
class DeadlineRule:
    """A date counted from a fiscal year's end, or from another date."""

    name: str
    what: str
    source: str
    months: int = 0
    day: int = 0
    """Of that month; 0 is the same day of the month, or its last."""
    days: int = 0
    after: str = ""
    """Another deadline's name, or "approval"; empty is the fiscal year's end."""


@dataclass(frozen=True, slots=True)
class ExitRule:
    """How what a leaver had in the co-op becomes a debt."""

    years_max: int
    """0: no law sets one; the resolution does."""
    rate: str
    margin: Fraction
    interest: InterestOn
    heirs_years_max: int
    part_each_year_min: Fraction
    deduction_max: Fraction
    deduction_to: Account
    source: str


@dataclass(frozen=True, slots=True)
class SolvencyRule:
    """Capital and shares are paid back only while the co-op can meet its debts as they fall due."""

    covers_shares: bool
    """Whether what it has must also cover all that it owes and the paid shares."""
    source: str


@dataclass(frozen=True, slots=True)
class UnclaimedRule:
    """When money that was made payable counts as unclaimed, and where it goes then."""

    years: int
    list_from: str
    destination: Account
    source: str


@dataclass(frozen=True, slots=True)
class Afterwards:
    """The rules of one rule set."""

    rule_set: str
    version: str
    deadlines: tuple[DeadlineRule, ...]
    exit: ExitRule
    discounting: bool
    """Whether an estate may take the present value now."""
    estate_source: str
    money_min: Fraction | None
    """The part of an allocation that is money where its notice is to be qualified; None: there is no such thing."""
    solvency: SolvencyRule | None
    """None: the rule set asks for no test before paying back."""


def rule_sets() -> tuple[str, ...]:
    """Every rule set there is, by its id."""
    return tuple(name for name, one in _file().items() if isinstance(one, dict) and name != "unclaimed")


def afterwards(rule_set: str) -> Afterwards:
    """The rules of a rule set. Raises Refusal for an id that is none."""
    if rule_set not in rule_sets():
        raise Refusal(f"rule set: '{rule_set[:40]}' is not one of {', '.join(rule_sets())}")
    found: Mapping[str, Any] = _file()[rule_set]
    return Afterwards(
        rule_set=rule_set,
        version=str(_file()["version"]),
        deadlines=tuple(DeadlineRule(**one) for one in found.get("deadline", ())),
        exit=_exit_rule(found["exit"]),
        discounting=bool(found["estate"]["discounting"]),
        estate_source=str(found["estate"]["source"]),
        money_min=share(found["notice"]["money_min"], field="money_min") if "notice" in found else None,
        solvency=SolvencyRule(**found["solvency"]) if "solvency" in found else None,
    )


def unclaimed_rules() -> tuple[str, ...]:
    """Every rule for unclaimed money, by its name."""
    return tuple(_file()["unclaimed"])


def unclaimed_rule(name: str) -> UnclaimedRule:
    """One of them. Raises Refusal for a name that is none."""
    found = _file()["unclaimed"].get(name)
    if found is None:
        raise Refusal(f"rule: '{name[:40]}' is not one of {', '.join(unclaimed_rules())}")
    return UnclaimedRule(found["years"], found["list_from"], Account(found["destination"]), found["source"])


def _exit_rule(found: Mapping[str, Any]) -> ExitRule:
    return ExitRule(
        years_max=found["years_max"],
        rate=found["rate"],
        margin=percent(found.get("margin", "0"), field="margin"),
        interest=InterestOn(found["interest"]),
        heirs_years_max=found.get("heirs_years_max", 0),
        part_each_year_min=share(found.get("part_each_year_min", "0"), field="part_each_year_min"),
        deduction_max=percent(found.get("deduction_max", "0"), field="deduction_max"),
        deduction_to=Account(found.get("deduction_to", "collective:main")),
        source=found["source"],
    )


@cache
def _file() -> dict[str, Any]:
    return tomllib.loads(RULES.read_text("utf-8"))
