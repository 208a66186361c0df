"""What one member is told about a fiscal year: their line of the sum, and what did not go to members. Pure.

It works nothing out anew; it takes the page of the year and the member's own line and says what they mean.
"""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from billing.money import exponent, format_amount, format_number, parse_amount, quotient_text
from billing.words import instant_text
from billing.year.inputs import CUSTOMER
from billing.year.outcome import YearAllocation
from billing.year_lines import SETTLED, YearLine

FORMAT = "weir-year-statement-1"
TRIAL = "trial"
FINAL = "final"
WIDTH = 80
INDENT = "  "
NOT_MEMBERS = {
    "collective:main": "kept by all of us, in nobody's name (collective account)",
    "reserve:compulsory": "reserve that the rules ask for",
    "reserve:voluntary": "reserve that the members decided",
    "fund:education": "for education",
    "fund:solidarity": "for solidarity",
    "interest:shares": "interest on share capital",
    "loss:carried": "meets losses of earlier years",
}
MEASURES = {"user": "your charges", "worker": "your hours × factor"}


def year_statement(
    page: Mapping[str, Any], own: YearLine, *, kind: str, resolution: str = "", closed_us: int | None = None
) -> dict[str, Any]:
    """The document of one member; `kind` is TRIAL or FINAL."""
    currency = page["currency"]
    settled = dict.fromkeys(SETTLED, 0)
    if own.settlement is not None:
        settled = dict(zip(SETTLED, own.settlement[1:], strict=True))
    document = {
        "format": FORMAT,
        "kind": kind,
        "fiscal_year": page["fiscal_year"],
        "first_month": page["first_month"],
        "last_month": page["last_month"],
        "member": {"id": own.number, "name": own.name, "classes": sorted({use.member_class for use in own.uses})},
        "currency": currency,
        "rule_set": page["rule_set"],
        "charges_minor": sum(use.charges_minor for use in own.uses),
        "co_op": {
            "members": page["lines"],
            "costs": dict(page["costs"]),
            "costs_minor": sum(page["costs"].values()),
            "side_income": dict(page["side_income"]),
            "side_income_minor": sum(page["side_income"].values()),
            "result_minor": _minor(page["result"], currency),
            "pool_minor": _minor(page["pool"], currency),
            "accounts": {name: _minor(amount, currency) for name, amount in page["accounts"].items()},
        },
        "steps": [
            {"name": one["name"], "formula": one["formula"], "amount_minor": _minor(one["amount"], currency)}
            for one in page["steps"]
        ],
        "shares": [_share(page, one) for one in own.allocations],
        **{f"{name}_minor": amount for name, amount in settled.items()},
        "interest_minor": own.interest_minor,
        "resolution": resolution,
        "closed": "" if closed_us is None else instant_text(closed_us),
        "line_digest": hashlib.sha256(own.text.encode()).hexdigest(),
        "digest": page["digest"],
    }  # fmt: skip
    return {**document, "sentence": _sentence(document), "meaning": _meaning(document)}


def _minor(text: str, currency: str) -> int:
    return parse_amount(text, currency, negative=True)


def _share(page: Mapping[str, Any], one: YearAllocation) -> dict[str, Any]:
    """One line of the sum: own measure × pool of the class / everybody's measure."""
    whole = Fraction(page["measures"].get(one.member_class, "0"))
    pool = _minor(page["class_pools"].get(one.member_class, "0"), page["currency"])
    decimals = exponent(page["currency"])
    own = Fraction(one.weight)
    above, below = own.numerator * pool * whole.denominator, own.denominator * whole.numerator * 10**decimals
    return {
        "class": one.member_class,
        "measure": str(own),
        "all_measures": str(whole),
        "class_pool_minor": pool,
        "exact": quotient_text(above, below, decimals=decimals + 4) if below else "0",
        "amount_minor": one.amount_minor,
        "cash_minor": one.cash_minor,
        "retained_minor": one.retained_minor,
        "qualified_minor": one.qualified_minor,
        "nonqualified_minor": one.nonqualified_minor,
    }


def _sentence(document: Mapping[str, Any]) -> str:
    co_op, currency = document["co_op"], document["currency"]
    result = format_amount(abs(co_op["result_minor"]), currency)
    cost = format_amount(co_op["costs_minor"], currency)
    would = "would be" if document["kind"] == TRIAL else "is"
    left = f"{result} {would} left over" if co_op["result_minor"] >= 0 else f"{result} {would} missing"
    place = f"one of {co_op['members']:,}" if co_op["members"] > 1 else "the only one"
    came = format_amount(co_op["costs_minor"] + co_op["result_minor"], currency)
    return (
        f"You are {place} in the co-op's books of the fiscal year {document['fiscal_year']}. The service cost {cost}; "
        f"{came} came in, so {left}. This is what happens to it."
    )


