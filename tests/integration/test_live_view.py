"""A running transfer where operators look: `weir status` and the metrics; and caps as the operator sets and sees them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from tests.integration.s3_kit import eventually
from tests.integration.test_up import Weir, client, get, weir
from tests.traffic import more

__all__ = ["weir"]
MIB = 2**20


@pytest.fixture
def slow(weir: Weir) -> Iterator[tuple[Weir, dict[str, Any], socket.socket]]:
    """A running Weir, and somebody who reads a long object as slowly as they like."""
    ready = weir.start()
    s3 = client(ready)
    s3.create_bucket(Bucket="films")
    s3.put_object(Bucket="films", Key="long", Body=bytes(64 * MIB), ACL="public-read")
    place = urlsplit(ready["gateway_url"])
    with socket.socket() as connection:
        connection.settimeout(20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        connection.connect((place.hostname, place.port))
        connection.sendall(b"GET /films/long HTTP/1.1\r\nHost: x\r\n\r\n")
        yield weir, ready, connection
    assert 0 == weir.stop()


def metric(ready: dict[str, Any], name: str) -> float:
    """One series of /metrics."""
    _, text = get(f"{ready['admin_url']}/metrics")
    # A worker that has not told its counters yet has none of its series there.
    return float(
        next((line for line in text.splitlines() if line.startswith(f"{name} ")), f"{name} 0").split()[1]
    )


def test_a_running_transfer_is_in_status_and_metrics_within_five_seconds(
    slow: tuple[Weir, dict[str, Any], socket.socket],
) -> None:
    weir, ready, connection = slow
    came = 0
    while came < 10 * MIB:
        came += len(more(connection, 2**16))
    out = 'weir_gateway_open_bytes{direction="egress"}'
    assert eventually(lambda: metric(ready, out) >= came - 2**16, within_s=5)
    assert 1 == metric(ready, "weir_gateway_open_exchanges")
    told = weir.json("status")
    assert 1 == told["open_exchanges"]
    assert came - 2**16 <= told["open_bytes_out"] < 64 * MIB
    (one,) = told["open_by_member"]
    assert (ready["member"], 1, told["open_bytes_out"]) == (one["member"], one["exchanges"], one["bytes_out"])
    assert f"  of {ready['member']}" in weir.command("status")
    # It is in the member's usage long before it ends: a checkpoint comes each five seconds.
    counted = came - 2**16
    assert eventually(lambda: weir.json("usage", ready["member"])["bytes_out"] >= counted, within_s=15)
    while came < 64 * MIB:
        came += len(more(connection, 2**20))
    assert eventually(lambda: not weir.json("status")["open_exchanges"])


def test_an_operator_sets_a_cap_and_sees_how_near_it_is(
    slow: tuple[Weir, dict[str, Any], socket.socket],
) -> None:
    weir, ready, connection = slow
    connection.close()
    name = ready["member"]
    s3 = client(ready)
    s3.put_object(Bucket="films", Key="short", Body=bytes(1000))
    told = weir.json("member", "cap", name, "--egress-soft", "80GB", "--egress-hard", "100GB")
    assert {
        "name": name, "egress_soft_bytes": 80 * 10**9, "egress_hard_bytes": 100 * 10**9,
        "storage_soft_bytes": None, "storage_hard_bytes": None,
    } == told  # fmt: skip
    weir.json("member", "cap", name, "--egress-soft", "none", "--storage-hard", "70MB")
    shown = weir.json("member", "show", name)
    assert (None, 100 * 10**9, 70 * 10**6) == (
        shown["egress_soft_bytes"], shown["egress_hard_bytes"], shown["storage_hard_bytes"],
    )  # fmt: skip
    used = weir.json("usage", name)["caps"]
    assert 64 * MIB + 1000 == used["stored_bytes"]
    assert 95 == used["storage_percent"]  # 67,109,864 of 70,000,000
    assert [True] == ["95 % of your hard cap of 70,000,000 bytes" in one for one in used["warnings"]]
    assert "! 67,109,864 bytes stored" in weir.command("usage", name)
    near = 'weir_meter_capped_members{cap="storage",level="near"}'
    assert eventually(lambda: metric(ready, near) == 1, within_s=20)
    weir.command("member", "cap", name, "--egress-hard", "0")

    def outcome() -> tuple[str, int]:
        """The code of the refusal, and how often boto3 tried again by itself."""
        try:
            s3.get_object(Bucket="films", Key="short")["Body"].read()
        except ClientError as error:
            return error.response["Error"]["Code"], error.response["ResponseMetadata"]["RetryAttempts"]
        return "", 0

    assert eventually(lambda: outcome() == ("EgressCapReached", 0))
    assert "at least one cap" in weir.command("member", "cap", name, status=2)
    assert "above the hard one" in weir.command("member", "cap", name, "--egress-soft", "1", status=2)
    assert 0 == weir.json("member", "show", name)["egress_hard_bytes"]
