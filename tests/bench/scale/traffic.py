"""The gateways' side: one process writes every stream's journal, as their workers and engines would."""

from __future__ import annotations

import random
import resource
import shutil
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from multiprocessing.synchronize import Event as Signal
from pathlib import Path

from meter.event import Event, RequestClass
from meter.ids import BucketId, MemberId
from meter.journal import Journal
from meter.recorder import now_us
from meter.signing import ensure_key, key_path
from tests.bench.scale.plan import Count, Plan
from tests.events import PLAIN, stored

SEGMENT_BYTES = 2**18
"""Small, so that thousands of streams fit into memory; a run fills few of them."""
TICK_S = 0.1
READ, WRITE, LIST, HEAD = 1, 3, 5, 2
OPERATIONS = (READ,) * 14 + (WRITE,) * 3 + (LIST,) * 2 + (HEAD,)


def gateway_directory(place: Path, gateway: int) -> Path:
    """The data directory of a gateway."""
    return place / f"gateway-{gateway:05d}"


class Traffic:
    """Exchanges as a seed draws them: few members busy, most nearly idle."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._dice = random.Random(plan.seed)

    def draw(self, at_us: int) -> tuple[int, int, Event]:
        """(gateway, worker, event)."""
        plan, dice = self._plan, self._dice
        if dice.random() < plan.hot:
            member, bucket, operation = 1, 1, READ
            gateway = dice.randrange(plan.gateways)
        else:
            member = 1 + int(plan.members * dice.random() ** 2)
            bucket = member * plan.buckets_each + dice.randrange(plan.buckets_each)
            operation = dice.choice(OPERATIONS)
            gateway = self._served_by(member)
        size = dice.randrange(1_000_000)
        is_write, is_read = operation == WRITE, operation == READ
        event = PLAIN._replace(
            request_id=dice.randbytes(16), payer=MemberId(member), requester=MemberId(member), bucket=BucketId(bucket),
            operation=operation, request_class=RequestClass.B if is_read else RequestClass.A,
            bytes_in=size * is_write, moved_in=size * is_write, bytes_out=size * is_read, moved_out=size * is_read,
            began_us=at_us - 1000, ended_us=at_us,
        )  # fmt: skip
        return gateway, dice.randrange(plan.workers), event

    def _served_by(self, member: int) -> int:
        plan = self._plan
        spread = plan.spread or plan.gateways
        return (member * 7919 + self._dice.randrange(spread)) % plan.gateways

    def records(self, at_us: int) -> Iterator[tuple[int, int, Event]]:
        """(gateway, stream, record) of one exchange: what a write stores stands in the engine's stream."""
        gateway, worker, event = self.draw(at_us)
        yield gateway, worker, event
        if event.operation == WRITE:
            change = stored(event.bytes_in, at_us, member=event.payer, bucket=event.bucket)
            yield gateway, self._plan.workers, change


def write_journals(plan: Plan, place: Path, start: Barrier, stop: Signal, written: Count) -> None:
    """Make all streams, wait for the start, and write until told to stop; `written` is how many records there are."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    journals = [
        [_journal(gateway_directory(place, gateway), stream, plan) for stream in range(plan.workers + 1)]
        for gateway in range(plan.gateways)
    ]
    _share_key(plan, place)
    traffic = Traffic(plan)
    start.wait()
    began, drawn = time.monotonic(), 0
    while not stop.is_set():
        wanted = int((time.monotonic() - began) * plan.rate)
        touched = set()
        for _ in range(wanted - drawn):
            for gateway, stream, event in traffic.records(now_us()):
                journals[gateway][stream].append(event)
                touched.add((gateway, stream))
                written.value += 1
        for gateway, stream in touched:
            journals[gateway][stream].sync()
        drawn = wanted
        stop.wait(TICK_S)
    for streams in journals:
        for journal in streams:
            journal.close()


def _share_key(plan: Plan, place: Path) -> None:
    """One key that signs heads for all gateways of a co-op."""
    ensure_key(place)
    for gateway in range(plan.gateways):
        shutil.copy(key_path(place), gateway_directory(place, gateway))


def _journal(directory: Path, stream: int, plan: Plan) -> Journal:
    name = "engine" if stream == plan.workers else f"worker-{stream}"
    return Journal(
        directory / "journal" / name, segment_bytes_max=SEGMENT_BYTES, segment_age_max_s=3600, now_us=now_us()
    )
