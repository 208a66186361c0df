"""A worker reads of the directory what changed, and ends up with exactly what reading all of it gives."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from gateway import directory_store
from gateway.call import Subject
from gateway.changes import Known
from gateway.directory import PostgresDirectory
from gateway.errors import S3Error
from gateway.keys import create_key, revoke_key
from gateway.rates import OwnRates
from gateway.rates_store import set_own_rates
from gateway.store import add_bucket, limit_bucket, limit_member, put_document, remove_bucket, remove_document
from gateway.vault import Vault
from meter.cap_store import set_caps
from meter.caps import Cap, Caps
from meter.ids import BucketId, MemberId
from meter.postgres import connect
from meter.store import add_member, set_member_status
from meter.usage import MemberClass, MemberStatus
from tests.pgproxy import Proxy, running_proxy

NOW_US = 1_700_000_000_000_000
NEVER = 3600
STATUSES = (MemberStatus.ACTIVE, MemberStatus.SUSPENDED)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(dsn)
    try:
        yield connection
    finally:
        connection.terminate()


@asynccontextmanager
async def worker(
    dsn: str, place: Path, *, poll_s: float = NEVER, deaf: bool = True, **how: Any
) -> AsyncIterator[PostgresDirectory]:
    """A directory that is told nothing: it knows what it asks for."""
    place.mkdir(exist_ok=True)
    directory = PostgresDirectory(
        dsn, snapshot=place / "directory.db", vault=Vault.open(place / "secret.key", create=True),
        poll_s=poll_s, timeout_s=10, **how,
    )  # fmt: skip
    await directory.start()
    if deaf and directory._connection is not None:
        await directory._connection.remove_listener("weir_directory", directory._on_notify)
    try:
        yield directory
    finally:
        await directory.close()


async def member_in(connection: asyncpg.Connection, name: str) -> MemberId:
    found = await add_member(connection, name=name, member_class=MemberClass.USER, email="", now_us=NOW_US)
    return found.id


def known_to(directory: PostgresDirectory) -> tuple[dict[Any, Any], ...]:
    return directory._keys, directory._buckets, dict(directory.egress_caps), dict(directory.rates)


def as_kept(known: Known) -> tuple[dict[Any, Any], ...]:
    keys, buckets = {k.access_key: k for k in known.keys}, {b.name: b for b in known.buckets}
    return keys, buckets, dict(known.egress_caps), dict(known.rates)


async def within(seconds: float, holds: Callable[[], bool]) -> float:
    """How long it took to come to hold."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, "it never came to hold"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


