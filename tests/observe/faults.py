"""Faults for a running Weir, each the real thing: processes killed and stopped, files damaged, places filled."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from deploy.backup.last import FILE_NAME, LastBackup
from deploy.embedded import dsn as embedded_dsn
from deploy.embedded import living_postmaster, socket_directory
from tests.integration.test_up import descendants
from tests.observe.rig import Rig


def processes(rig: Rig, module: str) -> list[int]:
    """Children of the supervisor that run one of our rooms."""
    found = []
    for pid in descendants(rig.ready["pid"]):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if words[-3:-1] == [b"-m", module.encode()]:
                found.append(pid)
    return found


def kill(rig: Rig, *modules: str) -> None:
    """End processes of these rooms at once."""
    for module in modules:
        for pid in processes(rig, module):
            os.kill(pid, signal.SIGKILL)


def kill_postgres(rig: Rig) -> None:
    """The embedded server's postmaster, and so all of it."""
    pid = living_postmaster(rig.weir.data / "postgres")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


@contextmanager
def stuttering(pids: list[int], *, stopped_s: float = 1.6, going_s: float = 0.4) -> Iterator[None]:
    """They are stopped for most of the time. A worker that looks once a second wakes a whole second late then."""
    over = threading.Event()

    def stutter() -> None:
        while not over.is_set():
            for number, seconds in ((signal.SIGSTOP, stopped_s), (signal.SIGCONT, going_s)):
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                over.wait(seconds)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=stutter, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)


def rclones(rig: Rig) -> list[int]:
    """The S3 system behind, which is known by its directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes()
                if b"rclone\0serve" in words and str(rig.rclone.directory).encode() in words:
                    found.append(int(entry.name))
    return found


def end_rclone(rig: Rig) -> None:
    """It is gone for good."""
    for pid in rclones(rig):
        os.kill(pid, signal.SIGKILL)


@contextmanager
def idle_connections(rig: Rig, count: int) -> Iterator[None]:
    """Clients that connect and say nothing."""
    place = urlsplit(rig.ready["gateway_url"])
    with ExitStack() as stack:
        for _ in range(count):
            with contextlib.suppress(OSError):
                stack.enter_context(socket.create_connection((place.hostname, place.port or 80), 5))
        yield


@contextmanager
def few_descriptors(pids: list[int]) -> Iterator[None]:
    """Each may hold a tenth more than it does."""
    before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids}
    for pid, (_, hard) in before.items():
        held = len(os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (held + held // 10, hard))
    try:
        yield
    finally:
        for pid, limits in before.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


@contextmanager
def database_sessions(rig: Rig) -> Iterator[None]:
    """As many as PostgreSQL takes."""
    loop = asyncio.new_event_loop()
    held: list[asyncpg.Connection[asyncpg.Record]] = []
    address = embedded_dsn(socket_directory(rig.weir.data), database="weir")

    async def fill() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                held.append(await asyncpg.connect(address, timeout=10))
            except asyncpg.TooManyConnectionsError:
                return

    try:
        loop.run_until_complete(fill())
        # One place is for the exporter, which has to tell of it.
        loop.run_until_complete(held.pop().close())
        yield
    finally:
        for one in held:
            one.terminate()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def swap_stream(rig: Rig) -> None:
    """A journal whose name tag is another's."""
    journal = rig.weir.data / "journal"
    first, second = sorted(path for path in journal.iterdir() if (path / "stream.id").exists())[:2]
    shutil.copytree(first, journal / "worker-77")
    shutil.copy(second / "stream.id", journal / "worker-77" / "stream.id")


def tear(rig: Rig) -> None:
    """What a crash leaves behind the last whole record."""
    (next((rig.weir.data / "journal").glob("worker-*")) / "0.torn").write_bytes(bytes(77))


def damage(rig: Rig) -> None:
    """One byte of the largest stored file."""
    files = [
        path for path in (rig.weir.data / "engine").rglob("*") if path.is_file() and "index" not in path.name
    ]
    largest = max(files, key=lambda path: path.stat().st_size)
    with largest.open("r+b") as file:
        file.seek(1000)
        file.write(b"x")


def lose(rig: Rig) -> None:
    """A stored file that goes."""
    files = [
        path for path in (rig.weir.data / "engine").rglob("*") if path.is_file() and "index" not in path.name
    ]
    max(files, key=lambda path: path.stat().st_size).unlink()


def backed_up(rig: Rig, *, age_s: int) -> None:
    """What `weir backup` leaves when it went well."""
    last = LastBackup("of-a-test", "nowhere", (time.time_ns() // 1000) - age_s * 1_000_000, 1, 1, 1, 0)
    (rig.weir.data / FILE_NAME).write_text(json.dumps(asdict(last)))


def strangers_object(rig: Rig) -> None:
    """Somebody else writes into our bucket, past the gateway."""
    straight = rig.rclone.client()
    try:
        (bucket,) = [one["Name"] for one in straight.list_buckets()["Buckets"] if "away" in one["Name"]]
        straight.put_object(Bucket=bucket, Key="stranger", Body=bytes(5000))
    finally:
        straight.close()


@contextmanager
def full_disk(place: Path) -> Iterator[None]:
    """A foreign file that leaves a twentieth."""
    found = os.statvfs(place)
    size = found.f_bavail * found.f_frsize - found.f_blocks * found.f_frsize // 20
    path = place / "foreign"
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    try:
        yield
    finally:
        path.unlink()
