"""What integration tests share: a small co-op in a real database, and a gateway for clients of S3, on every engine."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from deploy.cli import run
from deploy.place import check_format
from gateway.storage.abilities import DISK, ENGINES, MISSING, RADOSGW, RCLONE, VERSITY, Ability
from tests.coop import Coop
from tests.engines.behind import put_behind
from tests.gateway import Credentials, RunningGateway, client, running_gateway
from tests.integration.browser_kit import chrome, in_office, seen
from tests.postgres import TestServer

__all__ = ["chrome", "in_office", "seen"]
"""Fixtures that live elsewhere."""
KEEPING = {"WEIR_BLOB_DELETE_DELAY_S": "86400"}
"""What one test replaced or deleted stays until the run is over. Else it would leave the disk ten minutes later, in the
middle of another test that looks whether a refused request left as many files as there were."""
SYSTEMS = {RADOSGW: "radosgw", RCLONE: "rclone_s3", VERSITY: "versity_s3"}
"""Engine to the fixture of the system behind it."""
CLIENTS = "WEIR_TEST_CLIENTS"
"""Set to 'all', every test of every client runs on every engine."""
_numbers = itertools.count(1)


@pytest_asyncio.fixture
async def co_op(database: str) -> AsyncIterator[Coop]:
    """A co-op without members yet, and its connections."""
    one = Coop(database)
    yield one
    await one.close()


Command = Callable[..., str]
REFUSED = 2


@pytest.fixture
def data(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory of a co-op whose database is the test's, for its command lines."""
    made = tmp_path / "data"
    made.joinpath("log").mkdir(parents=True)
    check_format(made)
    monkeypatch.setenv("WEIR_DATA", str(made))
    monkeypatch.setenv("WEIR_DATABASE_URL", database)
    return made


@pytest.fixture
def typed(data: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command line in that co-op; what it printed, or what it was refused with."""
    assert data.is_dir()

    def command(*words: object, status: int = 0) -> str:
        found = run([str(word) for word in words])
        told = capsys.readouterr()
        assert status == found, told
        return told.out if status != REFUSED else told.err

    return command


def pytest_configure(config: pytest.Config) -> None:
    """The marks of tests that speak S3."""
    config.addinivalue_line(
        "markers", "every_engine(without=()): run on each storage engine but those, not on the disk alone"
    )
    config.addinivalue_line("markers", "journey: a client's main journey, which runs on every engine")
    config.addinivalue_line("markers", "needs(ability, …): skipped on an engine whose table says it cannot")


def engines_of(mark: pytest.Mark | None, *, of_a_client: bool, is_journey: bool) -> list[str]:
    """Where a test runs. Of a client's tests only its journey on every engine, unless all are asked for: a client's own
    ways are tried on the disk, and what an engine does by tests of the engine."""
    if mark is None:
        return [DISK]
    if of_a_client and not is_journey and os.environ.get(CLIENTS) != "all":
        return [DISK]
    return [one for one in ENGINES if one not in mark.kwargs.get("without", ())]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that speaks S3 the disk, or each engine in turn."""
    if "engine" in metafunc.fixturenames and "s3_gateway" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("every_engine")
        engines = engines_of(
            mark, of_a_client=metafunc.definition.path.parent.name == "clients",
            is_journey=metafunc.definition.get_closest_marker("journey") is not None,
        )  # fmt: skip
        metafunc.parametrize("engine", engines, indirect=True, scope="session")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What an engine cannot do is skipped by name, with the reason its table gives; test_engines.py tries the table."""
    callspec = getattr(item, "callspec", None)
    engine = DISK if callspec is None else callspec.params.get("engine", DISK)
    for mark in item.iter_markers("needs"):
        for ability in map(Ability, mark.args):
            if ability in MISSING[engine]:
                pytest.skip(f"{engine} has no {ability}: {MISSING[engine][ability]}")


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    """The storage engine new buckets of the gateway live on."""
    return str(request.param)


@pytest.fixture(scope="session")
def s3_gateways(
    request: pytest.FixtureRequest, postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], RunningGateway]]:
    """The gateway of an engine, started when it is first asked for, with two workers.

    Whatever was asked of them, none fell and none was surprised.
    """
    running: dict[str, RunningGateway] = {}
    with ExitStack() as stack:

        def gateway_of(engine: str) -> RunningGateway:
            if engine not in running:
                system = None if engine == DISK else request.getfixturevalue(SYSTEMS[engine])
                database, data = postgres_server.database(), tmp_path_factory.mktemp(f"gateway-{engine}")
                stack.callback(postgres_server.drop, database)
                if system is not None:
                    put_behind(RunningGateway(data, database, 0), system, prefix="weir-")
                running[engine] = stack.enter_context(
                    running_gateway(data, database, workers=2, environment=KEEPING)
                )
            return running[engine]

        yield gateway_of
        for gateway in running.values():
            assert [None, None] == [process.poll() for process in gateway.processes]
    for gateway in running.values():
        assert "Traceback" not in gateway.log(), gateway.log()


@pytest.fixture(scope="session")
def s3_gateway(s3_gateways: Callable[[str], RunningGateway], engine: str) -> RunningGateway:
    """The gateway whose new buckets live on that engine."""
    return s3_gateways(engine)


@pytest.fixture(scope="session")
def annas() -> dict[str, tuple[Credentials, Any]]:
    """Anna's key and client, by engine."""
    return {}


@pytest.fixture(scope="session")
def anna(s3_gateway: RunningGateway, annas: dict[str, tuple[Credentials, Any]], engine: str) -> Credentials:
    """A member of that gateway's co-op."""
    if engine not in annas:
        credentials = s3_gateway.member("anna")
        annas[engine] = (credentials, client(s3_gateway, credentials))
    return annas[engine][0]


@pytest.fixture(scope="session")
def s3(anna: Credentials, annas: dict[str, tuple[Credentials, Any]], engine: str) -> Any:
    """Her boto3 client, with default settings."""
    del anna
    return annas[engine][1]


@pytest.fixture
def bucket(s3: Any) -> str:
    """A bucket of her own for one test."""
    name = f"bucket-{next(_numbers)}"
    s3.create_bucket(Bucket=name)
    return name
