"""List prices: what providers themselves work out in their examples, to the cent.

Expected amounts are the providers' own (patronage reference, 6.3, G16 and G17) or sums done by hand beside them.
"""

from __future__ import annotations

import random
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

from billing.prices.listprices import (
    Quantities,
    Typed,
    arithmetic,
    last_day,
    list_cost,
    over_months,
    quantities_of,
    sum_over_months,
    together,
    units_text,
)
from billing.prices.pricefile import Meter, PriceFile, age_days, in_force, parse_prices
from billing.prices.shelf import read_shelf
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.usage import Usage
from meter.window import DAY_US, HOUR_US, Month

SHELF = {one.id: one for one in read_shelf()}
THIRTY_DAYS = 30 * DAY_US
GB = 10**9


def typed(provider: str, **what: int) -> tuple[PriceFile, Quantities]:
    prices = SHELF[provider]
    requests = {name: what.pop(name) for name in ("requests_a", "requests_b") if name in what}
    gb = {name: Fraction(count) for name, count in what.items()}
    return prices, Typed(**gb, **requests).quantities(prices.gb_bytes, month_us=THIRTY_DAYS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("provider", "cents"),
    # (10,000 − 100) × 0.09; × 0.087; 1,024 × 0.12 + 8,976 × 0.11; nothing.
    [("aws-s3-standard", 89_100), ("azure", 86_130), ("google-cloud-storage", 111_024), ("cloudflare-r2", 0)],
)
def test_ten_thousand_gb_sent_cost_what_the_reference_says(provider: str, cents: int) -> None:
    assert cents == list_cost(*typed(provider, gb_out=10_000)).amount_minor


def test_every_step_of_aws_is_taken_up_to_its_end_and_no_further() -> None:
    # By hand, 200,000 GB: 10,140 × 0.09 = 912.60; 40,960 × 0.085 = 3,481.60; 102,400 × 0.07 = 7,168.00;
    # 46,400 × 0.05 = 2,320.00; together 13,882.20.
    found = list_cost(*typed("aws-s3-standard", gb_out=200_000))
    assert 1_388_220 == found.amount_minor
    (sent,) = (one for one in found.lines if one.line.meter is Meter.OUT)
    assert "100 × 0.00 + 10,140 × 0.09 + 40,960 × 0.085 + 102,400 × 0.07 + 46,400 × 0.05 = 13,882.20" == (
        arithmetic(sent, "USD")
    )


def test_g16_storage_is_the_exact_integral_over_the_month() -> None:
    # AWS' example: 100 GiB for 15 days, then 100 TiB for 16, in a month of 31 days.
    byte_hours = 100 * 2**30 * 15 * 24 + 100 * 2**40 * 16 * 24
    assert 42_259_901_212_262_400 == byte_hours
    used = Quantities(31 * DAY_US, byte_us=Fraction(byte_hours * HOUR_US))
    found = list_cost(SHELF["aws-s3-standard"], used)
    (kept,) = (one for one in found.lines if one.line.meter is Meter.STORED)
    assert 52_900 == kept.units
    assert 121_670 == kept.amount_minor  # 52,900 × 0.023


def test_g17a_r2_a_thousand_objects_of_a_gb() -> None:
    assert 1485 == list_cost(
        *typed("cloudflare-r2", gb_month=1000, gb_in=1000, gb_out=1000, requests_a=1000, requests_b=10**6)
    ).amount_minor  # fmt: skip


def test_g17b_r2_ten_million_reads_a_day() -> None:
    assert 10_440 == list_cost(
        *typed("cloudflare-r2", gb_month=10, requests_a=100_000, requests_b=30 * 10**7)
    ).amount_minor  # fmt: skip


def test_g17c_r2_infrequent_access_counts_five_days_as_thirty() -> None:
    used = Quantities(
        THIRTY_DAYS, bytes_out=Fraction(1000 * GB), bytes_in=Fraction(1000 * GB),
        byte_us=Fraction(1000 * GB * 5 * DAY_US), requests_a=1000, requests_b=10**6,
    )  # fmt: skip
    assert [1000, 0, 1000, 900, 0, 90] == [
        one.amount_minor for one in sorted(
            list_cost(SHELF["cloudflare-r2-infrequent"], used).lines,
            key=lambda one: ("stored", "out", "retrieved", "requests_a", "in", "requests_b").index(one.line.meter),
        )
    ]  # fmt: skip
    assert 2990 == list_cost(SHELF["cloudflare-r2-infrequent"], used).amount_minor


