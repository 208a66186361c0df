"""The stand-alone verifier's own parts: signatures by published vectors, months, rounding, and lines of every kind."""

from __future__ import annotations

import ast
import struct
import subprocess
import sys
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.charges.tariff import parse_tariff, tariff_document, tariff_toml
from billing.money import EXPONENTS, divide_half_up
from billing.statements import verifier
from billing.statements.verifier import Report, Sums, check_charges, check_co_op, is_signed
from meter.event import Mark, RequestClass, StorageLine, Zone
from meter.frame import pack_record
from meter.ids import MemberId
from meter.window import HOUR_US, Month
from tests.events import PLAIN, stored

# RFC 8032, section 7.1: public key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
        ("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b"),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
        ("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00"),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
        ("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a"),
    ),
]  # fmt: skip
OCTOBER = Month(2026, 10)
SEPTEMBER = Month(2026, 9)
PRICES = {
    "gb_out": 10**9, "gb_in": 0, "gb_month": 2 * 10**9, "requests_a_1000": 0, "requests_b_1000": 0,
}  # fmt: skip


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_published_signatures_are_known(key: str, message: str, signature: str) -> None:
    assert is_signed(key, bytes.fromhex(message), signature.encode())
    assert not is_signed(key, bytes.fromhex(message) + b"x", signature.encode())


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 511))
def test_another_program_s_signatures_are_known_and_no_changed_one(message: bytes, bit: int) -> None:
    key = Ed25519PrivateKey.generate()
    public, signature = key.public_key().public_bytes_raw().hex(), key.sign(message)
    assert is_signed(public, message, signature.hex().encode())
    changed = bytearray(signature)
    changed[bit >> 3] ^= 1 << (bit & 7)
    assert not is_signed(public, message, bytes(changed).hex().encode())


def test_a_signature_with_the_order_added_is_refused() -> None:
    """RFC 8032, 5.1.7: S must be below the group's order, else one signature would have many forms."""
    key, message, signature = VECTORS[1]
    scalar = int.from_bytes(bytes.fromhex(signature)[32:], "little") + verifier.ORDER
    again = signature[:64] + scalar.to_bytes(32, "little").hex()
    assert not is_signed(key, bytes.fromhex(message), again.encode())


@pytest.mark.parametrize("version", [(3, 8, 20), (3, 9, 25), (3, 10, 0)])
def test_an_older_python_is_told_in_a_sentence_which_one_is_needed(version: tuple[int, int, int]) -> None:
    """The file is parsed by that Python's grammar, and nothing newer is imported before the sentence."""
    text = Path(verifier.__file__).read_text("utf-8")
    ast.parse(text, feature_version=version[:2])
    as_older = (
        f"import sys; sys.version_info = {version}; sys.modules['tomllib'] = None\nexec(sys.stdin.read())"
    )
    done = subprocess.run([sys.executable, "-I", "-c", as_older], input=text, capture_output=True, text=True)
    told = f"verify.py needs Python 3.11 or newer, and this is {version[0]}.{version[1]}\n"
    assert (2, "", told) == (done.returncode, done.stdout, done.stderr)


def test_a_file_has_the_same_name_on_every_system() -> None:
    place = PureWindowsPath(r"C:\Users\anna\weir-2026-11")
    paths = [place / "heads" / "0001.head", place / "months" / "2026-11" / "line.json", place / "line.json"]
    wanted = {"heads/0001.head", "months/2026-11/line.json", "line.json"}
    assert wanted == verifier.names_in(place, paths)


def test_what_a_desktop_puts_there_is_no_file_of_the_bundle() -> None:
    names = [
        ".DS_Store",
        "heads/.DS_Store",
        "Thumbs.db",
        "desktop.ini",
        "heads/._0001.head",
        "__MACOSX/months/x.json",
    ]
    assert [True] * 6 == [verifier.is_of_a_desktop(one) for one in names]
    names = ["heads/0001.head", "_.json", "DS_Store", "x/Thumbs.db/y", "manifest.json", "x__MACOSX/y"]
    assert [False] * 6 == [verifier.is_of_a_desktop(one) for one in names]


def test_it_imports_nothing_but_the_standard_library() -> None:
    tree = ast.parse(Path(verifier.__file__).read_text())
    names = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


@settings(deadline=None)
@given(st.integers(2000, 9000), st.integers(1, 12), st.integers(0, 27 * 86_400 * 10**6))
def test_months_are_those_of_the_meter(year: int, number: int, offset: int) -> None:
    month = Month(year, number)
    assert month.start_us == verifier._start_us(str(month))
    assert str(month.next()) == verifier._next(str(month))
    assert str(month) == verifier._month_of(month.start_us + offset) == verifier._month_of(month.end_us - 1)


