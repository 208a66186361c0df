"""An upstream's bad days: each is the right error, bounded in tries, and nothing is told that did not happen."""

from __future__ import annotations

import errno
import hashlib
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.settings import GatewaySettings
from gateway.storage.errors import (
    Busy,
    DamagedObject,
    Misconfigured,
    NoSuchKey,
    StorageError,
    StorageFull,
    Unavailable,
)
from gateway.storage.model import (
    NO_CONDITION,
    Arriving,
    Deletion,
    MemoryExtent,
    ObjectHead,
    ObjectProperties,
    StorageChange,
    StreamedExtent,
    Wanted,
)
from gateway.storage.upstream import engine_base
from gateway.storage.upstream.client import Client
from gateway.storage.upstream.connection import Broken
from gateway.storage.upstream.endpoint import Upstream
from gateway.storage.upstream.engine import UpstreamEngine
from gateway.storage.upstream.engine_base import Place
from gateway.storage.upstream.metrics import UpstreamMetrics
from gateway.storage.upstream.pool import Pool
from gateway.storage.upstream.signing import Account
from gateway.storage.upstream.stored import StoredSums
from meter.event import Event, StorageLine
from meter.ids import BucketId, MemberId
from meter.metrics import Registry
from tests.engines.rogue import Fault, Rogue, running_rogue

BUCKET = BucketId(7)
NOW_US = 1_790_000_000_000_000
LONG = 300_000


@dataclass
class Told:
    """An engine in front of a rogue, and all that it told."""

    engine: UpstreamEngine
    rogue: Rogue
    registry: Registry
    changes: list[StorageChange] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    @property
    def stored(self) -> int:
        """The sum of all changes; without versions nothing is on another line than objects."""
        assert {StorageLine.OBJECT} >= {one.line for one in self.changes}
        return sum(one.delta_bytes for one in self.changes)

    def metric(self, name: str) -> float:
        """A series of the engine."""
        return sum(value for key, value in self.registry.counters.items() if key.startswith(name))

    async def put(self, key: str, body: bytes) -> ObjectHead:
        """Store it as the gateway does: in blocks, then the commit."""
        staged = await self.engine.stage(Arriving(BUCKET, key, len(body)))
        try:
            for at in range(0, len(body), 65536):
                await staged.write(body[at : at + 65536])
            return await self.engine.put_object(
                BUCKET, key, staged, etag=hashlib.md5(body).hexdigest(), properties=ObjectProperties(),
                condition=NO_CONDITION, now_us=NOW_US,
            )  # fmt: skip
        finally:
            await staged.discard()

    async def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Read it as the gateway does."""
        reader = await self.engine.open_object(BUCKET, key)
        try:
            found = b""
            for extent in reader.extents(start, reader.head.size_bytes if stop is None else stop):
                if isinstance(extent, MemoryExtent):
                    found += extent.data
                    continue
                assert isinstance(extent, StreamedExtent)
                while block := await extent.read():
                    found += block
            return found
        finally:
            reader.close()


@pytest.fixture
def rogue() -> Iterator[Rogue]:
    """An S3 system with bad days."""
    with running_rogue() as running:
        yield running


@asynccontextmanager
async def before(
    rogue: Rogue, place: Path, *, scheme: str = "http", features: dict[str, bool] | None = None, **more: int
) -> AsyncIterator[Told]:
    """An engine in front of it, quick to give up."""
    quick = {"upstream_timeout_s": 1, "upstream_failures_max": 5, "upstream_rest_s": 3600}
    settings = GatewaySettings.model_validate({"data": place, **quick, **more})
    registry = Registry()
    metrics = UpstreamMetrics(registry, "rogue")
    account = Account("KEY", "secret", "us-east-1")
    upstream = Upstream.at("rogue", f"{scheme}://127.0.0.1:{rogue.port}", account)
    events: list[Event] = []
    changes: list[StorageChange] = []
    engine = UpstreamEngine(
        Client(upstream, settings, metrics, events.append), settings,
        find=lambda bucket: Place(bucket, "bucket", MemberId(1)) if bucket == BUCKET else None,
        tell=changes.append, sums=StoredSums(), metrics=metrics, spool=place,
        features=features,
    )  # fmt: skip
    yield Told(engine, rogue, registry, changes, events)
    await engine.close()


@pytest.fixture
async def told(rogue: Rogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Told]:
    """An engine in front of the rogue."""
    monkeypatch.setattr(engine_base, "LOOK_PAUSE_S", 0.001)
    async with before(rogue, tmp_path) as found:
        yield found


def certificate(place: Path) -> Path:
    """A key and a certificate of its own for 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rogue")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file = place / "rogue.pem"
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(key.private_bytes(*plain) + made.public_bytes(serialization.Encoding.PEM))
    return file


