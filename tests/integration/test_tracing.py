"""Traces of a real gateway at a real receiver: what they say, what they never say, and who may decide about them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.engines.place import S3System
from tests.gateway import client, running_gateway
from tests.integration.s3_kit import eventually
from tests.integration.upstream_kit import gateway_before
from tests.traffic import connected, more, signed

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET_NAME = "holiday-with-nobody-knows-whom"
ALL = "1000000"


class Collector:
    """What a collector of traces is: it takes documents over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[bytes] = []

    def spans(self) -> list[dict[str, Any]]:
        """All that came so far, their attributes as a plain dictionary."""
        found = []
        for body in self.bodies:
            for resource in json.loads(body)["resourceSpans"]:
                for one in resource["scopeSpans"][0]["spans"]:
                    values = {each["key"]: next(iter(each["value"].values())) for each in one["attributes"]}
                    found.append(one | {"attributes": values})
        return found

    def named(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """Those of that name, once so many are there."""

        def those() -> list[dict[str, Any]]:
            return [one for one in self.spans() if one["name"] == name]

        assert eventually(lambda: len(those()) >= count), [one["name"] for one in self.spans()]
        return those()


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port."""
    found = Collector("")

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/json")
            found.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    found.url = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def test_a_span_says_what_happened_and_nothing_of_whom(
    collector: Collector, tmp_path: Path, database: str
) -> None:
    environment = {"WEIR_TRACING_URL": collector.url, "WEIR_TRACING_PER_MILLION": ALL}
    with running_gateway(tmp_path, database, environment=environment) as gateway:
        anna = gateway.member("anna")
        s3 = client(gateway, anna)
        s3.create_bucket(Bucket=SECRET_NAME)
        s3.put_object(Bucket=SECRET_NAME, Key=f"{SECRET_NAME}.jpg", Body=bytes(5000))
        told = s3.get_object(Bucket=SECRET_NAME, Key=f"{SECRET_NAME}.jpg", Range="bytes=0-999")
        assert 1000 == len(told["Body"].read())
        with pytest.raises(ClientError):
            s3.get_object(Bucket=SECRET_NAME, Key="not-there")
        got, missing = sorted(collector.named("GetObject", 2), key=lambda one: one["startTimeUnixNano"])
        (put,) = collector.named("PutObject")
    assert ("206", "0", "1000") == tuple(got["attributes"][one] for one in ("http.response.status_code", "weir.bytes_in", "weir.bytes_out"))  # fmt: skip
    assert told["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-id"] == got["attributes"]["weir.request_id"]
    assert ("200", "5000") == (
        put["attributes"]["http.response.status_code"],
        put["attributes"]["weir.bytes_in"],
    )
    assert "404" == missing["attributes"]["http.response.status_code"]
    for one in (got, put, missing):
        assert 2 == one["kind"]
        assert {} == one["status"], "a client's mistake is no error of ours"
        took_us = (int(one["endTimeUnixNano"]) - int(one["startTimeUnixNano"])) // 1000
        assert 0 <= int(one["attributes"]["weir.first_byte_us"]) <= took_us
        assert re.fullmatch("[0-9a-f]{32}", one["traceId"])
        assert "parentSpanId" not in one
    assert 3 == len({one["traceId"] for one in (got, put, missing)})
    everything = b"".join(collector.bodies).decode()
    for secret in (
        SECRET_NAME,
        anna.access_key,
        anna.secret_key,
        "anna",
        "127.0.0.1",
        "Signature",
        "not-there",
    ):
        assert secret not in everything, secret


def test_only_a_trusted_proxy_says_whose_trace_it_is(
    collector: Collector, tmp_path: Path, database: str
) -> None:
    header = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    common = {"WEIR_TRACING_URL": collector.url, "WEIR_TRACING_PER_MILLION": "0"}
    for proxies, place in (("127.0.0.1/32", "trusted"), ("192.0.2.1/32", "stranger")):
        (tmp_path / place).mkdir()
        environment = common | {"WEIR_TRUSTED_PROXIES": proxies}
        with running_gateway(tmp_path / place, database, environment=environment) as gateway:
            anna = gateway.member(f"anna-{place}")
            s3 = client(gateway, anna)
            bucket = f"films-{place}"
            s3.create_bucket(Bucket=bucket)
            s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 100)
            head = signed(gateway.port, anna.access_key, anna.secret_key, "GET", f"/{bucket}/k", **header)
            unsampled = head.replace(f"{PARENT}-01".encode(), f"{PARENT}-00".encode())
            for one in (head, unsampled):
                with connected(gateway.port) as line:
                    line.settimeout(60)
                    line.sendall(one)
                    more(line)
            if place == "trusted":
                (span,) = collector.named("GetObject")
                assert (TRACE, PARENT) == (span["traceId"], span["parentSpanId"])
    # The second gateway has ended, and with it whatever it had to say.
    assert 1 == len(collector.spans())


def test_a_request_to_an_upstream_is_a_span_below(
    collector: Collector, rclone_s3: S3System, tmp_path: Path, database: str
) -> None:
    environment = {"WEIR_TRACING_URL": collector.url, "WEIR_TRACING_PER_MILLION": ALL}
    with gateway_before(rclone_s3, tmp_path, database, environment=environment) as gateway:
        s3 = client(gateway, gateway.member("anna"))
        s3.create_bucket(Bucket="films")
        s3.put_object(Bucket="films", Key="k", Body=os.urandom(3000))
        assert 3000 == len(s3.get_object(Bucket="films", Key="k")["Body"].read())
        (got,) = collector.named("GetObject")
        below = [one for one in collector.spans() if one.get("parentSpanId") == got["spanId"]]
    assert [3] == [one["kind"] for one in below]
    (one,) = below
    assert got["traceId"] == one["traceId"]
    assert ("rclone", "200", "3000") == tuple(one["attributes"][name] for name in ("weir.engine", "http.response.status_code", "weir.bytes_received"))  # fmt: skip
    assert int(got["startTimeUnixNano"]) <= int(one["startTimeUnixNano"]) <= int(one["endTimeUnixNano"])


def test_a_collector_that_is_dead_fails_no_request_and_delays_no_stop(tmp_path: Path, database: str) -> None:
    environment = {"WEIR_TRACING_URL": "http://127.0.0.1:9/v1/traces", "WEIR_TRACING_PER_MILLION": ALL, "WEIR_TRACING_SPANS_MAX": "50"}  # fmt: skip
    with running_gateway(tmp_path, database, environment=environment) as gateway:
        s3 = client(gateway, gateway.member("anna"))
        s3.create_bucket(Bucket="films")
        for number in range(200):
            s3.put_object(Bucket="films", Key=str(number), Body=b"x")
        assert eventually(lambda: "traces do not reach their collector" in gateway.log())
    assert "Traceback" not in gateway.log()
