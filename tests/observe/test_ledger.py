"""The ledger exporter on a real database: sums by hand, the rest as one line, bounded, and quick to scrape."""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from billing.charges.tariff import DEFAULT_TARIFF
from billing.costs.costing import add_cost
from billing.run import set_tariff
from billing.settings import BillingSettings
from deploy.keeper import Counted
from deploy.observe.catalogue import CATALOGUE, Exporter
from deploy.observe.ledger import LedgerExporter
from deploy.observe.scrape import Scrape
from deploy.running import RoomsSettings
from deploy.settings import DeploySettings
from meter.postgres import connect
from meter.settings import MeterSettings
from meter.window import Month, to_datetime

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
SCRAPE_MS_MAX = 50


def samples(page: bytes) -> Samples:
    """Read by Prometheus' own client, which is no part of the exporter."""
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(page.decode())
        for one in family.samples
    }


def exporter(database: str, said: list[str] | None = None, **settings: object) -> LedgerExporter:
    rooms = RoomsSettings(
        DeploySettings(**settings),  # type: ignore[arg-type]
        MeterSettings(database_url=database, database_timeout_s=20),
        BillingSettings(),
    )
    return LedgerExporter(database, rooms, tell=(said if said is not None else []).append)


async def fill(database: str, rows: list[tuple[int, int, int, int]]) -> None:
    """Members 1, 2, … with (number, received, sent, stored) of the running month, put straight into the meter's sums."""
    month = Month.of(time.time_ns() // 1000)
    day, part = to_datetime(month.start_us), f"{month.year}_{month.number:02}"
    connection = await connect(database)
    try:
        await connection.execute("SELECT meter.make_month($1)", day.date())
        await connection.execute(
            "INSERT INTO meter.member (name, class, joined_at) SELECT 'm' || n, 'user', $2 FROM generate_series(1, $1) AS n",
            len(rows), day,
        )  # fmt: skip
        await connection.execute(
            f"INSERT INTO meter.reading_{part} (period, payer, hour, bucket, operation, class, zone, requests, failures,"
            " aborts, bytes_in, bytes_out, moved_in, moved_out) SELECT $1, n, $2, 1, 1, 1, 0, 1, 0, 0, i, o, i, o"
            " FROM unnest($3::bigint[], $4::bigint[], $5::bigint[]) AS t(n, i, o) WHERE i > 0 OR o > 0",
            day.date(), day, [one[0] for one in rows], [one[1] for one in rows], [one[2] for one in rows],
        )  # fmt: skip
        await connection.execute(
            f"INSERT INTO meter.storage_{part} (period, member, hour, bucket, line, delta, moment)"
            " SELECT $1, n, $2, 1, 0, b, b::numeric * $5 FROM unnest($3::bigint[], $4::bigint[]) AS t(n, b) WHERE b > 0",
            day.date(), day, [one[0] for one in rows], [one[3] for one in rows], Decimal(month.start_us),
        )  # fmt: skip
    finally:
        await connection.close()


def test_the_most_are_named_and_all_the_rest_is_one_line(database: str) -> None:
    asyncio.run(fill(database, [(1, 10, 5, 0), (2, 100, 1, 7), (3, 0, 0, 900), (4, 1, 1, 0), (5, 0, 0, 20)]))
    one = exporter(database, metrics_members_max=2)
    one.ask()
    found = samples(one.page)

    def transfer(member: str, direction: str) -> float:
        return found[("weir_member_transfer_bytes", (("direction", direction), ("member", member)))]

    assert (100, 1, 10, 5) == (
        transfer("2", "ingress"), transfer("2", "egress"), transfer("1", "ingress"), transfer("1", "egress"),
    )  # fmt: skip
    # By hand: of members 3, 4 and 5 together 1 received, 1 sent, 920 stored.
    assert (1, 1) == (transfer("_other", "ingress"), transfer("_other", "egress"))
    stored = {
        labels[0][1]: value for (name, labels), value in found.items() if name == "weir_member_stored_bytes"
    }
    assert {"1": 0, "2": 7, "_other": 920} == stored
    assert 5 == found[("weir_member_count", (("status", "active"),))]
    assert 0 == found[("weir_member_count", (("status", "left"),))]


def test_nobody_is_named_where_none_may_be(database: str) -> None:
    asyncio.run(fill(database, [(1, 10, 5, 3)]))
    one = exporter(database, metrics_members_max=0)
    one.ask()
    members = {
        dict(labels)["member"]
        for name, labels in samples(one.page)
        if name.startswith("weir_member_") and "member" in dict(labels)
    }
    assert {"_other"} == members


async def price(database: str) -> None:
    """The default tariff, and an invoice of 1.00 for the running month."""
    now_us = time.time_ns() // 1000
    connection = await connect(database, role="weir_office")
    try:
        await set_tariff(connection, DEFAULT_TARIFF.read_text("utf-8"), now_us=now_us)
        await add_cost(
            connection, month=Month.of(now_us), pool="transit", amount="1.00", memo="", now_us=now_us
        )
    finally:
        await connection.close()


def test_amounts_are_those_a_sum_by_hand_gives(database: str) -> None:
    # 200 GiB sent. Here a GB is 10^9 bytes and costs 0.01: 2.147 EUR. At Amazon it is 2^30, and 100 are free: 9.00 USD.
    asyncio.run(fill(database, [(1, 0, 200 * 2**30, 0), (2, 0, 0, 0)]))
    asyncio.run(price(database))
    said: list[str] = []
    one = exporter(database, said)
    one.ask()
    found = samples(one.page)
    assert [] == said
    assert 215 == found[("weir_billing_charged_minor", (("currency", "EUR"), ("service", "gb_out")))]
    assert 100 == found[("weir_billing_cost_minor", (("currency", "EUR"), ("pool", "transit")))]
    theirs = ("weir_billing_list_price_minor", (("currency", "USD"), ("provider", "aws-s3-standard")))
    assert 900 == found[theirs]


def test_a_month_that_is_over_and_open_ages_from_its_end(database: str) -> None:
    async def book() -> None:
        now_us = time.time_ns() // 1000
        connection = await connect(database, role="weir_office")
        month = Month.of(now_us).previous().previous()
        await add_cost(connection, month=month, pool="power", amount="1.00", memo="", now_us=now_us)
        await connection.close()

    asyncio.run(price(database))
    one = exporter(database)
    one.ask()
    age = ("weir_billing_period_open_seconds", ())
    assert 0 == samples(one.page)[age]
    asyncio.run(book())
    one.ask()
    waited_s = time.time() - Month.of(time.time_ns() // 1000).previous().start_us / 1e6
    assert waited_s == pytest.approx(samples(one.page)[age], abs=60)
    assert 0 == samples(one.page)[("weir_billing_last_close_timestamp_seconds", ())]


def test_every_metric_of_the_exporter_is_told_and_no_other(database: str) -> None:
    asyncio.run(price(database))
    one = exporter(database)
    one.ask()
    told = {name for name, _ in samples(one.page)} | {*one.state().gauges}
    assert {name for name, two in CATALOGUE.items() if two.exporter is Exporter.LEDGER} == told


def test_while_postgres_is_away_the_last_numbers_stay_and_it_is_said_once(database: str) -> None:
    asyncio.run(price(database))
    said: list[str] = []
    one = exporter(database, said)
    one.ask()
    before = one.page
    assert 1 == one.state().gauges["weir_postgres_up"]
    one._dsn = "postgresql:///weir?host=/nowhere"
    one.ask()
    one.ask()
    assert (before, 0, 1) == (one.page, one.state().gauges["weir_postgres_up"], len(said))


def test_a_scrape_at_ten_thousand_members_takes_at_most_fifty_ms(database: str, tmp_path: Path) -> None:
    asyncio.run(fill(database, [(number, number, 2 * number, 3 * number) for number in range(1, 10_001)]))
    settings = DeploySettings()
    counted = Counted(settings)
    # A worker with every operation it could have: more series than any real one.
    counters = {f'weir_gateway_requests_total{{code="200",operation="Op{n}"}}': n for n in range(110)}
    histogram = {"bounds": [0.1 * n for n in range(1, 14)], "counts": list(range(14)), "sum": 1.0}
    histograms = {f'weir_gateway_ttfb_seconds{{operation="Op{n}"}}': histogram for n in range(30)}
    line = json.dumps({"counters": counters, "gauges": {}, "histograms": histograms}).encode()
    counted.take("gateway-0", line)
    scrape = Scrape(counted, tmp_path, certificate_files="", ready=lambda: 1, living=dict, has_books=True)
    scrape.ledger = exporter(database)
    scrape.ledger.ask()
    took_ms = []
    for _ in range(7):
        began = time.perf_counter()
        page = scrape.text()
        took_ms.append((time.perf_counter() - began) * 1000)
    found = samples(page)
    named = [labels for name, labels in found if name == "weir_member_stored_bytes"]
    print(
        f"scrape: {min(took_ms):.1f} ms of {len(page)} bytes, {len(found)} series; asked in {scrape.ledger.state().gauges['weir_ledger_seconds']:.2f} s"
    )
    assert 501 == len(named)
    # All 10,000: 3 × (1 + … + 10,000) by hand.
    assert 150_015_000 == sum(
        value for (name, _), value in found.items() if name == "weir_member_stored_bytes"
    )
    assert min(took_ms) <= SCRAPE_MS_MAX, took_ms
