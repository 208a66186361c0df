"""Money that was made payable and nobody fetched: since when it waits, and what a rule says of it. Pure.

Forfeited is not gone: a later claim that is proved is always honoured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from billing.capital.deadlines import months_after
from billing.rules.afterwards import UnclaimedRule
from meter.ids import MemberId


@dataclass(frozen=True, slots=True)
class Movement:
    """One posting on a member's payable account; above zero it became payable, below it was paid or set off."""

    member: MemberId
    on: date
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a member has not fetched since a day, in minor units, above zero."""

    member: MemberId
    since: date
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """What a member has left so long that the rule speaks of it."""

    member: MemberId
    since: date
    """The oldest of it."""
    amount_minor: int
    listed: bool
    """Whether the rule wants it on the list that anybody can search."""


def waiting(movements: Iterable[Movement]) -> tuple[Waiting, ...]:
    """What of each member still waits, the oldest first: a payment is of what waited longest."""
    queues: dict[MemberId, list[tuple[date, int]]] = {}
    paid: dict[MemberId, int] = {}
    for one in sorted(movements, key=lambda one: (one.member, one.on)):
        if one.amount_minor > 0:
            queues.setdefault(one.member, []).append((one.on, one.amount_minor))
        else:
            paid[one.member] = paid.get(one.member, 0) - one.amount_minor
    found = []
    for member, queue in sorted(queues.items()):
        left = paid.get(member, 0)
        for since, amount in queue:
            taken = min(left, amount)
            left -= taken
            if amount > taken:
                found.append(Waiting(member, since, amount - taken))
    return tuple(found)


def unclaimed(
    queue: Iterable[Waiting], rule: UnclaimedRule, *, today: date, list_from_minor: int
) -> tuple[Unclaimed, ...]:
    """What has waited for the rule's years or longer, by member."""
    sums: dict[MemberId, int] = {}
    since: dict[MemberId, date] = {}
    for one in queue:
        if months_after(one.since, 12 * rule.years) <= today:
            sums[one.member] = sums.get(one.member, 0) + one.amount_minor
            since[one.member] = min(since.get(one.member, one.since), one.since)
    return tuple(
        Unclaimed(member, since[member], amount, amount >= list_from_minor)
        for member, amount in sorted(sums.items())
    )


def claim_parts(open_forfeits: Mapping[int, int], amount_minor: int) -> dict[int, int]:
    """Which forfeits (by number, with what is still open of each) a claim takes up, the oldest first."""
    parts: dict[int, int] = {}
    left = amount_minor
    for number, amount in sorted(open_forfeits.items()):
        if left and amount:
            parts[number] = min(left, amount)
            left -= parts[number]
    assert left == 0, "a claim is at most what was forfeited"
    return parts
