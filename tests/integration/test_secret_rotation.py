"""A new master key: every secret opens before, between and after its steps, also when they are killed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import secret_store, store
from gateway.enrolment import fresh_identity
from gateway.key_files import NEXT_NAME, RING_NAME, begin, fingerprint, finish, read_keys
from gateway.keys import publish_letterbox
from gateway.rotation import Rotated, rotate, settle_here
from gateway.vault import Vault
from meter.credentials import seal_to
from meter.postgres import connect
from meter.refusal import Refusal
from tests.gateway import client, running_gateway
from tests.ordinary import ROOT

KILL_AFTER = (
    "begin",
    "hold_still",
    "set_key_secrets",
    "publish_letterbox",
    "reseal",
    "_sealed_ring",
    "write_durably",
)
PORTAL_KEY = "WEIRPORTALPORTALPORT"
SCRIPT = """
import asyncio, os, signal, sys
from pathlib import Path
import gateway.key_files, gateway.rotation, gateway.secret_store
from meter.postgres import connect
name, database, path = sys.argv[1:]

def killing(module):
    work = getattr(module, name, None)
    if work is None:
        return
    if asyncio.iscoroutinefunction(work):
        async def then(*given, **named):
            await work(*given, **named)
            os.kill(os.getpid(), signal.SIGKILL)
    else:
        def then(*given, **named):
            work(*given, **named)
            if name != "write_durably" or given[0].name == "secret.ring":
                os.kill(os.getpid(), signal.SIGKILL)
    setattr(module, name, then)

for module in (gateway.key_files, gateway.rotation, gateway.secret_store):
    killing(module)

async def work():
    connection = await connect(database)
    await gateway.rotation.rotate(connection, Path(path))

