"""A tariff file is read exactly, and a typo in it is named."""

import pytest

from billing.tariff import DEFAULT_TARIFF, Service, Tariff, parse_tariff, tariff_toml
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
