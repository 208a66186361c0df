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
from gateway.call import Bucket
from gateway.directory import PostgresDirectory
from gateway.engine_store import S3_KIND, EngineRow
from gateway.move_store import Asked, Move, WorkerRow
from gateway.moving.compare import Loss, keeps
from gateway.moving.copying import Copier, WrongBytes
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
        holds = Holds(
            directory, row, keys_max=keys_max, hold_max_s=self.settings.move_hold_max_s, poll_s=5
        )
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


async def traffic(place: Place, worker: OneWorker, number: int, seed: int, until: asyncio.Event) -> dict[str, Any]:
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
