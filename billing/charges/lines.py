"""A line of a charge as it is kept in a closing, and as a member is told of it. Pure; it rates nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.charges.rating import Line
from billing.charges.tariff import UNITS, WORDS, Service, price_text
from billing.money import format_decimal
from billing.tongue import _
from billing.words import quantity_text


def line_of(document: Mapping[str, Any]) -> Line:
    """The line that a closing keeps as this document."""
    return Line(
        Service(document["service"]), document["quantity"], document["per"], document["price_nano"],
        document["amount_minor"], document.get("free", 0), document.get("note", ""),
        document.get("engine", ""),
    )  # fmt: skip


def told(line: Line, *, decimals: int) -> dict[str, Any]:
    """The same as a statement tells it: in words, with the price of one unit. `decimals`: of the currency."""
    return {
        "service": line.service.value,
        "words": line_words(line),
        "quantity": line.quantity,
        "per": line.per,
        "quantity_text": quantity_text(line.quantity, line.per, UNITS[line.service]),
        "price": _price(line, decimals),
        "price_nano": line.price_nano,
        "amount_minor": line.amount_minor,
        **({"free": line.free} if line.free else {}),
        **({"note": line.note} if line.note else {}),
        **({"engine": line.engine} if line.engine else {}),
    }


def line_words(line: Line) -> str:
    """What a line is for, in the language spoken now; a note is as somebody wrote it."""
    if line.service is Service.CREDITS:
        return f"{line.note[:1].upper()}{line.note[1:]}"
    words = _(WORDS[line.service])
    if line.engine:
        words = _("{service} on {engine}", service=words, engine=line.engine)
    if line.note:
        words = f"{words}, {line.note}"
    if line.free:
        free = quantity_text(line.free, line.per, UNITS[line.service])
        words = _("{service}, {free} of it free", service=words, free=free)
    return words


def _price(line: Line, decimals: int) -> str:
    if line.service is Service.CREDITS:
        return format_decimal(line.amount_minor, decimals)
    return price_text(line.price_nano)
