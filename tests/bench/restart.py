"""Restarts under load, for minutes: `python -m tests.bench.restart --seconds 60`.

Clients on raw sockets that try nothing twice, against one machine that is reloaded again and again, and against two
gateways behind HAProxy that are restarted in turn. Beside each the same load in quiet, so that what a restart costs the
slowest request can be told from what this machine costs it anyway. Then the pause of a plain stop and start, which is
what an upgrade costs who does nothing about it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import urllib.request
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread

from tests.integration.gateways_kit import Started, beside, running, s3_of, up
from tests.integration.raw_load_kit import KINDS, RawLoad
from tests.integration.s3_kit import eventually
from tests.integration.test_haproxy import haproxy, journals, servers_up, sums
from tests.postgres import place_for_a_server, running_server

CLIENTS = 2
"""Of each kind."""
PROBE_S = 0.01
SETTLED_S = 60


def loaded(port: int, home: Started, seconds: float, act: Callable[[], None] | None) -> tuple[RawLoad, int]:
    """Load for so long, with the act over and over; what the clients counted, and how often it was done."""
    keys, times = (home.told["access_key"], home.told["secret_key"]), 0
    with RawLoad(port, keys, "restart", seed=time.time_ns(), kinds=KINDS * CLIENTS) as load:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if act is None:
                load.more(50)
                continue
            load.more(20)
            act()
            times += 1
        load.more(50)
    return load, times


def tell(what: str, load: RawLoad, times: int) -> None:
    """A line."""
    print(
        f"{what:<44} {times:>4} times {load.requests.total():>7,} requests {len(load.failures):>4} failed"
        f" {(load.put_bytes + load.got_bytes) / 1e9:>7.2f} GB  slowest {load.slowest_s:6.2f} s",
        flush=True,
    )
    for one in load.failures[:10]:
        print(f"    {one}", flush=True)


def compare(database: str, loads: list[RawLoad], *gateways: Started) -> None:
    """Journals, sums and clients."""
    settled = eventually(lambda: sums(database) == journals(*gateways), within_s=SETTLED_S)
    told = sums(database)
    put, got = sum(one.put_bytes for one in loads), sum(one.got_bytes for one in loads)
    print(
        f"    journals and sums {'agree' if settled else 'DIFFER'}; clients put {put:,}, counted {told['bytes_in']:,};"
        f" got {got:,}, counted {told['bytes_out']:,} ({got - told['bytes_out']:,} not acknowledged)",
        flush=True,
    )


def reloaded(home: Started) -> None:
    """Once."""
    assert "every worker is a fresh one" in home.weir("reload")


def bench_reload(place: Path, database: str, seconds: float) -> None:
    """One machine."""
    home = up(place / "alone", database, workers="2")
    with running(home):
        s3_of(home.url, home.told["access_key"], home.told["secret_key"]).create_bucket(Bucket="restart")
        quiet, _ = loaded(home.port, home, seconds / 2, None)
        tell("one machine, in quiet", quiet, 0)
        busy, times = loaded(home.port, home, seconds, lambda: reloaded(home))
        tell("one machine, reloaded", busy, times)
        compare(database, [quiet, busy], home)


def bench_two(place: Path, database: str, seconds: float) -> None:
    """Two gateways behind HAProxy."""
    settings = {"trusted_proxies": "127.0.0.1/32", "stop_notice_s": "4"}
    home = up(place / "home", database, **settings)
    second = beside(place / "second", database, home.data, **settings)
    with running(home, second), haproxy(place, home, second) as (url, stats):
        s3_of(url, home.told["access_key"], home.told["secret_key"]).create_bucket(Bucket="restart")
        assert eventually(lambda: servers_up(stats) == 2, within_s=SETTLED_S)
        turn = [home, second]

        def restart() -> None:
            turn.reverse()
            turn[0].again()
            assert eventually(lambda: servers_up(stats) == 2, within_s=SETTLED_S)

        port = int(url.rpartition(":")[2])
        quiet, _ = loaded(port, home, seconds / 2, None)
        tell("two behind HAProxy, in quiet", quiet, 0)
        busy, times = loaded(port, home, seconds, restart)
        tell("two behind HAProxy, restarted in turn", busy, times)
        compare(database, [quiet, busy], home, second)


def bench_pause(place: Path, database: str, name: str) -> None:
    """How long nobody answers when one machine is stopped and started."""
    home = up(place / name, database, workers="2")
    with running(home):
        answered, stop = [time.monotonic()], Event()

        def probe() -> None:
            while not stop.wait(PROBE_S):
                try:
                    with urllib.request.urlopen(f"{home.url}/-/ready", timeout=5) as answer:  # noqa: S310 - our own
                        assert answer.status == 200
                except OSError:
                    continue
                answered.append(time.monotonic())

        prober = Thread(target=probe)
        prober.start()
        began = time.monotonic()
        home.again()
        took = time.monotonic() - began
        last = len(answered)
        assert eventually(lambda: len(answered) > last)
        stop.set()
        prober.join(SETTLED_S)
    gap = max(later - earlier for earlier, later in pairwise(answered))
    print(f"stop and start, {name:<28} {gap:>6.1f} s without an answer, {took:.1f} s until ready", flush=True)


def main() -> None:
    """Everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    seconds = parser.parse_args().seconds
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as name,
        place_for_a_server() as server_data,
        running_server(server_data) as server,
    ):
        place = Path(name)
        place.chmod(0o755)
        for kind, database in (("own PostgreSQL", server.empty_database()), ("embedded PostgreSQL", "")):
            bench_pause(place, database, kind)
        bench_reload(place, server.empty_database(), seconds)
        bench_two(place, server.empty_database(), seconds)


if __name__ == "__main__":
    main()
