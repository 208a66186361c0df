"""`weir audit`: clean on a healthy co-op, also beside traffic; each planted difference is named; nothing is changed."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zstandard

from billing.settings import BillingSettings
from deploy.commands.audit import Audit, document, look
from deploy.desk import Desk
from deploy.embedded import dsn as dsn_of
from deploy.settings import DeploySettings
from meter import frame, store
from meter.daily import make_due_heads
from meter.postgres import connect
from meter.recorder import now_us
from meter.settings import MeterSettings
from meter.shipper import Shipper, ship_everything
from meter.signing import ensure_key
from meter.window import HOUR_US, Month
from tests.events import PLAIN
from tests.gateway import client, running_gateway
from tests.integration.journals import write
from tests.postgres import TestServer

YOUNG_SEGMENTS = {"WEIR_JOURNAL_SEGMENT_AGE_MAX_S": "1"}
OBJECT_BYTES = 300_000
"""More than the index keeps for itself, so that there is a file."""


class LaterDesk(Desk):
    """A desk two hours ahead, so that a file of today is old enough to be called left over."""

    @property
    def now_us(self) -> int:
        return now_us() + 2 * HOUR_US


@dataclass
class Place:
    """A co-op on a disk and in a database, for one test."""

    data: Path
    database: str

    @property
    def settings(self) -> MeterSettings:
        return MeterSettings(data=self.data, database_url=self.database, journal_segment_bytes_max=2**16)

    def audit(self, kind: type[Desk] = LaterDesk) -> Audit:
        desk = kind(DeploySettings(), self.settings, BillingSettings(), self.data, self.database, None)
        return asyncio.run(look(desk, self.settings, lambda _: None))

    def kinds(self) -> set[str]:
        return {one.kind.value for one in self.audit().findings.named}

    def sql(self, *statements: str) -> None:
        async def work() -> None:
            connection = await connect(self.database)
            await connection.execute("SET session_replication_role = replica")  # no trigger stands in the way
            for statement in statements:
                await connection.execute(statement)
            await connection.close()

        asyncio.run(work())

    def index(self, statement: str) -> None:
        connection = sqlite3.connect(self.data / "engine" / "index.sqlite")
        connection.execute(statement)
        connection.commit()
        connection.close()

    def segment(self, number: int) -> Path:
        (found,) = (self.data / "journal" / "worker-5").glob(f"{number:012d}.seg*")
        return found


@pytest.fixture(scope="module")
def built(postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Real requests of a real client, shipped, last month closed, heads signed, everything stopped."""
    data = tmp_path_factory.mktemp("audit") / "data"
    data.mkdir()
    place = Place(data, postgres_server.database())
    ensure_key(data)
    with running_gateway(data, place.database) as gateway:
        anna = gateway.member("anna")
        s3 = client(gateway, anna)
        s3.create_bucket(Bucket="films")
        for number in range(60):
            s3.put_object(Bucket="films", Key=f"small-{number % 50}", Body=b"x" * number)
        for number in range(6):
            s3.put_object(Bucket="films", Key=f"large-{number}", Body=bytes([number]) * OBJECT_BYTES)
        for number in range(60):
            s3.get_object(Bucket="films", Key=f"small-{number % 50}")["Body"].read()
        s3.delete_object(Bucket="films", Key="large-5")
        gateway.usage(anna.member)
    # Segments of 510 records: two are sealed, and the third is open.
    write(place.settings, *[PLAIN._replace(bytes_in=number) for number in range(1200)], stream="worker-5")

    async def finish() -> None:
        billing = await connect(place.database, role="weir_office")
        async with billing.transaction():
            await store.close_month(billing, Month.of(now_us()).previous(), now_us=now_us())
        await billing.close()
        assert 0 == await ship_everything(place.settings, place.database)
        meter = await connect(place.database, role="weir_meter")
        await make_due_heads(meter, place.settings, now_us=now_us())
        await meter.close()

    asyncio.run(finish())
    return place


