"""The page of terms in three languages, held to what the catalogues really say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from billing.tongue import LANGUAGES, SOURCE, read_catalogue

PAGE = Path(__file__).parents[2].joinpath("docs", "glossary.md")
COLUMNS = ("en", "de", "es")


def terms() -> list[dict[str, str]]:
    """The rows of the page's table of terms."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith("| ") and not line.startswith("| English") and not line.startswith("|--")
    ]
    return [dict(zip(COLUMNS, row, strict=False)) for row in rows]


def plain(text: str) -> str:
    """As a whole word is looked for: small letters, one kind of blank, no names of places."""
    return re.sub(r"\s+", " ", re.sub(r"%\(\w+\)s|\{\w+\}", "", text).lower())


def said(text: str, term: str) -> bool:
    """Whether a text has one of a term's forms, as the page gives them: 'key, keys'."""
    return any(
        re.search(rf"(?<!\w){re.escape(plain(one.strip()))}(?!\w)", plain(text)) for one in term.split(",")
    )


def test_the_page_has_the_terms_that_members_misread() -> None:
    listed = {row["en"].split(",")[0] for row in terms()}
    assert {"patronage", "retained patronage", "allocated", "surplus", "reserve", "capital account"} <= listed


@pytest.mark.parametrize("language", [one for one in LANGUAGES if one != SOURCE])
def test_the_catalogues_say_the_terms_of_the_page(language: str) -> None:
    """Each term stands in some sentence of the source, and most of those say the page's word for it."""
    for row in terms():
        pairs = [
            (one.id, one.string)
            for one in read_catalogue(language)
            if isinstance(one.id, str) and one.id and said(one.id, row["en"])
        ]
        assert pairs, row
        agreed = [told for _, told in pairs if said(str(told), row[language])]
        assert 3 * len(agreed) >= 2 * len(pairs), (row, [one for one in pairs if one[1] not in agreed])
