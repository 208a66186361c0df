"""The co-op of the ground truth: a whole `weir up` on a directory of its own, and the processes to kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from deploy.embedded import DATABASE, dsn, living_postmaster, socket_directory
from deploy.founding import vault_path
from gateway.keys import create_key
from gateway.vault import Vault
from meter.postgres import connect
from meter.settings import MeterSettings
from meter.store import add_member
from meter.usage import MemberClass
from tests.gateway import Credentials
from tests.ordinary import ROOT
from tests.truth.relay import now_us

START_TIMEOUT_S = 90
LOG_LINES = 200
READY_SERIES = "weir_gateway_workers_ready "
# Killed again and again is what this is about: no long pauses, and no giving up.
PATIENT = {
    "WEIR_RESTARTS_MAX": "1000",
    "WEIR_RESTART_FORGIVEN_S": "1",
    "WEIR_RESTART_PAUSE_MIN_MS": "10",
    "WEIR_RESTART_PAUSE_MAX_S": "1",
    "WEIR_SHIP_RETRY_MAX_S": "1",
    "WEIR_SHIP_INTERVAL_MS": "50",
    # Small segments, so that many are sealed; each must hold the ends of all connections.
    "WEIR_JOURNAL_SEGMENT_BYTES_MAX": str(2**20),
    "WEIR_CONNECTIONS_MAX": "256",
}
"""Small segments, so that kills also fall between two of them."""


class Place:
    """A running co-op."""

    def __init__(self, directory: Path, *, workers: int, environment: dict[str, str] | None = None) -> None:
        self.directory = directory
        self.data = directory / "data"
        self._ready_file = directory / "ready.json"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("WEIR_")},
            **PATIENT,
            **(environment or {}),
        }
        self.workers = workers
        line = [sys.executable, "-m", "deploy", "up", "--data", str(self.data), "--workers", str(workers)]
        line += ["--gateway-port", "0", "--portal-port", "0", "--admin-port", "0"]
        with (directory / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*line, "--ready-file", str(self._ready_file)],
                stdout=log, stderr=log, cwd=ROOT, env=self._environment,
            )  # fmt: skip
        wait_until(lambda: self._ready_file.exists() or self._process.poll() is not None, START_TIMEOUT_S)
        assert self._process.poll() is None, self.log()
        self.ready: dict[str, Any] = json.loads(self._ready_file.read_text())

    @property
    def port(self) -> int:
        """The gateway's."""
        return int(str(self.ready["gateway_url"]).rpartition(":")[2])

    @property
    def dsn(self) -> str:
        """The database's address."""
        return dsn(socket_directory(self.data), database=DATABASE)

    @property
    def meter(self) -> MeterSettings:
        """What the meter knows of this place."""
        return MeterSettings(data=self.data, database_url=self.dsn)

    def log(self) -> str:
        """What `weir up` and the workers wrote."""
        paths = [*sorted((self.data / "log").glob("*.log")), self.directory / "up.log"]
        return "\n".join(path.read_text(errors="replace") for path in paths if path.exists())

    def members(self, count: int) -> list[Credentials]:
        """So many new members, each with a key."""
        return run(self._members(count))

    async def _members(self, count: int) -> list[Credentials]:
        connection = await connect(self.dsn)
        vault = Vault.open(vault_path(self.data))
        try:
            found = []
            for number in range(count):
                member = await add_member(
                    connection,
                    name=f"truth-{number}",
                    member_class=MemberClass.USER,
                    email="",
                    now_us=now_us(),
                )
                access_key, secret_key = await create_key(connection, member.id, vault=vault, now_us=now_us())
                found.append(Credentials(member.id, member.name, access_key, secret_key))
            return found
        finally:
            await connection.close()

    def processes(self) -> dict[str, int]:
        """What may be killed, by name: gateway-0, gateway-1, …, shipper, postgres."""
        found = {}
        for entry in Path("/proc").iterdir():
            name = self._name_of(entry) if entry.name.isdigit() else None
            if name is not None:
                found[name] = int(entry.name)
        postmaster = living_postmaster(self.data / "postgres")
        if postmaster is not None:
            found["postgres"] = postmaster
        return found

    def _name_of(self, entry: Path) -> str | None:
        """The child of ours that a process is; None for any other."""
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent != self._process.pid:
                return None
            line = (entry / "cmdline").read_bytes().split(b"\0")
            if b"meter" in line:
                return "shipper"
            if b"gateway" not in line:
                return None
            places = (entry / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None  # it has just ended
        number = next(one for one in places if one.startswith(b"WEIR_WORKER="))
        return f"gateway-{number.partition(b'=')[2].decode()}"

    def workers_ready(self) -> int:
        """How many workers serve, as the admin listener has it."""
        with urlopen(f"{self.ready['admin_url']}/metrics", timeout=10) as answer:  # noqa: S310 - our own
            lines = answer.read().decode().splitlines()
        return int(float(next(one for one in lines if one.startswith(READY_SERIES)).split()[1]))

    def command(self, *line: str) -> dict[str, Any]:
        """What a command of `weir` says."""
        done = subprocess.run(
            [sys.executable, "-m", "deploy", *line, "--data", str(self.data), "--json"],
            capture_output=True, text=True, cwd=ROOT, env=self._environment, timeout=180,
        )  # fmt: skip
        assert 0 == done.returncode, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def stop(self) -> None:
        """Down in order: workers drain, the shipper ships what is left."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(180)

    def close(self) -> None:
        """Whatever is left of it ends now."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@contextmanager
def running_place(
    directory: Path, *, workers: int, environment: dict[str, str] | None = None
) -> Iterator[Place]:
    """A co-op for the time of the block."""
    place = Place(directory, workers=workers, environment=environment)
    try:
        yield place
    except BaseException:
        print("\n".join(place.log().splitlines()[-LOG_LINES:]))
        raise
    finally:
        place.close()


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """A coroutine to its end."""
    return asyncio.run(work)


def wait_until(holds: Any, timeout_s: float) -> None:
    """Poll until it holds."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it does not come"
        threading.Event().wait(0.02)
