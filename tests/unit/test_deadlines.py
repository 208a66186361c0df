"""Deadlines: golden example G2, and days counted on a calendar."""

from datetime import date

import pytest

from billing.capital.deadlines import deadlines, deadlines_by_name, months_after
from billing.rules.afterwards import afterwards
from meter.refusal import Refusal


def due(rule_set: str, end: date, approved: date | None = None) -> dict[str, str]:
    found = deadlines(afterwards(rule_set), year_end=end, approved_on=approved)
    return {name: str(day) for name, day in deadlines_by_name(found).items()}


def test_g2_payment_period_and_the_last_day_to_cash_a_check() -> None:
    """26 CFR 1.1388-1(c)(3)(iii): year end 31 Dec 1963, 15 Sep 1964, 14 Dec 1964 (patronage reference, G2)."""
    assert {
        "payment period ends": "1964-09-15",
        "last day to cash a qualified check": "1964-12-14",
    } == due("us-subchapter-t", date(1963, 12, 31))


def test_a_fiscal_year_that_ends_in_june_or_february() -> None:
    assert "2027-03-15" == due("us-subchapter-t", date(2026, 6, 30))["payment period ends"]
    assert "2028-11-15" == due("us-subchapter-t", date(2028, 2, 29))["payment period ends"]


def test_selc_reports_within_120_days() -> None:
    # January 31 + February 28 + March 31 + April 30 = 120 days.
    assert "2027-04-30" == due("us-selc", date(2026, 12, 31))["annual report"]
    assert "2028-04-29" == due("us-selc", date(2027, 12, 31))["annual report"]


def test_spain_drafts_within_three_months_and_files_one_month_after_the_meeting() -> None:
    assert "2027-03-31" == due("es", date(2026, 12, 31))["accounts drafted"]
    assert "None" == due("es", date(2026, 12, 31))["filed"]
    assert "2027-06-20" == due("es", date(2026, 12, 31), date(2027, 5, 20))["filed"]


@pytest.mark.parametrize(
    ("approved", "filed", "worked_out"),
    [
        ("2027-06-30", "2027-07-30", "2027-09-30"),
        ("2027-04-30", "2027-05-30", "2027-07-30"),
        ("2027-02-28", "2027-03-28", "2027-05-28"),
        ("2027-05-31", "2027-06-30", "2027-08-31"),
    ],
)
def test_what_counts_from_the_meeting_counts_from_date_to_date(
    approved: str, filed: str, worked_out: str
) -> None:
    """Código Civil art. 5.1; where the month has no such day, its last."""
    found = due("es", date(2026, 12, 31), date.fromisoformat(approved))
    assert (filed, worked_out) == (found["filed"], found["exits worked out"])


def test_laws_that_count_months_from_the_year_s_end() -> None:
    """UK 2014 Act s. 89: seven months beginning immediately after the end. Canada s. 50: six months."""
    assert {"annual return": "2027-07-31"} == due("uk-society", date(2026, 12, 31))
    assert {"annual meeting": "2027-06-30"} == due("ca-federal", date(2026, 12, 31))
    assert {"annual meeting": "2027-02-28"} == due("ca-federal", date(2026, 8, 31))


def test_the_earliest_stands_first_and_what_is_not_known_last() -> None:
    found = deadlines(afterwards("us-selc"), year_end=date(2026, 12, 31))
    assert sorted(str(one.due_on) for one in found) == [str(one.due_on) for one in found]
    assert "accounts drafted" == deadlines(afterwards("es"), year_end=date(2026, 12, 31))[0].name


def test_months_keep_the_day_or_the_last_of_the_month() -> None:
    told = [
        months_after(date(2026, 1, 31), 1),
        months_after(date(2026, 1, 30), 1),
        months_after(date(2026, 2, 28), 6),
    ]
    assert [date(2026, 2, 28), date(2026, 2, 28), date(2026, 8, 31)] == told


def test_a_year_ends_with_a_month_and_is_approved_after_it() -> None:
    with pytest.raises(Refusal, match="it ends on the last day of a month"):
        deadlines(afterwards("es"), year_end=date(2026, 12, 30))
    with pytest.raises(Refusal, match="approved: 2026-12-31 is not after"):
        deadlines(afterwards("es"), year_end=date(2026, 12, 31), approved_on=date(2026, 12, 31))
