"""What one member is told about one month: a document with every figure the page, the text and the JSON show.

It works nothing out anew; it takes the month's closing and the member's own line of it and says what they mean. Pure.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from billing.charges.lines import told
from billing.charges.rating import GB
from billing.money import exponent
from billing.month.closing import Closing
from billing.month.member_month import COUNTS, MemberMonth
from billing.statements.telling import EARLIER, FORMATS, meaning, sentence
from billing.statements.telling import FORMAT as FORMAT
from billing.tongue import SOURCE, speaking
from billing.words import iso_text, quantity_text
from meter.ids import MemberId
from meter.usage import Member, MemberClass, Usage
from meter.window import Month

TRIAL = "trial"
FINAL = "final"


@dataclass(frozen=True, slots=True)
class PastMonth:
    """A closed month in a list: which, and what the member was charged for it."""

    period: str
    charges_minor: int
    currency: str


def was_member(member: Member, month: Month) -> bool:
    """Whether they were a member at any instant of the month."""
    return member.joined_us < month.end_us and (member.left_us is None or member.left_us > month.start_us)


def statement(closing: Closing, own: MemberMonth, *, kind: str, told_as: str = FORMAT) -> dict[str, Any]:
    """The document of one member; `kind` is TRIAL or FINAL, `told_as` the format in which the month was closed."""
    assert told_as in FORMATS, told_as
    # What is kept is told in one language, whoever asks for it first.
    with speaking(SOURCE):
        document = _document(closing, own, kind, told_as)
        return {**document, "sentence": sentence(document), "meaning": meaning(document)}


def _document(closing: Closing, own: MemberMonth, kind: str, told_as: str) -> dict[str, Any]:
    inputs, usage, member = closing.inputs, own.usage, own.member
    return {
        "format": told_as,
        "kind": kind,
        "period": str(inputs.month),
        "from": iso_text(inputs.month.start_us),
        "to": iso_text(inputs.until_us),
        "member": {"id": member.id, "name": member.name, "class": member.member_class.value},
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
        "lines": [told(line, decimals=exponent(closing.currency)) for line in own.charge.lines],
        **_apart(usage, inputs.month),
        "charges_minor": own.charge.amount_minor,
        "co_op": _co_op(closing, kind, told_as),
        "line_digest": hashlib.sha256(own.text.encode()).hexdigest(),
        "digest": closing.digest,
    }


def _sometimes(usage: Usage) -> dict[str, int]:
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


def _co_op(closing: Closing, kind: str, told_as: str) -> dict[str, Any]:
    of_others = 0 if told_as == EARLIER else closing.by_class.get(MemberClass.CUSTOMER, 0)
    return {
        "members": closing.members,
        "charges_minor": closing.result.charges_minor,
        **({"customers_charges_minor": of_others} if of_others else {}),
        "costs_booked": bool(closing.inputs.invoices) or kind == FINAL,
        "costs": dict(closing.costs),
        "costs_minor": closing.result.costs_minor,
        "result_minor": closing.result.amount_minor,
        "outcome": closing.result.outcome.value,
    }


def differences(stored: Usage, recounted: Usage, name: str) -> list[str]:
    """One sentence for each count that differs."""
    found = []
    for count in sorted(COUNTS):
        left, right = getattr(stored, count), getattr(recounted, count)
        if left != right:
            found.append(f"{name}: {count} is {left} in the statement and {right} in the recount")
    if stored.engines != recounted.engines:
        found.append(f"{name}: what was of each engine is not the same in the statement and in the recount")
    if stored.late != recounted.late:
        found.append(f"{name}: what came late is not the same in the statement and in the recount")
    return found


def stranger(member: MemberId) -> str:
    """What is said when a recount knows somebody that a closing does not."""
    return f"member {member} has usage in the recount and no line in the closing"
