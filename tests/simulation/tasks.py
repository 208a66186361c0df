"""The processes of the simulation that talk to PostgreSQL, each a coroutine that goes on when it is its turn."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any

from meter.__main__ import TRY_AGAIN
from meter.shipper import Shipper, adopt_dead_streams
from meter.window import Month
from tests.simulation import database
from tests.simulation.processes import Process


@dataclass(eq=False)
class Task(Process):
    """A process that talks to PostgreSQL: a coroutine that goes on whenever it is its turn."""

    sessions: list[database.Connection] = field(default_factory=list)
    work: Coroutine[Any, Any, None] | None = None

    def go_on(self) -> bool:
        """As far as the next trip to the server; False when it has done its work."""
        assert self.work is not None
        try:
            self.work.send(None)
        except StopIteration:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """The server ends the sessions of a client that is gone."""
        for session in self.sessions:
            self.world.database.end_session(session)
        self.sessions.clear()
        if self.work is not None:
            self.work.close()
            self.work = None
        super().kill()

    async def connect(self) -> database.Connection:
        """A session. Raises ConnectionRefusedError."""
        await self.world.pause()
        if self.world.is_database_away:
            raise ConnectionRefusedError
        session = database.Connection(self.world.database)
        self.sessions.append(session)
        return session


@dataclass(eq=False)
class ShipperTask(Task):
    """The shipper's process, with the loop of meter/__main__.py."""

    shipped_last: int = -1
    """Records of the last whole round; -1 before the first."""

    def begin(self) -> None:
        """Adopt what is dead, then ship."""
        self.shipped_last = -1
        dead = [writer.name for writer in self.world.writers if not writer.is_alive]
        adopt_dead_streams(self.world.settings)
        for name in dead:
            self.world.closed_left_over(name)
        self.work = self._ship(Shipper(self.world.settings))

    async def _ship(self, shipper: Shipper) -> None:
        while True:
            try:
                session = await self.connect()
                while True:
                    done = await shipper.ship(session)  # type: ignore[arg-type]
                    self.shipped_last = done.records
                    self.world.model.complaints += [f"alarm: {one}" for one in done.alarms]
                    await self.world.pause()
            except TRY_AGAIN as error:
                if not isinstance(error, ConnectionRefusedError):
                    self.world.note(f"{self.name} cannot ship: {type(error).__name__}")
                await self.world.pause()


@dataclass(eq=False)
class Closing(Task):
    """Somebody closes a month."""

    month: Month = field(default_factory=lambda: Month(2000, 1))

    def begin(self) -> None:
        """One transaction."""
        self.work = self._close()

    async def _close(self) -> None:
        try:
            session = await self.connect()
            async with session.transaction():
                await database.close_month(session, self.month, now_us=self.world.now_us)
        except TRY_AGAIN as error:
            self.world.note(f"{self.month} is not closed: {type(error).__name__}")


class Pause:
    """A trip to the server: the scheduler decides who goes on."""

    def __await__(self) -> Generator[None, None, None]:
        yield
