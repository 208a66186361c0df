"""The small GET beside two bases: a bare aiohttp handler with the same body, and another S3 server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as BotoCredentials

from tests.bench.table import ROOT, cost, load, paired, show
from tests.gateway import Credentials, RunningGateway, client

BODY = b"x" * 4096
KEYS, KEYS_KEPT = 8192, 4096
"""More objects than a worker keeps in memory, when they are asked for in turn; and as many as it does keep."""
RCLONE = Path(sys.executable).with_name("rclone")
START_S = 10.0


def signed(
    port: int,
    credentials: Credentials,
    key: str,
    *,
    method: str = "GET",
    size: int = 0,
    bucket: str = "bench",
) -> bytes:
    """A signed request's head, ready to send again and again."""
    request = AWSRequest(
        method, f"http://127.0.0.1:{port}/{bucket}/{key}", headers={"Host": f"127.0.0.1:{port}"}
    )
    if method == "PUT":
        request.headers["Content-Length"] = str(size)
        # Over plain HTTP botocore would hash the body, which here is not part of what is measured.
        request.context["client_config"] = Config(s3={"payload_signing_enabled": False})
    S3SigV4Auth(BotoCredentials(credentials.access_key, credentials.secret_key), "s3", "us-east-1").add_auth(
        request
    )
    lines = [f"{method} /{bucket}/{key} HTTP/1.1"]
    for name, value in request.prepare().headers.items():
        lines.append(f"{name}: {value.decode() if isinstance(value, bytes) else value}")
    return "\r\n".join([*lines, "", ""]).encode()


@contextmanager
def bare_server() -> Iterator[tuple[int, int]]:
    """The bare aiohttp handler's port and process."""
    listener = socket.create_server(("127.0.0.1", 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.bare", str(listener.fileno())],
        pass_fds=[listener.fileno()], stdout=subprocess.PIPE, cwd=ROOT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield int(listener.getsockname()[1]), process.pid
    finally:
        process.kill()
        process.wait()
        listener.close()


@contextmanager
def rclone_server(place: Path, credentials: Credentials) -> Iterator[int]:
    """The port of `rclone serve s3` over a directory that holds the same object; one core, as a worker has."""
    (place / "bench").mkdir(parents=True)
    (place / "bench" / "small").write_bytes(BODY)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(
        [str(RCLONE), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key",
         f"{credentials.access_key},{credentials.secret_key}", "--config", "", str(place)],
        env={**os.environ, "GOMAXPROCS": "1"}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.perf_counter() + START_S
    try:
        while not _listens(port):
            assert process.poll() is None, "rclone serve s3 ended"
            assert time.perf_counter() < until, "rclone serve s3 does not start"
            time.sleep(0.01)
        yield port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(place)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def bench_small(gateway: RunningGateway, member: Credentials, place: Path) -> None:
    """4 KiB signed GETs."""
    s3 = client(gateway, member)
    s3.put_object(Bucket="bench", Key="small", Body=BODY)
    for number in range(KEYS):
        s3.put_object(Bucket="bench", Key=f"of-many-{number}", Body=BODY)
    ours = [signed(gateway.port, member, "small")]
    many = [signed(gateway.port, member, f"of-many-{number}") for number in range(KEYS)]
    worker = gateway.processes[0].pid
    size = len(BODY)
    with bare_server() as (port, process):
        # The same signed bytes go to both, so that both parse the same head; the bare handler looks at
        # none of it. A two-line request to the bare handler is the harder comparison, shown beside it.
        shortest = [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]
        for name, asked, of_bare, goal in (
            ("same request", ours, ours, "≥ 0.35"),
            ("two-line request", ours, shortest, ""),
            (f"{KEYS_KEPT} objects in turn", many[:KEYS_KEPT], ours, "≥ 0.33"),
            (f"{KEYS} objects in turn", many, ours, ""),
        ):
            rate, base, ratio = paired(
                partial(load, gateway.port, asked, size), partial(load, port, of_bare, size)
            )
            show(
                f"4 KiB signed GET / bare, {name}",
                f"{rate:,.0f}/s",
                f"bare aiohttp {base:,.0f}/s",
                ratio,
                goal,
            )
            # The load takes a core of its own, and more of it for the faster one: time is the stricter figure.
            mine, bare, inverse = paired(
                partial(cost, worker, gateway.port, asked, size), partial(cost, process, port, of_bare, size)
            )
            show(
                "  processor time of one", f"{mine:.0f} µs", f"bare aiohttp {bare:.0f} µs", 1 / inverse, goal
            )
    with rclone_server(place / "rclone", member) as port:
        theirs = [signed(port, member, "small")]
        rate, base, ratio = paired(partial(load, gateway.port, ours, size), partial(load, port, theirs, size))
    show("4 KiB signed GET / rclone", f"{rate:,.0f}/s", f"rclone serve s3 {base:,.0f}/s", ratio, "≥ 2")
