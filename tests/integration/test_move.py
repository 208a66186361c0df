"""A bucket moves to another engine under traffic: nothing is lost, nobody sees an error, the sums are exact."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from gateway import engine_store, move_store, store
from gateway.call import Bucket, Subject
from gateway.directory import PostgresDirectory
from gateway.engine_store import S3_KIND, EngineRow
from gateway.move_store import Asked, Move, WorkerRow
from gateway.moving.compare import Loss, keeps
from gateway.moving.holds import Holds
from gateway.moving.mover import Mover, look
from gateway.moving.noting import in_background, noting
from gateway.operation import Operation
from gateway.settings import GatewaySettings
from gateway.storage.base import Engine
from gateway.storage.disk.engine import DiskEngine, open_engine
from gateway.storage.errors import Busy, NoSuchBucket, NoSuchKey
from gateway.storage.model import (
    NO_CONDITION,
    Amendment,
    Arriving,
    BucketRules,
    Checksum,
    Deletion,
    ObjectProperties,
    Retention,
    RetentionMode,
    Versioning,
)
from gateway.vault import Vault
from meter.ids import BucketId, MemberId
from meter.postgres import connect
from meter.recorder import now_us
from meter.refusal import Refusal
from meter.store import add_member
from meter.usage import MemberClass

CEPH = EngineRow(
    "ceph-a", S3_KIND, "http://127.0.0.1:7480", "default", "KEY", b"sealed", "weir-",
    features={"versioning": True, "tagging": True, "object_lock": True, "metadata": True},
)  # fmt: skip


@dataclass
class OneWorker:
    """A gateway's worker without its sockets: directory, holds, and the engines members' requests reach."""

    directory: PostgresDirectory
    holds: Holds
    engines: dict[str, Engine]

    async def write(self, name: str, act: Callable[[Engine, Bucket], Any], *, operation: Operation) -> Any:
        """As the exchange does: wait for a hold, ask the engine of the bucket as it is then, leave."""
        known = await self.directory.bucket(name)
        assert known is not None
        bucket = await self.holds.enter(known, operation)
        try:
            return await act(self.engines[bucket.engine], bucket)
        finally:
            self.holds.leave(bucket.id, operation)

    async def put(self, name: str, key: str, body: bytes, **properties: Any) -> None:
        async def act(engine: Engine, bucket: Bucket) -> None:
            await put(engine, bucket.id, key, body, **properties)

        await self.write(name, act, operation=Operation.PUT_OBJECT)

    async def delete(self, name: str, key: str) -> None:
        async def act(engine: Engine, bucket: Bucket) -> None:
            await engine.delete_objects(bucket.id, [Deletion(key)], now_us=now_us())

        await self.write(name, act, operation=Operation.DELETE_OBJECT)

    async def tag(self, name: str, key: str, tags: dict[str, str]) -> None:
        async def act(engine: Engine, bucket: Bucket) -> None:
            await engine.amend_object(bucket.id, key, None, Amendment(tags=tags), now_us=now_us())

        await self.write(name, act, operation=Operation.PUT_OBJECT_TAGGING)


async def put(engine: Engine, bucket: BucketId, key: str, body: bytes, **properties: Any) -> None:
    """One object."""
    kept = ObjectProperties(**properties)
    staged = await engine.stage(Arriving(bucket, key, len(body), kept))
    await staged.write(body)
    etag = hashlib.md5(body).hexdigest()
    await engine.put_object(
        bucket, key, staged, etag=etag, properties=kept, condition=NO_CONDITION, now_us=now_us()
    )


async def read(engine: Engine, bucket: BucketId, key: str, version_id: str | None = None) -> bytes | None:
    """Its bytes; None where there is none."""
    try:
        reader = await engine.open_object(bucket, key, version_id)
    except NoSuchKey:
        return None
    try:
        size = reader.head.size_bytes
        found = b""
        for extent in reader.extents(0, size):
            found += extent.data if hasattr(extent, "data") else _from_file(extent)
        return found
    finally:
        reader.close()


def _from_file(extent: Any) -> bytes:
    with open(f"/proc/self/fd/{extent.descriptor}", "rb") as file:
        file.seek(extent.offset)
        return file.read(extent.size_bytes)


@dataclass
class Place:
    """Two engines, a database with a bucket, and workers."""

    database: str
    path: Path
    disk: DiskEngine
    ceph: DiskEngine
    settings: GatewaySettings
    owner: MemberId
    bucket: Bucket
    workers: list[OneWorker] = field(default_factory=list)

    def connected(self) -> Any:
        @asynccontextmanager
        async def one() -> AsyncIterator[Any]:
            connection = await connect(self.database, role="weir_gateway")
            try:
                yield connection
            finally:
                await connection.close()

        return one()

    async def worker(self, label: str, *, keys_max: int = 1000) -> OneWorker:
        """A worker that runs from now on."""
        directory = PostgresDirectory(
            self.database, snapshot=self.path / label / "directory.json", vault=Vault.open(self.path / "secret.key"),
            poll_s=5, timeout_s=5,
        )  # fmt: skip
        row = WorkerRow(uuid4(), uuid4(), label, "here")
        holds = Holds(directory, row, keys_max=keys_max, hold_max_s=self.settings.move_hold_max_s, poll_s=5)
        await directory.start()
        await holds.start()
        engines = {"disk": noting(self.disk, holds.note), "ceph-a": noting(self.ceph, holds.note)}
        self.workers.append(OneWorker(directory, holds, engines))
        return self.workers[-1]

    async def begin(self) -> Move:
        """Enter the move, or find it."""
        async with self.connected() as connection:
            found = await move_store.open_moves(connection, self.bucket.name)
            if found:
                return found[0]
            move = await move_store.begin(connection, self.bucket.id, CEPH, now_us=now_us())
            assert move is not None
            return move

    async def mover(self, source: Engine | None = None, target: Engine | None = None) -> Mover:
        """What `weir bucket move` runs."""
        return Mover(
            self.connected, await self.begin(), source or self.disk, target or self.ceph, self.settings, clock=now_us,
            told=lambda _: None,
        )  # fmt: skip

    async def now(self) -> Bucket:
        """The bucket as PostgreSQL has it."""
        async with self.connected() as connection:
            return (await store.buckets(connection, name=self.bucket.name))[0]


@pytest.fixture
async def place(database: str, tmp_path: Path) -> AsyncIterator[Place]:
    settings = GatewaySettings(
        data=tmp_path, move_hold_max_s=5, move_copies_max=4, blob_delete_delay_s=0, scrub_bytes_per_s=0
    )
    Vault.open(tmp_path / "secret.key", create=True)
    disk = await open_engine(tmp_path / "disk", settings)
    ceph = await open_engine(tmp_path / "ceph", settings)
    connection = await connect(database)
    owner = (
        await add_member(connection, name="anna", member_class=MemberClass.USER, email="", now_us=now_us())
    ).id
    await engine_store.add_engine(connection, CEPH)
    await store.add_bucket(connection, "photos", owner, now_us=now_us())
    bucket = (await store.buckets(connection, name="photos"))[0]
    await connection.close()
    await disk.create_bucket(bucket.id, owner=owner)
    found = Place(database, tmp_path, disk, ceph, settings, owner, bucket)
    yield found
    for worker in found.workers:
        await worker.holds.close()
        await worker.directory.close()
    await disk.close()
    await ceph.close()


async def deltas(engine: Engine) -> Counter[tuple[int, int]]:
    """Stored bytes by (bucket, line), out of all changes ever told; lines of removed files left out."""
    found: Counter[tuple[int, int]] = Counter()
    for change in await engine.outbox(after=0, limit=100_000):
        if change.line < 3:
            found[change.bucket, change.line] += change.delta_bytes
    return Counter({key: count for key, count in found.items() if count})


async def traffic(
    place: Place, worker: OneWorker, number: int, seed: int, until: asyncio.Event
) -> dict[str, Any]:
    """A member's program: puts, deletes and tags of its own keys; what stands under each in the end."""
    chance, kept = random.Random(seed + number), dict[str, Any]()
    while not until.is_set():
        key = f"{number}/{chance.randrange(12)}"
        match chance.randrange(4):
            case 0 | 1:
                body = chance.randbytes(chance.choice((10, 1000, 40_000)))
                await worker.put(place.bucket.name, key, body)
                kept[key] = (body, {})
            case 2:
                await worker.delete(place.bucket.name, key)
                kept.pop(key, None)
            case _ if key in kept:
                tags = {"n": str(chance.randrange(1000))}
                await worker.tag(place.bucket.name, key, tags)
                kept[key] = (kept[key][0], tags)
        await asyncio.sleep(chance.choice((0, 0.005)))
    return kept


