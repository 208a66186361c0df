"""One member's line of a year's closing: what was frozen of them, and what they get; text, digest, and back. Pure.

Amounts are in minor units; everything else exact is a text. With the page of the year, the lines of all members are
everything that `weir simulate` would need.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from json.encoder import encode_basestring
from typing import Any, NamedTuple, TypeVar

from billing.year.inputs import ONE, ZERO, Person, ShareLot, Use, YearInputs
from billing.year.outcome import Settlement, YearAllocation, YearClosing

Row = TypeVar("Row")
Classed = TypeVar("Classed", Use, YearAllocation)
SETTLED = (
    "amount", "cash", "retained", "loss_met", "withheld", "set_off", "given", "held", "paid",
)  # fmt: skip
"""What a settlement says, in the order of Settlement's own fields."""


class YearLine(NamedTuple):
    """A member of the year; the text that is kept, and its SHA-256."""

    number: int
    name: str
    uses: tuple[Use, ...]
    person: Person
    lots: tuple[ShareLot, ...]
    allocations: tuple[YearAllocation, ...]
    settlement: Settlement | None
    interest_minor: int
    text: str
    digest: bytes


def lines_of(closing: YearClosing) -> Iterator[YearLine]:
    """Every member's line, by member number. The inputs hold one person for each member, with their number."""
    inputs = closing.inputs
    uses = _by_id((use.id, use) for use in inputs.uses)
    lots = _by_id((lot.id, lot) for lot in inputs.interest.lots)
    shares = _by_id((row.id, row) for row in closing.allocations)
    settled = {one.id: one for one in closing.settlements}
    for person in sorted(inputs.people, key=lambda one: one.number):
        yield year_line(
            person, uses.get(person.id, ()), lots.get(person.id, ()), shares.get(person.id, ()),
            settled.get(person.id), closing.interest.get(person.id, 0),
        )  # fmt: skip


def _by_id(rows: Iterable[tuple[str, Row]]) -> dict[str, tuple[Row, ...]]:
    found: dict[str, tuple[Row, ...]] = {}
    for identity, row in rows:
        found[identity] = (*found[identity], row) if identity in found else (row,)
    return found


def year_line(
    person: Person, uses: tuple[Use, ...], lots: tuple[ShareLot, ...], allocations: tuple[YearAllocation, ...],
    settlement: Settlement | None, interest_minor: int,
) -> YearLine:  # fmt: skip
    """Put one together; keys in alphabetical order, so that the text is canonical."""
    shared = ",".join(
        [
            f'[{encode_basestring(one.member_class)},"{one.weight}",{one.amount_minor},{one.cash_minor},'
            f"{one.retained_minor},{one.qualified_minor},{one.nonqualified_minor}]"
            for one in _sorted(allocations)
        ]
    )
    held = ",".join(
        [f'[{par},"{rate}",{days}]' for par, rate, days in sorted(lot[1:] for lot in map(_lot, lots))]
    )
    used = ",".join(
        [
            f'[{encode_basestring(use.member_class)},{use.charges_minor},"{_text(use.hours)}","{_text(use.factor)}"'
            f',"{_text(use.points)}","{_text(use.minimum)}"]'
            for use in _sorted(uses)
        ]
    )
    own = (
        f'{{"consent":{_flag(person.consent)},"joined":"{person.joined}","left":"{person.left}"'
        f',"loss":{person.loss_minor},"owed":{person.owed_minor},"withhold":{_flag(person.withhold)}}}'
    )
    settled = "null" if settlement is None else f"[{','.join(map(str, settlement[1:]))}]"
    text = (
        f'{{"allocations":[{shared}],"interest":{interest_minor},"lots":[{held}],"member":{person.number}'
        f',"name":{encode_basestring(person.id)},"person":{own},"settlement":{settled},"uses":[{used}]}}'
    )
    return YearLine(
        person.number, person.id, uses, person, lots, allocations, settlement, interest_minor, text,
        hashlib.sha256(text.encode()).digest(),
    )  # fmt: skip


def _sorted(rows: tuple[Classed, ...]) -> tuple[Classed, ...]:
    return rows if len(rows) < 2 else tuple(sorted(rows, key=lambda one: one.member_class))


def _lot(lot: ShareLot) -> tuple[str, int, str, int]:
    return lot.id, lot.par_minor, str(lot.rate), lot.days


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _text(value: Fraction) -> str:
    if value is ZERO:
        return "0"
    return "1" if value is ONE else str(value)


def _exact(text: str) -> Fraction:
    if text == "0":
        return ZERO
    return ONE if text == "1" else Fraction(text)


def read_line(text: str) -> YearLine:
    """A kept line as what it was made of."""
    kept: dict[str, Any] = json.loads(text)
    name, own = kept["name"], kept["person"]
    person = Person(
        name,
        kept["member"],
        own["owed"],
        own["loss"],
        own["consent"],
        own["withhold"],
        own["joined"],
        own["left"],
    )
    uses = tuple(_use(name, one) for one in kept["uses"])
    lots = tuple(ShareLot(name, par, Fraction(rate), days) for par, rate, days in kept["lots"])
    allocations = tuple(
        YearAllocation(name, one[0], Fraction(one[1]), *one[2:]) for one in kept["allocations"]
    )
    settlement = None if kept["settlement"] is None else Settlement(name, *kept["settlement"])
    return YearLine(
        kept["member"], name, uses, person, lots, allocations, settlement, kept["interest"], text,
        hashlib.sha256(text.encode()).digest(),
    )  # fmt: skip


def _use(name: str, kept: list[Any]) -> Use:
    hours, factor, points, minimum = map(_exact, kept[2:])
    return Use(name, kept[0], kept[1], hours, factor, points, minimum)


def with_lines(inputs: YearInputs, lines: Iterable[YearLine]) -> YearInputs:
    """A year's inputs that were read without members, with the members of these lines."""
    uses: list[Use] = []
    people: list[Person] = []
    lots: list[ShareLot] = []
    for line in lines:
        uses += line.uses
        people.append(line.person)
        lots += line.lots
    interest = replace(inputs.interest, lots=tuple(lots))
    return replace(inputs, uses=tuple(uses), people=tuple(people), interest=interest)
