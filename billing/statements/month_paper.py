"""The statement of a month as a paper, from the document of what a member is told. Pure; it makes no figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from billing.statements.paper import SHADES, Box, Paper, Picture, Section, Table, check_us, cut
from billing.statements.telling import FORMAT, apart_of, lines_of, meaning_of, sentence_of, who_of
from billing.tongue import _, pieces, spoken
from billing.words import amount_text, bytes_text, month_text, number_text, numeral
from meter.window import Month


def month_paper(document: Mapping[str, Any]) -> Paper:
    """The paper, of any month that was ever told, in the language spoken now."""
    member, month = document["member"], Month.parse(document["period"])
    is_final = document["kind"] == "final"
    return Paper(
        title=_("Statement for {month}", month=month_text(month)),
        standing=_("Final") if is_final else _("Trial: figures still change"),
        is_final=is_final,
        who=who_of(document),
        sentence=sentence_of(document),
        meaning=meaning_of(document),
        currency=document["currency"],
        language=spoken(),
        boxes=tuple(_boxes(document)),
        below=(),
        picture=_picture(document, month),
        sections=tuple(_sections(document)),
        foot=(
            _("This is not a cheque. A GB is 1,000,000,000 bytes, counted where they move. Times are UTC."),
            check_us(f"weir verify {member['name']} {document['period']}"),
        ),
        digest=document["digest"],
        dated_us=month.end_us,
    )


def charged_by(co_op: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Whose charges the month brought in, in words, and how much."""
    of_others = co_op.get("customers_charges_minor", 0)
    yield _("All members’ charges"), co_op["charges_minor"] - of_others
    if of_others:
        yield _("Customers’ charges"), of_others


def result_words(outcome: str) -> str:
    """What is left, as it is called."""
    return {"surplus": _("Left over (surplus)"), "loss": _("Missing (loss)"), "even": _("Left over")}[outcome]


def _boxes(document: Mapping[str, Any]) -> Iterator[Box]:
    currency, co_op, usage = document["currency"], document["co_op"], document["usage"]
    received = _("sent to readers, {received} received from you", received=bytes_text(usage["bytes_in"]))
    yield Box(_("You used"), bytes_text(usage["bytes_out"]), received)
    if co_op["costs_booked"]:
        cost = amount_text(co_op["costs_minor"], currency)
        yield Box(_("It cost all of us"), cost, _("every bill of the co-op"))
    else:
        yield Box(_("It cost all of us"), _("not known yet"), _("the month’s costs are not booked"))
    charged = amount_text(document["charges_minor"], currency)
    yield Box(_("You are charged"), charged, _("at the co-op’s price, line by line"))
    left = amount_text(abs(co_op["result_minor"]), currency)
    if not co_op["costs_booked"]:
        yield Box(_("Left over by all of us"), _("not known yet"), _("it is, once the month is closed"))
    elif co_op["result_minor"] >= 0:
        if document["format"] == FORMAT:
            becomes = _("it counts towards the year, whose rules say what becomes of it")
        else:
            becomes = _("it counts towards the year, which shares it out")
        yield Box(_("Left over by all of us"), left, becomes)
    else:
        yield Box(_("Missing"), left, _("it counts towards the year; no bill follows"))


def _picture(document: Mapping[str, Any], month: Month) -> Picture | None:
    co_op = document["co_op"]
    if not co_op["costs_booked"]:
        return None
    cost, result = co_op["costs_minor"], co_op["result_minor"]
    if result < 0:
        wanted = [(_("covered by charges"), "out", cost + result), (_("missing"), "gap", -result)]
        found = cut(wanted, of_minor=cost)
        title = _("What the service cost in {when}, and how much of it came in", when=month_text(month))
    else:
        wanted = [
            (_("cost: {pool}", pool=pool), SHADES[place % len(SHADES)], amount)
            for place, (pool, amount) in enumerate(co_op["costs"].items())
        ]
        found = cut([*wanted, (_("left over for the year"), "back", result)], of_minor=cost + result)
        title = _("All that came in in {when}, and where it goes", when=month_text(month))
    about = _("One bar, cut into parts. The key below has the same amounts.")
    return Picture(title, about, found) if found else None


def _sections(document: Mapping[str, Any]) -> Iterator[Section]:
    currency, co_op = document["currency"], document["co_op"]
    rows: list[tuple[str, ...]] = [*lines_of(document), *apart_of(document)]
    foot = (_("Your charges"), "", "", number_text(document["charges_minor"], currency))
    heads = (_("What"), _("How much"), _("Price each"), currency)
    table = Table(_("Your charges, line by line"), heads, rows, foot, numbers=3)
    yield Section(_("What you used, at the co-op’s price"), table=table)
    if co_op["costs_booked"]:
        costs = [(words, number_text(amount, currency)) for words, amount in charged_by(co_op)]
        costs += [
            (_("Cost: {pool}", pool=pool), number_text(-amount, currency))
            for pool, amount in co_op["costs"].items()
        ]
        result = (result_words(co_op["outcome"]), number_text(co_op["result_minor"], currency))
        whole = Table(_("The whole co-op’s month"), (_("What"), currency), costs, result)
        yield Section(_("What it cost all of us"), table=whole)
        if document.get("share", {}).get("charges_minor"):
            yield _share(document)


def _share(document: Mapping[str, Any]) -> Section:
    """Of a month that an older Weir closed, when each month was shared out by itself."""
    currency, share = document["currency"], document["share"]
    strong = {
        "own": number_text(share["charges_minor"], currency),
        "everyone": number_text(share["all_charges_minor"], currency),
        "pool": number_text(share["pool_minor"], currency),
        "amount": amount_text(share["amount_minor"], currency),
    }
    line = pieces(
        "your charges {own} / all user members’ {everyone} × surplus {pool} = {exact}, rounded so that all shares sum "
        "to the surplus: {amount}", strong, exact=numeral(share["exact"])
    )  # fmt: skip
    rows = [
        (_("Paid to you now"), number_text(share["paid_minor"], currency)),
        (_("Kept in your name"), number_text(share["retained_minor"], currency)),
        (_("Your charges less your share"), number_text(document["after_share_minor"], currency)),
    ]
    table = Table(_("Your share"), (_("What"), currency), rows)
    return Section(_("What comes back to you"), [line], table)
