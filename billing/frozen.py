"""Reads a closing's document back into the inputs it was made of, so that anybody can work it out again. Pure."""

from __future__ import annotations

import json
from typing import Any

from billing.closing import FORMAT, SOMETIMES, ZONES, ClosingInputs
from billing.cost import Invoice
from billing.rating import Credit
from billing.tariff import tariff_of
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.usage import Late, Member, MemberClass, MemberStatus, Usage
from meter.window import Month


def inputs_of(text: str) -> ClosingInputs:
    """The inputs of a stored closing. Raises Refusal for a format this Weir does not read."""
    document: dict[str, Any] = json.loads(text)
    if document.get("format") != FORMAT:
        raise Refusal(f"the closing has the format '{document.get('format')}'; this Weir reads {FORMAT}")
    inputs = document["inputs"]
    month = Month.parse(document["month"])
    return ClosingInputs(
        month=month,
        until_us=inputs["until_us"],
        tariff=tariff_of(inputs["tariff"]),
        members=tuple(_member(one) for one in inputs["members"]),
        usage={MemberId(one["member"]): _usage(one, month, inputs["until_us"]) for one in inputs["usage"]},
        invoices=tuple(_invoice(one, month) for one in inputs["invoices"]),
        watermark=inputs["watermark"],
        credits=tuple(_credit(one, month) for one in inputs.get("credits", ())),
        earlier={
            Month.parse(text): tariff_of(one) for text, one in inputs.get("earlier_tariffs", {}).items()
        },
    )


def _member(one: dict[str, Any]) -> Member:
    # The address is no input of a closing; it stays in the register.
    return Member(
        MemberId(one["id"]), one["name"], MemberClass(one["class"]), "", MemberStatus(one["status"]),
        one["joined_us"], one["left_us"],
    )  # fmt: skip


def _usage(one: dict[str, Any], month: Month, until_us: int) -> Usage:
    return Usage(
        MemberId(one["member"]), month.start_us, until_us, one["bytes_in"], one["bytes_out"],
        one["requests_a"], one["requests_b"], one["byte_us"],
        **{name: one.get(name, 0) for name in (*SOMETIMES, *ZONES)},
        late=tuple(Late(**{**late, "month": Month.parse(late["month"])}) for late in one.get("late", ())),
    )  # fmt: skip


def _invoice(one: dict[str, Any], month: Month) -> Invoice:
    return Invoice(
        one["number"], month, one["pool"], one["amount_minor"], one["currency"], one["memo"], one["booked_us"]
    )


def _credit(one: dict[str, Any], month: Month) -> Credit:
    return Credit(
        one["number"], MemberId(one["member"]), month, one["amount_minor"], one["currency"], one["reason"],
        one["given_us"],
    )  # fmt: skip
