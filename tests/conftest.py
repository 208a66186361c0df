"""What many tests share: a real Postgres, and a random seed that is printed."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.engines.ceph import Ceph, running_ceph
from tests.engines.place import S3System
from tests.engines.rclone import running_rclone
from tests.engines.versity import running_versity
from tests.postgres import TestServer, place_for_a_server, running_server

# The processes that share a run inherit the environment, and with it the one seed.
SEED = int(os.environ.setdefault("WEIR_TEST_SEED", str(random.SystemRandom().randrange(2**32))))
# How long an example takes says how busy the machine is, and nothing else.
settings.register_profile(
    "unhurried", parent=settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")
LONG_FIRST = ("truth", "deployment", "observe", "integration", "engines", "contract", "simulation", "laws")


def pytest_report_header() -> str:
    """Say the seed, so that a failing run can be repeated."""
    return f"weir seed: {SEED} (repeat with WEIR_TEST_SEED={SEED})"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first: then no process of the run is left with a long file when the others have done."""
    here = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        room = item.path.relative_to(here).parts[0]
        return LONG_FIRST.index(room) if room in LONG_FIRST else len(LONG_FIRST)

    items.sort(key=place)


@pytest.fixture
def seed() -> int:
    """This run's seed."""
    return SEED


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[TestServer]:
    """One PostgreSQL for the whole run."""
    with place_for_a_server() as data, running_server(data) as server:
        yield server


@pytest.fixture
def database(postgres_server: TestServer) -> Iterator[str]:
    """A fresh, migrated database; its connection string."""
    found = postgres_server.database()
    yield found
    postgres_server.drop(found)


@pytest.fixture(scope="session")
def radosgw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """Ceph's S3 gateway over a cluster of its own, for the whole run."""
    with running_ceph(tmp_path_factory.mktemp("ceph")) as system:
        yield system


@pytest.fixture(scope="session")
def rclone_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3System]:
    """`rclone serve s3` over a directory, for the whole run."""
    with running_rclone(tmp_path_factory.mktemp("rclone")) as system:
        yield system


@pytest.fixture(scope="session")
def versity_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3System]:
    """versitygw over a directory, for the whole run."""
    with running_versity(tmp_path_factory.mktemp("versity")) as system:
        yield system