async def test_a_bucket_moves_under_traffic_and_nothing_is_lost(place: Place, seed: int) -> None:
    workers = [await place.worker("worker-0"), await place.worker("worker-1")]
    for number in range(30):
        await workers[0].put(place.bucket.name, f"still/{number}", bytes([number]) * 2000)
    end = asyncio.Event()
    clients = [
        asyncio.create_task(traffic(place, workers[number % 2], number, seed, end)) for number in range(4)
    ]
    mover = await place.mover()
    await mover.run(place.bucket)
    await asyncio.sleep(0.3)  # traffic goes on after the switch; how long does not matter
    end.set()
    kept = {f"still/{number}": (bytes([number]) * 2000, {}) for number in range(30)}
    for client in clients:
        kept |= await client
    now = await place.now()
    assert ("ceph-a", mover.move.target) == (now.engine, now.id)
    there = await place.ceph.list_objects(now.id, prefix="", delimiter="", after="", limit=1000)
    assert sorted(kept) == [one.key for one in there.objects]
    for key, (body, tags) in kept.items():
        assert body == await read(place.ceph, now.id, key), key
        assert tags == (await place.ceph.head_object(now.id, key)).properties.tags, key
    await mover.wait_until_known()
    await mover.clear(place.disk, place.bucket.id, told=lambda _: None)
    with pytest.raises(NoSuchBucket):
        await place.disk.head_object(place.bucket.id, "still/1")
    assert {} == await deltas(place.disk)
    assert {(now.id, 0): sum(len(body) for body, _ in kept.values())} == await deltas(place.ceph)
    assert mover.progress.held_s < place.settings.move_hold_max_s


