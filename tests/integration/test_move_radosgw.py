"""A bucket moves from the disk to a real S3 system through real gateways, under traffic, by the command itself."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy import settling
from deploy.desk import at_desk
from deploy.place import check_format
from gateway.call import Bucket
from gateway.move_store import Asked, Move
from meter.postgres import connect
from meter.window import to_us
from tests.engines.place import S3System
from tests.gateway import RunningGateway, client, running_gateway
from tests.integration.upstream_kit import stored

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def weir(gateway: RunningGateway, *words: str, fails: bool | None = False) -> dict[str, Any]:
    """Run a command on the gateway's data; its JSON. fails: whether it must; None: it may."""
    environment = {
        **os.environ, "WEIR_DATA": str(gateway.data), "WEIR_DATABASE_URL": gateway.database,
        "WEIR_BLOB_DELETE_DELAY_S": "0",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "deploy", *words, "--json"], env=environment, capture_output=True, text=True,
        timeout=240,
    )  # fmt: skip
    assert fails in (None, done.returncode != 0), done.stdout + done.stderr
    return json.loads(done.stdout) if done.stdout.startswith("{") else {"error": done.stderr}


def fetch(gateway: RunningGateway, query: str, *values: object) -> list[Any]:
    async def work() -> list[Any]:
        connection = await connect(gateway.database)
        try:
            return list(await connection.fetch(query, *values))
        finally:
            await connection.close()

    return asyncio.run(work())


@pytest.fixture
def gateway(database: str, tmp_path: Path) -> Iterator[RunningGateway]:
    check_format(tmp_path)
    with running_gateway(tmp_path, database, workers=2) as found:
        yield found


class Traffic(threading.Thread):
    """A member's program that reads and writes keys of its own, and knows what stands under each in the end."""

    def __init__(self, s3: Any, number: int, seed: int) -> None:
        super().__init__()
        self.s3, self.number, self.chance = s3, number, random.Random(seed + number)
        self.kept: dict[str, bytes] = {}
        self.failures: list[BaseException] = []
        self.done = threading.Event()
        self.rounds = 0

    def run(self) -> None:
        while not self.done.is_set():
            try:
                self.once()
                self.rounds += 1
            except Exception as error:  # noqa: BLE001 - told by the test
                self.failures.append(error)
                return

    def once(self) -> None:
        key = f"{self.number}/{self.chance.randrange(10)}"
        match self.chance.randrange(4):
            case 0 | 1:
                body = self.chance.randbytes(self.chance.choice((100, 30_000, 300_000)))
                self.s3.put_object(Bucket="photos", Key=key, Body=body)
                self.kept[key] = body
            case 2:
                self.s3.delete_object(Bucket="photos", Key=key)
                self.kept.pop(key, None)
            case _ if key in self.kept:
                assert self.kept[key] == self.s3.get_object(Bucket="photos", Key=key)["Body"].read()


