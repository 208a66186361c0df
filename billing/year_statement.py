"""What one member is told about a fiscal year: their line of the sum, and what did not go to members. Pure.

It works nothing out anew; it takes the page of the year and the member's own line and says what they mean.
"""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from billing.money import exponent, parse_amount, quotient_text
from billing.tongue import SOURCE, _, phrase, pieces, speaking, spoken
from billing.words import amount_text, count_text, instant_again, instant_text, number_text, numeral
from billing.year.inputs import CUSTOMER
from billing.year.outcome import YearAllocation
from billing.year_lines import SETTLED, YearLine
from billing.year_losses import account_words, is_missing, is_spared, meets_losses, pool_words, spared_meaning
from billing.year_parts import TRIAL, interest_words, kinds, measure_text, share_words

FORMAT = "weir-year-statement-3"
SECOND = "weir-year-statement-2"
EARLIER = "weir-year-statement-1"
"""Years that were closed in it, or in the second, keep its words."""
FORMATS = (FORMAT, SECOND, EARLIER)
FINAL = "final"
WIDTH = 80
INDENT = "  "


def year_statement(
    page: Mapping[str, Any], own: YearLine, *, kind: str, resolution: str = "", closed_us: int | None = None,
    told_as: str = FORMAT,
) -> dict[str, Any]:  # fmt: skip
    """The document of one member; `kind` is TRIAL or FINAL, `told_as` the format that the year was closed in."""
    assert told_as in FORMATS, told_as
    # What is kept is told in one language, whoever asks for it first.
    with speaking(SOURCE):
        document = {**_document(page, own, kind, resolution, closed_us), "format": told_as}
        return {**document, "sentence": sentence(document), "meaning": meaning(document)}


