"""One member's month as it is kept: who they were, what they used, what they are charged for it. Pure.

It is one line of canonical JSON with a digest of its own. A co-op may have a million of them a month, so the text
is put together by hand; a law holds it against `billing.canon`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from billing.rating import Charge, Line
from billing.tariff import Service
from meter.ids import MemberId
from meter.usage import Member, MemberClass, MemberStatus, Usage

COUNTS = (
    "byte_us", "bytes_in", "bytes_out", "corrected_in", "corrected_out", "part_byte_us", "removed_byte_us",
    "requests_a", "requests_b", "version_byte_us",
)  # fmt: skip
"""What is counted, in the order of the text; a count of zero is left out."""


class MemberMonth(NamedTuple):
    """A member, what they used, what they are charged; the text that is kept, and its SHA-256."""

    member: Member
    usage: Usage
    charge: Charge
    text: str
    digest: bytes


def member_month(member: Member, usage: Usage, charge: Charge) -> MemberMonth:
    """Put one together."""
    text = _text(member, usage, charge)
    return MemberMonth(member, usage, charge, text, hashlib.sha256(text.encode()).digest())


def _text(member: Member, usage: Usage, charge: Charge) -> str:
    counts = [(name, getattr(usage, name)) for name in COUNTS]
    used = ",".join([f'"{name}":{count}' for name, count in counts if count])
    left = "null" if member.left_us is None else member.left_us
    return (
        f'{{"amount_minor":{charge.amount_minor},"class":"{member.member_class.value}","joined_us":{member.joined_us}'
        f',"left_us":{left},"lines":[{_lines_text(charge.lines)}],"member":{member.id}'
        f',"name":{json.dumps(member.name, ensure_ascii=False)},"status":"{member.status.value}","usage":{{{used}}}}}'
    )


def _lines_text(lines: Iterable[Line]) -> str:
    return ",".join(
        [
            f'["{line.service.value}",{line.quantity},{line.per},{line.price_nano},{line.amount_minor}]'
            for line in lines
        ]
    )


def read_back(text: str, *, start_us: int, end_us: int) -> MemberMonth:
    """A kept text as what it was made of; stored bytes had been counted over [start_us, end_us)."""
    kept: dict[str, Any] = json.loads(text)
    number = MemberId(kept["member"])
    member = Member(
        number, kept["name"], MemberClass(kept["class"]), "", MemberStatus(kept["status"]), kept["joined_us"],
        kept["left_us"],
    )  # fmt: skip
    charge = Charge(number, tuple(Line(Service(one[0]), *one[1:]) for one in kept["lines"]))
    usage = Usage(number, start_us, end_us, **kept["usage"])
    return MemberMonth(member, usage, charge, text, hashlib.sha256(text.encode()).digest())
