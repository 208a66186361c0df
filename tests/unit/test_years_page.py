"""The page of a year: which years there are, and the picture of where all that came in goes."""

from __future__ import annotations

import pytest

from billing.governance.decisions import Choice
from billing.portal.years import years
from billing.statements.paper import WIDTH
from billing.statements.year_paper import parts
from meter.refusal import Refusal
from meter.window import Month


def at(year: int, month: int) -> int:
    return Month(year, month).start_us


def chosen(first_month: int) -> Choice:
    return Choice(0, "plain", 2025, first_month, None, "", "", "test", 0)


def test_years_from_the_first_month_on_are_open_until_they_are_closed() -> None:
    found = years([], Month(2025, 9), closed=[2025], own=[2025], now_us=at(2027, 2))
    assert (2027, (2027, 2026), (2025,)) == (found.running, found.open, found.closed)
    early = years([], Month(2025, 9), closed=[], own=[], now_us=at(2025, 9))
    assert (2025, (2025,), ()) == (early.running, early.open, early.closed)


def test_a_closed_year_of_others_is_not_the_member_s() -> None:
    found = years([], Month(2025, 9), closed=[2025, 2026], own=[2026], now_us=at(2027, 2))
    assert ((2027,), (2026,)) == (found.open, found.closed)


def test_a_fiscal_year_that_begins_in_april_runs_until_march() -> None:
    march = years([chosen(4)], Month(2025, 4), closed=[], own=[], now_us=at(2026, 3))
    april = years([chosen(4)], Month(2025, 4), closed=[], own=[], now_us=at(2026, 4))
    assert ((2025, (2025,)), (2026, (2026, 2025))) == (
        (march.running, march.open),
        (april.running, april.open),
    )


def test_without_an_address_it_is_the_year_that_runs() -> None:
    found = years([], Month(2025, 9), closed=[], own=[], now_us=at(2027, 2))
    assert (2027, 2025) == (found.asked(None), found.asked("2025"))
    for wrong in ("25", "2025-01", "x", "9999"):
        with pytest.raises(Refusal, match="is not a fiscal year"):
            found.asked(wrong)


def test_the_picture_is_one_whole_and_its_parts_are_to_scale() -> None:
    # 3 each, so that all can be seen; of the other 631 the costs have 2,300.00 / 3,520.00, 412.3, the shares 161.3.
    made = parts(
        {
            "costs": {"rack": 230_000}, "costs_minor": 230_000, "result_minor": 122_000, "pool_minor": 90_000,
            "accounts": {"collective:reserve": 32_000},
        }
    )  # fmt: skip
    assert [("out", 230_000, 0, 415), ("back", 90_000, 415, 164), ("in", 32_000, 579, 61)] == [
        (one.kind, one.amount_minor, one.x, one.width) for one in made
    ]


def test_of_a_loss_the_picture_shows_what_is_missing() -> None:
    made = parts({"costs_minor": 1_000, "result_minor": -250, "pool_minor": -100})
    assert [("out", 750, 0, 478), ("gap", 250, 478, 162)] == [
        (one.kind, one.amount_minor, one.x, one.width) for one in made
    ]


def test_what_is_nothing_is_not_drawn_and_what_is_little_can_be_seen() -> None:
    assert [] == parts({"costs": {}, "costs_minor": 0, "result_minor": 0, "pool_minor": 0, "accounts": {}})
    made = parts(
        {"costs": {"rack": 10**9}, "costs_minor": 10**9, "result_minor": 1, "pool_minor": 1, "accounts": {}}
    )
    assert [("out", WIDTH - 4), ("back", 4)] == [(one.kind, one.width) for one in made]
