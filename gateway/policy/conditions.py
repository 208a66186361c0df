"""Conditions of policies: one operator, one key, the values it may have, and whether a request meets it.

It knows how to compare, not which keys there are. Values that a request does not have follow the rules AWS
publishes: a positive operator fails, a negated one holds, IfExists holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from ipaddress import ip_address, ip_network
from operator import eq, ge, gt, le, lt

from gateway.policy.patterns import Lookup, Pattern, parse_pattern
from meter.window import MICROSECONDS, to_us

Facts = Callable[[str], tuple[str, ...] | None]
"""The request's values for a key in lower case; None where it has none."""
Matches = Callable[[str, Lookup], bool]


class Quantifier(Enum):
    """How many of a request's values must meet a condition."""

    NONE = ""
    ALL = "ForAllValues:"
    ANY = "ForAnyValue:"


class BadCondition(ValueError):
    """The operator is unknown, or a value is not of its kind; the sentence is S3's."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator over one key."""

    operator: str
    """Without quantifier and IfExists."""
    quantifier: Quantifier
    if_exists: bool
    key: str
    """In lower case."""
    values: tuple[str, ...]
    matchers: tuple[Matches, ...]

    @property
    def is_negated(self) -> bool:
        """Whether it holds where none of its values match."""
        return "Not" in self.operator

    def holds(self, facts: Facts) -> bool:
        """Whether the request meets it."""
        found = facts(self.key)
        if self.operator == "Null":
            return any((found is None) == (value == "true") for value in self.values)
        if found is None:
            if self.quantifier is not Quantifier.NONE:
                return self.quantifier is Quantifier.ALL or self.if_exists
            return self.if_exists or self.is_negated

        def lookup(name: str) -> str | None:
            values = facts(name)
            return values[0] if values else None

        hits = (any(match(one, lookup) for match in self.matchers) != self.is_negated for one in found)
        every = self.quantifier is Quantifier.ALL or (self.quantifier is Quantifier.NONE and self.is_negated)
        return all(hits) if every else any(hits)

    @property
    def variables(self) -> tuple[str, ...]:
        """Facts its values are filled in from."""
        return tuple(
            name for value in self.values for name in parse_pattern(value, with_variables=True).variables
        )


def parse_condition(name: str, key: str, values: tuple[str, ...], *, with_variables: bool) -> Condition:
    """Read one condition. Raises BadCondition."""
    quantifier = next(
        (one for one in Quantifier if one.value and name.startswith(one.value)), Quantifier.NONE
    )
    bare = name.removeprefix(quantifier.value)
    operator = bare.removesuffix("IfExists")
    make = _OPERATORS.get(operator)
    if make is None or (operator == "Null" and bare != operator):
        raise BadCondition(f"Invalid Condition type : {name[:100]}")
    try:
        matchers = tuple(make(value, with_variables) for value in values)
    except ValueError:
        raise BadCondition(f"Invalid value in condition {name} of {key[:100]}") from None
    return Condition(operator, quantifier, bare != operator, key.lower(), values, matchers)


def _equals(value: str, with_variables: bool) -> Matches:
    pattern = parse_pattern(value, with_variables=with_variables)
    return lambda given, lookup: given == pattern.literal(lookup)


def _equals_folded(value: str, with_variables: bool) -> Matches:
    pattern = parse_pattern(value, with_variables=with_variables)

    def matches(given: str, lookup: Lookup) -> bool:
        wanted = pattern.literal(lookup)
        return wanted is not None and given.casefold() == wanted.casefold()

    return matches


def _like(value: str, with_variables: bool) -> Matches:
    return parse_pattern(value, with_variables=with_variables).matches


def _arn(value: str, with_variables: bool) -> Matches:
    """Each of the six parts of an ARN for itself, so that a `*` does not reach over a colon."""
    parts = value.split(":", 5)
    if len(parts) != 6:
        raise ValueError(value)
    patterns: list[Pattern] = [parse_pattern(part, with_variables=with_variables) for part in parts]

    def matches(given: str, lookup: Lookup) -> bool:
        pieces = given.split(":", 5)
        return len(pieces) == 6 and all(
            pattern.matches(piece, lookup) for pattern, piece in zip(patterns, pieces, strict=True)
        )

    return matches


_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,9})?")


def _number(text: str) -> Decimal:
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(text)
    return Decimal(text)


def _instant(text: str) -> Decimal:
    """ISO 8601, or whole seconds since 1970; in microseconds."""
    if text.isascii() and text.isdigit() and len(text) <= 12:
        return Decimal(int(text) * MICROSECONDS)
    moment = datetime.fromisoformat(text)
    return Decimal(to_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC)))


def _compares(
    read: Callable[[str], Decimal], compare: Callable[[Decimal, Decimal], bool]
) -> Callable[[str, bool], Matches]:
    def make(value: str, with_variables: bool) -> Matches:
        del with_variables
        wanted = read(value)

        def matches(given: str, lookup: Lookup) -> bool:
            del lookup
            try:
                return compare(read(given), wanted)
            except (ValueError, OverflowError):
                return False  # a request's value that is no number or instant is none of those allowed

        return matches

    return make


def _bool(value: str, with_variables: bool) -> Matches:
    del with_variables
    if value not in ("true", "false"):
        raise ValueError(value)

    def matches(given: str, lookup: Lookup) -> bool:
        del lookup
        return given.lower() == value

    return matches


def _address(value: str, with_variables: bool) -> Matches:
    del with_variables
    network = ip_network(value, strict=False)

    def matches(given: str, lookup: Lookup) -> bool:
        del lookup
        try:
            return ip_address(given) in network
        except ValueError:
            return False  # no address at all lies in no network

    return matches


_COMPARISONS = {
    "Equals": eq, "NotEquals": eq, "LessThan": lt, "LessThanEquals": le, "GreaterThan": gt, "GreaterThanEquals": ge
}  # fmt: skip
_OPERATORS: dict[str, Callable[[str, bool], Matches]] = {
    "StringEquals": _equals,
    "StringNotEquals": _equals,
    "StringEqualsIgnoreCase": _equals_folded,
    "StringNotEqualsIgnoreCase": _equals_folded,
    "StringLike": _like,
    "StringNotLike": _like,
    "ArnEquals": _arn,
    "ArnNotEquals": _arn,
    "ArnLike": _arn,
    "ArnNotLike": _arn,
    **{f"Numeric{name}": _compares(_number, compare) for name, compare in _COMPARISONS.items()},
    **{f"Date{name}": _compares(_instant, compare) for name, compare in _COMPARISONS.items()},
    "Bool": _bool,
    "IpAddress": _address,
    "NotIpAddress": _address,
    "Null": _bool,
}