def test_r2_counts_a_begun_unit_as_a_whole_one() -> None:
    prices = SHELF["cloudflare-r2"]
    byte_us = Fraction(11, 10) * GB * THIRTY_DAYS
    found = list_cost(prices, Quantities(THIRTY_DAYS, byte_us=byte_us, requests_a=1_000_001))
    units = {one.line.meter: one.units for one in found.lines}
    assert (Fraction(2), Fraction(2)) == (units[Meter.STORED], units[Meter.REQUESTS_A])
    assert 450 == found.amount_minor  # of two million one is free, and so are 2 of 10 GB-months


def test_hetzner_s_allowance_has_as_many_hours_as_the_month() -> None:
    tb = 10**12
    for days in (28, 30, 31):
        month_us = days * DAY_US
        full = Quantities(month_us, byte_us=Fraction(tb * month_us), bytes_out=Fraction(tb))
        assert 500 == list_cost(SHELF["hetzner"], full).amount_minor
        # 100 TB-hours more: 5.00 + 0.67.
        more = Quantities(month_us, byte_us=Fraction(tb * month_us + 100 * tb * HOUR_US))
        assert 567 == list_cost(SHELF["hetzner"], more).amount_minor


def test_b2_sends_three_times_what_is_stored_for_nothing() -> None:
    # 100 GB stored: 90 × 0.006 = 0.54. Sent 301 GB: one of them at 0.01.
    assert 54 == list_cost(*typed("backblaze-b2", gb_month=100, gb_out=300)).amount_minor
    assert 55 == list_cost(*typed("backblaze-b2", gb_month=100, gb_out=301)).amount_minor


def test_akamai_s_base_price_holds_a_first_part_of_both() -> None:
    # 5.00 + 50 × 0.02 + 200 × 0.005.
    assert 700 == list_cost(*typed("akamai-linode", gb_month=300, gb_out=1200)).amount_minor


def test_what_a_list_has_no_price_of_is_named_where_it_was_used() -> None:
    assert () == list_cost(*typed("azure", gb_out=1)).missing
    found = list_cost(*typed("azure", gb_out=1, gb_month=1, requests_b=1))
    assert (Meter.STORED, Meter.REQUESTS_B) == found.missing


def test_months_are_added_after_each_had_its_own_allowance() -> None:
    month = list_cost(*typed("aws-s3-standard", gb_out=150))
    assert 450 == month.amount_minor
    assert 900 == together([month, month]).amount_minor
    assert [300] == [one.units for one in together([month, month]).lines if one.line.meter is Meter.OUT]


