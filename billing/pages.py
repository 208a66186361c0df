"""Turns templates into HTML: one strict, escaping environment for statements and portal. It knows no member."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from billing.money import format_amount, format_number
from billing.words import bytes_text, clock_text, instant_text, quantity_text

TEMPLATES = Path(__file__).with_name("templates")


@cache
def environment() -> Environment:
    """Made once: escapes everything, and an unknown name is an error, never an empty place."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "amount": format_amount,
        "number": format_number,
        "bytes": bytes_text,
        "clock": clock_text,
        "count": "{:,}".format,
        "instant": instant_text,
        "quantity": quantity_text,
    }
    return made


def render(template: str, **context: object) -> str:
    """One page or fragment."""
    return environment().get_template(template).render(context)
