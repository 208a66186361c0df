"""Account numbers against the registry's examples, and the file for the bank against the published schema."""

from __future__ import annotations

from datetime import date
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

import pytest
import xmlschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.payments.sepa import (
    Batch,
    Order,
    Party,
    check_currency,
    latin,
    pain_001,
    parse_iban,
    parse_party,
)
from meter.refusal import Refusal
from meter.window import Month

GOLDEN = Path(__file__).parents[1].joinpath("golden", "ledger")
# Examples of the IBAN registry (SWIFT, ISO 13616), as banks print them.
REGISTRY = (
    """
AD12 0001 2030 2003 5910 0100|AT61 1904 3002 3457 3201|BE68 5390 0754 7034|BG80 BNBG 9661 1020 3456 78
CH93 0076 2011 6238 5295 7|CY17 0020 0128 0000 0012 0052 7600|CZ65 0800 0000 1920 0014 5399|DE89 3704 0044 0532 0130 00
DK50 0040 0440 1162 43|EE38 2200 2210 2014 5685|ES91 2100 0418 4502 0005 1332|FI21 1234 5600 0007 85
FR14 2004 1010 0505 0001 3M02 606|GB29 NWBK 6016 1331 9268 19|GI75 NWBK 0000 0000 7099 453|GR16 0110 1250 0000 0001 2300 695
HR12 1001 0051 8630 0016 0|HU42 1177 3016 1111 1018 0000 0000|IE29 AIBK 9311 5212 3456 78|IS14 0159 2600 7654 5510 7303 39
IT60 X054 2811 1010 0000 0123 456|LI21 0881 0000 2324 013A A|LT12 1000 0111 0100 1000|LU28 0019 4006 4475 0000
LV80 BANK 0000 4351 9500 1|MC58 1122 2000 0101 2345 6789 030|MT84 MALT 0110 0001 2345 MTLC AST0 01S|NL91 ABNA 0417 1643 00
NO93 8601 1117 947|PL61 1090 1014 0000 0712 1981 2874|PT50 0002 0123 1234 5678 9015 4|RO49 AAAA 1B31 0075 9384 0000
SE45 5000 0000 0583 9825 7466|SI56 2633 0001 2039 086|SK31 1200 0000 1987 4263 7541|SM86 U032 2509 8000 0000 0270 100
""".replace("\n", "|")
    .strip("|")
    .split("|")
)
DE = "DE89370400440532013000"
MADE = Month(2026, 11).start_us + 5 * 10**6
PAYER = Party("Wehr eG für Speicher", "DE02120300000000202051")
PEOPLE = (
    Order("WEIR-PAY-1-M1", 10_890, Party("Anna Müller & Søn", DE), "Payment WEIR-PAY-1-M1"),
    Order("WEIR-PAY-1-M2", 1, Party("Łukasz <Żółw>", "PL61109010140000071219812874"), "Payment WEIR-PAY-1-M2"),
    Order("WEIR-PAY-1-M7", 99_999_999_999, Party("//Κώστας//", "GR1601101250000000012300695"), "x" * 200),
)  # fmt: skip
SCHEMA = xmlschema.XMLSchema(files("sepaxml").joinpath("schemas/pain.001.001.09.xsd").read_text("utf-8"))

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def batch(orders: tuple[Order, ...] = PEOPLE) -> Batch:
    return Batch("WEIR-PAY-1", MADE, date(2026, 11, 6), PAYER, orders)


@pytest.mark.parametrize("printed", REGISTRY)
def test_the_registry_s_examples_are_taken(printed: str) -> None:
    plain = printed.replace(" ", "")
    assert plain == parse_iban(printed) == parse_iban(plain.lower())


