"""Dashboards: made again without a difference, kept to our own rules, and asking for what the catalogue has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.observe.__main__ import GRAFANA, made
from deploy.observe.catalogue import CATALOGUE, Kind
from tests.observe.promql import NotPromQL, grouped, selectors

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / GRAFANA).glob("*.json"))
ADDED_BY_PROMETHEUS = {"instance", "job", "le"}
WIDTH = 24


def dashboards() -> dict[str, dict[str, Any]]:
    """Committed files by name, as Grafana would load them."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in FILES}


def declared(name: str) -> tuple[Kind, set[str]] | None:
    """A series' kind and labels by the catalogue; of a histogram's three names too."""
    if name in CATALOGUE:
        return CATALOGUE[name].kind, {*CATALOGUE[name].labels}
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    found = CATALOGUE.get(base)
    if found is None or found.kind is not Kind.HISTOGRAM or base == name:
        return None
    return Kind.HISTOGRAM, {*found.labels}


def contract(expr: str) -> Iterator[str]:
    """What an expression asks for that no scrape has."""
    allowed: set[str] = set()
    try:
        read, groups = selectors(expr), grouped(expr)
    except NotPromQL as wrong:
        yield str(wrong)
        return
    if not read:
        yield "no metric"
    for one in read:
        known = declared(one.metric)
        if known is None:
            yield f"{one.metric} is not in the catalogue"
            continue
        kind, labels = known
        allowed |= labels | ADDED_BY_PROMETHEUS
        if gone := {*one.labels} - labels - ADDED_BY_PROMETHEUS:
            yield f"{one.metric} has no label {sorted(gone)}"
        is_counted = kind is not Kind.GAUGE
        if one.function in ("rate", "increase") and not is_counted:
            yield f"{one.function}() of {one.metric}, which is a {kind}"
        if one.metric.endswith("_bucket") and one.function not in ("rate", "increase"):
            yield f"{one.metric} without rate()"
    if gone := groups - allowed:
        yield f"grouped by {sorted(gone)}, which nothing has"


def lint(dashboard: dict[str, Any]) -> Iterator[str]:
    """What our rules, which are Grafana's own linter's and the reference's, hold against a dashboard."""
    panels = dashboard["panels"]
    shown = [one for one in panels if one["type"] != "row"]
    names = {one["name"] for one in dashboard["templating"]["list"]}
    if {"datasource", "instance"} != names:
        yield f"variables {names}"
    numbers = [one.get("id") for one in panels]
    if len({*numbers}) != len(numbers) or not all(
        isinstance(one, int) and 0 < one < 2**31 for one in numbers
    ):
        yield "ids are missing or there twice: Grafana would lose panels"
    titles = [one["title"] for one in panels]
    if len({*titles}) != len(titles):
        yield "two panels have one title"
    yield from overlaps(panels)
    for one in shown:
        for wrong in lint_panel(one):
            yield f"{one.get('title')}: {wrong}"


def lint_panel(panel: dict[str, Any]) -> Iterator[str]:
    """The same of one panel."""
    if not panel.get("title") or len(panel.get("description", "")) < 15:
        yield "title or description is missing"
    if panel["fieldConfig"]["defaults"].get("unit") in (None, "", "none"):
        yield "no unit"
    if 80 in [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]:
        yield "Grafana's own threshold was left"
    letters = [one["refId"] for one in panel["targets"]]
    if not letters or len({*letters}) != len(letters):
        yield "refIds are missing or there twice"
    for one in (panel, *panel["targets"]):
        if one["datasource"] != {"type": "prometheus", "uid": "${datasource}"}:
            yield "a data source that is no variable"
    for target in panel["targets"]:
        expr = target["expr"]
        if not target.get("legendFormat"):
            yield "no legend"
        if 'job="' in expr or 'job=~"' in expr:
            yield "a job is written down"
        for one in selectors(expr):
            if "instance" not in one.labels:
                yield f"{one.metric} does not look at $instance"
            if one.function == "rate" and one.span != "[$__rate_interval]":
                yield f"rate over {one.span}"
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            if label not in grouped(expr):
                yield f"a legend of {label}, which the answer does not have"


def overlaps(panels: list[dict[str, Any]]) -> Iterator[str]:
    """Panels that lie on each other or beside the page."""
    seen: dict[tuple[int, int], str] = {}
    for panel in panels:
        place = panel["gridPos"]
        if place["x"] + place["w"] > WIDTH:
            yield f"{panel['title']} sticks out"
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if (x, y) in seen:
                    yield f"{panel['title']} lies on {seen[x, y]}"
                    return
                seen[x, y] = panel["title"]