@settings(deadline=None)
@given(st.integers(-(10**30), 10**30), st.integers(1, 10**20))
def test_it_rounds_as_money_does(numerator: int, denominator: int) -> None:
    assert divide_half_up(numerator, denominator) == verifier._half_up(numerator, denominator)


def test_it_knows_every_currency_s_decimals() -> None:
    assert dict(EXPONENTS) == {currency: verifier._decimals(currency) for currency in EXPONENTS}


def add(sums: Sums, event: Any, billed: Month = OCTOBER) -> None:
    record = struct.Struct("<Q16sQQQHBBHHqqqqqqqB11xI").unpack(pack_record(1, event, 0))
    sums.add(record, event.ended_us, str(billed))


def exchange(at_us: int, **what: Any) -> Any:
    plain = PLAIN._replace(bytes_in=0, moved_in=0, request_class=RequestClass.B, payer=MemberId(1))
    return plain._replace(began_us=at_us, ended_us=at_us, **what)


def line(service: str, quantity: int, per: int, price: int, amount: int, **more: Any) -> dict[str, Any]:
    return {
        "service": service,
        "quantity": quantity,
        "per": per,
        "price_nano": price,
        "amount_minor": amount,
    } | more


def wrong(sums: Sums, lines: list[dict[str, Any]], tariff: dict[str, Any], **inputs: Any) -> list[str]:
    told = {
        "currency": "EUR", "period": "2026-10", "member": {"id": 1, "class": "worker"}, "lines": lines,
        "charges_minor": sum(one["amount_minor"] for one in lines),
    }  # fmt: skip
    said: list[str] = []
    report = Report()
    report.say = said.append  # type: ignore[method-assign]
    check_charges(
        report, told, {"tariff": {"currency": "EUR", "prices_nano": PRICES} | tariff} | inputs, sums
    )
    return [one for one in said if one.startswith("DIFFERS")]


GB = 10**9
GB_MONTH = GB * (OCTOBER.end_us - OCTOBER.start_us)
REST = [
    line("gb_in", 0, GB, 0, 0),
    line("gb_month", 0, GB_MONTH, 2 * GB, 0),
    line("requests_a_1000", 0, 1000, 0, 0),
]


def ten_gb() -> Sums:
    sums = Sums("2026-10")
    add(sums, exchange(OCTOBER.start_us, bytes_out=10 * GB, moved_out=10 * GB))
    return sums


def test_a_charge_is_worked_out_to_the_cent() -> None:
    reads = line("requests_b_1000", 1, 1000, 0, 0)
    assert [] == wrong(ten_gb(), [line("gb_out", 10 * GB, GB, GB, 1000), *REST, reads], {})
    assert wrong(ten_gb(), [line("gb_out", 10 * GB, GB, GB, 1001), *REST, reads], {})
    assert wrong(ten_gb(), [line("gb_out", 10 * GB, GB, GB, 1000), *REST], {})


def test_free_amounts_are_taken_off_first() -> None:
    reads = line("requests_b_1000", 1, 1000, 0, 0)
    free = {"free_nano": {"gb_out": 4 * 10**9}}
    assert [] == wrong(ten_gb(), [line("gb_out", 10 * GB, GB, GB, 600, free=4 * GB), *REST, reads], free)
    assert wrong(ten_gb(), [line("gb_out", 10 * GB, GB, GB, 600, free=4 * GB), *REST, reads], {})


