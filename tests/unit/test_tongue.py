"""Languages: which one a browser likes best, numbers as each writes them, and sentences told again from their pattern."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from babel.dates import format_date
from babel.numbers import format_decimal
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.money import exponent
from billing.pages import environment, render
from billing.portal.caps import read_caps
from billing.portal.desk import sentence
from billing.portal.mail import login_mail
from billing.tongue import LANGUAGES, LOCALES, SOURCE, accepted, phrase, pieces, speak, speaking, spoken
from billing.words import (
    amount_text,
    bytes_text,
    count_text,
    day_text,
    instant_again,
    instant_text,
    month_text,
    number_text,
    numeral,
)
from meter.refusal import Refusal
from meter.sizes import parse_limit
from meter.window import Month

OTHERS = [one for one in LANGUAGES if one != SOURCE]
INSTANT = Month(2026, 11).start_us + 22 * 86_400 * 10**6 + (5 * 3600 + 54 * 60) * 10**6


@pytest.mark.parametrize(
    ("header", "best"),
    [
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("fr, es;q=0.4, en;q=0.7", "en"),
        ("en;q=0.1, es-419;q=0.2", "es"),
        ("de;q=0, es;q=0.001", "es"),
        ("de;q=0", None),
        ("", None),
        ("*", None),
        ("xx,yy", None),
        ("ES", "es"),
        ("de; q=0.5 , en; q=0.50", "de"),
        ("de;q=nonsense", "de"),
        (",".join(["fi"] * 20) + ",de", None),
    ],
)
def test_the_language_a_browser_likes_best_of_ours(header: str, best: str | None) -> None:
    assert best == accepted(header)


def test_an_unknown_language_is_the_source_and_a_block_ends_as_it_began() -> None:
    with speaking("de"):
        with speaking("tlh"):
            assert SOURCE == spoken()
        assert "de" == spoken()
        speak("es")
        assert "es" == spoken()
    assert SOURCE == spoken()


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=30)
@given(minor=st.integers(-(10**17), 10**17), currency=st.sampled_from(["EUR", "JPY", "TND"]))
def test_an_amount_is_written_as_babel_writes_it_digit_by_digit(
    language: str, minor: int, currency: str
) -> None:
    decimals = exponent(currency)
    pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
    expected = format_decimal(Decimal(minor).scaleb(-decimals), pattern, LOCALES[language])
    with speaking(language):
        assert expected == number_text(minor, currency)
        assert [expected, currency] == amount_text(minor, currency).replace("\N{NO-BREAK SPACE}", " ").split(
            " "
        )


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", ["1,234,567", "0.33…", "about 1.23 GB", "7 bytes", "2026-11-23", "November 2026"]),
        ("de", ["1.234.567", "0,33…", "etwa 1,23 GB", "7 Byte", "23.11.2026", "November 2026"]),
        ("es", ["1.234.567", "0,33…", "unos 1,23 GB", "7 bytes", "23 nov 2026", "noviembre de 2026"]),
    ],
)
def test_numbers_and_days_in_each_language(language: str, told: list[str]) -> None:
    with speaking(language):
        found = [
            count_text(1_234_567), numeral("0.33…"), bytes_text(1_234_567_890), bytes_text(7),
            day_text(date(2026, 11, 23)), month_text(Month(2026, 11)),
        ]  # fmt: skip
    assert told == [one.replace("\N{NO-BREAK SPACE}", " ") for one in found]


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_instant_that_was_written_into_a_document_is_read_again(language: str) -> None:
    kept = instant_text(INSTANT)
    assert "23 November 2026, 05:54 UTC" == kept
    with speaking(language):
        assert instant_text(INSTANT) == instant_again(kept)
        long = format_date(date(2026, 11, 23), "long", locale=LOCALES[language])
        assert f"{long}, 05:54 UTC" == instant_again(kept)
        assert ["", "yesterday"] == [instant_again(one) for one in ("", "yesterday")]


def test_a_refusal_is_told_in_the_readers_language_with_its_values_as_they_were() -> None:
    refusals = [
        Refusal("'1,000 <b>' is not a day"),
        Refusal("proposal 3 was not adopted: 2 took part, and 5 of 9 were needed"),
        Refusal("text: say what is proposed, in at most 20,000 characters of text"),
        Refusal("a sentence that nobody translated"),
    ]
    with speaking("de"):
        assert [
            "„1,000 <b>“ ist kein Tag.",
            "Antrag 3 wurde nicht angenommen: 2 nahmen teil, und 5 von 9 waren nötig.",
            "Text: Sag, was vorgeschlagen wird, in höchstens 20.000 Zeichen Text.",
            "A sentence that nobody translated.",
        ] == [sentence(one) for one in refusals]
    assert "'1,000 <b>' is not a day." == sentence(refusals[0])


@pytest.mark.parametrize("language", OTHERS)
@settings(max_examples=30)
@given(text=st.text(max_size=40))
def test_no_text_makes_a_phrase_fail(language: str, text: str) -> None:
    with speaking(language):
        assert text in phrase(f"'{text}' is not a day")
        assert "surplus" in phrase("'surplus' is not a day")
        phrase(text)


def test_nothing_is_nothing_and_not_the_head_of_a_catalogue() -> None:
    with speaking("de"):
        assert "" == phrase("")


@pytest.mark.parametrize("language", LANGUAGES)
def test_strong_values_stand_at_odd_places(language: str) -> None:
    with speaking(language):
        found = pieces(
            "your charges {own} / all users’ {whole} × pool {pool}", {"own": "1", "whole": "2", "pool": "3"}
        )
    assert (7, ("1", "2", "3")) == (len(found), found[1::2])


@pytest.mark.parametrize("language", LANGUAGES)
def test_script_in_a_value_is_escaped_in_every_language(language: str) -> None:
    bad = "<script>alert(1)</script>"
    with speaking(language):
        page = render(
            "refused.html", sentence=bad, visitor=None, typed=[(bad, bad)], back=None, to_door=False
        )
        made = environment(language).from_string("{% trans name=bad %}Sign out {{ name }}{% endtrans %}")
        assert "&lt;script&gt;" in made.render(bad=bad)
        assert "<script" not in page + made.render(bad=bad)
    assert f'<html lang="{language}">' in page


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_mail_with_a_link_is_in_the_members_language(language: str) -> None:
    with speaking(language):
        mail = login_mail(sender="a@b.example", to="c@d.example", name="Ana", link="https://x/y", minutes=60)
    text = mail.get_content()
    assert {"en": "Your link to sign in", "de": "Dein Link zum Anmelden", "es": "Tu enlace para entrar"}[
        language
    ] == mail["Subject"]
    assert [True] * 3 == [one in text for one in ("Ana", "https://x/y", "60")]


@pytest.mark.parametrize(
    ("language", "typed", "size"),
    [
        ("en", "1.5 TB", 1_500_000_000_000),
        ("de", "1,5 TB", 1_500_000_000_000),
        ("es", "1.5 TB", 1_500_000_000_000),
        ("de", "100 GB", 100 * 10**9),
        ("en", "1.000 GB", 10**9),
        ("de", "1000000", 1_000_000),
    ],
)
def test_a_size_is_read_with_the_readers_decimal_mark(language: str, typed: str, size: int) -> None:
    with speaking(language):
        assert size == read_caps({"egress_hard": typed}).egress.hard


@pytest.mark.parametrize("typed", ["1.000 GB", "1,000 GB", "10.000", "1.000.000"])
def test_what_two_readers_read_as_two_sizes_is_no_size(typed: str) -> None:
    with speaking("de"), pytest.raises(Refusal, match=r"two sizes|is not a size"):
        read_caps({"egress_hard": typed})
    with pytest.raises(Refusal):
        parse_limit("1,5 TB")