def _document(
    page: Mapping[str, Any], own: YearLine, kind: str, resolution: str, closed_us: int | None
) -> dict[str, Any]:
    currency = page["currency"]
    settled = dict.fromkeys(SETTLED, 0)
    if own.settlement is not None:
        settled = dict(zip(SETTLED, own.settlement[1:], strict=True))
    return {
        "format": FORMAT,
        "kind": kind,
        "fiscal_year": page["fiscal_year"],
        "first_month": page["first_month"],
        "last_month": page["last_month"],
        "member": {"id": own.number, "name": own.name, "classes": sorted({use.member_class for use in own.uses})},
        "currency": currency,
        "rule_set": page["rule_set"],
        "charges_minor": sum(use.charges_minor for use in own.uses),
        "co_op": whole_of(page),
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


def whole_of(page: Mapping[str, Any]) -> dict[str, Any]:
    """What a year's page says of the whole co-op: what came in, what it cost, and where the result went."""
    currency = page["currency"]
    return {
        "members": page["lines"],
        "costs": dict(page["costs"]),
        "costs_minor": sum(page["costs"].values()),
        "side_income": dict(page["side_income"]),
        "side_income_minor": sum(page["side_income"].values()),
        "result_minor": _minor(page["result"], currency),
        "pool_minor": _minor(page["pool"], currency),
        "accounts": {name: _minor(amount, currency) for name, amount in page["accounts"].items()},
    }


def charged(co_op: Mapping[str, Any]) -> int:
    """What everybody was charged: all that came in but the income beside it."""
    whole: int = co_op["result_minor"] + co_op["costs_minor"] - co_op["side_income_minor"]
    return whole


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


def sentence(document: Mapping[str, Any]) -> str:
    """What the year cost, what came in, and what is left, in the language spoken now."""
    co_op, currency, is_trial = document["co_op"], document["currency"], document["kind"] == TRIAL
    told = {
        "year": document["fiscal_year"],
        "cost": amount_text(co_op["costs_minor"], currency),
        "came": amount_text(co_op["costs_minor"] + co_op["result_minor"], currency),
        "left": amount_text(abs(co_op["result_minor"]), currency),
    }
    if co_op["members"] > 1:
        count = count_text(co_op["members"])
        who = _("You are one of {count} in the co-op's books of the fiscal year {year}.", count=count, **told)
    else:
        who = _("You are the only one in the co-op's books of the fiscal year {year}.", **told)
    match co_op["result_minor"] >= 0, is_trial:
        case True, True:
            what = _("The service cost {cost}; {came} came in, so {left} would be left over. This is what happens to it.", **told)  # fmt: skip
        case True, False:
            what = _("The service cost {cost}; {came} came in, so {left} is left over. This is what happens to it.", **told)  # fmt: skip
        case False, True:
            what = _("The service cost {cost}; {came} came in, so {left} would be missing. This is what happens to it.", **told)  # fmt: skip
        case _loss:
            what = _("The service cost {cost}; {came} came in, so {left} is missing. This is what happens to it.", **told)  # fmt: skip
    return f"{who} {what}"


def meaning(document: Mapping[str, Any]) -> str:
    """What it means for this reader, in the language spoken now."""
    currency, amount = document["currency"], document["amount_minor"]
    if document["member"]["classes"] == [CUSTOMER]:
        if is_missing(document):
            return _("You bought at the tariff and are no member: no part of the loss is yours.")
        return _("You bought at the tariff and are no member: what is left over belongs to the members.")
    if amount < 0:
        return _(
            "Your part of the loss is {part}. It is not a bill: it is met from what you would get in coming years, "
            "and never asked for.", part=amount_text(-amount, currency)
        )  # fmt: skip
    if is_spared(document):
        return spared_meaning(document)
    if amount and document["format"] == EARLIER:
        return _shared_as_was_said(document)
    if amount:
        words = share_words(document)
    elif document["format"] == FORMAT and meets_losses(document["co_op"]):
        words = _("Nothing is shared of this year: what is left over meets losses of earlier years first.")
    else:
        words = _("No part of the year's result is yours: shares follow use and work, by the co-op's rules.")
    interest = "" if document["format"] == EARLIER else interest_words(document)
    return f"{words} {interest}".rstrip()


def _shared_as_was_said(document: Mapping[str, Any]) -> str:
    """The same in the words of EARLIER, which stay with the years that were closed in them."""
    told = {
        "share": amount_text(document["amount_minor"], document["currency"]),
        "paid": amount_text(document["paid_minor"] + document["held_minor"], document["currency"]),
        "kept": amount_text(document["retained_minor"] - document["loss_met_minor"], document["currency"]),
    }
    return _(
        "Your share of it (patronage) is {share}: {paid} is to be paid to you, {kept} is kept "
        "in the co-op in your name until the co-op decides to pay it back (retained patronage). Allocated is not paid.",
        **told,
    )


def sentence_of(document: Mapping[str, Any]) -> str:
    """The sentence a statement begins with: as it is kept, or the same in the reader's language."""
    kept: str = document["sentence"]
    return kept if spoken() == SOURCE else sentence(document)


def meaning_of(document: Mapping[str, Any]) -> str:
    """What follows from it: as it is kept, or the same in the reader's language."""
    kept: str = document["meaning"]
    return kept if spoken() == SOURCE else meaning(document)


def year_text(document: Mapping[str, Any]) -> str:
    """The statement for a terminal or a letter: 80 columns, ends with a newline."""
    return "\n".join(line.rstrip() for line in _lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    member, currency, co_op = document["member"], document["currency"], document["co_op"]
    year = document["fiscal_year"]
    yield _sides(
        _("Statement for the year {year}", year=year),
        _("{name}, member {number}", name=member["name"], number=member["id"]),
    )
    yield "═" * WIDTH
    yield from textwrap.wrap(sentence_of(document), WIDTH)
    yield ""
    yield from textwrap.wrap(meaning_of(document), WIDTH)
    if document["shares"]:
        yield from _heading(_("Your line of the sum"))
    for share in document["shares"]:
        yield from _sum(share, currency)
    is_loss = document["amount_minor"] < 0 or is_spared(document)
    yield from _heading(_("What you bear") if is_loss else _("What you get"))
    for words, amount in settled(document):
        yield _sides(INDENT + words, number_text(amount, currency))
    for _kind, _minor_units, words in kinds(document):
        yield ""
        yield from textwrap.wrap(words, WIDTH)
    if document.get("capital"):
        yield from _heading(_("Kept in your name, as this closing left it"))
        for lot in document["capital"]:
            words = _("of {year}", year=lot["words"])
            yield _sides(INDENT + words, number_text(lot["closing_minor"], currency))
    if document.get("losses"):
        yield from _heading(_("Your part of losses, still to be met"))
        for loss in document["losses"]:
            words = _("of {year}", year=loss["words"])
            yield _sides(INDENT + words, number_text(loss["unmet_minor"], currency))
    yield from _heading(_("What becomes of the whole"))
    yield _sides(INDENT + _("The year's result"), number_text(co_op["result_minor"], currency))
    yield _sides(INDENT + pool_words(document, within=False), number_text(co_op["pool_minor"], currency))
    for name, amount in co_op["accounts"].items():
        yield _sides(INDENT + account_words(name, amount), number_text(amount, currency))
    yield from _foot(document)


def _foot(document: Mapping[str, Any]) -> Iterator[str]:
    member, year = document["member"], document["fiscal_year"]
    yield ""
    yield "─" * WIDTH
    is_trial = document["kind"] == TRIAL
    yield _("This statement is a trial: figures still change.") if is_trial else _("This statement is final.")
    yield _("It is not a bill and not a cheque.")
    if document["resolution"]:
        closed = instant_again(document["closed"])
        yield _("Decided by resolution {id}; closed on {closed}.", id=document["resolution"], closed=closed)
    command = f"weir verify {member['name']} {year}"
    yield _("Rules: {rules}. Check us: {command}", rules=document["rule_set"], command=command)
    yield f"SHA-256 {document['digest']}"


def sum_pieces(share: Mapping[str, Any], currency: str) -> tuple[str, ...]:
    """A line of the sum up to its '=', words and numbers by turns."""
    told = {
        "own": measure_text(share["measure"]),
        "whole": measure_text(share["all_measures"]),
        "pool": number_text(share["class_pool_minor"], currency),
    }
    match share["class"]:
        case "user":
            charges = {
                name: number_text(int(share[measure]), currency)
                for name, measure in (("own", "measure"), ("whole", "all_measures"))
            }
            return pieces("your charges {own} / all users’ {whole} × pool {pool}", told | charges)
        case "worker":
            return pieces("your hours × factor {own} / all workers’ {whole} × pool {pool}", told)
        case other:
            return pieces(
                "your measure {own} / all {member_class}s’ {whole} × pool {pool}",
                told,
                member_class=phrase(other),
            )


def exact_words(share: Mapping[str, Any]) -> str:
    """What follows: the exact share, and how it was rounded."""
    return _("= {exact}, rounded so that all shares sum to the pool:", exact=numeral(share["exact"]))


def _sum(share: Mapping[str, Any], currency: str) -> Iterator[str]:
    yield INDENT + "".join(sum_pieces(share, currency)).replace("’", "'")
    yield _sides(INDENT + exact_words(share), number_text(share["amount_minor"], currency))


def settled(document: Mapping[str, Any]) -> list[tuple[str, int]]:
    """What becomes of the member's own part, in words and minor units; what is nothing and not usual is left out."""
    rows: tuple[tuple[str, str], ...] = (
        (_("Allocated to you"), "amount"), (_("To be paid to you"), "paid"),
        (_("Too little to be paid yet"), "held"), (_("Taken off what you owe"), "set_off"),
        (_("Withheld for tax"), "withheld"), (_("Given to the community"), "given"),
        (_("Meets your part of an earlier loss"), "loss_met"), (_("Kept in your name"), "retained"),
        (_("Interest on your shares"), "interest"),
    )  # fmt: skip
    found = []
    if document["amount_minor"] < 0 or is_spared(document):
        found.append((_("Your part of the loss"), -document["amount_minor"]))
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
