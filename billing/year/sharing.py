"""Steps 8 and 9 of a closing: the pool to the classes, each class's part to its members; a loss likewise.

Largest remainder on exact numbers both times; ties by class name, and by member number and id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from billing.money import (
    apportion_exact,
    apportion_exact_in_order,
    ceil_share,
    floor_share,
    percent_text,
    plain_number,
)
from billing.rules.ruleset import Empty
from billing.year.columns import Uses
from billing.year.course import Course
from billing.year.inputs import (
    CUSTOMER,
    DEFAULT_KEYS,
    ONE,
    SUPPORTER,
    USER,
    WORKER,
    ZERO,
    Key,
    YearInputs,
)
from meter.refusal import Refusal

KNOWN = (USER, WORKER, SUPPORTER)


class Measures(NamedTuple):
    """What the members of one class share by, in the order of the roll."""

    rows: Sequence[int]
    """The places of their uses on the roll."""
    weights: Sequence[Fraction | int]


class Shared(NamedTuple):
    """A pool shared out. Invariant: pools and unshared sum to what was to be shared."""

    pools: dict[str, int]
    amounts: dict[str, list[int]]
    """Class → amount of each of its measures; none of a class that gets nothing."""
    measures: dict[str, Measures]
    unshared_minor: int
    """Parts of classes that cannot have them and whose part goes to no other class."""


def share_out(course: Course, amount: int, *, surplus: int) -> Shared:
    """Share a pool, or a loss when it is below zero. `surplus`: what the workers' least part is a percentage of."""
    measures = measures_of(course, loss=amount < 0)
    weights = {name: weight for name, weight in course.inputs.class_weights.items() if weight}
    full = {name for name in weights if may_share(course, name) and _any(measures, name)}
    least = _workers_least(course, measures, surplus) if amount > 0 else 0
    if least:
        full.add(WORKER)
    _say_who_does_not_share(course, set(weights) - full)
    if not full or not amount:
        return Shared(dict.fromkeys(sorted(full), 0), {}, measures, amount)
    empty = course.inputs.empty or course.rules.classes.empty
    having = full | set(weights) if empty is Empty.RESERVE else full
    drawing = {name: weights.get(name, ZERO) for name in having}
    parts = _parts(course, amount, drawing, least)
    pools = {name: part for name, part in sorted(parts.items()) if name in full}
    amounts = {name: apportion_exact_in_order(pool, measures[name].weights) for name, pool in pools.items()}
    return Shared(pools, amounts, measures, amount - sum(pools.values()))


def _say_who_does_not_share(course: Course, names: set[str]) -> None:
    empty = course.inputs.empty or course.rules.classes.empty
    goes = "the other classes" if empty is Empty.OTHERS else "the reserve"
    for name in sorted(names):
        if may_share(course, name):
            formula = f"nobody in it has anything to share by; its part goes to {goes}"
        else:
            formula = f"{course.rules.classes.source}; its part goes to {goes}"
        course.note(f"empty_{name}", f"class {name} does not share", formula, 0)


def may_share(course: Course, member_class: str) -> bool:
    """Whether the rule set lets a class share; a class of the by-laws' own name always may."""
    return member_class in course.rules.classes.sharing or member_class not in (*KNOWN, CUSTOMER)


def _any(measures: Mapping[str, Measures], name: str) -> bool:
    """Whether anybody in a class has anything to share by."""
    return name in measures and any(measures[name].weights)


def _workers_least(course: Course, measures: Mapping[str, Measures], surplus: int) -> int:
    rule = course.rules.classes.workers
    if rule is None or not _any(measures, WORKER):
        return 0
    return ceil_share(surplus, rule.share)


def _parts(course: Course, amount: int, drawing: Mapping[str, Fraction], least: int) -> dict[str, int]:
    """Each class's part by weight; workers get at least theirs, supporters at most theirs."""
    if least and least > amount:
        currency = course.inputs.currency
        rule = course.rules.classes.workers
        assert rule is not None, "a least part has its rule"
        raise Refusal(
            f"voluntary_reserve: with interest and what is put aside, {plain_number(amount, currency)} is left,"
            f" and workers get at least {percent_text(rule.share)}, {plain_number(least, currency)} ({rule.source})"
        )
    weights = drawing if any(drawing.values()) else {WORKER: ONE}
    parts = apportion_exact(amount, weights)
    if least and parts[WORKER] < least:
        others = {name: weight for name, weight in weights.items() if name != WORKER}
        parts = apportion_exact(amount - least, others) | {WORKER: least}
    investors = course.rules.classes.investors
    if investors is not None and amount > 0 and SUPPORTER in parts:
        parts[SUPPORTER] = min(parts[SUPPORTER], floor_share(amount, investors.share))
    return parts


def measures_of(course: Course, *, loss: bool) -> dict[str, Measures]:
    """Class → what its members share by; of a loss at least the activity they were obliged to."""
    uses = course.roll.uses
    found = {}
    for name in sorted(set(uses.classes) - {CUSTOMER}):
        rows = [row for row, own in enumerate(uses.classes) if own == name]
        weights = _weights(uses if len(rows) == len(uses) else uses.picked(rows), key_of(course.inputs, name))
        if loss:
            weights = [max(weight, uses.minimums[row]) for row, weight in zip(rows, weights, strict=True)]
        found[name] = Measures(rows, weights)
    return found


def key_of(inputs: YearInputs, member_class: str) -> Key:
    """By what a class shares."""
    return inputs.class_keys.get(member_class) or DEFAULT_KEYS.get(member_class, Key.POINTS)


def _weights(uses: Uses, key: Key) -> Sequence[Fraction | int]:
    """Each one's own measure, 0 or more."""
    if key is Key.CHARGES:
        return uses.charges
    if key is Key.HOURS:
        return [worked * factor for worked, factor in zip(uses.hours, uses.factors, strict=True)]
    return uses.points if key is Key.POINTS else [1] * len(uses)
