"""All of Weir as a person runs it: killed in the middle of traffic, started again, and counted to the byte."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from tests.traffic import GET_SIZES, Traffic

ROOT = Path(__file__).resolve().parents[2]


class Whole:
    """`weir up` on a data directory, and the commands beside it."""

    def __init__(self, place: Path) -> None:
        self._data = place / "data"
        self._ready = place / "ready.json"
        self._port = "0"

    def start(self) -> dict[str, Any]:
        """Start, wait for the ready file, and keep the port for the next start."""
        self._ready.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deploy", "up", "--data", str(self._data), "--gateway-port", self._port,
             "--portal-port", "0", "--admin-port", "0", "--ready-file", str(self._ready)],
            cwd=ROOT, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        while not self._ready.exists():
            assert self.process.poll() is None, "weir up ended"
            threading.Event().wait(0.02)
        facts: dict[str, Any] = json.loads(self._ready.read_text())
        self._port = str(urlsplit(facts["gateway_url"]).port)
        return facts

    def kill(self) -> None:
        """kill -9 of the parent; the rest must follow by itself."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        assert 0 == self.process.wait(timeout=120)

    def command(self, *words: str) -> Any:
        """A reading command's JSON."""
        done = subprocess.run(
            [sys.executable, "-m", "deploy", *words, "--data", str(self._data), "--json"],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert 0 == done.returncode, done.stderr
        return json.loads(done.stdout)


def test_killed_under_traffic_everything_whole_is_counted_once_and_nothing_cut_too_much(
    tmp_path: Path, seed: int
) -> None:
    weir = Whole(tmp_path)
    facts = weir.start()
    s3 = boto3.client(
        "s3", endpoint_url=facts["gateway_url"], aws_access_key_id=facts["access_key"],
        aws_secret_access_key=facts["secret_key"], region_name="us-east-1", config=Config(retries={"max_attempts": 0}),
    )  # fmt: skip
    s3.create_bucket(Bucket="counted")
    for size in GET_SIZES:
        s3.put_object(Bucket="counted", Key=f"g{size}", Body=bytes(size))
    member = facts["member"]
    base = weir.command("usage", member)
    port = urlsplit(facts["gateway_url"]).port
    assert port is not None
    traffic = [Traffic(port, facts["access_key"], facts["secret_key"], seed + n) for n in range(4)]
    for one in traffic:
        one.start()
    chance = random.Random(seed)
    for _ in range(2):
        wanted = sum(one.exchanges for one in traffic) + chance.randrange(50, 200)
        while sum(one.exchanges for one in traffic) < wanted:
            threading.Event().wait(0.01)
        weir.kill()
        weir.start()
    for one in traffic:
        one.stopping = True
    for one in traffic:
        one.join(timeout=30)
    usage = weir.command("usage", member)
    assert 0 == usage["unshipped_events"]
    counted_in, counted_out = usage["bytes_in"] - base["bytes_in"], usage["bytes_out"] - base["bytes_out"]
    whole_in, whole_out = sum(t.whole_in for t in traffic), sum(t.whole_out for t in traffic)
    unsure_in, unsure_out = sum(t.unsure_in for t in traffic), sum(t.unsure_out for t in traffic)
    assert whole_in - unsure_in <= counted_in <= whole_in + sum(t.cut_in for t in traffic)
    assert whole_out - unsure_out <= counted_out <= whole_out + sum(t.cut_out for t in traffic)
    verified = weir.command("verify", member, usage["to"][:7])
    assert verified["agrees"]
    weir.stop()
    # The same answer without a running Weir: the command starts the database for a moment.
    again = weir.command("usage", member)
    assert [usage[name] for name in ("bytes_in", "bytes_out", "requests_a", "requests_b")] == [
        again[name] for name in ("bytes_in", "bytes_out", "requests_a", "requests_b")
    ]
    assert again["byte_seconds"] >= usage["byte_seconds"]
