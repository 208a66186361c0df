"""A founding paper as a PDF that screen readers can read (PDF/UA-1), by typst; made again it is the same.

What founders typed goes in as data and never as markup.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from billing.founding.sheet import Sheet, as_data
from billing.statements.pdf import compiled

TEMPLATE = Path(__file__).parents[1].joinpath("templates", "founding.typ")


def sheet_pdf(sheet: Sheet, *, dated_us: int) -> bytes:
    """The PDF, dated to the day of the founding. Raises Refusal where the extra `pdf` is not installed."""
    return compiled(_template(), json.dumps(as_data(sheet)), dated_us=dated_us)


@cache
def _template() -> bytes:
    return TEMPLATE.read_bytes()
