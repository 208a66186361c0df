"""PostgreSQL 18 of our own: a foreground child on a private Unix socket in the data directory.

It knows how to make, start, watch and stop the server. It never creates users, changes no directory
above its own, and knows no table.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import stat
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.binaries import find_programs
from deploy.launch import REFUSED
from deploy.logfile import LogFile, pump
from deploy.place import DataRefused, sync_directory
from deploy.privilege import User, current_user, launched, postgres_user
from deploy.settings import DeploySettings
from deploy.store import answers, create_database
from meter.postgres import AWAY
from meter.refusal import Refusal

DATABASE = "weir"
ROLE = "weir"
PORT = 5432
SOCKET_NAME = f".s.PGSQL.{PORT}"
SOCKET_PATH_BYTES_MAX = 100
POLL_S = 0.02
PROGRESS_EVERY_S = 5
STILL_HELD = ("pre-existing shared memory block", 'lock file "postmaster.pid" already exists')
Tell = Callable[[str], None]


class PostgresFailed(Refusal):
    """The embedded PostgreSQL did not start; the sentence says why and where its log is."""


class EmbeddedServer:
    """One embedded server on one data directory. The caller holds the directory's lock."""

    def __init__(self, settings: DeploySettings, data: Path, *, tell: Tell) -> None:
        self._settings = settings
        self._data = data
        self._tell = tell
        self._directory = data / "postgres"
        self._programs = find_programs(settings.postgres_bin)
        self._user = postgres_user(settings.postgres_user)
        self._log = LogFile(data / "log" / "postgres.log", bytes_max=settings.log_bytes_max)
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self.socket_directory = socket_directory(data)
        self._maintenance_dsn = dsn(self.socket_directory, database="postgres")

    @property
    def dsn(self) -> str:
        """How to reach the co-op's database."""
        return dsn(self.socket_directory, database=DATABASE)

    @property
    def name(self) -> str:
        """How it is called in messages; its log is postgres.log."""
        return "postgres"

    @property
    def tail(self) -> list[str]:
        """The last lines of its log."""
        return list(self._log.tail)

    async def start(self) -> None:
        """Make the cluster if there is none, start it, and wait until it answers.

        Raises PostgresFailed, NoPostgres, NoUser, DataRefused.
        """
        make_private_directory(self.socket_directory, self._user)
        fresh = not (self._directory / "PG_VERSION").exists()
        if fresh:
            await self._make_cluster()
        await self._wait_for_predecessor()
        self._write_access_rules()
        deadline = time.monotonic() + self._settings.postgres_stop_timeout_s
        while not await self._started():
            # A killed server and its sessions need an instant to be gone; PostgreSQL waits for none.
            if time.monotonic() > deadline:
                raise PostgresFailed(
                    f"another PostgreSQL server still holds {self._directory}; stop it first"
                )
            await asyncio.sleep(POLL_S)
        try:
            await create_database(self._maintenance_dsn)
        except AWAY as error:
            await self.stop(hurry=True)
            raise PostgresFailed(f"PostgreSQL ended while it started; its log is {self._log.path}") from error

    async def wait(self) -> int:
        """Wait for the server to end; its exit status."""
        # After a start that failed there is nothing to wait for.
        return await self._process.wait() if self._process is not None else 1

    async def stop(self, *, hurry: bool = False) -> None:
        """Fast shutdown (sessions are ended, everything is written); in a hurry an immediate one."""
        process = self._process
        if process is None:
            return
        self._signal(signal.SIGQUIT if hurry else signal.SIGINT)
        try:
            await asyncio.wait_for(process.wait(), self._settings.postgres_stop_timeout_s)
        except TimeoutError:
            # An immediate shutdown loses nothing that was committed; the next start recovers.
            self._signal(signal.SIGQUIT)
            await process.wait()
        if self._reader is not None:
            await self._reader
        self._process = None
        self._log.close()
        if self.socket_directory.parent != self._data:
            # One in the temp dir was made for a long path; PostgreSQL has taken its socket away already.
            with contextlib.suppress(OSError):
                self.socket_directory.rmdir()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _make_cluster(self) -> None:
        """initdb beside, then rename: a cluster is there whole or not at all."""
        beside = self._data / "postgres.new"
        if beside.exists():
            shutil.rmtree(beside)
        beside.mkdir(mode=0o700)
        _give(beside, self._user)
        command: list[str | Path] = [self._programs / "initdb", "--pgdata", beside, "--username", ROLE]
        command += ["--encoding", "UTF8", "--locale", "C", "--auth", "peer", "--no-instructions"]
        # One sync of the file system instead of one a file; durable all the same.
        command += ["--sync-method", "syncfs"]
        process = await self._spawn(command, reach=beside)
        output, _ = await process.communicate()
        for line in output.splitlines():
            self._log.write(line)
        if process.returncode != 0:
            raise self._failure("PostgreSQL could not make its files", process.returncode)
        os.rename(beside, self._directory)
        sync_directory(self._data)

    async def _wait_for_predecessor(self) -> None:
        """After kill -9 of Weir its server may still be shutting down; wait until it is gone."""
        deadline = time.monotonic() + self._settings.postgres_stop_timeout_s
        while (pid := living_postmaster(self._directory)) is not None:
            if time.monotonic() > deadline:
                raise PostgresFailed(
                    f"a PostgreSQL server (process {pid}) still runs on {self._directory}; stop it first"
                )
            await asyncio.sleep(POLL_S)

    def _write_access_rules(self) -> None:
        """Only we and the server's own user come in, proved by the kernel; written anew at each start."""
        names = sorted({current_user().name, self._user.name})
        lines = "".join(f'weir "{name}" {ROLE}\n' for name in names)
        _write_owned(self._directory / "pg_ident.conf", lines, self._user)
        rules = f"local all {ROLE} peer map=weir\n"
        _write_owned(self._directory / "pg_hba.conf", rules, self._user)

    def _server_command(self) -> list[str | Path]:
        settings = self._settings
        options = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": f'"{self.socket_directory}"',
            "unix_socket_permissions": "0700",
            "max_connections": str(settings.postgres_connections_max),
            "shared_buffers": f"{settings.postgres_shared_buffers_mb}MB",
            "max_wal_size": "512MB",
            # One machine, few sessions: reading in the session itself saves three processes.
            "io_method": "sync",
            "jit": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] ",
            "logging_collector": "off",
            "log_destination": "stderr",
            "cluster_name": "weir",
        }
        command: list[str | Path] = [self._programs / "postgres", "-D", self._directory]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        return command

    async def _spawn(self, command: list[str | Path], *, reach: Path | None = None) -> Process:
        line = launched(
            command,
            # A fast shutdown, should Weir be killed: sessions end, and what was committed is written.
            death_signal=signal.SIGINT,
            user=self._user,
            reach=[self._programs / "postgres", reach or self._directory, self.socket_directory],
        )
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        return await asyncio.create_subprocess_exec(
            *line,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env=environment,
            cwd="/",
            # Ctrl-C is for us: the database goes last, when everything is shipped.
            start_new_session=True,
        )

    async def _started(self) -> bool:
        """Start the server once; False when the last one's sessions still hold the cluster."""
        self._process = await self._spawn(self._server_command())
        assert self._process.stdout is not None
        self._reader = asyncio.create_task(
            pump(self._process.stdout, self._log.write, line_bytes_max=self._settings.log_line_bytes_max)
        )
        return await self._wait_until_ready(self._process, self._reader)

    async def _wait_until_ready(self, process: Process, reader: asyncio.Task[None]) -> bool:
        began = time.monotonic()
        told = began
        while not await answers(self._maintenance_dsn):
            if process.returncode is not None:
                await reader
                self._process = None
                if any(sign in line for line in self._log.tail for sign in STILL_HELD):
                    self._log.tail.clear()
                    return False
                raise self._failure("PostgreSQL did not start", process.returncode)
            now = time.monotonic()
            if now - began > self._settings.postgres_start_timeout_s:
                await self.stop(hurry=True)
                raise PostgresFailed(
                    f"PostgreSQL was not ready within {self._settings.postgres_start_timeout_s} s "
                    f"(setting postgres_start_timeout_s); its log is {self._log.path}"
                )
            if now - told >= PROGRESS_EVERY_S:
                told = now
                self._tell(f"PostgreSQL is still starting or recovering ({int(now - began)} s)")
            await asyncio.sleep(POLL_S)
        return True

    def _failure(self, what: str, status: int | None) -> PostgresFailed:
        tail = [line for line in self._log.tail if line.strip()]
        last = tail[-1] if tail else "it said nothing"
        if status == REFUSED:
            return PostgresFailed(
                f"user {self._user.name} may not reach {last}, and PostgreSQL cannot run as root; "
                "move the data directory and Weir to where that user can read, for example under /srv, "
                "set postgres_user to a user who can, or run weir as an ordinary user"
            )
        return PostgresFailed(f"{what}: {last}; the log is {self._log.path}")


