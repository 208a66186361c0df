"""A power cut after each step of a workload, rehearsed: what was answered is there, what was not is whole or
absent, the index opens, and the outbox adds up.

Every write, sync, link and unlink of the engine and of SQLite itself is recorded in order; then each prefix
is turned into the directories a cut could leave, and an engine opens them. The recorder sees calls, not
hardware: a disk that says "synced" and lies is shown here only as the syncs we leave out on purpose.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.settings import Durability, GatewaySettings
from gateway.storage.disk import index
from gateway.storage.disk.engine import DiskEngine
from gateway.storage.disk.files import Files
from gateway.storage.errors import DamagedObject, NoSuchBucket, NoSuchKey, NoSuchUpload
from gateway.storage.model import Condition, Deletion, StorageChange
from meter.event import StorageLine
from meter.ids import BucketId
from tests.contract.engine_model import BUCKET, OWNER, complete, create_upload, get, put, put_part
from tests.unit.disk_faults import open_with
from tests.unit.power_cut_disk import Disk, Mark, RecordedFiles, Recording, Step, Truncate, Write
from tests.unit.power_cut_sqlite import watched_sqlite

SETTINGS = {"inline_bytes_max": 1024, "blob_delete_delay_s": 0}
SMALL, LARGE = 300, 5000
FAR_FUTURE_US = 10**17

State = tuple[str, int, int] | None
"""What a key holds: whose bytes (key, version, size), or None. The version is the ETag."""


class Unsynced(Files):
    """For the engine that looks at what a cut left: nobody cuts its power."""

    def sync_data(self, descriptor: int) -> None:
        """Nothing waits."""

    def sync_directory(self, path: Path) -> None:
        """Nothing waits."""


def bytes_of(key: str, version: int, size: int) -> bytes:
    return hashlib.shake_128(f"{key}:{version}".encode()).digest(size)


@pytest.fixture
def checkpoints_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a short workload goes through checkpoints and a log that begins again."""
    monkeypatch.setattr(index, "_WAL_PAGES", 25)


# The workload


class Workload:
    """Writes, and says before each operation what it will be and after it that it was answered."""

    def __init__(self, directory: Path, recording: Recording, settings: GatewaySettings) -> None:
        self._directory = directory
        self._recording = recording
        self._settings = settings
        self._version = 0

    async def run(self) -> None:
        """Everything the engine can do to bytes, some of it at once, with a restart in the middle."""
        await self._open()
        await asyncio.gather(*(self._put(f"small{n}", SMALL) for n in range(4)))
        await asyncio.gather(*(self._put(f"large{n}", LARGE) for n in range(3)), self._put("small0", SMALL))
        # One after the other, so that between some answer and its feeding no checkpoint syncs the log.
        for key, size in (("small1", LARGE), ("large1", SMALL), ("small3", SMALL), ("small3", SMALL + 1)):
            await self._put(key, size)
            await self._feed()
        await self._upload("multi")
        await self._copy("large0", "copy")
        await self._feed()
        await asyncio.gather(self._delete("small2"), self._delete("large2"), self._put("large0", LARGE))
        await self._engine.collect(FAR_FUTURE_US)
        await self._close()
        await self._open()
        await asyncio.gather(self._upload("multi"), self._put("late", LARGE), self._put("small2", SMALL))
        await self._feed()
        await self._delete("multi")
        await self._engine.collect(FAR_FUTURE_US)
        await asyncio.gather(*(self._put(f"small{n}", SMALL) for n in range(4)))
        await self._close()

    async def _open(self) -> None:
        self._engine = open_with(self._directory, RecordedFiles(self._recording), self._settings)
        await self._engine.create_bucket(BUCKET, owner=OWNER)

    async def _close(self) -> None:
        await self._engine.close()

    def _say(self, word: str, what: object) -> None:
        self._recording.note(Mark(word, what))

    def _next(self) -> int:
        self._version += 1
        return self._version

    async def _put(self, key: str, size: int) -> None:
        version = self._next()
        self._say("begin", (key, (key, version, size)))
        await put(self._engine, key, bytes_of(key, version, size), etag=str(version))
        self._say("done", (key, (key, version, size)))

    async def _copy(self, source: str, key: str) -> None:
        reader = await self._engine.open_object(BUCKET, source)
        state = (source, int(reader.head.etag), reader.head.size_bytes)
        self._say("begin", (key, state))
        await self._engine.copy_object(
            reader, BUCKET, key, properties=reader.head.properties, condition=Condition(), now_us=1
        )
        reader.close()
        self._say("done", (key, state))

    async def _upload(self, key: str) -> None:
        version, size = self._next(), SMALL + LARGE
        data = bytes_of(key, version, size)
        upload_id = await create_upload(self._engine, key)
        parts = []
        for number, piece in enumerate((data[:SMALL], data[SMALL:]), start=1):
            parts.append(await put_part(self._engine, key, upload_id, number, piece))
            self._say("part", (key, upload_id, number, len(piece)))
        self._say("completing", upload_id)
        self._say("begin", (key, (key, version, size)))
        await complete(self._engine, key, upload_id, parts, etag=str(version))
        self._say("done", (key, (key, version, size)))

    async def _delete(self, key: str) -> None:
        self._say("begin", (key, None))
        await self._engine.delete_objects(BUCKET, [Deletion(key)], now_us=2)
        self._say("done", (key, None))

    async def _feed(self) -> None:
        """As the feed does: what it has read may be in the journal from then on."""
        changes = await self._engine.outbox(after=0, limit=1000)
        self._say("fed", changes)


