"""The statement of a month as a paper, from the document of what a member is told. Pure; it makes no figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from billing.money import format_amount, format_number
from billing.statements.paper import CHECK_US, SHADES, Box, Paper, Picture, Section, Table, cut
from billing.words import bytes_text, month_text
from meter.window import Month

RESULTS = {"surplus": "Left over (surplus)", "loss": "Missing (loss)", "even": "Left over"}


def month_paper(document: Mapping[str, Any]) -> Paper:
    """The paper, of any month that was ever told."""
    member, month = document["member"], Month.parse(document["period"])
    is_final = document["kind"] == "final"
    command = f"weir verify {member['name']} {document['period']}"
    return Paper(
        title=f"Statement for {month_text(month)}",
        standing="Final" if is_final else "Trial: figures still change",
        is_final=is_final,
        who=f"{member['name']}, member {member['id']}",
        sentence=document["sentence"],
        meaning=document["meaning"],
        currency=document["currency"],
        boxes=tuple(_boxes(document)),
        below=(),
        picture=_picture(document, month),
        sections=tuple(_sections(document)),
        foot=(
            "This is not a cheque. A GB is 1,000,000,000 bytes, counted where they move. Times are UTC.",
            f"Check us: {CHECK_US.format(command=command)}",
        ),
        digest=document["digest"],
        dated_us=month.end_us,
    )


def _boxes(document: Mapping[str, Any]) -> Iterator[Box]:
    currency, co_op, usage = document["currency"], document["co_op"], document["usage"]
    yield Box(
        "You used",
        bytes_text(usage["bytes_out"]),
        f"sent to readers, {bytes_text(usage['bytes_in'])} received from you",
    )
    if co_op["costs_booked"]:
        yield Box(
            "It cost all of us", format_amount(co_op["costs_minor"], currency), "every bill of the co-op"
        )
    else:
        yield Box("It cost all of us", "not known yet", "the month’s costs are not booked")
    yield Box(
        "You are charged",
        format_amount(document["charges_minor"], currency),
        "at the co-op’s price, line by line",
    )
    if not co_op["costs_booked"]:
        yield Box("Left over by all of us", "not known yet", "it is, once the month is closed")
    elif co_op["result_minor"] >= 0:
        left = format_amount(co_op["result_minor"], currency)
        yield Box("Left over by all of us", left, "it counts towards the year, which shares it out")
    else:
        yield Box(
            "Missing",
            format_amount(-co_op["result_minor"], currency),
            "it counts towards the year; no bill follows",
        )


def _picture(document: Mapping[str, Any], month: Month) -> Picture | None:
    co_op = document["co_op"]
    if not co_op["costs_booked"]:
        return None
    cost, result = co_op["costs_minor"], co_op["result_minor"]
    if result < 0:
        wanted = [("covered by charges", "out", cost + result), ("missing", "gap", -result)]
        found = cut(wanted, of_minor=cost)
        title = f"What the service cost in {month_text(month)}, and how much of it came in"
    else:
        wanted = [
            (f"cost: {pool}", SHADES[place % len(SHADES)], amount)
            for place, (pool, amount) in enumerate(co_op["costs"].items())
        ]
        found = cut([*wanted, ("left over for the year", "back", result)], of_minor=cost + result)
        title = f"All that came in in {month_text(month)}, and where it goes"
    about = "One bar, cut into parts. The key below has the same amounts."
    return Picture(title, about, found) if found else None


def _sections(document: Mapping[str, Any]) -> Iterator[Section]:
    currency, co_op = document["currency"], document["co_op"]
    rows: list[tuple[str, ...]] = [
        (line["words"], line["quantity_text"], line["price"], format_number(line["amount_minor"], currency))
        for line in document["lines"]
    ]
    rows += [(line["words"], line["quantity_text"], "", "") for line in document.get("apart", ())]
    foot = ("Your charges", "", "", format_number(document["charges_minor"], currency))
    heads = ("What", "How much", "Price each", currency)
    table = Table("Your charges, line by line", heads, rows, foot, numbers=3)
    yield Section("What you used, at the co-op’s price", table=table)
    if co_op["costs_booked"]:
        costs = [("All members’ charges", format_number(co_op["charges_minor"], currency))]
        costs += [
            (f"Cost: {pool}", format_number(-amount, currency)) for pool, amount in co_op["costs"].items()
        ]
        result = (RESULTS[co_op["outcome"]], format_number(co_op["result_minor"], currency))
        whole = Table("The whole co-op’s month", ("What", currency), costs, result)
        yield Section("What it cost all of us", table=whole)
        if document.get("share", {}).get("charges_minor"):
            yield _share(document)


def _share(document: Mapping[str, Any]) -> Section:
    """Of a month that an older Weir closed, when each month was shared out by itself."""
    currency, share = document["currency"], document["share"]
    own, everyone, pool = (
        format_number(share[key], currency) for key in ("charges_minor", "all_charges_minor", "pool_minor")
    )
    line = (
        "your charges ", own, " / all user members’ ", everyone, " × surplus ", pool,
        f" = {share['exact']}, rounded so that all shares sum to the surplus: ",
        format_amount(share["amount_minor"], currency),
    )  # fmt: skip
    rows = [
        ("Paid to you now", format_number(share["paid_minor"], currency)),
        ("Kept in your name", format_number(share["retained_minor"], currency)),
        ("Your charges less your share", format_number(document["after_share_minor"], currency)),
    ]
    return Section("What comes back to you", [line], Table("Your share", ("What", currency), rows))