def test_a_class_has_prices_of_its_own() -> None:
    reads = line("requests_b_1000", 1, 1000, 0, 0)
    own = {"classes": {"worker": {"prices_nano": {"gb_out": GB // 2}}}}
    assert [] == wrong(ten_gb(), [line("gb_out", 10 * GB, GB, GB // 2, 500), *REST, reads], own)
    assert wrong(ten_gb(), [line("gb_out", 10 * GB, GB, GB, 1000), *REST, reads], own)


def test_a_zone_is_told_apart_where_it_has_a_price() -> None:
    sums = ten_gb()
    add(sums, exchange(OCTOBER.start_us, bytes_out=3 * GB, moved_out=3 * GB, zone=Zone.PEERING))
    reads = line("requests_b_1000", 2, 1000, 0, 0)
    assert [] == wrong(sums, [line("gb_out", 13 * GB, GB, GB, 1300), *REST, reads], {})
    zones = {"prices_nano": PRICES | {"gb_out_peering": GB // 10}}
    apart = [line("gb_out", 10 * GB, GB, GB, 1000), line("gb_out_peering", 3 * GB, GB, GB // 10, 30)]
    assert [] == wrong(sums, [*apart, *REST, reads], zones)


def test_what_came_late_has_lines_of_its_month_at_that_month_s_prices() -> None:
    sums = ten_gb()
    late = SEPTEMBER.end_us - HOUR_US
    add(sums, exchange(late, bytes_out=2 * GB, moved_out=2 * GB))
    add(sums, exchange(late, bytes_out=-GB, moved_out=-GB, marks=Mark.CORRECTION, status=0))
    reads = line("requests_b_1000", 1, 1000, 0, 0)
    september = {"currency": "EUR", "prices_nano": PRICES | {"gb_out": 3 * GB}}
    lines = [
        line("gb_out", 10 * GB, GB, GB, 1000), *REST, reads,
        line("gb_out", 2 * GB, GB, 3 * GB, 600, note="late usage of 2026-09"),
        line("requests_b_1000", 1, 1000, 0, 0, note="late usage of 2026-09"),
        line("gb_out", -GB, GB, 3 * GB, -300, note="correction of 2026-09"),
        line("credits", 1, 1, 0, -50, note="credit 3: an outage"),
    ]  # fmt: skip
    assert [] == wrong(sums, lines, {}, earlier_tariffs={"2026-09": september})
    assert wrong(sums, lines, {})
    # Free amounts were September's own: of what came late nothing is free.
    given = lines[0] | {"free": GB, "amount_minor": 900}
    free = {"free_nano": {"gb_out": GB}}
    assert [] == wrong(sums, [given, *lines[1:]], free, earlier_tariffs={"2026-09": september | free})
    lines[-1]["amount_minor"] = 50
    assert wrong(sums, lines, {}, earlier_tariffs={"2026-09": september})
    # Before late usage had lines of its own, it stood in those of the month.
    reads = line("requests_b_1000", 2, 1000, 0, 0)
    assert [] == wrong(sums, [line("gb_out", 11 * GB, GB, GB, 1100), *REST, reads], {})


def test_stored_bytes_that_became_known_late_are_split_at_the_month_s_end() -> None:
    sums = Sums("2026-10")
    september_us = SEPTEMBER.end_us - SEPTEMBER.start_us
    half = SEPTEMBER.start_us + september_us // 2
    add(sums, stored(GB, half))
    add(sums, stored(4 * GB, half), SEPTEMBER)
    add(sums, stored(GB, OCTOBER.end_us - 7, line=StorageLine.VERSION))
    october_us = OCTOBER.end_us - OCTOBER.start_us
    assert GB * (september_us // 2) == sums.groups["late usage of 2026-09"]["objects"]
    assert 5 * GB * october_us == sums.groups[""]["objects"]
    assert 7 * GB == sums.groups[""]["version_byte_microseconds"]
    assert GB * (september_us // 2) + 5 * GB * october_us + 7 * GB == sums.whole()["byte_microseconds"]


TARIFF = """
currency = "EUR"
effective_from = "2026-01"
gb_out = "1.00"
gb_out_peering = "0.123456789"
gb_in = "0"
gb_month = "2"
requests_a_1000 = "3.00"
requests_b_1000 = "0.40"
[free]
gb_out = "10"
requests_b_1000 = "1.5"
[class.worker]
gb_out = "0.50"
[class.customer]
gb_out = "2.00"
[class.customer.free]
"""


def test_a_tariff_s_file_is_read_as_the_closing_holds_it(tmp_path: Path) -> None:
    tariff = parse_tariff(TARIFF)
    for text, is_the_same in (
        (tariff_toml(tariff), True),
        (tariff_toml(tariff).replace("0.50", "0.51"), False),
    ):
        (tmp_path / "tariff.toml").write_text(text)
        report = Report()
        report.say = lambda said: None  # type: ignore[method-assign]
        verifier.check_tariff(tmp_path, report, tariff_document(tariff))
        assert is_the_same == (report.wrong == 0)


class Kept(Report):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.parametrize(("told", "wrong"), [(125, 0), (124, 1), (None, 0)])
def test_customers_part_of_the_charges_is_that_of_the_closing(told: int | None, wrong: int) -> None:
    """Members 300, customers 125; a statement of an older Weir does not tell them apart."""
    whole = {"charges_minor": 425, "costs": {"rack": 400}, "costs_minor": 400, "result_minor": 25}
    own = whole if told is None else whole | {"customers_charges_minor": told}
    check = Kept()
    check_co_op(
        check, {"co_op": own}, whole | {"charges_by_class": {"user": 300, "customer": 125}},
        {"tree": {"sum_minor": 425}, "below_zero_minor": 0},
    )  # fmt: skip
    assert wrong == check.wrong
    found = [one for one in check.said if "customers' part of the charges" in one]
    assert (told is not None) == bool(found)
