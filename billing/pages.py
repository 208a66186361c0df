"""Turns templates into HTML: one strict, escaping environment a language, for statements and portal. It knows no member."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from billing.tongue import LANGUAGES, phrase, spoken, translations
from billing.words import (
    amount_text,
    bytes_text,
    clock_text,
    counter,
    day_text,
    instant_text,
    number_text,
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
        "bytes": bytes_text,
        "clock": clock_text,
        "count": counter(language),
        "day": day_text,
        "instant": instant_text,
        "phrase": phrase,
        "quantity": quantity_text,
    }
    return made


def render(template: str, **context: object) -> str:
    """One page or fragment, in the language spoken now."""
    return environment(spoken()).get_template(template).render(context)
