"""The rule sets that come with the program: their files in billing/rules/sets, found by id."""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path

from billing.rules.ruleset import RuleSet
from billing.rules.text import parse_rule_set_toml
from meter.refusal import Refusal

DIRECTORY = Path(__file__).with_name("sets")


@cache
def rule_set_ids() -> tuple[str, ...]:
    """Every id, in alphabetical order."""
    return tuple(sorted(path.stem for path in DIRECTORY.glob("*.toml")))


def rule_set_text(identity: str) -> str:
    """The file of a rule set. Raises Refusal that names the nearest id."""
    if identity not in rule_set_ids():
        near = difflib.get_close_matches(identity, rule_set_ids(), n=1)
        meant = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(rule_set_ids())}"
        raise Refusal(f"rule_set: '{identity[:60]}' is unknown; {meant}")
    return DIRECTORY.joinpath(f"{identity}.toml").read_text("utf-8")


@cache
def rule_set(identity: str) -> RuleSet:
    """A rule set by its id. Raises Refusal."""
    return parse_rule_set_toml(rule_set_text(identity))
