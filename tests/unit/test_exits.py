"""Exits and estates against golden example G14, the rules of Spain and of the SELC by-laws, and sums done by hand."""

from datetime import date
from fractions import Fraction

import pytest

from billing.capital.exits import (
    ExitState,
    Instalment,
    Terms,
    discount,
    face_value_schedule,
    less,
    present_values,
    schedule,
    settle,
    state_of,
    terms,
)
from billing.capital.lots import Kind, LotId
from billing.rules.afterwards import InterestOn, afterwards, rule_sets, unclaimed_rule, unclaimed_rules
from meter.ids import MemberId
from meter.refusal import Refusal

A = MemberId(1)
SELC, ES, PLAIN = (afterwards(name).exit for name in ("us-selc", "es", "plain"))


def rows(found: tuple[Instalment, ...]) -> list[tuple[str, int, int]]:
    return [(str(one.due_on), one.principal_minor, one.interest_minor) for one in found]


def test_g14_the_factor_of_an_estate() -> None:
    """CoServ estates 2023: 18 years at 5.18 % give 0.402905 (patronage reference, G14)."""
    assert "0.402905" == f"{float(discount(Fraction(518, 10000), 18)):.6f}"


def test_g14_lots_at_full_distance_are_discounted_and_old_ones_paid_in_full() -> None:
    """CoServ 2023: years 2003 to 2005 paid at 100 %."""
    lots = {LotId(year, A, Kind.PLAIN): 100_000_000 for year in (2003, 2004, 2005, 2023)}
    values = present_values(
        lots, rate=Fraction(518, 10000), cycle_years=18, died_on=date(2023, 6, 1), first_month=1
    )
    assert [100_000_000] * 3 == [values[LotId(year, A, Kind.PLAIN)] for year in (2003, 2004, 2005)]
    assert 402905 == values[LotId(2023, A, Kind.PLAIN)] // 100


def test_an_estate_that_waits_gets_each_year_in_full_in_its_turn() -> None:
    lots = {
        LotId(2005, A, Kind.PLAIN): 500,
        LotId(2008, A, Kind.PLAIN): 300,
        LotId(2008, A, Kind.QUALIFIED): 1,
    }
    found = face_value_schedule(lots, cycle_years=18, died_on=date(2026, 11, 3), first_month=1)
    # 2005 + 18 = 2023 is over: due on the day itself.
    assert [("2026-11-03", 500, 0), ("2026-12-31", 301, 0)] == rows(found)
    assert [("2026-12-31", 201, 0)] == rows(less(found, 600))


def test_selc_pays_within_five_years_at_fiscal_year_ends_with_interest_on_what_stands_then() -> None:
    agreed = terms(SELC, years=None, base_rate=Fraction(45, 1000))
    assert Terms(5, Fraction(65, 1000), InterestOn.YEAR_END) == agreed
    found = schedule(100_003, agreed, left_on=date(2026, 6, 30), first_month=1)
    # 1,000.03 in five parts; 6.5 % of 1,000.03, 800.02, 600.01, 400.00, 200.00 (the three cents went first).
    assert [
        ("2026-12-31", 20001, 6500), ("2027-12-31", 20001, 5200), ("2028-12-31", 20001, 3900),
        ("2029-12-31", 20000, 2600), ("2030-12-31", 20000, 1300),
    ] == rows(found)  # fmt: skip


def test_spain_pays_a_fifth_a_year_with_legal_interest_on_the_anniversaries() -> None:
    agreed = terms(ES, years=None, base_rate=Fraction(325, 10000))
    found = schedule(10_000, agreed, left_on=date(2024, 2, 29), first_month=1)
    # 3.25 % of 100, 80, 60, 40, 20. Of a 29 February it is the 28th in a year that lacks one.
    assert [
        ("2025-02-28", 2000, 325), ("2026-02-28", 2000, 260), ("2027-02-28", 2000, 195),
        ("2028-02-29", 2000, 130), ("2029-02-28", 2000, 65),
    ] == rows(found)  # fmt: skip


def test_who_left_on_28_february_waits_no_day_longer_than_the_years_of_the_law() -> None:
    """From date to date (Código Civil art. 5.1): five years from 28 February 2023 end on 28 February 2028."""
    agreed = terms(ES, years=None, base_rate=Fraction(325, 10000))
    found = schedule(10_000, agreed, left_on=date(2023, 2, 28), first_month=1)
    assert [
        ("2024-02-28", 2000, 325), ("2025-02-28", 2000, 260), ("2026-02-28", 2000, 195),
        ("2027-02-28", 2000, 130), ("2028-02-28", 2000, 65),
    ] == rows(found)  # fmt: skip


def test_a_year_that_begins_in_july_ends_in_the_next_one() -> None:
    """Left on 10 February 2026 with a lot of 2025, which is July 2025 to June 2026; patronage of it is whole in June.

    At year-end balances the year is not over when the first part falls due: no interest, then 6.5 % of 80, 60, 40, 20.
    In Spain 225 of 365 days from 30 June 2026 to 10 February 2027 at 3.25 %: 2.0034.
    """
    selc = schedule(
        10_000, terms(SELC, years=None, base_rate=Fraction(45, 1000)), left_on=date(2026, 2, 10), first_month=7,
        lots={2025: 10_000},
    )  # fmt: skip
    assert [
        ("2026-06-30", 2000, 0), ("2027-06-30", 2000, 520), ("2028-06-30", 2000, 390), ("2029-06-30", 2000, 260),
        ("2030-06-30", 2000, 130),
    ] == rows(selc)  # fmt: skip
    spain = schedule(
        10_000, terms(ES, years=None, base_rate=Fraction(325, 10000)), left_on=date(2026, 2, 10), first_month=7,
        lots={2025: 10_000},
    )  # fmt: skip
    assert ("2027-02-10", 2000, 200) == rows(spain)[0]


