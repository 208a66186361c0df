"""The books in plain words: every account has some, and none of one member can get onto the page."""

import pytest

from billing.ledger.reports import Report, Section
from billing.portal.books import page, words
from meter.window import Month


@pytest.mark.parametrize(
    ("account", "plain"),
    [
        ("bank:main", "Money in the bank"),
        ("capital:member:*:2026:qualified", "Kept in members’ names from 2026 (qualified)"),
        ("loss:member:*:2025", "Members’ part of the loss of 2025"),
        ("cost:power-disks", "Cost: power-disks"),
        ("planted:thing", "planted:thing"),
    ],
)
def test_accounts_in_plain_words(account: str, plain: str) -> None:
    assert plain == words(account)


def test_a_report_with_one_member_s_account_is_our_bug() -> None:
    section = Section("debit", (("receivable:member:7", 5),))
    with pytest.raises(AssertionError):
        page([Report("trial-balance", None, Month(2026, 11), (section,), None, ())], "EUR")
