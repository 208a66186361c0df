"""Storage engines in the directory: every worker knows them, also without PostgreSQL, and buckets go there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from gateway import engine_store, store
from gateway.directory import PostgresDirectory
from gateway.engine_store import S3_KIND, EngineRow, sealed_under
from gateway.vault import Vault
from meter.postgres import connect
from meter.store import add_member
from meter.usage import MemberClass

NOW_US = 1_790_000_000_000_000


def ceph(vault: Vault, name: str = "ceph-a", **more: str) -> EngineRow:
    """An engine as `weir engine add` enters it."""
    return EngineRow(
        name, S3_KIND, "http://127.0.0.1:7480", "default", "WEIRKEY", vault.seal("top", access_key=sealed_under(name)),
        "weir-", added_us=NOW_US, features={"versioning": True}, checked_us=NOW_US, **more,
    )  # fmt: skip


@asynccontextmanager
async def worker(database: str, place: Path) -> AsyncIterator[PostgresDirectory]:
    directory = PostgresDirectory(
        database, snapshot=place / "directory.json", vault=Vault.open(place / "secret.key", create=True),
        poll_s=3600, timeout_s=5,
    )  # fmt: skip
    await directory.start()
    try:
        yield directory
    finally:
        await directory.close()


async def test_an_engine_is_known_to_workers_and_survives_a_restart_without_postgres(
    database: str, tmp_path: Path
) -> None:
    vault = Vault.open(tmp_path / "secret.key", create=True)
    row = ceph(vault, location="hall-2", storage_class="COLD")
    connection = await connect(database, role="weir_gateway")
    await engine_store.add_engine(connection, row)
    await engine_store.make_default(connection, "ceph-a")
    await connection.close()
    async with worker(database, tmp_path) as one:
        assert ["ceph-a", "disk"] == sorted(one.engines)
        assert ["ceph-a"] == [name for name, found in one.engines.items() if found.is_default]
        assert {"hall-2"} == one.engines_at
        known = one.engines["ceph-a"]
    async with worker("postgresql://weir@127.0.0.1:1/none", tmp_path) as away:
        assert known == away.engines["ceph-a"]
        assert "top" == vault.reveal(away.engines["ceph-a"].secret, access_key="engine:ceph-a")
    assert b"top" not in (tmp_path / "directory.json").read_bytes()


async def test_a_bucket_on_an_upstream_has_its_name_there_and_the_meter_knows_where(
    database: str, tmp_path: Path
) -> None:
    vault = Vault.open(tmp_path / "secret.key", create=True)
    connection = await connect(database)
    owner = await add_member(connection, name="anna", member_class=MemberClass.USER, email="", now_us=NOW_US)
    await engine_store.add_engine(connection, ceph(vault))
    async with worker(database, tmp_path) as one:
        far, _ = await one.create_bucket("photos", owner.id, engine=one.engines["ceph-a"], now_us=NOW_US)
        near, _ = await one.create_bucket("letters", owner.id, now_us=NOW_US)
        again, is_new = await one.create_bucket("photos", owner.id, engine=one.engines["disk"], now_us=NOW_US)
    assert ("ceph-a", f"weir-{far.id}-photos") == (far.engine, far.upstream_name)
    assert ("disk", "") == (near.engine, near.upstream_name)
    assert (far.id, "ceph-a", False) == (again.id, again.engine, is_new)
    rows = await connection.fetch("SELECT bucket, engine FROM meter.bucket_engine ORDER BY engine")
    assert [(far.id, "ceph-a"), (near.id, "disk")] == [tuple(row) for row in rows]
    assert {"ceph-a": 1, "disk": 1} == await engine_store.buckets_on(connection)
    await connection.close()


async def test_what_would_contradict_itself_is_refused_by_the_database(database: str, tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "secret.key", create=True)
    connection = await connect(database, role="weir_gateway")
    await engine_store.add_engine(connection, ceph(vault, location="hall-2"))
    with pytest.raises(asyncpg.UniqueViolationError):
        await engine_store.add_engine(connection, ceph(vault, "ceph-b", location="hall-2"))
    await engine_store.close_engine(connection, "ceph-a", now_us=NOW_US)
    await engine_store.add_engine(connection, ceph(vault, "ceph-b", location="hall-2"))
    assert [None, NOW_US] == [
        row.closed_us for row in reversed(await engine_store.engines(connection)) if row.name != "disk"
    ]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("UPDATE gateway.bucket SET engine = 'ceph-a'")
    assert store.ON_DISK.name == "disk"
    await connection.close()
