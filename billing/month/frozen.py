"""Reads a closing's document back into what it was made of, so that anybody can work it out again. Pure."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from billing.charges.tariff import Service, tariff_of
from billing.costs.invoices import Invoice
from billing.month.closing import FORMAT, Check, Closing, ClosingInputs
from billing.month.surplus import Result
from meter.refusal import Refusal
from meter.usage import MemberClass
from meter.window import Month

ONE_PAGE_A_MONTH = "weir-closing-1"
"""The format before this one: it held every member, and shared out each month's surplus at once."""
CLOSINGS_KEPT = 128


@lru_cache(maxsize=CLOSINGS_KEPT)
def closing_of(text: str) -> Closing:
    """A stored closing. Raises Refusal for a format this Weir does not read.

    What is closed stays as it is, and a page of a year asks for every month of several: the last ones read are kept.
    """
    document: dict[str, Any] = json.loads(text)
    _refuse_others(document)
    return Closing(
        inputs=_inputs(document),
        members=document["members"],
        lines=document["lines"],
        lines_digest=document["lines_digest"],
        by_service={Service(one): amount for one, amount in document["charges_by_service"].items()},
        by_class={MemberClass(one): amount for one, amount in document["charges_by_class"].items()},
        costs=document["costs"],
        result=Result(document["charges_minor"], document["costs_minor"]),
        checks=tuple(Check(one["name"], one["left"], one["right"]) for one in document["checks"]),
        digest=document["digest"],
    )


@lru_cache(maxsize=CLOSINGS_KEPT)
def was_shared_out(text: str) -> bool:
    """Whether an older Weir closed the month and shared its surplus out at once, so that it is part of no year."""
    return bool(json.loads(text)["format"] == ONE_PAGE_A_MONTH)


def _refuse_others(document: dict[str, Any]) -> None:
    found = document.get("format")
    if found == ONE_PAGE_A_MONTH:
        raise Refusal(
            f"{document.get('month')} was closed by an older Weir, which shared out each month by itself "
            f"({ONE_PAGE_A_MONTH}): its statements stay as they were told, and it can be neither part of a year's "
            "closing nor worked out again by this Weir"
        )
    if found != FORMAT:
        raise Refusal(f"the closing has the format '{found}'; this Weir reads {FORMAT}")


def _inputs(document: dict[str, Any]) -> ClosingInputs:
    inputs = document["inputs"]
    month = Month.parse(document["month"])
    return ClosingInputs(
        month=month,
        until_us=inputs["until_us"],
        tariff=tariff_of(inputs["tariff"]),
        invoices=tuple(_invoice(one, month) for one in inputs["invoices"]),
        watermark=inputs["watermark"],
        earlier={
            Month.parse(text): tariff_of(one) for text, one in inputs.get("earlier_tariffs", {}).items()
        },
    )


def _invoice(one: dict[str, Any], month: Month) -> Invoice:
    return Invoice(
        one["number"], month, one["pool"], one["amount_minor"], one["currency"], one["memo"], one["booked_us"]
    )