@asynccontextmanager
async def embedded(settings: DeploySettings, data: Path, *, tell: Tell) -> AsyncIterator[EmbeddedServer]:
    """An embedded server for the time of the block. The caller holds the directory's lock."""
    server = EmbeddedServer(settings, data, tell=tell)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


def dsn(directory: Path, *, database: str) -> str:
    """The connection string of a server on a Unix socket in the directory."""
    return f"postgresql:///{database}?host={directory}&user={ROLE}"


def socket_directory(data: Path) -> Path:
    """DATA/run; or, where its path does not fit a Unix socket or a DSN, a private one in the temp dir."""
    plain = data / "run"
    fits = len(os.fsencode(plain / SOCKET_NAME)) <= SOCKET_PATH_BYTES_MAX
    if fits and not set(str(plain)) & set(',?&#%+ "='):
        return plain
    short = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"weir-{os.geteuid()}-{short}"


def make_private_directory(path: Path, user: User) -> None:
    """A directory only `user` enters. Raises DataRefused if somebody else made it first."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
        _give(path, user)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (user.uid, os.geteuid()):
        raise DataRefused(f"{path} belongs to somebody else; remove it, or choose another data directory")
    _give(path, user)
    path.chmod(0o700)


def living_postmaster(directory: Path) -> int | None:
    """The process that serves the cluster now, by postmaster.pid and /proc; None when it is gone.

    The number alone is not enough: after a reboot it may be anybody's. A server works inside its
    cluster, and so its working directory tells.
    """
    try:
        pid = int((directory / "postmaster.pid").read_text("ascii").split("\n", 1)[0])
        return abs(pid) if os.path.samefile(f"/proc/{abs(pid)}/cwd", directory) else None
    except (OSError, ValueError):
        return None


def _give(path: Path, user: User) -> None:
    if path.stat().st_uid != user.uid:
        os.chown(path, user.uid, user.gid)


def _write_owned(path: Path, text: str, user: User) -> None:
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        if os.geteuid() != user.uid:
            os.fchown(descriptor, user.uid, user.gid)
    os.replace(beside, path)
