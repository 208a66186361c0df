"""The 95th percentile against the arithmetic carriers publish, and against a count done by hand."""

from fractions import Fraction

from billing.costs.percentile import (
    GB_PER_MBPS_MONTH,
    bits_per_second,
    percentile,
    price_per_gb,
    samples_in,
    utilisation,
)
from meter.window import DAY_US, SLOT_US, Month


def test_30_days_have_8640_samples_and_the_8208th_from_below_is_billed() -> None:
    """Reference 6.1: 8,640 in 30 days, drop the top 432. Sample n moves n bytes, so the billed one moves 8,208."""
    november = Month(2026, 11)
    samples = samples_in(november.start_us, november.end_us)
    found = percentile({slot: slot for slot in range(1, 8641)}, samples)
    assert (8640, 8208) == (samples, found.billed_bytes)
    # A hundredth of 8,640, rounded down, is 86: from the 8,123rd to the 8,208th.
    assert tuple(range(8123, 8209)) == found.band
    assert 8640 * 8641 // 2 == found.moved_bytes


def test_31_days_drop_446() -> None:
    """5 % of 8,928 are 446.4: the 8,482nd is billed."""
    december = Month(2026, 12)
    samples = samples_in(december.start_us, december.end_us)
    assert (8928, 8482) == (samples, percentile({n: n for n in range(1, 8929)}, samples).billed_bytes)


def test_the_order_of_samples_does_not_matter_and_those_without_traffic_count() -> None:
    """20 samples, one dropped: 19th from below. Only two moved anything: the smaller one is billed."""
    assert 5 == percentile({7: 900, 3: 5}, 20).billed_bytes
    assert 5 == percentile({3: 5, 7: 900}, 20).billed_bytes
    quiet = percentile({7: 900}, 20)
    assert (0, ()) == (quiet.billed_bytes, quiet.band)


def test_samples_of_equal_traffic_are_all_in_the_band() -> None:
    found = percentile(dict.fromkeys(range(100), 8), 100)
    assert tuple(range(100)) == found.band


def test_a_line_used_evenly_is_used_whole() -> None:
    found = percentile(dict.fromkeys(range(100), 8), 100)
    assert Fraction(1) == utilisation(found)


def test_a_megabit_a_second_is_37500000_bytes_in_five_minutes() -> None:
    assert Fraction(10**6) == bits_per_second(37_500_000)


def test_a_megabit_running_flat_out_moves_328_5_gb_in_an_average_month() -> None:
    """365/12 days of 86,400 seconds of 125,000 bytes (reference 6.1)."""
    assert Fraction(3285, 10) == GB_PER_MBPS_MONTH
    assert 125_000 * 86_400 * 365 == 12 * GB_PER_MBPS_MONTH * 10**9


def test_what_a_gb_costs_at_a_price_a_megabit() -> None:
    """The reference's figures: at 1.00 and 33 % use 0.0092, at 0.10 0.00092, at 0.05 0.00046."""
    third = Fraction(33, 100)
    told = [f"{float(price_per_gb(Fraction(price, 100), third)):.2g}" for price in (100, 10, 5)]
    assert ["0.0092", "0.00092", "0.00046"] == told


def test_samples_begun_are_counted() -> None:
    assert [0, 1, 1, 2] == [samples_in(0, end) for end in (0, 1, SLOT_US, SLOT_US + 1)]
    assert 288 == samples_in(0, DAY_US)
