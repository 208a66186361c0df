"""Founding papers in the founders' language: nothing English is left, each law's terms are there, the PDF says its language.

The texts of two countries in their own language are kept in tests/golden/billing.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pypdf
import pytest

from billing.founding.papers import Place, papers, resolution_text
from billing.founding.pdf import sheet_pdf
from billing.founding.sheet import Block, Grid, Heading, Points, Sheet, Words, markdown
from billing.register.forms import LAW_OF_RULE_SET, form_of, register_document
from billing.register.operations import ShareKind
from billing.register.particulars import Particulars
from billing.rules.book import rule_set_ids
from billing.rules.founding import helpers
from billing.tongue import LANGUAGES, SOURCE, phrase, speaking, spoken
from deploy.found.asking import language_of_terminal
from deploy.found.papers import place_of
from meter.ids import MemberId
from tests.founding_kit import NOW_US, answers, founders
from tests.register_kit import KINDS, USER, WORKER, Book, at

GOLDEN = Path(__file__).parents[1].joinpath("golden", "billing")
OTHERS = [one for one in LANGUAGES if one != SOURCE]
FOUNDERS = founders({}, {"class": "worker"})
ANSWERS: dict[str, Any] = {
    "founder": FOUNDERS, "meeting": {"place": "Lindenstraße 4"}, "cost": [{"what": "Xyz 1", "a_month": "1512.37"}],
    "begin": "2026-12", "fiscal_year_begins": 7,
}  # fmt: skip
NAMES = (
    "Linden Hosting", "Anna Adams", "Ben Brook", "Carla Cruz", "Lindenstraße 4", "Xyz 1", "notices, statements", "anna@example.org", "BFH I R 37/06",
    # Others' own names and terms of their law, which have no translation or stand in brackets behind it.
    "Sustainable Economies Law Center", "International Co-operative Alliance", "Canada Cooperatives Act", "Cooperatives Act",
    "Corporations Canada", "Secretary of State", "co-operative corporation", "bona fide co-operative society",
    "employer identification number", "California Corporations Code", "Bank of England", "Federal Reserve",
    "atto costitutivo", "albo delle società cooperative", "buoni postali fruttiferi", "fondi mutualistici",
    "fondo de reserva obligatorio", "interés legal del dinero", "libros registro de socios y de aportaciones al capital",
    "registre des membres", "riserva legale", "réserve légale", "réserve statutaire", "eingetragene Genossenschaft",
    "società cooperativa", "Sociedad Cooperativa o S. Coop", "Sociedad Cooperativa or S. Coop", "escritura pública",
    "consejo rector", "registered society", "Ley 27/1999 de Cooperativas", "SELC sample by-laws", "Codice civile",
)  # fmt: skip
SAME = {"Name", "Status", "No"}
"""Single words that are the same in two of the languages."""
WORD = re.compile(r"[^\W\d_]+")
RUN = 3
"""So many English words in a row are a part of a sentence."""


def kinds() -> dict[str, ShareKind]:
    """Those of members alone, as a founding makes them."""
    return {name: one for name, one in KINDS.items() if not one.is_investment}


def register(law: str) -> dict[str, Any]:
    """What three founders subscribed, and a correction, a transfer and a leaving, so that each kind of entry is told."""
    book = Book()
    book.join(1, "2026-11-26", USER)
    book.join(2, "2026-11-26", USER, WORKER)
    book.join(3, "2026-11-26", USER)
    book.hold(1, "2026-11-26", 2, 12800)
    book.hold(2, "2026-11-26", 1, 0)
    book.enter("transfer", 1, "2026-11-27", share_kind="member", quantity=1, amount_minor=6400, counterpart=3)
    slip = book.enter("subscription", 2, "2026-11-27", share_kind="member", quantity=9)
    book.enter("correction", 2, "2026-11-27", corrects=slip.number, share_kind="member")
    told = {
        MemberId(1): Particulars("Anna Adams", "Lindenstraße 4", "anna@example.org", "notices, statements")
    }
    names = {MemberId(1): "Anna Adams", MemberId(2): "Ben Brook", MemberId(3): "Carla Cruz"}
    balances = {"debt:member:1": 990, "payable:member:1": 100, "capital:member:2:2026:plain": 5}
    document: dict[str, Any] = register_document(
        form_of(law), book.operations, kinds(), told, names, balances, at_us=at("2026-12-31")
    )
    return document


@cache
def sheets(identity: str, language: str) -> tuple[Sheet, ...]:
    with speaking(language):
        form = register(LAW_OF_RULE_SET.get(identity, "plain"))
    told = answers(**ANSWERS, rule_set=identity, language=language)
    return papers(told, place_of(identity), form, resolution="2026-1")


def texts(sheet: Sheet) -> Iterator[str]:
    """All that a reader sees but for sources and links, which are citations."""
    yield from (sheet.title, sheet.foot)
    for block in sheet.blocks:
        yield from _texts(block)


def _texts(block: Block) -> Iterator[str]:
    match block:
        case Heading(text) | Words(text):
            yield text
        case Points(points):
            yield from (one.text for one in points)
        case Grid(caption, heads, rows):
            yield from (caption, *heads, *(cell for row in rows for cell in row))


def bare(text: str, place: Place) -> str:
    """Without commands, names and citations."""
    cited = [one.source for one in (*place.founding.of_the_place, *place.founding.everywhere)]
    cited += [one.source for one in place.after.deadlines] + [place.rules.law, place.founding.founders_source]
    cited += [form_of(LAW_OF_RULE_SET.get(place.rules.id, "plain")).source, place.rules.id]
    cited += [one.name for one in helpers()]
    text = re.sub(r"`[^`]*`|\[class_weights\]|voluntary_reserve|https?://\S+", "|", text)
    for one in sorted((*NAMES, *filter(None, cited)), key=len, reverse=True):
        text = re.sub(
            rf"(?<!\w){re.escape(one.replace('(unchecked)', '').strip())}(?!\w)",
            "|",
            text,
            flags=re.IGNORECASE,
        )
    return text


def runs(text: str) -> set[tuple[str, ...]]:
    """Every few words in a row, in small letters; nothing runs over what was taken out."""
    found = set()
    for part in text.casefold().split("|"):
        words = WORD.findall(part)
        found |= {tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)}
    return found


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("identity", rule_set_ids())
def test_no_english_sentence_and_no_part_of_one_is_left(identity: str, language: str) -> None:
    place = place_of(identity)
    pairs = list(zip(sheets(identity, SOURCE), sheets(identity, language), strict=True))
    assert 5 == len(pairs)
    english = {bare(text, place).strip() for one, _ in pairs for text in texts(one)}
    parts = set[tuple[str, ...]]().union(*(runs(text) for text in english))
    assert len(parts) > 500, "the English papers were read"
    for _, told in pairs:
        for text in texts(told):
            rest = bare(text, place).strip()
            assert rest not in english or not set(WORD.findall(rest)) - SAME - {"EUR", "GB"} - own_words(), (
                text
            )
            assert not runs(rest) & parts, (text, runs(rest) & parts)


def own_words() -> set[str]:
    """Identifiers that stand as they are."""
    return {"anna", "ben", "carla", "member", "example", "org"}


@pytest.mark.parametrize("identity", rule_set_ids())
def test_each_language_has_the_same_papers_with_the_same_shape(identity: str) -> None:
    """Nobody loses a point, a row or a command by reading in their language."""

    def shape(sheet: Sheet) -> list[object]:
        commands = [sorted(re.findall(r"`[^`]*`", text)) for text in texts(sheet)]
        return [sheet.name, [type(one).__name__ for one in sheet.blocks], commands]

    for language in OTHERS:
        assert [shape(one) for one in sheets(identity, SOURCE)] == [
            shape(one) for one in sheets(identity, language)
        ]


@pytest.mark.parametrize(
    ("language", "identity", "words"),
    [
        ("de", "de-eg", ("Geschäftsanteil", "Geschäftsguthaben", "gesetzliche Rücklage", "Rückvergütung", "Generalversammlung",
                         "Vorstand", "Aufsichtsrat", "Mitgliederliste", "Prüfungsverband", "keine Rechtsberatung", "Entwurf")),
        ("es", "es", ("retorno cooperativo", "fondo de reserva obligatorio", "Fondo de educación y promoción", "capital social",
                      "asamblea general", "consejo rector", "Libros registro de socios", "asesoramiento jurídico", "borrador")),
    ],
)  # fmt: skip
def test_the_papers_of_a_place_have_the_words_of_its_law(
    language: str, identity: str, words: tuple[str, ...]
) -> None:
    """Genossenschaftsgesetz §§ 4, 7, 9, 19, 24, 30, 43, 54; Ley 27/1999, arts. 20, 32, 45, 55, 56, 58, 60."""
    told = "\n".join(markdown(one) for one in sheets(identity, language))
    assert [] == [one for one in words if one not in told]


@pytest.mark.parametrize(("language", "identity"), [("de", "de-eg"), ("es", "es")])
def test_the_papers_of_a_place_in_its_language_are_the_golden_ones(language: str, identity: str) -> None:
    """Made anew by deleting the file and looking at what was made."""
    made = "\n".join(markdown(one) for one in sheets(identity, language))
    path = GOLDEN.joinpath(f"founding-{identity}-{language}.md")
    if not path.exists():
        path.write_text(made, "utf-8")
        pytest.fail(f"{path.name} was missing and is made now: read it")
    assert path.read_text("utf-8") == made


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_pdf_says_its_language_and_made_again_is_the_same(language: str) -> None:
    pages = {"en": "page 1 of ", "de": "Seite 1 von ", "es": "página 1 de "}[language]
    for one in sheets("de-eg", language):
        content = sheet_pdf(one, dated_us=NOW_US)
        assert content == sheet_pdf(one, dated_us=NOW_US)
        read = pypdf.PdfReader(io.BytesIO(content))
        assert language == read.trailer["/Root"]["/Lang"]
        metadata = read.xmp_metadata
        assert metadata is not None
        assert "<pdfuaid:part>1</pdfuaid:part>" in metadata.stream.get_data().decode()
        assert pages + str(len(read.pages)) in read.pages[0].extract_text()


@pytest.mark.parametrize(
    ("language", "amount", "day", "month", "percent"),
    [
        ("en", "1,512.37 EUR", "2026-11-26", "2026-12", "20 %"),
        ("de", "1.512,37\N{NO-BREAK SPACE}EUR", "26.11.2026", "Dezember 2026", "20\N{NO-BREAK SPACE}%"),
        ("es", "1.512,37\N{NO-BREAK SPACE}EUR", "26 nov 2026", "diciembre de 2026", "20\N{NO-BREAK SPACE}%"),
    ],
)
def test_figures_are_written_as_the_language_writes_them(
    language: str, amount: str, day: str, month: str, percent: str
) -> None:
    _checklist, clauses, minutes, _register, budget = (markdown(one) for one in sheets("es", language))
    assert (True, True, True, True) == (
        amount in budget,
        day in minutes,
        month in minutes,
        percent in clauses,
    )


def test_the_resolution_is_told_in_the_language_of_the_minutes_and_nothing_else_is_left_spoken() -> None:
    told = answers(**ANSWERS, rule_set="de-eg", language="de")
    with speaking("de"):
        text = resolution_text(told, place_of("de-eg").rules)
    assert text.startswith("Linden Hosting ist gegründet.")
    assert Words(text) in sheets("de-eg", "de")[2].blocks
    assert SOURCE == spoken()


def test_words_of_a_rule_set_are_told_to_members_too() -> None:
    with speaking("es"):
        assert "fondo de educación y promoción" == phrase("education and promotion fund")


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "de_DE.UTF-8"}, "de"),
        ({"LANG": "es"}, "es"),
        ({"LANG": "de@euro"}, "de"),
        ({"LANG": "fr_FR.UTF-8"}, None),
        ({"LANG": "C.UTF-8"}, None),
        ({}, None),
        ({"LC_ALL": "", "LANG": "DE_at"}, "de"),
        ({"LC_ALL": "es_ES.UTF-8", "LC_MESSAGES": "de_DE", "LANG": "en_GB"}, "es"),
        ({"LC_MESSAGES": "C", "LANG": "de_DE"}, None),
    ],
)
def test_the_language_a_terminal_is_set_to(environment: dict[str, str], language: str | None) -> None:
    assert language == language_of_terminal(environment)


def test_whose_address_is_missing_has_a_row_to_fill_it_in() -> None:
    """Anna's is known and Ben's and Carla's are not; Genossenschaftsgesetz § 30(2) Nr. 1 asks for it."""
    told = markdown(sheets("de-eg", "en")[3])
    rows = [row for row in told.splitlines() if row.startswith("| ") and "address" in row.lower()]
    assert (3, 1) == (len(rows), sum("Lindenstraße 4" in row for row in rows)), rows
