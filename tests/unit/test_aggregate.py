"""Counters of living and ended children add up, and never go back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.aggregate import BadSnapshot, Distribution, Fleet, Snapshot, parse_series, parse_snapshot

KEY = 'weir_requests_total{code="200",operation="GetObject"}'


def line(**parts: object) -> bytes:
    return json.dumps({"counters": {}, "gauges": {}, "histograms": {}, **parts}).encode()


def test_a_snapshot_is_read_as_it_was_written() -> None:
    told = line(
        counters={KEY: 3},
        gauges={"weir_inflight": 2},
        histograms={"weir_ttfb_seconds": {"bounds": [0.1, 1.0], "counts": [5, 2, 1], "sum": 3.5}},
    )
    found = parse_snapshot(told, series_max=3)
    assert {KEY: 3} == found.counters
    assert {"weir_inflight": 2.0} == found.gauges
    distribution = found.histograms["weir_ttfb_seconds"]
    assert [("0.1", 5), ("1.0", 7), ("+Inf", 8)] == distribution.cumulative()


def test_labels_are_taken_apart() -> None:
    found = parse_series(KEY)
    assert ("weir_requests_total", {"code": "200", "operation": "GetObject"}) == (
        found.name,
        dict(found.labels),
    )


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        line(counters={"bad name": 1}),
        line(counters={'x{a="1"': 1}),
        line(counters={"x": "many"}),
        line(counters={"a": 1, "b": 1, "c": 1}),
        line(histograms={"h": {"bounds": [1], "counts": [1], "sum": 0}}),
    ],
)
def test_a_line_that_is_no_snapshot_is_refused(told: bytes) -> None:
    with pytest.raises(BadSnapshot):
        parse_snapshot(told, series_max=2)


def test_an_ended_childs_counts_stay_and_its_gauges_go() -> None:
    fleet = Fleet()
    fleet.report("gateway-0", Snapshot({KEY: 5}, {"weir_inflight": 2.0}))
    fleet.report("gateway-1", Snapshot({KEY: 7}, {"weir_inflight": 1.0}))
    fleet.end("gateway-0")
    fleet.report("gateway-0", Snapshot({KEY: 1}, {"weir_inflight": 0.0}))
    assert {KEY: 13} == fleet.total().counters
    assert {"weir_inflight": 1.0} == fleet.total().gauges


def test_the_oldest_age_counts_not_the_sum_of_ages() -> None:
    fleet = Fleet()
    fleet.report("a", Snapshot({}, {"weir_unshipped_age_seconds": 4.0}))
    fleet.report("b", Snapshot({}, {"weir_unshipped_age_seconds": 9.0}))
    assert {"weir_unshipped_age_seconds": 9.0} == fleet.total().gauges


def test_histograms_add_bucket_by_bucket() -> None:
    fleet = Fleet()
    fleet.report("a", Snapshot({}, {}, {"h": Distribution((1.0,), (2, 1), 4.0)}))
    fleet.report("b", Snapshot({}, {}, {"h": Distribution((1.0,), (3, 0), 1.0)}))
    assert Distribution((1.0,), (5, 1), 5.0) == fleet.total().histograms["h"]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.sampled_from("abc"), st.integers(0, 1000)),
        st.tuples(st.just("end"), st.sampled_from("abc"), st.just(0)),
    ),
    max_size=40,
)


@given(steps)
def test_no_sum_ever_goes_back_whatever_ends(story: list[tuple[str, str, int]]) -> None:
    fleet, own, everything, last = Fleet(), dict.fromkeys("abc", 0), 0, 0
    for what, child, amount in story:
        if what == "end":
            fleet.end(child)
            own[child] = 0
        else:
            own[child] += amount
            everything += amount
            fleet.report(child, Snapshot({"x": own[child]}))
        total = fleet.total().counters.get("x", 0)
        assert last <= total
        assert everything == total
        last = total


def test_what_all_have_reached_is_the_least() -> None:
    fleet = Fleet()
    fleet.report("a", Snapshot({}, {"weir_gateway_directory_change_least": 7.0}))
    fleet.report("b", Snapshot({}, {"weir_gateway_directory_change_least": 5.0}))
    assert {"weir_gateway_directory_change_least": 5.0} == fleet.total().gauges