@pytest.mark.parametrize("path", made(), ids=str)
def test_what_is_made_from_code_is_committed_as_it_is_made(path: Path) -> None:
    assert made()[path] == (ROOT / path).read_text("utf-8")


def test_there_are_the_seven_and_no_other() -> None:
    assert {"overview", "gateway", "metering", "members", "money", "storage", "host"} == {
        name.removeprefix("weir-") for name in dashboards()
    }
    titles = [one["title"] for one in dashboards().values()]
    assert len(titles) == len({*titles})
    assert {name: name for name in dashboards()} == {name: one["uid"] for name, one in dashboards().items()}


@pytest.mark.parametrize("name", dashboards())
def test_a_dashboard_keeps_our_rules(name: str) -> None:
    assert [] == list(lint(dashboards()[name]))


@pytest.mark.parametrize("name", dashboards())
def test_every_expression_asks_for_what_a_scrape_has(name: str) -> None:
    panels = [one for one in dashboards()[name]["panels"] if one["type"] != "row"]
    wrong = {
        f"{panel['title']}: {found}"
        for panel in panels
        for target in panel["targets"]
        for found in contract(target["expr"])
    }
    assert set() == wrong


def test_every_metric_stands_on_a_dashboard_or_is_named_here() -> None:
    asked = {
        one.metric if one.metric in CATALOGUE else re.sub(r"_(bucket|sum|count)$", "", one.metric)
        for dashboard in dashboards().values()
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
        for one in selectors(target["expr"])
    }
    assert set() == {*CATALOGUE} - asked


@pytest.mark.parametrize(
    ("expr", "word"),
    [
        ("rate(weir_gateway_requests_total)", ""),
        ("sum(rate(weir_gateway_request_total[$__rate_interval]))", "not in the catalogue"),
        ("sum by (member) (rate(weir_gateway_requests_total[$__rate_interval]))", "grouped by"),
        ('weir_gateway_requests_total{bucket="a"}', "no label"),
        ("rate(weir_gateway_connections[$__rate_interval])", "which is a gauge"),
        ("sum(weir_gateway_ttfb_seconds_bucket)", "without rate"),
        ("weir_gateway_connections_bucket", "not in the catalogue"),
        ("sum((weir_gateway_connections)", "is not closed"),
        ("weir_gateway_connections[5 minutes]", "not a range"),
        ("weir_gateway_connections{code>'5'}", ""),
        ("", "nothing"),
        ("vector(1)", "no metric"),
    ],
)
def test_a_planted_fault_in_an_expression_is_seen(expr: str, word: str) -> None:
    if not word:
        word = "token" if "'" in expr else ""
    if expr == "rate(weir_gateway_requests_total)":
        # Brackets and names are right: that a rate needs a range is for Prometheus to say, in test_scrape.py.
        assert [] == list(contract(expr))
    else:
        assert word in " ".join(contract(expr))
        assert list(contract(expr))


def _first(dashboard: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in dashboard["panels"] if one["type"] != "row")
    return found


PLANTED: dict[str, Any] = {
    "an id that is missing": lambda one: _first(one).update(id=None),
    "an id there twice": lambda one: _first(one).update(id=one["panels"][0]["id"]),
    "no description": lambda one: _first(one).update(description=""),
    "no unit": lambda one: _first(one)["fieldConfig"]["defaults"].pop("unit"),
    "another data source": lambda one: _first(one)["targets"][0].update(datasource={"uid": "prom"}),
    "a fixed range": lambda one: _first(one)["targets"][0].update(
        expr='sum(rate(weir_gateway_requests_total{instance=~"$instance"}[1m]))'
    ),
    "no $instance": lambda one: _first(one)["targets"][0].update(expr="weir_gateway_connections"),
    "a job": lambda one: _first(one)["targets"][0].update(
        expr='weir_gateway_connections{job="weir",instance=~"$instance"}'
    ),
    "no legend": lambda one: _first(one)["targets"][0].update(legendFormat=""),
    "a legend of nothing": lambda one: _first(one)["targets"][0].update(legendFormat="{{bucket}}"),
    "panels on each other": lambda one: _first(one)["gridPos"].update(w=20),
    "a panel that sticks out": lambda one: _first(one)["gridPos"].update(x=23),
    "two titles": lambda one: _first(one).update(title=one["panels"][-1]["title"]),
    "the threshold of 80": lambda one: _first(one)["fieldConfig"]["defaults"]["thresholds"]["steps"].append(
        {"value": 80}
    ),
    "no variable": lambda one: one["templating"]["list"].pop(),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_in_a_dashboard_is_seen(fault: str) -> None:
    dashboard = dashboards()["weir-overview"]
    assert [] == list(lint(dashboard))
    PLANTED[fault](dashboard)
    assert list(lint(dashboard))
