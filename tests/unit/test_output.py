"""How commands print: numbers grouped, years as they are spoken, one and many, an invoice with its days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest

from billing.capital.lots import Kind, LotAccount, LotId
from billing.costs.invoices import Invoice
from deploy.commands import capital, cost, ledger
from deploy.output import cell, number_of
from meter.ids import MemberId
from meter.window import Month


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 payments"), (1, "1 payment"), (2, "2 payments"), (1200, "1,200 payments")]
)
def test_one_is_not_many(count: int, words: str) -> None:
    assert words == number_of(count, "payment", "payments")


def test_whole_numbers_are_grouped_and_years_are_text() -> None:
    assert ["2,025", "2025", "", "True"] == [cell(one) for one in (2025, "2025", None, True)]


def test_lots_are_shown_under_their_years(capsys: pytest.CaptureFixture[str]) -> None:
    own = LotAccount(LotId(2025, MemberId(7), Kind.PLAIN), 0, 100, 0, 0, 0, 0, 100)
    for printed in (capital._print_lots, capital._print_years):
        printed([own], "EUR")
        shown = capsys.readouterr().out.split()
        assert ("2025" in shown, "2,025" in shown) == (True, False)


def test_an_invoice_is_shown_with_its_days_its_credit_notes_and_what_is_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """365.00 of which 100.00 and 65.00 were taken back: 200.00 are left."""
    month = Month(2025, 1)
    whole = Invoice(
        3, month, "rack", 36_500, "EUR", "", 0, service=(date(2025, 1, 1), date(2025, 12, 31))
    )  # fmt: skip
    cost._print_invoice(whole, {}, ([(4, month, -10_000), (9, Month(2025, 2), -6_500)], 20_000))
    shown = " ".join(capsys.readouterr().out.split())
    assert "service 2025-01-01 to 2025-12-31" in shown
    assert (
        "credit note 4, of 2025-01 -100.00 EUR credit note 9, of 2025-02 -65.00 EUR left of it 200.00 EUR"
        in shown
    )
    assert "datetime" not in shown
    assert "[" not in shown


@pytest.mark.parametrize(
    ("accounts", "count"),
    [
        (("cost:bank-fees", "bank:main"), 1),
        (("cost:a", "cost:b", "cost:a"), 2),
        (("bank:main", "income:x"), 0),
    ],
)
def test_a_cost_by_hand_is_said_to_count_in_the_year_alone(
    accounts: Sequence[str], count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.tell_of_costs(accounts)
    assert count == capsys.readouterr().out.count("counts by hand in the year alone")
