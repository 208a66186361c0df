"""The four reports of the books: trial balance, balance sheet, income statement, cash flow. Pure.

Each is worked out from sums of accounts, and comes with checks that were worked out in two ways; a check that does
not agree is our bug and stops the report. Debit is positive, credit negative; what people read is turned where needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from billing.ledger.entry import AccountType, account_type
from meter.window import Month


@dataclass(frozen=True, slots=True)
class Sums:
    """One account, or all members' accounts of one kind, in minor units."""

    account: str
    opening_minor: int
    """The balance before the span of the report."""
    debits_minor: int
    credits_minor: int
    """Both within the span, zero or more."""
    carried_minor: int = 0
    """What entries of kind 'result' moved within the span: they empty income and expense, and are neither."""

    @property
    def closing_minor(self) -> int:
        """The balance at the end of the span."""
        return self.opening_minor + self.debits_minor - self.credits_minor


@dataclass(frozen=True, slots=True)
class Flow:
    """Money that came in (above zero) or went out against one account."""

    account: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Proof:
    """One sum by Python and by the database, or by two ways of adding up. Invariant: both sides are equal."""

    name: str
    left: int
    right: int

    def __post_init__(self) -> None:
        assert self.left == self.right, f"{self.name}: {self.left} is not {self.right}"


@dataclass(frozen=True, slots=True)
class Section:
    """Lines under one heading, as people read them: what is usual for the heading is above zero."""

    name: str
    lines: tuple[tuple[str, int], ...]

    @property
    def total_minor(self) -> int:
        """Sum of the lines."""
        return sum(amount for _, amount in self.lines)


@dataclass(frozen=True, slots=True)
class Report:
    """What a command or a page shows. `first` is None for a report of a moment."""

    name: str
    first: Month | None
    last: Month
    sections: tuple[Section, ...]
    result_minor: int | None
    proofs: tuple[Proof, ...]

    def to_document(self, currency: str) -> dict[str, object]:
        """JSON-ready, stable keys."""
        return {
            "report": self.name,
            "from": None if self.first is None else str(self.first),
            "to": str(self.last),
            "currency": currency,
            "sections": [
                {
                    "name": one.name,
                    "lines": [{"account": name, "amount_minor": amount} for name, amount in one.lines],
                    "total_minor": one.total_minor,
                }
                for one in self.sections
            ],
            "result_minor": self.result_minor,
            "checks": [{"name": one.name, "left": one.left, "right": one.right} for one in self.proofs],
        }


def _total(sums: Iterable[Sums], kind: AccountType) -> int:
    return sum(one.closing_minor for one in sums if account_type(one.account) is kind)


def trial_balance(sums: Iterable[Sums], last: Month, in_database: Mapping[str, int]) -> Report:
    """Every account's balance, debits beside credits; over all accounts they are equal."""
    found = tuple(one for one in sums if one.closing_minor or one.debits_minor or one.credits_minor)
    debits = tuple((one.account, one.closing_minor) for one in found if one.closing_minor >= 0)
    credit = tuple((one.account, -one.closing_minor) for one in found if one.closing_minor < 0)
    sections = (Section("debit", debits), Section("credit", credit))
    proofs = (
        Proof("debit balances = credit balances", sections[0].total_minor, sections[1].total_minor),
        Proof(
            "all balances, here = in the database",
            sum(one.closing_minor for one in found),
            sum(in_database.values()),
        ),
        Proof(
            "debits of all postings = credits of all postings",
            sum(one.debits_minor for one in found),
            sum(one.credits_minor for one in found),
        ),
    )
    return Report("trial-balance", None, last, sections, None, proofs)


