"""PgBouncer between shippers and PostgreSQL, where it is installed; it shares a few connections out by transaction."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.scale.server import DATABASE, MeasuredServer

PORT = 6432
USER = "weir_pooled"
READY_S = 10


class NoPooler(Exception):
    """PgBouncer is not installed."""


@contextmanager
def pooler(server: MeasuredServer, size: int) -> Iterator[str]:
    """A pool of `size` connections for the time of the block; how it is reached. Raises NoPooler."""
    program = os.environ.get("WEIR_BENCH_PGBOUNCER") or shutil.which("pgbouncer")
    if program is None:
        raise NoPooler("pgbouncer is not on PATH, and WEIR_BENCH_PGBOUNCER does not name it")
    with tempfile.TemporaryDirectory(prefix="weir-pool-") as name:
        place = Path(name)
        owner = server.socket_directory.stat().st_uid
        os.chown(place, owner, -1)
        users, settings = place / "users.txt", place / "pgbouncer.ini"
        users.write_text(f'"{USER}" ""\n')
        settings.write_text(
            f"[databases]\n{DATABASE} = host={server.socket_directory} user={USER}\n[pgbouncer]\n"
            f"unix_socket_dir = {place}\nlisten_port = {PORT}\nauth_type = any\nauth_file = {users}\n"
            f"pool_mode = transaction\ndefault_pool_size = {size}\nmax_client_conn = 20000\n"
            "query_wait_timeout = 600\nlog_connections = 0\nlog_disconnections = 0\n"
        )
        process = subprocess.Popen(
            [program, "-q", "-u", pwd.getpwuid(owner).pw_name, str(settings)], stdout=subprocess.DEVNULL
        )
        try:
            _wait(place / f".s.PGSQL.{PORT}")
            yield f"postgresql:///{DATABASE}?host={place}&port={PORT}&user={USER}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _wait(path: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as one:
            try:
                one.connect(str(path))
            except OSError:
                time.sleep(0.02)
            else:
                return
    raise NoPooler("pgbouncer did not start")
