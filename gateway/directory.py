"""The gateway's copy of the directory: keys and buckets, served from memory, kept on disk, refreshed by NOTIFY.

A look reads what changed since the one before, and costs one statement when nothing did. With Postgres away the
gateway serves what it knows, also after a restart; only changes to the directory wait.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import asyncpg

from gateway import store
from gateway.call import Bucket, Subject
from gateway.changemark import ChangeMark
from gateway.changes import Known, Look, News, Seen
from gateway.directory_copy import DirectoryCopy, Key
from gateway.directory_store import news
from gateway.engine_store import EngineRow
from gateway.errors import s3_error
from gateway.snapshot_store import SnapshotStore
from gateway.vault import Vault
from meter import postgres
from meter.ids import MemberId
from meter.postgres import Connection, connect
from meter.refusal import Refusal

log = logging.getLogger(__name__)
AWAY = (*postgres.AWAY, asyncpg.PostgresError, Refusal)
MISSES_MAX = 1024
MISS_LIFE_S = 1.0
ASK_TIMEOUT_S = 2.0
"""A request waits no longer for Postgres than this; what is known already has to do."""
REFRESH_PAUSE_S = 0.1
LOOK_TIMEOUT_S = 2.0
"""A look that has no answer by then went into a connection that is dead, whatever the kernel thinks of it."""
Answer = TypeVar("Answer")


class PostgresDirectory(DirectoryCopy):
    """Directory of gateway.call, plus the keys."""

    def __init__(
        self, dsn: str, *, snapshot: Path, vault: Vault, poll_s: float, timeout_s: int, stale_max_s: int = 0
    ) -> None:  # fmt: skip
        super().__init__(vault)
        self._dsn = dsn
        self._snapshot = SnapshotStore(snapshot)
        self._seen = Seen()
        self._kept = self._seen.position
        """All that is known here had been read by then: looks after it found nothing new."""
        self._is_unkept = False
        self._stale_max_s = stale_max_s
        self._looked_s = time.monotonic()
        self._poll_s = poll_s
        self._timeout_s = timeout_s
        self._misses: OrderedDict[str, float] = OrderedDict()
        self._connection: Connection | None = None
        self._lock = asyncio.Lock()
        self._snapshot_lock = asyncio.Lock()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._mark = ChangeMark(snapshot.with_suffix(".change"))
        self._catching_up = asyncio.Lock()
        self.told: dict[str, Callable[[], None]] = {}
        """Channels of Postgres beside the directory's own, and what is called when one speaks or may have spoken."""

    @property
    def last_change(self) -> int:
        """The number of the last change that is known here."""
        return self._seen.last_change

    @property
    def age_s(self) -> float:
        """How long ago Postgres last said what is new."""
        return time.monotonic() - self._looked_s

    async def start(self) -> None:
        """Load the snapshot, try Postgres once, and keep refreshing in the background."""
        self._mark.open()
        self._snapshot.open()
        known, self._seen = await asyncio.to_thread(self._snapshot.load)
        self._kept = self._seen.position
        self._apply(known)
        try:
            await self._refresh()
        except AWAY as error:
            log.warning("directory from its snapshot, Postgres is away: %s", error)
        self._task = asyncio.create_task(self._keep_fresh())

    async def close(self) -> None:
        """Stop refreshing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._connection is not None:
            self._connection.terminate()
        self._mark.close()
        async with self._snapshot_lock:
            self._snapshot.close()

    def known_key(self, access_key: str) -> Key | None:
        """The open key, from memory only; None also where key() may know better."""
        if self._stale_max_s and self._is_stale():
            return None
        return self._key_here(access_key)

    def _is_stale(self) -> bool:
        """Whether Postgres has been away for longer than keys may be trusted."""
        return bool(self._stale_max_s) and self.age_s > self._stale_max_s

    async def key(self, access_key: str) -> Key | None:
        """The open key; a miss is asked of Postgres before it is believed.

        Raises S3Error ServiceUnavailable where it may have been revoked longer ago than directory_stale_max_s.
        """
        if self._mark.news() is not None:
            await self._catch_up()
        if self._is_stale():
            raise s3_error("ServiceUnavailable")
        found = self._key_here(access_key)
        if found is None and self._worth_asking(f"key {access_key}"):
            rows = await self.ask(lambda connection: store.keys(connection, access_key=access_key))
            for row in rows or ():
                if row.revoked_us is None:
                    self._keys[access_key] = row
                    await self._keep(lambda: self._snapshot.note(keys=rows or ()))
            found = self._key_here(access_key)
        return found

    def known_bucket(self, name: str) -> Bucket | None:
        """The bucket, from memory only; None also while there is news to be read."""
        return self._buckets.get(name) if self._mark.news() is None else None

    async def bucket(self, name: str, *, ask: bool = True) -> Bucket | None:
        """The bucket of that name; a miss is asked of Postgres before it is believed.

        Each time: another worker may have made it a moment ago, and told its client so. Only members
        whose signature was proven may ask: no flood of made-up names reaches Postgres. Nobody else
        needs to, for the mark told this machine of the bucket.
        """
        if self._mark.news() is not None:
            await self._catch_up()
        found = self._buckets.get(name)
        if found is None and ask:
            for row in await self.ask(lambda connection: store.buckets(connection, name=name)) or ():
                found = self._know(row)
                await self._keep_bucket(row)
        return found

    async def buckets_of(self, member: MemberId) -> list[Bucket]:
        """The member's buckets by name, as Postgres has them; with Postgres away, as they were last known."""
        rows = await self.ask(lambda connection: store.buckets(connection, owner=member))
        if rows is not None:
            return rows
        return sorted(
            (bucket for bucket in self._buckets.values() if bucket.owner == member), key=lambda b: b.name
        )

    async def create_bucket(
        self, name: str, owner: MemberId, *, engine: EngineRow = store.ON_DISK, now_us: int
    ) -> tuple[Bucket, bool]:
        """The bucket now under that name and whether it is new. Raises S3Error ServiceUnavailable."""

        async def enter(connection: Connection) -> tuple[Bucket, bool]:
            while True:
                new = await store.add_bucket(connection, name, owner, engine=engine, now_us=now_us)
                rows = await store.buckets(connection, name=name)
                if rows:
                    return rows[0], new

        bucket, new = await self._write(enter)
        self._know(bucket)
        await self._keep_bucket(bucket)
        if new:
            self._mark.tell()
        return bucket, new

    async def delete_bucket(self, bucket: Bucket, *, now_us: int) -> None:
        """Take the name out of the directory. Raises S3Error ServiceUnavailable."""
        await self._write(lambda connection: store.remove_bucket(connection, bucket.id, now_us=now_us))
        if (known := self._buckets.get(bucket.name)) is not None and known.id == bucket.id:
            self._let_go(bucket.name)
            await self._keep(lambda: self._snapshot.note(gone=bucket.name))
        self._mark.tell()

    async def set_document(
        self, bucket: Bucket, subject: Subject, document: str | None, *, now_us: int
    ) -> None:
        """Keep a document, or take it away. Raises S3Error ServiceUnavailable.

        Invariant: when this returns, every worker of this machine asks Postgres before its next answer;
        gateways on other machines hear of it by NOTIFY.
        """

        async def enter(connection: Connection) -> list[Bucket]:
            if document is None:
                await store.remove_document(connection, bucket.id, subject)
            else:
                await store.put_document(connection, bucket.id, subject, document, now_us=now_us)
            return await store.buckets(connection, name=bucket.name)

        for row in await self._write(enter):
            self._know(row)
            await self._keep_bucket(row)
        self._mark.tell()

    async def look_again(self) -> bool:
        """Read what is new, now; whether Postgres was there."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                await self._refresh()
        except AWAY as error:
            log.warning("directory not refreshed, Postgres is away: %s", error)
            return False
        return True

    async def _catch_up(self) -> None:
        """Another worker changed something and told its client so: read it before answering."""
        async with self._catching_up:
            token = self._mark.news()
            if token is None:
                return
            try:
                async with asyncio.timeout(ASK_TIMEOUT_S):
                    await self._refresh()
            except AWAY as error:
                log.warning("directory change unread, Postgres is away: %s", error)
            # Only now: whoever asks meanwhile waits above instead of serving what was.
            self._mark.note(token)

    def _worth_asking(self, what: str) -> bool:
        """A miss is asked once a second at most, and the list of misses is bounded: no flood reaches Postgres."""
        now = asyncio.get_running_loop().time()
        asked = self._misses.get(what)
        if asked is not None and now - asked < MISS_LIFE_S:
            return False
        self._misses[what] = now
        self._misses.move_to_end(what)
        while len(self._misses) > MISSES_MAX:
            self._misses.popitem(last=False)
        return True

    async def ask(self, question: Callable[[Connection], Awaitable[Answer]]) -> Answer | None:
        """What Postgres answers on the directory's connection; None while it is away."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                return await self._with_connection(question)
        except AWAY as error:
            log.warning("directory question unanswered, Postgres is away: %s", error)
            return None

    async def _write(self, change: Callable[[Connection], Awaitable[Answer]]) -> Answer:
        try:
            return await self._with_connection(change)
        except AWAY as error:
            log.warning("directory change refused, Postgres is away: %s", error)
            raise s3_error("ServiceUnavailable") from error

    async def _with_connection(self, work: Callable[[Connection], Awaitable[Answer]]) -> Answer:
        async with self._lock:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._connect()
            return await work(self._connection)

    async def _connect(self) -> Connection:
        """A connection that listens; one that could not be told to listen is not kept."""
        connection = await connect(self._dsn, role="weir_gateway", timeout_s=self._timeout_s)
        try:
            await connection.add_listener("weir_directory", self._on_notify)
            for channel in self.told:
                await connection.add_listener(channel, self._on_other)
                self.told[channel]()
        except BaseException:
            connection.terminate()
            raise
        connection.add_termination_listener(self._on_notify)
        self._seen.step_back()
        return connection

    def _on_notify(self, *_: object) -> None:
        self._changed.set()

    def _on_other(self, _connection: object, _process: object, channel: str, _payload: object) -> None:
        self.told[channel]()

    async def _refresh(self) -> None:
        """Read what is new. Raises what says that Postgres is away."""
        self._changed.clear()
        # All in one turn on the connection: of two refreshes at once the later read is also kept last.
        look, found = await self._with_connection(self._look)
        self._looked_s = time.monotonic()
        always = self._seen.is_behind(look)
        self._seen.note(look)
        if isinstance(found, News):
            self._apply_news(found)
            if not self._is_unkept and await self._keep(
                lambda: self._snapshot.change(found, look, since=self._kept)
            ):
                self._kept = look.position
                return
        elif found is not None:
            self._apply(found)
        elif not self._is_unkept:
            return
        all_of_it = self._all()
        self._is_unkept, self._kept = False, look.position
        await self._keep(lambda: self._snapshot.replace(all_of_it, look, always=always))

    async def _look(self, connection: Connection) -> tuple[Look, Known | News | None]:
        try:
            return await news(connection, self._seen, timeout_s=LOOK_TIMEOUT_S)
        except BaseException:
            # In the middle of an answer, or with nobody at the other end: of no use to anybody.
            connection.terminate()
            raise

    async def _keep_bucket(self, bucket: Bucket) -> None:
        await self._keep(lambda: self._snapshot.note(buckets=(bucket,)))

    async def _keep(self, work: Callable[[], Answer]) -> Answer | None:
        """What this worker knows outlives it, also when Postgres goes away the next moment.

        A disk that takes nothing more is logged and stops nobody; the next look writes all of it.
        """
        async with self._snapshot_lock:
            try:
                return await asyncio.to_thread(work)
            except sqlite3.Error as error:
                log.warning("the directory's snapshot could not be written: %s", error)
                self._is_unkept = True
                return None

    async def _keep_fresh(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self._changed.wait(), self._poll_s)
            except TimeoutError:
                log.debug("directory: the floor's poll")
            await asyncio.sleep(REFRESH_PAUSE_S)
            try:
                await self._refresh()
            except AWAY as error:
                log.warning("directory not refreshed, Postgres is away: %s", error)
                await asyncio.sleep(random.uniform(0.5, 2.0))  # noqa: S311 - jitter, not a secret
                self._changed.set()