@pytest.fixture
def place(built: Place, postgres_server: TestServer, tmp_path: Path) -> Iterator[Place]:
    """A copy of it, to be spoilt."""
    data = tmp_path / "data"
    shutil.copytree(built.data, data, symlinks=True)
    name = f"audit_{tmp_path.name.lower().replace('-', '_')}"[:60]
    template = built.database.partition("///")[2].partition("?")[0]
    postgres_server._loop.run(postgres_server._admin(f'CREATE DATABASE "{name}" TEMPLATE {template}'))
    one = Place(data, dsn_of(postgres_server.server.socket_directory, database=name))
    yield one
    postgres_server._loop.run(postgres_server._admin(f'DROP DATABASE "{name}" WITH (FORCE)'))


def test_a_healthy_co_op_agrees_and_says_what_was_looked_at(place: Place) -> None:
    found = place.audit()
    assert [] == found.findings.named
    told: dict[str, Any] = document(found)
    # One CreateBucket, 66 PUTs, 60 GETs, one DELETE, 1200 more; and a change of stored bytes for most writes.
    assert told["records"] >= 1328 + 50
    assert told["segments"] == 5
    assert (2, 6, 5 * OBJECT_BYTES) == (told["heads"], told["files"], told["file_bytes"] - OBJECT_BYTES)
    assert (1, OBJECT_BYTES) == (told["waiting"]["garbage_files"], told["waiting"]["garbage_bytes"])
    assert (0, 0) == (told["waiting"]["unshipped_events"], told["waiting"]["outbox_changes"])


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def another_key(place: Place) -> None:
    (place.data / "signing.key").unlink()
    ensure_key(place.data)


def unpacked(place: Place, number: int) -> Path:
    """A compressed segment laid open again, to be spoilt byte by byte."""
    packed = place.segment(number)
    if packed.suffix != ".zst":
        return packed
    path = packed.with_suffix("")
    path.write_bytes(zstandard.ZstdDecompressor().decompress(packed.read_bytes(), max_output_size=2**20))
    packed.unlink()
    return path


def forge(place: Place) -> None:
    """A segment whose record was changed by somebody who knows the format: every checksum and digest fits."""
    path = unpacked(place, 1)
    data = path.read_bytes()
    header, records, seed = frame.unpack_header(data), b"", 0
    seed = frame.record_seed(header)
    for sequence, event in frame.events(data[256:]):
        record, seed = frame.pack_chained(sequence, event._replace(bytes_in=event.bytes_in + 1), seed)
        records += record
    count = len(records) // 128
    live = frame.pack_live(
        frame.Live(count, count, sealed=True, digest=frame.segment_digest(header, records))
    )
    path.write_bytes(data[:128] + live.ljust(128, b"\0") + records)


