"""A founding paper as a PDF that screen readers can read (PDF/UA-1), by typst; made again it is the same.

What founders typed goes in as data and never as markup.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from billing.founding.sheet import Sheet, as_data
from billing.statements.pdf import compiled, phrase_of_pages
from billing.tongue import speaking

TEMPLATE = Path(__file__).parents[1].joinpath("templates", "founding.typ")


def sheet_pdf(sheet: Sheet, *, dated_us: int) -> bytes:
    """The PDF in the paper's language, dated to the day of the founding. Raises Refusal as `compiled` does."""
    with speaking(sheet.language):
        # Where the page's number and the number of pages go, typst alone knows.
        pages = re.split(r"\{page\}|\{pages\}", phrase_of_pages())
        return compiled(_template(), {**as_data(sheet), "page_words": pages}, dated_us=dated_us)


@cache
def _template() -> bytes:
    return TEMPLATE.read_bytes()
