"""The register as each law wants it printed; the texts are kept in tests/golden/billing."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from billing.register.forms import FORMS, form_of, register_document
from billing.register.particulars import Particulars, changed
from billing.register.render import register_csv, register_html, register_text
from billing.tongue import speaking
from meter.ids import MemberId
from meter.refusal import Refusal
from tests.register_kit import CUSTOMER, KINDS, SUPPORTER, USER, WORKER, Book, at

GOLDEN = Path(__file__).parents[1].joinpath("golden", "billing")
TOLD = {
    MemberId(1): Particulars(
        "Anna Adams", "1 High Street, Bath BA1 1AA", "anna@example.org", "notices, statements"
    ),
    MemberId(2): Particulars("Ben <b>Bold</b> & Sons", "=cmd|' /C calc'!A0", "", ""),
    MemberId(5): Particulars("Quartier e. V.", "Am Deich 3, 20457 Hamburg", "", ""),
}
NAMES = {MemberId(n): name for n, name in enumerate(("anna", "ben", "carla", "dora", "quartier"), 1)}
BALANCES = {
    "capital:member:1:2025:plain": 12345, "retained:member:1": 55, "debt:member:3": 990, "payable:member:1": 100,
    "shares:member:1": 19200, "payable:suppliers": 4,
}  # fmt: skip


def a_co_op() -> Book:
    """A member with shares of two kinds, one who left, a worker, a customer, an investor; one slip corrected."""
    book = Book()
    book.join(1, "2026-01-02", USER)
    book.join(2, "2026-01-03", USER, WORKER)
    book.join(3, "2026-01-04", USER)
    book.enter("customer", 4, "2026-01-05", classes=(CUSTOMER,))
    book.join(5, "2026-02-01", SUPPORTER)
    book.hold(1, "2026-02-10", 3, 19200)
    book.hold(3, "2026-02-11", 1, 6400)
    book.hold(2, "2026-02-12", 2, 6400)
    book.hold(5, "2026-03-01", 5, 50000, "support")
    book.hold(1, "2026-03-02", 1, 10000, "support")
    book.enter("transfer", 3, "2026-04-01", share_kind="member", quantity=1, amount_minor=6400, counterpart=2)
    slip = book.enter("subscription", 1, "2026-04-05", share_kind="member", quantity=9)
    book.enter("correction", 1, "2026-04-05", corrects=slip.number, share_kind="member")
    book.enter("redemption", 1, "2026-05-01", share_kind="support", quantity=1, amount_minor=10000, entry=99)
    book.enter("leave", 3, "2026-06-30")
    return book


def document(law: str, day: str = "2026-12-31") -> dict[str, object]:
    told = register_document(form_of(law), a_co_op().operations, KINDS, TOLD, NAMES, BALANCES, at_us=at(day))
    assert told == json.loads(json.dumps(told))
    return told


def kept(name: str, made: str) -> str:
    """The golden text; made anew by deleting the file and looking at what was made."""
    path = GOLDEN.joinpath(name)
    if not path.exists():
        path.write_text(made, "utf-8", newline="")
        pytest.fail(f"{name} was missing and is made now: read it")
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


@pytest.mark.parametrize("law", FORMS)
def test_each_law_s_form_is_the_golden_one(law: str) -> None:
    made = register_text(document(law))
    assert kept(f"register-{law}.txt", made) == made
    assert max(len(line) for line in made.splitlines()) <= 80


@pytest.mark.parametrize("language", ["de", "es"])
def test_a_law_s_form_can_be_in_its_own_language(language: str) -> None:
    with speaking(language):
        made = register_text(document(language))
        page = register_html(document(language))
    assert kept(f"register-{language}-{language}.txt", made) == made
    assert f'<html lang="{language}">' in page


@pytest.mark.parametrize(("format_", "render"), [("html", register_html), ("csv", register_csv)])
def test_the_other_formats_are_the_golden_ones(format_: str, render: object) -> None:
    assert callable(render)
    made = render(document("uk"))
    assert kept(f"register-uk.{format_}", made) == made


STATUTES = {
    # 2014 Act s. 30(2): (a) to (f).
    "uk": ["name", "postal_address", "electronic_address", "purposes", "shares", "paid", "other_property", "entered",
           "ceased"],
    # SBC 1999 c. 28 s. 124(1): names and addresses, number of shares and amount paid, date entered, date ceased.
    "bc": ["name", "postal_address", "shares", "paid", "entered", "ceased"],
    # CQLR c. C-67.2 s. 124 (5) to (7).
    "qc": ["name", "postal_address", "shares", "share_dates", "owing"],
    # S.C. 1998 c. 1 s. 31(1)(d).
    "ca": ["name", "postal_address", "shares", "other_property"],
    # GenG § 30(2): Nr. 1 to 3, and from when each is effective.
    "de": ["name", "postal_address", "further_shares", "share_dates", "entered", "ceased"],
    # Ley 27/1999 art. 60: libro de socios, libro de aportaciones.
    "es": ["name", "postal_address", "class", "entered", "ceased", "shares", "paid", "share_dates"],
}  # fmt: skip


@pytest.mark.parametrize("law", STATUTES)
def test_a_form_has_every_field_its_statute_names(law: str) -> None:
    assert set() == set(STATUTES[law]) - {one.value for one in form_of(law).columns}


def test_customers_are_in_no_register_and_who_ceased_stays() -> None:
    (members, investors) = document("plain")["registers"]  # type: ignore[misc]
    assert [("1", ""), ("2", ""), ("3", "2026-06-30"), ("5", "")] == [
        (row["number"], row["ceased"]) for row in members["rows"]
    ]
    assert [("1", "2026-03-02", "2026-05-01"), ("5", "2026-03-01", "")] == [
        (row["number"], row["entered"], row["ceased"]) for row in investors["rows"]
    ]


def test_it_can_be_printed_as_it_stood() -> None:
    (members, _) = document("plain", "2026-02-11")["registers"]  # type: ignore[misc]
    assert {"1": ["3 of kind member"], "2": [], "3": ["1 of kind member"], "5": []} == {
        row["number"]: row["shares"] for row in members["rows"]
    }


def test_what_members_type_is_harmless_in_a_spreadsheet_and_on_a_page() -> None:
    rows = list(csv.reader(io.StringIO(register_csv(document("uk")))))
    assert [] == [cell for row in rows for cell in row if cell[:1] in "=+-@" and cell]
    assert "<b>" not in register_html(document("uk"))


def test_a_law_without_a_form_is_refused() -> None:
    with pytest.raises(Refusal, match="law: there is no form 'xx'; there is uk"):
        form_of("xx")


def test_personal_data_is_not_in_a_printed_object() -> None:
    assert "Anna" not in repr(TOLD)


def test_addresses_change_field_by_field_and_odd_ones_are_refused() -> None:
    nothing = {"legal_name": None, "postal": None, "email": None, "purposes": None}
    known = TOLD[MemberId(1)]
    moved = changed(known, **(nothing | {"postal": " 2  Low Street,\nBath "}))
    assert ("Anna Adams", "2 Low Street, Bath") == (moved.legal_name, moved.postal)
    for wrong, sentence in (
        (nothing, "name what changes"),
        (nothing | {"email": "anna"}, "email: this is no e-mail address"),
        (nothing | {"email": "Anna Adams <anna@example.org>"}, "email: this is no e-mail address"),
        (nothing | {"email": "anna@example.org, anna@example.net"}, "email: this is no e-mail address"),
        (nothing | {"postal": "x" * 501}, "postal: one line of at most 500"),
        (nothing | {"legal_name": "a\x1b[2Jb"}, r"name: it has a character that cannot be seen, U\+001B"),
    ):
        with pytest.raises(Refusal, match=sentence):
            changed(known, **wrong)