@pytest.mark.parametrize("iban", [DE, "GB29NWBK60161331926819", "MT84MALT011000012345MTLCAST001S"])
def test_no_single_digit_may_be_wrong_and_no_two_neighbours_exchanged(iban: str) -> None:
    for place in range(2, len(iban)):
        for other in "0123456789":
            if iban[place].isdigit() and other != iban[place]:
                with pytest.raises(Refusal, match="IBAN"):
                    parse_iban(iban[:place] + other + iban[place + 1 :])
    for place in range(4, len(iban) - 1):
        left, right = iban[place], iban[place + 1]
        if left != right and left.isdigit() and right.isdigit():
            with pytest.raises(Refusal, match="check digits"):
                parse_iban(iban[:place] + right + left + iban[place + 2 :])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "two letters, two digits"),
        ("DE8937040044053201300", "one of DE has 22 characters, this has 21"),
        ("US12345678901234567890", "US is no country of the SEPA area"),
        ("DE89 3704 0044 0532 0130 01", "check digits do not fit"),
        ("DE89-3704-0044-0532-0130-00", "two letters, two digits"),
        ("ＤＥ89370400440532013000", "two letters, two digits"),
        ("D€89370400440532013000", "two letters, two digits"),
    ],
)
def test_a_wrong_number_is_refused_without_being_repeated(text: str, words: str) -> None:
    with pytest.raises(Refusal, match=words) as refused:
        parse_iban(text)
    assert text[4:] == "" or text[4:] not in str(refused.value)


def test_a_party_does_not_show_itself() -> None:
    party = parse_party("Anna Müller", DE)
    assert "3000" == party.last_four
    assert "Anna" not in repr(party)
    assert DE not in repr(batch())


@pytest.mark.parametrize("name", ["", " ", "日本", "//", "\n"])
def test_a_name_no_bank_can_write_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match="name: the name the account is kept under"):
        parse_party(name, DE)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Anna Müller", "Anna Muller"),
        ("Straße & Søn", "Strasse + Son"),
        ("Łódź", "Lodz"),
        ("a\tb\u00a0 c", "a b c"),
        ("//a//b//", "a/b"),
        ("日本 k", ".. k"),
        ("a_b@c", "a-b(at)c"),
        ("x" * 80, "x" * 70),
    ],
)
def test_names_in_the_letters_of_banks(text: str, plain: str) -> None:
    assert plain == latin(text, characters_max=70)


@unhurried
@given(st.text(max_size=200))
def test_whatever_is_written_comes_out_in_the_letters_of_banks(text: str) -> None:
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-?:().,'+ ")
    plain = latin(text, characters_max=70)
    assert set(plain) <= allowed
    assert len(plain) <= 70
    assert not plain.startswith("/")
    assert not plain.endswith("/")
    assert "//" not in plain


def test_the_file_is_the_one_that_is_kept() -> None:
    assert GOLDEN.joinpath("pain001.xml").read_text("utf-8") == pain_001(batch())


def test_the_file_fits_the_published_schema() -> None:
    SCHEMA.validate(pain_001(batch()))


@unhurried
@given(
    st.lists(
        st.tuples(
            st.integers(1, 99_999_999_999), st.text(st.characters(codec="utf-8"), min_size=1, max_size=90)
        ),
        min_size=1,
        max_size=5,
    )
)
def test_any_names_and_amounts_fit_the_schema_and_sum_up(given_orders: list[tuple[int, str]]) -> None:
    orders = tuple(
        Order(f"WEIR-PAY-1-M{place}", amount, Party("A " + name, DE), "t" + name)
        for place, (amount, name) in enumerate(given_orders)
    )
    text = pain_001(batch(orders))
    SCHEMA.validate(text)
    root = ElementTree.fromstring(text)  # noqa: S314 - our own
    space = {"p": "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"}
    cents = [int(one.text.replace(".", "")) for one in root.iterfind(".//p:InstdAmt", space) if one.text]
    assert cents == [amount for amount, _ in given_orders]
    sums = {one.text for one in root.iterfind(".//p:CtrlSum", space)}
    assert {f"{sum(cents) // 100}.{sum(cents) % 100:02d}"} == sums
    assert {str(len(orders))} == {one.text for one in root.iterfind(".//p:NbOfTxs", space)}


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("<PmtMtd>TRF</PmtMtd>", "<PmtMtd>CASH</PmtMtd>"),
        ("<MsgId>WEIR-PAY-1</MsgId>", f"<MsgId>{'W' * 36}</MsgId>"),
        ("<IBAN>DE89", "<IBAN>de89"),
        ('Ccy="EUR"', 'Ccy="euro"'),
        (">108.90<", ">108,90<"),
    ],
)
def test_the_schema_sees_what_is_wrong(right: str, wrong: str) -> None:
    text = pain_001(batch())
    assert right in text
    with pytest.raises(xmlschema.XMLSchemaValidationError):
        SCHEMA.validate(text.replace(right, wrong))


def test_sepa_is_for_euro() -> None:
    check_currency("EUR")
    with pytest.raises(Refusal, match="SEPA carries EUR alone, and the books are kept in USD"):
        check_currency("USD")
