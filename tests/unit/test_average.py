"""The average part of surpluses that went to the compulsory reserve (Ley 27/1999, art. 59.2 b)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from billing.year.average import average_paid
from tests.unit.test_patronage_examples import close, step
from tests.unit.test_rule_sets import co_op


def page(given: dict[str, Any]) -> dict[str, Any]:
    """A closing as the books keep it: the format is theirs, members stand elsewhere."""
    return {**close(given), "format": "weir-year-books-1"}


def year(charges: str, costs: str, **percentages: str) -> dict[str, Any]:
    members = [{"id": "u", "class": "user", "charges": charges}]
    return page(
        {"currency": "EUR", "rule_set": "es", "costs": costs, "members": members, "percentages": percentages}
    )


def test_it_is_the_mean_of_the_years_parts_and_not_of_their_sums() -> None:
    # 200.00 of 1,000.00 and 150.00 of 500.00: 20 % and 30 %. Of the sums it would be 350 / 1,500.
    years = [year("1500.00", "500.00"), year("500.00", "0.00", compulsory_reserve="30 %")]
    assert Fraction(1, 4) == average_paid(years)


def test_a_year_without_a_surplus_has_no_part() -> None:
    assert Fraction(1, 5) == average_paid(
        [year("0.00", "70.00"), year("100.00", "0.00"), year("5.00", "5.00")]
    )
    assert None is average_paid([year("0.00", "70.00")])
    assert None is average_paid([])


def test_what_came_from_others_is_not_of_the_members_surplus() -> None:
    told = co_op("es")
    assert ("400.00", "300.00") == tuple(
        step(close(told), key) for key in ("compulsory_reserve", "compulsory_reserve_others")
    )
    assert Fraction(1, 5) == average_paid([page(told)])


def test_a_part_that_was_rounded_up_counts_as_it_was_paid() -> None:
    # A fifth of 3.33 is 66.6 cents.
    assert Fraction(67, 333) == average_paid([year("3.33", "0.00")])
