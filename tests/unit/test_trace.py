"""Traces in the small: the W3C's own examples, OTLP's published document, and a line that is bounded."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path

import pytest

from gateway import trace_sender
from gateway.exchange import Exchanges
from gateway.metrics import GatewayMetrics
from gateway.settings import GatewaySettings
from gateway.storage.upstream.metrics import UpstreamMetrics
from gateway.trace import SERVER, Parent, Span, document, is_chosen, read_traceparent
from gateway.trace_sender import Sender
from gateway.tracing import ways

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
"""Of the examples in W3C Trace Context, 3.2.2."""
SPAN = Span(
    "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174", "eee19b7ec3c1b173", "I'm a server span", SERVER,
    1_544_712_660_000_000, 1_544_712_661_000_000, (("my.span.attr", "some value"),), is_error=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"00-{TRACE}-{PARENT}-01", Parent(TRACE, PARENT, is_sampled=True)),
        (f"00-{TRACE}-{PARENT}-00", Parent(TRACE, PARENT, is_sampled=False)),
        (f"00-{TRACE}-{PARENT}-03", Parent(TRACE, PARENT, is_sampled=True)),
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like", Parent(TRACE, PARENT, is_sampled=True)),
        (f"cc-{TRACE}-{PARENT}-01.what", None),
        (f"ff-{TRACE}-{PARENT}-01", None),
        (f"00-{TRACE}-{PARENT}-01-more", None),
        (f"00-{TRACE.upper()}-{PARENT}-01", None),
        (f"00-{'0' * 32}-{PARENT}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE}-{PARENT}", None),
        ("", None),
    ],
)
def test_a_traceparent_is_read_as_the_standard_says(text: str, found: Parent | None) -> None:
    assert found == read_traceparent(text)


def test_a_document_is_the_published_example_but_for_what_the_example_adds() -> None:
    # open-telemetry/opentelemetry-proto, examples/trace.json; numbers of 64 bits may stand as text, ids have either case.
    published = {
        "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174", "parentSpanId": "EEE19B7EC3C1B173",
        "name": "I'm a server span", "startTimeUnixNano": 1544712660000000000, "endTimeUnixNano": 1544712661000000000,
        "kind": 2, "attributes": [{"key": "my.span.attr", "value": {"stringValue": "some value"}}],
    }  # fmt: skip
    told = json.loads(document([SPAN], resource={"service.name": "my.service"}))
    (resource,) = told["resourceSpans"]
    assert {"attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]} == resource[
        "resource"
    ]
    (span,) = resource["scopeSpans"][0]["spans"]
    span |= {name: span[name].upper() for name in ("traceId", "spanId", "parentSpanId")}
    span |= {name: int(span[name]) for name in ("startTimeUnixNano", "endTimeUnixNano")}
    assert published == {name: span[name] for name in published}
    assert {"status": {}} == {name: value for name, value in span.items() if name not in published}


def test_as_many_are_chosen_as_are_asked_for() -> None:
    assert [True, False] == [is_chosen(bits, per_million=10_000) for bits in (9_999, 10_000)]
    assert not is_chosen(0, per_million=0)
    assert is_chosen(2**64 - 1, per_million=1_000_000)


def test_a_dead_collector_costs_spans_and_neither_time_nor_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_sender, "EVERY_S", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # It takes the connection and never answers.
        sender = Sender(f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces", waiting_max=100, resource={})
        began = time.perf_counter()
        for _ in range(10_000):
            sender.add([SPAN])
        assert time.perf_counter() - began < 1
        # What the thread has taken meanwhile is at most a batch.
        assert sender.dropped >= 10_000 - 100 - trace_sender.BATCH_MAX
        assert len(sender._waiting) <= 100
        began = time.perf_counter()
        sender.close()
        assert time.perf_counter() - began < trace_sender.LAST_S + 1
    assert 0 == sender.sent


def test_without_a_collector_a_worker_is_put_together_as_if_there_were_no_traces(tmp_path: Path) -> None:
    # Another test's may still be ending.
    before = set(threading.enumerate())
    plain = ways(GatewaySettings(data=tmp_path), worker="w")
    assert (GatewayMetrics, Exchanges, UpstreamMetrics) == (
        type(plain.metrics),
        plain.exchanges,
        plain.upstream,
    )
    assert "traces" not in {one.name for one in threading.enumerate() if one not in before}


@pytest.mark.parametrize(
    "url", ["collector:4318", "ftp://a/b", "http://user:word@host/v1", "file:///etc/passwd"]
)
def test_a_collector_s_address_is_a_plain_http_one(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tracing_url"):
        GatewaySettings(data=tmp_path, tracing_url=url)
