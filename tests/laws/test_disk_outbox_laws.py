"""After any sequence of operations the outbox sums to what is stored, a bucket and line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import DiskEngine, open_engine
from gateway.storage.errors import NoSuchBucket, StorageError
from gateway.storage.model import Condition, ObjectProperties
from meter.event import StorageLine
from meter.ids import BucketId, MemberId
from tests.contract.engine_model import delete, get, put, stage

BUCKETS = (1, 2)
_numbers = count(1)
KEYS = st.sampled_from(["a", "b", "é"])
SIZES = st.sampled_from([0, 1, 16, 17, 900])
INLINE_BYTES_MAX = 16

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(BUCKETS), KEYS, SIZES, st.booleans()),
        st.tuples(st.just("delete"), st.sampled_from(BUCKETS), st.lists(KEYS, max_size=4)),
        st.tuples(st.just("copy"), st.sampled_from(BUCKETS), KEYS, st.sampled_from(BUCKETS), KEYS),
        st.tuples(st.just("begin"), st.sampled_from(BUCKETS), KEYS),
        st.tuples(st.just("part"), st.integers(0, 1), st.integers(1, 3), SIZES),
        st.tuples(st.just("complete"), st.integers(0, 1), st.sets(st.integers(1, 3)).map(sorted)),
        st.tuples(st.just("abort"), st.integers(0, 1)),
        st.tuples(
            st.just("multipart"), st.sampled_from(BUCKETS), KEYS, st.lists(SIZES, min_size=1, max_size=4)
        ),
        st.tuples(st.just("empty"), st.sampled_from(BUCKETS)),
        st.tuples(st.just("collect")),
    ),
    max_size=30,
)
Operation = tuple[Any, ...]


class Model:
    """What should be stored, in dictionaries, kept by the answers alone."""

    def __init__(self, base: int) -> None:
        self.base = base
        self.objects: dict[tuple[BucketId, str], bytes] = {}
        self.uploads: list[tuple[BucketId, str, str]] = []
        self.parts: dict[str, dict[int, bytes]] = {}
        self.counter = 0

    def bucket(self, number: int) -> BucketId:
        return BucketId(self.base + number)

    def owner(self, number: int) -> MemberId:
        return MemberId(self.base + number + 100)

    def fresh(self, size: int) -> bytes:
        self.counter += 1
        return (f"{self.counter:04d}".encode() * size)[:size]

    def totals(self) -> dict[tuple[BucketId, StorageLine], int]:
        totals: defaultdict[tuple[BucketId, StorageLine], int] = defaultdict(int)
        for (bucket, _), data in self.objects.items():
            totals[bucket, StorageLine.OBJECT] += len(data)
        for bucket, _, upload_id in self.uploads:
            totals[bucket, StorageLine.PART] += sum(map(len, self.parts.get(upload_id, {}).values()))
        return {line: total for line, total in totals.items() if total}


async def _apply(engine: DiskEngine, model: Model, operation: Operation) -> None:
    """One operation on both; raises what the engine refuses, and then the model is as it was."""
    match operation:
        case ("put", int(bucket_number), key, int(size), new_only):
            bucket = model.bucket(bucket_number)
            data = model.fresh(size)
            await put(engine, key, data, bucket=bucket, condition=Condition(if_none_match=new_only))
            model.objects[bucket, key] = data
        case ("delete", int(bucket_number), list(keys)):
            bucket = model.bucket(bucket_number)
            existed = await delete(engine, *keys, bucket=bucket, now_us=1)
            assert [model.objects.pop((bucket, key), None) is not None for key in keys] == list(existed)
        case ("copy", int(bucket_number), key, int(other_number), target):
            bucket = model.bucket(bucket_number)
            other = model.bucket(other_number)
            reader = await engine.open_object(bucket, key)
            await engine.copy_object(
                reader, other, target, properties=ObjectProperties(), condition=Condition(), now_us=1
            )
            reader.close()
            model.objects[other, target] = model.objects[bucket, key]
        case ("begin", int(bucket_number), key):
            bucket = model.bucket(bucket_number)
            upload = await engine.create_upload(
                bucket,
                key,
                properties=ObjectProperties(),
                checksum_algorithm="",
                checksum_kind="",
                now_us=1,
            )
            model.uploads.append((bucket, key, upload.upload_id))
        case ("multipart", int(bucket_number), key, list(sizes)):
            await _apply(engine, model, ("begin", bucket_number, key))
            index = len(model.uploads) - 1
            for number, size in enumerate(sizes, start=1):
                await _apply(engine, model, ("part", index, number, size))
            named = [number for number in range(1, len(sizes) + 1) if number != 2]
            await _apply(engine, model, ("complete", index, named))
        case ("collect",):
            await engine.collect(10**17)
        case ("empty", int(bucket_number)):
            bucket = model.bucket(bucket_number)
            await _apply(engine, model, ("delete", bucket_number, ["a", "b", "é"]))
            for place, key, upload_id in list(model.uploads):
                if place == bucket:
                    await engine.abort_upload(bucket, key, upload_id, now_us=1)
                    model.uploads.remove((place, key, upload_id))
            await engine.delete_bucket(bucket)
            await engine.create_bucket(bucket, owner=model.owner(bucket_number))
        case (_, int(index), *_) if index < len(model.uploads):
            await _apply_upload(engine, model, operation, *model.uploads[index])


async def _apply_upload(
    engine: DiskEngine, model: Model, operation: Operation, bucket: BucketId, key: str, upload_id: str
) -> None:
    parts = model.parts.setdefault(upload_id, {})
    match operation:
        case ("part", _, int(number), int(size)):
            data = model.fresh(size)
            staged = await stage(engine, data)
            await engine.put_part(
                bucket, key, upload_id, number, staged, etag=f"{number}", checksum=None, now_us=1
            )
            parts[number] = data
        case ("complete", _, list(numbers)):
            await engine.complete_upload(
                bucket,
                key,
                upload_id,
                [(number, f"{number}") for number in numbers],
                etag="whole",
                checksum=None,
                condition=Condition(),
                part_bytes_min=0,
                now_us=1,
            )
            model.objects[bucket, key] = b"".join(parts[number] for number in numbers)
            model.uploads.remove((bucket, key, upload_id))
        case ("abort", _):
            await engine.abort_upload(bucket, key, upload_id, now_us=1)
            model.uploads.remove((bucket, key, upload_id))


@pytest.fixture
async def shared_engine(tmp_path: Path) -> AsyncIterator[DiskEngine]:
    """One engine for all examples, each of which makes buckets of its own."""
    engine = await open_engine(
        tmp_path, GatewaySettings(inline_bytes_max=INLINE_BYTES_MAX, blob_delete_delay_s=0)
    )
    yield engine
    await engine.close()


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(operations=OPERATIONS)
async def test_the_outbox_sums_to_what_is_stored(
    shared_engine: DiskEngine, tmp_path: Path, operations: list[Operation]
) -> None:
    engine = shared_engine
    before = await engine.last_sequence()
    base = 10 * next(_numbers)
    model = Model(base)
    for bucket in BUCKETS:
        await engine.create_bucket(model.bucket(bucket), owner=model.owner(bucket))
    for operation in operations:
        try:
            await _apply(engine, model, operation)
        except StorageError:
            continue
    expected = model.totals()
    sums = await _sums_of_outbox(engine, before)
    assert expected == {line: total for line, total in sums.items() if line[1] is not StorageLine.REMOVED}
    totals = await engine.usage_totals()
    assert sums == {line: total for line, total in totals.items() if line[0] > base}
    for number in BUCKETS:
        bucket, owner = model.bucket(number), model.owner(number)
        whole = sum(total for line, total in expected.items() if line[0] == bucket)
        assert (whole, whole) == (_bytes_of(engine, bucket), engine.stored_bytes_of(owner))
    assert sum(totals.values()) == _physical_bytes(engine, tmp_path)
    await engine.collect(10**17)
    assert expected == await _sums_of_outbox(engine, before)
    for (bucket, key), data in model.objects.items():
        assert data == await get(engine, key, bucket=bucket)
    totals = await engine.usage_totals()
    await _assert_files_are_those_pointed_at(engine, tmp_path, stored_bytes=sum(totals.values()))


async def _sums_of_outbox(engine: DiskEngine, before: int) -> dict[tuple[BucketId, StorageLine], int]:
    """What all changes behind that sequence come to, a bucket and line."""
    sums: defaultdict[tuple[BucketId, StorageLine], int] = defaultdict(int)
    for sequence, change in enumerate(await engine.outbox(after=before, limit=1000), start=before + 1):
        assert sequence == change.sequence
        assert change.bucket + 100 == change.member
        sums[change.bucket, change.line] += change.delta_bytes
    return {line: total for line, total in sums.items() if total}


def _physical_bytes(engine: DiskEngine, directory: Path) -> int:
    """Bytes of all files there are, and of what the index holds itself."""
    (in_rows,) = (
        engine._workers.connection()
        .execute("SELECT total(size_bytes) FROM piece WHERE data IS NOT NULL")
        .fetchone()
    )
    return int(in_rows) + sum(path.stat().st_size for path in directory.glob("blobs/*/*"))


def _bytes_of(engine: DiskEngine, bucket: BucketId) -> int:
    """0 for a bucket that is gone."""
    try:
        return engine.stored_bytes(bucket)
    except NoSuchBucket:
        return 0


async def _assert_files_are_those_pointed_at(
    engine: DiskEngine, directory: Path, *, stored_bytes: int
) -> None:
    """No file is left that nothing points at, and none is missing."""
    report = await engine.sweep(10**17)
    assert (report.orphans_removed, report.drafts_removed, report.damaged_count) == (0, 0, 0)
    on_disk = sum(path.stat().st_size for path in directory.glob("blobs/*/*"))
    connection = engine._workers.connection()
    (in_files,) = connection.execute("SELECT total(size_bytes) FROM piece WHERE blob IS NOT NULL").fetchone()
    (in_rows,) = connection.execute("SELECT total(size_bytes) FROM piece WHERE data IS NOT NULL").fetchone()
    (stray,) = connection.execute(
        "SELECT count(*) FROM manifest WHERE first_piece NOT IN (SELECT piece FROM object)"
        " AND first_piece NOT IN (SELECT piece FROM version WHERE piece IS NOT NULL)"
    ).fetchone()
    assert stray == 0
    assert stored_bytes == in_files + in_rows
    assert in_files == on_disk
