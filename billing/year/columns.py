"""What a closing knows of members as one column a field, so that a million of them are not millions of objects.

Whoever reads a table of columns gets its rows, made as they are asked for; the steps of the closing take the columns.
Numbers stay Python's own, which never overflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from operator import eq
from typing import Any, ClassVar, Self, TypeVar, cast, overload

from billing.year.inputs import Person, Use

Row = TypeVar("Row")


class Columns(Sequence[Row]):
    """Rows of one kind. The fields of a subclass are its columns, in the order of the row's own fields."""

    __slots__ = ()
    row: ClassVar[Any]
    """What makes a row of one value of each column."""

    def every(self) -> tuple[Sequence[Any], ...]:
        """The columns."""
        return tuple([getattr(self, one.name) for one in fields(cast("Any", self))])

    def picked(self, places: Sequence[int]) -> Self:
        """These rows in this order."""
        if places == range(len(self)):
            return self
        return type(self)(*([column[place] for place in places] for column in self.every()))

    def __len__(self) -> int:
        return len(self.every()[0])

    def __iter__(self) -> Iterator[Row]:
        return map(self.row, *self.every())

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Self: ...
    def __getitem__(self, place: int | slice) -> Row | Self:
        if isinstance(place, slice):
            return type(self)(*(column[place] for column in self.every()))
        found: Row = self.row(*(column[place] for column in self.every()))
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True, eq=False)
class Uses(Columns[Use]):
    """What members did."""

    row: ClassVar[Any] = Use
    ids: Sequence[str]
    classes: Sequence[str]
    charges: Sequence[int]
    hours: Sequence[Fraction]
    factors: Sequence[Fraction]
    points: Sequence[Fraction]
    minimums: Sequence[Fraction]
    members: Sequence[bool]

    @classmethod
    def of(cls, rows: Sequence[Use]) -> Uses:
        """Rows as columns."""
        if isinstance(rows, cls):
            return rows
        return cls(
            [one.id for one in rows], [one.member_class for one in rows], [one.charges_minor for one in rows],
            [one.hours for one in rows], [one.factor for one in rows], [one.points for one in rows],
            [one.minimum for one in rows], [one.member for one in rows],
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class People(Columns[Person]):
    """Whom it concerns."""

    row: ClassVar[Any] = Person
    ids: Sequence[str]
    numbers: Sequence[int]
    owed: Sequence[int]
    losses: Sequence[int]
    consents: Sequence[bool]
    withholds: Sequence[bool]
    joined: Sequence[str]
    left: Sequence[str]

    @classmethod
    def of(cls, rows: Sequence[Person]) -> People:
        """Rows as columns."""
        if isinstance(rows, cls):
            return rows
        return cls(
            [one.id for one in rows], [one.number for one in rows], [one.owed_minor for one in rows],
            [one.loss_minor for one in rows], [one.consent for one in rows], [one.withhold for one in rows],
            [one.joined for one in rows], [one.left for one in rows],
        )  # fmt: skip


def summed(places: Iterable[int], amounts: Iterable[int], *, of: int) -> list[int]:
    """Amounts added up at each of so many places."""
    found = [0] * of
    for place, amount in zip(places, amounts, strict=True):
        found[place] += amount
    return found
