"""The members of a simulation: rows of JSON into what each did in which class, and what concerns them as persons.

One id may stand in several rows, one a class: then it is one member in several classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from billing.fields import Table
from billing.year.inputs import DEFAULT_KEYS, ONE, USER, ZERO, Key, Person, Use
from meter.refusal import Refusal

ID_CHARACTERS_MAX = 100
PERSONAL = ("number", "owed", "loss_carried", "consent", "withholding", "joined", "left")
CLASS_CHARACTERS_MAX = 40


@dataclass(frozen=True, slots=True)
class Register:
    """Rows by class, and the persons who have something special."""

    uses: tuple[Use, ...]
    people: tuple[Person, ...]


def read_members(table: Table, currency: str, keys: Mapping[str, Key]) -> Register:
    """Read `members`. Raises Refusal."""
    table.get("members")
    uses: list[Use] = []
    people: dict[str, Person] = {}
    for row in table.tables("members"):
        identity = row.text("id")
        if len(identity) > ID_CHARACTERS_MAX:
            raise Refusal(f"{row.field('id')}: has more than {ID_CHARACTERS_MAX} characters")
        uses += _uses(row, identity, currency, keys)
        if any(row.has(key) for key in PERSONAL):
            if identity in people:
                raise Refusal(
                    f"{row.where}: what concerns '{identity}' as a person stands in another row already"
                )
            people[identity] = _person(row, identity, currency)
        row.finish()
    return Register(tuple(uses), tuple(people.values()))


def _uses(row: Table, identity: str, currency: str, keys: Mapping[str, Key]) -> list[Use]:
    classes = row.texts("class") if isinstance(row.get("class"), list) else (row.text("class"),)
    if not classes or any(len(one) > CLASS_CHARACTERS_MAX for one in classes):
        raise Refusal(
            f"{row.field('class')}: name one class, or several, each of at most {CLASS_CHARACTERS_MAX} characters"
        )
    by = {name: keys.get(name) or DEFAULT_KEYS.get(name, Key.POINTS) for name in classes}
    charged = next((name for name in classes if by[name] is Key.CHARGES), classes[0])
    charges = row.amount("charges", currency)
    hours, points = row.decimal("hours", ZERO), row.decimal("points", ZERO)
    if hours and classes == (USER,) and by[USER] is Key.CHARGES:
        raise Refusal(
            f"{row.field('hours')}: a user shares by charges; who works too is of class worker as well"
        )
    return [
        Use(
            identity,
            name,
            charges_minor=charges if name == charged else 0,
            hours=ZERO if name == USER and len(classes) > 1 else hours,
            factor=row.decimal("factor", ONE),
            points=points,
            minimum=_minimum(row, currency, by[name]),
            member=row.flag("member") if row.has("member") else True,
        )
        for name in classes
    ]


def _minimum(row: Table, currency: str, key: Key) -> Fraction:
    """Of charges it is an amount, in minor units like they; of hours and points a number."""
    if key is Key.CHARGES:
        return Fraction(row.amount("minimum_activity", currency))
    return row.decimal("minimum_activity", ZERO)


def _person(row: Table, identity: str, currency: str) -> Person:
    found = Person(
        identity,
        number=row.whole("number", default=0),
        owed_minor=row.amount("owed", currency),
        loss_minor=row.amount("loss_carried", currency),
        consent=row.flag("consent"),
        withhold=row.flag("withholding"),
        joined=_day(row, "joined"),
        left=_day(row, "left"),
    )
    if found.joined and found.left and found.left < found.joined:
        raise Refusal(f"{row.field('left')}: {found.left} is before {found.joined}, when they joined")
    return found


def _day(row: Table, key: str) -> str:
    if not row.has(key):
        return ""
    try:
        return date.fromisoformat(row.text(key)).isoformat()
    except ValueError:
        raise Refusal(f"{row.field(key)}: is not a day; write it as YYYY-MM-DD") from None
