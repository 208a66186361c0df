"""Backup and restore as a person runs them: under traffic, the whole place destroyed, and killed in the middle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from deploy.backup.last import last_backup
from tests.integration.test_up import Weir, client, descendants, environment, get, wait_until_gone
from tests.integration.test_up import weir as weir
from tests.ordinary import ROOT

DEADLINE_S = 240
STEP_S = 0.01
pytestmark = pytest.mark.timeout(1200)
"""Each starts Weir several times."""


class Client(threading.Thread):
    """Puts objects, each under a key of its own, and remembers what was answered."""

    def __init__(self, s3: Any, name: str) -> None:
        super().__init__(daemon=True)
        self.done = threading.Event()
        self.put: dict[str, bytes] = {}
        self._s3 = s3
        self._name = name

    def run(self) -> None:
        number = 0
        while not self.done.is_set():
            number += 1
            key = f"{self._name}-{number}"
            body = hashlib.sha256(key.encode()).digest() * (15 if number % 3 else 2000)
            self._s3.put_object(Bucket="films", Key=key, Body=body)
            self.put[key] = body


def listed(s3: Any) -> dict[str, bytes]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="films")
    keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
    return {key: s3.get_object(Bucket="films", Key=key)["Body"].read() for key in keys}


def prepared(weir: Weir) -> list[str]:
    """A passphrase and a place for backups; what every command is told of them."""
    passphrase = weir.data.parent / "passphrase"
    passphrase.write_text("correct horse battery staple\n")
    return [str(weir.data.parent / "backups"), "--passphrase-file", str(passphrase)]


def test_a_co_op_under_traffic_is_destroyed_and_comes_back(weir: Weir) -> None:
    place = prepared(weir)
    ready = weir.start()
    s3 = client(ready)
    s3.create_bucket(Bucket="films")
    clients = [Client(client(ready), name) for name in ("anna", "bert")]
    for one in clients:
        one.start()
    until = time.monotonic() + DEADLINE_S
    while any(len(one.put) < 10 for one in clients):
        assert time.monotonic() < until
        assert all(one.is_alive() for one in clients)
        time.sleep(STEP_S)
    before = {key: body for one in clients for key, body in list(one.put.items())}
    first = weir.json("backup", *place)
    assert [] == first["damaged"]
    assert "weir_backup_last_success_timestamp_seconds" in get(ready["admin_url"] + "/metrics")[1]
    assert {"weir", "backup", "secrets", "roles"} <= well(weir, "gateway's port")
    for one in clients:
        one.done.set()
        one.join(DEADLINE_S)
        assert not one.is_alive()
    everything = {key: body for one in clients for key, body in one.put.items()}
    family = descendants(ready["pid"])
    weir.stop(signal.SIGKILL)
    assert set() == wait_until_gone(family)
    shutil.rmtree(weir.data)

    told = weir.json("restore", *place)
    assert (first["name"], True, []) == (told["name"], told["audit"]["agrees"], told["notes"])
    assert {"weir", "secrets", "roles"} <= well(weir, "gateway's port")
    again = weir.start()
    assert ready["secret_key"] == again["secret_key"]
    found = listed(client(again))
    assert set() == before.keys() - found.keys()
    assert found == {key: everything[key] for key in found}
    used = weir.json("usage", "founder")
    assert 0 == used["unshipped_events"]
    # Whatever is billed is there; and what was answered before is billed.
    assert sum(map(len, before.values())) <= used["bytes_in"] <= sum(map(len, found.values()))
    assert weir.json("audit")["agrees"]
    s3 = client(again)
    s3.put_object(Bucket="films", Key="after", Body=b"x" * 1000)
    assert used["bytes_in"] + 1000 == weir.json("usage", "founder")["bytes_in"]
    assert 0 == weir.stop()


def well(weir: Weir, *more: str) -> set[str]:
    """What the doctor finds well; nothing fails."""
    told = weir.json("doctor")
    assert [] == [one for one in told["checks"] if one["level"] == "fail"]
    found = {one["name"] for one in told["checks"] if one["level"] == "ok"}
    assert set(more) <= found
    return found


def started(weir: Weir, *line: str) -> subprocess.Popen[bytes]:
    with weir.data.with_name("killed.log").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "deploy", *line, "--data", str(weir.data)],
            stdout=said, stderr=said, cwd=ROOT, env=environment(),
        )  # fmt: skip


def killed_once(process: subprocess.Popen[bytes], seen: Path, *, count: int) -> bool:
    """Kill it as soon as so many files lie below a directory; whether it was still at work."""
    until = time.monotonic() + DEADLINE_S
    while process.poll() is None and sum(len(files) for _, _, files in os.walk(seen)) < count:
        assert time.monotonic() < until
        time.sleep(STEP_S)
    process.kill()
    return process.wait(DEADLINE_S) == -signal.SIGKILL


def test_a_killed_backup_is_none_and_a_killed_restore_leaves_no_co_op(weir: Weir) -> None:
    place = prepared(weir)
    ready = weir.start()
    s3 = client(ready)
    s3.create_bucket(Bucket="films")
    put = {f"film-{number}": bytes([number]) * 70_000 for number in range(120)}
    for key, body in put.items():
        s3.put_object(Bucket="films", Key=key, Body=body)
    before = weir.json("usage", "founder")
    backups, beside = Path(place[0]), weir.data.with_name("data.restoring")
    kills = 0
    for count in (1, 20, 80):
        kills += killed_once(started(weir, "backup", *place), backups / "pieces", count=count)
        names = [] if not (backups / "weir-backup.json").exists() else weir.json("backup", "list", *place)
        assert [] == names
        assert last_backup(weir.data) is None
    assert kills >= 2, weir.data.with_name("killed.log").read_text()
    assert 0 == weir.stop()
    # Nobody collected in between, and nothing is left of the killed ones.
    whole = weir.json("backup", *place)
    assert [] == whole["damaged"]
    assert not (weir.data / "backup.tmp").exists()
    assert weir.json("backup", "verify", *place)["whole"]
    shutil.rmtree(weir.data)
    kills = 0
    for count in (1, 60, 400):
        kills += killed_once(started(weir, "restore", *place), beside, count=count)
        assert not weir.data.exists()
    assert kills >= 2, weir.data.with_name("killed.log").read_text()
    told = weir.json("restore", *place)
    assert told["audit"]["agrees"]
    assert not beside.exists()
    again = weir.start()
    assert put == listed(client(again))
    after = weir.json("usage", "founder")
    assert before["bytes_in"] == after["bytes_in"]
    assert 0 == weir.stop()


def test_refusals_are_sentences(weir: Weir) -> None:
    place = prepared(weir)
    weir.start()
    assert 0 == weir.stop()
    assert "there are no backups" in weir.command("backup", "list", *place, status=2)
    assert "name its file with --passphrase-file" in weir.command("backup", place[0], status=2)
    weir.command("backup", "take", *place)
    other = weir.data.parent / "other"
    other.write_text("another passphrase\n")
    wrong = weir.command("backup", "verify", place[0], "--passphrase-file", str(other), status=2)
    assert "the passphrase does not open the backups" in wrong
    inside = Path(place[0]) / "passphrase"
    inside.write_text("correct horse battery staple\n")
    assert "lies in the backups itself" in weir.command(
        "backup", place[0], "--passphrase-file", str(inside), status=2
    )
    inside.unlink()
    other.write_text("short\n")
    assert "12 is the least" in weir.command("backup", place[0], "--passphrase-file", str(other), status=2)
    assert "is not empty" in weir.command("restore", *place, status=2)
    pruned = json.loads(weir.command("backup", "prune", *place, "--keep", "1", "--json"))
    assert ([], 1) == (pruned["removed"], len(pruned["kept"]))