async def test_a_worker_that_does_not_hold_undoes_the_switch_and_members_go_on_writing(place: Place) -> None:
    """Its long write is under way all the time: the bound passes, everybody goes on where the bucket was."""
    place.settings = place.settings.model_copy(update={"move_hold_max_s": 1, "move_passes_max": 1})
    first, second = await place.worker("worker-0"), await place.worker("worker-1")
    await first.put(place.bucket.name, "a", b"one")
    begun, end = asyncio.Event(), asyncio.Event()

    async def long_write(engine: Engine, bucket: Bucket) -> None:
        begun.set()
        await end.wait()
        await put(engine, bucket.id, "slow", b"slow")

    slow = asyncio.create_task(second.write(place.bucket.name, long_write, operation=Operation.PUT_OBJECT))
    await begun.wait()
    mover = await place.mover()
    # The other one, which held, may have taken its word back by then, and is named beside it.
    with pytest.raises(Refusal, match=r"writes under way did not end in time: .*worker-1 on here"):
        await mover.run(place.bucket)
    assert place.bucket.id == (await place.now()).id
    await asyncio.wait_for(first.put(place.bucket.name, "b", b"two"), 10)
    end.set()
    await slow
    # On a busy machine a second may be too short for a hold; then it is tried again.
    place.settings = place.settings.model_copy(update={"move_passes_max": 50})
    await (await place.mover()).run(place.bucket)
    now = await place.now()
    assert [b"one", b"two", b"slow"] == [await read(place.ceph, now.id, key) for key in ("a", "b", "slow")]


