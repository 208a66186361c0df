"""Usage × tariff, rounded once a line."""

from dataclasses import replace

from billing.charges.rating import Credit, charge, sent
from billing.charges.tariff import SAME_AS, Rates, Service, Tariff
from meter.ids import MemberId
from meter.usage import Late, Usage
from meter.window import MICROSECONDS, Month

MONTH = Month(2026, 3)  # 31 days, like the storage example of the reference
TARIFF = Tariff("EUR", MONTH, dict.fromkeys(Service, 0))


def amounts(usage: Usage, **prices_nano: int) -> list[int]:
    tariff = replace(
        TARIFF, prices=TARIFF.prices | {Service(name): price for name, price in prices_nano.items()}
    )
    return [line.amount_minor for line in charge(usage, tariff, MONTH).lines]


def test_byte_hours_of_the_published_storage_example_are_charged_for_a_31_day_month() -> None:
    # G16 of the patronage reference: 42,259,901,212,262,400 byte-hours = 52,900 binary GB-months.
    byte_us = 42_259_901_212_262_400 * 3600 * MICROSECONDS
    usage = Usage(MemberId(1), MONTH.start_us, MONTH.end_us, byte_us=byte_us)
    # 52,900 × 1.073741824 decimal GB-months × 1.00 EUR = 56,800.9424896 EUR
    assert amounts(usage, gb_month=10**9) == [0, 0, 5_680_094, 0, 0]


def test_each_service_has_its_own_line() -> None:
    usage = Usage(
        MemberId(1), MONTH.start_us, MONTH.end_us,
        bytes_in=10**9, bytes_out=2 * 10**9, requests_a=3000, requests_b=4000,
    )  # fmt: skip
    prices = {"gb_in": 10**9, "gb_out": 10**9, "requests_a_1000": 10**9, "requests_b_1000": 10**9}
    assert amounts(usage, **prices) == [200, 100, 0, 300, 400]


def test_old_versions_have_a_line_of_their_own_beside_what_else_is_kept() -> None:
    month_us = MONTH.end_us - MONTH.start_us
    # 5 GB kept for the whole month, 2 of them old versions
    usage = Usage(
        MemberId(1),
        MONTH.start_us,
        MONTH.end_us,
        byte_us=5 * 10**9 * month_us,
        version_byte_us=2 * 10**9 * month_us,
    )
    prices = {service: 0 for service in Service if service is not Service.GB_MONTH_VERSIONS}
    same = replace(TARIFF, prices=prices | {Service.GB_MONTH: 10**9})
    assert [("gb_month", 300), ("gb_month_versions", 200)] == charged(usage, same)
    cheaper = replace(same, prices=same.prices | {Service.GB_MONTH_VERSIONS: 5 * 10**8})
    assert [("gb_month", 300), ("gb_month_versions", 100)] == charged(usage, cheaper)
    assert [("gb_month", 500)] == charged(replace(usage, version_byte_us=0), cheaper)


def test_unfinished_uploads_cost_what_objects_cost_unless_the_tariff_names_another_price() -> None:
    month_us = MONTH.end_us - MONTH.start_us
    # 6 GB kept for the whole month: 1 of old versions, 2 of uploads that are not finished
    usage = Usage(
        MemberId(1), MONTH.start_us, MONTH.end_us, byte_us=6 * 10**9 * month_us,
        version_byte_us=10**9 * month_us, part_byte_us=2 * 10**9 * month_us, removed_byte_us=9 * 10**9 * month_us,
    )  # fmt: skip
    prices = {service: 0 for service in Service if service not in SAME_AS}
    same = replace(TARIFF, prices=prices | {Service.GB_MONTH: 10**9})
    assert [("gb_month", 300), ("gb_month_versions", 100), ("gb_month_parts", 200)] == charged(usage, same)
    dearer = replace(same, prices=same.prices | {Service.GB_MONTH_PARTS: 3 * 10**9})
    assert [("gb_month", 300), ("gb_month_versions", 100), ("gb_month_parts", 600)] == charged(usage, dearer)


def charged(usage: Usage, tariff: Tariff) -> list[tuple[str, int]]:
    lines = charge(usage, tariff, MONTH).lines
    return [
        (line.service.value, line.amount_minor) for line in lines if line.service.value.startswith("gb_month")
    ]


def test_a_line_is_rounded_half_up_and_only_once() -> None:
    half_a_cent = Usage(MemberId(1), MONTH.start_us, MONTH.end_us, bytes_out=500_000_000)
    less = replace(half_a_cent, bytes_out=499_999_999)
    assert (
        amounts(half_a_cent, gb_out=10_000_000)[:2],
        amounts(less, gb_out=10_000_000)[:2],
    ) == ([1, 0], [0, 0])


def test_a_correction_mirrors_the_charge_it_takes_back() -> None:
    usage = Usage(
        MemberId(1), MONTH.start_us, MONTH.end_us, byte_us=-(10**9) * (MONTH.end_us - MONTH.start_us)
    )
    assert amounts(usage, gb_month=6 * 10**9) == [0, 0, -600, 0, 0]


