"""A statement's document as rows for a spreadsheet: every figure exact, one a row. Pure.

Text that a member or anybody else chose cannot become a formula: a cell that would begin one has an apostrophe before.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from billing.money import plain_number
from billing.spreadsheet import BYTE_ORDER_MARK
from billing.tongue import SOURCE, speaking
from billing.year_parts import kinds
from billing.year_statement import charged, settled

HEADS = ("part", "what", "quantity", "amount_minor", "currency", "amount")
_STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Row = tuple[str, str, str, int | None]


def statement_csv(document: Mapping[str, Any]) -> str:
    """The statement of a month or a year; begins with a byte order mark, lines end as RFC 4180 says."""
    # A file for programs and sums says the same to everybody.
    with speaking(SOURCE):
        return _sheet(document)


def _sheet(document: Mapping[str, Any]) -> str:
    found = io.StringIO()
    writer = csv.writer(found, lineterminator="\r\n")
    writer.writerow(HEADS)
    currency = document["currency"]
    for part, what, quantity, minor in _year(document) if "fiscal_year" in document else _month(document):
        cells = [safe(part), safe(what), safe(quantity)]
        money = ["", "", ""] if minor is None else [str(minor), currency, plain_number(minor, currency)]
        writer.writerow(cells + money)
    return BYTE_ORDER_MARK + found.getvalue()


def safe(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_STARTS_FORMULA) else text


def _about(document: Mapping[str, Any], period: str) -> Iterator[Row]:
    yield "statement", "period", period, None
    yield "statement", "kind", document["kind"], None
    yield "statement", "member", document["member"]["name"], None
    yield "statement", "digest", document["digest"], None


def _month(document: Mapping[str, Any]) -> Iterator[Row]:
    yield from _about(document, document["period"])
    for name, count in document["usage"].items():
        yield "used", name, str(count), None
    for line in document["lines"]:
        yield "charged", line["words"], f"{line['quantity_text']} × {line['price']}", line["amount_minor"]
    yield "charged", "your charges", "", document["charges_minor"]
    yield "all of us", "charges", "", document["co_op"]["charges_minor"]
    yield from _co_op(document["co_op"])


def _year(document: Mapping[str, Any]) -> Iterator[Row]:
    yield from _about(document, str(document["fiscal_year"]))
    for name, count in document.get("used", {}).items():
        yield "used", name, str(count), None
    yield "charged", "your charges", "", document["charges_minor"]
    for share in document["shares"]:
        measure = f"{share['measure']} / {share['all_measures']} × {share['class_pool_minor']}"
        yield "share", share["class"], measure, share["amount_minor"]
    for words, amount in settled(document):
        yield "yours", words.lower(), "", amount
    for kind, minor, words in kinds(document):
        yield f"not paid out, {kind}", words, "", minor
    for lot in document.get("capital", ()):
        for column in ("opening", "added", "taken", "paid_back", "closing"):
            yield f"kept in your name, {lot['words']}", column.replace("_", " "), "", lot[f"{column}_minor"]
    for loss in document.get("losses", ()):
        yield "loss still to be met", f"your part of {loss['words']}", "", loss["unmet_minor"]
    yield from _whole(document["co_op"])


def _co_op(co_op: Mapping[str, Any]) -> Iterator[Row]:
    """Costs and the result; after what came in, a sheet can add it up by itself."""
    for name, amount in co_op["costs"].items():
        yield "all of us", f"cost of {name}", "", amount
    yield "all of us", "result", "", co_op["result_minor"]


def _whole(co_op: Mapping[str, Any]) -> Iterator[Row]:
    """All that came in less what it cost is the result, and its parts sum to it."""
    yield "all of us", "charges", "", charged(co_op)
    for name, amount in co_op["side_income"].items():
        yield "all of us", name, "", amount
    yield from _co_op(co_op)
    yield "all of us", "members' part of the result", "", co_op["pool_minor"]
    for name, amount in co_op["accounts"].items():
        yield "all of us", name, "", amount