def test_a_sum_over_months_is_that_of_its_lines_each_month_by_the_prices_of_its_time(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    text = Path(__file__).parents[2].joinpath("billing/prices/hetzner-2024-10.toml").read_text()
    (tmp_path / "newer.toml").write_text(text.replace('"2024-10"', '"2026-06-15"').replace("5.00", "6.00"))
    shelf, months = read_shelf(tmp_path), [Month(2026, number) for number in range(1, 13)]
    used = [
        (month, Usage(
            MemberId(1), month.start_us, month.end_us, chance.randrange(10**13), chance.randrange(10**13),
            chance.randrange(10**7), chance.choice([0, chance.randrange(10**8)]), chance.randrange(10**28),
        ))
        for month in months
    ]  # fmt: skip
    for prices in in_force(shelf, last_day(months[-1])):
        whole, short = over_months(shelf, prices.id, used), sum_over_months(shelf, prices.id, used)
        assert (whole.prices, whole.amount_minor, whole.missing) == (
            short.prices,
            short.amount_minor,
            short.missing,
        )
    idle = [(month, Usage(MemberId(1), month.start_us, month.end_us)) for month in months]
    # Hetzner's base price, by hand: five months of 5.00 and seven of 6.00, for the list of June is that of its last day.
    assert 6700 == sum_over_months(shelf, "hetzner", idle).amount_minor


def test_a_line_is_rounded_once_at_its_end() -> None:
    # Three requests in ten thousand are 0.0000012 USD: nothing; a hundred bytes too.
    assert 0 == list_cost(*typed("google-cloud-storage", requests_b=3)).amount_minor
    # 12,500 reads: exactly half a cent, up.
    assert 1 == list_cost(*typed("google-cloud-storage", requests_b=12_500)).amount_minor
    assert 0 == list_cost(*typed("google-cloud-storage", requests_b=12_499)).amount_minor


def test_corrections_below_zero_cost_nothing() -> None:
    usage = Usage(MemberId(1), 0, THIRTY_DAYS, bytes_out=-5 * GB)
    found = list_cost(SHELF["aws-s3-standard"], quantities_of(usage))
    assert 0 == found.amount_minor
    assert {0} == {one.units for one in found.lines}


def test_every_number_has_a_source_and_r2_s_zero_is_in_the_shelf() -> None:
    assert 9 == len(SHELF)
    for prices in SHELF.values():
        assert prices.link.startswith("https://")
        assert all(line.source for line in prices.lines)
    (sent,) = (line for line in SHELF["cloudflare-r2"].lines if line.meter is Meter.OUT)
    assert [0] == [tier.price for tier in sent.tiers]


def test_prices_in_force_are_the_last_ones_before_the_day(tmp_path: Path) -> None:
    text = Path(__file__).parents[2].joinpath("billing/prices/hetzner-2024-10.toml").read_text()
    (tmp_path / "newer.toml").write_text(text.replace('"2024-10"', '"2026-06-15"').replace("5.00", "6.00"))
    shelf = [one for one in read_shelf(tmp_path) if one.id == "hetzner"]
    assert ["2024-10", "2026-06-15"] == [one.dated for one in shelf]
    assert ["2024-10"] == [one.dated for one in in_force(shelf, date(2026, 6, 14))]
    assert ["2026-06-15"] == [one.dated for one in in_force(shelf, date(2026, 6, 15))]
    assert ["2024-10"] == [one.dated for one in in_force(shelf, date(2020, 1, 1))]
    assert 30 == age_days(shelf[1], date(2026, 7, 15))
    assert age_days(SHELF["ovhcloud"], date(2026, 7, 15)) is None


def test_units_are_told_as_far_as_they_go() -> None:
    assert "1,234.5" == units_text(Fraction(2469, 2))
    assert "0.333333…" == units_text(Fraction(1, 3))


GOOD = (Path(__file__).parents[2] / "billing/prices/azure-2025.toml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('currency = "USD"', 'currency = "DOLLAR"', "currency: 'DOLLAR' is not a currency code"),
        ('dated = "2025"', 'dated = "2025-02-30"', "dated: '2025-02-30'"),
        ('gb_bytes = "2^30"', 'gb_bytes = "1e9"', "gb_bytes: a GB is 10^9 or 2^30 bytes"),
        ('price = "0.087"', "price = 0.087", "price: must be there, in quotes"),
        ('price = "0.087"', 'price = "NaN"', "price: 'NaN' is not a plain decimal"),
        ('price = "0.087"', 'price = "-1"', "price: '-1' is negative"),
        ('meter = "out"', 'meter = "sent"', "meter: 'sent' is none of"),
        ('unit = "GB"', 'unit = "MB"', "unit: begins with GB or TB"),
        ('standing = "secondary"', 'standing = "rumour"', "standing: 'rumour' is none of"),
        ('to = "51200"', 'to = "1"', "each step ends after the one before"),
        ('  { price = "0.05" },\n', "", "the last step, and no other, has no end"),
        ("notes = [", "notiz = 1\nnotes = [", "unknown key 'notiz'"),
        ("[[line]]", "[line]", "write each as [[line]]"),
    ],
)
def test_a_wrong_file_is_refused_by_its_key(old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(Refusal) as refused:
        parse_prices(GOOD.replace(old, new, 1), name="azure.toml")
    assert str(refused.value).startswith("azure.toml")
    assert said in str(refused.value)
