"""What becomes of a share, in words: the sentence's parts sum to it, on random closings and on one worked out by hand."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.statements.sheet import statement_csv
from billing.statements.year_paper import year_paper
from billing.tongue import speaking
from billing.year.inputs import Person, Use
from billing.year.outcome import Settlement, YearAllocation
from billing.year_lines import YearLine
from billing.year_parts import TRIAL, measure_text, parts_minor
from billing.year_statement import (
    EARLIER,
    FINAL,
    FORMAT,
    meaning,
    sum_pieces,
    year_statement,
    year_text,
)
from tests.unit.test_papers import PAGE

AMOUNTS = st.integers(0, 10**9)


def document(
    *, paid: int = 0, held: int = 0, set_off: int = 0, withheld: int = 0, given: int = 0, kept: int = 0,
    loss_met: int = 0, qualified: int = 0, nonqualified: int = 0, interest: int = 0, kind: str = FINAL,
    told_as: str = FORMAT,
) -> dict[str, Any]:  # fmt: skip
    """A member's statement: what is paid and so on, and what is kept beside what meets a loss."""
    cash, retained = paid + held + set_off + withheld + given, kept + loss_met
    amount = cash + retained
    share = YearAllocation("dora", "user", Fraction(151_237), amount, cash, retained, qualified, nonqualified)
    settled = Settlement("dora", amount, cash, retained, loss_met, withheld, set_off, given, held, paid)
    uses = (Use("dora", "user", 151_237),)
    person = Person("dora", 7, joined="2024-01-01")
    own = YearLine(7, "dora", uses, person, (), (share,), settled, interest, "{}")
    return year_statement(
        PAGE, own, kind=kind, resolution="2027-1", closed_us=1_800_000_000_000_000, told_as=told_as
    )


def sums(words: str) -> list[int]:
    """Every amount in English words, in cents."""
    return [int(one.replace(",", "").replace(".", "")) for one in re.findall(r"([\d,]+\.\d\d) EUR", words)]


def test_what_is_taken_off_a_debt_is_said_and_the_parts_sum() -> None:
    """292.92, half of it in cash: 146.46, all of which is taken off what she owes."""
    told = meaning(document(set_off=14_646, kept=14_646))
    assert (
        "Your share of it (patronage) is 292.92 EUR: 0.00 EUR is to be paid to you, 146.46 EUR is taken off what you "
        "owe, 146.46 EUR is kept in the co-op in your name until the co-op decides to pay it back (retained "
        "patronage). Allocated is not paid." == told
    )


@given(
    AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, st.sampled_from([FINAL, TRIAL])
)
def test_the_sentence_sums_whatever_becomes_of_a_share(
    paid: int,
    held: int,
    set_off: int,
    withheld: int,
    given: int,
    kept: int,
    loss_met: int,
    interest: int,
    kind: str,
) -> None:
    told = document(
        paid=paid, held=held, set_off=set_off, withheld=withheld, given=given, kept=kept, loss_met=loss_met,
        interest=interest, kind=kind,
    )  # fmt: skip
    if told["amount_minor"] == 0:
        return
    assert told["amount_minor"] == sum(parts_minor(told).values())
    whole, *parts = sums(meaning(told))
    if interest:
        assert interest == parts.pop()
    assert whole == told["amount_minor"] == sum(parts)


@pytest.mark.parametrize("language", ["en", "de", "es"])
def test_every_language_says_every_part(language: str) -> None:
    told = document(
        paid=101, held=102, set_off=103, withheld=104, given=105, kept=106, loss_met=107, interest=108
    )
    with speaking(language):
        words = meaning(told)
    mark = "." if language == "en" else ","
    for cents in (728, *range(101, 109)):
        assert f"{cents // 100}{mark}{cents % 100:02d}" in words, (cents, words)


def test_a_year_closed_in_the_earlier_format_keeps_its_words() -> None:
    told = document(set_off=14_646, kept=14_646, told_as=EARLIER)
    assert ("weir-year-statement-1", True) == (
        told["format"],
        told["meaning"].startswith(
            "Your share of it (patronage) is 292.92 EUR: 0.00 EUR is to be paid to you, 146.46 EUR is kept in the co-op"
        ),
    )
    with speaking("de"):
        assert "abgezogen" not in meaning(told)


def test_kinds_are_said_with_what_they_mean_in_text_page_and_sheet() -> None:
    told = document(paid=500, kept=1_000, qualified=600, nonqualified=400)
    for said in (
        " ".join(year_text(told).split()),
        " ".join(
            piece
            for one in year_paper(told, is_over=True).sections
            for words in one.paragraphs
            for piece in words
        ),
        statement_csv(told),
    ):
        assert "6.00 EUR is qualified: for US tax it counts now" in said
        assert "4.00 EUR is nonqualified: for US tax it does not count now" in said
    assert "qualified" not in year_text(document(paid=500, kept=1_000))


@pytest.mark.parametrize(
    ("measure", "expected"),
    [("109/8", "13.625"), ("1200", "1200"), ("1/3", "1/3"), ("7/20", "0.35"), ("-1/8", "-0.125"), ("0", "0")],
)
def test_a_measure_is_a_decimal_where_it_ends(measure: str, expected: str) -> None:
    with speaking("en"):
        assert expected == measure_text(measure).replace(",", "")


def test_hours_are_written_by_the_reader_s_language() -> None:
    share = {"class": "worker", "measure": "109/8", "all_measures": "1900", "class_pool_minor": 18_000}
    with speaking("de"):
        assert "13,625" in "".join(sum_pieces(share, "EUR"))
