"""Capital accounts and what a budget pays back: sums done by hand, and the shape of golden example G10b."""

from fractions import Fraction

import pytest

from billing.capital.lots import Change, Kind, LotId, by_year, capital_accounts, lot_of, percent, share
from billing.capital.retirement import Method, Plan, YearShare, parse_rule, plan
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.window import Month

A, B, C = MemberId(1), MemberId(2), MemberId(3)
JANUARY, MAY, NOVEMBER = Month(2026, 1), Month(2026, 5), Month(2026, 11)


def lot(year: int, member: MemberId = A, kind: Kind = Kind.PLAIN) -> LotId:
    return LotId(year, member, kind)


def short(found: Plan) -> dict[tuple[int, int], int]:
    return {(one.year, int(one.member)): amount for one, amount in found.lines.items()}


def test_a_lot_is_its_account() -> None:
    assert "capital:member:7:2026:nonqualified" == lot(2026, MemberId(7), Kind.NONQUALIFIED).account
    assert lot(2026, MemberId(7), Kind.NONQUALIFIED) == lot_of("capital:member:7:2026:nonqualified")


def test_a_lots_account_tells_every_movement_apart() -> None:
    changes = [
        Change(lot(2024), JANUARY, "allocation", 1000),
        Change(lot(2024), MAY, "interest", 30),
        Change(lot(2024), MAY, "retirement", -400),
        Change(lot(2024), MAY, "year-closing", -100),
        Change(lot(2024), NOVEMBER, "reversal", 50),
        Change(lot(2024), NOVEMBER, "exit", -200),
    ]
    (one,) = capital_accounts(changes, start=MAY, until=NOVEMBER)
    told = (one.opening_minor, one.added_minor, one.retired_minor, one.lost_minor, one.interest_minor)
    assert (1000, 0, 600, 100, 30) == told
    assert (50, 380) == (one.corrected_minor, one.closing_minor)


def test_what_comes_later_is_not_in_an_earlier_account() -> None:
    changes = [Change(lot(2024), JANUARY, "allocation", 1000), Change(lot(2024), MAY, "retirement", -400)]
    (one,) = capital_accounts(changes, until=JANUARY)
    assert (1000, 1000) == (one.added_minor, one.closing_minor)


def test_fifo_pays_the_oldest_year_whole_and_shares_the_next_by_balance() -> None:
    balances = {lot(2020, A): 300, lot(2020, B): 200, lot(2021, A): 100, lot(2021, B): 200, lot(2022, A): 900}
    # 600 − 500 of 2020 = 100 of the 300 in 2021: 33.33 and 66.67, the cent to the larger remainder.
    found = plan(balances, Method.FIFO, budget_minor=600)
    assert {(2020, 1): 300, (2020, 2): 200, (2021, 1): 33, (2021, 2): 67} == short(found)
    assert 600 == found.total_minor


def test_a_percentage_takes_of_every_lot_in_proportion() -> None:
    balances = {lot(2020, A): 100, lot(2021, B): 100, lot(2021, C): 101}
    # 10 × 100/301 = 3.322, 3.322, 3.355: the cent that is left goes to the last.
    assert {(2020, 1): 3, (2021, 2): 3, (2021, 3): 4} == short(
        plan(balances, Method.PERCENTAGE, budget_minor=10)
    )


def test_a_budget_above_all_lots_pays_all_lots() -> None:
    balances = {lot(2020): 300, lot(2021): 7}
    for method in (Method.FIFO, Method.PERCENTAGE):
        assert {(2020, 1): 300, (2021, 1): 7} == short(plan(balances, method, budget_minor=10**9))


G10B = (YearShare(2007, Fraction(1)), YearShare(2008, Fraction(34, 100)), YearShare(2022, Fraction(20, 100)))


