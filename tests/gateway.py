"""A real gateway worker for tests: its own process, on a real socket, with a real Postgres."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import boto3
from botocore.config import Config

from gateway.feed import feed_what_is_left
from gateway.keys import create_key
from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import open_engine
from gateway.vault import Vault
from meter import store, usage_store
from meter.ids import MemberId
from meter.postgres import connect
from meter.recorder import now_us
from meter.settings import MeterSettings
from meter.shipper import ship_everything
from meter.usage import MemberClass, Usage


@dataclass(frozen=True)
class Credentials:
    """A member's key."""

    member: MemberId
    name: str
    access_key: str
    secret_key: str


@dataclass
class RunningGateway:
    """Workers on one port, and what a test needs to know of them."""

    data: Path
    database: str
    workers: int
    environment: dict[str, str] = field(default_factory=dict)
    sockets: list[socket.socket] = field(default_factory=list)
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    logs: list[IO[str]] = field(default_factory=list)
    clients: list[Any] = field(default_factory=list)
    bodies: list[weakref.ref[Any]] = field(default_factory=list)
    files_max: int = 0
    """How many files a worker may open; 0: as many as the tests."""

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> MeterSettings:
        """What the meter knows of this place."""
        return MeterSettings(data=self.data, database_url=self.database)

    def start(self) -> None:
        """Start the workers and wait until they serve."""
        if not self.sockets:
            port = 0
            for _ in range(self.workers):
                listener = socket.socket()
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                listener.bind(("127.0.0.1", port))
                listener.listen(1024)
                port = listener.getsockname()[1]
                self.sockets.append(listener)
        for index, listener in enumerate(self.sockets):
            log = (self.data / f"worker-{index}.log").open("a")
            environment = {
                **os.environ, "WEIR_DATA": str(self.data), "WEIR_DATABASE_URL": self.database,
                "WEIR_GATEWAY_FD": str(listener.fileno()), "WEIR_WORKER": str(index),
                "WEIR_WORKERS": str(self.workers), **self.environment,
            }  # fmt: skip
            few = ["prlimit", f"--nofile={self.files_max}:{self.files_max}"] if self.files_max else []
            self.processes.append(
                subprocess.Popen(
                    [*few, sys.executable, "-m", "gateway"], env=environment, pass_fds=[listener.fileno()],
                    stdout=subprocess.PIPE, stderr=log, text=True,
                )
            )  # fmt: skip
            self.logs.append(log)
        for process in self.processes:
            assert process.stdout is not None
            assert "ready\n" == process.stdout.readline(), self.log()

    def end(self, number: signal.Signals) -> None:
        """Send every worker a signal and wait for its end."""
        for process in self.processes:
            process.send_signal(number)
        for process, log in zip(self.processes, self.logs, strict=True):
            process.wait(timeout=60)
            assert process.stdout is not None
            process.stdout.close()
            log.close()
        self.processes.clear()
        self.logs.clear()

    def close(self) -> None:
        """Stop and let go; bodies that nobody read and idle connections of the clients first."""
        for body in filter(None, (one() for one in self.bodies)):
            body.close()
        for one in self.clients:
            one.close()
        self.end(signal.SIGTERM)
        for listener in self.sockets:
            listener.close()

    def log(self) -> str:
        """What the workers wrote."""
        return "\n".join(path.read_text() for path in sorted(self.data.glob("worker-*.log")))

    def member(self, name: str) -> Credentials:
        """A new member with a key."""
        return asyncio.run(self._member(name))

    async def _member(self, name: str) -> Credentials:
        connection = await connect(self.database)
        try:
            found = await store.add_member(
                connection, name=name, member_class=MemberClass.USER, email="", now_us=now_us()
            )
            vault = Vault.open(self.data / "secret.key", create=True)
            access_key, secret_key = await create_key(connection, found.id, vault=vault, now_us=now_us())
            return Credentials(found.id, name, access_key, secret_key)
        finally:
            await connection.close()

    def execute(self, statement: str) -> None:
        """Run a statement as the database's owner."""

        async def work() -> None:
            connection = await connect(self.database)
            await connection.execute(statement)
            await connection.close()

        asyncio.run(work())

    def usage(self, member: MemberId) -> Usage:
        """Everything the member ever used, shipped up to now."""

        async def work() -> Usage:
            engine = await open_engine(self.data / "engine", GatewaySettings(data=self.data))
            await feed_what_is_left(engine, self.settings.journal_directory, self.settings)
            await engine.close()
            assert 0 == await ship_everything(self.settings, self.database)
            connection = await connect(self.database, role="weir_office")
            try:
                return await usage_store.usage_between(connection, member, start_us=0, end_us=now_us())
            finally:
                await connection.close()

        return asyncio.run(work())


def client(gateway: RunningGateway, credentials: Credentials, **options: Any) -> Any:
    """A boto3 client with default settings; its connections end with the gateway."""
    s3 = boto3.client(
        "s3",
        endpoint_url=gateway.url,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        region_name="us-east-1",
        config=Config(retries={"max_attempts": 1}, **options),
    )
    gateway.clients.append(s3)
    s3.meta.events.register("after-call", partial(_keep_body, gateway.bodies))
    return s3


def _keep_body(bodies: list[weakref.ref[Any]], parsed: dict[str, Any], **_: object) -> None:
    """A body that a test does not read holds its connection open."""
    if "Body" in parsed:
        bodies.append(weakref.ref(parsed["Body"]))


@contextmanager
def running_gateway(
    data: Path,
    database: str,
    *,
    workers: int = 1,
    environment: dict[str, str] | None = None,
    files_max: int = 0,
) -> Iterator[RunningGateway]:
    """A gateway for the time of the block."""
    Vault.open(data / "secret.key", create=True)
    gateway = RunningGateway(data, database, workers, environment or {}, files_max=files_max)
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.close()