async def test_a_certificate_nobody_vouches_for_is_refused_and_a_known_one_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file)
    body = os.urandom(LONG)
    with running_rogue(tls) as rogue:
        async with before(rogue, tmp_path, scheme="https") as told:
            with pytest.raises(Unavailable):
                await told.engine.head_object(BUCKET, "k")
        assert [] == rogue.asked
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        async with before(rogue, tmp_path, scheme="https") as told:
            await told.put("k", body)
            assert body == await told.get("k")


@pytest.mark.parametrize("size", [1000, LONG])
async def test_without_a_fault_it_is_there_and_told_once(told: Told, size: int) -> None:
    body = os.urandom(size)
    await told.put("k", body)
    assert body == await told.get("k") == told.rogue.objects["/bucket/k"]
    assert body[10:500] == await told.get("k", 10, 500)
    assert size == told.stored
    await told.put("k", body[:600])
    assert 600 == told.stored
    await told.engine.delete_objects(BUCKET, [Deletion("k")], now_us=NOW_US)
    assert 0 == told.stored
    with pytest.raises(NoSuchKey):
        await told.get("k")


@pytest.mark.parametrize("kind", ["status", "drop", "garbage"])
async def test_a_read_is_tried_again_a_limited_number_of_times(told: Told, kind: str) -> None:
    await told.put("k", b"x" * 100)
    told.rogue.faults.extend([Fault("GET", kind, 503, "SlowDown")] * 2)
    assert b"x" * 100 == await told.get("k")
    before = told.rogue.count("GET")
    told.rogue.faults.extend([Fault("GET", kind, 503, "SlowDown")] * 10)
    with pytest.raises((Busy, Unavailable)):
        await told.get("k")
    # The stale connection's loss is no attempt of its own.
    assert told.rogue.count("GET") - before in (3, 4)
    assert 2 < told.metric("weir_gateway_upstream_retries_total")


async def test_a_body_that_breaks_off_is_no_end(told: Told) -> None:
    body = os.urandom(LONG)
    await told.put("k", body)
    told.rogue.faults.append(Fault("GET", "cut", after_bytes=100_000))
    with pytest.raises(Unavailable):
        await told.get("k")
    # A small one is whole before anything is answered, so it is asked for again.
    await told.put("small", b"x" * 1000)
    told.rogue.faults.append(Fault("GET", "cut", after_bytes=10))
    assert b"x" * 1000 == await told.get("small")
    told.rogue.faults.extend([Fault("GET", "cut", after_bytes=10)] * 3)
    with pytest.raises(Unavailable):
        await told.get("small")


async def test_more_bytes_than_announced_end_the_connection_and_not_the_next_answer(told: Told) -> None:
    body = os.urandom(LONG)
    await told.put("k", body)
    told.rogue.faults.append(Fault("GET", "surplus"))
    with pytest.raises(Unavailable):
        await told.get("k")
    assert body == await told.get("k")


async def test_a_silent_upstream_is_given_up(told: Told) -> None:
    await told.put("k", os.urandom(LONG))
    told.rogue.faults.append(Fault("GET", "stall", after_bytes=5000))
    with pytest.raises(Unavailable):
        await told.get("k")


@pytest.mark.parametrize("size", [1000, LONG])
async def test_a_write_that_was_done_but_not_answered_is_found(told: Told, size: int) -> None:
    body = os.urandom(size)
    told.rogue.faults.append(Fault("PUT", "forget"))
    await told.put("k", body)
    assert size == told.stored
    assert 0 == told.metric("weir_gateway_upstream_unknown_total")


async def test_a_write_that_did_not_happen_tells_nothing(told: Told) -> None:
    await told.put("k", b"old")
    told.rogue.faults.append(Fault("PUT", "drop"))
    with pytest.raises(Unavailable):
        await told.put("k", os.urandom(LONG))
    assert 3 == told.stored
    assert b"old" == await told.get("k")
    assert 1 == told.metric("weir_gateway_upstream_unknown_total")


async def test_a_delete_that_was_done_but_not_answered_is_counted(told: Told) -> None:
    await told.put("k", b"x" * 50)
    told.rogue.faults.extend([Fault("DELETE", "forget")] * 4)
    (gone,) = await told.engine.delete_objects(BUCKET, [Deletion("k")], now_us=NOW_US)
    assert isinstance(gone.error, Unavailable)
    assert 0 == told.stored
    assert {} == told.rogue.objects


