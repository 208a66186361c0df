"""A real Weir under traffic, a real Prometheus: every metric of the catalogue is seen, every panel gets numbers."""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.embedded import dsn, socket_directory
from deploy.observe.catalogue import ANY, CATALOGUE
from meter.postgres import connect
from meter.usage import Usage
from meter.usage_store import period_usage
from meter.window import Month
from tests.observe.faults import end_rclone
from tests.observe.place import finite, promtool, wait_for
from tests.observe.rig import Rig, rig
from tests.observe.test_dashboards import dashboards

WINDOW_S = 20
SEEN_WITHIN_S = 150


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """It has run for a while, and at the end its upstream failed it."""
    with rig(tmp_path_factory.mktemp("observed")) as one:
        assert wait_for(one.prometheus.is_scraping, within_s=60)
        assert wait_for(lambda: "weir_gateway_inventories_total{" in one.page(), within_s=SEEN_WITHIN_S), (
            one.weir.log()
        )
        end_rclone(one)
        gone = 'weir_gateway_upstream_resting{engine="rclone"} > 0'
        assert wait_for(lambda: bool(one.prometheus.now(gone)), within_s=60)
        # A rate is known once two scrapes have seen the failures.
        failures = 'sum(rate(weir_gateway_requests_total{code=~"5.."}[20s])) > 0'
        assert wait_for(lambda: bool(one.prometheus.now(failures)), within_s=60)
        unanswered = 'sum(rate(weir_gateway_upstream_failures_total{kind="none"}[20s])) > 0'
        assert wait_for(lambda: bool(one.prometheus.now(unanswered)), within_s=60)
        yield one


def families(page: str) -> dict[str, tuple[str, set[frozenset[str]], dict[str, set[str]]]]:
    """What a scrape holds by metric: kind, sets of label names, values by label; read by Prometheus' own client."""
    found: dict[str, tuple[str, set[frozenset[str]], dict[str, set[str]]]] = {}
    for family in text_string_to_metric_families(page):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        _, shapes, values = found.setdefault(name, (family.type, set(), {}))
        for one in family.samples:
            own = {label: value for label, value in one.labels.items() if label != "le"}
            shapes.add(frozenset(own))
            for label, value in own.items():
                values.setdefault(label, set()).add(value)
    return found


def test_every_metric_of_the_catalogue_is_seen_and_nothing_else(running: Rig) -> None:
    found = families(running.page())
    assert {*CATALOGUE} == {*found}
    assert {name: one.kind.value for name, one in CATALOGUE.items()} == {
        name: kind for name, (kind, _, _) in found.items()
    }
    for name, (_, shapes, values) in found.items():
        declared = CATALOGUE[name]
        assert {frozenset(declared.labels)} == shapes, name
        for label, closed in declared.labels.items():
            assert closed == ANY or values[label] <= {*closed}, (name, label, values[label])


def test_prometheus_own_linter_has_no_complaint_but_known_ones(running: Rig, tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.write_text(running.page())
    done = promtool("check", "rules", "/dev/null")
    assert done.returncode == 0, done.stderr
    linted = _check_metrics(page)
    known = re.compile(r"(weir_build_info|_least|_count) ")
    assert [] == [line for line in linted if line and known.search(line) is None]


def _check_metrics(page: Path) -> list[str]:
    with page.open("rb") as file:
        done = subprocess.run(
            ["promtool", "check", "metrics"], stdin=file, capture_output=True, text=True, timeout=60
        )
    return (done.stdout + done.stderr).splitlines()


def substituted(expr: str) -> str:
    """As Grafana would send it."""
    return expr.replace("$__rate_interval", f"{WINDOW_S}s").replace('"$instance"', '".*"')


def panels() -> list[tuple[str, str, str]]:
    """(dashboard, panel, expression) of every query."""
    return [
        (name, panel["title"], target["expr"])
        for name, dashboard in dashboards().items()
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]


def test_every_query_of_every_panel_gives_a_finite_number(running: Rig) -> None:
    empty = []
    now = time.time()
    for name, title, expr in panels():
        found = running.prometheus.over(substituted(expr), start_s=now - 90, end_s=now, step_s=2)
        values = [value for _, series in found for _, value in series]
        if not finite(values):
            empty.append(f"{name}: {title}: {expr}")
    assert [] == empty


def test_an_expression_that_is_wrong_is_refused(running: Rig) -> None:
    with pytest.raises(AssertionError, match="range vector"):
        running.prometheus.now("rate(weir_gateway_requests_total)")


def test_numbers_are_those_that_happened(running: Rig) -> None:
    """What Prometheus has is what the members' bills have: sent bytes of the co-op's one member."""
    running.stopping.set()
    assert wait_for(lambda: _quiet(running), within_s=60)
    billed = asyncio.run(_billed(running))
    told = {
        labels["direction"]: value
        for labels, value in running.prometheus.now(
            'sum by (direction) (weir_member_transfer_bytes{member!="_other"})'
        )
    }
    assert (billed.bytes_in, billed.bytes_out) == (told["ingress"], told["egress"])
    assert told["egress"] > 10**6


def _quiet(running: Rig) -> bool:
    """Nothing is under way, nothing waits, and the exporter has asked since."""
    waits = running.prometheus.now("sum(weir_gateway_inflight_requests) + sum(weir_meter_unshipped_events)")
    last = running.prometheus.now("sum(increase(weir_meter_shipped_events_total[6s]))")
    return [0] == [value for _, value in waits] and [0] == [value for _, value in last]


async def _billed(running: Rig) -> Usage:
    """What the closing of the month would take for the co-op's one member."""
    connection = await connect(dsn(socket_directory(running.weir.data), database="weir"), role="weir_billing")
    try:
        (found,) = (await period_usage(connection, Month.of(time.time_ns() // 1000))).values()
    finally:
        await connection.close()
    return found
