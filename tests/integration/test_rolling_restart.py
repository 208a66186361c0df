"""Restarts under load of clients that try nothing twice: no request fails, no byte is another, and the sums are theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.gateways_kit import Started, beside, running, s3_of, up
from tests.integration.raw_load_kit import RawLoad
from tests.integration.s3_kit import eventually
from tests.integration.test_haproxy import haproxy, journals, servers_up, sums
from tests.traffic import UNACKNOWLEDGED_BYTES

REQUESTS = 60
"""Between two restarts, all clients together."""


@pytest.fixture
def home(tmp_path: Path, database: str) -> Iterator[Started]:
    one = up(tmp_path / "home", database, workers="2")
    with running(one):
        yield one
    assert "Traceback" not in one.log()


@pytest.fixture
def two(tmp_path: Path, database: str) -> Iterator[tuple[Started, Started]]:
    settings = {"trusted_proxies": "127.0.0.1/32", "stop_notice_s": "4"}
    home = up(tmp_path / "home", database, **settings)
    second = beside(tmp_path / "second", database, home.data, **settings)
    with running(home, second):
        yield home, second
    assert "Traceback" not in home.log() + second.log()


def keys_of(home: Started) -> tuple[str, str]:
    """The first member's."""
    return home.told["access_key"], home.told["secret_key"]


def test_reloads_under_raw_load_fail_nothing_and_the_sums_are_the_clients(
    home: Started, database: str, seed: int
) -> None:
    s3_of(home.url, *keys_of(home)).create_bucket(Bucket="busy")
    with RawLoad(home.port, keys_of(home), "busy", seed) as load:
        for _ in range(3):
            load.more(REQUESTS)
            assert "every worker is a fresh one" in home.weir("reload")
        load.more(REQUESTS)
    assert [] == load.failures
    assert eventually(lambda: sums(database) == journals(home), within_s=30), (sums(database), journals(home))
    told = sums(database)
    assert (load.put_bytes, load.got_bytes) == (told["bytes_in"], told["bytes_out"])
    home.weir("audit")


def test_two_gateways_behind_haproxy_restarted_in_turn_fail_nothing(
    two: tuple[Started, Started], database: str, tmp_path: Path, seed: int
) -> None:
    with haproxy(tmp_path, *two) as (url, stats):
        s3_of(url, *keys_of(two[0])).create_bucket(Bucket="rolling")
        keys = keys_of(two[0])
        assert eventually(lambda: servers_up(stats) == 2)
        with RawLoad(int(url.rpartition(":")[2]), keys, "rolling", seed) as load:
            for one in (two[1], two[0]):
                load.more(REQUESTS)
                one.again()
                assert eventually(lambda: servers_up(stats) == 2, within_s=60)
            load.more(REQUESTS)
    assert [] == load.failures
    assert eventually(lambda: sums(database) == journals(*two), within_s=30)
    told = sums(database)
    assert load.put_bytes == told["bytes_in"]
    # HAProxy resets connections to a gateway it no longer asks, and a reset acknowledges nothing: never more, a little less.
    cut = UNACKNOWLEDGED_BYTES * load.connections
    assert load.got_bytes - cut <= told["bytes_out"] <= load.got_bytes
