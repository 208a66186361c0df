"""One member's line of a year's closing: what was frozen of them, and what they get; text, digest, and back. Pure.

Amounts are in minor units; everything else exact is a text. With the page of the year, the lines of all members are
everything that `weir simulate` would need.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from itertools import compress
from json.encoder import encode_basestring
from typing import Any, NamedTuple

from billing.year.inputs import CUSTOMER, ONE, ZERO, Person, ShareLot, Use, YearInputs
from billing.year.outcome import Settlement, YearAllocation, YearClosing

SETTLED = (
    "amount", "cash", "retained", "loss_met", "withheld", "set_off", "given", "held", "paid",
)  # fmt: skip
"""What a settlement says, in the order of Settlement's own fields."""


class YearLine(NamedTuple):
    """A member of the year as a kept line tells of them."""

    number: int
    name: str
    uses: tuple[Use, ...]
    person: Person
    lots: tuple[ShareLot, ...]
    allocations: tuple[YearAllocation, ...]
    settlement: Settlement | None
    interest_minor: int
    text: str


class KeptLine(NamedTuple):
    """What is kept of a member: what they were allocated, the text, and its SHA-256."""

    number: int
    amount_minor: int
    text: str
    digest: bytes


class Lines:
    """The lines of everybody on the roll of a closing, made as they are asked for: all together are long.

    The inputs hold one person for each member, with their number.
    """

    def __init__(self, closing: YearClosing) -> None:
        self._closing = closing
        self._places = closing.roll.places
        is_member = [name != CUSTOMER for name in closing.roll.uses.classes]
        self._sharing = list(compress(self._places, is_member))
        self._lots = _lots_by_id(closing.inputs.interest.lots)
        self._classes = {name: encode_basestring(name) for name in set(closing.roll.uses.classes)}

    def parts(self, members_max: int) -> Iterator[tuple[range, list[KeptLine]]]:
        """Places on the roll and the lines of those who stand there, so many at a time."""
        count = len(self._closing.roll.people)
        for first in range(0, count, members_max):
            part = range(first, min(first + members_max, count))
            yield part, self.of(part)

    def of(self, part: range) -> list[KeptLine]:
        """The lines of one stretch of the roll."""
        here = slice(part.start, part.stop)
        people, settled = self._closing.roll.people[here], self._closing.settlements
        shared, used = self._shared(part), self._used(part)
        interest, found = self._closing.interest, []
        columns = zip(
            *people.every(), used, shared, *(column[here] for column in settled.lines()), strict=True
        )  # fmt: skip
        for (identity, number, owed, loss, consent, withhold, joined, left, uses, shares, amount, cash, retained,
             met, withheld, set_off, given, held, paid) in columns:  # fmt: skip
            outcome = (
                f"[{amount},{cash},{retained},{met},{withheld},{set_off},{given},{held},{paid}]"
                if amount
                else "null"
            )
            # Keys in alphabetical order, so that the text is canonical.
            text = (
                f'{{"allocations":[{shares}],"interest":{interest.get(identity, 0)},"lots":[{self._lots.get(identity, "")}]'
                f',"member":{number},"name":{encode_basestring(identity)}'
                f',"person":{{"consent":{"true" if consent else "false"},"joined":"{joined}","left":"{left}","loss":{loss}'
                f',"owed":{owed},"withhold":{"true" if withhold else "false"}}},"settlement":{outcome},"uses":[{uses}]}}'
            )
            found.append(KeptLine(number, amount, text, sha256(text.encode()).digest()))
        return found

    def _shared(self, part: range) -> list[str]:
        """Each one's allocations."""
        places, rows = _within(self._sharing, part)
        classes, columns = self._classes, self._closing.allocations[rows].every()[1:]
        texts = [
            f'[{classes[name]},"{weight}",{amount},{cash},{retained},{qualified},{nonqualified}]'
            for name, weight, amount, cash, retained, qualified, nonqualified in zip(*columns, strict=True)
        ]
        return _joined(part, places, texts)

    def _used(self, part: range) -> list[str]:
        """What each one did."""
        places, rows = _within(self._places, part)
        classes, columns = self._classes, self._closing.roll.uses[rows].every()[1:]
        texts = [
            f"[{classes[name]},{charges},{_measures(worked, factor, points, minimum)}]"
            for name, charges, worked, factor, points, minimum, _ in zip(*columns, strict=True)
        ]
        return _joined(part, places, texts)


def _within(places: Sequence[int], part: range) -> tuple[Sequence[int], slice]:
    """Of rows in the order of the roll, those of one stretch of it: whose they are, and where."""
    rows = slice(bisect_left(places, part.start), bisect_left(places, part.stop))
    return places[rows], rows


def _joined(part: range, places: Sequence[int], texts: list[str]) -> list[str]:
    """Each one's texts in one, of everybody in that stretch."""
    if places == list(part):
        return texts
    found = [""] * len(part)
    for place, text in zip(places, texts, strict=True):
        own = place - part.start
        found[own] = f"{found[own]},{text}" if found[own] else text
    return found


def _lots_by_id(lots: Iterable[ShareLot]) -> dict[str, str]:
    found: dict[str, list[tuple[int, str, int]]] = {}
    for lot in lots:
        found.setdefault(lot.id, []).append((lot.par_minor, str(lot.rate), lot.days))
    return {
        identity: ",".join([f'[{par},"{rate}",{days}]' for par, rate, days in sorted(held)])
        for identity, held in found.items()
    }


def _measures(hours: Fraction, factor: Fraction, points: Fraction, minimum: Fraction) -> str:
    # Most have only charges, and writing a fraction down takes its time.
    if hours is ZERO and factor is ONE and points is ZERO and minimum is ZERO:
        return '"0","1","0","0"'
    return f'"{hours}","{factor}","{points}","{minimum}"'


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
        kept["member"], name, uses, person, lots, allocations, settlement, kept["interest"], text
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