def test_an_estate_counts_the_years_of_a_co_op_whose_years_begin_in_july() -> None:
    """2025 is July 2025 to June 2026, so 18 years later is June 2044; died in it, there are 18 years to wait."""
    lots, died = {LotId(2025, A, Kind.PLAIN): 100_000_000}, date(2026, 2, 10)
    found = face_value_schedule(lots, cycle_years=18, died_on=died, first_month=7)
    assert [("2044-06-30", 100_000_000, 0)] == rows(found)
    values = present_values(lots, rate=Fraction(518, 10000), cycle_years=18, died_on=died, first_month=7)
    assert 402905 == values[LotId(2025, A, Kind.PLAIN)] // 100


def test_spanish_heirs_are_paid_within_a_year() -> None:
    agreed = terms(ES, years=None, base_rate=Fraction(0), heirs=True)
    assert [("2027-03-01", 777, 0)] == rows(schedule(777, agreed, left_on=date(2026, 3, 1), first_month=1))
    with pytest.raises(Refusal, match="years: 2 is not from 1 to 1"):
        terms(ES, years=2, base_rate=Fraction(0), heirs=True)


def test_a_law_s_years_are_a_limit_and_without_a_law_the_resolution_says_them() -> None:
    with pytest.raises(Refusal, match="years: 6 is not from 1 to 5"):
        terms(SELC, years=6, base_rate=Fraction(0))
    with pytest.raises(Refusal, match="years: no law sets them"):
        terms(PLAIN, years=None, base_rate=Fraction(0))
    with pytest.raises(Refusal, match="base rate: give the Federal Reserve discount rate"):
        terms(SELC, years=3, base_rate=None)


def test_losses_come_first_then_the_deduction_then_what_is_owed() -> None:
    found = settle(ES, lots_minor=10_000, losses_minor=1_000, owed_minor=500, deduction=Fraction(30, 100))
    # 100 − 10 = 90; 30 % of 90 = 27; − 5.
    assert (1000, 2700, 500, 5800) == (
        found.losses_minor, found.deduction_minor, found.set_off_minor, found.debt_minor,
    )  # fmt: skip
    assert "reserve:compulsory" == found.deduction_to


def test_more_is_never_taken_than_there_is() -> None:
    found = settle(ES, lots_minor=100, losses_minor=90, owed_minor=500, deduction=Fraction(0))
    assert (90, 10, 0) == (found.losses_minor, found.set_off_minor, found.debt_minor)


def test_a_deduction_over_the_law_is_refused() -> None:
    with pytest.raises(Refusal, match="deduction: more than the rule allows; it is at most 3/10"):
        settle(ES, lots_minor=100, losses_minor=0, owed_minor=0, deduction=Fraction(31, 100))
    with pytest.raises(Refusal, match="deduction: this rule set allows none"):
        settle(SELC, lots_minor=100, losses_minor=0, owed_minor=0, deduction=Fraction(1, 100))


def test_a_debt_of_less_cents_than_parts_has_only_parts_that_pay() -> None:
    found = schedule(
        3, Terms(5, Fraction(0), InterestOn.OUTSTANDING), left_on=date(2026, 1, 31), first_month=1
    )
    assert [("2027-01-31", 1, 0), ("2028-01-31", 1, 0), ("2029-01-31", 1, 0)] == rows(found)


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({"left": False, "booked": False, "requested": False}, ExitState.ACTIVE),
        ({"left": False, "booked": False}, ExitState.REQUESTED),
        ({"booked": False}, ExitState.LEFT),
        ({"owed_minor": 5}, ExitState.SCHEDULED),
        ({"owed_minor": 5, "reached": False}, ExitState.UNLOCATED),
        ({"payable_minor": 5}, ExitState.WAITING),
        ({"forfeited_minor": 5}, ExitState.FORFEITED),
        ({}, ExitState.PAID),
        ({"to_pay_minor": 0}, ExitState.SET_OFF),
    ],
)
def test_states_of_an_exit(given: dict[str, int], state: ExitState) -> None:
    usual = {"requested": True, "left": True, "booked": True, "to_pay_minor": 9, "owed_minor": 0, "payable_minor": 0,
             "forfeited_minor": 0, "reached": True}  # fmt: skip
    assert state is state_of(**{**usual, **given})  # type: ignore[arg-type]


def test_every_rule_set_of_the_issue_has_rules_and_every_rule_a_source() -> None:
    ids = "us-subchapter-t us-selc ca-qc ca-federal uk-society it es fr-scic fr-scop de-eg plain"
    assert ids.split() == list(rule_sets())
    for name in rule_sets():
        found = afterwards(name)
        assert all(one.source for one in found.deadlines)
        assert found.exit.source
        assert found.estate_source
    assert all(unclaimed_rule(name).source for name in unclaimed_rules())
    with pytest.raises(Refusal, match="rule set: 'mars' is not one of us-subchapter-t"):
        afterwards("mars")
