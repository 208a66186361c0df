"""One worker's part in moves: which keys were written, and writes that wait for the moment of the switch.

It answers what PostgreSQL asks of all workers. Without a move all of it costs a look into an empty dict.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway import move_store
from gateway.call import Bucket
from gateway.directory import PostgresDirectory
from gateway.errors import s3_error
from gateway.move_store import Asked, Move, WorkerRow
from gateway.operation import Operation
from meter.ids import BucketId
from meter.postgres import Connection
from meter.recorder import now_us

log = logging.getLogger(__name__)
CHANNEL = "weir_move"
LOOK_EVERY_S = 1.0
"""While something moves; without, a notification or the directory's own pace is enough."""
AGAIN_S = 0.5
HOLDING = (Asked.HOLD, Asked.HOLD_UPLOADS)


@dataclass(slots=True)
class _Moving:
    """What this worker knows of one move."""

    move: Move
    keys: set[str] = field(default_factory=set)
    is_complete: bool = True
    """No key had to be forgotten."""
    answered: int = 0
    """The last round that was answered."""
    held: Asked = Asked.NOTHING
    """What waits now: HOLD, HOLD_UPLOADS, or NOTHING. It ends only in _release."""
    holds_since: float = 0.0
    gave_up: int = 0
    """The round that could not be answered in time: it never will be."""
    released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def asked(self) -> Asked:
        """What is to be done now: nothing of a round that was given up."""
        return Asked.NOTHING if self.move.round == self.gave_up else self.move.asked


