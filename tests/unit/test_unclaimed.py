"""Unclaimed money: what waits since when, and the periods of published rules."""

from datetime import date

import pytest

from billing.capital.unclaimed import Movement, Waiting, claim_parts, unclaimed, waiting
from billing.rules.afterwards import unclaimed_rule
from meter.ids import MemberId

A, B = MemberId(1), MemberId(2)


def test_a_payment_is_of_what_waited_longest() -> None:
    found = waiting(
        [
            Movement(A, date(2020, 1, 1), 100),
            Movement(A, date(2021, 1, 1), 50),
            Movement(A, date(2022, 1, 1), -120),
            Movement(B, date(2023, 1, 1), 7),
        ]
    )
    assert (Waiting(A, date(2021, 1, 1), 30), Waiting(B, date(2023, 1, 1), 7)) == found


@pytest.mark.parametrize(("rule", "years"), [("arizona", 2), ("cloverland", 5), ("trico", 3)])
def test_money_counts_as_unclaimed_on_the_day_the_rule_s_years_are_over(rule: str, years: int) -> None:
    """Arizona Rev. Stat. 10-2071: 2 years; Cloverland 5; Trico 3 (patronage reference, 2.1)."""
    queue = [Waiting(A, date(2020, 3, 15), 5000), Waiting(A, date(2024, 3, 15), 1)]
    told = unclaimed_rule(rule)
    before, after = date(2020 + years, 3, 14), date(2020 + years, 3, 15)
    assert () == unclaimed(queue, told, today=before, list_from_minor=0)
    (one,) = unclaimed(queue, told, today=after, list_from_minor=0)
    assert (date(2020, 3, 15), 5000) == (one.since, one.amount_minor)


def test_the_public_list_begins_at_the_rule_s_amount() -> None:
    """Arizona: fifty dollars or more."""
    queue = [Waiting(A, date(2020, 1, 1), 4999), Waiting(B, date(2020, 1, 1), 5000)]
    found = unclaimed(queue, unclaimed_rule("arizona"), today=date(2026, 1, 1), list_from_minor=5000)
    assert [False, True] == [one.listed for one in found]
    assert ("50", "fund:education") == (
        unclaimed_rule("arizona").list_from,
        unclaimed_rule("trico").destination,
    )


def test_a_claim_takes_up_the_oldest_forfeit_first() -> None:
    assert {3: 10, 7: 5} == claim_parts({7: 20, 3: 10, 9: 4}, 15)
