"""The scheduler: one thread, one seed. It chooses who goes on, what fails, and what the clock says."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any

import meter
from meter.ids import StreamId
from meter.segments import stream_of
from meter.settings import MeterSettings
from meter.window import HOUR_US, MICROSECONDS, Month
from tests.simulation.database import Commit, Database
from tests.simulation.disk import Disk, Os
from tests.simulation.model import Model
from tests.simulation.processes import (
    Blocked,
    Feeder,
    Killed,
    Outbox,
    Process,
    Worker,
    Writer,
)
from tests.simulation.tasks import Closing, Pause, ShipperTask, Task

ROOM = str(Path(meter.__file__).parent)
RECORDS = 8
"""A segment's, so that runs see many."""
SETTINGS = MeterSettings().model_copy(
    update={"journal_segment_bytes_max": 256 + RECORDS * 128, "journal_segment_age_max_s": 60}
)
DAY_US = 24 * HOUR_US
# Just before: a leap day that is one and one that is not, a month's end, a year's, and the last leap second.
STARTS = (
    "2028-02-29T23:59:55Z", "2027-02-28T23:59:55Z", "2026-11-30T23:59:50Z", "2026-12-31T23:59:55Z",
    "2016-12-31T23:59:59Z", "2026-06-15T12:00:00Z",
)  # fmt: skip
CLOCK_STEPS_US = (
    -MICROSECONDS, MICROSECONDS, -HOUR_US, HOUR_US, -DAY_US, DAY_US, DAY_US, 31 * DAY_US, -31 * DAY_US,
)  # fmt: skip
LINES_MAX = 70
"""A call is killed at one of its first so many lines of the meter's code."""


class PowerCut(BaseException):
    """Everything ends here and now."""


