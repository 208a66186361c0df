"""weir ship: a gateway is killed, and its disk is shipped from elsewhere: whole, once, and with each gap named."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from meter import usage_store
from meter.journal import Journal
from meter.ongoing import Ongoing
from meter.postgres import connect
from meter.reader import published_sequence
from meter.segments import segment_path
from meter.settings import MeterSettings
from meter.shipper import ship_everything
from tests.events import NOON_US, PLAIN
from tests.gateway import client, running_gateway
from tests.integration.s3_kit import eventually

EXCHANGES = 1 + 20 * 2
"""Of the first test: a bucket made, then puts and gets."""
LONG = PLAIN._replace(status=499, bytes_in=0, moved_in=0)


@pytest.fixture
def dead(tmp_path: Path) -> Path:
    """The data directory of a dead gateway, far from where the command runs."""
    made = tmp_path / "dead"
    made.mkdir()
    return made


def ship(directory: Path, database: str, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit status and what it says, run where there is no co-op."""
    done = run(directory, database, "--json", *options)
    return done.returncode, json.loads(done.stdout)


def run(directory: Path, database: str, *options: str) -> subprocess.CompletedProcess[str]:
    elsewhere = directory.parent / "elsewhere"
    return subprocess.run(
        [sys.executable, "-m", "deploy", "ship", str(directory), *options], capture_output=True, text=True,
        env={**os.environ, "WEIR_DATA": str(elsewhere), "WEIR_DATABASE_URL": database},
    )  # fmt: skip


def write(data: Path, count: int, stream: str = "worker-0") -> None:
    journal = Journal(
        data / "journal" / stream, segment_bytes_max=2**16, segment_age_max_s=3600, now_us=NOON_US
    )
    for _ in range(count):
        journal.append(PLAIN._replace(bytes_in=10))
    journal.close()


def leave_open(data: Path, stream: str = "worker-0") -> None:
    """An exchange that had sent 700 bytes when its worker was killed."""
    directory = data / "journal" / stream
    ongoing = Ongoing(directory, slots_max=4)
    ongoing.open(LONG, next_sequence=published_sequence(directory) + 1).moved(
        bytes_in=0, bytes_out=700, now_us=NOON_US
    )
    ongoing.close()


def totals(database: str) -> tuple[int, int, int]:
    """(requests, bytes in, bytes out) in the sums."""

    async def work() -> tuple[int, int, int]:
        connection = await connect(database)
        try:
            row = await connection.fetchrow(
                "SELECT coalesce(sum(requests), 0)::bigint, coalesce(sum(bytes_in), 0)::bigint,"
                " coalesce(sum(bytes_out), 0)::bigint FROM meter.reading"
            )
            return row[0], row[1], row[2]
        finally:
            await connection.close()

    return asyncio.run(work())


def test_a_killed_gateways_disk_is_shipped_whole_and_once(dead: Path, database: str) -> None:
    """Exchanges, stored bytes still in the outbox, and nothing twice; the sums are what its own shipper makes."""
    with running_gateway(dead, database) as gateway:
        member = gateway.member("alice")
        s3 = client(gateway, member)
        s3.create_bucket(Bucket="kept")
        for number in range(20):
            s3.put_object(Bucket="kept", Key=f"k{number}", Body=b"x" * 1000)
            s3.get_object(Bucket="kept", Key=f"k{number}")["Body"].read()
        # An answer is billed once its reader's machine says that it came: an instant after the reader has it.
        assert eventually(
            lambda: sum(map(published_sequence, (dead / "journal").glob("worker-*"))) == EXCHANGES
        )
        gateway.end(signal.SIGKILL)
        status, told = ship(dead, database)
        assert (0, 0, []) == (status, told["unshipped_events"], told["problems"])
        # With 20 changes of stored bytes.
        assert EXCHANGES + 20 == told["shipped_events"]

        async def used() -> tuple[int, int, int]:
            connection = await connect(database, role="weir_office")
            found = await usage_store.usage_between(connection, member.member, start_us=0, end_us=NOON_US * 2)
            stored = await connection.fetchval("SELECT sum(delta)::bigint FROM meter.storage")
            await connection.close()
            return found.bytes_in, found.bytes_out, stored

        assert (20_000, 20_000, 20_000) == asyncio.run(used())
        status, again = ship(dead, database)
        assert (0, 0, 0) == (status, again["shipped_events"], again["unshipped_events"])
        assert (20_000, 20_000, 20_000) == asyncio.run(used())


def test_open_exchanges_are_closed_at_what_had_moved(dead: Path, database: str) -> None:
    write(dead, 600)
    leave_open(dead)
    status, told = ship(dead, database)
    assert (0, 1, 601) == (status, told["recovered_exchanges"], told["shipped_events"])
    assert (601, 6000, 700) == totals(database)


