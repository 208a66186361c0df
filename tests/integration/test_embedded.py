"""The embedded PostgreSQL: as root and as an ordinary user, after kill -9, and behind closed directories."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.embedded import embedded, living_postmaster, socket_directory
from deploy.place import prepare
from deploy.settings import DeploySettings
from tests.ordinary import NOBODY, ROOT, as_nobody, interpreter

RUN = """
import asyncio, sys
from pathlib import Path
import asyncpg
from deploy.embedded import embedded
from deploy.place import prepare
from deploy.settings import DeploySettings

async def main():
    data = prepare(Path(sys.argv[1]))
    async with embedded(DeploySettings(), data, tell=print) as server:
        connection = await asyncpg.connect(server.dsn)
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
        await connection.execute("INSERT INTO kept VALUES (1)")
        print(await connection.fetchval("SELECT count(*) FROM kept"), flush=True)
        await connection.close()
        if len(sys.argv) > 2:
            await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def data() -> Iterator[Path]:
    """A short path: a Unix socket's name has little room."""
    with tempfile.TemporaryDirectory(prefix="weir-") as name:
        yield Path(name, "data")


def run(data: Path, *, ordinary: bool = False, stay: bool = False) -> subprocess.Popen[str]:
    python = interpreter() if ordinary else sys.executable
    if python is None:
        pytest.skip("no Python on this machine that an ordinary user may run")
    return subprocess.Popen(
        [python, "-c", RUN, str(data), *(["stay"] if stay else [])],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **(as_nobody() if ordinary else {"cwd": ROOT}),
    )


def wait_until_gone(pid: int, *, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


async def test_it_makes_a_private_cluster_and_only_our_role_comes_in(data: Path) -> None:
    prepare(data)
    async with embedded(DeploySettings(), data, tell=print) as server:
        connection = await asyncpg.connect(server.dsn)
        try:
            assert "18" == (await connection.fetchval("SHOW server_version")).split(".")[0]
            assert ("weir", "UTF8", "C") == tuple(
                await connection.fetchrow(
                    "SELECT current_database(), pg_encoding_to_char(encoding), datcollate"
                    " FROM pg_database WHERE datname = current_database()"
                )
            )
            assert "" == await connection.fetchval("SHOW listen_addresses")
            rules = await connection.fetch("SELECT type, auth_method FROM pg_hba_file_rules")
            assert [("local", "peer")] == [tuple(rule) for rule in rules]
        finally:
            await connection.close()
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await asyncpg.connect(server.dsn.replace("user=weir", "user=postgres"))
        assert 0o700 == server.socket_directory.stat().st_mode & 0o777
    assert living_postmaster(data / "postgres") is None


def test_kill_9_of_the_parent_leaves_no_server_and_loses_nothing(data: Path) -> None:
    with run(data, stay=True) as parent:
        assert parent.stdout is not None
        assert "1\n" == parent.stdout.readline()
        server = living_postmaster(data / "postgres")
        assert server is not None
        parent.send_signal(signal.SIGKILL)
    # A start right behind the kill waits for the old server instead of failing on its lock.
    with run(data) as again:
        told = again.communicate()[0]
        assert "2\n" == told, told
    assert wait_until_gone(server, timeout_s=10)


def test_a_crashed_server_with_a_stale_pid_file_starts_again(data: Path) -> None:
    with run(data, stay=True) as parent:
        assert parent.stdout is not None
        assert "1\n" == parent.stdout.readline()
        server = living_postmaster(data / "postgres")
        assert server is not None
        os.kill(server, signal.SIGKILL)
        parent.kill()
    assert (data / "postgres" / "postmaster.pid").exists()
    with run(data) as again:
        told = again.communicate()[0]
        assert "2\n" == told, told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_needs_nothing_of_root(data: Path) -> None:
    os.chown(data.parent, NOBODY, NOBODY)
    with run(data, ordinary=True) as ordinary:
        assert "1\n" == ordinary.communicate()[0]
    assert NOBODY == (data / "postgres").stat().st_uid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another user")
def test_root_behind_a_closed_directory_keeps_one_capability_and_no_other(data: Path) -> None:
    closed = data.parent
    closed.chmod(0o700)
    with run(data, stay=True) as parent:
        assert parent.stdout is not None
        assert "1\n" == parent.stdout.readline()
        server = living_postmaster(data / "postgres")
        facts = dict(line.split(":\t", 1) for line in Path(f"/proc/{server}/status").read_text().splitlines())
        assert "0000000000000004" == facts["CapEff"] == facts["CapPrm"]
        assert "0" not in facts["Uid"].split()
        parent.terminate()
    assert 0o700 == closed.stat().st_mode & 0o777


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another user")
def test_where_the_capability_is_withheld_the_sentence_names_the_mend(data: Path) -> None:
    data.parent.chmod(0o700)
    program = RUN.replace("asyncio.run(main())", "try:\n    asyncio.run(main())\n")
    program += "except Exception as error:\n    print(type(error).__name__, error)"
    told = subprocess.run(
        ["setpriv", "--bounding-set=-dac_read_search", sys.executable, "-c", program, str(data)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    ).stdout
    assert told.startswith("PostgresFailed user ")
    assert " may not reach " in told
    assert "set postgres_user to a user who can" in told


def test_a_long_path_gets_a_short_private_socket_directory() -> None:
    short = socket_directory(Path("/srv") / ("x" * 90))
    assert short.parent == Path(tempfile.gettempdir())
    assert short != socket_directory(Path("/srv") / ("y" * 90))
    assert Path("/srv/weir/run") == socket_directory(Path("/srv/weir"))
