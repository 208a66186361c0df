"""The writers of the simulation: what each does with the real code, one call at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from gateway.feed import feed
from gateway.storage.model import StorageChange
from meter.event import Event, Mark, StorageLine
from meter.ids import BucketId, MemberId
from meter.journal import JournalFull, JournalLocked
from meter.ongoing import Slot, TooManyExchanges
from meter.recorder import Recorder
from tests.events import PLAIN
from tests.simulation.model import Exchange, Moved

if TYPE_CHECKING:
    from tests.simulation.world import World

SLOTS = 3
MEMBERS = 3


class Killed(BaseException):
    """The process ends here and now."""


class Blocked(BaseException):
    """A thread would wait for a lock another one holds: it goes on later."""


@dataclass(eq=False)
class Process:
    """What the kernel knows of a process."""

    name: str
    world: World
    descriptors: set[int] = field(default_factory=set)
    files: list[IO[str]] = field(default_factory=list)
    is_alive: bool = False

    def start(self) -> None:
        """Begin. What stands in the way ends it again."""
        self.is_alive = True
        try:
            self.begin()
        except (JournalFull, JournalLocked, OSError) as error:
            self.world.note(f"{self.name} does not start: {error}")
            self.kill()

    def begin(self) -> None:
        """What a start does."""
        raise AssertionError

    def kill(self) -> None:
        """What the kernel does for a dead process: it closes what was open."""
        self.is_alive = False
        for file in self.files:
            file.close()
        for descriptor in self.descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.files.clear()
        self.descriptors.clear()


@dataclass(eq=False)
class Writer(Process):
    """A process with a stream of its own."""

    recorder: Recorder | None = None
    is_syncing: bool = False
    """In the sync thread, beside which the writer's own goes on."""

    @property
    def directory(self) -> Path:
        """The stream's."""
        return self.world.settings.journal_directory / self.name

    def begin(self) -> None:
        """Open the stream; what a dead writer left is closed by that."""
        self.recorder = Recorder(
            self.directory, self.world.settings, slots_max=SLOTS, on_sync_failure=self._stop
        )
        self.world.closed_left_over(self.name)

    def kill(self) -> None:
        """Nothing in memory survives."""
        self.recorder = None
        super().kill()

    def sync(self) -> None:
        """The group fsync, as the thread does it."""
        assert self.recorder is not None
        covered = self.world.model.unsafe(self.name)
        parts = self.world.model.checkpoints(self.name)
        self.is_syncing = True
        try:
            self.call(self.recorder.sync)
        finally:
            self.is_syncing = False
        for one in covered:
            one.is_durable = True
        for one, part in parts:
            one.at_least = part

    def _stop(self, error: OSError) -> None:
        self.world.note(f"{self.name} stops: {error}")
        raise Killed

    def call(self, act: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """A call of the event loop's thread. A failed fsync must end the process, not come up here."""
        try:
            return act(*arguments, **named)
        except OSError as error:
            self.world.model.complaints.append(f"{self.name} went on after a failed fsync: {error}")
            raise Killed from None


@dataclass(eq=False)
class Opened:
    """A long exchange under way."""

    exchange: Exchange
    slot: Slot
    event: Event
    moved: Moved = (0, 0)
    recorded: Moved = (0, 0)
    """What of it stands in checkpoints."""
    has_failed: bool = False
    is_taken_back: bool = False

    def rest(self) -> Moved:
        """What stands in none."""
        return self.moved[0] - self.recorded[0], self.moved[1] - self.recorded[1]


@dataclass(eq=False)
class Worker(Writer):
    """A gateway worker: short exchanges, long ones, and the kinds of ends they come to."""

    opened: list[Opened] = field(default_factory=list)

    def call(self, act: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """No exchange begins without room, so a full disk must not come upon one."""
        try:
            return super().call(act, *arguments, **named)
        except JournalFull:
            self.world.model.complaints.append(f"{self.name} had room, and then had none")
            raise Killed from None

    def kill(self) -> None:
        """Open exchanges stay as the file says."""
        self.opened.clear()
        super().kill()

    def _exchange(self, outcomes: set[Moved | None]) -> tuple[Exchange, Event]:
        world = self.world
        request_id = world.next_id()
        exchange = world.model.exchanges[request_id] = Exchange(request_id, self.name, outcomes)
        event = PLAIN._replace(
            request_id=request_id, payer=MemberId(world.chance.randrange(MEMBERS)), bytes_in=0, moved_in=0,
            bucket=BucketId(world.chance.randrange(2)), began_us=world.now_us, ended_us=world.now_us,
        )  # fmt: skip
        return exchange, event

    def _ended(self, event: Event, moved: Moved) -> Event:
        come, gone = moved
        # As gateway/accounting.py does when the clock was set back meanwhile.
        ended_us = max(self.world.now_us, event.began_us)
        return event._replace(bytes_in=come, bytes_out=gone, moved_in=come, moved_out=gone, ended_us=ended_us)

    def _amount(self) -> Moved:
        chance = self.world.chance
        return chance.choice((0, chance.randrange(5000))), chance.choice((0, chance.randrange(10**7)))

    def short(self) -> None:
        """Held, perhaps taken back, published; dead in between it bills nothing."""
        recorder, chance = self.recorder, self.world.chance
        assert recorder is not None
        if not recorder.has_room:
            return
        moved = self._amount()
        exchange, event = self._exchange({None})
        exchange.may_become((0, 0))
        self.call(recorder.hold, self._ended(event, moved))
        exchange.is_now((0, 0))
        if chance.random() < self.world.fault_chance:
            raise Killed
        if chance.random() < 0.2:
            exchange.may_become(None)
            self.call(recorder.withdraw)
            exchange.is_now(None)
            exchange.may_become(moved)
            self.call(recorder.record, self._ended(event, moved))
            exchange.is_now(moved)
        else:
            exchange.may_become(moved)
            self.call(recorder.publish)
            exchange.is_now(moved)
        exchange.is_recorded = True

    def open(self) -> None:
        """A long exchange begins."""
        assert self.recorder is not None
        if not self.recorder.has_room:
            return
        exchange, event = self._exchange({None})
        exchange.may_become((0, 0))
        try:
            slot = self.call(self.recorder.open, event._replace(status=499))
        except TooManyExchanges:
            exchange.is_now(None)
            return
        exchange.is_now((0, 0))
        self.opened.append(Opened(exchange, slot, event))

    def moved(self) -> None:
        """Some of it moves."""
        if going_on := self._going_on():
            one = self.world.chance.choice(going_on)
            more = self._amount()
            now = one.moved[0] + more[0], one.moved[1] + more[1]
            # One direction is told after the other; a kill between them finds the first.
            one.exchange.may_become((now[0], one.moved[1]))
            one.exchange.may_become(now)
            one.slot.moved(bytes_in=now[0], bytes_out=now[1], now_us=self.world.now_us)
            one.exchange.is_now(now)
            one.moved = now

    def checkpoint(self) -> None:
        """What moved since the last one is recorded, as gateway/counting.py does: if there is room."""
        assert self.recorder is not None
        if (going_on := self._going_on()) and self.recorder.has_room:
            one = self.world.chance.choice(going_on)
            part = self._ended(one.event, one.rest())._replace(status=0, marks=Mark.CHECKPOINT)
            now = one.moved
            self.call(self.recorder.checkpoint, one.slot, part, moved_in=now[0], moved_out=now[1])
            one.recorded = one.exchange.checkpointed = now

    def _going_on(self) -> list[Opened]:
        return [one for one in self.opened if not one.has_failed]

    def finish(self) -> None:
        """It ends, well or not."""
        assert self.recorder is not None
        if self.opened:
            one = self.world.chance.choice(self.opened)
            one.has_failed = one.has_failed or self.world.chance.random() < 0.15
            billed: Moved = (0, 0) if one.has_failed else one.moved
            one.exchange.may_become(billed)
            last = self._ended(one.event, one.rest())
            if one.has_failed:
                self._take_back(one)
                last = last._replace(status=500, bytes_in=0, bytes_out=0)
            # Taken off the list only afterwards: a thread that has to wait comes back to it.
            self.call(self.recorder.finish, one.slot, last)
            self.opened.remove(one)
            one.exchange.is_now(billed)
            one.exchange.is_recorded = True

    def _take_back(self, one: Opened) -> None:
        """What its checkpoints had billed, as gateway/counting.py does."""
        assert self.recorder is not None
        one.exchange.has_failed, one.exchange.moved_most = True, one.moved
        if one.recorded != (0, 0) and not one.is_taken_back:
            less = -one.recorded[0], -one.recorded[1]
            self.call(
                self.recorder.record,
                self._ended(one.event, less)._replace(
                    moved_in=0, moved_out=0, status=0, marks=Mark.CORRECTION
                ),
            )
            one.is_taken_back = True

    def roll(self) -> None:
        """The look at the segment's age."""
        assert self.recorder is not None
        self.call(self.recorder.journal.roll_if_aged, self.world.now_us)


@dataclass
class Outbox:
    """The storage engine's outbox, which is durable by itself."""

    rows: list[StorageChange] = field(default_factory=list)
    last: int = 0

    def add(self, delta: int, at_us: int) -> None:
        """A change of stored bytes was committed."""
        self.last += 1
        self.rows.append(StorageChange(self.last, MemberId(1), BucketId(1), StorageLine.OBJECT, delta, at_us))

    async def outbox(self, *, after: int, limit: int) -> tuple[StorageChange, ...]:
        """As Engine.outbox."""
        return tuple(row for row in self.rows if row.sequence > after)[:limit]

    async def trim_outbox(self, *, up_to: int) -> None:
        """As Engine.trim_outbox."""
        self.rows = [row for row in self.rows if row.sequence > up_to]


@dataclass(eq=False)
class Feeder(Writer):
    """The feed of the outbox; at home in a worker, with a lock of its own."""

    def feed(self) -> int:
        """What is new, into the journal; the rows."""
        assert self.recorder is not None
        try:
            return int(self.call(at_once, feed(self.world.outbox, self.recorder)))  # type: ignore[arg-type]
        except JournalFull:
            raise Killed from None  # the outbox keeps what was not fed


def at_once(work: Coroutine[Any, Any, Any]) -> Any:
    """A coroutine that has nothing to wait for, to its end."""
    try:
        work.send(None)
    except StopIteration as ended:
        return ended.value
    raise AssertionError("it waits")
