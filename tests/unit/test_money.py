"""Amounts are read, written and divided exactly, or refused with a sentence."""

import pytest

from billing.money import (
    divide_half_up,
    format_amount,
    parse_amount,
    parse_decimal,
    quotient_text,
    scale_down,
)
from meter.refusal import Refusal


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("412.00", "EUR", 41200),
        ("412", "EUR", 41200),
        ("0.5", "EUR", 50),
        ("007.01", "EUR", 701),
        ("1500", "JPY", 1500),
        ("1.234", "KWD", 1234),
        ("999999999999999.99", "EUR", 99999999999999999),
        ("0" * 5000 + "1", "EUR", 100),
    ],
)
def test_an_amount_is_read_exactly(text: str, currency: str, minor: int) -> None:
    assert minor == parse_amount(text, currency)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1.234", "3 decimals"),
        ("NaN", "not a plain decimal"),
        ("inf", "not a plain decimal"),
        ("1e30", "not a plain decimal"),
        ("1,234.00", "not a plain decimal"),
        ("", "not a plain decimal"),
        (" 1", "not a plain decimal"),
        ("+1", "not a plain decimal"),
        ("1.", "not a plain decimal"),
        ("٣", "not a plain decimal"),
        ("-1", "negative"),
        ("1" * 16, "too large"),
    ],
)
def test_a_bad_amount_is_refused_and_its_field_named(text: str, words: str) -> None:
    with pytest.raises(Refusal, match=f"^amount: .*{words}"):
        parse_amount(text, "EUR")


def test_a_negative_amount_is_read_where_it_is_allowed() -> None:
    assert parse_decimal("-1.5", field="delta", decimals_max=2, negative=True) == -150


def test_an_unknown_currency_is_refused() -> None:
    with pytest.raises(Refusal, match="'EURO' is not a currency code"):
        parse_amount("1", "EURO")


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (151237, "EUR", "1,512.37 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (0, "EUR", "0.00 EUR"),
        (1500, "JPY", "1,500 JPY"),
        (1, "KWD", "0.001 KWD"),
    ],
)
def test_an_amount_is_written_in_full(minor: int, currency: str, text: str) -> None:
    assert text == format_amount(minor, currency)


@pytest.mark.parametrize(
    ("numerator", "denominator", "nearest"),
    [(5, 10, 1), (4, 10, 0), (15, 10, 2), (-5, 10, -1), (-4, 10, 0), (0, 7, 0), (10**40 + 5, 10, 10**39 + 1)],
)
def test_a_half_is_rounded_away_from_zero(numerator: int, denominator: int, nearest: int) -> None:
    assert nearest == divide_half_up(numerator, denominator)


@pytest.mark.parametrize(
    ("numerator", "denominator", "text"),
    [(1, 3, "0.3333…"), (1, 4, "0.25"), (-1, 3, "-0.3333…"), (5, 1, "5"), (123456789, 1, "123,456,789")],
)
def test_a_quotient_that_was_cut_says_so(numerator: int, denominator: int, text: str) -> None:
    assert text == quotient_text(numerator, denominator, decimals=4)


def test_a_bar_of_anything_can_be_seen_and_of_nothing_cannot() -> None:
    assert [scale_down(value, of=1000, to=100) for value in (0, 1, 500, 1000)] == [0, 1, 50, 100]
