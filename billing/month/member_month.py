"""One member's month as it is kept: who they were, what they used, what they are charged for it. Pure.

It is one line of canonical JSON with a digest of its own. A co-op may have a million of them a month, so the plain
ones are put together by hand; a law holds their text against `billing.canon`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from json.encoder import encode_basestring
from typing import Any, NamedTuple

from billing.canon import canonical
from billing.charges.quick import Kept
from billing.charges.rating import Charge, Credit, Line
from billing.charges.tariff import Service
from meter.ids import MemberId
from meter.usage import Late, Member, MemberClass, MemberStatus, OnEngine, Usage
from meter.window import Month

COUNTS = (
    "byte_us", "bytes_in", "bytes_out", "bytes_out_own", "bytes_out_peering", "corrected_in", "corrected_out",
    "part_byte_us", "removed_byte_us", "requests_a", "requests_b", "version_byte_us",
)  # fmt: skip
"""What is counted, in the order of the text; a count of zero is left out."""


class MemberMonth(NamedTuple):
    """A member, what they used, what they are charged; the text that is kept, and its SHA-256."""

    member: Member
    usage: Usage
    charge: Charge
    credited: tuple[Credit, ...]
    text: str
    digest: bytes


def kept(one: MemberMonth) -> Kept:
    """What the books keep of it."""
    return Kept(one.member.id, one.member.member_class.value, one.charge.amount_minor, one.text, one.digest)


def member_month(
    member: Member, usage: Usage, charge: Charge, credited: tuple[Credit, ...] = ()
) -> MemberMonth:
    """Put one together."""
    if credited or usage.late or usage.engines or any(line.free or line.note for line in charge.lines):
        text = canonical(_document(member, usage, charge, credited))
    else:
        text = _plain(member, usage, charge)
    return MemberMonth(member, usage, charge, credited, text, hashlib.sha256(text.encode()).digest())


def _plain(member: Member, usage: Usage, charge: Charge) -> str:
    counts = [(name, getattr(usage, name)) for name in COUNTS]
    used = ",".join([f'"{name}":{count}' for name, count in counts if count])
    left = "null" if member.left_us is None else member.left_us
    lines = ",".join(
        [
            f'["{line.service.value}",{line.quantity},{line.per},{line.price_nano},{line.amount_minor}]'
            for line in charge.lines
        ]
    )
    return (
        f'{{"amount_minor":{charge.amount_minor},"class":"{member.member_class.value}","joined_us":{member.joined_us}'
        f',"left_us":{left},"lines":[{lines}],"member":{member.id}'
        f',"name":{encode_basestring(member.name)},"status":"{member.status.value}","usage":{{{used}}}}}'
    )


def _document(member: Member, usage: Usage, charge: Charge, credited: Iterable[Credit]) -> dict[str, object]:
    """Lines with what is free, noted and of an engine, late usage and credits: each only where there is any."""
    given = [
        {"number": one.number, "amount_minor": one.amount_minor, "currency": one.currency, "reason": one.reason,
         "month": str(one.month), "given_us": one.given_us}
        for one in credited
    ]  # fmt: skip
    return {
        "amount_minor": charge.amount_minor,
        "class": member.member_class.value,
        **({"credits": given} if given else {}),
        "joined_us": member.joined_us,
        "left_us": member.left_us,
        "lines": [_line(line) for line in charge.lines],
        "member": member.id,
        "name": member.name,
        "status": member.status.value,
        "usage": _usage_document(usage),
    }


def _usage_document(usage: Usage) -> dict[str, object]:
    used: dict[str, object] = {name: getattr(usage, name) for name in COUNTS if getattr(usage, name)}
    if usage.late:
        used["late"] = [{**asdict(one), "month": str(one.month)} for one in usage.late]
    if usage.engines:
        used["engines"] = {one.engine: _usage_document(one.usage) for one in usage.engines}
    return used


def _line(line: Line) -> list[object]:
    plain: list[object] = [line.service.value, line.quantity, line.per, line.price_nano, line.amount_minor]
    if line.engine:
        return [*plain, line.free, line.note, line.engine]
    return [*plain, line.free, line.note] if line.free or line.note else plain


def read_back(text: str, *, start_us: int, end_us: int) -> MemberMonth:
    """A kept text as what it was made of; stored bytes had been counted over [start_us, end_us)."""
    kept: dict[str, Any] = json.loads(text)
    number = MemberId(kept["member"])
    member = Member(
        number, kept["name"], MemberClass(kept["class"]), "", MemberStatus(kept["status"]), kept["joined_us"],
        kept["left_us"],
    )  # fmt: skip
    charge = Charge(number, tuple(Line(Service(one[0]), *one[1:]) for one in kept["lines"]))
    credited = tuple(_credit(one, number) for one in kept.get("credits", ()))
    usage = _usage(kept["usage"], number, start_us=start_us, end_us=end_us)
    return MemberMonth(member, usage, charge, credited, text, hashlib.sha256(text.encode()).digest())


def _usage(kept: Mapping[str, Any], number: MemberId, *, start_us: int, end_us: int) -> Usage:
    late = tuple(Late(**{**one, "month": Month.parse(one["month"])}) for one in kept.get("late", ()))
    counts = {name: count for name, count in kept.items() if name not in ("late", "engines")}
    engines = tuple(
        OnEngine(name, _usage(one, number, start_us=start_us, end_us=end_us))
        for name, one in kept.get("engines", {}).items()
    )
    return Usage(number, start_us, end_us, **counts, late=late, engines=engines)


def _credit(one: Mapping[str, Any], number: MemberId) -> Credit:
    return Credit(
        one["number"], number, Month.parse(one["month"]), one["amount_minor"], one["currency"], one["reason"],
        one["given_us"],
    )  # fmt: skip
