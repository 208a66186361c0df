"""One random co-op closed twice: by billing/year, and by the calculation in second_closing.py."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

from billing.rules.book import rule_set
from billing.year.closing import close_year
from billing.year.document import year_document
from billing.year.reading import read_simulation
from meter.refusal import Refusal
from tests.random_co_ops import random_co_op
from tests.second_closing import CENTS, reckon

LINES = ("cash", "retained", "loss_met", "withheld", "set_off", "given", "held", "paid")


def compare(seed: int) -> str:
    """'refused', 'loss' or 'surplus'; an assertion fails where the two do not agree on every cent."""
    given = random_co_op(seed)
    second = reckon(given)
    refused = ""
    try:
        first: dict[str, Any] = year_document(
            close_year(read_simulation(json.dumps(given).encode(), rule_set))
        )
    except Refusal as refusal:
        refused = str(refusal)
    assert bool(refused) == (second is None), f"seed {seed}: only one refuses; billing says: {refused}"
    if second is None:
        return "refused"
    unit = CENTS[given["currency"]]

    def cents(text: Any) -> int:
        amount = Fraction(str(text)) * unit
        assert amount.denominator == 1
        return amount.numerator

    told = {
        **{key: cents(first[key]) for key in ("result", "member_result", "collective", "pool")},
        "class_pools": {name: cents(part) for name, part in first["class_pools"].items() if cents(part)},
        "accounts": {name: cents(part) for name, part in first["accounts"].items()},
        "shares": {
            (row["id"], row["class"]): cents(row["amount"])
            for row in first["allocations"]
            if cents(row["amount"])
        },
    }
    wanted = {key: second[key] for key in told}
    wanted["class_pools"] = {name: part for name, part in second["class_pools"].items() if part}
    wanted["shares"] = {key: part for key, part in second["shares"].items() if part}
    assert wanted == told, f"seed {seed}"
    _compare_settlements(seed, first, second["settled"], cents)
    return "loss" if told["member_result"] < 0 else "surplus"


def _compare_settlements(
    seed: int, first: dict[str, Any], settled: dict[str, dict[str, int]], cents: Any
) -> None:
    qualified: dict[str, int] = {}
    for row in first["allocations"]:
        qualified[row["id"]] = qualified.get(row["id"], 0) + cents(row.get("qualified", "0"))
    told = {
        one["id"]: {line: cents(one[line]) for line in LINES} | {"qualified": qualified[one["id"]]}
        for one in first["settlements"]
    }
    wanted = {
        who: {line: lines.get(line, 0) for line in (*LINES, "qualified")} for who, lines in settled.items()
    }
    assert wanted == told, f"seed {seed}"
