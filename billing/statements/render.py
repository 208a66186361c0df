"""A statement's document as text of 80 columns and as an HTML fragment. It shows figures, it makes none."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from billing.pages import render
from billing.statements.month_paper import charged_by, month_paper, result_words
from billing.statements.paper import Paper
from billing.statements.telling import apart_of, lines_of, meaning_of, sentence_of, who_of
from billing.tongue import _
from billing.words import amount_text, month_text, number_text, numeral
from meter.window import Month

WIDTH = 80
INDENT = "  "


def statement_html(document: Mapping[str, Any]) -> str:
    """The statement as an HTML fragment, everything escaped."""
    return paper_html(month_paper(document))


def paper_html(paper: Paper) -> str:
    """Any paper as an HTML fragment, everything escaped."""
    return render("paper.html", paper=paper)


def statement_text(document: Mapping[str, Any]) -> str:
    """The statement for a terminal or a letter: 80 columns, ends with a newline."""
    # A letter of plain text has plain apostrophes.
    return "\n".join(line.rstrip().replace("’", "'") for line in _all_lines(document)) + "\n"


def _all_lines(document: Mapping[str, Any]) -> Iterator[str]:
    month = month_text(Month.parse(document["period"]))
    yield _sides(
        _("Statement for {month}", month=month),
        who_of(document),
    )
    yield "═" * WIDTH
    yield from textwrap.wrap(sentence_of(document), WIDTH)
    yield ""
    yield from textwrap.wrap(meaning_of(document), WIDTH)
    yield from _used(document)
    if document["co_op"]["costs_booked"]:
        yield from _everyone(document)
        if "share" in document:
            yield from _share(document)
    yield from _foot(document)


def _used(document: Mapping[str, Any]) -> Iterator[str]:
    yield from _heading(_("What you used, at the co-op’s price"))
    for line in lines_of(document):
        yield _sides(f"{INDENT}{line.words:<28}{line.quantity:>20} × {line.price}", line.amount)
    for line in apart_of(document):
        yield f"{INDENT}{line.words:<28}{line.quantity:>20}"
    yield _rule()
    charges = amount_text(document["charges_minor"], document["currency"])
    yield _sides(INDENT + _("Your charges"), charges)


def _everyone(document: Mapping[str, Any]) -> Iterator[str]:
    currency, co_op = document["currency"], document["co_op"]
    yield from _heading(_("What it cost all of us"))
    for words, amount in charged_by(co_op):
        yield _sides(INDENT + words, number_text(amount, currency))
    for pool, amount in co_op["costs"].items():
        yield _sides(INDENT + _("Cost: {pool}", pool=pool), number_text(-amount, currency))
    yield _rule()
    yield _sides(INDENT + result_words(co_op["outcome"]), amount_text(co_op["result_minor"], currency))


def _share(document: Mapping[str, Any]) -> Iterator[str]:
    """Of a month that an older Weir closed, when each month was shared out by itself."""
    currency, share = document["currency"], document["share"]
    if not share["charges_minor"]:
        return
    final = document["kind"] == "final"
    yield from _heading(
        _("What comes back to you") if final else _("What would come back to you, as it stands")
    )
    told = {
        name: number_text(share[key], currency)
        for name, key in (("own", "charges_minor"), ("everyone", "all_charges_minor"), ("pool", "pool_minor"))
    }
    yield INDENT + _("your charges {own} / all user members’ {everyone} × surplus {pool}", **told)
    exact = _("= {exact}, rounded so that all shares sum to the surplus:", exact=numeral(share["exact"]))
    yield _sides(INDENT + exact, amount_text(share["amount_minor"], currency))
    yield ""
    yield _sides(INDENT + _("Paid to you now"), number_text(share["paid_minor"], currency))
    yield _sides(INDENT + _("Kept in your name"), number_text(share["retained_minor"], currency))
    after = number_text(document["after_share_minor"], currency)
    yield _sides(INDENT + _("Your charges less your share"), after)


def _foot(document: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield "─" * WIDTH
    if document["kind"] == "final":
        yield _("This statement is final. It is not a cheque.")
    else:
        yield _("This statement is a trial: figures still change. It is not a cheque.")
    yield _("A GB is 1,000,000,000 bytes, counted where they move. Times are UTC.")
    yield _("Check us: {command}", command=f"weir verify {document['member']['name']} {document['period']}")
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
