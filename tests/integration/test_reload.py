"""`weir reload` while clients work: fresh workers, and nobody is refused, reset or left without an answer."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.gateways_kit import Started, running, s3_of, up
from tests.integration.load_kit import Load
from tests.integration.s3_kit import eventually


@pytest.fixture
def home(tmp_path: Path, database: str) -> Iterator[Started]:
    one = up(tmp_path / "home", database, workers="2")
    with running(one):
        yield one
    assert "Traceback" not in one.log()


def workers_of(home: Started) -> set[int]:
    """Processes that are gateway workers below this one."""
    assert home.process is not None
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == home.process.pid and b"gateway" in (entry / "cmdline").read_bytes().split(b"\0"):
                found.add(int(entry.name))
        except (ValueError, OSError):
            continue  # no process, or one that is gone
    return found


def test_two_reloads_under_load_fail_no_request(home: Started, seed: int) -> None:
    keys = (home.told["access_key"], home.told["secret_key"])
    s3_of(home.url, *keys).create_bucket(Bucket="busy")
    before = workers_of(home)
    assert 2 == len(before)
    # One attempt each: what a client's own retry would hide is a failure here.
    with Load(home.url, keys, "busy", seed, attempts=1) as load:
        for _ in range(2):
            load.more(10)
            assert "every worker is a fresh one" in home.weir("reload")
            after = workers_of(home)
            assert (2, set()) == (len(after), after & before)
            before = after
        load.more(10)
    assert [] == load.failures
    usage = json.loads(home.weir("usage", "founder", "--json"))
    assert (load.got_bytes, sum(load.puts.values())) == (
        _total(usage, "bytes_out"),
        _total(usage, "bytes_in"),
    )


def _total(usage: dict[str, object], name: str) -> int:
    found = usage.get(name)
    if found is None:
        totals = usage["totals"]
        assert isinstance(totals, dict)
        found = totals[name]
    return int(str(found))


def test_an_idle_connection_is_told_goodbye_and_never_reset(home: Started) -> None:
    request = b"GET /-/ready HTTP/1.1\r\nHost: a\r\n\r\n"
    with socket.create_connection(("127.0.0.1", home.port)) as idle:
        idle.settimeout(60)
        idle.sendall(request)
        assert b"200 OK" in idle.recv(4096)
        home.weir("reload")
        # The end of the stream: a reset would raise.
        assert b"" == idle.recv(4096)


def test_a_signal_reloads_a_weir_without_a_terminal(home: Started) -> None:
    assert home.process is not None
    before = workers_of(home)
    os.kill(home.process.pid, signal.SIGHUP)
    assert eventually(lambda: len(workers_of(home) - before) == 2, within_s=120)
    assert home.process.poll() is None


def test_a_reload_with_a_wrong_setting_leaves_the_old_workers(home: Started) -> None:
    before = workers_of(home)
    (home.data / "weir.toml").write_text("journal_segment_bytes_max = 65536\n")
    said = home.weir("reload", check=False)
    assert "the old workers serve on" in said
    assert before == workers_of(home)
    (home.data / "weir.toml").unlink()