def test_a_currency_without_cents_is_rounded_to_its_whole_unit() -> None:
    usage = Usage(MemberId(1), MONTH.start_us, MONTH.end_us, bytes_out=10**9)
    tariff = Tariff("JPY", MONTH, dict.fromkeys(Service, 0) | {Service.GB_OUT: 1_500_000_000})
    assert charge(usage, tariff, MONTH).amount_minor == 2


def used(**counts: int) -> Usage:
    return Usage(MemberId(1), MONTH.start_us, MONTH.end_us, **counts)


PRICED = Tariff("EUR", MONTH, {one: 0 for one in Service if one not in SAME_AS} | {Service.GB_OUT: 10**9})
"""1.00 a GB sent."""


def told(usage: Usage, tariff: Tariff, **more: object) -> list[tuple[str, int, int, str]]:
    """(service, free, amount, note) of each line that says something."""
    lines = charge(usage, tariff, MONTH, **more).lines  # type: ignore[arg-type]
    return [
        (one.service.value, one.free, one.amount_minor, one.note) for one in lines if one.quantity or one.note
    ]


def test_a_zone_has_a_line_of_its_own_where_the_tariff_prices_it_and_no_byte_is_charged_twice() -> None:
    """10 GB: 3 over peering, 2 within the network. Peering at 0.50: 7 × 1.00 and 3 × 0.50."""
    usage = used(bytes_out=10**10, bytes_out_peering=3 * 10**9, bytes_out_own=2 * 10**9)
    assert [("gb_out", 0, 1000, "")] == told(usage, PRICED)
    zoned = replace(PRICED, prices={**PRICED.prices, Service.GB_OUT_PEERING: 5 * 10**8})
    assert [("gb_out", 0, 700, ""), ("gb_out_peering", 0, 150, "")] == told(usage, zoned)
    assert 10**10 == sent(charge(usage, zoned, MONTH).lines) == sent(charge(usage, PRICED, MONTH).lines)


def test_free_amounts_are_taken_off_before_the_price_and_never_below_nothing() -> None:
    free = replace(PRICED, free={Service.GB_OUT: 10 * 10**9})
    assert [("gb_out", 10**10, 250, "")] == told(used(bytes_out=12_500_000_000), free)
    assert [("gb_out", 4 * 10**9, 0, "")] == told(used(bytes_out=4 * 10**9), free)
    assert [("gb_out", 0, -100, "")] == told(used(bytes_out=-(10**9)), free)


def test_a_class_pays_its_own_rate() -> None:
    rates = replace(PRICED, classes={"customer": Rates({Service.GB_OUT: 2 * 10**9})})
    usage = used(bytes_out=10**9)
    assert [("gb_out", 0, 200, "")] == told(usage, rates, member_class="customer")
    assert [("gb_out", 0, 100, "")] == told(usage, rates, member_class="user")


def test_late_usage_and_corrections_are_lines_of_their_month_at_its_price() -> None:
    """10 GB are billed in March: 6 of March at 1.00; 5 of February, late, at 2.00; 1 of January taken back, at 1.00."""
    february, january = Month(2026, 2), Month(2026, 1)
    usage = used(bytes_out=10**10)
    usage = replace(
        usage,
        late=(Late(january, True, bytes_out=-(10**9)), Late(february, False, bytes_out=5 * 10**9)),
    )
    earlier = {february: replace(PRICED, prices={**PRICED.prices, Service.GB_OUT: 2 * 10**9})}
    free = replace(PRICED, free={Service.GB_OUT: 10**9})
    assert [
        ("gb_out", 10**9, 500, ""),
        ("gb_out", 0, -100, "correction of 2026-01"),
        ("gb_out", 0, 1000, "late usage of 2026-02"),
    ] == told(usage, free, earlier=earlier)


def test_late_stored_bytes_are_gb_months_of_their_own_month() -> None:
    """A GB kept for all of February (28 days) and known in March: one GB-month, not 28/31 of one."""
    february = Month(2026, 2)
    byte_us = 10**9 * (february.end_us - february.start_us)
    tariff = replace(PRICED, prices={**PRICED.prices, Service.GB_MONTH: 10**9})
    usage = replace(used(byte_us=byte_us), late=(Late(february, False, byte_us=byte_us),))
    assert [("gb_month", 0, 100, "late usage of 2026-02")] == told(usage, tariff)


def test_credits_are_lines_that_say_why() -> None:
    given = [Credit(3, MemberId(1), MONTH, 150, "EUR", "outage", 0)]
    assert [("gb_out", 0, 200, ""), ("credits", 0, -150, "credit 3: outage")] == told(
        used(bytes_out=2 * 10**9), PRICED, credited=given
    )
    assert 50 == charge(used(bytes_out=2 * 10**9), PRICED, MONTH, credited=given).amount_minor
