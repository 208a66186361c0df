"""Rule sets read from TOML or JSON and checked: against their law's limits, and against the whole. Pure.

Raises Refusal that names the key and the rule it breaks.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import TypeVar

from billing.fields import Table, choice
from billing.money import exponent, parse_exact, percent_text
from billing.rules.ruleset import (
    OTHER_NUMBERS,
    Base,
    Bearer,
    CashBase,
    CashRule,
    ClassRule,
    Empty,
    InterestRule,
    Levy,
    LossRule,
    Number,
    Origin,
    Position,
    RuleSet,
    WithholdingRule,
)
from meter.refusal import Refusal
from meter.window import Month, UnknownMonth

ONE = Fraction(1)
RULE_SET_BYTES_MAX = 64 * 1024
_ID = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
_DESTINATION = re.compile(r"(?:reserve|fund):[a-z][a-z0-9-]{0,39}", re.ASCII)
Part = TypeVar("Part")


def parse_rule_set_toml(text: str) -> RuleSet:
    """Read a rule set's file. Raises Refusal."""
    if len(text.encode("utf-8", "surrogateescape")) > RULE_SET_BYTES_MAX:
        raise Refusal(f"rule_set: a file of rules has at most {RULE_SET_BYTES_MAX} bytes")
    try:
        return parse_rule_set(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise Refusal(f"rule_set: is not TOML: {error}") from None


def parse_rule_set(document: object, *, where: str = "rule_set") -> RuleSet:
    """Read and check a rule set. Raises Refusal naming the key that is wrong and the rule it breaks."""
    table = Table(document, where)
    identity = table.text("id")
    if _ID.fullmatch(identity) is None:
        raise Refusal(f"{where}.id: '{identity[:60]}' is no name; use small letters, digits and '-'")
    found = RuleSet(
        id=identity,
        version=table.whole("version", default=1),
        effective_from=_month(table, "effective_from"),
        name=table.text("name"),
        law=table.text("law"),
        decided_by=table.text("decided_by"),
        consent_kinds=table.flag("consent_kinds"),
        levies=tuple(_levy(one) for one in table.tables("levy")),
        target=_part(table, "collective", _number),
        interest=_wanted(table, "interest", _interest),
        classes=_wanted(table, "classes", _classes),
        cash=_wanted(table, "cash", _cash),
        loss=_wanted(table, "loss", _loss),
        withholding=_part(table, "withholding", _withholding),
        notes=table.texts("notes"),
    )
    table.finish()
    check_whole(found, where=where)
    return found


def _month(table: Table, key: str) -> Month:
    try:
        return Month.parse(table.text(key))
    except UnknownMonth as unknown:
        raise Refusal(f"{table.field(key)}: {unknown}") from None


def _part(table: Table, key: str, read: Callable[[Table], Part]) -> Part | None:
    if not table.has(key):
        return None
    part = Table(table.get(key), table.field(key))
    found = read(part)
    part.finish()
    return found


def _wanted(table: Table, key: str, read: Callable[[Table], Part]) -> Part:
    table.get(key)
    found = _part(table, key, read)
    assert found is not None, "a part that must be there was read"
    return found


def _number(table: Table) -> Number:
    least = table.share("least") if table.has("least") else None
    most = table.share("most") if table.has("most") else None
    return within_law(Number(table.share("share"), least, most, table.text("source")), table.field("share"))


def within_law(number: Number, field: str) -> Number:
    """The number, if the law allows it. Raises Refusal that names the limit and where it is written."""
    chosen = percent_text(number.share)
    if number.least is not None and number.share < number.least:
        raise Refusal(
            f"{field}: {chosen} is less than the law's {percent_text(number.least)} ({number.source})"
        )
    if number.most is not None and number.share > number.most:
        raise Refusal(
            f"{field}: {chosen} is more than the law's {percent_text(number.most)} ({number.source})"
        )
    return number


def _levy(table: Table) -> Levy:
    key, to = table.text("key"), table.text("to")
    if _KEY.fullmatch(key) is None:
        raise Refusal(f"{table.field('key')}: '{key[:60]}' is no name; use small letters, digits and '_'")
    if key in OTHER_NUMBERS:
        raise Refusal(f"{table.field('key')}: '{key}' is the name of another number; choose one of its own")
    if _DESTINATION.fullmatch(to) is None:
        raise Refusal(
            f"{table.field('to')}: '{to[:60]}' is no account of a reserve or fund, like reserve:compulsory"
        )
    found = Levy(
        key=key,
        words=table.text("words"),
        origin=choice(Origin, table, "from"),
        base=choice(Base, table, "of"),
        number=_number(table),
        to=to,
        until_highest_capital=table.flag("until_highest_capital"),
    )
    table.finish()
    return found


def _interest(table: Table) -> InterestRule:
    over = _part(table, "over_reference", _number)
    return InterestRule(
        position=choice(Position, table, "position"),
        cap=_part(table, "cap", _number),
        over_reference=over,
        reference=table.text("reference") if over is not None else "",
        without_public_aid=table.flag("without_public_aid"),
        within_worker_part=table.flag("within_worker_part"),
        source=table.text("source"),
    )


def _classes(table: Table) -> ClassRule:
    return ClassRule(
        sharing=frozenset(table.texts("sharing")),
        empty=choice(Empty, table, "empty"),
        investors=_part(table, "investors", _number),
        workers=_part(table, "workers", _number),
        workers_need_not_be_members=table.flag("workers_need_not_be_members"),
        source=table.text("source"),
    )


def _cash(table: Table) -> CashRule:
    base = choice(CashBase, table, "of", CashBase.ALLOCATION)
    # Whether a percentage of the qualified part is kept depends on how large that part is: year/form.py.
    number = _number(table) if base is CashBase.ALLOCATION else _unbounded(table)
    return CashRule(number, base, table.flag("setoff_is_cash"))


def _unbounded(table: Table) -> Number:
    return Number(table.share("share"), table.share("least"), None, table.text("source"))


def _loss(table: Table) -> LossRule:
    return LossRule(
        members=_wanted(table, "members", _number),
        first_years=table.whole("first_years", default=0),
        rest=choice(Bearer, table, "rest"),
        compulsory_reserve=_wanted(table, "compulsory_reserve", _number),
        average_years=table.whole("average_years", default=0),
        source=table.text("source"),
    )


def _withholding(table: Table) -> WithholdingRule:
    currency = table.text("currency")
    exponent(currency)
    above = parse_exact(table.text("above"), field=table.field("above"))
    return WithholdingRule(_number(table), above, currency)


def with_percentages(rules: RuleSet, chosen: Mapping[str, Fraction]) -> RuleSet:
    """The rule set with other percentages, each named by its key. Raises Refusal for what the law does not allow."""
    numbers = rules.numbers()
    for key, share in chosen.items():
        if key not in numbers:
            near = difflib.get_close_matches(key, numbers, n=1)
            meant = f"did you mean '{near[0]}'?" if near else f"{rules.id} has {', '.join(numbers)}"
            raise Refusal(f"percentages.{key[:60]}: is unknown; {meant}")
        if share > ONE:
            raise Refusal(f"percentages.{key}: {percent_text(share)} is more than the whole, 100 %")
        numbers[key] = within_law(replace(numbers[key], share=share), f"percentages.{key}")
    changed = _with_numbers(rules, numbers)
    check_whole(changed, where="percentages")
    return changed


def _with_numbers(rules: RuleSet, numbers: Mapping[str, Number]) -> RuleSet:
    held = rules.withholding
    return replace(
        rules,
        levies=tuple(replace(levy, number=numbers[levy.key]) for levy in rules.levies),
        target=numbers.get("collective_target"),
        interest=replace(
            rules.interest,
            cap=numbers.get("interest_cap"),
            over_reference=numbers.get("interest_over_reference"),
        ),
        classes=replace(
            rules.classes, investors=numbers.get("investors_most"), workers=numbers.get("workers_least")
        ),
        cash=replace(rules.cash, number=numbers["cash_share"]),
        loss=replace(
            rules.loss,
            members=numbers["loss_of_members"],
            compulsory_reserve=numbers["loss_from_compulsory_reserve"],
        ),
        withholding=None if held is None else replace(held, number=numbers["withholding"]),
    )


def check_whole(rules: RuleSet, *, where: str) -> None:
    """Refuse levies that take more than there is, and class limits that cannot both be kept."""
    for origin in Origin:
        left, taken = ONE, Fraction(0)
        for levy in (one for one in rules.levies if one.origin is origin):
            part = levy.number.share * (ONE if levy.base is Base.SURPLUS else max(left, Fraction(0)))
            left, taken = left - part, taken + part
            if left < 0:
                raise Refusal(
                    f"{where}: {levy.key} and what is taken before it come to {percent_text(taken)} of the"
                    f" {origin.value}' surplus; percentages may not exceed the whole"
                )
        workers = rules.classes.workers
        if origin is Origin.MEMBERS and workers is not None and workers.share > left:
            raise Refusal(
                f"{where}: reserves of {percent_text(taken)} leave less than the {percent_text(workers.share)}"
                " that workers get at least; percentages may not exceed the whole"
            )
    keys = [levy.key for levy in rules.levies]
    if len(set(keys)) < len(keys):
        raise Refusal(f"{where}.levy: two levies have one key; each has its own")
