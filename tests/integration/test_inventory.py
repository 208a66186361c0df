"""Inventories: what an engine holds against what was counted, told and never mended unasked."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.inventory import Looked, look
from gateway.inventory_store import Counted, Placed
from gateway.reconcile import AskedOf, Disagreement, Used, disagreements
from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import DiskEngine, open_engine
from gateway.storage.model import (
    NO_CONDITION,
    Arriving,
    BucketRules,
    Deletion,
    ObjectProperties,
    Versioning,
)
from gateway.storage.upstream.cold import parse_usage
from meter.event import StorageLine
from meter.ids import BucketId, MemberId
from meter.recorder import now_us

OWNER, BUCKET = MemberId(1), BucketId(7)
PLACED = Placed(BUCKET, "photos", OWNER, "ceph-a", is_there=True)
OBJECT, PART, VERSION = StorageLine.OBJECT, StorageLine.PART, StorageLine.VERSION


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[DiskEngine]:
    found = await open_engine(tmp_path, GatewaySettings(data=tmp_path))
    await found.create_bucket(BUCKET, owner=OWNER)
    yield found
    await found.close()


async def put(engine: DiskEngine, key: str, body: bytes) -> None:
    staged = await engine.stage(Arriving(BUCKET, key, len(body)))
    await staged.write(body)
    await engine.put_object(
        BUCKET, key, staged, etag=hashlib.md5(body).hexdigest(), properties=ObjectProperties(),
        condition=NO_CONDITION, now_us=now_us(),
    )  # fmt: skip


async def counted(engine: DiskEngine, bucket: BucketId) -> dict[StorageLine, tuple[int, int]]:
    """What the engine told of its changes: here they are always all known."""
    found: dict[StorageLine, tuple[int, int]] = {}
    for change in await engine.outbox(after=0, limit=10_000):
        delta, moment = found.get(change.line, (0, 0))
        if change.bucket == bucket:
            found[change.line] = (delta + change.delta_bytes, moment + change.delta_bytes * change.at_us)
    return found


async def filled(engine: DiskEngine) -> None:
    """Objects of 15 bytes now, old versions of 3, and parts of 10."""
    await engine.set_bucket_rules(BUCKET, BucketRules(Versioning.ENABLED))
    await put(engine, "a", b"1")
    await put(engine, "a", b"1234567890")
    await put(engine, "b", b"12345")
    await put(engine, "gone", b"12")
    await engine.delete_objects(BUCKET, [Deletion("gone")], now_us=now_us())
    upload = await engine.create_upload(
        BUCKET, "up", properties=ObjectProperties(), checksum_algorithm="", checksum_kind="", now_us=now_us()
    )
    for number, body in ((1, b"1234"), (2, b"123456")):
        staged = await engine.stage(
            Arriving(BUCKET, "up", len(body), upload_id=upload.upload_id, part_number=number)
        )
        await staged.write(body)
        await engine.put_part(
            BUCKET, "up", upload.upload_id, number, staged, etag=hashlib.md5(body).hexdigest(), checksum=None,
            now_us=now_us(),
        )  # fmt: skip


async def test_an_inventory_adds_up_every_line(engine: DiskEngine) -> None:
    await filled(engine)

    async def ours(bucket: BucketId) -> Counted:
        return await counted(engine, bucket)

    found = await look(engine, PLACED, ours, settle_s=0, step=lambda _: None)
    assert Looked(PLACED, {OBJECT: (15, 15), PART: (10, 10), VERSION: (3, 3)}, is_settled=True) == found
    assert 0 == found.drift_bytes


async def test_a_difference_counts_only_when_it_stays(engine: DiskEngine) -> None:
    """Seven bytes are on the engine and not in the sums: a change on its way at first, then a real one."""
    await filled(engine)
    late: list[Any] = []

    async def on_its_way(bucket: BucketId) -> Counted:
        late.append(1)
        found = dict(await counted(engine, bucket))
        if len(late) < 3:  # known from the second look on
            found[OBJECT] = (found[OBJECT][0] - 7, found[OBJECT][1])
        return found

    found = await look(engine, PLACED, on_its_way, settle_s=0, step=lambda _: None)
    assert (0, True, 4) == (found.drift_bytes, found.is_settled, len(late))

    async def never_told(bucket: BucketId) -> Counted:
        known = dict(await counted(engine, bucket))
        known[OBJECT] = (known[OBJECT][0] - 7, known[OBJECT][1])
        return known

    found = await look(engine, PLACED, never_told, settle_s=0, step=lambda _: None)
    assert ({OBJECT: (8, 15), PART: (10, 10), VERSION: (3, 3)}, 7) == (found.lines, found.drift_bytes)


async def test_a_bucket_that_is_always_written_to_is_told_as_unknown(engine: DiskEngine) -> None:
    turn = [0]

    async def restless(_: BucketId) -> Counted:
        turn[0] += 1
        return {OBJECT: (5, turn[0])}  # as many bytes as before, and others

    found = await look(engine, PLACED, restless, settle_s=0, step=lambda _: None)
    assert (False, {}) == (found.is_settled, found.lines)


def test_a_usage_log_is_compared_number_by_number_and_only_of_our_buckets() -> None:
    """The document is Ceph's, as its manual prints it: categories of a bucket are added up."""
    entries = {
        "entries": [{
            "user": "weir",
            "buckets": [
                {"bucket": "weir-7-photos", "categories": [
                    {"category": "get_obj", "bytes_sent": 1000, "bytes_received": 0, "ops": 3, "successful_ops": 2},
                    {"category": "put_obj", "bytes_sent": 10, "bytes_received": 500, "ops": 2, "successful_ops": 2},
                ]},
                {"bucket": "weir-7-photos", "categories": [
                    {"category": "get_obj", "bytes_sent": 1, "bytes_received": 0, "ops": 1, "successful_ops": 1},
                ]},
                {"bucket": "somebody-elses", "categories": [
                    {"category": "get_obj", "bytes_sent": 9, "bytes_received": 0, "ops": 1, "successful_ops": 1},
                ]},
            ],
        }],
    }  # fmt: skip
    theirs = parse_usage(entries)
    assert Used("weir-7-photos", "get_obj", 4, 3, 1001, 0) in theirs
    # Three gets and two puts succeeded; the 10 bytes that puts were answered with are no read.
    assert [] == disagreements({"weir-7-photos": AskedOf(5, 500, 1001)}, theirs)
    assert [
        Disagreement("weir-7-photos", "received bytes", 1002, 1001),
        Disagreement("weir-8-x", "requests", 1, 0),
    ] == disagreements({"weir-7-photos": AskedOf(5, 500, 1002), "weir-8-x": AskedOf(1, 0, 0)}, theirs)
