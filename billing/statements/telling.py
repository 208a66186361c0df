"""What the document of a month says in sentences, from its own figures, in the language spoken now. Pure.

A document keeps its sentences in the source language, as it was made. Whoever reads another language is told the same
from the same figures; of a month that an older Weir closed they read the sentences that were written then. When words
change, the format's number does, and a closed month goes on in the words of the format that was kept with its closing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from billing.charges.lines import line_of, line_words
from billing.charges.tariff import UNITS, Service
from billing.tongue import SOURCE, _, many, phrase, spoken
from billing.words import (
    amount_text,
    count_text,
    instant_text,
    month_text,
    number_text,
    numeral,
    quantity_text,
)
from meter.usage import MemberClass
from meter.window import Month, to_us

FORMAT = "weir-statement-3"
EARLIER = "weir-statement-2"
"""Of months that were closed while all charges were called the members', and all of a surplus was said to come back."""
FORMATS = (FORMAT, EARLIER)
"""Those that are made here; what has another is told as it was kept."""
CUSTOMER = MemberClass.CUSTOMER.value


class LineTold(NamedTuple):
    """A line of a charge as a reader sees it."""

    words: str
    quantity: str
    price: str
    amount: str


def who_of(document: Mapping[str, Any]) -> str:
    """Whose statement it is."""
    member = document["member"]
    if member["class"] == CUSTOMER and document["format"] == FORMAT:
        return _("{name}, customer {number}", name=member["name"], number=member["id"])
    return _("{name}, member {number}", name=member["name"], number=member["id"])


def sentence_of(document: Mapping[str, Any]) -> str:
    """The sentence a statement begins with."""
    kept: str = document["sentence"]
    return kept if spoken() == SOURCE or document["format"] not in FORMATS else sentence(document)


def meaning_of(document: Mapping[str, Any]) -> str:
    """What follows from it."""
    kept: str = document["meaning"]
    return kept if spoken() == SOURCE or document["format"] not in FORMATS else meaning(document)


def lines_of(document: Mapping[str, Any]) -> list[LineTold]:
    """What was charged, line by line."""
    currency = document["currency"]
    return [
        LineTold(
            _words(line),
            _quantity(line),
            numeral(line["price"]),
            number_text(line["amount_minor"], currency),
        )
        for line in document["lines"]
    ]


def apart_of(document: Mapping[str, Any]) -> list[LineTold]:
    """What is told and not charged."""
    return [LineTold(phrase(one["words"]), _quantity(one), "", "") for one in document.get("apart", ())]


def _words(line: Mapping[str, Any]) -> str:
    kept: str = line["words"]
    if spoken() == SOURCE:
        return kept
    return line_words(line_of(line)) if "price_nano" in line else phrase(kept)


def _quantity(line: Mapping[str, Any]) -> str:
    kept: str = line["quantity_text"]
    if spoken() == SOURCE:
        return kept
    number, _blank, unit = kept.partition(" ")
    if "service" in line and "per" in line:
        return quantity_text(line["quantity"], line["per"], UNITS[Service(line["service"])])
    return f"{numeral(number)} {phrase(unit)}"


def sentence(document: Mapping[str, Any]) -> str:
    """Whose co-op, what it cost, and what is left."""
    return f"{_who(document)} {_what(document)}"


def _who(document: Mapping[str, Any]) -> str:
    members = document["co_op"]["members"]
    count = count_text(members)
    if document["member"]["class"] == CUSTOMER:
        return many(
            "You are a customer of a co-op of {count} member.",
            "You are a customer of a co-op of {count} members.",
            number=members, count=count,
        )  # fmt: skip
    if members == 1:
        return _("You are the only member.")
    return _("You are one of {count} members.", count=count)


def _what(document: Mapping[str, Any]) -> str:
    co_op, currency, is_trial = document["co_op"], document["currency"], document["kind"] == "trial"
    charged, of_others = co_op["charges_minor"], co_op.get("customers_charges_minor", 0)
    told = {
        "month": month_text(Month.parse(document["period"])),
        "until": instant_text(to_us(datetime.fromisoformat(document["to"]).astimezone(UTC))),
        "cost": amount_text(co_op["costs_minor"], currency),
        "charged": amount_text(charged - of_others, currency),
        "others": amount_text(of_others, currency),
        "left": amount_text(abs(co_op["result_minor"]), currency),
    }
    outcome = co_op["outcome"] if co_op["costs_booked"] else ""
    return _of_all(outcome, told, is_trial) if of_others else _of_members(outcome, told, is_trial)