def _meaning(document: Mapping[str, Any]) -> str:
    currency, amount = document["currency"], document["amount_minor"]
    if document["member"]["classes"] == [CUSTOMER]:
        return "You bought at the tariff and are no member: what is left over belongs to the members."
    if amount < 0:
        part = format_amount(-amount, currency)
        return (
            f"Your part of the loss is {part}. It is not a bill: it is met from what you would get in coming years, "
            "and never asked for."
        )
    if amount == 0:
        return "No part of the year's result is yours: shares follow use and work, by the co-op's rules."
    paid = format_amount(document["paid_minor"] + document["held_minor"], currency)
    kept = format_amount(document["retained_minor"] - document["loss_met_minor"], currency)
    if document["kind"] == TRIAL:
        return (
            f"If the year ended now, your share would be {format_amount(amount, currency)}: {paid} to be paid and {kept} "
            "kept in the co-op in your name. It still changes."
        )
    return (
        f"Your share of it (patronage) is {format_amount(amount, currency)}: {paid} is to be paid to you, {kept} is kept "
        "in the co-op in your name until the co-op decides to pay it back (retained patronage). Allocated is not paid."
    )


def year_text(document: Mapping[str, Any]) -> str:
    """The statement for a terminal or a letter: 80 columns, ends with a newline."""
    return "\n".join(line.rstrip() for line in _lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    member, currency, co_op = document["member"], document["currency"], document["co_op"]
    yield _sides(
        f"Statement for the year {document['fiscal_year']}", f"{member['name']}, member {member['id']}"
    )
    yield "═" * WIDTH
    yield from textwrap.wrap(document["sentence"], WIDTH)
    yield ""
    yield from textwrap.wrap(document["meaning"], WIDTH)
    if document["shares"]:
        yield from _heading("Your line of the sum")
    for share in document["shares"]:
        yield from _sum(share, currency)
    yield from _heading("What you get" if document["amount_minor"] >= 0 else "What you bear")
    for words, amount in settled(document):
        yield _sides(INDENT + words, format_number(amount, currency))
    if document.get("capital"):
        yield from _heading("Kept in your name, as this closing left it")
        for lot in document["capital"]:
            yield _sides(f"{INDENT}of {lot['words']}", format_number(lot["closing_minor"], currency))
    yield from _heading("What becomes of the whole")
    yield _sides(f"{INDENT}The year's result", format_number(co_op["result_minor"], currency))
    yield _sides(f"{INDENT}shared among the members", format_number(co_op["pool_minor"], currency))
    for name, amount in co_op["accounts"].items():
        yield _sides(INDENT + NOT_MEMBERS.get(name, name), format_number(amount, currency))
    yield ""
    yield "─" * WIDTH
    yield f"This statement is {'a trial: figures still change' if document['kind'] == TRIAL else 'final'}."
    yield "It is not a bill and not a cheque."
    if document["resolution"]:
        yield f"Decided by resolution {document['resolution']}; closed on {document['closed']}."
    yield f"Rules: {document['rule_set']}. Check us: weir verify {member['name']} {document['fiscal_year']}"
    yield f"SHA-256 {document['digest']}"


def _sum(share: Mapping[str, Any], currency: str) -> Iterator[str]:
    measure, whole = share["measure"], share["all_measures"]
    if share["class"] == "user":
        measure, whole = format_number(int(measure), currency), format_number(int(whole), currency)
    words = MEASURES.get(share["class"], "your measure")
    pool = format_number(share["class_pool_minor"], currency)
    yield f"{INDENT}{words} {measure} / all {share['class']}s' {whole} × pool {pool}"
    yield _sides(
        f"{INDENT}= {share['exact']}, rounded so that all shares sum to the pool:",
        format_number(share["amount_minor"], currency),
    )


def settled(document: Mapping[str, Any]) -> list[tuple[str, int]]:
    """What becomes of the member's own part, in words and minor units; what is nothing and not usual is left out."""
    rows: tuple[tuple[str, str], ...] = (
        ("Allocated to you", "amount"), ("To be paid to you", "paid"), ("Too little to be paid yet", "held"),
        ("Taken off what you owe", "set_off"), ("Withheld for tax", "withheld"), ("Given to the community", "given"),
        ("Meets your part of an earlier loss", "loss_met"), ("Kept in your name", "retained"),
        ("Interest on your shares", "interest"),
    )  # fmt: skip
    found = []
    if document["amount_minor"] < 0:
        found.append(("Your part of the loss", -document["amount_minor"]))
        rows = rows[-1:]
    for words, name in rows:
        amount = document[f"{name}_minor"]
        if name == "retained":
            amount -= document["loss_met_minor"]
        if amount or name in ("amount", "paid", "retained"):
            found.append((words, amount))
    return found


def _heading(text: str) -> Iterator[str]:
    yield ""
    yield text
    yield "─" * WIDTH


def _sides(left: str, right: str) -> str:
    room = WIDTH - len(left)
    return left + right.rjust(room) if len(right) < room else f"{left}\n{right.rjust(WIDTH)}"
