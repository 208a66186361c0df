"""Traces: W3C trace context as it comes in, spans of one exchange, and both as OTLP's JSON. Pure.

A span says which operation, how it ended, how many bytes and how long. It never holds a bucket, a key, an object's name, a
member, an address or anything of a header or a query but the trace's own numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

MILLION = 1_000_000
NS_PER_US = 1000
SERVER, CLIENT = 2, 3
"""SpanKind: opentelemetry/proto/trace/v1/trace.proto."""
ERROR = 2
"""StatusCode, likewise."""
SERVER_ERROR = 500
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1


class Parent(NamedTuple):
    """Who asked, by their own numbers."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 of them."""
    is_sampled: bool


class Span(NamedTuple):
    """One thing that took time."""

    trace_id: str
    span_id: str
    parent_id: str
    """Empty: it is the first of its trace."""
    name: str
    kind: int
    began_us: int
    ended_us: int
    attributes: tuple[tuple[str, int | str], ...]
    is_error: bool


def read_traceparent(text: str) -> Parent | None:
    """W3C Trace Context, 3.2; None for what is none, for zeros, and for the forbidden version ff."""
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    # Version 00 is exactly so long; a later one may say more behind a dash (3.2.4).
    if version == "ff" or (version == "00" and more is not None):
        return None
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return Parent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def is_chosen(random_bits: int, *, per_million: int) -> bool:
    """Whether a request nobody decided about is traced, by a random number of 64 bits."""
    return random_bits % MILLION < per_million


def document(spans: Iterable[Span], *, resource: Mapping[str, str]) -> bytes:
    """An ExportTraceServiceRequest in OTLP's JSON: ids in hexadecimal, 64-bit numbers as text."""
    return json.dumps(
        {
            "resourceSpans": [
                {
                    "resource": {"attributes": [_attribute(*one) for one in resource.items()]},
                    "scopeSpans": [{"scope": {"name": "weir"}, "spans": [_span(one) for one in spans]}],
                }
            ]
        },
        separators=(",", ":"),
    ).encode()


def _span(span: Span) -> dict[str, object]:
    told: dict[str, object] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.began_us * NS_PER_US),
        "endTimeUnixNano": str(max(span.began_us, span.ended_us) * NS_PER_US),
        "attributes": [_attribute(*one) for one in span.attributes],
        "status": {"code": ERROR} if span.is_error else {},
    }
    if span.parent_id:
        told["parentSpanId"] = span.parent_id
    return told


def _attribute(name: str, value: int | str) -> dict[str, object]:
    kind = "intValue" if isinstance(value, int) else "stringValue"
    return {"key": name, "value": {kind: str(value)}}
