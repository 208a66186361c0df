"""`weir up` as a person starts it: real processes, a real database, a real S3 client, real signals."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from deploy.embedded import living_postmaster
from deploy.place import holder
from tests.ordinary import ROOT

READY_KEYS = {
    "gateway_url", "portal_url", "admin_url", "member", "access_key", "secret_key", "login_link", "pid",
}  # fmt: skip
START_TIMEOUT_S = 240
COMMAND_TIMEOUT_S = 240
"""A busy machine takes its time."""


class Weir:
    """One `weir up` on a directory of its own."""

    def __init__(self, place: Path) -> None:
        self.data = place / "data"
        self._ready = place / "ready.json"
        self._place = place
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> dict[str, Any]:
        line = [sys.executable, "-m", "deploy", "up", "--data", str(self.data), "--workers", "2"]
        line += ["--gateway-port", "0", "--portal-port", "0", "--admin-port", "0"]
        log = (self._place / "up.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [*line, "--ready-file", str(self._ready), *options],
                stdout=log, stderr=log, cwd=ROOT, env=environment(),
            )  # fmt: skip
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._ready.exists():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)
        told: dict[str, Any] = json.loads(self._ready.read_text())
        return told

    def log(self) -> str:
        return (self._place / "up.log").read_text()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        self._ready.unlink(missing_ok=True)
        return self.process.wait(COMMAND_TIMEOUT_S)

    def command(self, *line: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "deploy", *line, "--data", str(self.data)],
            capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=COMMAND_TIMEOUT_S,
        )  # fmt: skip
        assert status == done.returncode, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if status == 0 or "--json" in line else done.stderr

    def json(self, *line: str, status: int = 0) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.command(*line, "--json", status=status))
        return told


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("WEIR_")}


@pytest.fixture
def weir() -> Iterator[Weir]:
    with tempfile.TemporaryDirectory(prefix="weir-") as name:
        one = Weir(Path(name))
        yield one
        if one.process is not None and one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def client(ready: dict[str, Any]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=ready["gateway_url"],
        region_name="us-east-1",
        aws_access_key_id=ready["access_key"],
        aws_secret_access_key=ready["secret_key"],
    )


def get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  our own admin listener
        return answer.status, answer.read().decode()


def descendants(pid: int) -> set[int]:
    """Processes below one, by the parent each names in /proc."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    found, last = {pid}, set[int]()
    while found != last:
        last = set(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return found - {pid}


def wait_until_gone(pids: set[int]) -> set[int]:
    deadline = time.monotonic() + 10
    left = set(pids)
    while left and time.monotonic() < deadline:
        left = {pid for pid in left if is_alive(pid)}
        time.sleep(0.02)
    return left


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_up_serves_counts_refuses_a_second_start_and_survives_kill_and_restart(weir: Weir) -> None:
    ready = weir.start()
    assert set(ready) == READY_KEYS
    assert 0o600 == (weir.data.parent / "ready.json").stat().st_mode & 0o777
    assert (200, True) == (lambda told: (told[0], json.loads(told[1])["ready"]))(
        get(ready["admin_url"] + "/readyz")
    )
    assert "weir_build_info" in get(ready["admin_url"] + "/metrics")[1]
    assert 200 == get(ready["admin_url"] + "/livez")[0]

    second = weir.command("up", "--gateway-port", "0", status=2)
    assert f"weir: Weir already runs on {weir.data}, as process {ready['pid']}\n" == second

    s3 = client(ready)
    s3.create_bucket(Bucket="first")
    s3.put_object(Bucket="first", Key="a", Body=b"x" * 1000)
    assert b"x" * 10 == s3.get_object(Bucket="first", Key="a", Range="bytes=0-9")["Body"].read()
    used = weir.json("usage", "founder")
    assert (1000, 10, 0) == (used["bytes_in"], used["bytes_out"], used["unshipped_events"])
    status = weir.json("status")
    assert (True, ready["pid"], 1) == (status["running"], status["pid"], status["members"])

    everything = descendants(ready["pid"])
    assert len(everything) >= 5
    weir.stop(signal.SIGKILL)
    assert set() == wait_until_gone(everything)

    again = weir.start()
    assert (ready["access_key"], ready["secret_key"]) == (again["access_key"], again["secret_key"])
    assert ready["login_link"] != again["login_link"]
    # The file comes after the screen's text: whoever waits for it finds all of that.
    screens = weir.log().split("Weir is up")[1:]
    assert [True, False] == [ready["secret_key"] in screen for screen in screens]
    assert 1000 == client(again).head_object(Bucket="first", Key="a")["ContentLength"]
    assert (1000, 10) == tuple(weir.json("usage", "founder")[name] for name in ("bytes_in", "bytes_out"))

    everything = descendants(again["pid"])
    assert 0 == weir.stop(signal.SIGINT)
    assert set() == wait_until_gone(everything)
    assert living_postmaster(weir.data / "postgres") is None
    assert holder(weir.data) is None


def test_limits_are_set_told_and_kept_by_the_running_gateway(weir: Weir) -> None:
    s3 = client(weir.start())
    s3.create_bucket(Bucket="films")
    s3.put_object(Bucket="films", Key="a", Body=bytes(1000))
    assert {"name": "films", "limit_bytes": 1536} == weir.json("bucket", "limit", "films", "1.5KiB")
    deadline, refusal = time.monotonic() + 10, ""
    while not refusal and time.monotonic() < deadline:
        try:
            s3.put_object(Bucket="films", Key="b", Body=bytes(537))
            s3.delete_object(Bucket="films", Key="b")  # the gateway had not heard yet
        except ClientError as error:
            refusal = error.response["Error"]["Code"]
    assert "QuotaExceeded" == refusal
    weir.json("usage", "founder")  # ships what was stored up to now
    (told,) = weir.json("bucket", "list")["buckets"]
    assert ("films", "founder", 1000, 1536) == tuple(
        told[name] for name in ("name", "owner", "stored_bytes", "limit_bytes")
    )
    assert {"name": "films", "limit_bytes": None} == weir.json("bucket", "limit", "films", "none")
    assert "there is no bucket named 'film'" in weir.command("bucket", "limit", "film", "1GB", status=2)
    assert {"name": "founder", "limit_bytes": 10**9} == weir.json("member", "limit", "founder", "1GB")
    assert 10**9 == weir.json("member", "show", "founder")["limit_bytes"]
    assert [] == weir.json("bucket", "list", weir.json("member", "add", "bakery")["name"])["buckets"]


def test_commands_start_the_database_for_themselves_when_nothing_runs(weir: Weir) -> None:
    weir.start()
    assert 0 == weir.stop()
    assert "bakery" == weir.json("member", "add", "bakery", "--email", "b@example.org")["name"]
    assert ["founder", "bakery"] == [one["name"] for one in weir.json("member", "list")["members"]]
    pair = weir.json("key", "create", "bakery")
    listed = weir.command("key", "list", "bakery")
    assert (True, False) == (pair["access_key"] in listed, pair["secret_key"] in listed)
    held = weir.json(
        "key",
        "create",
        "bakery",
        "--read-only",
        "--bucket",
        "rye",
        "--bucket",
        "oat",
        "--expires",
        "2100-01-01",
    )
    bounds = {"read_only": True, "buckets": ["oat", "rye"], "expires": "2100-01-01T00:00:00Z"}
    assert bounds.items() <= held.items()
    free = {"read_only": False, "buckets": None, "expires": None}
    kept = {one["access_key"]: one for one in weir.json("key", "list", "bakery")["keys"]}
    assert free.items() <= kept[pair["access_key"]].items()
    assert bounds.items() <= kept[held["access_key"]].items()
    assert "cannot be the name of a bucket" in weir.command(
        "key", "create", "bakery", "--bucket", "A", status=2
    )
    assert "is not in the future" in weir.command("key", "create", "bakery", "--expires", "0d", status=2)
    assert "there is a member named 'bakery' already" in weir.command("member", "add", "bakery", status=2)
    assert "there is no member 'baker'" in weir.command("usage", "baker", status=2)
    assert "the portal does not run" in weir.command("login-link", "bakery", status=2)
    assert all(one["applied"] for one in weir.json("db", "status")["migrations"])
    (weir.data / "FORMAT").write_text("999\n")
    assert "was written by a newer Weir" in weir.command("member", "list", status=2)


def test_a_port_in_use_is_named_and_nothing_is_left_running(weir: Weir) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = weir.command("up", "--gateway-port", "0", "--portal-port", "0", "--admin-port", port, status=2)
    assert f"port {port} on 127.0.0.1 is in use; choose another with --admin-port" in told
    assert living_postmaster(weir.data / "postgres") is None


def test_the_demo_s_sums_agree() -> None:
    line = [sys.executable, "-m", "deploy", "demo", "--seconds", "1", "--seed", "1", "--json"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=120)
    assert 0 == done.returncode, done.stderr
    told = json.loads(done.stdout)
    assert [] == [one for one in told["sums"] if not one["agree"]]
    assert 5 == len(told["members"])
    assert all(one["bytes_in"] and one["bytes_out"] and one["charged_minor"] for one in told["members"])
    assert [0] == [one["share_minor"] for one in told["members"] if one["class"] == "supporter"]
