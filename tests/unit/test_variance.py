"""Charged held against cost, by hand; and that nothing is lost between pools and services."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.charges.rating import Line
from billing.charges.tariff import SAME_AS, Service, Tariff
from billing.costs.pools import parse_key
from billing.costs.variance import (
    NO_POOL,
    NO_SERVICE,
    MonthFigures,
    Row,
    attributed,
    by_pool,
    by_service,
    suggested_tariff,
    suggestions,
    without_key,
)
from meter.ids import NOBODY
from meter.refusal import Refusal
from meter.usage import Usage
from meter.window import Month

MONTH = Month(2026, 11)
GB = 10**9
TARIFF = Tariff(
    "EUR", MONTH, {one: 0 for one in Service if one not in SAME_AS and one is not Service.CREDITS}
)
ZONED = replace(TARIFF, prices={**TARIFF.prices, Service.GB_OUT_PEERING: 0, Service.GB_OUT_OWN: 0})
TOTAL = Usage(
    NOBODY, MONTH.start_us, MONTH.end_us, bytes_in=GB, bytes_out=10 * GB, requests_a=300, requests_b=1000,
    byte_us=5, bytes_out_peering=4 * GB, bytes_out_own=GB,
)  # fmt: skip


def line(service: Service, amount: int, quantity: int = GB, per: int = GB) -> Line:
    return Line(service, quantity, per, 0, amount)


def of(costs: dict[str, int], keys: dict[str, str], *lines: Line, tariff: Tariff = TARIFF) -> MonthFigures:
    read = {pool: parse_key(key, currency="EUR") for pool, key in keys.items()}
    return MonthFigures(MONTH, tariff, costs, read, TOTAL, lines)


KEYS = {"transit": "p95", "disks": "gb_month", "staff": "equal"}
CHARGED = (line(Service.GB_OUT, 15_000), line(Service.GB_MONTH, 6000))
FIGURES = of({"transit": 10_000, "disks": 6000, "staff": 4000}, KEYS, *CHARGED)


def test_overhead_is_borne_by_services_as_they_cost() -> None:
    """Staff's 40.00 by 100.00 to 60.00: 25.00 to what is sent, 15.00 to what is kept."""
    assert [Row("gb_out", 15_000, 12_500), Row("gb_month", 6000, 7500)] == by_service(FIGURES)


def test_what_a_service_collects_belongs_to_its_pools_as_they_make_it() -> None:
    """150.00 by 100 to 25: 120.00 and 30.00; 60.00 by 60 to 15: 48.00 and 12.00."""
    assert [Row("disks", 4800, 6000), Row("staff", 4200, 4000), Row("transit", 12_000, 10_000)] == by_pool(
        FIGURES
    )


def test_more_than_five_in_a_hundred_is_flagged_and_five_is_not() -> None:
    assert [False, True, False, True] == [
        Row("x", amount, 1000).is_flagged for amount in (1050, 1051, 950, 949)
    ]
    assert Row(NO_POOL, 1, 0).is_flagged


def test_every_pool_that_cost_something_and_has_no_key_is_named() -> None:
    found = of({"transit": 1, "power": 5, "rent": 0, "disks": -3}, {"transit": "p95"})
    assert ["disks", "power"] == without_key(found)
    with pytest.raises(Refusal, match="pool disks: it has no key in 20"):
        attributed(found)


def test_a_key_without_a_zone_goes_to_zones_by_their_bytes_and_one_with_a_zone_to_it() -> None:
    """5 GB internet, 4 peering, 1 own: of 10.00 by gb_out 5.00, 4.00, 1.00; 3.00 by gb_out:peering all to peering."""
    found = attributed(
        of({"port": 300, "line": 1000}, {"port": "gb_out:peering", "line": "gb_out"}, tariff=ZONED)
    )
    out, peering, own = Service.GB_OUT, Service.GB_OUT_PEERING, Service.GB_OUT_OWN
    assert {"line": {out: 500, peering: 400, own: 100}, "port": {peering: 300}} == found
    same = attributed(of({"port": 300}, {"port": "gb_out:peering"}))
    assert {"port": {out: 300}} == same


def test_weighted_requests_go_to_their_classes() -> None:
    """300 × 10 and 1,000 × 1: of 8.00 6.00 and 2.00."""
    found = attributed(of({"cpu": 800}, {"cpu": "requests:10:1"}))
    assert {"cpu": {Service.REQUESTS_A: 600, Service.REQUESTS_B: 200}} == found


def test_overhead_alone_has_no_service_and_a_credit_no_pool() -> None:
    lonely = of({"staff": 500}, {"staff": "equal"}, line(Service.CREDITS, -50, 1, 1))
    assert [Row("credits", -50, 0), Row(NO_SERVICE, 0, 500)] == by_service(lonely)
    assert [Row(NO_POOL, -50, 0), Row("staff", 0, 500)] == by_pool(lonely)


def test_a_pool_without_a_key_is_refused() -> None:
    with pytest.raises(Refusal, match="pool rack: it has no key in 2026-11"):
        by_service(of({"rack": 1}, {}))


def test_a_price_is_rounded_up_and_only_what_is_charged_bears_the_cost() -> None:
    """1.00 for 3 GB of which 2 are charged, no reserve: 0.50. 1.00 for 3 charged: 0.333333334."""
    free = of({"line": 100}, {"line": "gb_out"}, replace(line(Service.GB_OUT, 0, 3 * GB), free=GB))
    whole = of({"line": 100}, {"line": "gb_out"}, line(Service.GB_OUT, 0, 3 * GB))
    for figures, price in ((free, 500_000_000), (whole, 333_333_334)):
        found = suggestions([figures], TARIFF, Fraction(0))
        assert price == suggested_tariff(found, TARIFF, MONTH.next()).prices[Service.GB_OUT]


def test_what_costs_nothing_is_free_and_what_nobody_was_charged_for_stays() -> None:
    present = replace(TARIFF, prices={**TARIFF.prices, Service.GB_IN: 7, Service.GB_MONTH: 8})
    figures = of({"line": 100}, {"line": "gb_out"}, line(Service.GB_OUT, 0), line(Service.GB_IN, 0))
    made = suggested_tariff(suggestions([figures], present, Fraction(0)), present, MONTH.next())
    assert (0, 8) == (made.prices[Service.GB_IN], made.prices[Service.GB_MONTH])


def test_a_price_no_tariff_takes_and_a_reserve_above_the_cost_are_refused() -> None:
    tiny = of({"line": 10**9}, {"line": "gb_out"}, line(Service.GB_OUT, 0, 1))
    with pytest.raises(Refusal, match="gb_out: its unit cost is above 1000000"):
        suggestions([tiny], TARIFF, Fraction(0))
    with pytest.raises(Refusal, match="reserve: at most 100 %"):
        suggestions([FIGURES], TARIFF, Fraction(101, 100))


amounts = st.integers(-(10**9), 10**10)


@given(amounts, amounts, amounts, st.lists(st.tuples(st.sampled_from(Service), amounts), max_size=6))
def test_nothing_is_lost(transit: int, disks: int, staff: int, charged: list[tuple[Service, int]]) -> None:
    costs = {"transit": transit, "disks": disks, "staff": staff}
    figures = of(costs, KEYS | {"transit": "30 % equal + 70 % gb_out"}, *(line(*one) for one in charged))
    for pool, parts in attributed(figures).items():
        assert costs[pool] == sum(parts.values())
    for rows in (by_service(figures), by_pool(figures)):
        assert sum(costs.values()) == sum(one.cost_minor for one in rows)
        assert sum(amount for _, amount in charged) == sum(one.collected_minor for one in rows)
