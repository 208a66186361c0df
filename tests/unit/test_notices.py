"""Notices: the qualified test of golden example G1, required fields, and what is refused."""

from copy import deepcopy
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from billing.capital.deadlines import deadlines, deadlines_by_name
from billing.capital.lots import Kind
from billing.notices.file import read_year
from billing.notices.notice import (
    MAY_BE_EMPTY,
    NOT_A_BILL,
    REQUIRED,
    kind_of_check,
    notice,
    notice_text,
    qualified_test,
)
from billing.notices.notice import refuse_unqualified as refuse
from billing.rules.afterwards import afterwards
from meter.refusal import Refusal

FIFTH = Fraction(1, 5)
DOCUMENT: dict[str, Any] = {
    "year": 2026,
    "currency": "EUR",
    "decided_by": "general meeting, 2027-2",
    "comes_back": "The board decides; it aims at 18 years.",
    "tax": "Form 1099-PATR follows.",
    "netting": "Transfer paid for storage: 12.00.",
    "see_more": "the portal",
    "object": "write to the board",
    "class_pools": {"user": "720.00", "worker": "180.00"},
    "allocations": [
        {"id": "anna", "class": "user", "base": "1512.37", "amount": "362.97", "cash": "108.90",
         "retained": "254.07", "qualified": "254.07", "consented": True},
        {"id": "ben", "class": "user", "base": "903.11", "amount": "216.75", "cash": "65.03",
         "retained": "151.72"},
        {"id": "carla", "class": "user", "base": "584.52", "amount": "140.28", "cash": "42.09",
         "retained": "98.19"},
        {"id": "anna", "class": "worker", "base": "1200", "amount": "113.68", "cash": "34.11",
         "retained": "79.57", "qualified": "79.57", "consented": True},
        {"id": "wim", "class": "worker", "base": "700", "amount": "66.32", "cash": "19.90",
         "retained": "46.42"},
    ],
}  # fmt: skip
"""The allocations of the reference closing (G18), with one member in two classes."""


def changed(place: str, value: object, index: int | None = None) -> dict[str, Any]:
    one = deepcopy(DOCUMENT)
    (one if index is None else one["allocations"][index])[place] = value
    return one


def test_g1_a_notice_of_forty_beside_fifty_nonqualified_and_ten_in_money_can_be_qualified() -> None:
    """26 CFR 1.1388-1(c)(1): 10/(100−50) = 20 % (patronage reference, G1)."""
    found = qualified_test(
        dividend_minor=100, nonqualified_minor=50, money_minor=10, money_min=FIFTH, consented=True
    )
    assert (50, 10, True) == (found.base_minor, found.money_least_minor, found.passes)


def test_g1_a_notice_of_ninety_and_ten_in_money_fails() -> None:
    """The same with no nonqualified part: 10 %."""
    found = qualified_test(
        dividend_minor=100, nonqualified_minor=0, money_minor=10, money_min=FIFTH, consented=True
    )
    assert (20, False) == (found.money_least_minor, found.passes)


def test_g1_without_consent_it_fails_however_much_is_money() -> None:
    found = qualified_test(
        dividend_minor=100, nonqualified_minor=0, money_minor=90, money_min=FIFTH, consented=False
    )
    assert not found.passes


def test_g2_a_check_cashed_after_the_last_day_redeems_a_nonqualified_notice() -> None:
    """26 CFR 1.1388-1(c)(3)(iii): last day 14 Dec 1964, cashed on 2 Jan 1965 (patronage reference, G2)."""
    found = deadlines(afterwards("us-subchapter-t"), year_end=date(1963, 12, 31))
    last_day = deadlines_by_name(found)["last day to cash a qualified check"]
    assert last_day is not None
    assert Kind.NONQUALIFIED is kind_of_check(last_day=last_day, cashed_on=date(1965, 1, 2))
    assert Kind.NONQUALIFIED is kind_of_check(last_day=last_day, cashed_on=date(1964, 12, 15))
    assert Kind.QUALIFIED is kind_of_check(last_day=last_day, cashed_on=date(1964, 12, 14))


def test_a_cent_below_the_part_is_below_it() -> None:
    # 20 % of 1.01 is 20.2 cents: 20 are too few.
    for money, passes in ((20, False), (21, True)):
        found = qualified_test(
            dividend_minor=101, nonqualified_minor=0, money_minor=money, money_min=FIFTH, consented=True
        )
        assert passes is found.passes


def test_a_notice_says_everything_the_reference_lists() -> None:
    document = notice(read_year(DOCUMENT), "ben")
    told = notice_text(document)
    assert set() == set(REQUIRED) - set(document)
    for text in (
        "2026", "900.00 EUR", "720.00 EUR", "Member ben", "903.11", "0.24 EUR for each 1 EUR", "216.75 EUR",
        "65.03 EUR", "151.72 EUR (plain)", "The board decides; it aims at 18 years.", NOT_A_BILL,
        "Allocated is not paid", "Form 1099-PATR follows.", "Transfer paid for storage: 12.00.", "the portal",
        "write to the board", "general meeting, 2027-2",
    ):  # fmt: skip
        assert text in told