READING = "(SELECT ctid FROM meter.reading WHERE bytes_in > 0 AND bytes_out = 0 LIMIT 1)"
DIFFERENCES: dict[str, tuple[Callable[[Place], object], set[str]]] = {
    "a byte more in a sum": (
        lambda p: p.sql(f"UPDATE meter.reading SET bytes_out = bytes_out + 1 WHERE ctid = {READING}"),
        {"reading"},
    ),
    "a sum is gone": (lambda p: p.sql(f"DELETE FROM meter.reading WHERE ctid = {READING}"), {"reading"}),
    "a sum nobody counted": (
        lambda p: p.sql(
            f"INSERT INTO meter.reading SELECT period, 99, hour, bucket, operation, class, zone, requests, failures,"
            f" aborts, bytes_in, bytes_out, moved_in, moved_out FROM meter.reading WHERE ctid = {READING}"
        ),
        {"reading"},
    ),
    "a stored byte less": (lambda p: p.sql("UPDATE meter.storage SET delta = delta - 1"), {"storage"}),
    "a moment": (lambda p: p.sql("UPDATE meter.storage SET moment = moment + 1"), {"storage"}),
    "a stream's place": (
        lambda p: p.sql("UPDATE meter.stream SET last_sequence = 99999 WHERE label = 'worker-5'"), {"place"},
    ),
    "a stream's last record": (
        lambda p: p.sql("UPDATE meter.stream SET last_record = '\\x00' WHERE label = 'worker-5'"), {"place"},
    ),
    "a stream is gone": (lambda p: shutil.rmtree(p.data / "journal" / "worker-5"), {"place", "reading"}),
    "a stream is there twice": (
        lambda p: shutil.copytree(p.data / "journal" / "worker-5", p.data / "journal" / "worker-9"), {"segment"},
    ),
    "a flipped bit": (lambda p: flip(unpacked(p, 1), 256 + 128 * 5 + 80), {"segment", "reading"}),
    "a segment is missing": (lambda p: p.segment(2).unlink(), {"segment", "reading"}),
    "the first segment is missing": (lambda p: p.segment(1).unlink(), {"segment", "reading"}),
    "a segment is there under another number": (
        lambda p: shutil.copy(p.segment(1), p.segment(2)), {"segment", "reading"},
    ),
    "a segment of another stream": (
        lambda p: shutil.copy(next((p.data / "journal" / "engine").glob("*1.seg*")), p.segment(1)),
        {"segment", "reading"},
    ),
    "a well-made forgery": (forge, {"digest", "segment", "reading"}),
    "another digest in the database": (
        lambda p: p.sql("UPDATE meter.segment SET digest = decode(repeat('00', 32), 'hex') WHERE number = 2"),
        {"digest", "head"},
    ),
    "a watermark": (
        lambda p: p.sql("UPDATE meter.closed_month SET watermark = '{}'"), {"watermark"},
    ),
    "a head was changed": (
        lambda p: p.sql("UPDATE meter.head SET document = replace(document, '\"label\":\"', '\"label\":\"x')"
                        " WHERE number = 2"),
        {"head"},
    ),
    "the first head is gone": (lambda p: p.sql("DELETE FROM meter.head WHERE number = 1"), {"head"}),
    "the last head is gone": (lambda p: p.sql("DELETE FROM meter.head WHERE number = 2"), {"head"}),
    "a head's file is gone": (lambda p: next((p.data / "heads").iterdir()).unlink(), {"head"}),
    "a head's file was changed": (lambda p: flip(next((p.data / "heads").iterdir()), 30), {"head"}),
    "another signing key": (another_key, {"head"}),
    "the index's own sum": (lambda p: p.index("UPDATE total SET bytes = bytes + 7"), {"total"}),
    "a row of the index": (
        lambda p: p.index("DELETE FROM object WHERE key = CAST('small-3' AS BLOB)"), {"total", "stored"},
    ),
    "a change that is in neither outbox nor journal": (
        lambda p: p.index("UPDATE meta SET value = value + 1 WHERE name = 'sequence'"), {"outbox"},
    ),
    "a file is missing": (lambda p: kept_blob(p).unlink(), {"file-missing"}),
    "a file is short": (lambda p: kept_blob(p).write_bytes(b"short"), {"file-size"}),
    "a file too many": (
        lambda p: (p.data / "engine" / "blobs" / "ab" / ("ab" + "0" * 30)).write_bytes(b"left over"),
        {"file-orphan"},
    ),
}  # fmt: skip


def kept_blob(place: Place) -> Path:
    """The file of an object that is there."""
    connection = sqlite3.connect(place.data / "engine" / "index.sqlite")
    (blob,) = connection.execute(
        "SELECT blob FROM piece WHERE blob IS NOT NULL ORDER BY piece LIMIT 1"
    ).fetchone()
    connection.close()
    return place.data / "engine" / "blobs" / blob[:2] / blob


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_planted_difference_is_named(place: Place, name: str) -> None:
    plant, kinds = DIFFERENCES[name]
    plant(place)
    assert kinds == place.kinds()