async def test_a_switch_without_every_answer_does_not_happen(place: Place) -> None:
    worker = await place.worker("worker-0")
    await worker.holds.close()  # it says goodbye, and stands in the table again as one that hangs
    row = WorkerRow(uuid4(), uuid4(), "worker-7", "elsewhere")
    move = await place.begin()
    async with place.connected() as connection:
        await move_store.enter_worker(connection, row, now_us=now_us())
        number = await move_store.ask(connection, move, Asked.HOLD)
        asked = (await move_store.open_moves(connection))[0]
        assert not await move_store.switch(connection, move, number, [row], without=(), now_us=now_us())
        other = WorkerRow(row.stream, uuid4(), row.label, row.host)
        assert await move_store.answer(connection, asked, other, (), is_complete=True)
        # Answered by an earlier start of it: what that one noted is gone.
        assert not await move_store.switch(connection, move, number, [row], without=(), now_us=now_us())
        await move_store.withdraw(connection, asked, row.stream)
        assert await move_store.answer(connection, asked, row, ("x",), is_complete=True)
        await move_store.withdraw(connection, asked, row.stream)
        assert not await move_store.switch(connection, move, number, [row], without=(), now_us=now_us())
        assert await move_store.answer(connection, asked, row, (), is_complete=True)
        late = await move_store.ask(connection, move, Asked.HAND_OVER)
        assert late == number + 1
        assert not await move_store.answer(connection, asked, row, ("late",), is_complete=True)
        assert not await move_store.switch(connection, move, number, [row], without=(), now_us=now_us())
    assert place.bucket.id == (await place.now()).id


async def test_what_a_worker_could_not_note_is_found_by_comparing_everything(place: Place) -> None:
    worker = await place.worker("worker-0", keys_max=3)
    mover = await place.mover()
    everyone = await mover._begin_noting()
    await mover._target.create_bucket(mover.move.target, owner=place.owner)
    await mover._copy_all()
    for number in range(10):
        await worker.put(place.bucket.name, f"k{number}", b"1")
    with pytest.raises(Exception, match="more was written than a worker could note"):
        await mover._hand_over(everyone)
    await mover.run(place.bucket)
    there = await place.ceph.list_objects(mover.move.target, prefix="", delimiter="", after="", limit=100)
    assert [f"k{number}" for number in range(10)] == [one.key for one in there.objects]


class Killed(BaseException):
    """Nothing after it runs, as after kill -9."""


class Dying:
    """An engine at whose n-th call the mover dies."""

    def __init__(self, engine: Engine, calls: list[int]) -> None:
        self._engine, self._calls = engine, calls

    def __getattr__(self, name: str) -> Any:
        self._calls[0] -= 1
        if self._calls[0] <= 0:
            raise Killed
        return getattr(self._engine, name)


async def test_a_move_that_was_killed_anywhere_goes_on_and_misses_nothing(place: Place, seed: int) -> None:
    """Between two lives objects go, come and change beside their bytes; each life gets a little further."""
    worker = await place.worker("worker-0")
    chance, kept = random.Random(seed), dict[str, bytes]()
    await worker.write(
        place.bucket.name,
        lambda engine, bucket: engine.set_bucket_rules(bucket.id, BucketRules(Versioning.ENABLED)),
        operation=Operation.PUT_BUCKET_VERSIONING,
    )
    for life in range(12):
        for _ in range(6):
            key = f"k{chance.randrange(8)}"
            if chance.randrange(3):
                kept[key] = chance.randbytes(50)
                await worker.put(place.bucket.name, key, kept[key])
            else:
                kept.pop(key, None)
                await worker.delete(place.bucket.name, key)
        calls = [5 + life * 9]
        mover = await place.mover(Dying(place.disk, calls), Dying(place.ceph, calls))  # type: ignore[arg-type]
        with pytest.raises(Killed):
            await mover.run(place.bucket)
        if place.bucket.id != (await place.now()).id:
            break
    if place.bucket.id == (await place.now()).id:
        await (await place.mover()).run(place.bucket)
    now = await place.now()
    ours = await place.disk.list_versions(
        place.bucket.id, prefix="", delimiter="", after_key="", after_version_id="", limit=1000
    )
    theirs = await place.ceph.list_versions(
        now.id, prefix="", delimiter="", after_key="", after_version_id="", limit=1000
    )
    assert len(ours.versions) > 20
    assert [(one.key, one.etag, one.size_bytes, one.is_marker, one.is_latest) for one in ours.versions] == [
        (one.key, one.etag, one.size_bytes, one.is_marker, one.is_latest) for one in theirs.versions
    ]
    for key, body in kept.items():
        assert body == await read(place.ceph, now.id, key)


