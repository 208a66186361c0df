"""Turns templates into HTML: one strict, escaping environment a language, for statements and portal. It knows no member."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from billing.tongue import LANGUAGES, SOURCE, cited, phrase, spoken, translations
from billing.words import (
    NO_BREAK,
    amount_text,
    bytes_text,
    clock_text,
    counter,
    day_text,
    hundredths_text,
    instant_text,
    month_told,
    number_text,
    numeral,
    quantity_text,
)

TEMPLATES = Path(__file__).with_name("templates")


@cache
def environment(language: str) -> Environment:
    """Made once a language: escapes everything, and an unknown name is an error, never an empty place."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    # Values are escaped and only then put into their sentence, also where a translation has them elsewhere.
    made.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]
    made.policies["ext.i18n.trimmed"] = True
    made.globals |= {"language": language, "languages": LANGUAGES}
    made.filters |= {
        "amount": amount_text,
        "number": number_text,
        "numeral": numeral,
        "bytes": bytes_text,
        "cited": cited,
        "clock": clock_text,
        "commands": commands,
        "count": counter(language),
        "day": day_text,
        "figure": figure,
        "hundredths": hundredths_text,
        "instant": instant_text,
        "month": month_told,
        "phrase": phrase,
        "quantity": quantity_text,
        "retold": retold,
    }
    return made


def figure(text: str) -> str:
    """A figure in large letters: its number and its unit stay in one line, 'about 12.3 PB' breaks before the number."""
    return NO_BREAK.join(text.rsplit(" ", 1))


def commands(text: str) -> Markup:
    """A sentence in which commands stand between backticks, as terminals show it, as a page shows it."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        return escape(text)
    code = Markup("<code>{}</code>")
    marked = [code.format(one) if place % 2 else escape(one) for place, one in enumerate(pieces)]
    return Markup("").join(marked)


def retold(text: str) -> str:
    """A phrase() told again; what nobody translated says to whoever reads it aloud that it is English."""
    told = phrase(text)
    if told != text or spoken() == SOURCE:
        return told
    return Markup('<span lang="en">{}</span>').format(text)


def render(template: str, **context: object) -> str:
    """One page or fragment, in the language spoken now."""
    return environment(spoken()).get_template(template).render(context)
