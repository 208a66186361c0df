"""Laws of the four reports, over books nobody thought of; expected sums are worked out entry by entry, not by account."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.ledger import reports
from billing.ledger.entry import Account, account_type, without_member
from billing.ledger.reports import Flow, Sums
from meter.window import Month

ASSETS, LIABILITIES = ("bank:main", "receivable:member:1", "receivable:member:2"), (
    "payable:suppliers", "payable:member:1", "debt:member:2",
)  # fmt: skip
EQUITY = ("shares:member:1", "capital:member:1:2026:plain", "collective:main", "reserve:compulsory", "fund:education",
          "surplus:undistributed", "loss:carried")  # fmt: skip
INCOME, EXPENSE = (
    ("revenue:gb_out", "income:interest", "adjustment:trueup"),
    ("cost:transit", "interest:shares"),
)
ACCOUNTS = (*ASSETS, *LIABILITIES, *EQUITY, *INCOME, *EXPENSE)
FIRST, LAST = Month(2026, 4), Month(2026, 6)
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no fault of the books."""
Planted = tuple[int, str, tuple[tuple[str, int], ...]]


@st.composite
def entries(draw: st.DrawFn) -> list[Planted]:
    """(month of 2026, kind, balanced sides); those of kind 'result' touch what a result touches."""
    found = []
    for _ in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(["charge", "invoice", "payment", "result"]))
        pool = (*INCOME, *EXPENSE, "surplus:undistributed", "loss:carried") if kind == "result" else ACCOUNTS
        sides = draw(
            st.lists(st.tuples(st.sampled_from(pool), st.integers(-(10**12), 10**12)), min_size=1, max_size=4)
        )
        rest = -sum(amount for _, amount in sides)
        last = "surplus:undistributed" if kind == "result" else draw(st.sampled_from(pool))
        found.append((draw(st.integers(1, 6)), kind, (*sides, (last, rest))))
    return found


def sums_of(books: list[Planted], *, first: int) -> list[Sums]:
    names = sorted({account for _, _, sides in books for account, _ in sides})
    return [
        Sums(
            name,
            sum(amount for month, _, sides in books for account, amount in sides if account == name and month < first),
            sum(max(amount, 0) for month, _, sides in books for account, amount in sides if account == name and month >= first),
            sum(max(-amount, 0) for month, _, sides in books for account, amount in sides if account == name and month >= first),
            sum(amount for month, kind, sides in books for account, amount in sides
                if account == name and month >= first and kind == "result"),
        )
        for name in names
    ]  # fmt: skip


def by_type(books: list[Planted]) -> dict[str, int]:
    found: dict[str, int] = {}
    for _, _, sides in books:
        for account, amount in sides:
            kind = account_type(account).value
            found[kind] = found.get(kind, 0) + amount
    return found


def total(books: list[Planted], accounts: tuple[str, ...]) -> int:
    return sum(amount for _, _, sides in books for account, amount in sides if account in accounts)


@unhurried
@given(entries())
def test_a_trial_balance_has_two_equal_columns(books: list[Planted]) -> None:
    report = reports.trial_balance(sums_of(books, first=1), LAST, by_type(books))
    debit, credit = report.sections
    assert debit.total_minor == credit.total_minor
    shown = dict(debit.lines) | {name: -amount for name, amount in credit.lines}
    touched = {account for _, _, sides in books for account, amount in sides if amount}
    assert {name: total(books, (name,)) for name in touched} == shown


@unhurried
@given(entries())
def test_a_balance_sheet_balances(books: list[Planted]) -> None:
    report = reports.balance_sheet(sums_of(books, first=1), LAST, by_type(books))
    assets, owed, own = report.sections
    assert total(books, ASSETS) == assets.total_minor == owed.total_minor + own.total_minor
    assert -total(books, LIABILITIES) == owed.total_minor


@unhurried
@given(entries())
def test_closing_months_changes_no_income_statement(books: list[Planted]) -> None:
    """The entries that empty income and expense are neither; what they leave out is counted by hand."""
    span = [one for one in books if one[0] >= 4 and one[1] != "result"]
    moved = {"income": total(span, INCOME), "expense": total(span, EXPENSE)}
    moved["other"] = -moved["income"] - moved["expense"]
    report = reports.income_statement(sums_of(books, first=4), FIRST, LAST, moved)
    assert -total(span, INCOME) - total(span, EXPENSE) == report.result_minor
    assert -total(span, INCOME) == report.sections[0].total_minor


@unhurried
@given(entries())
def test_a_cash_flow_leads_from_money_to_money(books: list[Planted]) -> None:
    moving = [one for one in books if one[0] >= 4 and any(account == "bank:main" for account, _ in one[2])]
    others = sorted({account for _, _, sides in moving for account, _ in sides} - {"bank:main"})
    flows = [Flow(name, -total(moving, (name,))) for name in others]
    report = reports.cash_flow(sums_of(books, first=4), flows, FIRST, LAST)
    before = total([one for one in books if one[0] < 4], ("bank:main",))
    assert total(books, ("bank:main",)) - before == report.result_minor
    assert before == dict(report.sections[-1].lines)["at the beginning"]


def test_a_report_that_the_database_does_not_agree_with_is_not_given() -> None:
    books: list[Planted] = [(5, "charge", (("receivable:member:1", 100), ("revenue:gb_out", -100)))]
    with pytest.raises(AssertionError, match="assets, here = in the database: 100 is not 99"):
        reports.balance_sheet(sums_of(books, first=1), LAST, {"asset": 99, "income": -100})
    with pytest.raises(AssertionError, match="money before"):
        reports.cash_flow([Sums("bank:main", 0, 5, 0)], [], FIRST, LAST)


def test_every_kind_of_account_has_a_heading_of_the_cash_flow() -> None:
    flows = [Flow(Account(without_member(name)), 1) for name in ACCOUNTS if name != "bank:main"]
    sums = [Sums("bank:main", 0, len(flows), 0)]
    assert len(flows) == reports.cash_flow(sums, flows, FIRST, LAST).result_minor
