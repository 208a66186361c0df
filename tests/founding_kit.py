"""Answers of founders for tests: three of them, prices in whole amounts a GB, costs of 15.00 a month."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from billing.charges.tariff import DEFAULT_TARIFF
from billing.founding.answers import Answers, read_answers
from meter.window import Month

NOW_US = Month(2026, 11).start_us + 25 * 86_400_000_000
CURRENCIES = {
    "uk-society": "GBP",
    "us-subchapter-t": "USD",
    "us-selc": "USD",
    "ca-federal": "CAD",
    "ca-qc": "CAD",
}
ANSWERS: Mapping[str, Any] = {
    "name": "Linden Hosting", "rule_set": "plain", "currency": "EUR", "share": {"kind": "member", "par": "64.00"},
    "founder": [
        {"name": "anna", "full_name": "Anna Adams", "email": "anna@example.org", "class": "user", "shares": 2,
         "offices": ["board", "treasurer"]},
        {"name": "ben", "full_name": "Ben Brook", "email": "ben@example.org", "shares": 1,
         "offices": ["board", "operator"]},
        {"name": "carla", "full_name": "Carla Cruz", "email": "carla@example.org", "shares": 1},
    ],
    "use": {"gb_stored": 3, "gb_out": 2, "gb_in": 1},
    "cost": [{"what": "machine", "a_month": "12.00"}, {"what": "bank account", "a_month": "3.00"}],
    "prices": {"gb_out": "100", "gb_in": "10", "gb_month": "1", "requests_a_1000": "0", "requests_b_1000": "0"},
}  # fmt: skip


def document(**changes: Any) -> dict[str, Any]:
    """The answers with some of them changed; None takes one away."""
    told = deepcopy(dict(ANSWERS)) | changes
    return {key: value for key, value in told.items() if value is not None}


def founders(*changes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The founders, each with a change."""
    own = deepcopy(list(ANSWERS["founder"]))
    return [one | dict(change) for one, change in zip(own, [*changes, {}, {}, {}], strict=False)]


def answers(**changes: Any) -> Answers:
    """Read and checked, at the end of November 2026."""
    return read_answers(document(**changes), example=DEFAULT_TARIFF.read_text("utf-8"), now_us=NOW_US)


def toml(told: Mapping[str, Any]) -> str:
    """The answers as a file: one line a key, tables within as TOML's own."""
    return "".join(f"{key} = {_value(value)}\n" for key, value in told.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