def _of_members(outcome: str, told: Mapping[str, str], is_trial: bool) -> str:
    """Where nobody else was charged; without an outcome no costs are booked."""
    match outcome, is_trial:
        case "", _any:
            return _(
                "In {month}, up to {until}, members were charged {charged}; no costs are booked yet.", **told
            )
        case "surplus", True:
            return _(
                "In {month}, up to {until}, the service cost {cost} and members were charged {charged}: as it stands, "
                "{left} is left over.", **told
            )  # fmt: skip
        case "loss", True:
            return _(
                "In {month}, up to {until}, the service cost {cost} and members were charged {charged}: as it stands, "
                "{left} is missing.", **told
            )  # fmt: skip
        case _other, True:
            return _(
                "In {month}, up to {until}, the service cost {cost} and members were charged {charged}: as it stands, "
                "nothing is left over.", **told
            )  # fmt: skip
        case "surplus", _final:
            return _("In {month} the service cost {cost} and members were charged {charged}: {left} is left over.", **told)  # fmt: skip
        case "loss", _final:
            return _("In {month} the service cost {cost} and members were charged {charged}: {left} is missing.", **told)  # fmt: skip
        case _other, _final:
            return _("In {month} the service cost {cost} and members were charged {charged}: nothing is left over.", **told)  # fmt: skip


def _of_all(outcome: str, told: Mapping[str, str], is_trial: bool) -> str:
    """The same where customers were charged too."""
    match outcome, is_trial:
        case "", _any:
            return _(
                "In {month}, up to {until}, members were charged {charged} and customers {others}; no costs are booked "
                "yet.", **told
            )  # fmt: skip
        case "surplus", True:
            return _(
                "In {month}, up to {until}, the service cost {cost}; members were charged {charged} and customers "
                "{others}: as it stands, {left} is left over.", **told
            )  # fmt: skip
        case "loss", True:
            return _(
                "In {month}, up to {until}, the service cost {cost}; members were charged {charged} and customers "
                "{others}: as it stands, {left} is missing.", **told
            )  # fmt: skip
        case _other, True:
            return _(
                "In {month}, up to {until}, the service cost {cost}; members were charged {charged} and customers "
                "{others}: as it stands, nothing is left over.", **told
            )  # fmt: skip
        case "surplus", _final:
            return _(
                "In {month} the service cost {cost}; members were charged {charged} and customers {others}: {left} is "
                "left over.", **told
            )  # fmt: skip
        case "loss", _final:
            return _(
                "In {month} the service cost {cost}; members were charged {charged} and customers {others}: {left} is "
                "missing.", **told
            )  # fmt: skip
        case _other, _final:
            return _(
                "In {month} the service cost {cost}; members were charged {charged} and customers {others}: nothing is "
                "left over.", **told
            )  # fmt: skip


def meaning(document: Mapping[str, Any]) -> str:
    """What becomes of it, and for this reader."""
    outcome, member_class = document["co_op"]["outcome"], document["member"]["class"]
    if not document["co_op"]["costs_booked"]:
        return _("What is left over is known once the month's costs are booked and the month is closed.")
    if outcome == "loss":
        return _(
            "Nobody is charged for what is missing. It counts towards the year; when the year is closed, its rules "
            "say who bears a loss that the year as a whole has made."
        )
    if outcome == "even":
        return _("The charges cover the costs exactly, so there is nothing to share.")
    return _shared_as_was_said(member_class) if document["format"] == EARLIER else _shared(member_class)


def _shared(member_class: str) -> str:
    """What becomes of a surplus: some of it may go to reserves, or stay with all of us, by the rules."""
    if member_class == CUSTOMER:
        return _(
            "What is left over stays with the co-op, and its rules say what becomes of it. You buy at the tariff and are "
            "no member."
        )
    if member_class == MemberClass.USER.value:
        return _(
            "A month shares nothing out. What is left over counts towards the year, and when the year is closed, the "
            "part that the co-op's rules share out comes back to the members (patronage), to users by what they were "
            "charged over the year."
        )
    return _(
        "A month shares nothing out. What is left over counts towards the year, and when the year is closed, the part "
        "that the co-op's rules share out comes back to the members (patronage); you are a {member_class} member.",
        member_class=phrase(member_class),
    )


def _shared_as_was_said(member_class: str) -> str:
    """The same in the words of EARLIER, which stay with the months that were closed in them."""
    if member_class == CUSTOMER:
        return _("What is left over belongs to the members; you buy at the tariff and are none.")
    if member_class == MemberClass.USER.value:
        return _(
            "A month shares nothing out. What is left over counts towards the year, and when the year is closed its "
            "surplus comes back to the members (patronage), to users by what they were charged over the year."
        )
    return _(
        "A month shares nothing out. What is left over counts towards the year, and when the year is closed its "
        "surplus comes back to the members (patronage), as the co-op's rules say; you are a {member_class} member.",
        member_class=phrase(member_class),
    )
