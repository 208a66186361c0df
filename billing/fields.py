"""Values asked for by name from a document that came from outside, with a sentence for each that is wrong. Pure.

Rule sets and simulations are read through it. It does not know what a value is for.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from fractions import Fraction
from typing import TypeVar

from billing.money import parse_amount, parse_exact
from meter.refusal import Refusal

ONE = Fraction(1)
Choice = TypeVar("Choice", bound=StrEnum)


class Inexact:
    """A number of a JSON document that has a fraction or an exponent, or is none at all, like NaN."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


class Table:
    """A table of a document, whose keys are asked for by name; what was not asked for is unknown."""

    def __init__(self, content: object, where: str) -> None:
        if not isinstance(content, Mapping):
            raise Refusal(f"{where or 'the file'}: a table of names and values is wanted here")
        self._content = content
        self._known: set[str] = set()
        self.where = where

    def field(self, key: str) -> str:
        """Where a key stands, as a person would say it."""
        return f"{self.where}.{key}" if self.where else key

    def has(self, key: str) -> bool:
        """Whether it is there."""
        self._known.add(key)
        return key in self._content

    def get(self, key: str) -> object:
        """A value that must be there."""
        if not self.has(key):
            raise Refusal(f"{self.field(key)}: is missing")
        return self._content[key]

    def text(self, key: str) -> str:
        """A text that must be there and not be empty."""
        value = self.get(key)
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise Refusal(f"{self.field(key)}: one line of text in quotes is wanted here")
        return value

    def whole(self, key: str, *, default: int) -> int:
        """A whole number of 0 or more."""
        value = self.get(key) if self.has(key) else default
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise Refusal(f"{self.field(key)}: a whole number of 0 or more is wanted here")
        return value

    def flag(self, key: str) -> bool:
        """true or false; false when it is not there."""
        value = self.get(key) if self.has(key) else False
        if not isinstance(value, bool):
            raise Refusal(f"{self.field(key)}: true or false is wanted here")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; none when it is not there."""
        value = self.get(key) if self.has(key) else []
        if not isinstance(value, list) or not all(
            isinstance(one, str) and one.isprintable() for one in value
        ):
            raise Refusal(f"{self.field(key)}: a list of texts in quotes is wanted here")
        return tuple(value)

    def table(self, key: str) -> Table:
        """A table inside; an empty one when it is not there."""
        return Table(self.get(key) if self.has(key) else {}, self.field(key))

    def tables(self, key: str) -> Iterator[Table]:
        """A list of tables; none when it is not there."""
        value = self.get(key) if self.has(key) else []
        if not isinstance(value, list):
            raise Refusal(f"{self.field(key)}: a list of tables is wanted here")
        for place, one in enumerate(value):
            yield Table(one, f"{self.field(key)}[{place}]")

    def keys(self) -> tuple[str, ...]:
        """All keys, where any name is allowed; the caller asks for each."""
        return tuple(self._content)

    def amount(self, key: str, currency: str) -> int:
        """An amount in major units, as an exact text or a whole number; 0 when it is not there."""
        return parse_amount(self._digits(key), currency, field=self.field(key)) if self.has(key) else 0

    def exact(self, key: str, default: Fraction | None = None) -> Fraction:
        """An exact number of 0 or more: '0.30', '30 %', '3/10', or a whole number."""
        if default is not None and not self.has(key):
            return default
        return parse_exact(self._digits(key), field=self.field(key))

    def decimal(self, key: str, default: Fraction | None = None) -> Fraction:
        """An exact number whose decimals end: of many n/d with their own d no sum is written down any more."""
        found = self.exact(key, default)
        if self.has(key) and "/" in self._digits(key):
            raise Refusal(
                f"{self.field(key)}: '{self._digits(key)[:40]}' is not a plain decimal; write it like 7.5"
            )
        return found

    def _digits(self, key: str) -> str:
        value = self.get(key)
        if isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, int):
            said = str(value)[:40] if isinstance(value, Inexact) else "this"
            raise Refusal(
                f'{self.field(key)}: {said} is not exact; write the number in quotes, for example "412.00"'
            )
        return str(value)

    def share(self, key: str) -> Fraction:
        """A percentage between 0 and the whole, as an exact text."""
        value = parse_exact(self.text(key), field=self.field(key))
        if value > ONE:
            raise Refusal(f"{self.field(key)}: '{self.text(key)[:40]}' is more than the whole, 100 %")
        return value

    def finish(self) -> None:
        """Refuse a key that nobody asked for, and name the nearest that exists."""
        for key in self._content:
            if key not in self._known:
                near = difflib.get_close_matches(str(key), sorted(self._known), n=1)
                meant = (
                    f"did you mean '{near[0]}'?" if near else f"known are {', '.join(sorted(self._known))}"
                )
                raise Refusal(f"{self.field(str(key)[:60])}: is an unknown key; {meant}")


def choice(kind: type[Choice], table: Table, key: str, default: Choice | None = None) -> Choice:
    """One of a closed set of words. Raises Refusal that lists them."""
    if default is not None and not table.has(key):
        return default
    text = table.text(key)
    if text not in [one.value for one in kind]:
        raise Refusal(f"{table.field(key)}: '{text[:40]}' is none of {', '.join(one.value for one in kind)}")
    return kind(text)
