"""Many gateways of one co-op: each is itself for ever, a copy is refused, and what one is told the others know."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from meter.postgres import connect
from tests.integration.gateways_kit import WEIR, Started, beside, running, s3_of, up
from tests.integration.s3_kit import eventually
from tests.ordinary import ROOT
from tests.postgres import Loop, TestServer


@pytest.fixture(scope="module")
def database(postgres_server: TestServer) -> Iterator[str]:
    found = postgres_server.database()
    yield found
    postgres_server.drop(found)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[tuple[Started, Started]]:
    root = tmp_path_factory.mktemp("gateways")
    home = up(root / "home", database)
    second = beside(root / "second", database, home.data)
    with running(home, second):
        yield home, second
    assert "Traceback" not in home.log() + second.log()


def rows(database: str, query: str) -> list[tuple[Any, ...]]:
    async def ask() -> list[tuple[Any, ...]]:
        connection = await connect(database)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    loop = Loop()
    try:
        return loop.run(ask())
    finally:
        loop.close()


def refusal(of: Started) -> str:
    """What a start that must not succeed says."""
    done = subprocess.run(
        [*WEIR, *of._words], cwd=ROOT, env=of.environment, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert 2 == done.returncode, done.stdout + done.stderr
    return done.stderr


def test_what_is_put_at_one_gateway_is_got_at_the_other(two: tuple[Started, Started]) -> None:
    home, second = two
    keys = (home.told["access_key"], home.told["secret_key"])
    one, other = s3_of(home.url, *keys), s3_of(second.url, *keys)
    one.create_bucket(Bucket="shared")
    one.put_object(Bucket="shared", Key="k", Body=b"through the first")
    assert b"through the first" == other.get_object(Bucket="shared", Key="k")["Body"].read()
    other.put_object(Bucket="shared", Key="k", Body=b"through the second")
    assert b"through the second" == one.get_object(Bucket="shared", Key="k")["Body"].read()


def test_each_gateway_is_listed_with_its_streams_and_what_it_knows(
    two: tuple[Started, Started], database: str
) -> None:
    home, second = two

    def settled() -> bool:
        listed = home.gateways()
        return all(one["changes_behind"] == one["backlog"] == 0 and one["shipped"] for one in listed.values())

    assert eventually(settled), home.gateways()
    listed = second.gateways()
    assert {"home": "alive", "second": "alive"} == {name: one["state"] for name, one in listed.items()}
    # Of each gateway a worker's stream, and the engine's where the disk is.
    assert {"home": 2, "second": 1} == {name: one["streams"] for name, one in listed.items()}
    shipped = rows(database, "SELECT label FROM meter.stream WHERE last_sequence > 0 ORDER BY label")
    assert [("engine",), ("worker-0",), ("worker-0",)] == shipped


def test_a_copied_data_directory_is_refused_while_the_original_runs(
    two: tuple[Started, Started], tmp_path: Path
) -> None:
    _, second = two
    copy = Started(tmp_path / "copy", "", *second._words)
    copy.environment = second.environment | {"WEIR_DATA": str(copy.data)}
    shutil.copytree(second.data, copy.data)
    assert "runs elsewhere just now" in refusal(copy)
    assert second.gateways()["second"]["state"] == "alive"
    # A copy without the file that says who it is still has the other's journal.
    (copy.data / "gateway.json").unlink()
    copy.environment["WEIR_GATEWAY_NAME"] = "another"
    assert "runs elsewhere just now" in refusal(copy)


def test_who_moved_goes_on_and_who_stayed_behind_is_refused(
    two: tuple[Started, Started], database: str, tmp_path: Path
) -> None:
    home, _ = two
    third = beside(tmp_path / "third", database, home.data)
    with running(third):
        identity = third.gateways()["third"]["id"]
    moved = Started(tmp_path / "moved", "", *third._words)
    moved.environment = third.environment | {"WEIR_DATA": str(moved.data)}
    shutil.copytree(third.data, moved.data)
    # Its journal says who it is where the file is lost.
    (moved.data / "gateway.json").unlink()
    with running(moved):
        assert identity == moved.gateways()["third"]["id"]
        assert "was started since from another copy" in refusal(third)
    assert "stopped" == home.gateways()["third"]["state"]


def test_another_master_key_is_refused(two: tuple[Started, Started], database: str, tmp_path: Path) -> None:
    home, _ = two
    (tmp_path / "wrong").write_bytes(bytes(32))
    fourth = beside(tmp_path / "fourth", database, home.data)
    fourth._words = (*fourth._words[:-1], str(tmp_path / "wrong"))
    assert "master key" in refusal(fourth)


def test_a_key_revoked_is_refused_by_every_gateway(two: tuple[Started, Started]) -> None:
    home, _ = two
    home.weir("member", "add", "rita")
    made = home.weir("key", "create", "rita", "--json")
    access_key, secret_key = (made.partition(f'"{name}": "')[2].partition('"')[0] for name in ("access_key", "secret_key"))  # fmt: skip
    clients = [s3_of(one.url, access_key, secret_key, retries={"max_attempts": 1}) for one in two]
    assert [[], []] == [one.list_buckets()["Buckets"] for one in clients]
    home.weir("key", "revoke", access_key)

    def refused(client: Any) -> bool:
        try:
            client.list_buckets()
        except ClientError as error:
            return bool(error.response["Error"]["Code"] == "InvalidAccessKeyId")
        return False

    assert all(eventually(lambda one=one: refused(one)) for one in clients)
