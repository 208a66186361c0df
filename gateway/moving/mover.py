"""A move's spine: a bucket goes to another engine while members go on reading and writing.

look       what is there, and what would be lost              nothing has changed yet
note       every worker notes the keys that are written       from here on nothing is missed
copy       every key                                          minutes or days
hand over  the keys noted, copied again, until few are left
hold       writes wait; the last keys; the switch             seconds
clear      once no worker uses the old place, it is emptied

Killed at any instant it goes on where it was: what stands in PostgreSQL says how far it came, and what both engines
hold says what is left to copy.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from uuid import UUID

from gateway import move_store
from gateway.call import Bucket
from gateway.move_store import Answered, Asked, Move, WorkerRow
from gateway.moving.compare import Keeps, Loss, losses_of_bucket, losses_of_object
from gateway.moving.copying import Copier, delete, head_of, keys_of, versions_of
from gateway.moving.noting import RULES
from gateway.settings import GatewaySettings
from gateway.storage.base import Engine
from gateway.storage.errors import NoSuchBucket, NoSuchUpload
from gateway.storage.model import BucketRules, Deletion, Versioning
from meter.ids import BucketId
from meter.postgres import Connection
from meter.refusal import Refusal

ANSWER_PAUSE_S = 0.02
ANSWER_MAX_S = 60
"""So long workers get for what makes nobody wait."""
AGAIN_S = 1.0
PAGE = 1000
Connect = Callable[[], AbstractAsyncContextManager[Connection]]


@dataclass(slots=True)
class Inventory:
    """What is there before a move begins."""

    objects: int = 0
    size_bytes: int = 0
    uploads: int = 0
    lost: Counter[Loss] = field(default_factory=Counter)
    examples: dict[Loss, str] = field(default_factory=dict)

    def add(self, losses: Iterable[Loss], example: str) -> None:
        """Note what would be lost of one version, or of the bucket."""
        for loss in losses:
            self.lost[loss] += 1
            self.examples.setdefault(loss, example)


@dataclass(slots=True)
class Progress:
    """How far it is."""

    keys: int = 0
    size_bytes: int = 0
    passes: int = 0
    held_s: float = 0.0
    """How long writes had to wait for the switch."""


class NotYet(Exception):
    """This try to switch did not come through; the bucket is where it was, and the next try may."""


async def look(
    engine: Engine, bucket: BucketId, target: Keeps, *, may_change_ids: bool, told: Callable[[int], None]
) -> Inventory:
    """Every version of a bucket, and what of it would be lost; told how many more were seen."""
    rules, found = await engine.bucket_rules(bucket), Inventory()
    found.add(losses_of_bucket(rules, target, may_change_ids=may_change_ids), "")
    async for page in keys_of(engine, bucket, rules.versioning):
        for key in page:
            ids: list[str | None] = [None]
            if rules.versioning is not Versioning.OFF:
                ids = [one.version_id for one in await versions_of(engine, bucket, key) if not one.is_marker]
            for version_id in ids:
                head = await engine.head_object(bucket, key, version_id) if version_id else await head_of(
                    engine, bucket, key
                )  # fmt: skip
                if head is not None:
                    found.objects += 1
                    found.size_bytes += head.size_bytes
                    found.add(losses_of_object(head, target), key)
        told(len(page))
    uploads, _ = await engine.list_uploads(bucket, prefix="", after_key="", after_upload_id="", limit=PAGE)
    found.uploads = len(uploads)
    return found


class Mover:
    """One move, from where it stands to its end."""

    def __init__(
        self, connect: Connect, move: Move, source: Engine, target: Engine, settings: GatewaySettings, *,
        clock: Callable[[], int], told: Callable[[Progress], None], without: Collection[UUID] = (),
    ) -> None:  # fmt: skip
        """without names workers that are gone for good, and that nobody waits for."""
        self._connect = connect
        self.move = move
        self._source, self._target = source, target
        self._settings = settings
        self._clock = clock
        self._told = told
        self._without = frozenset(without)
        self.progress = Progress()
        self._copier = Copier(source, move.bucket, target, move.target, clock=clock, told=self._arrived)
        self._owed: set[str] = set()
        self._collected: set[tuple[int, str]] = set()

    async def run(self, bucket: Bucket) -> None:
        """Copy and switch. Raises Refusal; the same move can be gone on with."""
        locks = (await self._source.bucket_rules(self.move.bucket)).locks
        await self._target.create_bucket(self.move.target, owner=bucket.owner, locks=locks)
        reasons: list[str] = []
        for _ in range(self._settings.move_passes_max):
            try:
                everyone = await self._begin_noting()
                await self._copy_all()
                await self._follow(everyone, reasons)
            except NotYet as reason:
                reasons.append(str(reason))
            else:
                return
        raise Refusal(
            f"{self.move.name} stays where it is for now: {reasons[-1] if reasons else 'it is written to faster than it is copied'};"
            " the same command goes on from here"
        )

    async def _copy_all(self) -> None:
        """Every key of either side; what only the target has is from an earlier try, and gone since."""
        await self._rules(is_last=False)
        for engine, bucket in ((self._source, self.move.bucket), (self._target, self.move.target)):
            async for page in keys_of(engine, bucket, self._copier.versions):
                await self._make_same(page)

    async def _begin_noting(self) -> set[WorkerRow]:
        async with self._connect() as connection:
            number = await move_store.ask(connection, self.move, Asked.NOTE)
        told = await self._answers(number, ANSWER_MAX_S, None)
        self._all_noted(told)
        self._owed.clear()
        return set(told)

    async def _follow(self, everyone: set[WorkerRow], reasons: list[str]) -> None:
        """Copy what was written meanwhile until so little is left that writes may wait for it; switch. Raises NotYet."""
        for _ in range(self._settings.move_passes_max):
            self.progress.passes += 1
            changed = await self._hand_over(everyone)
            await self._settle()
            if changed > self._settings.move_last_keys_max:
                continue
            try:
                await self._switch(everyone)
            except NotYet as reason:
                reasons.append(str(reason))
                await asyncio.sleep(AGAIN_S)
            else:
                return
        raise NotYet(reasons[-1] if reasons else "it is written to faster than it is copied")

    async def _hand_over(self, everyone: set[WorkerRow]) -> int:
        """Have the keys noted so far; how many."""
        async with self._connect() as connection:
            number = await move_store.ask(connection, self.move, Asked.HAND_OVER)
        self._all_noted(await self._answers(number, ANSWER_MAX_S, everyone))
        return await self._collect()

    async def _switch(self, everyone: set[WorkerRow]) -> None:
        """Hold writes, copy the last keys, and let the target take the name. Raises NotYet."""
        try:
            await self._hold_uploads(everyone)
            async with self._connect() as connection:
                number = await move_store.ask(connection, self.move, Asked.HOLD)
            began = asyncio.get_running_loop().time()
            self._all_noted(await self._answers(number, self._settings.move_hold_max_s, everyone))
            await self._collect()
            await self._settle()
            await self._rules(is_last=True)
            if await self._open_uploads():
                raise NotYet("an upload in parts is open")
            async with self._connect() as connection:
                is_done = await move_store.switch(
                    connection, self.move, number, everyone, without=self._without, now_us=self._clock()
                )
            if not is_done:
                raise NotYet("a worker did not hold to the end")
            self.progress.held_s = asyncio.get_running_loop().time() - began
        except NotYet:
            async with self._connect() as connection:
                await move_store.ask(connection, self.move, Asked.HAND_OVER)
            raise

    async def _hold_uploads(self, everyone: set[WorkerRow]) -> None:
        """Let no upload in parts begin, for a moment, so that those that are open can end."""
        if not await self._open_uploads():
            return
        async with self._connect() as connection:
            number = await move_store.ask(connection, self.move, Asked.HOLD_UPLOADS)
        await self._answers(number, self._settings.move_hold_max_s, everyone)
        end = asyncio.get_running_loop().time() + self._settings.move_hold_max_s
        while open_now := await self._open_uploads():
            if asyncio.get_running_loop().time() > end:
                raise NotYet(
                    f"{open_now} uploads in parts are open; they end, or `--abort-uploads` ends them"
                )
            await asyncio.sleep(ANSWER_PAUSE_S)

    async def _open_uploads(self) -> int:
        uploads, _ = await self._source.list_uploads(
            self.move.bucket, prefix="", after_key="", after_upload_id="", limit=PAGE
        )
        return len(uploads)

    async def _rules(self, *, is_last: bool) -> None:
        """Rules as the source has them; until the last moment without what would change copies on their way."""
        rules = await self._source.bucket_rules(self.move.bucket)
        self._copier.versions = rules.versioning
        if rules.versioning is Versioning.OFF:
            return
        if not is_last:
            rules = BucketRules(Versioning.ENABLED, locks=rules.locks)
        await self._target.set_bucket_rules(self.move.target, rules)

    async def _settle(self) -> None:
        """Make every key the same that is known to have been written."""
        if RULES in self._owed:
            await self._rules(is_last=False)
            self._owed.discard(RULES)
        await self._make_same(list(self._owed))
        self._owed.clear()

    async def _make_same(self, keys: list[str]) -> None:
        """Some at once; the first failure ends it."""
        waiting = iter(keys)

        async def one_by_one() -> None:
            for key in waiting:
                await self._copier.same(key)
                self.progress.keys += 1
                self._told(self.progress)

        tasks = [
            asyncio.create_task(one_by_one()) for _ in range(min(self._settings.move_copies_max, len(keys)))
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _arrived(self, size_bytes: int) -> None:
        self.progress.size_bytes += size_bytes
        self._told(self.progress)

    # What workers answer

    async def _there(self, connection: Connection) -> set[WorkerRow]:
        return {row for row in await move_store.workers(connection) if row.stream not in self._without}

    async def _answers(
        self, number: int, wait_s: float, everyone: set[WorkerRow] | None
    ) -> dict[WorkerRow, Answered]:
        """Every worker's answer to the round. Raises NotYet when one began anew, or Refusal when one is silent."""
        end = asyncio.get_running_loop().time() + wait_s
        while True:
            async with self._connect() as connection:
                there = await self._there(connection)
                told = await move_store.answers(connection, self.move, number)
            if everyone is not None and there != everyone:
                raise NotYet("a worker began or ended meanwhile")
            silent = [row for row in there if row.stream not in told]
            if not silent:
                return {row: told[row.stream] for row in there}
            if asyncio.get_running_loop().time() > end:
                names = ", ".join(f"{row.label} on {row.host} ({row.stream})" for row in silent)
                if everyone is not None and wait_s < ANSWER_MAX_S:
                    raise NotYet(f"writes under way did not end in time: {names}")
                raise Refusal(
                    f"no answer of {names}; if it is gone for good, say so with --without and its number"
                )
            await asyncio.sleep(ANSWER_PAUSE_S)

    def _all_noted(self, told: dict[WorkerRow, Answered]) -> None:
        for row, answer in told.items():
            if not answer.is_complete or answer.incarnation != row.incarnation:
                raise NotYet("more was written than a worker could note; everything is compared again")

    async def _collect(self) -> int:
        """Take over what was handed over, of earlier rounds that came to nothing too; how many keys."""
        async with self._connect() as connection:
            found = await move_store.handed_over(connection, self.move)
        fresh = found - self._collected
        self._collected |= fresh
        self._owed |= {key for _, key in fresh}
        return len(self._owed)

    # After the switch

    async def wait_until_known(self) -> None:
        """Until no worker asks the old place any more. Raises Refusal."""
        async with self._connect() as connection:
            number = await move_store.ask(connection, self.move, Asked.NOTE)
        await self._answers(number, ANSWER_MAX_S, None)

    async def clear(self, engine: Engine, bucket: BucketId, *, told: Callable[[int], None]) -> None:
        """Empty and remove the bucket of that number on that engine; may be done again."""
        try:
            rules = await engine.bucket_rules(bucket)
            await self.abort_uploads(engine, bucket)
            while await self._delete_page(engine, bucket, rules.versioning, told):
                pass  # until a page finds nothing
            await engine.delete_bucket(bucket)
        except NoSuchBucket:
            return

    async def abort_uploads(self, engine: Engine, bucket: BucketId) -> None:
        """End every open upload in parts."""
        while True:
            uploads, _ = await engine.list_uploads(
                bucket, prefix="", after_key="", after_upload_id="", limit=PAGE
            )
            for one in uploads:
                try:
                    await engine.abort_upload(bucket, one.key, one.upload_id, now_us=self._clock())
                except NoSuchUpload:
                    continue  # somebody else was quicker
            if not uploads:
                return

    async def _delete_page(
        self, engine: Engine, bucket: BucketId, versions: Versioning, told: Callable[[int], None]
    ) -> bool:
        if versions is Versioning.OFF:
            listing = await engine.list_objects(bucket, prefix="", delimiter="", after="", limit=PAGE)
            doomed = [Deletion(one.key) for one in listing.objects]
        else:
            page = await engine.list_versions(
                bucket, prefix="", delimiter="", after_key="", after_version_id="", limit=PAGE
            )
            doomed = [Deletion(one.key, one.version_id, may_bypass=True) for one in page.versions]
        await delete(engine, bucket, doomed, now_us=self._clock())
        told(len(doomed))
        return bool(doomed)
