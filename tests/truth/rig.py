"""One run of the ground truth: traffic through relays, kill -9 at random, and the reckoning at the end."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.embedded import embedded
from deploy.settings import DeploySettings
from meter import frame
from meter.event import Event
from meter.postgres import connect
from meter.reader import chain, streams
from meter.shipper import ship_everything
from tests.truth.place import Place, run, running_place, wait_until
from tests.truth.reckoning import Known, Reckoning, reckon
from tests.truth.relay import Relay, now_us
from tests.truth.traffic import Client
from tests.truth.witness import Witness

CHANCES = (("gateway", 70), ("shipper", 15), ("postgres", 15))
BETWEEN_S = (0.05, 1.0)
DURING_START = 0.1
COMES_BACK_S = 60
SURPRISE_CHARACTERS = 3000
RECEIVE_BYTES = (0, 0, 64 * 1024, 512 * 1024)
"""Receive buffers of the relays in turn; 0 leaves it to the kernel."""


@dataclass
class Run:
    """What was done, and what came of it."""

    seed: int
    kills: Counter[str]
    exchanges: int
    reckoning: Reckoning
    status: dict[str, Any]
    """What `weir status` says at the end."""


def ground_truth(
    directory: Path,
    *,
    kills: int,
    seed: int,
    clients: int = 12,
    workers: int = 2,
    tell: Callable[[str], None],
    minutes: float = 24 * 60.0,
) -> Run:
    """Traffic until so many processes were killed; then everything is compared."""
    with running_place(directory, workers=workers) as place, closing(Witness(place.port)) as witness:
        traffic = [
            Client(
                member,
                f"bucket-{number}",
                Relay(member.name, place.port, witness, receive_bytes=RECEIVE_BYTES[number % 4]),
                seed + number,
            )
            for number, member in enumerate(place.members(clients))
        ]
        for client in traffic:
            client.prepare()
        for client in traffic:
            client.start()
        killer = Killer(place, random.Random(seed), traffic, tell)
        killer.kill(kills, until_s=time.monotonic() + 60 * minutes)
        for client in traffic:
            client.stopping = True
        for client in traffic:
            client.join(180)
            assert not client.is_alive(), f"{client.name} hangs"
        _raise_failures(traffic)
        for client in traffic:
            client.relay.close()
        seen = [one for client in traffic for one in client.relay.seen]
        wait_until(lambda: len(place.processes()) == workers + 2, COMES_BACK_S)
        place.stop()
        booked, buckets = run(_database(place))
        told = reckon(
            seen, _events(place), booked,
            clients=[Known(one.name, one.member.member, buckets[one.bucket]) for one in traffic],
            worker_kills_us=killer.worker_kills_us,
        )  # fmt: skip
        status = place.command("status")
        if status["exchanges_cut"] != told.recovered:
            told.complaints.append(
                f"{told.recovered} exchanges were cut, weir status says {status['exchanges_cut']}"
            )
        told.complaints += surprises(place.log())
        return Run(seed, killer.done, len(seen), told, status)


def surprises(log: str) -> list[str]:
    """Each traceback that a process of the co-op left in its log, from its first line to the error."""
    _, *found = log.split("Traceback (most recent call last)")
    return [f"a process was surprised: {one[:SURPRISE_CHARACTERS]}" for one in found]


class Killer:
    """Chooses, kills, and waits until what it killed is back."""

    def __init__(
        self, place: Place, chance: random.Random, traffic: list[Client], tell: Callable[[str], None]
    ) -> None:
        self._place = place
        self._chance = chance
        self._traffic = traffic
        self._tell = tell
        self.done: Counter[str] = Counter()
        self.worker_kills_us: list[int] = []

    def kill(self, count: int, *, until_s: float) -> None:
        """So many processes, one after the other, at random moments; fewer if the time is up before."""
        names, weights = zip(*CHANCES, strict=True)
        everything = self._place.workers + 2
        while (done := sum(self.done.values())) < count and time.monotonic() < until_s:
            _raise_failures(self._traffic)
            wait_until(lambda: len(self._place.processes()) == everything, COMES_BACK_S)
            # Now and then in the middle of a start; mostly once all serve again, or nothing ever moves.
            if self._chance.random() > DURING_START:
                wait_until(self._all_serve, COMES_BACK_S)
            threading.Event().wait(self._chance.uniform(*BETWEEN_S))
            (kind,) = self._chance.choices(names, weights)
            which = [one for one in self._place.processes() if one.startswith(kind)]
            if which:
                self._end(self._chance.choice(sorted(which)))
            if done % 50 == 0:
                exchanges = sum(len(client.relay.seen) for client in self._traffic)
                self._tell(f"{done} kills, {exchanges} exchanges")

    def _all_serve(self) -> bool:
        _raise_failures(self._traffic)
        return self._place.workers_ready() == self._place.workers

    def _end(self, name: str) -> None:
        pid = self._place.processes().get(name)
        if pid is None:
            return  # it has just ended by itself, for another one's sake
        if name.startswith("gateway"):
            self.worker_kills_us.append(now_us())
        os.kill(pid, signal.SIGKILL)
        self.done[name.partition("-")[0]] += 1


def _raise_failures(traffic: list[Client]) -> None:
    for client in traffic:
        for failure in (client.failure, client.relay.failure):
            if failure is not None:
                raise AssertionError(f"{client.name} failed") from failure


def _events(place: Place) -> list[Event]:
    return [
        event
        for directory in streams(place.meter.journal_directory)
        for segment in chain(directory)
        for _, event in frame.events(segment.records)
    ]


async def _database(place: Place) -> tuple[dict[int, tuple[int, int]], dict[str, int]]:
    """The sums by payer, asked of the tables themselves, and each bucket's number; nothing else runs by now."""
    async with embedded(DeploySettings(data=place.data), place.data, tell=print):
        # Whatever the last kill left open is closed and shipped here at the latest.
        assert 0 == await ship_everything(place.meter, place.dsn)
        connection = await connect(place.dsn)
        try:
            rows = await connection.fetch(
                "SELECT payer, sum(bytes_in)::bigint AS come, sum(bytes_out)::bigint AS gone"
                " FROM meter.reading GROUP BY payer"
            )
            buckets = await connection.fetch("SELECT name, id FROM gateway.bucket")
        finally:
            await connection.close()
    return (
        {row["payer"]: (row["come"], row["gone"]) for row in rows},
        {row["name"]: row["id"] for row in buckets},
    )
