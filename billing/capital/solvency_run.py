"""Solvency asked of the books, before capital or shares are paid back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from billing.capital import store as capital_store
from billing.capital.deadlines import months_after
from billing.capital.exits import Instalment
from billing.capital.solvency import SPAN_MONTHS, by_word, check_solvency
from billing.governance import store as governance_store
from billing.governance.decisions import choice_at
from billing.ledger.entry import Account
from billing.rules.afterwards import Afterwards, afterwards
from meter.postgres import Connection
from meter.window import to_datetime


async def refuse_insolvent(
    connection: Connection, sides: Iterable[tuple[Account, int]], *, currency: str, now_us: int,
    rules: Afterwards | None = None, schedule: Sequence[Instalment] = (),
) -> None:  # fmt: skip
    """Refuse an entry of these sides where a rule set asks for solvency and it would end. Raises Refusal.

    Asked are the rule set in force and, beside it, the one that the act goes by; schedule is what the act makes due.
    """
    asking = {
        one.rule_set: one for one in (await _in_force(connection, now_us), rules) if one and one.solvency
    }
    if not asking:
        return
    until = months_after(to_datetime(now_us).date(), SPAN_MONTHS)
    waiting = [one.instalment for one in await capital_store.fallen_due(connection, until)]
    due = sum(
        one.principal_minor + one.interest_minor for one in (*waiting, *schedule) if one.due_on <= until
    )
    before = await capital_store.word_balances(connection)
    moved = by_word(sides)
    for one in asking.values():
        check_solvency(one, before, moved, due_minor=due, currency=currency)


async def _in_force(connection: Connection, now_us: int) -> Afterwards | None:
    chosen = choice_at(await governance_store.choices(connection), now_us)
    return None if chosen is None else afterwards(chosen.rule_set)