def test_the_journal_alone_may_be_named_and_what_was_shipped_before_is_left_out(
    dead: Path, database: str
) -> None:
    write(dead, 600)
    assert 0 == asyncio.run(ship_everything(MeterSettings(data=dead), database))
    write(dead, 50)
    status, told = ship(dead / "journal", database)
    assert (0, 50) == (status, told["shipped_events"])
    assert (650, 6500, 0) == totals(database)


def test_a_damaged_stream_is_named_and_the_others_are_shipped(dead: Path, database: str) -> None:
    for stream in ("worker-0", "worker-1", "worker-2"):
        write(dead, 600, stream)
    path = segment_path(dead / "journal" / "worker-1", 1)
    data = bytearray(path.read_bytes())
    data[256 + 50] ^= 1
    path.write_bytes(data)
    status, told = ship(dead, database)
    assert (1, 1200, 600) == (status, told["shipped_events"], told["unshipped_events"])
    (problem,) = told["problems"]
    assert problem.startswith("worker-1: ")
    assert "record 1 of segment 1 fails its checksum" in problem
    assert 1200 == totals(database)[0]
    text = run(dead, database)
    assert "NOT COMPLETE: worker-1" in text.stdout


def test_a_stream_whose_writer_lives_is_named_and_the_others_are_shipped(dead: Path, database: str) -> None:
    write(dead, 100, "worker-1")
    living = Journal(
        dead / "journal" / "worker-0", segment_bytes_max=2**16, segment_age_max_s=3600, now_us=NOON_US
    )
    living.append(PLAIN)
    status, told = ship(dead, database)
    living.close()
    assert (1, 100, 1) == (status, told["shipped_events"], told["unshipped_events"])
    assert ["worker-0: a living process still writes it"] == told["problems"]
    status, told = ship(dead, database)
    assert (0, 1) == (status, told["shipped_events"])


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_from_a_disk_mounted_read_only_what_is_known_on_disk_is_shipped_and_the_rest_named(
    dead: Path, database: str
) -> None:
    write(dead, 600)
    leave_open(dead)
    mounted = dead.parent / "mounted"
    mounted.mkdir()
    subprocess.run(["mount", "--bind", str(dead), str(mounted)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(mounted)], check=True)
        status, told = ship(mounted, database)
        assert (1, 600, 0, False) == (
            status, told["shipped_events"], told["unshipped_events"], told["writable"],
        )  # fmt: skip
        (problem,) = told["problems"]
        assert "cannot be written: exchanges that were open" in problem
    finally:
        subprocess.run(["umount", str(mounted)], check=True)
    status, told = ship(dead, database)
    assert (0, 1, 1) == (status, told["recovered_exchanges"], told["shipped_events"])
    assert (601, 6000, 700) == totals(database)


def test_what_is_no_journal_is_refused(tmp_path: Path, database: str) -> None:
    (tmp_path / "photos").mkdir()
    for directory in (tmp_path / "photos", tmp_path / "nowhere"):
        done = run(directory, database)
        assert (2, "") == (done.returncode, done.stdout)
        assert f"{directory} is no journal" in done.stderr


def test_a_database_that_is_away_is_said_before_anything_is_touched(dead: Path) -> None:
    write(dead, 10)
    leave_open(dead)
    before = {path: path.read_bytes() for path in dead.rglob("*") if path.is_file()}
    done = run(dead, "postgresql://nobody@127.0.0.1:9/none")
    assert 2 == done.returncode
    assert "the database does not answer" in done.stderr
    assert before == {path: path.read_bytes() for path in dead.rglob("*") if path.is_file()}


def test_a_copy_of_a_shipped_stream_beside_it_counts_nothing_twice(dead: Path, database: str) -> None:
    """As the manual says to keep a dead gateway's journal: under a name that is free."""
    write(dead, 600)
    assert 0 == ship(dead, database)[0]
    shutil.copytree(dead / "journal" / "worker-0", dead / "journal" / "gw2-worker-0")
    status, told = ship(dead, database)
    assert (0, 0) == (status, told["shipped_events"])
    assert 600 == totals(database)[0]


def test_on_a_terminal_a_bar_is_shown(dead: Path, database: str) -> None:
    write(dead, 600)
    leader, follower = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "deploy", "ship", str(dead)], stdout=subprocess.PIPE, stderr=follower,
        env={**os.environ, "WEIR_DATA": str(dead.parent), "WEIR_DATABASE_URL": database, "TERM": "xterm"},
    )  # fmt: skip
    os.close(follower)
    seen = b""
    try:
        while piece := os.read(leader, 4096):
            seen += piece
    except OSError:
        pass  # EIO: the other side of the terminal is closed
    os.close(leader)
    assert 0 == done.returncode
    assert b"shipping" in seen
    assert b"600/600" in seen
    assert b"600 events shipped" in done.stdout