asyncio.run(work())
"""


async def rotated(database: str, path: Path) -> Rotated:
    connection = await connect(database)
    try:
        return await rotate(connection, path)
    finally:
        await connection.close()


async def revealed(database: str, path: Path) -> dict[str, str]:
    """Every secret, opened with what lies on the disk now."""
    connection = await connect(database)
    vault = Vault.open(path)
    rows = await store.keys(connection)
    await connection.close()
    return {row.access_key: vault.reveal(row.secret, access_key=row.access_key) for row in rows}


async def with_a_key_of_the_portal(database: str, path: Path, member: int) -> None:
    """One that was sealed to the letterbox."""
    connection = await connect(database)
    await publish_letterbox(connection, Vault.open(path))
    letterbox = await secret_store.letterbox_in_force(connection)
    assert letterbox is not None
    sealed = seal_to(letterbox, "from the portal", access_key=PORTAL_KEY)
    await connection.execute(
        "INSERT INTO gateway.access_key (access_key, member, secret, created_at) VALUES ($1, $2, $3, now())",
        PORTAL_KEY, member, sealed,
    )  # fmt: skip
    await connection.close()


def test_killed_after_any_step_every_secret_opens_and_the_next_run_ends_it(
    tmp_path: Path, database: str
) -> None:
    path = tmp_path / "secret.key"
    with running_gateway(tmp_path, database) as gateway:
        anna = gateway.member("anna")
        asyncio.run(with_a_key_of_the_portal(database, path, anna.member))
        s3 = client(gateway, anna)
        s3.create_bucket(Bucket="films")
        before = asyncio.run(revealed(database, path))
        older = list[str]()
        for step in KILL_AFTER:
            first = fingerprint(read_keys(path).current)
            line = [sys.executable, "-c", SCRIPT, step, database, str(path)]
            assert -9 == subprocess.run(line, cwd=ROOT, timeout=60).returncode, step
            assert before == asyncio.run(revealed(database, path)), step
            assert ["films"] == [one["Name"] for one in s3.list_buckets()["Buckets"]], step
            done = asyncio.run(rotated(database, path))
            assert () == done.waits_for
            keys, older = read_keys(path), [*older, first]
            assert first != fingerprint(keys.current)
            assert (None, older) == (keys.coming, [fingerprint(one) for one in keys.older]), step
            assert before == asyncio.run(revealed(database, path)), step
            # The worker is the one of the start, and learns of both.
            assert ["films"] == [one["Name"] for one in s3.list_buckets()["Buckets"]], step


def test_the_old_key_alone_opens_nothing_any_more_and_the_new_one_alone_everything(
    tmp_path: Path, database: str
) -> None:
    path = tmp_path / "secret.key"
    with running_gateway(tmp_path, database) as gateway:
        anna = gateway.member("anna")
        asyncio.run(with_a_key_of_the_portal(database, path, anna.member))
    old = path.read_bytes()
    tree = Vault.open(path).lasting("tree")
    assert 2 == asyncio.run(rotated(database, path)).resealed
    new = path.read_bytes()

    async def rows() -> dict[str, bytes]:
        connection = await connect(database)
        found = {row.access_key: row.secret for row in await store.keys(connection)}
        await connection.close()
        return found

    for name, sealed in asyncio.run(rows()).items():
        with pytest.raises(Refusal, match="does not open"):
            Vault(old).reveal(sealed, access_key=name)
        assert Vault(new).reveal(sealed, access_key=name)
    # What members were given stays provable, and a second rotation keeps both older keys.
    assert tree == Vault.open(path).lasting("tree")
    asyncio.run(rotated(database, path))
    assert [fingerprint(old), fingerprint(new)] == [fingerprint(one) for one in read_keys(path).older]
    assert tree == Vault.open(path).lasting("tree")
    assert [0o600, 0o600] == [(tmp_path / name).stat().st_mode & 0o777 for name in ("secret.key", RING_NAME)]


async def test_a_running_gateway_without_the_coming_key_holds_everything_back(
    tmp_path: Path, database: str
) -> None:
    path, other = tmp_path / "secret.key", tmp_path / "other"
    other.mkdir()
    Vault.open(path, create=True)
    (other / "secret.key").write_bytes(path.read_bytes())
    connection = await connect(database)
    far = fresh_identity().id
    await connection.execute(
        "INSERT INTO gateway.gateway (id, name, start, place, version) VALUES ($1, 'far', $1, '', '')", far
    )
    await connection.execute(
        "INSERT INTO meter.member (name, class, joined_at) VALUES ('anna', 'user', now())"
    )
    sealed = Vault.open(path).seal("a secret", access_key="WEIRAAAAAAAAAAAAAAAA")
    await connection.execute(
        "INSERT INTO gateway.access_key (access_key, member, secret, created_at) VALUES ('WEIRAAAAAAAAAAAAAAAA', 1, $1, now())",
        sealed,
    )
    before = path.read_bytes()
    assert Rotated(("far",), (), 0) == await rotate(connection, path)
    assert before == path.read_bytes()
    assert sealed == (await store.keys(connection))[0].secret
    # The operator copies the file, and the gateway says so; only then is it done, and the gateway follows by itself.
    (other / NEXT_NAME).write_bytes((tmp_path / NEXT_NAME).read_bytes())
    await secret_store.note_keys(connection, far, read_keys(other / "secret.key").fingerprints)
    assert not await settle_here(connection, other / "secret.key")
    assert Rotated((), (), 1) == await rotate(connection, path)
    assert "a secret" == Vault.open(other / "secret.key").reveal(
        (await store.keys(connection))[0].secret, access_key="WEIRAAAAAAAAAAAAAAAA"
    )
    assert await settle_here(connection, other / "secret.key")
    assert read_keys(path) == read_keys(other / "secret.key")
    await connection.close()


def test_a_ring_of_another_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    Vault.open(path, create=True)
    begin(path)
    finish(path)
    path.write_bytes(bytes(32))
    with pytest.raises(Refusal, match="the two must come from one moment"):
        Vault.open(path)
