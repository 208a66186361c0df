"""A register of a few people, for tests: operations written down as they would be entered."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from billing.register.operations import Operation, OperationKind, ShareKind
from meter.ids import MemberId
from meter.usage import MemberClass
from meter.window import to_us

USER, WORKER, SUPPORTER, CUSTOMER = MemberClass
MEMBER_SHARE = ShareKind("member", 6400, "EUR", frozenset({USER, WORKER}), is_investment=False)
SUPPORT_SHARE = ShareKind(
    "support", 10000, "EUR", frozenset({USER, SUPPORTER}), is_investment=True, interest_max_millionths=50_000
)
DOUBLE_SHARE = ShareKind("double", 12800, "EUR", frozenset({USER}), is_investment=False)
KINDS = {one.name: one for one in (MEMBER_SHARE, SUPPORT_SHARE, DOUBLE_SHARE)}


def at(text: str) -> int:
    """'2026-03-01' or with a time, as microseconds."""
    return to_us(datetime.fromisoformat(text).replace(tzinfo=UTC))


class Book:
    """Enters operations one after the other."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def enter(self, kind: str, member: int, day: str, **more: Any) -> Operation:
        """One more, with the next number."""
        if "counterpart" in more:
            more["counterpart"] = MemberId(more["counterpart"])
        when = at(day)
        made = Operation(
            len(self.operations) + 1, OperationKind(kind), MemberId(member), when, more.pop("recorded", when), "test",
            **more,
        )  # fmt: skip
        self.operations.append(made)
        return made

    def join(self, member: int, day: str, *classes: MemberClass) -> Operation:
        """Somebody comes."""
        return self.enter("join", member, day, classes=classes or (USER,))

    def hold(self, member: int, day: str, count: int, paid: int, kind: str = "member") -> None:
        """Somebody subscribes, and pays so much on it."""
        self.enter("subscription", member, day, share_kind=kind, quantity=count)
        if paid:
            self.enter("payment", member, day, share_kind=kind, amount_minor=paid, entry=len(self.operations))
