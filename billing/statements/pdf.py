"""A paper as a PDF that screen readers can read (PDF/UA-1), by typst; made again it is the same, byte for byte.

What a member or anybody else wrote goes in as data and never as markup. Only the fonts that typst brings are used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from billing.statements.paper import Paper
from billing.tongue import _, speaking
from billing.words import amount_text
from meter.refusal import Refusal
from meter.window import to_datetime

try:
    import typst

    IS_THERE = True
except ImportError:  # an extra that a small co-op can do without: every statement has a page, too
    IS_THERE = False

TEMPLATE = Path(__file__).parents[1].joinpath("templates", "paper.typ")


def paper_pdf(paper: Paper) -> bytes:
    """The PDF, in the paper's language. Raises Refusal where the extra `pdf` is not installed."""
    with speaking(paper.language):
        data = json.dumps(_data(paper))
    return compiled(_template(), data, dated_us=paper.dated_us)


def compiled(template: bytes, data: str, *, dated_us: int) -> bytes:
    """A template with its data as a PDF of that date. Raises Refusal where the extra `pdf` is not installed."""
    if not IS_THERE:
        raise Refusal(
            "a PDF needs typst, which is not installed here; install Weir with its extra `pdf`, or print the page"
        )
    made: bytes = typst.compile(
        template, sys_inputs={"paper": data}, ignore_system_fonts=True, format="pdf", pdf_standards="ua-1",
        timestamp=to_datetime(dated_us).replace(microsecond=0),
    )  # fmt: skip
    return made


@cache
def _template() -> bytes:
    return TEMPLATE.read_bytes()


def _data(paper: Paper) -> Mapping[str, Any]:
    found = asdict(paper)
    if paper.picture is not None:
        for part in found["picture"]["parts"]:
            part["amount"] = amount_text(part["amount_minor"], paper.currency)
            part["of_all"] = (
                _("{cents} of every 100 {currency}", cents=part["cents"], currency=paper.currency)
                if part["cents"]
                else ""
            )
    # Where the page's number and the number of pages go, typst alone knows.
    found["page_words"] = re.split(r"\{page\}|\{pages\}", phrase_of_pages())
    return found


def phrase_of_pages() -> str:
    """'page {page} of {pages}', in the language spoken now; the page's number comes first in each."""
    return _("page {page} of {pages}", page="{page}", pages="{pages}")
