"""What is set on a bucket through one worker holds at every other worker when the answer is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway import store
from gateway.call import Bucket, Subject
from gateway.directory import PostgresDirectory
from gateway.errors import S3Error
from gateway.vault import Vault
from meter.ids import MemberId
from meter.postgres import connect
from meter.store import add_member
from meter.usage import MemberClass

NOW_US = 1_700_000_000_000_000


@asynccontextmanager
async def worker(dsn: str, place: Path) -> AsyncIterator[PostgresDirectory]:
    """A directory that hears of changes by nothing but the shared mark: its poll never comes."""
    directory = PostgresDirectory(
        dsn, snapshot=place / "directory.json", vault=Vault.open(place / "secret.key", create=True),
        poll_s=3600, timeout_s=10,
    )  # fmt: skip
    await directory.start()
    # NOTIFY would bring the change a moment later; here only the mark may.
    await directory._connection.remove_listener("weir_directory", directory._on_notify)  # type: ignore[union-attr]
    try:
        yield directory
    finally:
        await directory.close()


async def owner_in(dsn: str) -> MemberId:
    connection = await connect(dsn)
    try:
        found = await add_member(
            connection, name="anna", member_class=MemberClass.USER, email="", now_us=NOW_US
        )
        return found.id
    finally:
        await connection.close()


async def seen(directory: PostgresDirectory, name: str) -> Bucket:
    # As an exchange asks: from memory first.
    found = directory.known_bucket(name) or await directory.bucket(name)
    assert found is not None
    return found


async def test_a_document_set_by_one_worker_is_seen_by_the_next_request_of_another(
    database: str, tmp_path: Path
) -> None:
    owner = await owner_in(database)
    async with worker(database, tmp_path) as one, worker(database, tmp_path) as other:
        bucket, _ = await one.create_bucket("abc", owner, now_us=NOW_US)
        assert {} == (await seen(other, "abc")).documents
        for document in ("first", "second", None):
            await one.set_document(bucket, Subject.POLICY, document, now_us=NOW_US)
            expected = {} if document is None else {Subject.POLICY: document}
            # Many at once: none of them may overtake the one that reads the news.
            assert [expected] * 20 == [
                found.documents for found in await asyncio.gather(*(seen(other, "abc") for _ in range(20)))
            ]
            assert expected == (await seen(one, "abc")).documents


async def test_a_bucket_deleted_by_one_worker_is_gone_at_another(database: str, tmp_path: Path) -> None:
    owner = await owner_in(database)
    async with worker(database, tmp_path) as one, worker(database, tmp_path) as other:
        bucket, _ = await one.create_bucket("abc", owner, now_us=NOW_US)
        assert bucket.id == (await seen(other, "abc")).id
        await one.delete_bucket(bucket, now_us=NOW_US)
        assert await other.bucket("abc") is None


async def test_documents_and_limits_survive_a_restart_without_postgres(database: str, tmp_path: Path) -> None:
    owner = await owner_in(database)
    async with worker(database, tmp_path) as one:
        bucket, _ = await one.create_bucket("abc", owner, now_us=NOW_US)
        connection = await connect(database)
        await store.limit_bucket(connection, bucket.id, 1000)
        await store.limit_member(connection, owner, 5000)
        await connection.close()
        await one.set_document(bucket, Subject.CORS, "ü<>", now_us=NOW_US)
        known = await seen(one, "abc")
    assert (1000, 5000, "anna") == (known.bytes_max, known.owner_bytes_max, known.owner_name)
    away = PostgresDirectory(
        "postgresql://weir@127.0.0.1:1/none", snapshot=tmp_path / "directory.json",
        vault=Vault.open(tmp_path / "secret.key"), poll_s=3600, timeout_s=1,
    )  # fmt: skip
    await away.start()
    try:
        assert known == await away.bucket("abc")
        with pytest.raises(S3Error, match="ServiceUnavailable"):
            await away.set_document(known, Subject.CORS, None, now_us=NOW_US)
    finally:
        await away.close()
