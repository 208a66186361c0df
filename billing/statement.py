"""What one member is told about one month: a document with every figure the page, the text and the JSON show.

It works nothing out anew; it picks one member's part out of a closing and says what it means. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from billing.closing import SOMETIMES, Closing, ClosingInputs
from billing.money import exponent, format_amount, quotient_text
from billing.rating import GB, Charge, charge
from billing.surplus import Outcome
from billing.tariff import UNITS, WORDS, Service
from billing.words import instant_text, iso_text, month_text, quantity_text
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.usage import Member, MemberClass, Usage
from meter.window import Month

FORMAT = "weir-statement-1"
TRIAL = "trial"
FINAL = "final"
_COUNTS = ("bytes_in", "bytes_out", "requests_a", "requests_b", "byte_us", *SOMETIMES)


def was_member(member: Member, month: Month) -> bool:
    """Whether they were a member at any instant of the month."""
    return member.joined_us < month.end_us and (member.left_us is None or member.left_us > month.start_us)


def statement(closing: Closing, member: MemberId, *, kind: str) -> dict[str, Any]:
    """The document of one member; `kind` is TRIAL or FINAL. Raises Refusal when they were no member then."""
    inputs = closing.inputs
    own = next((one for one in inputs.members if one.id == member), None)
    if own is None:
        raise Refusal(f"there is no statement for {inputs.month}: they were not a member then")
    usage = inputs.usage.get(member) or Usage(member, inputs.month.start_us, inputs.until_us)
    rated = charge(usage, inputs.tariff, inputs.month)
    share = _share(closing, member)
    return {
        "format": FORMAT,
        "kind": kind,
        "period": str(inputs.month),
        "from": iso_text(inputs.month.start_us),
        "to": iso_text(inputs.until_us),
        "member": {"id": own.id, "name": own.name, "class": own.member_class.value},
        "currency": closing.currency,
        "usage": {
            "bytes_in": usage.bytes_in,
            "bytes_out": usage.bytes_out,
            "requests_a": usage.requests_a,
            "requests_b": usage.requests_b,
            "byte_microseconds": usage.byte_us,
            "byte_seconds": usage.byte_seconds,
            **_sometimes(usage),
        },
        "tariff_from": str(inputs.tariff.effective_from),
        "lines": _lines(closing, rated),
        **_apart(usage, inputs.month),
        "charges_minor": rated.amount_minor,
        "co_op": _co_op(closing, kind),
        "share": share,
        "after_share_minor": rated.amount_minor - share["amount_minor"],
        "sentence": _sentence(closing, own, kind),
        "meaning": _meaning(closing, own, rated, share, kind),
        "digest": closing.digest,
    }


def _sometimes(usage: Usage) -> dict[str, int]:
    # Only what there is, so that statements of the time before these counts come out as they were.
    found: dict[str, int] = {}
    for line in ("version", "part", "removed"):
        byte_us: int = getattr(usage, f"{line}_byte_us")
        if byte_us:
            found |= {
                f"{line}_byte_microseconds": byte_us,
                f"{line}_byte_seconds": getattr(usage, f"{line}_byte_seconds"),
            }
    corrected = {"corrected_bytes_in": usage.corrected_in, "corrected_bytes_out": usage.corrected_out}
    return found | {name: count for name, count in corrected.items() if count}


def _apart(usage: Usage, month: Month) -> dict[str, Any]:
    """What is told and not charged: corrections that the lines hold, and what waited on the disks."""
    gb_month = GB * (month.end_us - month.start_us)
    rows = (
        ("Of this sent: corrections", usage.corrected_out, GB, "GB"),
        ("Of this received: corrections", usage.corrected_in, GB, "GB"),
        ("Removed, not charged", usage.removed_byte_us, gb_month, "GB-months"),
    )
    told = [
        {"words": words, "quantity": count, "per": per, "quantity_text": quantity_text(count, per, unit)}
        for words, count, per, unit in rows
        if count
    ]
    return {"apart": told} if told else {}


def as_told_apart(inputs: ClosingInputs, recounted: Mapping[MemberId, Usage]) -> dict[MemberId, Usage]:
    """A recount with as many lines as a closing has: older ones hold unfinished uploads with the objects.

    Only where that made no difference to the price: the tariff names none for them.
    """
    apart = any(one.part_byte_us for one in inputs.usage.values())
    if apart or Service.GB_MONTH_PARTS in inputs.tariff.prices:
        return dict(recounted)
    return {member: replace(one, part_byte_us=0) for member, one in recounted.items()}


def _lines(closing: Closing, rated: Charge) -> list[dict[str, Any]]:
    return [
        {
            "service": line.service.value,
            "words": WORDS[line.service],
            "quantity": line.quantity,
            "per": line.per,
            "quantity_text": quantity_text(line.quantity, line.per, UNITS[line.service]),
            "price": closing.inputs.tariff.price_text(line.service),
            "price_nano": line.price_nano,
            "amount_minor": line.amount_minor,
        }
        for line in rated.lines
    ]


def _co_op(closing: Closing, kind: str) -> dict[str, Any]:
    return {
        "members": sum(one.member_class.is_member for one in closing.inputs.members),
        "charges_minor": closing.result.charges_minor,
        "costs_booked": bool(closing.inputs.invoices) or kind == FINAL,
        "costs": dict(closing.costs),
        "costs_minor": closing.result.costs_minor,
        "result_minor": closing.result.amount_minor,
        "outcome": closing.result.outcome.value,
        "pool_minor": closing.patronage.pool_minor,
        "undistributed_minor": closing.patronage.undistributed_minor,
        "loss_minor": closing.patronage.loss_minor,
    }


def _share(closing: Closing, member: MemberId) -> dict[str, Any]:
    patronage = closing.patronage
    own = next((one for one in patronage.allocations if one.member == member), None)
    if own is None:
        return dict.fromkeys(
            ("charges_minor", "all_charges_minor", "pool_minor", "amount_minor", "paid_minor", "retained_minor"), 0
        ) | {"exact": "0", "all_charges_minor": patronage.weights_minor, "pool_minor": patronage.pool_minor}  # fmt: skip
    decimals = exponent(closing.currency)
    exact = quotient_text(
        own.charges_minor * patronage.pool_minor,
        patronage.weights_minor * 10**decimals,
        decimals=decimals + 4,
    )
    return {
        "charges_minor": own.charges_minor,
        "all_charges_minor": patronage.weights_minor,
        "pool_minor": patronage.pool_minor,
        "exact": exact,
        "amount_minor": own.amount_minor,
        "paid_minor": own.paid_minor,
        "retained_minor": own.retained_minor,
    }


def _sentence(closing: Closing, own: Member, kind: str) -> str:
    month = month_text(closing.inputs.month)
    count = sum(one.member_class.is_member for one in closing.inputs.members)
    if own.member_class.is_member:
        whole = "You are the only member" if count == 1 else f"You are one of {count:,} members"
    else:
        whole = f"You are a customer of a co-op of {count:,} member{'' if count == 1 else 's'}"
    cost = format_amount(closing.result.costs_minor, closing.currency)
    charged = format_amount(closing.result.charges_minor, closing.currency)
    left = format_amount(abs(closing.result.amount_minor), closing.currency)
    match closing.result.outcome:
        case Outcome.SURPLUS:
            difference = f"{left} is left over"
        case Outcome.LOSS:
            difference = f"{left} is missing"
        case Outcome.EVEN:
            difference = "nothing is left over"
    if kind == TRIAL and not closing.inputs.invoices:
        until = instant_text(closing.inputs.until_us)
        return f"{whole}. In {month}, up to {until}, members were charged {charged}; no costs are booked yet."
    if kind == TRIAL:
        until = instant_text(closing.inputs.until_us)
        return (
            f"{whole}. In {month}, up to {until}, the service cost {cost} and members were charged {charged}: "
            f"as it stands, {difference}."
        )
    return f"{whole}. In {month} the service cost {cost} and members were charged {charged}: {difference}."


def _meaning(closing: Closing, own: Member, rated: Charge, share: Mapping[str, Any], kind: str) -> str:
    if kind == TRIAL and not closing.inputs.invoices:
        return "What comes back is known once the month's costs are booked and the month is closed."
    if closing.result.outcome is Outcome.LOSS:
        return (
            "Nobody is charged for what is missing. The members decide who bears it (loss carried forward)."
        )
    if closing.result.outcome is Outcome.EVEN:
        return "The charges cover the costs exactly, so there is nothing to share."
    if closing.patronage.pool_minor == 0:
        return "No user member was charged, so what is left over stays with all of us, in nobody's name."
    if share["charges_minor"]:
        amount = format_amount(share["amount_minor"], closing.currency)
        begin = f"Your share would be {amount}" if kind == TRIAL else f"Your share of it is {amount}"
        then = "would be" if kind == TRIAL else "is"
        return (
            f"{begin}. Allocated is not paid: it {then} kept in the co-op in your name until the co-op decides "
            "to pay it out (retained patronage)."
        )
    if not own.member_class.is_member:
        return "What is left over belongs to the members; you buy at the tariff and are none."
    if own.member_class is not MemberClass.USER:
        return f"What is left over is shared among user members; you are a {own.member_class.value} member."
    owed = "nothing" if rated.amount_minor == 0 else "less than nothing, by corrections,"
    return f"Shares follow use: you were charged {owed}, so no part of what is left over is yours."


def differences(
    stored: Mapping[MemberId, Usage], recounted: Mapping[MemberId, Usage], names: Mapping[MemberId, str]
) -> list[str]:
    """One sentence for each count that differs, members in order."""
    found = []
    for member in sorted(set(stored) | set(recounted)):
        for count in _COUNTS:
            left, right = (
                getattr(side[member], count) if member in side else 0 for side in (stored, recounted)
            )
            if left != right:
                name = names.get(member, f"member {member}")
                found.append(f"{name}: {count} is {left} in the statement and {right} in the recount")
    return found