async def test_all_that_stands_beside_the_bytes_goes_along(place: Place) -> None:
    worker = await place.worker("worker-0")
    until_us = now_us() + 3600 * 10**6
    disk, number = place.disk, place.bucket.id
    await disk.set_bucket_rules(number, BucketRules(Versioning.ENABLED, locks=True))
    sums = Checksum("SHA256", "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=")
    await put(
        disk, number, "a", b"hello", headers={"content-type": "text/x", "x-amz-meta-a": "ü"}, tags={"t": "1"},
        checksum=sums, retention=Retention(RetentionMode.GOVERNANCE, until_us), legal_hold=True,
    )  # fmt: skip
    upload = await disk.create_upload(
        number, "parts", properties=ObjectProperties({"content-type": "x/y"}), checksum_algorithm="",
        checksum_kind="", now_us=now_us(),
    )  # fmt: skip
    bodies = [bytes([part]) * 100 for part in (1, 2, 3)]
    for part, body in enumerate(bodies, 1):
        staged = await disk.stage(
            Arriving(number, "parts", 100, upload_id=upload.upload_id, part_number=part)
        )
        await staged.write(body)
        await disk.put_part(
            number, "parts", upload.upload_id, part, staged, etag=hashlib.md5(body).hexdigest(), checksum=None,
            now_us=now_us(),
        )  # fmt: skip
    whole = hashlib.md5(b"".join(hashlib.md5(body).digest() for body in bodies)).hexdigest() + "-3"
    await disk.complete_upload(
        number, "parts", upload.upload_id,
        [(part, hashlib.md5(body).hexdigest()) for part, body in enumerate(bodies, 1)], etag=whole, checksum=None,
        condition=NO_CONDITION, part_bytes_min=1, now_us=now_us(),
    )  # fmt: skip
    mover = await place.mover()
    await mover.run(place.bucket)
    head = await place.ceph.head_object(mover.move.target, "a")
    assert (await disk.head_object(number, "a")).properties == head.properties
    assert (head.properties.legal_hold, head.properties.checksum) == (True, sums)
    parts = await place.ceph.head_object(mover.move.target, "parts")
    assert (whole, (100, 100, 100)) == (parts.etag, parts.part_sizes)
    assert BucketRules(Versioning.ENABLED, locks=True) == await place.ceph.bucket_rules(mover.move.target)
    # The old place lets go of what is held: it stands elsewhere by now.
    await mover.wait_until_known()
    await mover.clear(disk, number, told=lambda _: None)
    assert {} == await deltas(disk)
    assert {(mover.move.target, 0): 305} == await deltas(place.ceph)
    assert worker.directory.known_bucket("photos") is not None


