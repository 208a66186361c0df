"""What a month writes into the ledger when it is closed; an invoice is in cost_entries. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from billing.charges.quick import Kept
from billing.charges.tariff import Service
from billing.ledger.entry import LOSS, UNDISTRIBUTED, Entry, EntryKind, cost, postings, receivable, revenue
from billing.month.surplus import Outcome, Result
from meter.ids import MemberId
from meter.window import Month


def charge_entry(
    month: Month, part: int, members: Sequence[Kept], earned: Mapping[Service, int]
) -> Entry | None:
    """What some members owe for their use against the revenue of each service; None if none owes anything.

    A month has as many of these as members come in parts; a million entries of one member each would say the same.
    """
    owed = [(receivable(MemberId(one.member)), one.amount_minor) for one in members]
    sides = postings([*owed, *((revenue(service), -amount) for service, amount in earned.items())])
    if not sides:
        return None
    memo = f"use of members {members[0].member} to {members[-1].member} in {month}"
    return Entry(month, EntryKind.CHARGE, memo, sides, f"charge:{month}:{part}")


def result_entry(
    month: Month, by_service: Mapping[Service, int], costs: Mapping[str, int], result: Result
) -> Entry | None:
    """The month's revenue and costs emptied into what waits for the year's closing; None if there are none."""
    sides = postings(
        [
            *((revenue(service), amount) for service, amount in by_service.items()),
            *((cost(pool), -amount) for pool, amount in sorted(costs.items())),
            (LOSS if result.outcome is Outcome.LOSS else UNDISTRIBUTED, -result.amount_minor),
        ]
    )
    if not sides:
        return None
    return Entry(month, EntryKind.RESULT, f"result of {month}", sides, f"result:{month}")
