"""The gateway's copy of the directory: keys and buckets, served from memory, kept on disk, refreshed by NOTIFY.

With Postgres away it serves what it knows, also after a restart; only changes to the directory wait.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import asyncpg

from gateway import engine_store, store
from gateway.call import Bucket, Subject
from gateway.changemark import ChangeMark
from gateway.engine_store import EngineRow
from gateway.errors import s3_error
from gateway.scope import KeyScope, parse_scope
from gateway.snapshot import Known, keep, pack, unpack
from gateway.store import KeyRow
from gateway.vault import Vault
from meter.cap_store import caps
from meter.ids import BucketId, MemberId
from meter.postgres import Connection, connect
from meter.refusal import Refusal
from meter.usage import MemberStatus

log = logging.getLogger(__name__)
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, Refusal)
MISSES_MAX = 1024
MISS_LIFE_S = 1.0
ASK_TIMEOUT_S = 2.0
"""A request waits no longer for Postgres than this; what is known already has to do."""
REFRESH_PAUSE_S = 0.1
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Key:
    """An open access key, its secret unsealed."""

    access_key: str
    member: MemberId
    member_name: str
    member_status: MemberStatus
    secret: str
    scope: KeyScope | None = None


class PostgresDirectory:
    """Directory of gateway.call, plus the keys."""

    def __init__(self, dsn: str, *, snapshot: Path, vault: Vault, poll_s: int, timeout_s: int) -> None:
        self._dsn = dsn
        self._snapshot = snapshot
        self._vault = vault
        self._poll_s = poll_s
        self._timeout_s = timeout_s
        self._keys: dict[str, KeyRow] = {}
        self._open_keys: dict[str, Key] = {}
        self._buckets: dict[str, Bucket] = {}
        self._numbered: dict[BucketId, Bucket] = {}
        """By number, those that had lost their name when the directory was last read too: requests may be under way."""
        self._misses: OrderedDict[str, float] = OrderedDict()
        self._connection: Connection | None = None
        self._lock = asyncio.Lock()
        self._snapshot_lock = asyncio.Lock()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._mark = ChangeMark(snapshot.with_suffix(".change"))
        self._catching_up = asyncio.Lock()
        self.egress_caps: Mapping[MemberId, int] = {}
        """Hard caps of members who set one: bytes out in a month."""
        self.engines: Mapping[str, EngineRow] = {store.ON_DISK.name: store.ON_DISK}
        """Storage engines by name, closed ones too; their secrets are sealed."""
        self.engines_at: frozenset[str] = frozenset()
        """Their locations."""
        self.told: dict[str, Callable[[], None]] = {}
        """Channels of Postgres beside the directory's own, and what is called when one speaks or may have spoken."""
        self.generation = 0
        """Grows with each refresh: caches derived from secrets are dropped when it does."""

    async def start(self) -> None:
        """Load the snapshot, try Postgres once, and keep refreshing in the background."""
        self._mark.open()
        if self._snapshot.exists():
            known = unpack(json.loads(self._snapshot.read_text()))
            if known is not None:
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

    def known_key(self, access_key: str) -> Key | None:
        """The open key, from memory only."""
        found = self._open_keys.get(access_key)
        if found is None and (row := self._keys.get(access_key)) is not None:
            secret = self._vault.reveal(row.secret, access_key=access_key)
            found = Key(
                access_key, row.member, row.member_name, row.member_status, secret, parse_scope(row.scope)
            )
            self._open_keys[access_key] = found
        return found

    async def key(self, access_key: str) -> Key | None:
        """The open key; a miss is asked of Postgres before it is believed."""
        if self._mark.news() is not None:
            await self._catch_up()
        found = self.known_key(access_key)
        if found is None and self._worth_asking(f"key {access_key}"):
            rows = await self.ask(lambda connection: store.keys(connection, access_key=access_key))
            for row in rows or ():
                if row.revoked_us is None:
                    self._keys[access_key] = row
                    await self._keep_snapshot()
            found = self.known_key(access_key)
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
                await self._keep_snapshot()
        return found

    def bucket_numbered(self, number: BucketId) -> Bucket | None:
        """The bucket of that number, from memory only."""
        return self._numbered.get(number)

    def _know(self, bucket: Bucket) -> Bucket:
        self._buckets[bucket.name] = self._numbered[bucket.id] = bucket
        return bucket

    def known_buckets(self) -> list[Bucket]:
        """All buckets of all members, from memory only."""
        return list(self._buckets.values())

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
        await self._keep_snapshot()
        if new:
            self._mark.tell()
        return bucket, new

    async def delete_bucket(self, bucket: Bucket, *, now_us: int) -> None:
        """Take the name out of the directory. Raises S3Error ServiceUnavailable."""
        await self._write(lambda connection: store.remove_bucket(connection, bucket.id, now_us=now_us))
        if (known := self._buckets.get(bucket.name)) is not None and known.id == bucket.id:
            del self._buckets[bucket.name]
        await self._keep_snapshot()
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
        await self._keep_snapshot()
        self._mark.tell()

    async def look_again(self) -> bool:
        """Read everything anew, now; whether Postgres was there."""
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
        return connection

    def _on_notify(self, *_: object) -> None:
        self._changed.set()

    def _on_other(self, _connection: object, _process: object, channel: str, _payload: object) -> None:
        self.told[channel]()

    async def _refresh(self) -> None:
        self._changed.clear()
        # All in one turn on the connection: of two refreshes at once the later read is also kept last.
        self._apply(await self._with_connection(_everything))
        await self._keep_snapshot()

    async def _keep_snapshot(self) -> None:
        """What this worker knows outlives it, also when Postgres goes away the next moment."""
        told = pack(self._keys.values(), self._buckets.values(), self.egress_caps, self.engines.values())
        packed = json.dumps(told, sort_keys=True)
        async with self._snapshot_lock:
            await asyncio.to_thread(keep, self._snapshot, packed)

    def _apply(self, known: Known) -> None:
        self._keys = {row.access_key: row for row in known.keys if row.revoked_us is None}
        self._open_keys.clear()
        before = self._buckets.values()
        self._buckets = {bucket.name: bucket for bucket in known.buckets}
        self._numbered = {bucket.id: bucket for bucket in (*before, *known.buckets)}
        self.egress_caps = known.egress_caps
        self.engines = {row.name: row for row in known.engines} or {store.ON_DISK.name: store.ON_DISK}
        self.engines_at = frozenset(row.location for row in known.engines if row.location)
        self.generation += 1

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


async def _everything(connection: Connection) -> Known:
    # Of one moment: a member who was suspended in between must not have a key that opens and a bucket that does not.
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        keys = await store.keys(connection)
        buckets = await store.buckets(connection)
        found = await caps(connection)
        engines = await engine_store.engines(connection)
    hard = {member: one.egress.hard for member, one in found.items() if one.egress.hard is not None}
    return Known(keys, buckets, hard, engines)
