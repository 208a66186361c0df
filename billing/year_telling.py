"""All that a member is told of a fiscal year: their statement, and what the books hold beside it as of its closing.

What was used comes from the closed months' lines, capital from the ledger up to the closing's own entries, the
decision from the resolutions. All of these are only added to, so a closed year is told the same whenever it is asked;
only the list prices are of this Weir's files, by the year's date.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from billing import store, year_run, year_store
from billing.capital.lots import Change, LotAccount, capital_accounts
from billing.capital.store import losses_to_meet, lot_changes
from billing.charges.store import charge_lines
from billing.governance import store as governance_store
from billing.governance.choices import NO_CURRENCY, rules_of
from billing.governance.decisions import Resolution, choice_for
from billing.money import percent_text
from billing.month.member_month import read_back
from billing.prices.comparison import MISSING, NOT_COMPARED
from billing.prices.listprices import ListSum, last_day, sum_over_months
from billing.prices.pricefile import in_force
from billing.prices.shelf import kept_shelf
from billing.rules.voting import voting_rules
from billing.year.inputs import CUSTOMER
from billing.year_statement import FINAL
from meter.ids import MemberId
from meter.postgres import Connection
from meter.usage import Usage
from meter.window import Month

COMPARED_KEPT = 256
"""How many members' closed months beside list prices are kept."""


async def told(
    connection: Connection, member: MemberId, number: int, *, now_us: int, price_directory: str = ""
) -> dict[str, Any]:
    """The document that page, PDF, text, CSV and JSON are all made from. Raises Refusal as year_run.statement() does."""
    document = await year_run.statement(connection, member, number, now_us=now_us)
    first, last = Month.parse(document["first_month"]), Month.parse(document["last_month"])
    is_final = document["kind"] == FINAL
    lines = await charge_lines(connection, member, first, last)
    used = [
        (month, read_back(text, start_us=month.start_us, end_us=month.end_us).usage) for month, text in lines
    ]
    found: dict[str, Any] = {}
    if used:
        found |= {"used": _used(used), "compared": _compared(price_directory, tuple(used))}
    if document["member"]["classes"] != [CUSTOMER]:
        until = await year_store.last_entry(connection, number) if is_final else None
        found["voting"] = await _voting(connection, number, document["rule_set"])
        found["capital"] = capital_rows(await lot_changes(connection, member, until_entry=until), first)
        found["losses"] = loss_rows(await losses_to_meet(connection, member, until_entry=until))
    if is_final:
        found["decision"] = _decision(await governance_store.resolution(connection, document["resolution"]))
    return {**document, **found}


async def _voting(connection: Connection, number: int, rule_set_id: str) -> dict[str, Any]:
    """Which classes vote by the rules of the year, and what their chambers weigh where there are some."""
    chosen = choice_for(await governance_store.choices(connection), number)
    rules = voting_rules("plain")
    # A year that was closed before anything was chosen was closed by the plain rules, and stays with them.
    if chosen is not None and chosen.rule_set == rule_set_id:
        currency = await store.book_currency(connection) or NO_CURRENCY
        rule_set, choices = rules_of(chosen, currency=currency)
        rules = voting_rules(rule_set.id, choices.voting)
    return {
        "classes": list(rules.classes),
        "chambers": {name: percent_text(weight) for name, weight in rules.chambers.items()},
    }


def _used(used: Sequence[tuple[Month, Usage]]) -> dict[str, int]:
    usages = [usage for _, usage in used]
    return {
        "months": len(used),
        "bytes_out": sum(one.bytes_out for one in usages),
        "bytes_in": sum(one.bytes_in for one in usages),
        "requests_a": sum(one.requests_a for one in usages),
        "requests_b": sum(one.requests_b for one in usages),
        "byte_microseconds": sum(one.byte_us for one in usages),
    }


@lru_cache(maxsize=COMPARED_KEPT)
def _compared(price_directory: str, used: tuple[tuple[Month, Usage], ...]) -> Mapping[str, Any]:
    """Closed months by others' list prices; the same months come out the same, whoever asks again."""
    shelf = kept_shelf(Path(price_directory) if price_directory else None)
    day = last_day(used[-1][0])
    costs = [sum_over_months(shelf, prices.id, used) for prices in in_force(shelf, day)]
    return {"providers": [_listed(one) for one in costs], "not_compared": NOT_COMPARED}


def _listed(cost: ListSum) -> dict[str, Any]:
    kept = {
        name: getattr(cost.prices, name) for name in ("id", "provider", "region", "currency", "dated", "link")
    }
    return {
        **kept,
        "amount_minor": cost.amount_minor,
        "missing": [MISSING[meter] for meter in cost.missing],
    }


def capital_rows(changes: Sequence[Change], first: Month) -> list[dict[str, Any]]:
    """One row a year that kept something, its kinds together; below zero nothing: what takes from it stands apart."""
    if not changes:
        return []
    last = max(change.month for change in changes)
    rows: dict[int, list[LotAccount]] = {}
    for account in capital_accounts(changes, until=last, start=first):
        rows.setdefault(account.lot.year, []).append(account)
    return [
        {
            "words": str(year),
            "opening_minor": sum(one.opening_minor for one in lots),
            "added_minor": sum(one.added_minor + one.interest_minor + one.corrected_minor for one in lots),
            "taken_minor": sum(one.lost_minor for one in lots),
            "paid_back_minor": sum(one.retired_minor for one in lots),
            "closing_minor": sum(one.closing_minor for one in lots),
        }
        for year, lots in sorted(rows.items())
    ]


def loss_rows(losses: Mapping[str, int]) -> list[dict[str, Any]]:
    """One row a year whose loss this member still has a part of to meet, from what they would get later."""
    return [{"words": year, "unmet_minor": minor} for year, minor in losses.items()]


def _decision(found: Resolution | None) -> Mapping[str, Any] | None:
    if found is None:
        return None
    votes = found.votes
    return {
        "id": found.id,
        "body": found.body.value,
        "decided_on": found.decided_on.isoformat(),
        "text": found.text,
        "votes": None
        if votes is None
        else {"in_favour": votes.in_favour, "against": votes.against, "abstained": votes.abstained},
    }