def test_a_difference_says_where_and_how_many_bytes(place: Place) -> None:
    place.sql(f"UPDATE meter.reading SET bytes_out = bytes_out + 4711 WHERE ctid = {READING}")
    blob = kept_blob(place)
    blob.write_bytes(b"x" * (OBJECT_BYTES - 10))
    reading, size = place.audit().findings.named
    assert (4711, 10) == (reading.size_bytes, size.size_bytes)
    assert "payer 1, bucket 1, operation " in reading.where
    assert "bytes_out is 4711 in PostgreSQL and 0 in the journal" in reading.sentence
    assert (
        f"the file {blob.name} of bucket 1, key 'large-0' has 299990 bytes, the index says 300000"
        == size.sentence
    )


def fingerprint(data: Path) -> dict[str, tuple[int, str]]:
    """Every file's time and bytes, but for SQLite's shared memory, where a reader's lock may leave a mark."""
    return {
        str(path.relative_to(data)): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(data.rglob("*"))
        if path.is_file() and not path.name.endswith("-shm")
    }


async def tables(database: str) -> dict[str, str]:
    connection = await connect(database)
    names = await connection.fetch(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
        " WHERE schemaname IN ('meter', 'gateway', 'billing', 'public')"
    )
    found = {
        row["name"]: await connection.fetchval(
            f"SELECT md5(coalesce(string_agg(t::text || ctid::text, '' ORDER BY t::text), '')) FROM {row['name']} t"
        )
        for row in names
    }
    await connection.close()
    return found


@pytest.mark.parametrize("is_killed", [False, True])
def test_nothing_is_changed(place: Place, is_killed: bool) -> None:
    """Stopped cleanly, and after kill -9, when SQLite's log still lies there."""
    if is_killed:
        with running_gateway(place.data, place.database, environment=YOUNG_SEGMENTS) as gateway:
            ben = gateway.member("ben")
            client(gateway, ben).create_bucket(Bucket="after")
            client(gateway, ben).put_object(Bucket="after", Key="a", Body=b"abc")
            gateway.end(signal.SIGKILL)
        assert (place.data / "engine" / "index.sqlite-wal").stat().st_size
    before = fingerprint(place.data), asyncio.run(tables(place.database))
    assert [] == place.audit().findings.named
    assert before == (fingerprint(place.data), asyncio.run(tables(place.database)))


def test_beside_running_traffic_there_is_no_false_alarm(place: Place) -> None:
    stopping = threading.Event()
    failures: list[BaseException] = []

    async def ship() -> None:
        connection = await connect(place.database, role="weir_meter")
        shipper = Shipper(place.settings)
        try:
            while not stopping.is_set():
                done = await shipper.ship(connection)
                assert not done.alarms, done.alarms
        finally:
            await connection.close()

    with running_gateway(place.data, place.database, workers=2, environment=YOUNG_SEGMENTS) as gateway:
        ben = gateway.member("ben")
        client(gateway, ben).create_bucket(Bucket="busy")

        def traffic(number: int) -> None:
            s3 = client(gateway, ben)
            turn = 0
            while not stopping.is_set():
                turn += 1
                size = (turn % 3) * OBJECT_BYTES // 2 + turn
                s3.put_object(Bucket="busy", Key=f"{number}-{turn % 7}", Body=b"y" * size)
                s3.get_object(Bucket="busy", Key=f"{number}-{turn % 7}")["Body"].read()
                if turn % 3 == 0:
                    s3.delete_object(Bucket="busy", Key=f"{number}-{turn % 7}")

        def kept(work: Callable[[], object]) -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - told by the test
                failures.append(error)

        threads = [threading.Thread(target=kept, args=(lambda n=n: traffic(n),)) for n in range(2)]
        threads.append(threading.Thread(target=kept, args=(lambda: asyncio.run(ship()),)))
        for thread in threads:
            thread.start()
        try:
            first = place.audit(Desk)
            again = [place.audit(Desk) for _ in range(6)]
        finally:
            stopping.set()
            for thread in threads:
                thread.join()
    assert [] == failures
    assert [] == [one.sentence for audit in (first, *again) for one in audit.findings.named]
    assert again[-1].records > first.records
