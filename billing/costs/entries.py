"""What costs, side income and true-ups write into the ledger. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from billing.costs.invoices import Invoice
from billing.ledger.entry import SUPPLIERS, Account, Entry, EntryKind, cost, postings, receivable
from meter.ids import MemberId
from meter.window import Month

MONEY = Account("bank:main")
TRUEUP = Account("adjustment:trueup")
"""Prices adjusted by contract: no surplus, and never patronage."""


class IncomeKind(StrEnum):
    """Where money came from that is no charge for the service."""

    INTEREST = "interest"
    GRANT = "grant"
    GAIN = "gain"
    OTHER = "other"


def invoice_entries(invoice: Invoice, parts: Mapping[Month, int]) -> Iterator[Entry]:
    """Cost against what we owe the supplier, in each month its part; without parts all of it in its month."""
    word = "invoice" if invoice.credits is None else "credit note"
    for month, amount in (parts or {invoice.month: invoice.amount_minor}).items():
        sides = postings([(cost(invoice.pool), amount), (SUPPLIERS, -amount)])
        memo = f"{word} {invoice.number}, {invoice.pool}"
        if invoice.credits is not None:
            memo += f", of invoice {invoice.credits}"
        key = f"invoice:{invoice.number}:{month}" if parts else f"invoice:{invoice.number}"
        if sides:
            yield Entry(month, EntryKind.INVOICE, memo, sides, key)


def income_entry(
    month: Month, kind: IncomeKind, amount_minor: int, memo: str, *, number: int, owed_by: MemberId | None
) -> Entry:
    """Money in the bank, or owed by a member, against income of its kind. It stays there until the year is closed."""
    side = MONEY if owed_by is None else receivable(owed_by)
    sides = postings([(side, amount_minor), (Account(f"income:{kind.value}"), -amount_minor)])
    return Entry(month, EntryKind.INCOME, memo or f"{kind.value} income", sides, f"income:{number}")


def trueup_entry(of: Month, booked: Month, differences: Mapping[MemberId, int]) -> Entry | None:
    """Charged less cost: what a member was charged above their cost is taken off what they owe, and the reverse.

    One entry a month; None when there is nothing to adjust.
    """
    sides = postings(
        [
            (TRUEUP, sum(differences.values())),
            *((receivable(member), -amount) for member, amount in sorted(differences.items())),
        ]
    )
    memo = f"prices of {of} adjusted to cost"
    return Entry(booked, EntryKind.TRUEUP, memo, sides, f"trueup:{of}") if sides else None
