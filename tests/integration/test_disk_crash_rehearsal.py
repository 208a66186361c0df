"""Two worker processes are killed in the middle of writing, again and again on the same directory.

Everything they said was done is there with its bytes; everything else is whole or absent. What kill -9
cannot show, a lost cache of the disk, is attacked by the order of syncs in test_disk_durability.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections import defaultdict
from pathlib import Path

from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import DiskEngine, open_engine
from gateway.storage.errors import NoSuchKey
from meter.event import StorageLine
from meter.ids import BucketId
from tests.contract.engine_model import get, stored_in
from tests.integration.disk_crash_writer import bytes_of

ROOT = Path(__file__).parents[2]
ROUNDS = 10
BUCKET = BucketId(1)
FAR_FUTURE_US = 10**17

State = tuple[int, int] | None
"""Version and size of the object that a key should hold, or None."""


class Worker:
    """A writer process, and what it has said."""

    def __init__(self, directory: Path, name: str, *, seed: int, first_version: int) -> None:
        self.lines: list[list[str]] = []
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.integration.disk_crash_writer",
                str(directory),
                name,
                str(seed),
                str(first_version),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    def kill_after(self, done_max: int) -> None:
        """Read until so many operations are done, kill -9, and read what was still in the pipe."""
        assert self._process.stdout is not None
        done = 0
        for line in self._process.stdout:
            self.lines.append(line.split())
            done += line.startswith("done")
            if done == done_max:
                self._process.kill()
        self._process.stdout.close()
        assert self._process.wait() == -9, "the writer ended by itself"


def possible_states(before: dict[str, State], lines: list[list[str]]) -> dict[str, list[State]]:
    """What each key may hold: the last acknowledged state, or that of an operation without an answer."""
    states: defaultdict[str, list[State]] = defaultdict(lambda: [None])
    states.update({key: [state] for key, state in before.items()})
    for word, action, key, version, size in (line for line in lines if len(line) == 5):
        state = None if action == "delete" else (int(version), int(size))
        states[key] = [*states[key], state] if word == "begin" else [state]
    return states


async def read_state(engine: DiskEngine, key: str) -> State:
    try:
        head = await engine.head_object(BUCKET, key)
    except NoSuchKey:
        return None
    return int(head.etag), head.size_bytes


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    dice = random.Random(seed)
    known: dict[str, State] = {}
    for number in range(ROUNDS):
        workers = [
            Worker(tmp_path, name, seed=seed + number, first_version=1000 * number) for name in ("one", "two")
        ]
        killers = [
            threading.Thread(target=worker.kill_after, args=(dice.randrange(1, 60),)) for worker in workers
        ]
        for killer in killers:
            killer.start()
        for killer in killers:
            killer.join()
        lines = [line for worker in workers for line in worker.lines]
        assert any(line[0] == "done" for line in lines)
        engine = await open_engine(tmp_path, GatewaySettings(inline_bytes_max=1024))
        for key, allowed in possible_states(known, lines).items():
            state = known[key] = await read_state(engine, key)
            assert state in allowed, (key, state, allowed)
            if state is not None:
                assert bytes_of(key, *state) == await get(engine, key)
        await _assert_nothing_is_lost_or_left(engine, tmp_path)
        await engine.close()


async def _assert_nothing_is_lost_or_left(engine: DiskEngine, directory: Path) -> None:
    changes = await engine.outbox(after=0, limit=10**6)
    assert list(range(1, len(changes) + 1)) == [change.sequence for change in changes]
    sums: defaultdict[tuple[BucketId, StorageLine], int] = defaultdict(int)
    for change in changes:
        sums[change.bucket, change.line] += change.delta_bytes
    assert await engine.usage_totals() == {line: total for line, total in sums.items() if total}
    assert stored_in(changes) == engine.stored_bytes(BUCKET)
    report = await engine.sweep(FAR_FUTURE_US)
    assert report.damaged == ()
    assert list((directory / "staging").iterdir()) == []
    while await engine.collect(FAR_FUTURE_US):
        continue
    connection = engine._workers.connection()
    pointed_at = {name for (name,) in connection.execute("SELECT blob FROM piece WHERE blob IS NOT NULL")}
    assert pointed_at == {path.name for path in directory.glob("blobs/*/*")}
    (in_rows,) = connection.execute("SELECT total(length(data)) FROM piece").fetchone()
    on_disk = sum(path.stat().st_size for path in directory.glob("blobs/*/*"))
    assert on_disk + in_rows == sum(
        change.delta_bytes for change in await engine.outbox(after=0, limit=10**6)
    )
