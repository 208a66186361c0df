"""Decisions, consents, hours and chosen rule sets: what is read, what is refused, and what counts when."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from billing.governance.choices import Choices, check_choices, parse_choices
from billing.governance.decisions import (
    Body,
    Choice,
    Resolution,
    ResolutionKind,
    Votes,
    check_choice,
    check_resolution,
    choice_at,
    choice_for,
    first_month_of,
    hours,
)
from billing.governance.majorities import check_majority
from billing.rules.book import rule_set, rule_set_ids
from billing.rules.voting import voting_rules
from billing.tongue import phrase, speaking
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.window import Month
from tests.register_kit import at

TODAY = date(2026, 11, 5)
RESOLUTION = Resolution(
    "2026-1",
    Body.MEETING,
    ResolutionKind.RULE_SET,
    TODAY,
    "as proposed",
    None,
    Votes(3, 1, 1),
    5,
    None,
    "test",
    0,
)
CHOICE = Choice(0, "plain", 2026, 4, None, "", "", "test", 0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"text": "  "}, "text: a resolution says what was decided"),
        ({"decided_on": date(2026, 11, 6)}, "date: 2026-11-06 is still to come; in UTC it is 2026-11-05$"),
        ({"votes": Votes(2, 2, 9)}, "votes: 2 for and 2 against carry nothing"),
        ({"votes": Votes(3, -1, 0)}, "votes: a count is 0 or more"),
        ({"votes": Votes(3, 1, 0)}, "quorum: 4 votes were cast, and 5 were needed"),
        ({"votes": Votes(5, 1, 0)}, "votes: 6 were cast, and the register of 2026-11-05 has 5 members"),
        ({"votes": None}, "quorum: without a count"),
        ({"quorum": 0}, "quorum: it is a number of votes"),
    ],
)
def test_a_resolution_that_did_not_carry_is_refused(change: dict[str, Any], sentence: str) -> None:
    check_resolution(RESOLUTION, today=TODAY, voters=5)
    with pytest.raises(Refusal, match=sentence) as refused:
        check_resolution(replace(RESOLUTION, **change), today=TODAY, voters=5)
    for language in ("de", "es"):
        with speaking(language):
            assert phrase(str(refused.value)) != str(refused.value)


@pytest.mark.parametrize(
    ("rules", "change", "sentence"),
    [
        # Genossenschaftsgesetz § 16(2): three quarters of the votes cast; two thirds of 3 are 2.
        (
            "de-eg",
            {"votes": Votes(2, 1, 0)},
            "2 for and 1 against carry nothing by the rules de-eg.*at least 3/4",
        ),
        ("de-eg", {"votes": Votes(74, 25, 9)}, r"Genossenschaftsgesetz § 16\(2\)"),
        ("es", {"votes": Votes(65, 35, 0)}, "at least 2/3 of the votes"),
        (
            "de-eg",
            {"body": Body.BOARD, "votes": None},
            "body: by the rules de-eg the members' meeting changes",
        ),
        ("plain", {"body": Body.BOARD}, "body: by the rules plain"),
    ],
)
def test_the_rules_in_force_say_who_changes_them_and_by_what_majority(
    rules: str, change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Refusal, match=sentence):
        check_majority(replace(RESOLUTION, **change), voting_rules(rules))


@pytest.mark.parametrize(
    ("rules", "change"),
    [
        ("de-eg", {"votes": Votes(3, 1, 9)}),
        ("de-eg", {"votes": None}),
        ("de-eg", {"votes": Votes(2, 1, 0), "kind": ResolutionKind.ALLOCATION}),
        ("de-eg", {"body": Body.BOARD, "kind": ResolutionKind.TARIFF, "votes": Votes(2, 1, 0)}),
        ("es", {"votes": Votes(2, 1, 0)}),
    ],
)
def test_what_the_rules_in_force_carry_is_entered(rules: str, change: dict[str, Any]) -> None:
    check_majority(replace(RESOLUTION, **change), voting_rules(rules))


def test_a_board_counts_its_own_votes() -> None:
    check_resolution(replace(RESOLUTION, body=Body.BOARD, votes=Votes(9, 0, 0)), today=TODAY, voters=5)


@pytest.mark.parametrize(
    ("change", "now", "resolution", "sentence"),
    [
        ({"from_year": 2026}, "2026-04-01", RESOLUTION, "2026 has begun"),
        ({"from_year": 2026}, "2026-03-31T23:59", None, "needs a resolution of kind rule-set"),
        ({"from_year": 2027, "first_month": 5}, "2026-11-05", RESOLUTION, "begins where it began"),
        (
            {"from_year": 2027},
            "2026-11-05",
            replace(RESOLUTION, kind=ResolutionKind.TARIFF),
            "is no resolution of kind",
        ),
    ],
)
def test_the_rules_change_for_a_coming_year_by_a_decision(
    change: dict[str, Any], now: str, resolution: Resolution | None, sentence: str
) -> None:
    asked = replace(CHOICE, resolution=None if resolution is None else "2026-1", **change)
    with pytest.raises(Refusal, match=sentence):
        check_choice(asked, [CHOICE], resolution, anything_closed=True, now_us=at(now))


def test_the_rules_are_free_at_founding_and_until_something_is_closed() -> None:
    late = at("2030-01-01")
    check_choice(CHOICE, [], None, anything_closed=True, now_us=late)
    check_choice(CHOICE, [CHOICE], None, anything_closed=False, now_us=late)
    asked = replace(CHOICE, from_year=2027, resolution="2026-1")
    check_choice(asked, [CHOICE], RESOLUTION, anything_closed=True, now_us=at("2027-03-31"))


def test_what_is_in_force_follows_the_fiscal_year() -> None:
    choices = [replace(CHOICE, number=1), replace(CHOICE, number=2, rule_set="es"),
               replace(CHOICE, number=3, rule_set="it", from_year=2028)]  # fmt: skip
    # Before the first start the earliest choice counts: a co-op may be founded before its books begin.
    assert ["es", "es", "es", "it"] == [
        found and found.rule_set for found in (choice_for(choices, year) for year in (2025, 2026, 2027, 2028))
    ]
    days = ("2026-03-31", "2026-04-01", "2028-03-31", "2028-04-01")
    assert ["es", "es", "es", "it"] == [
        found and found.rule_set for found in (choice_at(choices, at(day)) for day in days)
    ]
    assert (None, None) == (choice_for([], 2026), choice_at([], at("2026-04-01")))


@pytest.mark.parametrize(
    ("worked", "factor", "sentence"),
    [
        ("NaN", "1", "hours: 'NaN' is not a plain decimal"),
        ("1e2", "1", "hours: '1e2' is not a plain decimal"),
        ("-1", "1", "hours: '-1' is negative"),
        ("1.0001", "1", "hours: '1.0001' has 4 decimals"),
        ("672.001", "1", "hours: 672.001 is more than 2026-02 has, which is 672"),
        ("1", "0", "factor: it is above 0"),
        ("1", "1000.001", "factor: it is above 0 and at most 1000"),
    ],
)
def test_hours_that_cannot_be_are_refused(worked: str, factor: str, sentence: str) -> None:
    told: dict[str, Any] = {
        "member": MemberId(1), "month": Month(2026, 2), "corrects": None, "memo": "", "who": "test", "recorded_us": 0,
    }  # fmt: skip
    assert 672_000 * 1250 == hours(worked="672", factor="1.25", **told).weight
    with pytest.raises(Refusal, match=sentence):
        hours(worked=worked, factor=factor, **told)


@pytest.mark.parametrize("name", rule_set_ids())
def test_choosing_nothing_is_allowed_by_every_rule_set(name: str) -> None:
    assert Choices() == parse_choices("", currency="EUR")
    check_choices(Choices(), rule_set(name), currency="EUR")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("cash_share = 0.3", "cash_share: one line of text in quotes"),
        ('cash_share = "130 %"', "more than the whole"),
        ('cash_share = "19.99 %"', "cash_share: 19.99 % is less than 20 %"),
        ('nonqualified_share = "90 %"', "with cash_share it is more than the whole"),
        ('[class_weights]\nuser = "0"', "class_weights: all are zero"),
        ("[class_weights]\nuser = 0.8", "class_weights.user: a whole number or an exact text"),
        ("[class_weights]\ncustomer = 1", "class_weights: customer is who is no member"),
        ("class_weights = 5", "class_weights: a table"),
        ('[class_keys]\nuser = "height"', "class_keys.user: 'height' is none of"),
        ('minimum_amount = "5.001"', "minimum_amount: '5.001' has 3 decimals"),
        ("cash_share = ", "choices: is not TOML"),
        ('cash_shar = "30 %"', "is an unknown key; did you mean"),
        ("#" * 70_000, "choices: a file has at most"),
    ],
)
def test_choices_the_rules_do_not_leave_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence):
        check_choices(parse_choices(text, currency="EUR"), rule_set("us-selc"), currency="EUR")


def test_all_fiscal_years_begin_with_the_month_that_was_said_last() -> None:
    """July for 2026, then January for 2027: were each to keep its own, the first half of 2027 would lie in both."""
    choices = [replace(CHOICE, number=1, first_month=7), replace(CHOICE, number=2, rule_set="es", from_year=2027, first_month=1)]  # fmt: skip
    assert (1, 1) == (first_month_of(choices), first_month_of([]))
    days = ("2026-01-01", "2026-12-31", "2027-01-01", "2027-07-01")
    assert ["plain", "plain", "es", "es"] == [
        found and found.rule_set for found in (choice_at(choices, at(day)) for day in days)
    ]
    later = [choices[1], replace(choices[0], number=3)]
    assert ["plain", "es"] == [
        found and found.rule_set
        for found in (choice_at(later, at(day)) for day in ("2027-06-30", "2027-07-01"))
    ]
