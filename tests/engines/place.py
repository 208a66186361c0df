"""Real S3 systems for tests: how to reach one, and how its programs are run so that none outlives the run."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

REQUIRED = "WEIR_TEST_ENGINES"
"""Set to 'required', as .ci/run does, a program that is missing is a failure; else its tests are skipped."""
START_WITHIN_S = 240
"""Two test processes may start one each, on two cores that are busy with other tests."""
STOP_WITHIN_S = 20
TRIES_MAX = 500


@dataclass(frozen=True)
class S3System:
    """An S3 system that runs, and the one account it has for us."""

    kind: str
    """'radosgw', 'rclone' or 'versitygw'."""
    endpoint: str
    region: str
    access_key: str
    secret_key: str
    directory: Path
    """Its files and logs."""

    def client(self) -> Any:
        """A boto3 client straight to it, which the caller closes."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
        )


def need(*programs: str) -> None:
    """Skip without these programs, or fail where they are required."""
    missing = [program for program in programs if shutil.which(program) is None]
    if not missing:
        return
    sentence = f"{', '.join(missing)}: not on this machine"
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(f"{sentence}, and {REQUIRED} is 'required'")
    pytest.skip(sentence)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback nobody listens at now, all different, for programs that cannot be given a socket.

    They lie below those that the kernel gives to clients: one of these could be any connection's a moment later.
    """
    begin = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found: list[int] = []
    for port in random.SystemRandom().sample(range(begin // 2, begin), TRIES_MAX):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise AssertionError(f"of {TRIES_MAX} ports only {len(found)} were free")


@contextmanager
def running(words: Sequence[str | Path], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program in the foreground for the time of the block; the kernel ends it should we be killed."""
    with log.open("ab") as sink:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *map(str, words)],
            stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(holds: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until it holds; fails with the log's end when the program ends first or it takes too long."""
    end = time.monotonic() + START_WITHIN_S
    while not holds():
        ended = process.poll()
        if ended is not None or time.monotonic() > end:
            raise AssertionError(f"{log.name}: ended with {ended}\n{log.read_text(errors='replace')[-4000:]}")
        time.sleep(0.1)


def answers(port: int) -> bool:
    """Whether somebody speaks HTTP at that port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            return connection.recv(5) == b"HTTP/"
    except OSError:
        return False
