"""Solvency before capital is paid back: sums done by hand, and what each rule set asks for."""

from __future__ import annotations

import pytest

from billing.capital.solvency import by_word, check_solvency
from billing.ledger.entry import Account
from billing.rules.afterwards import afterwards, rule_sets
from meter.refusal import Refusal

# 1,000.00 in the bank and 200.00 to come; 300.00 payable, 500.00 owed to leavers over years, 100.00 of paid shares.
BOOKS = {"bank": 100_000, "receivable": 20_000, "payable": -30_000, "debt": -50_000, "shares": -10_000}


def paying(amount: int) -> dict[str, int]:
    return {"capital": amount, "payable": -amount}


@pytest.mark.parametrize(
    ("rule_set", "most", "due"),
    [
        ("us-selc", 120_000 - 30_000, 0),
        ("us-selc", 120_000 - 30_000 - 12_345, 12_345),
        ("ca-federal", 120_000 - 30_000 - 50_000 - 10_000, 0),
        ("ca-federal", 120_000 - 30_000 - 60_001, 60_001),
    ],
)
def test_paid_back_is_what_leaves_debts_covered_and_not_a_cent_more(
    rule_set: str, most: int, due: int
) -> None:
    check_solvency(afterwards(rule_set), BOOKS, paying(most), due_minor=due, currency="EUR")
    with pytest.raises(Refusal, match=r"solvency: afterwards the co-op would have 1,200\.00 EUR in money"):
        check_solvency(afterwards(rule_set), BOOKS, paying(most + 1), due_minor=due, currency="EUR")


def test_what_is_set_off_lowers_claims_as_it_lowers_what_is_payable() -> None:
    moved = by_word(
        [(Account("payable:member:1"), -90_000), (Account("payable:member:1"), 500),
         (Account("receivable:member:1"), -500)]
    )  # fmt: skip
    assert {"payable": -89_500, "receivable": -500} == moved
    check_solvency(afterwards("us-selc"), BOOKS, moved, due_minor=0, currency="EUR")
    with pytest.raises(Refusal, match="owe"):
        check_solvency(afterwards("us-selc"), BOOKS, moved, due_minor=1, currency="EUR")


def test_shares_paid_by_the_bank_lower_money_and_shares_alike() -> None:
    moved = {"shares": 6_000, "bank": -6_000}
    books = {**BOOKS, "bank": 70_000}
    check_solvency(afterwards("ca-federal"), books, moved, due_minor=0, currency="EUR")
    with pytest.raises(Refusal, match=r"have 839\.99 EUR .* owe 840\.00 EUR in all, paid shares included"):
        check_solvency(
            afterwards("ca-federal"), {**books, "bank": 69_999}, moved, due_minor=0, currency="EUR"
        )


def test_only_two_rule_sets_ask_for_it_as_the_manual_says() -> None:
    assert {"us-selc": False, "ca-federal": True} == {
        name: one.covers_shares for name in rule_sets() if (one := afterwards(name).solvency) is not None
    }
    check_solvency(afterwards("plain"), {"bank": 0}, paying(10**9), due_minor=0, currency="EUR")
