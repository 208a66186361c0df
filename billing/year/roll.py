"""Everybody a closing knows, by number and id: the order that settles ties, and in which all is written down. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import le

from billing.year.columns import People, Uses
from billing.year.inputs import Person


@dataclass(frozen=True, slots=True)
class Roll:
    """Members and customers by number and id, and what each did, by class."""

    people: People
    """Who was not named among the people has nothing special."""
    uses: Uses
    places: Sequence[int]
    """Of each use, whose it is: the place in people."""


def roll_of(people: People, uses: Uses) -> Roll:
    """Put everybody in order. Ids of people, and (id, class) of uses, are unique."""
    known = set(people.ids)
    others = [one for one in dict.fromkeys(uses.ids) if one not in known]
    if others:
        people = People.of([*people, *map(Person, others)])
    people = people.picked(_in_order(people.numbers, people.ids))
    place_of = {one: place for place, one in enumerate(people.ids)}
    places = [place_of[one] for one in uses.ids]
    order = _in_order(places, uses.classes)
    return Roll(people, uses.picked(order), [places[place] for place in order])


def _in_order(numbers: Sequence[int], texts: Sequence[str]) -> Sequence[int]:
    keys = list(zip(numbers, texts, strict=True))
    if all(map(le, keys, keys[1:])):  # the books give everybody in order
        return range(len(keys))
    return sorted(range(len(keys)), key=keys.__getitem__)
