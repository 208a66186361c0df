"""A statement's document as text of 80 columns and as an HTML fragment. It shows figures, it makes none."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from billing.money import format_amount, format_number
from billing.pages import render
from billing.statements.month_paper import month_paper
from billing.statements.paper import WIDTH as WIDTH_OF_PICTURE
from billing.statements.paper import Paper
from billing.words import month_text
from meter.window import Month

WIDTH = 80
INDENT = "  "
KINDS = {"trial": "a trial: figures still change", "final": "final"}


def statement_html(document: Mapping[str, Any]) -> str:
    """The statement as an HTML fragment, everything escaped."""
    return paper_html(month_paper(document))


def paper_html(paper: Paper) -> str:
    """Any paper as an HTML fragment, everything escaped."""
    return render("paper.html", paper=paper, picture_width=WIDTH_OF_PICTURE)


def statement_text(document: Mapping[str, Any]) -> str:
    """The statement for a terminal or a letter: 80 columns, ends with a newline."""
    return "\n".join(line.rstrip() for line in _all_lines(document)) + "\n"


def _all_lines(document: Mapping[str, Any]) -> Iterator[str]:
    member = document["member"]
    yield _sides(
        f"Statement for {month_text(Month.parse(document['period']))}",
        f"{member['name']}, member {member['id']}",
    )
    yield "═" * WIDTH
    yield from textwrap.wrap(document["sentence"], WIDTH)
    yield ""
    yield from textwrap.wrap(document["meaning"], WIDTH)
    yield from _used(document)
    if document["co_op"]["costs_booked"]:
        yield from _everyone(document)
        if "share" in document:
            yield from _share(document)
    yield from _foot(document)


def _used(document: Mapping[str, Any]) -> Iterator[str]:
    currency = document["currency"]
    yield from _heading("What you used, at the co-op's price")
    for line in document["lines"]:
        amount = format_number(line["amount_minor"], currency)
        left = f"{line['words']:<28}{line['quantity_text']:>20} × {line['price']}"
        yield _sides(INDENT + left, amount)
    for line in document.get("apart", ()):
        yield f"{INDENT}{line['words']:<28}{line['quantity_text']:>20}"
    yield _rule()
    yield _sides(f"{INDENT}Your charges", format_amount(document["charges_minor"], currency))


def _everyone(document: Mapping[str, Any]) -> Iterator[str]:
    currency, co_op = document["currency"], document["co_op"]
    yield from _heading("What it cost all of us")
    yield _sides(f"{INDENT}All members' charges", format_number(co_op["charges_minor"], currency))
    for pool, amount in co_op["costs"].items():
        yield _sides(f"{INDENT}Cost: {pool}", format_number(-amount, currency))
    yield _rule()
    names = {"surplus": "Left over (surplus)", "loss": "Missing (loss)", "even": "Left over"}
    yield _sides(INDENT + names[co_op["outcome"]], format_amount(co_op["result_minor"], currency))


def _share(document: Mapping[str, Any]) -> Iterator[str]:
    """Of a month that an older Weir closed, when each month was shared out by itself."""
    currency, share = document["currency"], document["share"]
    if not share["charges_minor"]:
        return
    final = document["kind"] == "final"
    yield from _heading("What comes back to you" if final else "What would come back to you, as it stands")
    own, everyone, pool = (
        format_number(share[key], currency) for key in ("charges_minor", "all_charges_minor", "pool_minor")
    )
    yield f"{INDENT}your charges {own} / all user members' {everyone} × surplus {pool}"
    exact = f"{INDENT}= {share['exact']}, rounded so that all shares sum to the surplus:"
    yield _sides(exact, format_amount(share["amount_minor"], currency))
    yield ""
    yield _sides(f"{INDENT}Paid to you now", format_number(share["paid_minor"], currency))
    yield _sides(f"{INDENT}Kept in your name", format_number(share["retained_minor"], currency))
    yield _sides(
        f"{INDENT}Your charges less your share", format_number(document["after_share_minor"], currency)
    )


def _foot(document: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield "─" * WIDTH
    yield f"This statement is {KINDS[document['kind']]}. It is not a cheque."
    yield "A GB is 1,000,000,000 bytes, counted where they move. Times are UTC."
    yield f"Check us: weir verify {document['member']['name']} {document['period']}"
    yield f"SHA-256 {document['digest']}"


def _heading(text: str) -> Iterator[str]:
    yield ""
    yield text
    yield "─" * WIDTH


def _rule() -> str:
    return " " * (WIDTH - 16) + "─" * 16


def _sides(left: str, right: str) -> str:
    room = WIDTH - len(left)
    return left + right.rjust(room) if len(right) < room else f"{left}\n{right.rjust(WIDTH)}"