def test_a_move_that_is_over_at_once_is_settled_when_its_shortest_span_is(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = gateway.member("anna")
    s3 = client(gateway, anna)
    for name in ("old", "new"):
        s3.create_bucket(Bucket=name)
    source, target = (
        fetch(gateway, "SELECT id FROM gateway.bucket WHERE name = $1", name)[0]["id"]
        for name in ("old", "new")
    )
    # Longer than a second, so that no slow machine is past it before the settlement begins.
    monkeypatch.setattr(settling, "SPAN_US_MIN", 4_000_000)
    monkeypatch.setenv("WEIR_DATA", str(gateway.data))
    monkeypatch.setenv("WEIR_DATABASE_URL", gateway.database)
    started_us = time.time_ns() // 1000
    s3.put_object(Bucket="new", Key="copy", Body=b"1234567")
    switched_us = time.time_ns() // 1000
    move = Move(1, source, target, "old", "disk", "far-a", Asked.NOTHING, 0, started_us, switched_us)
    bucket = Bucket(source, "old", anna.member, started_us)
    entered = at_desk(lambda desk: settling.settle(desk, move, bucket, switched_us=switched_us))
    assert 0 < entered
    (last,) = fetch(
        gateway, "SELECT max(at) AS at, sum(stored_bytes)::bigint AS left_over FROM meter.correction"
    )
    assert (started_us + 4_000_000, 0) == (to_us(last["at"]), last["left_over"])
    assert 7 == stored(gateway, anna.member)[0]


@pytest.fixture(params=["radosgw", "versity_s3"])
def system(request: pytest.FixtureRequest) -> S3System:
    """Each of those that keep tags."""
    found: S3System = request.getfixturevalue(request.param)
    return found


def test_a_bucket_moves_to_another_system_under_traffic_and_the_sums_are_equal(
    gateway: RunningGateway, system: S3System, seed: int, tmp_path: Path
) -> None:
    anna = gateway.member("anna")
    s3 = client(gateway, anna)
    s3.create_bucket(Bucket="photos")
    still = {f"still/{number}": bytes([number]) * 20_000 for number in range(20)}
    for key, body in still.items():
        s3.put_object(Bucket="photos", Key=key, Body=body, Metadata={"n": key}, Tagging="a=1")
    secret = tmp_path / "secret"
    secret.write_text(system.secret_key + "\n")
    added = weir(
        gateway, "engine", "add", "far-a", "--endpoint", system.endpoint, "--region", system.region, "--access-key",
        system.access_key, "--secret-file", str(secret), "--prefix", f"m{os.urandom(3).hex()}-",
    )  # fmt: skip
    assert added["features"]["versioning"]
    programs = [Traffic(client(gateway, anna), number, seed) for number in range(3)]
    for one in programs:
        one.start()
    try:
        told = weir(gateway, "bucket", "move", "photos", "--to", "far-a")
    finally:
        for one in programs:
            one.done.set()
        for one in programs:
            one.join()
    assert [[], [], []] == [one.failures for one in programs]
    assert min(one.rounds for one in programs) > 5
    assert ("moved", "disk", "far-a") == (told["state"], told["from"], told["to"])
    assert told["corrections"] > 0
    kept = dict(still)
    for one in programs:
        kept |= one.kept
    listed = {one["Key"]: one["ETag"] for one in s3.list_objects_v2(Bucket="photos").get("Contents", ())}
    assert {key: f'"{hashlib.md5(body).hexdigest()}"' for key, body in kept.items()} == listed
    head = s3.head_object(Bucket="photos", Key="still/3")
    assert {"n": "still/3"} == head["Metadata"]
    assert [{"Key": "a", "Value": "1"}] == s3.get_object_tagging(Bucket="photos", Key="still/3")["TagSet"]
    # Both numbers are exact: the old one holds nothing, the new one what lies there.
    assert {0: sum(map(len, kept.values()))} == {
        line: size for line, size in stored(gateway, anna.member).items() if line < 3
    }
    sums = fetch(
        gateway, "SELECT bucket, sum(delta)::bigint AS bytes FROM meter.stored WHERE line < 3 GROUP BY bucket"
    )
    assert {told["number_before"]: 0, told["number"]: sum(map(len, kept.values()))} == {
        row["bucket"]: row["bytes"] for row in sums
    }
    found = weir(gateway, "engine", "inventory", "far-a")
    assert (True, []) == (found["agrees"], found["unsettled"])
    # Somebody with the account's key puts bytes there behind our back: told, and mended only when asked.
    name = fetch(gateway, "SELECT upstream_name FROM gateway.bucket WHERE id = $1", told["number"])[0][0]
    straight = system.client()
    straight.put_object(Bucket=name, Key="behind", Body=b"1234567")
    straight.close()
    found = weir(gateway, "engine", "inventory", "far-a", fails=True)
    assert [7] == [one["drift_bytes"] for one in found["lines"] if one["drift_bytes"]]
    before = stored(gateway, anna.member)
    assert before == stored(gateway, anna.member)
    assert 1 == weir(gateway, "engine", "inventory", "far-a", "--correct", "--who", "test")["corrected"]
    assert before[0] + 7 == stored(gateway, anna.member)[0]
    (row,) = fetch(gateway, "SELECT kind, stored_bytes, why FROM meter.correction WHERE kind <> 'move'")
    assert ("inventory", 7) == (row["kind"], row["stored_bytes"])
    assert weir(gateway, "engine", "inventory", "far-a")["agrees"]
    # And back: what was put behind our back goes along, for it is there.
    back = weir(gateway, "bucket", "move", "photos", "--to", "disk")
    assert ("moved", "far-a", "disk") == (back["state"], back["from"], back["to"])
    kept["behind"] = b"1234567"
    listed = {one["Key"]: one["ETag"] for one in s3.list_objects_v2(Bucket="photos")["Contents"]}
    assert {key: f'"{hashlib.md5(body).hexdigest()}"' for key, body in kept.items()} == listed
    for key, body in kept.items():
        assert body == s3.get_object(Bucket="photos", Key=key)["Body"].read()
    assert sum(map(len, kept.values())) == stored(gateway, anna.member)[0]
    straight = system.client()
    assert name not in [one["Name"] for one in straight.list_buckets()["Buckets"]]
    straight.close()