@pytest.mark.parametrize(
    ("status", "code", "raised"),
    [
        (507, "InsufficientCapacity", StorageFull), (403, "QuotaExceeded", StorageFull),
        (301, "PermanentRedirect", Misconfigured), (403, "SignatureDoesNotMatch", Misconfigured),
        (400, "AuthorizationHeaderMalformed", Misconfigured), (503, "SlowDown", Busy),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["status", "early"])
async def test_a_refused_write_says_why_and_stores_nothing(
    told: Told, status: int, code: str, raised: type[StorageError], kind: str
) -> None:
    told.rogue.faults.extend([Fault("PUT", kind, status, code)] * 3)
    with pytest.raises(raised):
        await told.put("k", os.urandom(LONG))
    assert ({}, []) == (told.rogue.objects, told.changes)


async def test_what_fails_verification_never_reaches_the_upstream_whole(told: Told) -> None:
    body = os.urandom(LONG)
    staged = await told.engine.stage(Arriving(BUCKET, "k", len(body)))
    await staged.write(body)
    await staged.discard()
    assert 1 == told.rogue.count("PUT")
    assert ({}, []) == (told.rogue.objects, told.changes)


async def test_other_bytes_than_were_sent_are_an_error(told: Told) -> None:
    told.rogue.faults.append(Fault("PUT", "etag"))
    with pytest.raises(Unavailable):
        await told.put("k", b"x" * 100)


async def test_an_object_that_is_replaced_while_it_is_read_is_not_mixed(told: Told) -> None:
    await told.put("k", os.urandom(LONG))
    reader = await told.engine.open_object(BUCKET, "k", wanted=Wanted(head_first=True))
    await told.put("k", os.urandom(LONG))
    (extent,) = reader.extents(0, LONG)
    assert isinstance(extent, StreamedExtent)
    with pytest.raises(DamagedObject):
        await extent.read()
    reader.close()


async def test_an_upstream_that_fails_again_and_again_is_left_alone(told: Told) -> None:
    await told.put("k", b"x")
    told.rogue.faults.extend([Fault("GET", "status", 500, "InternalError")] * 50)
    with pytest.raises(Unavailable):
        await told.get("k")
    with pytest.raises(Busy):
        await told.get("k")
    asked = len(told.rogue.asked)
    for _ in range(5):
        with pytest.raises(Busy):
            await told.get("k")
    assert asked == len(told.rogue.asked)
    assert 1 == sum(told.registry.gauges[key] for key in told.registry.gauges if "resting" in key)


async def test_every_upstream_request_is_an_event_nobody_pays_for(told: Told) -> None:
    body = os.urandom(LONG)
    await told.put("k", body)
    told.rogue.faults.extend([Fault("GET", "drop"), Fault("GET", "cut", after_bytes=100_000)])
    with pytest.raises(Unavailable):
        await told.get("k")
    assert len(told.rogue.asked) == len(told.events)
    assert {0} == {one.payer for one in told.events}
    writes = [one for one in told.events if one.operation == 1002]
    assert [LONG] == [one.bytes_in for one in writes]
    (read,) = [one for one in told.events if one.operation == 1001 and one.bytes_out > 1000]
    assert 100_000 == read.bytes_out


async def test_a_read_that_takes_long_is_asked_twice_where_the_operator_wants_it(
    rogue: Rogue, tmp_path: Path
) -> None:
    async with before(rogue, tmp_path, upstream_attempts_max=1) as told:
        await told.put("k", b"x" * 100)
        rogue.faults.append(Fault("GET", "silent"))
        with pytest.raises(Unavailable):
            await told.get("k")
    hedging = {"upstream_attempts_max": 1, "upstream_hedge_after_ms": 20}
    async with before(rogue, tmp_path, **hedging) as told:
        rogue.faults.append(Fault("GET", "silent"))
        assert b"x" * 100 == await told.get("k")
        # Both are counted: the one that was given up too.
        assert [200, 599] == sorted(one.status for one in told.events)
        rogue.faults.extend([Fault("GET", "drop")] * 2)
        with pytest.raises(Unavailable):
            await told.get("k")


async def test_a_connection_that_gets_no_second_descriptor_takes_nobody_s_place(
    rogue: Rogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short_of_descriptors(_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    upstream = Upstream.at("rogue", f"http://127.0.0.1:{rogue.port}", Account("KEY", "secret", "us-east-1"))
    pool = Pool(upstream, GatewaySettings(data=tmp_path, upstream_connections_max=2))
    with monkeypatch.context() as short:
        short.setattr(os, "dup", short_of_descriptors)
        for _ in range(3):
            with pytest.raises(Broken, match="ended as it began"):
                await pool.take()
    assert 0 == pool.open_count
    two = [await pool.take(), await pool.take()]
    assert [True, True] == [one.is_idle for one in two]
    await pool.close()
    assert 0 == pool.open_count
