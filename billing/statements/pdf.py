"""A paper as a PDF that screen readers can read (PDF/UA-1), by typst; made again it is the same, byte for byte.

What a member or anybody else wrote goes in as data and never as markup. Only the fonts that typst brings are used, and
what they lack is told by its number (printable.py).
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
from billing.statements.printable import Printing
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
        return compiled(_template(), _data(paper), dated_us=paper.dated_us)


def compiled(template: bytes, data: Mapping[str, Any], *, dated_us: int) -> bytes:
    """A template with its data as a PDF of that date, in the language spoken now.

    Raises Refusal where the extra `pdf` is not installed, or typst makes none of it.
    """
    if not IS_THERE:
        raise Refusal(
            "a PDF needs typst, which is not installed here; install Weir with its extra `pdf`, or print the page"
        )
    text = json.dumps(_shown(data))
    try:
        made: bytes = typst.compile(
            template, sys_inputs={"paper": text}, ignore_system_fonts=True, format="pdf", pdf_standards="ua-1",
            timestamp=to_datetime(dated_us).replace(microsecond=0),
        )  # fmt: skip
    except typst.TypstError as error:
        raise Refusal(f"no PDF can be made of this: {error.message}; its other forms say the same") from None
    return made


def _shown(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """With every text as the fonts can show it; where that differs, it is said below once what the numbers mean."""
    printing = Printing()
    found = printing.data(data)
    sign = printing.first_sign
    meaning = _(
        "Signs like {sign} stand for characters that this file’s fonts lack: each is told by its number in Unicode.",
        sign=sign,
    )
    return {**found, "unprinted": meaning if sign else ""}


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