class Random:
    """Changes of every kind, as the commands and gateways make them."""

    def __init__(self, connection: asyncpg.Connection, vault: Vault, dice: random.Random) -> None:
        self._connection = connection
        self._vault = vault
        self._dice = dice
        self._members: list[MemberId] = []
        self._keys: list[str] = []
        self._buckets: list[BucketId] = []

    async def change(self) -> None:
        """One."""
        if not self._members:
            await self._member()
        await self._dice.choice(
            (self._member, self._key, self._revoke, self._bucket, self._gone, self._document, self._no_document,
             self._bucket_limit, self._member_limit, self._rates, self._cap, self._status)
        )()  # fmt: skip

    async def _member(self) -> None:
        self._members.append(await member_in(self._connection, f"m{len(self._members)}"))

    async def _key(self) -> None:
        made, _ = await create_key(self._connection, self._someone, vault=self._vault, now_us=NOW_US)
        self._keys.append(made)

    async def _revoke(self) -> None:
        if self._keys:
            await revoke_key(self._connection, self._keys.pop(), now_us=NOW_US)

    async def _bucket(self) -> None:
        # Few names: a name that is free again becomes another bucket's.
        await add_bucket(self._connection, f"bucket-{self._dice.randrange(6)}", self._someone, now_us=NOW_US)
        self._buckets = [
            row["id"]
            for row in await self._connection.fetch("SELECT id FROM gateway.bucket WHERE deleted_at IS NULL")
        ]

    async def _gone(self) -> None:
        if self._buckets:
            await remove_bucket(self._connection, self._buckets.pop(), now_us=NOW_US)

    async def _document(self) -> None:
        if self._buckets:
            await put_document(
                self._connection,
                self._dice.choice(self._buckets),
                Subject.CORS,
                str(self._dice.random()),
                now_us=NOW_US,
            )

    async def _no_document(self) -> None:
        if self._buckets:
            await remove_document(self._connection, self._dice.choice(self._buckets), Subject.CORS)

    async def _bucket_limit(self) -> None:
        if self._buckets:
            await limit_bucket(self._connection, self._dice.choice(self._buckets), self._dice.randrange(9))

    async def _member_limit(self) -> None:
        await limit_member(self._connection, self._someone, self._dice.choice((None, 5, 6)))

    async def _rates(self) -> None:
        own = OwnRates(self._dice.choice((None, 0, 7)), self._dice.choice((None, 8)))
        await set_own_rates(self._connection, self._someone, own)

    async def _cap(self) -> None:
        cap = Cap(None, self._dice.choice((None, 1, 2)))
        await set_caps(
            self._connection, self._someone, Caps(cap, Cap(None, self._dice.choice((None, 3)))), now_us=NOW_US
        )

    async def _status(self) -> None:
        await set_member_status(self._connection, self._someone, self._dice.choice(STATUSES), now_us=NOW_US)

    @property
    def _someone(self) -> MemberId:
        return self._dice.choice(self._members)


async def test_reading_what_changed_gives_what_reading_everything_gives(
    database: str, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed)
    async with (
        connected(database) as connection,
        worker(database, tmp_path / "one") as directory,
    ):
        changes = Random(connection, directory._vault, dice)
        whole = rewritten = 0
        everything = directory_store.everything

        async def counted(connection: asyncpg.Connection) -> Known:
            nonlocal whole
            whole += 1
            return await everything(connection)

        replace = directory._snapshot.replace

        def rewriting(*what: Any, **how: Any) -> None:
            nonlocal rewritten
            rewritten += 1
            replace(*what, **how)

        monkeypatch.setattr(directory_store, "everything", counted)
        monkeypatch.setattr(directory._snapshot, "replace", rewriting)
        for _ in range(25):
            for _ in range(dice.randrange(1, 8)):
                await changes.change()
            await directory._refresh()
            expected = as_kept(
                (await everything(connection))._replace(
                    keys=[row for row in (await everything(connection)).keys if row.revoked_us is None]
                )
            )
            assert expected == known_to(directory)
            kept, seen = directory._snapshot.load()
            assert expected == as_kept(kept)
            assert seen.position <= directory._seen.position
            # A look that finds nothing moves only what is known to be seen.
            await directory._refresh()
        assert (0, 0) == (whole, rewritten)


async def test_a_change_that_was_numbered_first_and_committed_last_is_read(
    database: str, tmp_path: Path
) -> None:
    async with (
        connected(database) as slow, connected(database) as quick, worker(database, tmp_path / "one") as directory
    ):  # fmt: skip
        owner = await member_in(quick, "anna")
        await directory._refresh()
        late = slow.transaction()
        await late.start()
        await add_bucket(slow, "late", owner, now_us=NOW_US)
        await add_bucket(quick, "early", owner, now_us=NOW_US)
        await directory._refresh()
        assert {"early"} == directory._buckets.keys()
        generation, snapshot = directory._seen.last_change, directory._seen.position
        # While it is open, what committed after it is not read again and again.
        found = await directory._with_connection(directory._look)
        assert (None, generation, snapshot) == (found[1], found[0].last_change, found[0].position)
        await late.commit()
        await directory._refresh()
        assert {"early", "late"} == directory._buckets.keys()


