"""The counting core: one record, a journal shipped beside a plain COPY, a restart with ten million events waiting."""

from __future__ import annotations

import asyncio
import random
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from gateway.vault import Vault
from meter.event import Event, RequestClass
from meter.ids import BucketId, MemberId
from meter.journal import Journal
from meter.postgres import connect
from meter.recorder import Recorder, now_us
from meter.settings import MeterSettings
from meter.shipper import Shipper, unshipped
from tests.bench.table import paired, show
from tests.events import NOON_US, PLAIN
from tests.gateway import RunningGateway
from tests.postgres import TestServer

EVENTS = 1_000_000
ROUNDS = 3
WAITING = 10_000_000
"""Events that nobody shipped, for the restart."""
MEMBERS, BUCKETS, OPERATIONS = 200, 1000, (1, 2, 3, 7)
POOL = 50_000


def pool() -> list[Event]:
    """Events as a co-op of 200 members and 1,000 buckets makes them, a few buckets busier than most; seeded."""
    dice = random.Random(4)
    found = []
    for number in range(POOL):
        bucket = int(BUCKETS * dice.random() ** 2)
        size = dice.randrange(1_000_000)
        found.append(
            PLAIN._replace(
                request_id=dice.randbytes(16), payer=MemberId(1 + bucket % MEMBERS), bucket=BucketId(1 + bucket),
                operation=dice.choice(OPERATIONS), request_class=RequestClass.B, bytes_in=0, moved_in=0,
                bytes_out=size, moved_out=size, began_us=NOON_US, ended_us=NOON_US + number,
            )
        )  # fmt: skip
    return found


def bench_recorder(directory: Path) -> None:
    """record(), and the held form that short answers take, against the same loop without them."""
    recorder = Recorder(directory, MeterSettings(journal_segment_bytes_max=64 * 2**20), slots_max=1)
    events = [PLAIN._replace(bytes_in=n) for n in range(100_000)]

    def timed(work: Callable[[Sequence[Event]], None]) -> Callable[[], float]:
        def once() -> float:
            began = time.process_time()
            work(events)
            return (time.process_time() - began) / len(events) * 1e6

        return once

    def record(some: Sequence[Event]) -> None:
        for event in some:
            recorder.record(event)

    def hold(some: Sequence[Event]) -> None:
        for event in some:
            recorder.hold(event)
            recorder.publish()

    def nothing(some: Sequence[Event]) -> None:
        for event in some:
            abs(event.bytes_in)

    for name, work in (("record()", record), ("hold() and publish()", hold)):
        cost, base, ratio = paired(timed(work), timed(nothing))
        show(f"recorder: {name}", f"{cost:.2f} µs", f"empty loop {base:.3f} µs", ratio, "≤ 3 µs")
    recorder.close()


def write_journal(settings: MeterSettings, count: int) -> None:
    """A stream of `count` events, synced and let go as a stopped worker leaves it."""
    journal = Journal(
        settings.journal_directory / "worker-0", segment_bytes_max=settings.journal_segment_bytes_max,
        segment_age_max_s=settings.journal_segment_age_max_s, now_us=NOON_US,
    )  # fmt: skip
    events = pool()
    for _ in range(count // len(events)):
        for event in events:
            journal.append(event)
    journal.close()


@dataclass(frozen=True, slots=True)
class Took:
    """How long something took."""

    wall_s: float
    own_s: float
    """Processor time of this process: on one core it could not go faster."""


def shipped(settings: MeterSettings, database: str) -> Took:
    """Ship a journal that nobody shipped before, until its sums are committed; compressing comes after that."""

    async def work() -> Took:
        connection = await connect(database, role="weir_meter")
        began, used = time.perf_counter(), time.process_time()
        await Shipper(settings, packs=False).ship(connection)
        took = Took(time.perf_counter() - began, time.process_time() - used)
        assert await unshipped(connection, settings.journal_directory) == 0
        await connection.close()
        return took

    return asyncio.run(work())


COPIED = (
    "sequence bigint, request_id bytea, payer bigint, requester bigint, bucket bigint, operation smallint,"
    " class smallint, zone smallint, began_us bigint, ended_us bigint, bytes_in bigint, bytes_out bigint,"
    " moved_in bigint, moved_out bigint, status smallint, marks smallint, stored_bytes bigint, line smallint"
)


async def copied(database: str, rows: Sequence[tuple[object, ...]]) -> float:
    """Seconds of a plain COPY of the same events, the rows ready in memory."""
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(f"CREATE TABLE copied ({COPIED})")
        began = time.perf_counter()
        await connection.copy_records_to_table("copied", records=rows)
        return time.perf_counter() - began
    finally:
        await connection.execute("DROP TABLE copied")
        await connection.close()


def bench_shipping(place: Path, server: TestServer) -> None:
    """Journal to committed sums beside COPY, in turn."""
    source = MeterSettings(data=place / "source")
    write_journal(source, EVENTS)
    rows = [(n, *event) for n, event in enumerate(_repeated(pool(), EVENTS), 1)]
    ships, copies = [], []
    for number in range(ROUNDS):
        settings = MeterSettings(data=place / f"copy-{number}")
        shutil.copytree(source.data, settings.data)
        database = server.database()
        ships.append(shipped(settings, database))
        copies.append(asyncio.run(copied(database, rows)))
        server.drop(database)
        shutil.rmtree(settings.data)
    shutil.rmtree(source.data)
    rate = EVENTS / statistics.median(one.wall_s for one in ships)
    own = EVENTS / statistics.median(one.own_s for one in ships)
    base = EVENTS / statistics.median(copies)
    ratio = statistics.median(copy / one.wall_s for one, copy in zip(ships, copies, strict=True))
    show("journal to committed sums / COPY", f"{rate:,.0f}/s", f"COPY {base:,.0f}/s", ratio, "≥ 0.5")
    show("  of one core", f"{own:,.0f}/s", "goal 300,000/s", own / 300_000, "≥ 1")


def _repeated(events: Sequence[Event], count: int) -> Iterator[Event]:
    for _ in range(count // len(events)):
        yield from events


def ready_s(data: Path, database: str) -> float:
    """From starting a gateway worker's process to its line that says it serves."""
    data.mkdir(exist_ok=True)
    Vault.open(data / "secret.key", create=True)
    gateway = RunningGateway(data, database, workers=1)
    began = time.perf_counter()
    gateway.start()
    took = time.perf_counter() - began
    gateway.close()
    return took


def bench_restart(place: Path, database: str) -> None:
    """Ten million events nobody shipped: the worker's stream opens, and all of it is shipped."""
    settings = MeterSettings(data=place / "waiting")
    write_journal(settings, WAITING)
    began = time.perf_counter()
    recorder = Recorder(settings.journal_directory / "worker-0", settings, slots_max=4096)
    recorder.record(PLAIN._replace(ended_us=now_us()))
    opened_s = time.perf_counter() - began
    recorder.close()
    show(f"{WAITING:,} unshipped: a worker records", f"{opened_s:.3f} s", "goal 1 s", opened_s, "≤ 1")
    ready = [ready_s(place / "empty", database), ready_s(settings.data, database)]
    show(
        f"{WAITING:,} unshipped: a worker serves",
        f"{ready[1]:.2f} s",
        f"empty journal {ready[0]:.2f} s",
        ready[1] / ready[0],
        "≤ 1.1",
    )
    took = shipped(settings, database)
    show(
        f"{WAITING:,} unshipped: all are in the sums",
        f"{took.wall_s:.1f} s",
        "goal 60 s",
        took.wall_s / 60,
        "≤ 1",
    )
    shutil.rmtree(settings.data)
