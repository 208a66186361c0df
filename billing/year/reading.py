"""A simulation's JSON into a year's inputs, exactly: whole numbers and texts only, never a number with a fraction.

Raises Refusal that names the field and the rule. It is handed the bytes, and the shelf where rule sets stand.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction

from billing.fields import Inexact, Table, choice
from billing.money import exponent
from billing.rules.ruleset import Empty, RuleSet
from billing.rules.text import parse_rule_set, with_percentages
from billing.year.inputs import (
    SUPPORTER,
    USER,
    WORKER,
    ZERO,
    Form,
    Key,
    Reserves,
    ShareInterest,
    ShareLot,
    Small,
    Use,
    YearInputs,
)
from billing.year.register import Register, read_members
from meter.refusal import Refusal

SIMULATION_BYTES_MAX = 64 * 1024 * 1024
_DIGITS_MAX = 40
PLAIN = "plain"
"""What a file that names no rule set means."""
Shelf = Callable[[str], RuleSet]


def read_simulation(content: bytes, shelf: Shelf) -> YearInputs:
    """Read and check a file of `weir simulate`. Raises Refusal."""
    return inputs_of(_document(content), shelf)


def inputs_of(document: object, shelf: Shelf) -> YearInputs:
    """The same of JSON that is read already, of any size. Raises Refusal."""
    table = Table(document, "")
    currency = _currency(table)
    rules = _rules(table, shelf)
    keys = _keys(table)
    register = read_members(table, currency, keys)
    weights = _weights(table, register)
    empty = choice(Empty, table, "empty_class") if table.has("empty_class") else None
    if empty is None:
        _refuse_missing_classes(weights, register.uses)
    inputs = YearInputs(
        currency=currency,
        rule_set=rules,
        costs_minor=table.amount("costs", currency),
        uses=register.uses,
        people=register.people,
        fiscal_year=table.text("fiscal_year") if table.has("fiscal_year") else "",
        fiscal_year_number=_year_number(table),
        side_income_minor=table.amount("side_income", currency),
        non_member_minor=table.amount("non_member_revenue", currency),
        class_weights=weights,
        class_keys=keys,
        empty=empty,
        non_member_hours=table.exact("non_member_hours") if table.has("non_member_hours") else None,
        prior_deficit_minor=table.amount("prior_deficit", currency),
        interest=_interest(table, currency),
        resolved=_resolved(table, currency),
        reserves=_reserves(table.table("reserves"), currency),
        form=_form(table, currency),
    )
    table.finish()
    return inputs


def _document(content: bytes) -> object:
    if len(content) > SIMULATION_BYTES_MAX:
        raise Refusal(f"the file has more than {SIMULATION_BYTES_MAX} bytes, the most a simulation may have")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal(f"the file is not UTF-8 text: byte {error.start} is wrong") from None
    try:
        return json.loads(
            text, parse_float=Inexact, parse_constant=Inexact, parse_int=_whole, object_pairs_hook=_once
        )
    except json.JSONDecodeError as error:
        raise Refusal(
            f"the file is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except RecursionError:
        raise Refusal("the file is not a simulation: it is nested too deep") from None


def _whole(text: str) -> int | Inexact:
    return int(text) if len(text) <= _DIGITS_MAX else Inexact(text)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Refusal(f"{twice[:60]}: stands there twice; each key is given once")
    return found


def _currency(table: Table) -> str:
    currency = table.text("currency")
    try:
        exponent(currency)
    except Refusal as refusal:
        raise Refusal(f"currency: {refusal}") from None
    return currency


def _rules(table: Table, shelf: Shelf) -> RuleSet:
    given = table.get("rule_set") if table.has("rule_set") else PLAIN
    if isinstance(given, dict):
        rules = parse_rule_set(given)
    else:
        rules = shelf(table.text("rule_set") if table.has("rule_set") else PLAIN)
    percentages = table.table("percentages")
    chosen = {key: percentages.exact(key) for key in percentages.keys()}  # noqa: SIM118  a Table, not a dict
    return with_percentages(rules, chosen) if chosen else rules


def _keys(table: Table) -> dict[str, Key]:
    keys = table.table("class_keys")
    return {name: choice(Key, keys, name) for name in keys.keys()}  # noqa: SIM118  a Table, not a dict


def _weights(table: Table, register: Register) -> dict[str, Fraction]:
    """Weights as given; one class that shares needs none."""
    weights = table.table("class_weights")
    given = {name: weights.exact(name) for name in weights.keys()}  # noqa: SIM118  a Table, not a dict
    if table.has("class_weights"):
        return given
    there = {use.member_class for use in register.uses}
    sharing = sorted(there & {USER, WORKER}) or sorted(there & {SUPPORTER})
    if len(sharing) > 1:
        raise Refusal(
            f"class_weights: is missing, and {' and '.join(sharing)} share;"
            ' say in which ratio, for example {"user": 80, "worker": 20}'
        )
    return {name: Fraction(1) for name in sharing or [USER]}


def _refuse_missing_classes(weights: dict[str, Fraction], uses: tuple[Use, ...]) -> None:
    there = {use.member_class for use in uses}
    for name, weight in weights.items():
        if weight and name not in there and there:
            raise Refusal(
                f"class_weights.{name}: no member is of this class; leave it out, or say with empty_class"
                f" whether its part goes to the {Empty.OTHERS.value} or to the {Empty.RESERVE.value}"
            )


def _year_number(table: Table) -> int | None:
    if not table.has("fiscal_year_number"):
        return None
    number = table.exact("fiscal_year_number")
    if number.denominator != 1 or number < 1:
        raise Refusal(
            "fiscal_year_number: a whole number of 1 or more is wanted here; 1 is the co-op's first year"
        )
    return int(number)


def _interest(table: Table, currency: str) -> ShareInterest:
    lots = tuple(_lot(one, currency) for one in table.tables("share_lots"))
    return ShareInterest(
        amount_minor=table.amount("share_interest", currency),
        lots=lots,
        days_in_year=_days(table, "days_in_year", default=365),
        reference_rate=table.exact("reference_rate") if table.has("reference_rate") else None,
        public_aid_minor=table.amount("public_aid", currency),
    )


def _lot(table: Table, currency: str) -> ShareLot:
    table.get("par")
    found = ShareLot(
        table.text("member"), table.amount("par", currency), table.decimal("rate"),
        _days(table, "days", default=None),
    )  # fmt: skip
    table.finish()
    return found


def _days(table: Table, key: str, *, default: int | None) -> int:
    number = table.exact(key, None if default is None else Fraction(default))
    if number.denominator != 1:
        raise Refusal(f"{table.field(key)}: a whole number of days is wanted here")
    return int(number)


def _resolved(table: Table, currency: str) -> tuple[tuple[str, int], ...]:
    found = [("reserve:voluntary", table.amount("voluntary_reserve", currency))]
    funds = table.table("funds")
    named = {name: funds.amount(name, currency) for name in sorted(funds.keys())}
    for name in ("education", "solidarity"):
        amount = table.amount(name, currency)
        if amount and name in named:
            raise Refusal(f"{name}: stands in funds too; give it once")
        named = {name: amount, **named} if amount else named
    for name in named:
        if not name.isascii() or not name.replace("-", "").isalnum() or name != name.lower():
            raise Refusal(f"funds.{name[:60]}: is no fund's name; use small letters, digits and '-'")
    found += [(f"fund:{name}", amount) for name, amount in named.items()]
    return tuple((account, amount) for account, amount in found if amount)


def _reserves(table: Table, currency: str) -> Reserves:
    found = Reserves(
        compulsory_minor=table.amount("compulsory", currency),
        voluntary_minor=table.amount("voluntary", currency),
        highest_capital_minor=table.amount("highest_capital", currency)
        if table.has("highest_capital")
        else None,
        average=table.share("average") if table.has("average") else None,
    )
    table.finish()
    return found


def _form(table: Table, currency: str) -> Form:
    return Form(
        cash_share=table.exact("cash_share") if table.has("cash_share") else None,
        nonqualified_share=table.exact("nonqualified_share", ZERO),
        minimum_minor=table.amount("minimum_amount", currency),
        small=choice(Small, table, "below_minimum", Small.HELD),
    )
