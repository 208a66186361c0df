"""What a month writes into the ledger when it is closed; an invoice is in cost_entries. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from billing.ledger import (
    LOSS,
    UNDISTRIBUTED,
    Entry,
    EntryKind,
    cost,
    postings,
    receivable,
    retained,
    revenue,
)
from billing.patronage import Patronage
from billing.rating import Charge
from billing.tariff import Service
from meter.window import Month


def closing_entries(
    month: Month, charges: Iterable[Charge], costs: Mapping[str, int], patronage: Patronage
) -> tuple[Entry, ...]:
    """Charges to the members, the accounts of the month emptied into the result, the result to its owners."""
    charged = tuple(charges)
    found = list(_charge_entries(month, charged))
    found += _result_entry(month, charged, costs)
    found += _allocation_entry(month, patronage)
    return tuple(found)


def _charge_entries(month: Month, charges: Iterable[Charge]) -> Iterator[Entry]:
    for one in charges:
        lines = [(revenue(line.service), -line.amount_minor) for line in one.lines]
        sides = postings([(receivable(one.member), one.amount_minor), *lines])
        if sides:
            key = f"charge:{month}:{one.member}"
            yield Entry(month, EntryKind.CHARGE, f"use of member {one.member} in {month}", sides, key)


def _result_entry(month: Month, charges: tuple[Charge, ...], costs: Mapping[str, int]) -> list[Entry]:
    earned = dict.fromkeys(Service, 0)
    for one in charges:
        for line in one.lines:
            earned[line.service] += line.amount_minor
    result = sum(earned.values()) - sum(costs.values())
    sides = postings(
        [
            *((revenue(service), amount) for service, amount in earned.items()),
            *((cost(pool), -amount) for pool, amount in sorted(costs.items())),
            (UNDISTRIBUTED if result > 0 else LOSS, -result),
        ]
    )
    if not sides:
        return []
    return [Entry(month, EntryKind.RESULT, f"result of {month}", sides, f"result:{month}")]


def _allocation_entry(month: Month, patronage: Patronage) -> list[Entry]:
    if not patronage.pool_minor:
        return []
    shares = [(retained(one.member), -one.amount_minor) for one in patronage.allocations]
    sides = postings([(UNDISTRIBUTED, patronage.pool_minor), *shares])
    memo = f"surplus of {month} allocated, kept in the members' names"
    return [Entry(month, EntryKind.ALLOCATION, memo, sides, f"allocation:{month}")]
