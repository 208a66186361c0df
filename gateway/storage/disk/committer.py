"""Group commit: one thread a process writes the index, many changes to one sync of the log.

It knows batches and futures, not what a change means. A change answers only after COMMIT returned.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar, cast

from gateway.storage.disk.index import Connection, begin, commit, roll_back, savepoint, storage_error
from gateway.storage.disk.turnstile import Turnstile
from gateway.storage.errors import Busy

T = TypeVar("T")

_GATHER_MAX = 64
"""Changes handed over together; with more, the sync of the log is no longer what a batch costs."""


class JointChange(ABC):
    """A change that its kind can make many of with less than the work of each."""

    __slots__ = ()

    @abstractmethod
    def __call__(self, connection: Connection) -> object:
        """Make it alone."""

    @classmethod
    @abstractmethod
    def together(cls, connection: Connection, changes: Sequence[Any]) -> list[object]:
        """Make all of these, of this very class; an exception among the answers refuses that change alone.

        One that is raised undoes all, and each is made alone.
        """


def attempt(connection: Connection, run: Callable[[Connection], object]) -> object:
    """The change's answer, or its refusal if that came before the first row was written, and nothing is to undo.

    Raises any later refusal.
    """
    before = connection.total_changes
    try:
        return run(connection)
    except Exception as error:
        if connection.total_changes != before or not connection.in_transaction:
            raise
        return error


@dataclass(slots=True, eq=False)
class _Change:
    run: Callable[[Connection], object]
    """May be run twice, the second time after its first was rolled back."""
    future: asyncio.Future[object]
    loop: asyncio.AbstractEventLoop
    answer: object = None
    error: BaseException | None = None


class Committer:
    """The one writer of this process. Other processes have their own; the turnstile takes turns."""

    def __init__(
        self,
        connection: Connection,
        turnstile: Turnstile,
        *,
        batch_max: int,
        queue_max: int,
        sync_log: Callable[[], None] | None = None,
    ) -> None:
        """Owns the connection and the turnstile from now on. Both limits are counts of changes.

        sync_log makes earlier commits durable where COMMIT alone does not.
        """
        self._connection = connection
        self._turnstile = turnstile
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._sync_log = sync_log
        self._gathered: deque[_Change] = deque()
        """Asked for, and not yet handed to the thread."""
        self._gathered_before = 0
        """How many of them an earlier turn of the loop left."""
        self._will_hand_over = False
        self._queue: deque[_Change] = deque()
        self._wake = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._work, name="index-writer", daemon=True)
        self._thread.start()

    async def commit(self, run: Callable[[Connection], T]) -> T:
        """Run the change inside a transaction; its answer once that is durable (relaxed: once it is written).

        Raises what the change raises, and then nothing of it is kept; Busy when the queue is full or
        another process holds the index too long; StorageFull. A cancelled caller's change may happen.
        """
        loop = asyncio.get_running_loop()
        if self._is_closing or len(self._queue) + len(self._gathered) >= self._queue_max:
            raise Busy("too many index changes wait")
        change = _Change(run, loop.create_future(), loop)
        self._gathered.append(change)
        if not self._will_hand_over:
            self._will_hand_over = True
            loop.call_soon(self._gather, loop)
        return cast(T, await change.future)

    def _gather(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand over what has come, unless this turn of the loop brought more: then the next may, too.

        A thread that was woken by the first change would take the interpreter from the loop at every statement,
        for a batch of a few. Nobody waits while the loop has nothing to do, and for _GATHER_MAX changes at most.
        """
        gathered = len(self._gathered)
        if self._gathered_before < gathered < _GATHER_MAX and not self._is_closing:
            self._gathered_before = gathered
            loop.call_soon(self._gather, loop)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        self._gathered_before = 0
        self._will_hand_over = False
        with self._wake:
            while self._gathered:
                self._queue.append(self._gathered.popleft())
            self._wake.notify()

    async def make_durable(self) -> None:
        """What was committed until now survives a power cut; in strict mode it does already."""
        if self._sync_log is not None:
            await asyncio.to_thread(self._sync_log)

    async def close(self) -> None:
        """Commit what is queued, then end the thread. May be called twice."""
        self._is_closing = True
        self._hand_over()
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while batch := self._next_batch():
            self._apply(batch)
            _answer(batch)
        self._connection.close()
        self._turnstile.close()

    def _next_batch(self) -> list[_Change]:
        with self._wake:
            while not self._queue and not self._is_closing:
                self._wake.wait()
            return [self._queue.popleft() for _ in range(min(len(self._queue), self._batch_max))]

    def _apply(self, batch: list[_Change]) -> None:
        """Invariant: after this each change of the batch is durable, or undone and has an error."""
        try:
            with self._turnstile.turn():
                begin(self._connection)
                if not self._run_all(batch):
                    roll_back(self._connection)
                    begin(self._connection)
                    self._run_one_by_one(batch)
                commit(self._connection)
        except sqlite3.Error as error:
            _fail(batch, storage_error(error))
            self._undo()
        except (Busy, OSError) as error:
            _fail(batch, error)

    def _undo(self) -> None:
        try:
            roll_back(self._connection)
        except sqlite3.Error:
            # A broken disk. The next batch cannot begin then, and says so to its callers.
            return

    def _run_all(self, batch: list[_Change]) -> bool:
        """All changes without savepoints, which copy each page they touch; False when one must be undone.

        Most refusals come before the change has written a row, and then there is nothing to undo.
        """
        try:
            for kind, group in groupby(batch, key=_joint_kind):
                changes = list(group)
                if kind is not None and len(changes) > 1:
                    answers = kind.together(self._connection, [change.run for change in changes])
                else:
                    answers = [attempt(self._connection, change.run) for change in changes]
                for change, answer in zip(changes, answers, strict=True):
                    if isinstance(answer, Exception):
                        change.error = _of_contract(answer)
                    else:
                        change.answer = answer
        except Exception:  # noqa: BLE001 - all are run again, and it is raised where its change was asked for
            return False
        return True

    def _run_one_by_one(self, batch: list[_Change]) -> None:
        """Each change in its savepoint: what one refuses does not hurt the others. They run a second time."""
        for change in batch:
            change.answer = change.error = None
            try:
                with savepoint(self._connection):
                    change.answer = change.run(self._connection)
            except Exception as error:
                if isinstance(error, sqlite3.Error) and not self._connection.in_transaction:
                    raise
                change.error = _of_contract(error)


def _joint_kind(change: _Change) -> type[JointChange] | None:
    return type(change.run) if isinstance(change.run, JointChange) else None


def _of_contract(error: Exception) -> Exception:
    return storage_error(error) if isinstance(error, sqlite3.Error) else error


def _fail(batch: Iterable[_Change], error: Exception) -> None:
    for change in batch:
        change.error = change.error or error


def _answer(batch: list[_Change]) -> None:
    """Wake the callers, with one call a loop and not one a change."""
    for loop in {change.loop for change in batch}:
        changes = [change for change in batch if change.loop is loop]
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, changes)


def _resolve(changes: list[_Change]) -> None:
    for change in changes:
        if change.future.done():
            continue
        if change.error is not None:
            change.future.set_exception(change.error)
        else:
            change.future.set_result(change.answer)
