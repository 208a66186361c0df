"""Holds hard caps of egress: a capped payer's exchanges are refused, or cut at a checkpoint, once the cap is reached.

The journals are the shared truth of a machine's workers: each reads its own and its siblings' up to the last
published record whenever a capped payer is looked at. Sums of other machines come from Postgres.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.caps import REFUSED_WHEN_REACHED, MonthCount, Sums, cap_reached, load_sums
from gateway.counting import CutOff
from gateway.directory import PostgresDirectory
from gateway.errors import S3Error
from gateway.operation import Operation
from gateway.snapshot import keep
from meter.cap_store import sent_in
from meter.event import Event
from meter.frame import DamagedSegment
from meter.ids import MemberId, StreamId
from meter.live import Follower, follow
from meter.postgres import Connection
from meter.reader import streams
from meter.segments import stream_of
from meter.store import stream_places
from meter.window import Month

log = logging.getLogger(__name__)
LOOK_EVERY_S = 1.0
"""Journals are read at least this often while anybody is capped, so that no request has much to read."""
Clock = Callable[[], int]


class CapWatch:
    """One worker's count of what capped payers were sent."""

    def __init__(
        self, directory: PostgresDirectory, journal_directory: Path, snapshot: Path, *, poll_s: float, clock: Clock
    ) -> None:  # fmt: skip
        self._directory = directory
        self._journal = journal_directory
        self._snapshot = snapshot
        self._poll_s = poll_s
        self._clock = clock
        self._count: MonthCount | None = None
        self._followers: list[Follower] = []
        self._asking = asyncio.Lock()
        self._asked_s = self._pause_s = 0.0
        self._places: Mapping[StreamId, int] = {}
        self._damaged: set[Path] = set()

    @property
    def capped(self) -> Mapping[MemberId, int]:
        """Payers with a hard cap. For all others there is nothing to ask here."""
        return self._directory.egress_caps

    async def admit(self, payer: MemberId, operation: Operation, *, asker: MemberId) -> None:
        """Returns when the operation may begin on this payer's bill. Raises EgressCapReached.

        How high a cap is only its member is told, by their own keys.
        Whoever's cap is so new that they are not counted yet waits for Postgres a moment.
        """
        if payer not in self.capped or operation not in REFUSED_WHEN_REACHED:
            return
        if self._has_news():
            await self._ask_in_turn()
        self.check(payer, is_told=asker == payer)

    def check(self, payer: MemberId, *, is_told: bool = False) -> None:
        """Returns while the payer's cap is not reached. Raises EgressCapReached."""
        cap = self.capped.get(payer)
        if cap is None or self._count is None:
            return
        self._read_on()
        sent = self._count.sent(payer)
        if sent is not None and sent >= cap:
            raise cap_reached(cap if is_told else None, self._count.month)

    def at_checkpoint(self, event: Event) -> None:
        """A part of a long exchange was recorded: an answer on a bill that is full ends here. Raises CutOff."""
        if event.bytes_out and event.payer in self.capped:
            try:
                self.check(event.payer)
            except S3Error as reached:
                # Its head left long ago, so no error can be told any more: the connection is cut.
                raise CutOff from reached

    async def start(self) -> None:
        """Count from what Postgres says, or, while it is away, from what it last said to a worker of this machine."""
        await self._ask()

    async def keep_counting(self) -> None:
        """Read the journals every moment, and the sums every poll_s or when somebody's cap is new."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if not self.capped:
                continue
            if self._count is not None:
                self._meet_new_streams()
                self._read_on()
            if loop.time() - self._asked_s >= self._poll_s:
                await self._ask()
            elif self._has_news():
                await self._ask_in_turn()

    def close(self) -> None:
        """Let go of the journals."""
        self._follow([])

    def _has_news(self) -> bool:
        """Whether somebody is capped who is not counted yet."""
        return self._count is None or not self.capped.keys() <= self._count.payers

    async def _ask_in_turn(self) -> None:
        """However many wait for the same news, one asks; with Postgres away, once in LOOK_EVERY_S."""
        async with self._asking:
            if self._has_news() and asyncio.get_running_loop().time() - self._asked_s >= self._pause_s:
                await self._ask()

    async def _ask(self) -> None:
        """Take the sums of all capped payers anew; with Postgres away, go on from those that the machine knows."""
        payers = list(self.capped)
        if not payers:
            return
        self._asked_s = asyncio.get_running_loop().time()
        month = Month.of(self._clock())

        async def question(connection: Connection) -> Sums:
            # One moment for both: each record is either in the sums or after their places.
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return Sums(month, await sent_in(connection, payers, month), await stream_places(connection))

        sums = await self._directory.ask(question)
        self._pause_s = LOOK_EVERY_S if sums is None else 0.0
        if sums is not None:
            await self._begin(sums)
            await asyncio.to_thread(keep, self._snapshot, sums.dump())
        elif self._has_news() and self._snapshot.exists():
            # What a sibling, or a worker before this one, was told in time.
            await self._begin(load_sums(self._snapshot.read_text()))

    async def _begin(self, sums: Sums) -> None:
        """Count from these sums and what the journals hold after them. Other exchanges go on meanwhile."""
        count, followers = await asyncio.to_thread(self._caught_up, sums, Month.of(self._clock()))
        self._count, self._places = count, sums.places
        self._follow(followers)

    def _caught_up(self, sums: Sums, month: Month) -> tuple[MonthCount, list[Follower]]:
        count, followers = MonthCount(sums, month), follow(self._journal, sums.places)
        return count, [follower for follower in followers if self._read_all(follower, count)]

    def _meet_new_streams(self) -> None:
        """A worker that came later has a stream of its own."""
        known = self._damaged | {one.directory for one in self._followers}
        new = [one for one in streams(self._journal) if one not in known]
        self._followers += [Follower(one, after=self._places.get(stream_of(one), 0)) for one in new]

    def _read_on(self) -> None:
        """Count what was published since the last look."""
        assert self._count is not None
        self._count.turn(Month.of(self._clock()))
        self._follow([one for one in self._followers if self._read_all(one, self._count)])

    def _read_all(self, follower: Follower, count: MonthCount) -> bool:
        """Whether the stream can be read further. A damaged one counts no more until it is mended."""
        try:
            while records := follower.read():
                count.add(records)
        except DamagedSegment as damage:
            if follower.directory not in self._damaged:
                log.error("caps are not counted from a damaged stream: %s", damage)
                self._damaged.add(follower.directory)
            return False
        return True

    def _follow(self, followers: list[Follower]) -> None:
        for gone in self._followers:
            if gone not in followers:
                gone.close()
        self._followers = followers