class Wrong:
    """An engine that keeps a bit otherwise than it was told, and says of it what it has."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def put_object(self, bucket: BucketId, key: str, staged: Any, *, etag: str, **more: Any) -> Any:
        return await self._engine.put_object(bucket, key, staged, etag=etag[::-1], **more)


async def test_bytes_that_are_not_those_that_left_are_refused(place: Place, tmp_path: Path) -> None:
    await place.worker("worker-0")
    await put(place.disk, place.bucket.id, "a", bytes(40_000))
    mover = await place.mover(target=Wrong(place.ceph))  # type: ignore[arg-type]
    with pytest.raises(Refusal, match="arrived with"):
        await mover.run(place.bucket)
    (blob,) = [
        path for path in (tmp_path / "disk").rglob("*") if path.is_file() and path.stat().st_size == 40_000
    ]
    blob.chmod(0o600)
    blob.write_bytes(bytes(39_999) + b"1")
    with pytest.raises(Refusal, match="and its bytes the MD5"):
        await (await place.mover()).run(place.bucket)
    assert place.bucket.id == (await place.now()).id


async def test_what_would_be_lost_is_known_before_it_begins(place: Place) -> None:
    await put(place.disk, place.bucket.id, "open", b"1", acl='{"grants": []}')
    await put(place.disk, place.bucket.id, "tagged", b"12", tags={"a": "1"})
    poor = EngineRow("poor", S3_KIND)
    found = await look(place.disk, place.bucket.id, keeps(poor), may_change_ids=False, told=lambda _: None)
    assert (2, 3, {Loss.ACCESS_LIST: 1, Loss.TAGS: 1}) == (found.objects, found.size_bytes, dict(found.lost))
    assert {Loss.ACCESS_LIST: "open", Loss.TAGS: "tagged"} == found.examples
    await place.disk.set_bucket_rules(place.bucket.id, BucketRules(Versioning.ENABLED))
    for may_change_ids, expected in (
        (False, {Loss.ACCESS_LIST, Loss.VERSION_IDS}),
        (True, {Loss.ACCESS_LIST}),
    ):
        found = await look(
            place.disk, place.bucket.id, keeps(CEPH), may_change_ids=may_change_ids, told=lambda _: None
        )
        assert expected == set(found.lost)
    assert not keeps(poor).versions


async def test_an_open_upload_keeps_the_bucket_where_it_is_and_new_ones_wait_only_for_a_moment(
    place: Place,
) -> None:
    place.settings = place.settings.model_copy(update={"move_hold_max_s": 1, "move_passes_max": 1})
    worker = await place.worker("worker-0")

    async def begin(engine: Engine, bucket: Bucket) -> Any:
        return await engine.create_upload(
            bucket.id,
            "big",
            properties=ObjectProperties(),
            checksum_algorithm="",
            checksum_kind="",
            now_us=now_us(),
        )

    upload = await worker.write(place.bucket.name, begin, operation=Operation.CREATE_MULTIPART_UPLOAD)
    with pytest.raises(Refusal, match="1 uploads in parts are open"):
        await (await place.mover()).run(place.bucket)
    other = await asyncio.wait_for(
        worker.write(place.bucket.name, begin, operation=Operation.CREATE_MULTIPART_UPLOAD), 10
    )
    for one in (upload, other):
        await place.disk.abort_upload(place.bucket.id, "big", one.upload_id, now_us=now_us())
    place.settings = place.settings.model_copy(update={"move_passes_max": 50})
    await (await place.mover()).run(place.bucket)
    assert "ceph-a" == (await place.now()).engine


async def test_lifecycle_does_not_delete_while_writes_are_held(place: Place) -> None:
    worker = await place.worker("worker-0")
    await worker.put(place.bucket.name, "a", b"1")
    quiet = in_background(place.disk, worker.holds)
    move = await place.begin()
    async with place.connected() as connection:
        number = await move_store.ask(connection, move, Asked.HOLD)
        while not await move_store.answers(connection, move, number):
            await asyncio.sleep(0.01)
        with pytest.raises(Busy):
            await quiet.delete_objects(place.bucket.id, [Deletion("a")], now_us=now_us())
        await move_store.end(connection, move, is_given_up=True, now_us=now_us())
    await asyncio.wait_for(worker.put(place.bucket.name, "a", b"12"), 10)
    (gone,) = await quiet.delete_objects(place.bucket.id, [Deletion("a")], now_us=now_us())
    assert gone.existed


async def test_only_one_works_on_a_move(place: Place) -> None:
    move = await place.begin()
    async with place.connected() as one, place.connected() as other:
        assert await move_store.take_alone(one, move)
        assert not await move_store.take_alone(other, move)
        await one.close()
        for _ in range(100):
            if await move_store.take_alone(other, move):
                return
            await asyncio.sleep(0.05)
    raise AssertionError("the lock outlived its holder")


async def test_documents_and_limit_go_along_and_the_name_has_one_bucket(place: Place) -> None:
    await place.worker("worker-0")
    async with place.connected() as connection:
        await store.put_document(connection, place.bucket.id, Subject.CORS, "<cors/>", now_us=now_us())
        await store.limit_bucket(connection, place.bucket.id, 5000)
    before = await place.now()
    await (await place.mover()).run(place.bucket)
    now = await place.now()
    assert ({Subject.CORS: "<cors/>"}, 5000, before.created_us) == (
        now.documents,
        now.bytes_max,
        now.created_us,
    )
    assert f"weir-{now.id}-photos" == now.upstream_name