def test_the_hybrid_of_g10b_takes_the_rest_a_part_and_a_part() -> None:
    """South River EMC, November 2023: rest of 2007 + 34 % of 2008 + 20 % of 2022 (reference, G10b)."""
    balances = {
        lot(2007, A): 15000, lot(2007, B): 5000, lot(2008, A): 10000, lot(2008, B): 20000,
        lot(2010, A): 77777, lot(2022, B): 30000, lot(2022, C): 10001,
    }  # fmt: skip
    found = plan(balances, Method.HYBRID, budget_minor=10**9, rule=G10B)
    # 2008: 34 % of 30,000 = 10,200 as 3,400 and 6,800. 2022: 20 % of 40,001 = 8,000.2 → 8,000, of which
    # 8,000 × 30,000/40,001 = 5,999.85 and 2,000.15.
    expected = {
        (2007, 1): 15000,
        (2007, 2): 5000,
        (2008, 1): 3400,
        (2008, 2): 6800,
        (2022, 2): 6000,
        (2022, 3): 2000,
    }
    assert expected == short(found)


def test_a_hybrid_stops_in_its_order_when_the_budget_is_used_up() -> None:
    balances = {lot(2007): 1000, lot(2008): 1000, lot(2022): 1000}
    assert {(2007, 1): 1000, (2008, 1): 200} == short(
        plan(balances, Method.HYBRID, budget_minor=1200, rule=G10B)
    )


def test_what_is_below_the_minimum_stays_in_the_lots_and_goes_to_nobody_else() -> None:
    balances = {lot(2020, A): 10000, lot(2020, B): 40, lot(2021, B): 30}
    found = plan(balances, Method.FIFO, budget_minor=20000, minimum_minor=100)
    assert {(2020, 1): 10000} == short(found)
    assert {B: 70} == dict(found.carried)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"method": Method.FIFO, "budget_minor": 0}, "budget: it must be more than 0"),
        ({"method": Method.HYBRID, "budget_minor": 1}, "rule: the hybrid method, and only it"),
        ({"method": Method.FIFO, "budget_minor": 1, "rule": G10B}, "rule: the hybrid method, and only it"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence):
        plan({lot(2020): 5}, **given)  # type: ignore[arg-type]


def test_a_lot_below_zero_stops_everything() -> None:
    with pytest.raises(Refusal, match=r"capital:member:2:2020:plain is below zero"):
        plan({lot(2020, A): 5, lot(2020, B): -1}, Method.FIFO, budget_minor=5)


def test_there_is_no_way_to_pay_the_newest_first() -> None:
    assert {"fifo", "percentage", "hybrid"} == {one.value for one in Method}


def test_a_rule_is_read_from_its_file() -> None:
    text = '[[rule]]\nyear = 2007\nshare = "rest"\n[[rule]]\nyear = 2008\nshare = "34 %"\n[[rule]]\nyear = 2022\nshare = "1/5"\n'
    assert G10B == parse_rule(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rule", "rule: not TOML"),
        ("", "the file holds"),
        ("x = 1", "the file holds"),
        ('[[rule]]\nyear = 2007\nshare = "1"\npart = 1', "rule 1: it has year and share"),
        ('[[rule]]\nyear = "2007"\nshare = "1"', "rule 1: year:"),
        ("[[rule]]\nyear = 2007\nshare = 0.34", "rule 1: share: it stands in quotes"),
        ('[[rule]]\nyear = 2007\nshare = "0"', "it must be more than 0"),
        ('[[rule]]\nyear = 2007\nshare = "134 %"', "more than the whole"),
        ('[[rule]]\nyear = 2007\nshare = "3/2"', "more than the whole"),
        ('[[rule]]\nyear = 2007\nshare = "1/0"', "divides by nothing"),
        ('[[rule]]\nyear = 2007\nshare = "rest"\n' * 2, "a year stands in it twice"),
        ('[[rule]]\nyear = 2007\nshare = "NaN"', "is not a plain decimal number"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence):
        parse_rule(text)


def test_percentages_and_shares_are_exact() -> None:
    assert Fraction(518, 10000) == percent("5.18", field="rate")
    assert (Fraction(34, 100), Fraction(1, 3)) == (share("34 %", field="x"), share("1/3", field="x"))


def test_years_are_summed_the_oldest_first() -> None:
    assert [(2020, 3), (2021, 5)] == list(
        by_year({lot(2021, B): 5, lot(2020, A): 1, lot(2020, B): 2}).items()
    )