# What was said, and what must hold


@dataclass
class Told:
    """What the workload had said when the power went."""

    states: dict[str, list[State]] = field(default_factory=lambda: defaultdict(lambda: [None]))
    """The states each key may be in: the last answered one, and those begun since."""
    ever: dict[str, set[State]] = field(default_factory=lambda: defaultdict(lambda: {None}))
    parts: dict[tuple[str, str], dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    completing: set[str] = field(default_factory=set)
    fed: tuple[StorageChange, ...] = ()

    def take(self, mark: Mark) -> None:
        match mark:
            case Mark("begin", (str(key), state)):
                self.states[key].append(state)
                self.ever[key].add(state)
            case Mark("done", (str(key), state)):
                self.states[key] = [state]
            case Mark("part", (str(key), str(upload_id), int(number), int(size))):
                self.parts[key, upload_id][number] = size
            case Mark("completing", str(upload_id)):
                self.completing.add(upload_id)
            case Mark("fed", tuple(changes)):
                self.fed = changes


async def state_of(engine: DiskEngine, key: str, known: set[State]) -> State:
    try:
        version = int((await engine.head_object(BUCKET, key)).etag)
    except (NoSuchBucket, NoSuchKey):
        return None
    (state,) = (one for one in known if one is not None and one[1] == version)
    return state


async def assert_the_index_is_sound(engine: DiskEngine) -> tuple[StorageChange, ...]:
    """It opens, its pages hold together, and the rows add up to the outbox; the outbox."""
    assert [("ok",)] == engine._workers.connection().execute("PRAGMA integrity_check").fetchall()
    changes = await engine.outbox(after=0, limit=1000)
    assert list(range(1, len(changes) + 1)) == [change.sequence for change in changes]
    sums: defaultdict[tuple[BucketId, StorageLine], int] = defaultdict(int)
    for change in changes:
        sums[change.bucket, change.line] += change.delta_bytes
    assert {line: total for line, total in sums.items() if total} == await engine.usage_totals()
    return changes


async def assert_strict(engine: DiskEngine, told: Told) -> None:
    """Answered is there with its bytes; not answered is whole or absent; nothing is damaged."""
    changes = await assert_the_index_is_sound(engine)
    assert told.fed == changes[: len(told.fed)], "what was fed is gone"
    for key, allowed in told.states.items():
        state = await state_of(engine, key, told.ever[key])
        assert state in allowed, f"{key} is {state}, told {allowed}"
        if state is not None:
            assert bytes_of(*state) == await get(engine, key), key
    for (key, upload_id), sizes in told.parts.items():
        try:
            parts, _ = await engine.list_parts(BUCKET, key, upload_id, after=0, limit=10)
        except NoSuchUpload:
            assert upload_id in told.completing, f"the open upload of {key} is gone"
        else:
            assert sizes.items() <= {part.number: part.size_bytes for part in parts}.items()
    if any(upload_id not in told.completing for _, upload_id in told.parts):
        # Nothing above has opened the files of an upload's parts.
        assert (await engine.sweep(0)).damaged == ()


async def assert_relaxed(engine: DiskEngine, told: Told) -> None:
    """Writes may be missing, files may be bad; the index is whole, and what was fed is never given again."""
    changes = await assert_the_index_is_sound(engine)
    assert told.fed == changes[: len(told.fed)], "what was fed is gone"
    for key, known in told.ever.items():
        state = await state_of(engine, key, known)
        if state is None:
            continue
        try:
            data = await get(engine, key)
        except DamagedObject:
            assert state[2] > SMALL, "a small object has no file to lose"
        else:
            assert len(data) == state[2]
            assert state[2] > SMALL or bytes_of(*state) == data


def problems(
    recording: Recording, live: Path, cut: Path, settings: GatewaySettings, seed: int
) -> Iterator[str]:
    """Every way in which a cut after any step breaks what the mode promises."""
    holds = assert_strict if settings.durability is Durability.STRICT else assert_relaxed
    dice, disk, told = random.Random(seed), Disk(), Told()
    files: set[Path] = set()
    for number, step in enumerate(recording.steps, start=1):
        disk.take(step)
        if isinstance(step, Mark):
            told.take(step)
        for kept in chances(step, disk, dice):
            lay_out(disk.after_a_cut(kept, dice), live, cut, files)
            try:
                asyncio.run(look(cut, settings, holds, told))
            except Exception as error:  # noqa: BLE001 - whatever goes wrong after a cut is a finding
                yield f"cut after step {number} of {len(recording.steps)}, {kept:.2f} kept: {error!r}"


def chances(step: Step, disk: Disk, dice: random.Random) -> list[float]:
    """Nothing of what was not synced, and a part of it; all of it where something was said. After a plain
    write a part of it alone: nothing and all of it are what the steps around it try."""
    if not disk.is_unsettled:
        return [1.0] if isinstance(step, Mark) else []
    match step:
        case Write() | Truncate():
            return [dice.random()]
        case Mark():
            return [0.0, dice.random(), 1.0]
        case _:
            return [0.0, dice.random()]


async def look(
    cut: Path, settings: GatewaySettings, holds: Callable[..., Awaitable[None]], told: Told
) -> None:
    engine = open_with(cut, Unsynced(), settings)
    try:
        await holds(engine, told)
    finally:
        await engine.close()


def lay_out(content: dict[Path, bytes], live: Path, cut: Path, before: set[Path]) -> None:
    """Make the directory what the cut left; before are the files of the cut before, and then of this one.
    The engine made its directories when it opened the place first."""
    for path in [*before, *cut.glob("index.sqlite*")]:
        path.unlink(missing_ok=True)
    before.clear()
    for path, data in content.items():
        target = cut / path.relative_to(live)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        before.add(target)


def rehearse(place: Path, mode: Durability, dropped: str = "") -> Iterator[str]:
    """Run the workload once, then cut its power everywhere."""
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    settings = GatewaySettings(durability=mode, **SETTINGS)
    recording = Recording(dropped)
    live, cut = place / "live", place / "cut"
    live.mkdir()
    with watched_sqlite(recording):
        asyncio.run(Workload(live, recording, settings).run())
    with watched_sqlite(None):
        yield from problems(recording, live, cut, settings, seed)


@pytest.mark.usefixtures("checkpoints_often")
def test_what_was_answered_survives_a_power_cut_after_any_step(tmp_path: Path) -> None:
    assert [] == list(rehearse(tmp_path, Durability.STRICT))


@pytest.mark.usefixtures("checkpoints_often")
def test_relaxed_keeps_the_index_whole_and_never_takes_back_what_was_fed(tmp_path: Path) -> None:
    assert [] == list(rehearse(tmp_path, Durability.RELAXED))


@pytest.mark.usefixtures("checkpoints_often")
@pytest.mark.parametrize("dropped", ["file", "directory", "index"])
def test_the_rehearsal_sees_a_sync_that_is_left_out(tmp_path: Path, dropped: str) -> None:
    found = next(rehearse(tmp_path, Durability.STRICT, dropped), None)
    print(found)
    assert found is not None


@pytest.mark.usefixtures("checkpoints_often")
def test_the_rehearsal_sees_when_what_is_fed_was_not_made_durable_first(tmp_path: Path) -> None:
    found = next(rehearse(tmp_path, Durability.RELAXED, "log"), None)
    print(found)
    assert found is not None
    assert "what was fed is gone" in found
