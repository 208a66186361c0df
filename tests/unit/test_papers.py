"""Statements as papers: what the page and the PDF show, in good years and bad, and that a file made again is the same."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pypdf
import pytest

from billing.money import format_amount, format_number
from billing.pages import TEMPLATES, figure
from billing.statements import pdf
from billing.statements.month_paper import month_paper
from billing.statements.paper import SHADES, Paper, cut
from billing.statements.pdf import paper_pdf
from billing.statements.render import paper_html
from billing.statements.sheet import statement_csv
from billing.statements.year_paper import year_paper
from billing.tongue import speaking
from billing.year.inputs import Person, Use
from billing.year.outcome import Settlement, YearAllocation
from billing.year_lines import YearLine
from billing.year_statement import FINAL, year_statement
from meter.refusal import Refusal
from tests.unit.test_statement import CASES

PAGE: dict[str, Any] = {
    "currency": "EUR", "fiscal_year": 2026, "first_month": "2026-01", "last_month": "2026-12", "rule_set": "us-selc",
    "lines": 412, "costs": {"transit": 150_000, "disks-and-power": 80_000}, "side_income": {"income:interest": 2_000},
    "result": "1220.00", "pool": "915.00", "accounts": {"collective:main": "305.00"},
    "class_pools": {"user": "732.00"}, "measures": {"user": "300000"}, "digest": "ab" * 32,
    "steps": [{"key": "non_member", "name": "business with others", "formula": "goes to the collective account", "amount": "171.43"}],
}  # fmt: skip
LOSS = PAGE | {
    "result": "-250.00", "pool": "-187.50", "accounts": {"collective:main": "-62.50"}, "class_pools": {"user": "-187.50"},
}  # fmt: skip
CAPITAL = [
    {"words": "2024", "opening_minor": 41_250, "added_minor": 0, "taken_minor": 0, "paid_back_minor": 20_000,
     "closing_minor": 21_250},
    {"words": "2025", "opening_minor": 12_345, "added_minor": 0, "taken_minor": 345, "paid_back_minor": 0,
     "closing_minor": 12_000},
    {"words": "2026", "opening_minor": 0, "added_minor": 25_831, "taken_minor": 0, "paid_back_minor": 0,
     "closing_minor": 25_831},
]  # fmt: skip
COMPARED = {
    "providers": [
        {"id": "r2", "provider": "Cloudflare R2", "region": "everywhere", "currency": "USD", "dated": "2026",
         "link": "", "amount_minor": 98_765, "missing": []}
    ],
    "not_compared": "These are list prices.",
}  # fmt: skip


def line(amount: int, *, name: str = "anna", charges: int = 151_237) -> YearLine:
    """A member's line who was allocated so much, 30 % of a gain in cash."""
    cash = -(-max(amount, 0) * 30 // 100)
    shares: tuple[YearAllocation, ...] = ()
    settled = None
    if amount:
        shares = (YearAllocation(name, "user", Fraction(charges), amount, cash, amount - cash, 0, 0),)
        settled = Settlement(name, amount, cash, amount - cash, 0, 0, 0, 0, 0, cash)
    person = Person(name, 7, joined="2024-01-01")
    return YearLine(7, name, (Use(name, "user", charges),), person, (), shares, settled, 0, "{}")


def told(page: dict[str, Any], own: YearLine, **more: Any) -> dict[str, Any]:
    """The whole document of a closed year."""
    document = year_statement(page, own, kind=FINAL, resolution="2027-1", closed_us=1_800_000_000_000_000)
    used = {
        "months": 12, "bytes_out": 1_512_370_000_000, "bytes_in": 0, "requests_a": 0, "requests_b": 5,
        "byte_microseconds": 0,
    }  # fmt: skip
    decision = {
        "id": "2027-1", "body": "meeting", "decided_on": "2027-01-01", "text": "as drafted",
        "votes": {"in_favour": 211, "against": 3, "abstained": 9},
    }  # fmt: skip
    return document | {"used": used, "capital": CAPITAL, "compared": COMPARED, "decision": decision} | more


GOOD = told(PAGE, line(36_902))
BAD = told(LOSS, line(-9_452))
NOTHING = told(PAGE, line(0, charges=0), capital=[])
YEARS = {"good": GOOD, "bad": BAD, "nothing": NOTHING}
PAPERS = {name: year_paper(document, is_over=True) for name, document in YEARS.items()} | {
    f"month-{name}": month_paper(document) for name, document in CASES.items()
}


def words_of(paper: Paper) -> str:
    """All that a PDF says, as a reader takes it out."""
    pages = pypdf.PdfReader(io.BytesIO(paper_pdf(paper))).pages
    return re.sub(r"\s+", " ", " ".join(page.extract_text() for page in pages))


def figures(document: Any, currency: str) -> Iterator[str]:
    """Every amount of a document that is not nothing, as it is told."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key.endswith("_minor") and value:
                yield format_number(abs(value), document.get("currency", currency))
            else:
                yield from figures(value, document.get("currency", currency))
    elif isinstance(document, list):
        for one in document:
            yield from figures(one, currency)


@pytest.mark.parametrize("name", PAPERS)
def test_a_pdf_made_again_is_the_same_byte_for_byte(name: str) -> None:
    assert paper_pdf(PAPERS[name]) == paper_pdf(PAPERS[name])


def test_a_pdf_bears_the_end_of_its_period_as_its_date() -> None:
    """Whenever it is made: two made in the same second would be equal with the clock in them, too."""
    reader = pypdf.PdfReader(io.BytesIO(paper_pdf(PAPERS["good"])))
    assert reader.metadata is not None
    dates = (reader.metadata.creation_date, reader.metadata.modification_date)
    assert [datetime(2027, 1, 1, tzinfo=UTC)] * 2 == [one and one.astimezone(UTC) for one in dates]


@pytest.mark.parametrize("name", PAPERS)
def test_a_pdf_is_for_screen_readers_and_says_so(name: str) -> None:
    reader = pypdf.PdfReader(io.BytesIO(paper_pdf(PAPERS[name])))
    metadata = reader.xmp_metadata
    assert metadata is not None
    assert "<pdfuaid:part>1</pdfuaid:part>" in metadata.stream.get_data().decode()
    root = reader.trailer["/Root"]
    assert (True, "en", True) == (root["/MarkInfo"]["/Marked"], root["/Lang"], "/StructTreeRoot" in root)


@pytest.mark.parametrize("name", YEARS)
def test_the_pdf_of_a_year_says_every_figure_of_the_document(name: str) -> None:
    document = YEARS[name]
    shown = words_of(PAPERS[name])
    # What a member's part of a class is in cash and kept stands summed over classes; it is in the settlement.
    wanted = set(figures({key: value for key, value in document.items() if key != "shares"}, "EUR"))
    wanted |= {share["exact"] for share in document["shares"]}
    for named in ("costs", "side_income", "accounts"):
        wanted |= {format_number(abs(amount), "EUR") for amount in document["co_op"][named].values()}
    assert [] == sorted(figure for figure in wanted if figure not in shown)
    assert document["digest"] in shown
    assert "This is not a bill and not a cheque." in shown


@pytest.mark.parametrize("name", CASES)
def test_the_pdf_of_a_month_says_every_figure_of_the_document(name: str) -> None:
    document, shown = CASES[name], words_of(PAPERS[f"month-{name}"])
    costs = document["co_op"]["costs"]  # type: ignore[index]
    wanted = set(figures({"lines": document["lines"], "charges_minor": document["charges_minor"]}, "EUR"))
    wanted |= {format_number(amount, "EUR") for amount in costs.values()}
    wanted |= {one["quantity_text"] for one in document["lines"]}  # type: ignore[attr-defined]
    assert [] == sorted(figure for figure in wanted if figure not in shown)


def test_a_good_year_has_four_boxes_and_three_below_and_they_add_up() -> None:
    """369.02, of which 30 % rounded up are 110.71; the co-op's 1,220.00 less the pool of 915.00 are everyone's."""
    paper = PAPERS["good"]
    assert [
        ("You used", "about 1.51 TB"), ("It cost all of us", "2,300.00 EUR"), ("You were charged", "1,512.37 EUR"),
        ("Comes back to you", "369.02 EUR"),
    ] == [(box.words, box.figure) for box in paper.boxes]  # fmt: skip
    assert [
        ("To be paid to you", "110.71 EUR"), ("Kept in your name", "258.31 EUR"), ("Everyone’s", "305.00 EUR"),
    ] == [(box.words, box.figure) for box in paper.below]  # fmt: skip


def test_the_picture_of_one_euro_is_all_that_came_in_and_never_rounded_to_something_untrue() -> None:
    """Of 3,520.00: 1,500.00 are 42.6136… of every 100; 915.00 are 25.9943…; what goes on is cut and says so."""
    paper = PAPERS["good"]
    assert paper.picture is not None
    assert [
        ("cost: transit", 150_000, "42.6…"), ("cost: disks and power", 80_000, "22.7…"),
        ("shared among the members", 91_500, "25.9…"), ("everyone’s: reserves and funds", 30_500, "8.6…"),
    ] == [(part.words, part.amount_minor, part.cents) for part in paper.picture.parts]  # fmt: skip
    page = paper_html(paper)
    assert '<title id="whole-title">All that came in in 2026, and where it goes</title>' in page
    assert "3. " not in page  # numbers come from the list, and stand in the bar
    assert ">3</text>" in page


MIXED = PAGE | {
    "pool": "800.00", "accounts": {"collective:main": "100.00", "reserve:compulsory": "70.00", "fund:education": "30.00",
                                   "interest:shares": "20.00", "loss:carried": "200.00"},
    "class_pools": {"user": "800.00"},
}  # fmt: skip


def test_interest_on_shares_and_what_meets_earlier_losses_are_not_everyones() -> None:
    """1,220.00: 800.00 shared; 100.00 + 70.00 + 30.00 in nobody's name; 20.00 of interest; 200.00 meet losses."""
    paper = year_paper(told(MIXED, line(30_000)), is_over=True)
    assert [("Everyone’s", "200.00 EUR"), ("Meets earlier losses", "200.00 EUR")] == [
        (box.words, box.figure) for box in paper.below[-2:]
    ]
    assert paper.picture is not None
    assert [
        ("shared among the members", 80_000), ("everyone’s: reserves and funds", 20_000),
        ("interest on share capital", 2_000), ("meets losses of earlier years", 20_000),
    ] == [(part.words, part.amount_minor) for part in paper.picture.parts[2:]]  # fmt: skip
    assert 352_000 == sum(part.amount_minor for part in paper.picture.parts)


def test_a_year_closed_in_an_earlier_format_keeps_its_boxes_and_its_picture() -> None:
    paper = year_paper(told(MIXED, line(30_000)) | {"format": "weir-year-statement-2"}, is_over=True)
    assert ("Everyone’s", "420.00 EUR") == (paper.below[-1].words, paper.below[-1].figure)
    assert paper.picture is not None
    assert ("everyone’s: reserves and funds", 42_000) == (
        paper.picture.parts[-1].words, paper.picture.parts[-1].amount_minor,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("told_as", "beginning"),
    [
        (
            "weir-year-statement-3",
            "Nothing is shared of this year: what is left over meets losses of earlier years",
        ),
        ("weir-year-statement-2", "No part of the year's result is yours: shares follow use and work"),
    ],
)
def test_nothing_shared_for_earlier_losses_is_said_to_be_for_them(told_as: str, beginning: str) -> None:
    page = PAGE | {"pool": "0.00", "accounts": {"loss:carried": "1220.00"}, "class_pools": {"user": "0.00"}}
    document = year_statement(page, line(0), kind=FINAL, resolution="2027-1", closed_us=0, told_as=told_as)
    assert document["meaning"].startswith(beginning)


def test_the_parts_of_the_picture_fill_it_exactly_whatever_its_width() -> None:
    """Parts of a page's width, in decimals without an end cut off: each begins where the one before ends."""
    parts = cut([("a", "out", 1), ("b", "out-2", 300), ("c", "back", 699)], of_minor=1000)
    begins = [Decimal(one.left.removesuffix("%")) for one in parts]
    wide = [Decimal(one.across.removesuffix("%")) for one in parts]
    # 4 and 192 of 640: 3 each so that it can be seen, and of the other 631 a thousandth, at least 1, and 300 of them.
    assert ["0", "0.625", "30.625"] == [str(one) for one in begins]
    assert [*begins[1:], Decimal(100)] == [at + across for at, across in zip(begins, wide, strict=True)]
    assert [at + across / 2 for at, across in zip(begins, wide, strict=True)] == [
        Decimal(one.middle.removesuffix("%")) for one in parts
    ]


def test_in_the_picture_neighbours_are_told_apart_by_a_texture_and_not_by_a_shade_alone() -> None:
    """Two teals beside each other look the same to many; a texture that is named must be there, in page and key."""
    shades = [SHADES[place % len(SHADES)] for place in range(7)]
    parts = cut([(kind, kind, 100) for kind in [*shades, "back", "in"]], of_minor=900)
    texture = [one.kind if one.is_textured else "" for one in parts]
    assert ["", "out-2", "out-3", "", "out-2", "out-3", "", "back", ""] == texture
    assert all(one != after for one, after in itertools.pairwise(texture))
    paper = PAPERS["good"]
    assert paper.picture is not None
    page = paper_html(replace(paper, picture=replace(paper.picture, parts=parts)))
    style = TEMPLATES.parent.joinpath("static", "style.css").read_text("utf-8")
    for kind in {one for one in texture if one}:
        assert 1 == page.count(f'<pattern id="texture-{kind}"')
        assert texture.count(kind) == page.count(f'fill="url(#texture-{kind})"')
        assert re.search(rf"\.key\.{kind} {{ background[^}}]*gradient", style)


def test_a_loss_says_who_bears_it_and_asks_for_nothing() -> None:
    paper = PAPERS["bad"]
    assert ("Your part of the loss", "94.52 EUR", "met from coming years, never billed") == (
        paper.boxes[-1].words, paper.boxes[-1].figure, paper.boxes[-1].note,
    )  # fmt: skip
    assert () == paper.below
    assert "What was missing, and who bears it" in [one.heading for one in paper.sections]
    assert "comes back" not in words_of(paper).lower()


def test_the_capital_account_goes_year_by_year_and_adds_up() -> None:
    """412.50 + 123.45 before, 258.31 added, 3.45 taken, 200.00 paid back: 590.81."""
    (section,) = [one for one in PAPERS["good"].sections if one.heading == "Your capital account"]
    assert section.table is not None
    assert ("2024", "412.50", "0.00", "0.00", "200.00", "212.50") == section.table.rows[0]
    assert ("All years", "535.95", "258.31", "3.45", "200.00", "590.81") == section.table.foot
    assert "not promised" in section.after


def test_who_holds_nothing_is_told_so_in_a_sentence() -> None:
    (section,) = [one for one in PAPERS["nothing"].sections if one.heading == "Your capital account"]
    assert ([("Nothing is kept in your name.",)], None) == (section.paragraphs, section.table)


def prices(**told: str) -> dict[str, Any]:
    """The good year, compared with one list of prices."""
    one = COMPARED["providers"][0] | told  # type: ignore[index]
    return GOOD | {"compared": COMPARED | {"providers": [one]}}


def row_of(paper: Paper, heading: str) -> tuple[str, ...]:
    (section,) = [one for one in paper.sections if one.heading == heading]
    assert section.table is not None
    return section.table.rows[0]


@pytest.mark.parametrize(
    ("link", "dated", "words"),
    [
        ("https://www.example.org/r2?x=1", "2026-04", "example.org, as of 2026-04"),
        ("https://docs.example.org", "", "docs.example.org, undated"),
        ("", "2026", "as of 2026"),
        ("", "", "undated"),
        ("javascript:alert(1)", "2026", "as of 2026"),
        ("https://bank.example@evil.example/", "2026", "as of 2026"),
    ],
)
def test_list_prices_are_told_with_their_source_and_date_and_lead_to_it(
    link: str, dated: str, words: str
) -> None:
    paper = year_paper(prices(link=link, dated=dated), is_over=True)
    assert ("Cloudflare R2", "everywhere", words, "987.65 USD") == row_of(paper, "Compared with list prices")
    is_link = words.startswith(("example", "docs"))
    page = paper_html(paper)
    assert is_link == (f'<a href="{link}" rel="noreferrer">{words}</a></td>' in page)
    assert is_link == ("<a " in page)
    found = [
        note.get_object()["/A"]["/URI"]
        for leaf in pypdf.PdfReader(io.BytesIO(paper_pdf(paper))).pages
        for note in leaf.get("/Annots", [])
    ]
    assert [link] * is_link == found
    assert words in words_of(paper)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("de", ["hereingekommen: Zinsen", "hereingekommen: andere Erträge", "Deutschland und Finnland", "ohne Datum"]),
        ("es", ["entró: intereses", "entró: otros ingresos", "Alemania y Finlandia", "sin fecha"]),
    ],
)  # fmt: skip
def test_income_and_regions_are_told_in_the_reader_s_language(language: str, words: list[str]) -> None:
    page = PAGE | {"side_income": {"income:interest": 2_000, "income:other": 100, "income:river-fees": 7}}
    compared = COMPARED["providers"][0] | {"region": "Germany and Finland", "dated": ""}  # type: ignore[index]
    with speaking(language):
        document = told(page, line(36_902)) | {"compared": COMPARED | {"providers": [compared]}}
        shown = paper_html(year_paper(document, is_over=True))
    assert [] == [one for one in words if one not in shown]
    # A kind that nobody foresaw keeps its name.
    assert "river fees</th>" in shown