async def test_who_looked_before_what_was_forgotten_reads_everything(database: str, tmp_path: Path) -> None:
    async with connected(database) as connection, worker(database, tmp_path / "one") as directory:
        owner = await member_in(connection, "anna")
        await add_bucket(connection, "abc", owner, now_us=NOW_US)
        await connection.execute("UPDATE gateway.directory_change SET at = now() - interval '9 days'")
        await directory_store.forget_changes(connection, days=7)
        assert 0 == await connection.fetchval("SELECT count(*) FROM gateway.directory_change")
        await directory._refresh()
        assert {"abc"} == directory._buckets.keys()


async def test_a_gateway_whose_server_was_exchanged_reads_everything(database: str, tmp_path: Path) -> None:
    async with connected(database) as connection:
        owner = await member_in(connection, "anna")
        await add_bucket(connection, "abc", owner, now_us=NOW_US)
    async with worker(database, tmp_path / "one") as directory:
        # As if it knew another server, further on in its numbers, and a bucket that is not here.
        directory._seen.server = "another/1/1"
        directory._buckets.clear()
        await directory._refresh()
        assert {"abc"} == directory._buckets.keys()


async def test_a_revocation_arrives_by_the_poll_when_no_notice_does(database: str, tmp_path: Path) -> None:
    async with connected(database) as connection, worker(database, tmp_path / "one", poll_s=1) as directory:
        owner = await member_in(connection, "anna")
        key, _ = await create_key(connection, owner, vault=directory._vault, now_us=NOW_US)
        assert await directory.key(key) is not None
        await revoke_key(connection, key, now_us=NOW_US)
        await within(1 + 2, lambda: directory.known_key(key) is None)


@pytest.fixture
def proxy(database: str, tmp_path: Path) -> Iterator[Proxy]:
    upstream = Path(parse_qs(urlsplit(database).query)["host"][0])
    with running_proxy(tmp_path / "proxy", upstream) as found:
        yield found


async def test_a_revocation_arrives_over_a_new_connection_when_the_old_one_is_silently_dead(
    database: str, tmp_path: Path, proxy: Proxy
) -> None:
    async with (
        connected(database) as connection,
        worker(proxy.dsn(database), tmp_path / "one", poll_s=1, deaf=False) as directory,
    ):
        owner = await member_in(connection, "anna")
        key, _ = await create_key(connection, owner, vault=directory._vault, now_us=NOW_US)
        await within(5, lambda: directory.known_key(key) is not None)
        proxy.silence()
        await revoke_key(connection, key, now_us=NOW_US)
        # docs/gateways.md: directory_poll_s, and 5 s to find the connection dead and make another.
        await within(1 + 5, lambda: directory.known_key(key) is None)


async def test_with_postgres_away_keys_are_trusted_for_as_long_as_the_setting_says(
    database: str, tmp_path: Path
) -> None:
    async with connected(database) as connection:
        owner = await member_in(connection, "anna")
        vault = Vault.open(tmp_path / "secret.key", create=True)
        key, _ = await create_key(connection, owner, vault=vault, now_us=NOW_US)
    (tmp_path / "secret.key").rename(tmp_path / "kept")
    for stale_max_s in (0, 1):
        place = tmp_path / f"stale-{stale_max_s}"
        place.mkdir()
        (place / "secret.key").write_bytes((tmp_path / "kept").read_bytes())
        async with worker(database, place, stale_max_s=stale_max_s) as directory:
            assert directory.known_key(key) is not None
        nowhere = "postgresql://weir@127.0.0.1:1/none"
        async with worker(nowhere, place, stale_max_s=stale_max_s) as directory:
            assert directory.known_key(key) is not None
            if stale_max_s:
                await within(3, lambda: directory.known_key(key) is None)
                with pytest.raises(S3Error, match="ServiceUnavailable"):
                    await directory.key(key)
            else:
                directory._looked_s -= 10**9
                assert await directory.key(key) is not None
