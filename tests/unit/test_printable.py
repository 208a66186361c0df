"""Text for a PDF: typst itself is asked whether it shows what is kept, and lacks what is told by its number."""

from __future__ import annotations

import io
import json
import random
import re
import unicodedata
from collections.abc import Sequence

import pypdf
import pytest
import typst

from billing.founding.pdf import sheet_pdf
from billing.founding.sheet import Grid, Sheet, Words
from billing.statements import pdf
from billing.statements.pdf import paper_pdf
from billing.statements.printable import Printing
from billing.statements.year_paper import year_paper
from billing.tongue import speaking
from meter.refusal import Refusal
from tests.unit.test_papers import GOOD, PAPERS, words_of

TEMPLATE = b"""#set document(title: "t", date: none)
#set text(font: "Libertinus Serif")
#for one in json(bytes(sys.inputs.texts)) { par(one) }
"""
STYLED = TEMPLATE.replace(b"par(one)", b"par(text(weight: 600, one) + strong(one) + raw(one))")
NAMED = re.compile(r'the text `"(.*?)"` could not', re.DOTALL)
MEANINGS = {
    "en": "Signs like {} stand for characters that this file’s fonts lack: each is told by its number in Unicode.",
    "de": "Zeichen wie {} stehen für Schriftzeichen, die den Schriften dieser Datei fehlen: Jedes ist mit seiner Nummer in Unicode angegeben.",
    "es": "Signos como {} están en lugar de caracteres que faltan en las letras de este archivo: cada uno se indica con su número en Unicode.",
}


def printable(text: str) -> str:
    """As a PDF has it."""
    return Printing().text(text)


def lacked(texts: Sequence[str], template: bytes = TEMPLATE) -> set[str]:
    """The characters that typst says it cannot show."""
    try:
        typst.compile(
            template, sys_inputs={"texts": json.dumps(texts)}, ignore_system_fonts=True, format="pdf", pdf_standards="ua-1"
        )  # fmt: skip
    except typst.TypstError as error:
        told = NAMED.findall(error.diagnostic)
        if not told:
            raise
        return {character for one in told for character in unescaped(one)}
    return set()


def unescaped(told: str) -> str:
    """A text as typst quotes it."""
    named = {r"\n": "\n", r"\r": "\r", r"\t": "\t", r"\0": "\0", r"\"": '"', r"\\": "\\"}
    return named.get(told) or re.sub(r"\\u\{([0-9a-f]+)\}", lambda found: chr(int(found[1], 16)), told)


@pytest.mark.parametrize("first", [*range(0, 0x20000, 0x2000), 0x20000, 0xE0000, 0x10E000])
def test_what_typst_shows_is_kept_and_what_it_lacks_is_told_by_its_number(first: int) -> None:
    """Every character of the first two planes, and samples of others."""
    block = [chr(code) for code in range(first, first + 0x2000) if not 0xD800 <= code < 0xE000]
    kept = [one for one in block if printable(one) == one]
    assert set() == lacked(kept)
    replaced = sorted(set(block) - set(kept))
    assert replaced == [one for one in replaced if printable(one) == f"[U+{ord(one):04X}]"]
    # Marks alone, joiners and private characters say nothing; which others there are is as Unicode 3.2 had it.
    shown = set(replaced) - lacked(replaced)
    assert [] == sorted(one for one in shown if unicodedata.ucd_3_2_0.category(one)[0] not in "MC")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Grüße, ¿qué tal? Ærøskøbing 1.234,56 €", None),
        ("Владимир Ελλάδα שָׁלוֹם مُحَمَّد हिन्दी क्‍ष", None),
        ("Li Na (李娜)", "Li Na ([U+674E][U+5A1C])"),
        ("🌿", "[U+1F33F]"),
        ("✅ agreed", "[U+2705] agreed"),
        ("1️⃣ first", "1[U+20E3] first"),
        ("☑️ done", "☑ done"),
        ("👩\u200d👧", "[U+1F469][U+1F467]"),
        ("김 ไทย ሀ", "[U+AE40] [U+0E44][U+0E17][U+0E22] [U+1200]"),
        ("\x01\x00\x7f", "[U+0001][U+0000][U+007F]"),
        ("\ue000", "[U+E000]"),
        ("\ud800", "[U+D800]"),
        ("1\u0301 a\u20dd ב\u0591", "1[U+0301] a[U+20DD] ב[U+0591]"),
        ("two\nlines\tand\u2028more", None),
    ],
)
def test_a_character_is_kept_or_told_and_never_guessed(text: str, told: str | None) -> None:
    assert (text if told is None else told) == printable(text)
    assert set() == lacked([printable(text)], STYLED)


def test_whatever_is_mixed_can_be_shown_in_each_weight() -> None:
    seed = 20261127
    draw = random.Random(seed)
    kinds = (
        range(0x20, 0x250), range(0x300, 0x530), range(0x590, 0x700), range(0x900, 0x980), range(0xE80, 0xF00), range(0x1E00, 0x2070),
        range(0x200B, 0x2010), range(0xFE00, 0xFE10), range(0x20D0, 0x2C00), range(0x1F300, 0x1F700), range(0x4E00, 0x4F00),
    )  # fmt: skip
    texts = ["".join(chr(draw.choice(draw.choice(kinds))) for _ in range(8)) for _ in range(3000)]
    # Of one kind, too, where marks find their letters.
    texts += ["".join(map(chr, draw.choices(draw.choice(kinds[:5]), k=8))) for _ in range(3000)]
    shown = [printable(one) for one in texts]
    assert set() == lacked(shown, STYLED), f"seed {seed}"
    assert shown == [printable(one) for one in shown]


@pytest.mark.parametrize("language", ["en", "de", "es"])
def test_a_statement_with_any_characters_says_once_what_the_numbers_mean(language: str) -> None:
    document = GOOD | {
        "decision": GOOD["decision"] | {"text": "✅ Der Überschuss wird verteilt."},
        "member": GOOD["member"] | {"name": "Li Na (李娜)"},
    }
    with speaking(language):
        paper = year_paper(document, is_over=True)
    shown = words_of(paper)
    said = MEANINGS[language].format("[U+674E]")
    assert "Li Na ([U+674E][U+5A1C])" in shown
    assert "[U+2705] Der Überschuss" in shown
    assert (1, 0) == (shown.count(said), words_of(PAPERS["good"]).count("Unicode"))
    assert paper_pdf(paper) == paper_pdf(paper)


def test_a_founding_paper_with_any_characters_says_once_what_the_numbers_mean() -> None:
    blocks = (Words("run `weir 李` now"), Grid("c", ("Li Na (李娜)",), (("✅",),)))
    sheet = Sheet("1-list", "Title", "Co-op 🌿", blocks, "foot", "en")
    read = pypdf.PdfReader(io.BytesIO(sheet_pdf(sheet, dated_us=0)))
    shown = re.sub(r"\s+", " ", "".join(page.extract_text() for page in read.pages))
    assert [True] * 4 == [
        one in shown for one in ("Co-op [U+1F33F]", "weir [U+674E]", "([U+674E][U+5A1C])", "[U+2705]")
    ]
    assert 1 == shown.count(MEANINGS["en"].format("[U+1F33F]"))


def test_what_typst_makes_nothing_of_is_refused_in_a_sentence() -> None:
    with pytest.raises(
        Refusal, match=r"^no PDF can be made of this: panicked with: .*; its other forms say the same$"
    ):
        pdf.compiled(b'#panic("here")', {}, dated_us=0)
