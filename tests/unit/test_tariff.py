"""A tariff file is read exactly, and a typo in it is named."""

import pytest

from billing.charges.tariff import (
    DEFAULT_TARIFF,
    Service,
    Tariff,
    parse_tariff,
    tariff_document,
    tariff_of,
    tariff_toml,
)
from meter.refusal import Refusal
from meter.window import Month

GOOD = """
currency = "EUR"
effective_from = "2026-11"
gb_out = "0.0100"
gb_in = "0"
gb_month = "0.006"
requests_a_1000 = "0.005"
requests_b_1000 = "0.000000001"
"""


def test_prices_are_whole_billionths() -> None:
    prices = {
        Service.GB_OUT: 10_000_000,
        Service.GB_IN: 0,
        Service.GB_MONTH: 6_000_000,
        Service.REQUESTS_A: 5_000_000,
        Service.REQUESTS_B: 1,
    }
    assert Tariff("EUR", Month(2026, 11), prices) == parse_tariff(GOOD)


def test_a_tariff_written_out_is_read_back_the_same() -> None:
    assert parse_tariff(GOOD) == parse_tariff(tariff_toml(parse_tariff(GOOD)))


def test_old_versions_cost_what_objects_cost_unless_the_tariff_says_otherwise() -> None:
    dearer = parse_tariff(GOOD + 'gb_month_versions = "0.01"\n')
    assert ["0.006", "0.01"] == [
        tariff.price_text(Service.GB_MONTH_VERSIONS) for tariff in (parse_tariff(GOOD), dearer)
    ]
    assert dearer == parse_tariff(tariff_toml(dearer))
    assert "gb_month_versions" not in tariff_toml(parse_tariff(GOOD))


FULL = (
    GOOD
    + """
gb_out_peering = "0.004"

[free]
gb_out = "10"
gb_month = "1.5"
requests_b_1000 = "0.25"

[class.worker]
gb_out = "0.005"

[class.customer]
gb_out = "0.02"

[class.customer.free]
"""
)


def test_classes_zones_and_free_amounts_are_read_and_written_back() -> None:
    tariff = parse_tariff(FULL)
    assert tariff == parse_tariff(tariff_toml(tariff)) == tariff_of(tariff_document(tariff))
    worker, customer, user = (tariff.of_class(name) for name in ("worker", "customer", "user"))
    assert ["0.005", "0.02", "0.01"] == [one.price_text(Service.GB_OUT) for one in (worker, customer, user)]
    assert ["0.004", "0.004"] == [one.price_text(Service.GB_OUT_PEERING) for one in (worker, customer)]
    ten = 10 * 10**9
    assert [ten, None, ten] == [one.free.get(Service.GB_OUT) for one in (worker, customer, user)]


def test_a_tariff_of_before_is_what_it_was() -> None:
    """Key for key what a closing of the time before zones, classes and free amounts holds."""
    prices = {
        "gb_out": 10_000_000,
        "gb_in": 0,
        "gb_month": 6_000_000,
        "requests_a_1000": 5_000_000,
        "requests_b_1000": 1,
    }
    assert {"currency": "EUR", "effective_from": "2026-11", "prices_nano": prices} == tariff_document(
        parse_tariff(GOOD)
    )


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("[free]\ngb_ouy = '1'", "free has an unknown key 'gb_ouy'; did you mean 'gb_out'"),
        ("[free]\ngb_out = 1", "free.gb_out: write it in quotes"),
        ("[free]\ngb_out = '-1'", "free.gb_out: '-1' is negative"),
        ("[free]\nrequests_a_1000 = '0.0001'", "free.requests_a_1000: '0.0001' has 4 decimals; at most 3"),
        ("[free]\ngb_out = '1000000001'", "free.gb_out: .* too large"),
        ("free = '1'", "free: is a table"),
        ("[class.boss]\ngb_out = '1'", "class.boss: there is no class 'boss'; classes are user, worker"),
        ("[class]\nuser = '1'", "class.user: is a table"),
        ("[class.user]\ngb_out = 'NaN'", "class.user.gb_out: 'NaN' is not a plain decimal"),
        ("credits = '1'", "unknown key 'credits'"),
    ],
)
def test_wrong_classes_and_free_amounts_are_refused_with_their_place(more: str, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        parse_tariff(GOOD + more)


def test_the_default_tariff_is_what_the_manual_says() -> None:
    tariff = parse_tariff(DEFAULT_TARIFF.read_text())
    assert ["0.01", "0.00", "0.006", "0.005", "0.0004"] == [tariff.price_text(one) for one in tariff.prices]
    assert tariff.currency == "EUR"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("gb_out", "gb_ouy", "unknown key 'gb_ouy'; did you mean 'gb_out'"),
        ("gb_in", "ingress", "unknown key 'ingress'"),
        ('gb_in = "0"\n', "", "lacks 'gb_in'"),
        ('"0.0100"', "0.01", "gb_out: write it in quotes"),
        ('"0.0100"', '"-1"', "gb_out: .* is negative"),
        ('"0.0100"', '"0.0000000001"', "gb_out: .* 10 decimals"),
        ('"0.0100"', '"1e3"', "gb_out: .* not a plain decimal"),
        ('"0.0100"', '"1000001"', "gb_out: .* too large"),
        ('"EUR"', '"EU"', "'EU' is not a currency"),
        ('"2026-11"', '"2026-13"', "'2026-13' is not a month"),
        ("currency =", "currency", "not TOML"),
    ],
)
def test_a_wrong_tariff_is_refused_with_the_key_that_is_wrong(old: str, new: str, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        parse_tariff(GOOD.replace(old, new))


def test_a_huge_tariff_file_is_refused() -> None:
    with pytest.raises(Refusal, match="at most 65536 bytes"):
        parse_tariff("#" * 70_000)