def balance_sheet(sums: Iterable[Sums], last: Month, in_database: Mapping[str, int]) -> Report:
    """What the co-op has, owes, and whose the rest is. What open months earned so far stands as a line of its own."""
    found = tuple(sums)
    assets = _section("assets", found, AccountType.ASSET, sign=1)
    owed = _section("liabilities", found, AccountType.LIABILITY, sign=-1)
    own = _section("equity", found, AccountType.EQUITY, sign=-1)
    running = -_total(found, AccountType.INCOME) - _total(found, AccountType.EXPENSE)
    if running:
        own = Section(own.name, (*own.lines, ("result of what is not closed yet", running)))
    proofs = (
        Proof("assets = liabilities + equity", assets.total_minor, owed.total_minor + own.total_minor),
        Proof("assets, here = in the database", assets.total_minor, in_database.get("asset", 0)),
        Proof("liabilities, here = in the database", owed.total_minor, -in_database.get("liability", 0)),
        Proof(
            "equity, here = in the database",
            own.total_minor,
            -sum(in_database.get(name, 0) for name in ("equity", "income", "expense")),
        ),
    )
    return Report("balance-sheet", None, last, (assets, owed, own), None, proofs)


def income_statement(
    sums: Iterable[Sums], first: Month, last: Month, in_database: Mapping[str, int]
) -> Report:
    """What came in for the service and what it cost, whether or not the months are closed.

    in_database: type → sum of its postings in the span less those of kind 'result'; and 'equity-side', the sum of
    all postings of these entries to accounts that are neither income nor expense.
    """
    earned = [one for one in sums if account_type(one.account) in (AccountType.INCOME, AccountType.EXPENSE)]
    income = _moved("income", earned, AccountType.INCOME, sign=-1)
    expense = _moved("expenses", earned, AccountType.EXPENSE, sign=1)
    result = income.total_minor - expense.total_minor
    proofs = (
        Proof("income, here = in the database", income.total_minor, -in_database.get("income", 0)),
        Proof("expenses, here = in the database", expense.total_minor, in_database.get("expense", 0)),
        Proof("result = what all other accounts gained by it", result, in_database.get("other", 0)),
    )
    return Report("income-statement", first, last, (income, expense), result, proofs)


CASH_HEADINGS: Mapping[str, tuple[str, ...]] = {
    "from use, costs and taxes": ("receivable", "revenue", "income", "adjustment", "cost", "suppliers", "tax"),
    "members' shares, capital and shares of the surplus": (
        "shares", "capital", "retained", "payable", "debt", "interest", "loss", "surplus",
    ),
    "reserves and funds": ("collective", "reserve", "fund"),
}  # fmt: skip


def cash_flow(sums: Iterable[Sums], flows: Iterable[Flow], first: Month, last: Month) -> Report:
    """Where the money in the bank came from and went to: the direct method, from the other side of each entry."""
    banks = [one for one in sums if one.account.partition(":")[0] == "bank"]
    found = tuple(flows)
    sections = tuple(
        Section(
            heading,
            tuple((one.account, one.amount_minor) for one in found if _heading(one.account) == heading),
        )
        for heading in CASH_HEADINGS
    )
    before = sum(one.opening_minor for one in banks)
    after = sum(one.closing_minor for one in banks)
    change = sum(one.total_minor for one in sections)
    proofs = (
        Proof("money before + what came and went = money after", before + change, after),
        Proof("flows by heading = all flows", change, sum(one.amount_minor for one in found)),
    )
    money = Section("money", (("at the beginning", before), ("change", change)))
    return Report("cash-flow", first, last, (*sections, money), change, proofs)


def _heading(account: str) -> str:
    first, _, rest = account.partition(":")
    word = rest if account in ("payable:suppliers", "payable:tax") else first
    return next(heading for heading, words in CASH_HEADINGS.items() if word in words)


def _section(name: str, sums: Iterable[Sums], kind: AccountType, *, sign: int) -> Section:
    lines = ((one.account, sign * one.closing_minor) for one in sums if account_type(one.account) is kind)
    return Section(name, tuple(line for line in lines if line[1]))


def _moved(name: str, sums: Iterable[Sums], kind: AccountType, *, sign: int) -> Section:
    lines = (
        (one.account, sign * (one.debits_minor - one.credits_minor - one.carried_minor))
        for one in sums
        if account_type(one.account) is kind
    )
    return Section(name, tuple(line for line in lines if line[1]))
