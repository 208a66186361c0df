"""The HAProxy configuration that is shipped, run for real before two gateways, one of which is killed or stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meter.event import Mark, StorageLine
from meter.postgres import connect
from tests.engines.place import REQUIRED, free_ports
from tests.integration.gateways_kit import START_TIMEOUT_S, Started, beside, running, s3_of, up
from tests.integration.load_kit import Load
from tests.integration.records import records_in
from tests.integration.s3_kit import eventually
from tests.ordinary import ROOT
from tests.postgres import Loop
from tests.traffic import UNACKNOWLEDGED_BYTES

HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
if HAPROXY is None and os.environ.get(REQUIRED) != "required":
    pytest.skip("haproxy is not installed (Debian: apt-get install haproxy)", allow_module_level=True)
CONFIGURATION = ROOT / "deploy" / "haproxy" / "haproxy.cfg"
CLIENTS = 4
SIZE_MAX = 300_000


@contextmanager
def haproxy(place: Path, *gateways: Started) -> Iterator[tuple[str, str]]:
    """The endpoint's URL, and that of the statistics."""
    assert HAPROXY is not None, f"{REQUIRED} is 'required', and haproxy is not installed"
    front, stats = free_ports(2)
    environment = {
        **os.environ, "WEIR_FRONT": f"127.0.0.1:{front}", "WEIR_STATS": f"127.0.0.1:{stats}",
        "WEIR_GATEWAY_A": f"127.0.0.1:{gateways[0].port}", "WEIR_GATEWAY_B": f"127.0.0.1:{gateways[1].port}",
    }  # fmt: skip
    with (place / "haproxy.log").open("w") as log:
        process = subprocess.Popen(
            [HAPROXY, "-f", str(CONFIGURATION)], env=environment, stdout=log, stderr=log
        )
    try:
        url = f"http://127.0.0.1:{front}"
        assert eventually(lambda: status_of(f"{url}/-/ready") == 200, within_s=START_TIMEOUT_S)
        yield url, f"http://127.0.0.1:{stats}"
    finally:
        process.terminate()
        process.wait(30)


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def servers_up(stats: str) -> int:
    """How many gateways HAProxy would ask."""
    with urllib.request.urlopen(f"{stats}/;csv", timeout=10) as answer:  # noqa: S310 - our own
        lines = answer.read().decode().splitlines()
    return sum(line.split(",")[17].startswith("UP") for line in lines if line.startswith("gateways,gateway-"))


@pytest.fixture
def two(tmp_path: Path, database: str) -> Iterator[tuple[Started, Started]]:
    settings = {"trusted_proxies": "127.0.0.1/32", "stop_notice_s": "4"}
    home = up(tmp_path / "home", database, **settings)
    second = beside(tmp_path / "second", database, home.data, **settings)
    with running(home, second):
        yield home, second
    assert "Traceback" not in home.log() + second.log()


def sums(database: str) -> dict[str, int]:
    """What PostgreSQL has of everybody."""

    async def ask() -> dict[str, int]:
        connection = await connect(database)
        try:
            row = await connection.fetchrow(
                "SELECT sum(bytes_in)::bigint AS bytes_in, sum(bytes_out)::bigint AS bytes_out FROM meter.reading"
            )
            # Without what a retried PUT replaced, whose file waits for its readers and is not billed.
            stored = await connection.fetchval(
                "SELECT sum(delta)::bigint FROM meter.storage WHERE line <> $1", StorageLine.REMOVED
            )
            return {**dict(row), "stored": stored}
        finally:
            await connection.close()

    loop = Loop()
    try:
        return loop.run(ask())
    finally:
        loop.close()


def journals(*gateways: Started) -> dict[str, int]:
    """The same, added up from the records on the disks."""
    events = [event for one in gateways for event in records_in(one.data / "journal")]
    return {
        "bytes_in": sum(event.bytes_in for event in events),
        "bytes_out": sum(event.bytes_out for event in events),
        "stored": sum(event.stored_bytes for event in events if event.line is not StorageLine.REMOVED),
    }


def test_one_gateway_killed_under_load_costs_no_request_and_no_byte(
    two: tuple[Started, Started], database: str, tmp_path: Path, seed: int
) -> None:
    home, second = two
    keys = (home.told["access_key"], home.told["secret_key"])
    with haproxy(tmp_path, *two) as (url, stats):
        s3 = s3_of(url, *keys)
        s3.create_bucket(Bucket="killed")
        assert eventually(lambda: servers_up(stats) == 2)
        with Load(url, keys, "killed", seed, clients=CLIENTS, size_max=SIZE_MAX) as load:
            load.more(20)
            assert -signal.SIGKILL == second.end(signal.SIGKILL)
            load.more(20)
        assert [] == load.failures
        assert eventually(lambda: servers_up(stats) == 1)
        listed = [one for page in s3.get_paginator("list_objects_v2").paginate(Bucket="killed") for one in page["Contents"]]  # fmt: skip
    assert load.puts == {one["Key"]: one["Size"] for one in listed}
    # Back again it closes what the kill had cut, and ships what it had not.
    second.start()

    def settled() -> bool:
        told = sums(database)
        return told == journals(home, second) and told["stored"] == sum(load.puts.values())

    assert eventually(settled, within_s=30), (sums(database), journals(home, second), sum(load.puts.values()))
    told = sums(database)
    # Each client had one request open at the kill: cut short of what it had, or made a second time.
    assert abs(told["bytes_out"] - load.got_bytes) <= CLIENTS * SIZE_MAX
    assert abs(told["bytes_in"] - sum(load.puts.values())) <= CLIENTS * SIZE_MAX


def test_one_gateway_stopped_under_load_fails_no_single_attempt(
    two: tuple[Started, Started], database: str, tmp_path: Path, seed: int
) -> None:
    home, second = two
    keys = (home.told["access_key"], home.told["secret_key"])
    with haproxy(tmp_path, *two) as (url, stats):
        s3_of(url, *keys).create_bucket(Bucket="stopped")
        assert eventually(lambda: servers_up(stats) == 2)
        with Load(url, keys, "stopped", seed, clients=CLIENTS, size_max=SIZE_MAX, attempts=1) as load:
            load.more(20)
            assert 0 == second.end(signal.SIGTERM)
            load.more(20)
        assert [] == load.failures
    assert "stopped" == home.gateways()["second"]["state"]

    def settled() -> bool:
        told, events = sums(database), [one for each in two for one in records_in(each.data / "journal")]
        # HAProxy ends a connection to a gateway it no longer asks by a reset, and that acknowledges nothing.
        unbilled = UNACKNOWLEDGED_BYTES * sum(bool(one.marks & Mark.ABORTED) for one in events)
        assert told["bytes_out"] <= load.got_bytes
        return told["bytes_in"] == sum(load.puts.values()) and load.got_bytes - told["bytes_out"] <= unbilled

    # What the clients counted is what is billed, to the byte but for such ends.
    assert eventually(settled, within_s=30), (sums(database), load.got_bytes)