class Holds:
    """The moves as one worker sees them."""

    def __init__(
        self, directory: PostgresDirectory, worker: WorkerRow, *, keys_max: int, hold_max_s: int, poll_s: int
    ) -> None:
        self._directory = directory
        self._worker = worker
        self._keys_max = keys_max
        self._hold_max_s = hold_max_s
        self._poll_s = poll_s
        self._moving: dict[BucketId, _Moving] = {}
        self._open: Counter[BucketId] = Counter()
        self._beginning: Counter[BucketId] = Counter()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        directory.told[CHANNEL] = self._wake.set

    async def start(self) -> None:
        """Enter this worker, look once, and keep looking. With PostgreSQL away it is entered later."""
        await self._enter()
        await self.look()
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """This worker writes nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._directory.ask(
            lambda connection: move_store.forget_worker(connection, self._worker.stream)
        )

    # Around a write

    async def enter(self, bucket: Bucket, operation: Operation) -> Bucket:
        """Before a write: wait while the bucket is held; the bucket as it is then. leave() must follow.

        Raises SlowDown when it is held for longer than it should be, NoSuchBucket when it is gone.
        """
        begins = operation is Operation.CREATE_MULTIPART_UPLOAD
        while (moving := self._moving.get(bucket.id)) is not None and _waits(moving, begins):
            try:
                await asyncio.wait_for(moving.released.wait(), 2 * self._hold_max_s)
            except TimeoutError:
                raise s3_error("SlowDown") from None
            found = await self._directory.bucket(bucket.name)
            if found is None:
                raise s3_error("NoSuchBucket", BucketName=bucket.name)
            bucket = found
        self._open[bucket.id] += 1
        if begins:
            self._beginning[bucket.id] += 1
        return bucket

    def leave(self, bucket: BucketId, operation: Operation) -> None:
        """The write is over."""
        if operation is Operation.CREATE_MULTIPART_UPLOAD:
            _one_less(self._beginning, bucket)
        self.let_go(bucket)

    def try_enter(self, bucket: BucketId) -> bool:
        """As enter, for work that can as well be done later; whether it may go on now."""
        moving = self._moving.get(bucket)
        if moving is not None and _waits(moving, begins_upload=False):
            return False
        self._open[bucket] += 1
        return True

    def let_go(self, bucket: BucketId) -> None:
        """What try_enter let in is over."""
        _one_less(self._open, bucket)
        if bucket in self._moving:
            self._wake.set()

    def note(self, bucket: BucketId, keys: Iterable[str]) -> None:
        """These were written, or perhaps: called when the engine is done with it, well or badly."""
        moving = self._moving.get(bucket)
        if moving is None:
            return
        moving.keys.update(keys)
        if len(moving.keys) > self._keys_max:
            moving.keys.clear()
            moving.is_complete = False

    # What is asked

    async def look(self) -> None:
        """See what is asked, and answer what can be answered."""
        found = await self._directory.ask(move_store.open_moves)
        if found is None:
            await self._withdraw_late()
            return
        running = {move.bucket: move for move in found if move.switched_us is None}
        for bucket in set(self._moving) - set(running):
            if await self._release(self._moving[bucket]):
                del self._moving[bucket]
        for bucket, move in running.items():
            await self._follow(self._moving.setdefault(bucket, _Moving(move)), move)
        for move in found:
            if move.switched_us is not None and move.asked is Asked.NOTE:
                # Asked of a bucket that has switched: does everybody know?
                await self._knows(move)
        await self._withdraw_late()

    async def _follow(self, moving: _Moving, move: Move) -> None:
        moving.move = move
        if moving.asked is Asked.NOTE and moving.answered < move.round:
            # A new beginning: whatever was forgotten before does not count any more.
            moving.keys.clear()
            moving.is_complete = True
        if moving.asked in HOLDING:
            if moving.held is not moving.asked:
                moving.held, moving.holds_since = moving.asked, _now()
                moving.released.clear()
        elif not await self._release(moving):
            return
        if moving.answered < move.round and self._may_answer(moving):
            await self._answer(moving)

    def _may_answer(self, moving: _Moving) -> bool:
        match moving.asked:
            case Asked.NOTHING:
                return False
            case Asked.NOTE | Asked.HAND_OVER:
                return True
            case Asked.HOLD_UPLOADS:
                return not self._beginning[moving.move.bucket]
            case Asked.HOLD:
                return not self._open[moving.move.bucket]

    async def _answer(self, moving: _Moving) -> None:
        move, keys = moving.move, moving.keys
        hands_over = move.asked in (Asked.HAND_OVER, Asked.HOLD)
        if hands_over:
            moving.keys = set()
        told = await self._directory.ask(
            lambda connection: move_store.answer(
                connection, move, self._worker, keys if hands_over else (), is_complete=moving.is_complete
            )
        )
        if told:
            moving.answered = move.round
        elif hands_over:
            moving.keys |= keys

    async def _release(self, moving: _Moving) -> bool:
        """Writes go on, at the place where the bucket is now; whether they do.

        Without PostgreSQL nobody knows where it is; those who wait are told to come again.
        """
        if moving.held is not Asked.NOTHING:
            if not await self._directory.look_again():
                return False
            moving.held = Asked.NOTHING
            moving.released.set()
        return True

    async def _withdraw_late(self) -> None:
        """A hold that takes too long ends, but only once the switch can no longer count on it."""
        for moving in list(self._moving.values()):
            if moving.held is Asked.NOTHING or _now() - moving.holds_since < self._hold_max_s:
                continue
            move = moving.move

            async def take_back(connection: Connection, move: Move = move) -> bool:
                await move_store.withdraw(connection, move, self._worker.stream)
                return True

            if await self._directory.ask(take_back):
                log.warning("move %d: held too long, members' writes go on", move.id)
                moving.gave_up = move.round
                await self._release(moving)

    async def _knows(self, move: Move) -> None:
        """Tell that requests no longer go to the old place."""
        if await self._directory.look_again():
            await self._directory.ask(
                lambda connection: move_store.answer(connection, move, self._worker, (), is_complete=True)
            )

    async def _enter(self) -> bool:
        async def enter(connection: Connection) -> bool:
            await move_store.enter_worker(connection, self._worker, now_us=now_us())
            return True

        return bool(await self._directory.ask(enter))

    async def _keep(self) -> None:
        is_entered = True
        while True:
            try:
                await asyncio.wait_for(self._wake.wait(), LOOK_EVERY_S if self._moving else self._poll_s)
            except TimeoutError:
                log.debug("moves: the floor's look")
            self._wake.clear()
            try:
                is_entered = is_entered or await self._enter()
                await self.look()
            except Exception:  # a bug here must not end the answering for good, nor the worker
                log.exception("looking at moves failed")
                await asyncio.sleep(AGAIN_S)


def _waits(moving: _Moving, begins_upload: bool) -> bool:
    return moving.held is Asked.HOLD or (begins_upload and moving.held is Asked.HOLD_UPLOADS)


def _one_less(counter: Counter[BucketId], bucket: BucketId) -> None:
    counter[bucket] -= 1
    if not counter[bucket]:
        del counter[bucket]


def _now() -> float:
    return asyncio.get_running_loop().time()