class World:
    """One run."""

    def __init__(self, seed: int, root: Path, start_us: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.now_us = self.true_us = start_us
        """What the clock of the processes says, which somebody may set; and PostgreSQL's, which is right."""
        self.notes: list[str] = []
        self.settings = SETTINGS.model_copy(
            update={"data": root, "ship_batch_records_max": self.chance.choice((1, 3, 20))}
        )
        self.model = Model()
        self.outbox = Outbox()
        self.disk = Disk(root, self.chance)
        self.disk.before_sync = self._others_go_on
        self.database = Database(self.pause, lambda: self.true_us, founded=Month.of(start_us))
        self.database.fate = self._fate
        self.is_database_away = False
        self.is_calm = False
        """Nothing fails any more: at the end everything must come right."""
        self.workers = [Worker(f"worker-{n}", self) for n in range(self.chance.choice((1, 2)))]
        self.feeder = Feeder("engine", self)
        self.shippers = [ShipperTask(f"shipper-{n}", self) for n in range(self.chance.choice((1, 1, 2)))]
        self.closing = Closing("closing", self)
        self._running: list[Process] = []
        self._ids = 0
        self._is_frozen = False
        self.fault_chance = self.chance.choice((0.0, 0.02, 0.06))
        self.os = Os(self.disk, lambda: self._running[-1].descriptors if self._running else set())
        self._actions: list[tuple[Callable[[], None], int]] = [
            (self._traffic, 60), (self._sync, 12), (self._store, 8), (self._feed, 8), (self._ship, 60),
            (self._start_something, 12), (self._roll, 2), (self._write_back, 4), (self._close_month, 1),
            (self._close_on, 4), (self._fault, int(200 * self.fault_chance)),
        ]  # fmt: skip

    @property
    def writers(self) -> list[Writer]:
        """All processes with a stream."""
        return [*self.workers, self.feeder]

    @property
    def processes(self) -> list[Process]:
        """All of them."""
        return [*self.writers, *self.shippers, self.closing]

    def note(self, text: str) -> None:
        """A line of the trace, the same in each run of a seed wherever its files lie."""
        self.notes.append(f"{self.now_us} {text.replace(str(self.settings.data), '')}")

    def next_id(self) -> bytes:
        """A fresh request id."""
        self._ids += 1
        return self._ids.to_bytes(16, "big")

    async def pause(self) -> None:
        """A trip to the server, sometimes a slow one."""
        for _ in range(1 if self.is_calm or self.chance.random() > 0.05 else 10):
            await Pause()

    def keep_open(self, file: IO[str]) -> IO[str]:
        """A lock file belongs to the process that took it."""
        if self._running:
            self._running[-1].files.append(file)
        return file

    def streams(self) -> dict[str, StreamId]:
        """Name → identity of each stream there is."""
        return {
            one.name: stream_of(one.directory)
            for one in self.writers
            if (one.directory / "stream.id").exists()
        }

    def closed_left_over(self, stream: str) -> None:
        """A writer opened a dead one's stream, and closed what that had left."""
        for one in self.model.exchanges.values():
            if one.stream == stream:
                one.is_recorded = True

    def step(self) -> None:
        """One action of somebody."""
        if not self._is_frozen:
            passed_us = self.chance.randrange(80_000)
            self.now_us += passed_us
            self.true_us += passed_us
        acts, weights = zip(*self._actions, strict=True)
        (act,) = self.chance.choices(acts, weights)
        try:
            act()
        except PowerCut:
            self._power_cut()
        self._note_closed_months()

    def run(self, process: Process, act: Callable[[], Any], *, may_die: bool = True) -> Any:
        """Let a process do something; it may die in the middle of it, at any line."""
        dies = may_die and not self.is_calm and self.chance.random() < self.fault_chance
        self._running.append(process)
        try:
            with self._killed_at(self.chance.randrange(1, LINES_MAX)) if dies else _undisturbed():
                return act()
        except Killed:
            self.note(f"{process.name} dies in {getattr(act, '__name__', act)}")
            process.kill()
            return None
        except Blocked:
            return None  # it goes on when it is let
        finally:
            self._running.pop()

    @contextmanager
    def _killed_at(self, line: int) -> Iterator[None]:
        left = line

        def at_line(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal left
            del argument
            if event == "line":
                left -= 1
                if left == 0:
                    sys.settrace(None)
                    self.note(f"kill -9 at {Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
                    raise Killed
            return at_line

        def at_call(frame: FrameType, event: str, argument: object) -> Any:
            del event, argument
            return at_line if frame.f_code.co_filename.startswith(ROOM) else None

        before = sys.gettrace()
        sys.settrace(at_call)
        try:
            yield
        finally:
            sys.settrace(before)

    def _others_go_on(self) -> None:
        """A sync takes its time: the other processes go on, and in a group fsync the worker's own loop, too."""
        if self.is_calm or len(self._running) != 1 or self.chance.random() > 0.3:
            return
        tracing, me = sys.gettrace(), self._running[0]
        sys.settrace(None)
        for _ in range(self.chance.randrange(1, 6)):
            others = [one for one in self.processes if one is not me and one.is_alive]
            if isinstance(me, Worker) and me.is_syncing and self.chance.random() < 0.5:
                self.run(
                    me, self.chance.choice((me.short, me.moved, me.checkpoint, me.finish)), may_die=False
                )
            elif others:
                self._one_goes_on(self.chance.choice(others))
            if not me.is_alive:
                raise Killed
        if self.chance.random() < 2 * self.fault_chance:
            raise self.chance.choice((PowerCut, Killed))
        sys.settrace(tracing)

    def _one_goes_on(self, one: Process) -> None:
        if isinstance(one, Worker):
            self.run(
                one,
                self.chance.choice((one.short, one.short, one.open, one.moved, one.checkpoint, one.finish)),
            )
        elif isinstance(one, Feeder):
            self.run(one, one.feed)
        elif isinstance(one, Task):
            for _ in range(self.chance.randrange(1, 16)):
                if one.is_alive:
                    self.run(one, one.go_on)

    def _living(self, among: list[Any]) -> Any:
        return self.chance.choice([one for one in among if one.is_alive] or [None])

    def _traffic(self) -> None:
        worker = self._living(self.workers)
        if worker is not None:
            self._one_goes_on(worker)

    def _sync(self) -> None:
        writer = self._living(self.writers)
        if writer is not None:
            self.run(writer, writer.sync)

    def _roll(self) -> None:
        worker = self._living(self.workers)
        if worker is not None:
            self.run(worker, worker.roll)

    def _store(self) -> None:
        delta = self.chance.choice((1, -1)) * self.chance.randrange(1, 10**9)
        self.outbox.add(delta, self.now_us)
        self.model.stored.append((delta, self.now_us))

    def _feed(self) -> None:
        if self.feeder.is_alive:
            self.run(self.feeder, self.feeder.feed)

    def _ship(self) -> None:
        shipper = self._living(self.shippers)
        for _ in range(self.chance.randrange(1, 12)):
            if shipper is not None and shipper.is_alive:
                self.run(shipper, shipper.go_on)

    def _start_something(self) -> None:
        dead = [one for one in (*self.writers, *self.shippers) if not one.is_alive]
        if dead:
            one = self.chance.choice(dead)
            self.run(one, one.start)

    def _write_back(self) -> None:
        self.disk.write_back()

    def _close_month(self) -> None:
        if self.closing.is_alive:
            return
        closed = self.database.tables.closed
        month = max(closed).next() if closed else Month.of(self.now_us).previous()
        if month < Month.of(self.now_us):
            self.closing.month = month
            self.closing.start()

    def _close_on(self) -> None:
        if self.closing.is_alive:
            self.run(self.closing, self.closing.go_on)

    def _note_closed_months(self) -> None:
        """What a month came to is written down as soon as it is closed."""
        for month in self.database.tables.closed.keys() - self.model.closed.keys():
            self.note(f"{month} is closed")
            self.model.month_closed(month, self.database.tables)

    def _fate(self) -> Commit:
        if self.is_calm or self.chance.random() > 2 * self.fault_chance:
            return Commit.ANSWERED
        fate = self.chance.choice(list(Commit))
        self.note(f"COMMIT: {fate.value}")
        return fate

    def _fault(self) -> None:
        faults = (
            self._kill_one, self._cut_power, self._step_clock, self._step_clock, self._freeze, self._fill_disk,
            self._fail_sync, self._database_away, self._database_away, self._drop_session,
        )  # fmt: skip
        self.chance.choice(faults)()

    def _kill_one(self) -> None:
        one = self._living(self.processes)
        if one is not None:
            self.note(f"kill -9 of {one.name}")
            one.kill()

    def _cut_power(self) -> None:
        raise PowerCut

    def _power_cut(self) -> None:
        self.note("power cut")
        for one in self.processes:
            one.kill()
        self.disk.cut()
        self.model.power_cut()

    def _step_clock(self) -> None:
        step = self.chance.choice(CLOCK_STEPS_US)
        self.note(f"the clock steps by {step // MICROSECONDS} s")
        self.now_us += step

    def _freeze(self) -> None:
        self._is_frozen = not self._is_frozen

    def _fill_disk(self) -> None:
        self.disk.is_full = not self.disk.is_full
        self.note(f"the disk is full: {self.disk.is_full}")

    def _fail_sync(self) -> None:
        self.disk.failing_syncs = 1
        self.note("the next fsync fails")

    def _database_away(self) -> None:
        self.is_database_away = not self.is_database_away
        self.note(f"the database is away: {self.is_database_away}")
        if self.is_database_away:
            for task in (*self.shippers, self.closing):
                for session in task.sessions:
                    self.database.end_session(session)

    def _drop_session(self) -> None:
        sessions = [session for one in self.shippers for session in one.sessions if session.is_open]
        if sessions:
            self.note("a session is cut")
            self.database.end_session(self.chance.choice(sessions))

    def calm(self) -> None:
        """Nothing fails any more. Everything ends in good order, and all is shipped."""
        self.is_calm = True
        self.disk.is_full = self.is_database_away = False
        self.disk.failing_syncs = 0
        for task in (*self.shippers, self.closing):
            task.kill()
        for writer in self.writers:
            self._end_well(writer)
        shipper = self.shippers[0]
        self.run(shipper, shipper.start)
        for _ in range(100_000):
            if shipper.shipped_last == 0 or self.model.complaints:
                break
            self.run(shipper, shipper.go_on)
        else:
            self.model.complaints.append("the backlog never drains")
        shipper.kill()

    def _end_well(self, writer: Writer) -> None:
        if not writer.is_alive:
            self.run(writer, writer.start)
        if writer.recorder is None:
            self.model.complaints.append(f"{writer.name} does not start again")
            return
        # The sync thread has its turn: with space again, there is room again.
        self.run(writer, writer.sync)
        if isinstance(writer, Worker):
            while writer.opened:
                self.run(writer, writer.finish)
        if isinstance(writer, Feeder):
            while self.run(writer, writer.feed):
                continue
        if writer.recorder is not None:
            self.run(writer, writer.recorder.close)
        writer.kill()


@contextmanager
def _undisturbed() -> Iterator[None]:
    yield
