"""Double entry: accounts, postings and entries that sum to zero by construction. Pure.

Debit is positive, credit negative. It does not know what an entry is for; month/booking.py does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, NewType

from billing.charges.tariff import Service
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.window import Month

Account = NewType("Account", str)

BANK = Account("bank:main")
"""The co-op's money."""
SUPPLIERS = Account("payable:suppliers")
"""What we owe to those who sent us invoices."""
UNDISTRIBUTED = Account("surplus:undistributed")
"""A surplus in nobody's name yet."""
LOSS = Account("loss:carried")
"""What the members' charges did not cover; nobody is charged for it without a decision."""


COLLECTIVE = Account("collective:main")
"""Kept by all, in nobody's name."""


class AccountType(StrEnum):
    """What kind of thing an account counts; the order is that of the reports."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    INCOME = "income"
    EXPENSE = "expense"


TYPES: Mapping[str, AccountType] = {
    "bank": AccountType.ASSET, "receivable": AccountType.ASSET,
    "payable": AccountType.LIABILITY, "debt": AccountType.LIABILITY,
    "shares": AccountType.EQUITY, "capital": AccountType.EQUITY, "retained": AccountType.EQUITY,
    "collective": AccountType.EQUITY, "reserve": AccountType.EQUITY, "fund": AccountType.EQUITY,
    "surplus": AccountType.EQUITY, "loss": AccountType.EQUITY,
    "revenue": AccountType.INCOME, "income": AccountType.INCOME, "adjustment": AccountType.INCOME,
    "cost": AccountType.EXPENSE, "interest": AccountType.EXPENSE,
}  # fmt: skip
"""The first word of an account tells its type; billing.account_type() says the same in the database."""
OWN_COMMANDS: Mapping[str, str] = {
    "shares": "weir share",
    "capital": "weir capital",
    "retained": "weir capital",
}
"""Accounts that a register stands beside: an entry by hand would make both disagree."""
_NAME = "[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_NUMBER = r"[1-9]\d{0,17}"
_KNOWN = re.compile(
    rf"bank:{_NAME}|receivable:member:{_NUMBER}|payable:(?:suppliers|tax|unclaimed|member:{_NUMBER})"
    rf"|(?:debt|shares|retained):member:{_NUMBER}"
    rf"|capital:member:{_NUMBER}:\d{{4}}:(?:qualified|nonqualified|plain)|collective:main"
    rf"|reserve:(?:compulsory|voluntary)|fund:{_NAME}|surplus:undistributed"
    rf"|loss:(?:carried|member:{_NUMBER}:\d{{4}})"
    rf"|revenue:{_NAME}|income:{_NAME}|adjustment:trueup|cost:{_NAME}|interest:{_NAME}",
    re.ASCII,
)
_MEMBER = re.compile(rf":member:({_NUMBER})(?=:|$)", re.ASCII)


def account_type(account: str) -> AccountType:
    """By the account's first word. The database takes no posting to an account without a type."""
    return TYPES[account.partition(":")[0]]


def member_of(account: str) -> MemberId | None:
    """Whose account it is; None for one of the co-op."""
    found = _MEMBER.search(account)
    return None if found is None else MemberId(int(found[1]))


def without_member(account: str) -> str:
    """The account with '*' for the member, so that all members' accounts of a kind have one name."""
    return _MEMBER.sub(":member:*", account)


def parse_account(text: str, *, field: str) -> Account:
    """Read an account's name as a treasurer types it. Raises Refusal naming the field."""
    if _KNOWN.fullmatch(text) is None:
        raise Refusal(
            f"{field}: '{text[:80]}' is no account of the books; `weir ledger trial-balance` lists those in use"
        )
    return Account(text)


def receivable(member: MemberId) -> Account:
    """What a member owes for use."""
    return Account(f"receivable:member:{member}")


def payable(member: MemberId) -> Account:
    """What the co-op has decided to pay a member and has not paid yet."""
    return Account(f"payable:member:{member}")


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
    YEAR = "year"
    MANUAL = "manual"
    REVERSAL = "reversal"
    PAYMENT = "payment"
    SHARE = "share"
    INCOME = "income"
    TRUEUP = "trueup"
    CARRIED = "carried"
    RETIREMENT = "retirement"
    EXIT = "exit"
    ESTATE = "estate"
    INSTALMENT = "instalment"
    SET_OFF = "set-off"
    FORFEIT = "forfeit"
    CLAIM = "claim"


class Posting(NamedTuple):
    """One side of an entry, in minor units; never zero. A closing makes a million."""

    account: Account
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Entry:
    """Balanced postings of one fact. Invariant: they are two or more, none is zero, and they sum to zero."""

    month: Month
    kind: EntryKind
    memo: str
    postings: tuple[Posting, ...]
    idempotency_key: str

    def __post_init__(self) -> None:
        assert len(self.postings) >= 2, "an entry has two sides"
        amounts = [amount for _, amount in self.postings]
        assert all(amounts), "a posting moves something"
        assert sum(amounts) == 0, "an entry balances"


def postings(amounts: Iterable[tuple[Account, int]]) -> tuple[Posting, ...]:
    """Postings of what is not zero."""
    return tuple([Posting(account, amount) for account, amount in amounts if amount])
