"""The return that lots need to come back in time: golden example G11, table and formula."""

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest

from billing.capital.revolving import percent_text, return_needed, when_back, years_until_back
from meter.refusal import Refusal

G11 = {
    20: ("10.03", "12.04", "16.19", "28.87"),
    30: ("11.46", "13.76", "18.50", "33.00"),
    40: ("13.37", "16.06", "21.58", "38.50"),
}
"""Kenkel and Royer, growth 5 %, 20, 15, 10 and 5 years (patronage reference, G11)."""
PRINTED = {20: (10, 12, 16, 29), 30: (11, 14, 19, 33), 40: (13, 16, 22, 39)}
"""The same as the published table rounds it."""
FIVE = Fraction(5, 100)


@pytest.mark.parametrize("cash", [20, 30, 40])
def test_g11_the_table_of_returns(cash: int) -> None:
    rates = [return_needed(FIVE, Fraction(cash, 100), years) for years in (20, 15, 10, 5)]
    assert G11[cash] == tuple(percent_text(rate) for rate in rates)
    # The published table rounded 38.4958 twice: to 38.50, and that to 39.
    assert PRINTED[cash] == tuple(int(Decimal(text).quantize(1, ROUND_HALF_UP)) for text in G11[cash])


def test_the_formula_is_exact() -> None:
    # One year: r = g / ((1−c)(1 − 1/(1+g))) = (1+g)/(1−c) = 1.05/0.8.
    assert Fraction(105, 80) == return_needed(FIVE, Fraction(20, 100), 1)


def test_without_growth_it_is_one_over_the_retained_part_and_the_years() -> None:
    assert Fraction(1, 8) == return_needed(Fraction(0), Fraction(20, 100), 10)


def test_the_years_are_the_fewest_the_return_allows() -> None:
    fifth = Fraction(20, 100)
    assert 16 == years_until_back(FIVE, fifth, Fraction(12, 100))
    assert return_needed(FIVE, fifth, 16) <= Fraction(12, 100) < return_needed(FIVE, fifth, 15)
    assert None is years_until_back(FIVE, fifth, Fraction(1, 100))


def test_all_in_cash_leaves_nothing_to_come_back() -> None:
    with pytest.raises(Refusal, match="cash: it is from 0 to less than 100 %"):
        return_needed(FIVE, Fraction(1), 5)
    with pytest.raises(Refusal, match="years: 0 is not from 1"):
        return_needed(FIVE, Fraction(0), 0)


def test_the_same_budget_every_year_pays_the_oldest_first() -> None:
    found = when_back({2021: 250, 2020: 100, 2022: 10**9}, budget_minor=100)
    assert [(2020, 1), (2021, 4), (2022, None)] == [(one.year, one.waits_years) for one in found]