def test_what_somebody_wrote_is_never_markup() -> None:
    evil = '#panic("x") $x$ <script>alert(1)</script> *bold* @ref'
    decision = GOOD["decision"] | {"text": evil}
    paper = year_paper(GOOD | {"decision": decision}, is_over=True)
    assert '#panic("x") $x$ <script>alert(1)</script> *bold* @ref' in words_of(paper).replace("“", '"')
    page = paper_html(paper)
    assert ("<script>" in page, "&lt;script&gt;" in page) == (False, True)


def test_a_cell_that_would_be_a_formula_is_text() -> None:
    document = GOOD | {"member": GOOD["member"] | {"name": "=HYPERLINK(1)"}}
    text = statement_csv(document)
    assert text.startswith("\ufeffpart,what,quantity,amount_minor,currency,amount\r\n")
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    assert ["statement", "member", "'=HYPERLINK(1)", "", "", ""] in rows
    assert ["yours", "allocated to you", "", "36902", "EUR", "369.02"] in rows
    assert ["used", "bytes_out", "1512370000000", "", "", ""] in rows


@pytest.mark.parametrize("name", YEARS)
def test_the_sheet_of_a_year_adds_up_by_itself(name: str) -> None:
    """All charges and other income less the costs are the result; the members' part and the accounts sum to it."""
    text = statement_csv(YEARS[name]).removeprefix("\ufeff")
    rows = {
        what: int(minor) for part, what, _, minor, *_ in csv.reader(io.StringIO(text)) if part == "all of us"
    }
    costs = sum(minor for what, minor in rows.items() if what.startswith("cost of "))
    result, shared = {"bad": (-25_000, -18_750)}.get(name, (122_000, 91_500))
    # 3,500.00 were charged in the good year; 20.00 are interest, and 2,300.00 it cost.
    assert ({"bad": 203_000}.get(name, 350_000), 2_000, 230_000, result) == (
        rows["charges"], rows["income:interest"], costs, rows["result"],
    )  # fmt: skip
    assert result == rows["charges"] + rows["income:interest"] - costs
    assert (shared, result) == (
        rows["members' part of the result"], rows["members' part of the result"] + rows["collective:main"],
    )  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_sheet_of_a_month_adds_up_by_itself(name: str) -> None:
    """What everybody was charged less the costs is the result."""
    text = statement_csv(CASES[name]).removeprefix("\ufeff")
    rows = [
        (what, int(minor))
        for part, what, _, minor, *_ in csv.reader(io.StringIO(text))
        if part == "all of us"
    ]
    assert ("charges", "result") == (rows[0][0], rows[-1][0])
    costs = sum(minor for what, minor in rows if what.startswith("cost of "))
    assert rows[-1][1] == rows[0][1] - costs
    assert 2 == len([what for what, _ in rows if not what.startswith("cost of ")])


def test_without_typst_it_is_said_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "IS_THERE", False)
    with pytest.raises(Refusal, match="install Weir with its extra `pdf`, or print the page"):
        paper_pdf(PAPERS["good"])


def test_amounts_of_the_page_are_those_of_the_document() -> None:
    page = paper_html(PAPERS["good"])
    for amount in (36_902, 11_071, 25_831, 30_500, 230_000):
        assert f">{figure(format_amount(amount, 'EUR'))}<" in page
