"""An upgrade with old and new side by side: the release before, out of the repository's own history, beside this one.

The release before is the newest state of the main line whose database had fewer migrations than this one's.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from meter import __version__
from tests.integration.gateways_kit import Started, beside, running, s3_of, up
from tests.integration.raw_load_kit import QUICK, RawLoad
from tests.integration.s3_kit import eventually
from tests.integration.test_haproxy import journals, sums
from tests.integration.test_reload import workers_of
from tests.ordinary import ROOT
from tests.postgres import TestServer

REQUESTS = 40


def git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of the release before."""
    newest = ("log", "--first-parent", "-m", "-1", "--diff-filter=A", "--format=%H", "--", "*/sql/*.sql")
    try:
        commit = git(*newest).decode().strip()
        packed = git("archive", f"{commit}^1")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the release before is not here: no git, or no history")
    place = tmp_path_factory.mktemp("before")
    subprocess.run(["tar", "-x", "-C", str(place)], input=packed, check=True, timeout=60)
    missing = {path.name for path in ROOT.glob("*/sql/*.sql")} - {
        path.name for path in place.glob("*/sql/*.sql")
    }
    assert missing, "the release before has the same database"
    return place


@pytest.fixture
def empty(postgres_server: TestServer) -> Iterator[str]:
    """A database that nobody has migrated yet."""
    found = postgres_server.empty_database()
    yield found
    postgres_server.drop(found)


def keys_of(home: Started) -> tuple[str, str]:
    return home.told["access_key"], home.told["secret_key"]


def refusal(of: Started) -> str:
    """What a start that must not succeed says."""
    done = subprocess.run(
        [*of.command, *of._words], cwd=ROOT, env=of.environment, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert 2 == done.returncode, done.stdout + done.stderr
    return " ".join(done.stderr.split())


def counted_equals(database: str, loads: list[RawLoad], *gateways: Started) -> None:
    """Journals, sums and clients say the same, to the byte."""
    assert [] == [failure for load in loads for failure in load.failures]
    assert eventually(lambda: sums(database) == journals(*gateways), within_s=30)
    told = sums(database)
    put, got = sum(load.put_bytes for load in loads), sum(load.got_bytes for load in loads)
    assert (put, got) == (told["bytes_in"], told["bytes_out"])


def test_gateways_of_the_release_before_serve_and_count_on_the_new_schema(
    tmp_path: Path, empty: str, before: Path, seed: int
) -> None:
    home = up(tmp_path / "home", empty).by(before)
    second = beside(tmp_path / "second", empty, home.data).by(before)
    with running(home, second):
        s3_of(home.url, *keys_of(home)).create_bucket(Bucket="both")
        with RawLoad(second.port, keys_of(home), "both", seed, QUICK) as old:
            old.more(REQUESTS)
            # The co-op's own machine first, because it migrates: an old data directory under a new program.
            home.by(ROOT).again()
            assert "| no" not in home.weir("db", "status")
            with RawLoad(home.port, keys_of(home), "both", seed + 1, QUICK) as new:
                old.more(REQUESTS)
                new.more(REQUESTS)
        # An old worker that dies is started again from the old program, on the new schema.
        (worker,) = workers_of(second)
        os.kill(worker, signal.SIGKILL)
        assert eventually(lambda: bool(workers_of(second) - {worker}), within_s=60)
        with RawLoad(second.port, keys_of(home), "both", seed + 2, QUICK) as again:
            again.more(REQUESTS)
        counted_equals(empty, [old, new, again], home, second)
        # Old and new speak of the same members and buckets.
        home.weir("member", "add", "anna")
        assert "anna" in second.weir("member", "list")
        checks = {
            one["name"]: one for one in json.loads(home.weir("doctor", "--json", check=False))["checks"]
        }
        assert f"every gateway that lives began with Weir {__version__}" == checks["gateways"]["sentence"]
        assert "so is the one that runs" in checks["weir"]["sentence"]
        # Once it has ended, an old program does not begin on what a newer one made.
        assert 0 == second.end()
        assert "made by a newer Weir: update this one" in refusal(second)
        second.by(ROOT).start()
        with RawLoad(second.port, keys_of(home), "both", seed + 3, QUICK) as last:
            last.more(REQUESTS)
        counted_equals(empty, [old, new, again, last], home, second)
    assert "made by a newer Weir: update this one" in refusal(home.by(before))


def test_one_machine_changes_its_program_by_a_link_and_a_reload_and_fails_nothing(
    tmp_path: Path, empty: str, before: Path, seed: int
) -> None:
    current = tmp_path / "current"
    current.symlink_to(before)
    home = up(tmp_path / "home", empty, workers="2").by(current)
    with running(home):
        s3_of(home.url, *keys_of(home)).create_bucket(Bucket="linked")
        with RawLoad(home.port, keys_of(home), "linked", seed) as load:
            load.more(REQUESTS)
            # The new program migrates while the old one serves; then the link is turned, and workers are exchanged.
            home.by(ROOT).weir("db", "migrate")
            load.more(REQUESTS)
            (tmp_path / "next").symlink_to(ROOT)
            (tmp_path / "next").rename(current)
            assert "every worker is a fresh one" in home.by(current).weir("reload")
            load.more(REQUESTS)
        counted_equals(empty, [load], home)
        assert {str(ROOT)} == {tree_of(pid) for pid in workers_of(home)}
        home.weir("audit")
    assert "Traceback" not in home.log()


def tree_of(pid: int) -> str:
    """Where a worker's program is: what it was given for looking up modules, with the link followed at its start."""
    maps = Path("/proc", str(pid), "environ").read_bytes().split(b"\0")
    (path,) = [one.partition(b"=")[2].decode() for one in maps if one.startswith(b"PYTHONPATH=")]
    return str(Path(path.split(os.pathsep)[0]).resolve())
