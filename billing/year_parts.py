"""What becomes of a member's share of a year, part by part, in sentences whose sums are the share. Pure.

Invariant: the parts of a share sum to it, whatever was set off, withheld, given, held back or met. Figures are in minor
units; words are in the language spoken now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from billing.tongue import _
from billing.words import amount_text, numeral

TRIAL = "trial"
ALWAYS = ("paid", "kept")
"""Said also where they are nothing: what everybody asks first."""
DECIMALS_MAX = 18
"""Of a measure; a fraction that has not ended by then is told as the fraction."""
BESIDES = ("set_off", "withheld", "given", "loss_met")
"""What becomes of a share beside money and capital of one's own."""


def parts_minor(document: Mapping[str, Any]) -> dict[str, int]:
    """Every part of what a member was allocated; they sum to it."""
    names = ("paid", "held", *BESIDES)
    found: dict[str, int] = {name: document[f"{name}_minor"] for name in names}
    return found | {"kept": document["retained_minor"] - document["loss_met_minor"]}


def share_words(document: Mapping[str, Any]) -> str:
    """What becomes of a share above zero, and interest beside it."""
    currency = document["currency"]
    told = [
        words
        for name, minor in parts_minor(document).items()
        if minor or name in ALWAYS
        for words in (_part(name, amount_text(minor, currency), is_trial=document["kind"] == TRIAL),)
    ]
    share = {"share": amount_text(document["amount_minor"], currency), "parts": ", ".join(told)}
    if document["kind"] == TRIAL:
        return _("If the year ended now, your share would be {share}: {parts}. It still changes.", **share)
    return _("Your share of it (patronage) is {share}: {parts}. Allocated is not paid.", **share)


def interest_words(document: Mapping[str, Any]) -> str:
    """Interest on shares: no part of the share by use or work; nothing where there is none."""
    if not document["interest_minor"]:
        return ""
    amount = amount_text(document["interest_minor"], document["currency"])
    if document["kind"] == TRIAL:
        return _("Besides it, {amount} would be interest on your shares.", amount=amount)
    return _("Besides it, {amount} is interest on your shares.", amount=amount)


def _part(name: str, amount: str, *, is_trial: bool) -> str:
    match name:
        case "paid":
            return _("{amount} to be paid", amount=amount) if is_trial else _("{amount} is to be paid to you", amount=amount)  # fmt: skip
        case "held":
            return _("{amount} too little to be paid yet", amount=amount) if is_trial else _("{amount} is too little to be paid yet", amount=amount)  # fmt: skip
        case "set_off":
            return _("{amount} taken off what you owe", amount=amount) if is_trial else _("{amount} is taken off what you owe", amount=amount)  # fmt: skip
        case "withheld":
            return _("{amount} withheld for tax", amount=amount) if is_trial else _("{amount} is withheld for tax", amount=amount)  # fmt: skip
        case "given":
            return _("{amount} given to the community", amount=amount) if is_trial else _("{amount} is given to the community", amount=amount)  # fmt: skip
        case "loss_met":
            return _("{amount} meeting your part of an earlier loss", amount=amount) if is_trial else _("{amount} meets your part of an earlier loss", amount=amount)  # fmt: skip
        case _kept if is_trial:
            return _("{amount} kept in the co-op in your name", amount=amount)
        case _kept:
            return _(
                "{amount} is kept in the co-op in your name until the co-op decides to pay it back (retained patronage)",
                amount=amount,
            )


def kinds(document: Mapping[str, Any]) -> Iterator[tuple[str, int, str]]:
    """(kind, minor units, what it means for tax) of what is not paid out, where the rules know kinds.

    Source: 26 USC 1388(c) and 1385; patronage reference, section 2.1.
    """
    found = {
        name: sum(share[f"{name}_minor"] for share in document["shares"])
        for name in ("qualified", "nonqualified")
    }
    for name, minor in found.items():
        if not minor:
            continue
        amount = amount_text(minor, document["currency"])
        if name == "qualified":
            yield name, minor, _(
                "Of what is not paid out, {amount} is qualified: for US tax it counts now, with the year's share, though "
                "it is paid back later.", amount=amount
            )  # fmt: skip
        else:
            yield name, minor, _(
                "Of what is not paid out, {amount} is nonqualified: for US tax it does not count now, but when it is "
                "paid back.", amount=amount
            )  # fmt: skip


def measure_text(measure: str) -> str:
    """An exact measure as a decimal where it ends, else as the fraction it is; in the reader's numerals."""
    exact, decimals = Fraction(measure), 0
    while exact.denominator != 1 and decimals < DECIMALS_MAX:
        exact, decimals = exact * 10, decimals + 1
    if exact.denominator != 1:
        return measure
    digits = str(abs(exact.numerator)).rjust(decimals + 1, "0")
    sign = "-" if exact < 0 else ""
    return numeral(sign + (f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits))
