"""What members choose within their rule set: weights of classes, the cash part, rates on shares, how they vote. Pure.

A TOML file with the keys that `weir simulate` knows. Percentages and weights are exact texts. Whether the rule set
allows them is asked of the year's closing itself, on a year in which nothing happened.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from billing.fields import Table, choice
from billing.governance.decisions import Choice
from billing.money import parse_amount, parse_exact
from billing.rules.ruleset import Empty, RuleSet
from billing.rules.text import parse_rule_set_toml
from billing.rules.voting import VotingChoice, read_choice, voting_rules
from billing.year.closing import close_year
from billing.year.inputs import CUSTOMER, USER, Form, Key, Small, Use, YearInputs
from meter.refusal import Refusal

CHOICES_BYTES_MAX = 64 * 1024
NO_CURRENCY = "EUR"
"""Amounts of a choice are read in the currency of the books; this one only while there is no tariff at all."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What was chosen; where nothing was, the rule set's own figure counts."""

    class_weights: Mapping[str, Fraction] = field(default_factory=lambda: {USER: Fraction(1)})
    class_keys: Mapping[str, Key] = field(default_factory=dict)
    empty: Empty | None = None
    form: Form = field(default_factory=Form)
    share_rates: Mapping[str, Fraction] = field(default_factory=dict)
    """Kind of shares → interest a year. A kind that is not named earns none."""
    voting: VotingChoice = field(default_factory=VotingChoice)


def parse_choices(text: str, *, currency: str) -> Choices:
    """Read a file of choices; an empty one chooses nothing. Raises Refusal naming the key."""
    if len(text.encode("utf-8", "surrogateescape")) > CHOICES_BYTES_MAX:
        raise Refusal(f"choices: a file has at most {CHOICES_BYTES_MAX} bytes")
    try:
        table = Table(tomllib.loads(text), "")
    except tomllib.TOMLDecodeError as error:
        raise Refusal(f"choices: is not TOML: {error}") from None
    weights = _exacts(table, "class_weights")
    keys = Table(table.get("class_keys"), "class_keys") if table.has("class_keys") else None
    found = Choices(
        class_weights=weights or {USER: Fraction(1)},
        class_keys={} if keys is None else {name: choice(Key, keys, name) for name in _names(table, "class_keys")},
        empty=choice(Empty, table, "empty_class") if table.has("empty_class") else None,
        form=Form(
            cash_share=table.share("cash_share") if table.has("cash_share") else None,
            nonqualified_share=table.share("nonqualified_share") if table.has("nonqualified_share") else Fraction(0),
            minimum_minor=parse_amount(table.text("minimum_amount"), currency, field="minimum_amount")
            if table.has("minimum_amount")
            else 0,
            small=choice(Small, table, "below_minimum", Small.HELD),
        ),
        share_rates=_exacts(table, "share_rates"),
        voting=read_choice(table.table("voting")),
    )  # fmt: skip
    table.finish()
    return found


def _names(table: Table, key: str) -> list[str]:
    value = table.get(key)
    if not isinstance(value, Mapping):
        raise Refusal(f"{key}: a table of names and values is wanted here")
    return [str(name) for name in value]


def _exacts(table: Table, key: str) -> dict[str, Fraction]:
    if not table.has(key):
        return {}
    inner, found = Table(table.get(key), key), {}
    for name in _names(table, key):
        value = inner.get(name)
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise Refusal(f'{inner.field(name)}: a whole number or an exact text like "0.30" is wanted here')
        found[name] = parse_exact(str(value), field=inner.field(name))
    return found


def check_choices(choices: Choices, rules: RuleSet, *, currency: str) -> None:
    """Refuse what the rule set does not allow: a year without any business is closed by it. Raises Refusal."""
    voting_rules(rules.id, choices.voting)
    uses = tuple(Use("1", name) for name in sorted({USER, *choices.class_weights} - {CUSTOMER}))
    close_year(
        YearInputs(
            currency=currency, rule_set=rules, costs_minor=0, uses=uses, class_weights=choices.class_weights,
            class_keys=choices.class_keys, empty=choices.empty, form=choices.form,
        )
    )  # fmt: skip


def rules_of(chosen: Choice, *, currency: str) -> tuple[RuleSet, Choices]:
    """A stored choice read back: the rules as they were then, and what was chosen within them. Raises Refusal."""
    return parse_rule_set_toml(chosen.document), parse_choices(chosen.choices, currency=currency)