def test_a_member_of_two_classes_has_one_notice_of_both() -> None:
    document = notice(read_year(DOCUMENT), "anna")
    # 362.97 + 113.68 and 108.90 + 34.11; 180.00 for 1,900 hours is 0.0947368421…
    assert (47665, 14301, 33364) == (
        document["allocated_minor"], document["cash_minor"], document["retained_minor"],
    )  # fmt: skip
    assert "1,512.370 EUR; 1,200.000 hours" == document["patronage"]
    assert "0.24 EUR for each 1 EUR; 0.094736842… EUR for each 1 hours" == document["rate"]


@pytest.mark.parametrize("field", ["decided_by", "comes_back", "tax", "see_more", "object", "currency"])
def test_a_missing_text_is_refused_by_name(field: str) -> None:
    for value in ("", "  ", None):
        with pytest.raises(Refusal, match=f"{field}: the notice must say it"):
            read_year(changed(field, value))


def test_only_netting_may_be_left_out() -> None:
    assert ("netting",) == MAY_BE_EMPTY
    without = {name: value for name, value in DOCUMENT.items() if name != "netting"}
    assert "set against surpluses" not in notice_text(notice(read_year(without), "ben"))


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (changed("year", "2026"), "year: a year is written like 2026"),
        (changed("year", True), "year: a year is written like 2026"),
        (changed("tax", "x" * 2001), "tax: one line of at most 2000 characters"),
        (changed("tax", "two\nlines"), "tax: one line of at most 2000 characters"),
        (changed("currency", "EURO"), "'EURO' is not a currency code"),
        (changed("class_pools", {"user": "720.01", "worker": "180.00"}), r"class_pools.user: 720.01 EUR, and its shares sum to 720.00 EUR"),
        (changed("class_pools", {"user": "720.00"}), "anna is of class worker, which has no pool"),
        (changed("allocations", []), "allocations: a list"),
        (changed("cash", "65.04", 1), "allocations 2: cash and retained are not the amount"),
        (changed("cash", "65.030", 1), "allocations 2: cash: '65.030' has 3 decimals"),
        (changed("cash", 65, 1), "allocations 2: cash: a text is missing"),
        (changed("qualified", "151.73", 1), "allocations 2: qualified and nonqualified are more than what is retained"),
        (changed("id", "carla", 1), "carla stands twice in class user"),
        (changed("amount", "NaN", 1), "is not a plain decimal number"),
    ],
)  # fmt: skip
def test_what_does_not_add_up_is_refused(document: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence):
        read_year(document)


def test_a_notice_called_qualified_must_be_able_to_be_one() -> None:
    refuse(read_year(DOCUMENT), FIFTH)
    with pytest.raises(Refusal, match="anna: a qualified notice needs the member's consent"):
        refuse(read_year(changed("consented", False, 0)), FIFTH)
    with pytest.raises(Refusal, match="anna: qualified: this rule set knows no qualified notices"):
        refuse(read_year(DOCUMENT), None)
    # 143.01 of 476.65 is 30.003 %.
    with pytest.raises(Refusal, match=r"anna: 143.01 EUR in money is less than 147.77 EUR"):
        refuse(read_year(DOCUMENT), Fraction(31, 100))


def test_g1_s_notice_tells_both_kinds_apart() -> None:
    """26 CFR 1.1388-1(c)(1): 100 = nonqualified 50 + notice 40 + money 10."""
    share = {"id": "anna", "class": "user", "base": "1", "amount": "100.00", "cash": "10.00", "retained": "90.00",
             "qualified": "40.00", "nonqualified": "50.00", "consented": True}  # fmt: skip
    year = read_year({**DOCUMENT, "class_pools": {"user": "100.00"}, "allocations": [share]})
    refuse(year, FIFTH)
    assert "40.00 EUR qualified, 50.00 EUR nonqualified" == notice(year, "anna")["retained_kind"]
    worse = {**share, "qualified": "90.00", "nonqualified": "0.00"}
    with pytest.raises(Refusal, match=r"anna: 10\.00 EUR in money is less than 20\.00 EUR"):
        refuse(read_year({**DOCUMENT, "class_pools": {"user": "100.00"}, "allocations": [worse]}), FIFTH)


def test_a_closing_s_own_document_says_who_used_what_and_who_consented() -> None:
    share = {
        "id": "7",
        "class": "worker",
        "amount": "10.00",
        "cash": "2.00",
        "retained": "8.00",
        "qualified": "8.00",
    }
    closing = {
        **DOCUMENT, "class_pools": {"worker": "10.00"}, "allocations": [share],
        "inputs": {"members": [{"id": "7", "class": "worker", "hours": "1200", "consent": True}]},
    }  # fmt: skip
    year = read_year(closing)
    refuse(year, FIFTH)
    assert "1,200.000 hours" == notice(year, "7")["patronage"]
    with pytest.raises(Refusal, match="allocations 1: base: a text is missing"):
        read_year({**closing, "inputs": {}})
    used = {"members": [{"id": "7", "class": "user", "charges": "1512.37", "hours": "3", "consent": True}]}
    user = {
        **closing,
        "class_pools": {"user": "10.00"},
        "allocations": [{**share, "class": "user"}],
        "inputs": used,
    }
    assert "1,512.370 EUR" == notice(read_year(user), "7")["patronage"]
