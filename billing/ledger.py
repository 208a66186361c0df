"""Double entry: accounts, postings and entries that sum to zero by construction. Pure.

Debit is positive, credit negative. It does not know what an entry is for; booking.py does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from billing.tariff import Service
from meter.ids import MemberId
from meter.window import Month

Account = NewType("Account", str)

SUPPLIERS = Account("payable:suppliers")
"""What we owe to those who sent us invoices."""
UNDISTRIBUTED = Account("surplus:undistributed")
"""A surplus in nobody's name yet."""
LOSS = Account("loss:carried")
"""What the members' charges did not cover; nobody is charged for it without a decision."""


def receivable(member: MemberId) -> Account:
    """What a member owes for use."""
    return Account(f"receivable:member:{member}")


def retained(member: MemberId) -> Account:
    """A member's shares of surpluses, kept in the co-op in their name until it decides to pay."""
    return Account(f"retained:member:{member}")


def revenue(service: Service) -> Account:
    """Charges for one service."""
    return Account(f"revenue:{service.value}")


def cost(pool: str) -> Account:
    """Invoices of one pool."""
    return Account(f"cost:{pool}")


class EntryKind(StrEnum):
    """Why an entry was made."""

    INVOICE = "invoice"
    CHARGE = "charge"
    RESULT = "result"
    ALLOCATION = "allocation"
    CARRIED = "carried"
    RETIREMENT = "retirement"
    EXIT = "exit"
    ESTATE = "estate"
    INSTALMENT = "instalment"
    SET_OFF = "set-off"
    FORFEIT = "forfeit"
    CLAIM = "claim"


@dataclass(frozen=True, slots=True)
class Posting:
    """One side of an entry, in minor units; never zero."""

    account: Account
    amount_minor: int

    def __post_init__(self) -> None:
        assert self.amount_minor, "a posting moves something"


@dataclass(frozen=True, slots=True)
class Entry:
    """Balanced postings of one fact. Invariant: they are two or more and sum to zero."""

    month: Month
    kind: EntryKind
    memo: str
    postings: tuple[Posting, ...]
    idempotency_key: str

    def __post_init__(self) -> None:
        assert len(self.postings) >= 2, "an entry has two sides"
        assert sum(posting.amount_minor for posting in self.postings) == 0, "an entry balances"


def postings(amounts: Iterable[tuple[Account, int]]) -> tuple[Posting, ...]:
    """Postings of what is not zero."""
    return tuple(Posting(account, amount) for account, amount in amounts if amount)
