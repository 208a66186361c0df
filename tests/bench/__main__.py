"""`make bench`: each figure beside its base, measured in turn within one run, and their ratio.

Absolute figures belong to the machine and the minute; the ratios are what is promised. Every pair is
measured several times in turn, A B A B, and the median of the paired ratios is printed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from meter.recorder import Recorder
from meter.settings import MeterSettings
from tests.bench import plain, storage
from tests.events import PLAIN
from tests.gateway import Credentials, RunningGateway, client, running_gateway
from tests.postgres import running_server

ROOT = Path(__file__).resolve().parents[2]
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ROUNDS = 7
SECONDS = 3.0
CONNECTIONS = 16
LARGE_BYTES = 64 * 2**20


def show(name: str, figure: str, base: str, ratio: float, goal: str) -> None:
    """One line of the table."""
    print(f"{name:<44} {figure:>22} {base:>30} {ratio:>8.3f}  {goal}", flush=True)


def request_bytes(gateway: RunningGateway, credentials: Credentials, key: str) -> bytes:
    """A signed GET, ready to send again and again."""
    request = AWSRequest("GET", f"{gateway.url}/bench/{key}", headers={"Host": f"127.0.0.1:{gateway.port}"})
    request.headers["x-amz-content-sha256"] = EMPTY
    S3SigV4Auth(BotoCredentials(credentials.access_key, credentials.secret_key), "s3", "us-east-1").add_auth(
        request
    )
    lines = [f"GET /bench/{key} HTTP/1.1"]
    for name, value in request.prepare().headers.items():
        lines.append(f"{name}: {value.decode() if isinstance(value, bytes) else value}")
    return "\r\n".join([*lines, "", ""]).encode()


def load(port: int, request: bytes, body_bytes: int) -> float:
    """Answers a second."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load", str(port), str(body_bytes), str(CONNECTIONS), str(SECONDS)],
        input=request, stdout=subprocess.PIPE, cwd=ROOT, check=True,
    )  # fmt: skip
    return float(done.stdout)


def receive(port: int, request: bytes, size: int) -> float:
    """Bytes a second of one large answer, over a warm connection."""
    buffer = bytearray(2**20)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        began = time.perf_counter()
        connection.sendall(request)
        got, wanted = 0, size
        while got < wanted:
            count = connection.recv_into(buffer)
            assert count, "the connection ended early"
            if not got and buffer.startswith(b"HTTP/"):
                wanted = size + buffer.index(b"\r\n\r\n") + 4
            got += count
        return size / (time.perf_counter() - began)


@contextmanager
def bare_server() -> Iterator[int]:
    """The bare aiohttp handler's port."""
    listener = socket.create_server(("127.0.0.1", 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.bare", str(listener.fileno())],
        pass_fds=[listener.fileno()], stdout=subprocess.PIPE, cwd=ROOT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield int(listener.getsockname()[1])
    finally:
        process.kill()
        process.wait()
        listener.close()


def paired(figure: Callable[[], float], base: Callable[[], float]) -> tuple[float, float, float]:
    """Medians of both and of the ratios pair by pair, after one warm-up each."""
    figure()
    base()
    pairs = [(figure(), base()) for _ in range(ROUNDS)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def bench_recorder(directory: Path) -> None:
    """record() against the same loop without it."""
    recorder = Recorder(directory, MeterSettings(journal_segment_bytes_max=64 * 2**20), slots_max=1)
    events = [replace(PLAIN, bytes_in=n) for n in range(100_000)]

    def record() -> float:
        began = time.perf_counter()
        for event in events:
            recorder.record(event)
        return (time.perf_counter() - began) / len(events) * 1e6

    def nothing() -> float:
        began = time.perf_counter()
        for event in events:
            abs(event.bytes_in)
        return (time.perf_counter() - began) / len(events) * 1e6

    cost, base, ratio = paired(record, nothing)
    show("recorder: one event", f"{cost:.2f} µs", f"empty loop {base:.3f} µs", ratio, "≤ 5 µs")
    recorder.close()


def bench_gateway(directory: Path, database: str) -> None:
    """Small and large GETs against their bases, and metering on against off."""
    (directory / "off").mkdir()
    with (
        running_gateway(directory, database) as gateway,
        bare_server() as bare_port,
    ):
        member = gateway.member("bench")
        s3 = client(gateway, member)
        s3.create_bucket(Bucket="bench")
        s3.put_object(Bucket="bench", Key="small", Body=b"x" * 4096)
        s3.put_object(Bucket="bench", Key="large", Body=os.urandom(2**20) * 64)
        small = request_bytes(gateway, member, "small")
        # The same signed bytes go to both, so that both parse the same head; the bare handler looks at
        # none of it. A two-line request to the bare handler is the harder comparison, shown beside it.
        shortest = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        for name, request in (("same request", small), ("two-line request", shortest)):
            rate, base, ratio = paired(
                lambda: load(gateway.port, small, 4096),
                lambda request=request: load(bare_port, request, 4096),  # type: ignore[misc]
            )
            show(
                f"4 KiB signed GET / bare, {name}",
                f"{rate:,.0f}/s",
                f"bare aiohttp {base:,.0f}/s",
                ratio,
                "≥ 0.25",
            )
        large = request_bytes(gateway, member, "large")
        with plain.sendfile_server(LARGE_BYTES) as plain_port:
            rate, base, ratio = paired(
                lambda: receive(gateway.port, large, LARGE_BYTES),
                lambda: receive(plain_port, b"go", LARGE_BYTES),
            )
        show("64 MiB GET", f"{rate / 1e9:.2f} GB/s", f"os.sendfile {base / 1e9:.2f} GB/s", ratio, "≥ 0.6")
        bench_metering(gateway, small, directory, database)


def bench_metering(gateway: RunningGateway, small: bytes, directory: Path, database: str) -> None:
    """The same worker with a recorder that writes nothing: what counting costs."""
    environment = {"WEIR_BENCH_METERING_OFF": "1"}
    listener = socket.create_server(("127.0.0.1", 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.unmetered"],
        env={**os.environ, **environment, "WEIR_DATA": str(directory), "WEIR_DATABASE_URL": database,
             "WEIR_GATEWAY_FD": str(listener.fileno()), "WEIR_WORKER": "77"},
        pass_fds=[listener.fileno()], stdout=subprocess.PIPE, cwd=ROOT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    port = listener.getsockname()[1]
    # The Host header is signed; the request goes to the other port with the same Host.
    on, off, ratio = paired(lambda: load(gateway.port, small, 4096), lambda: load(port, small, 4096))
    process.send_signal(signal.SIGTERM)
    process.wait()
    listener.close()
    show("metering on / off", f"{on:,.0f}/s", f"off {off:,.0f}/s", ratio, "≥ 0.95")


def bench_start() -> None:
    """From `weir up` to the ready file, first start (database made, co-op founded) and second."""
    with tempfile.TemporaryDirectory() as place:
        for name in ("first start", "second start"):
            ready = Path(place) / "ready.json"
            ready.unlink(missing_ok=True)
            began = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "deploy", "up", "--data", f"{place}/data", "--gateway-port", "0",
                 "--portal-port", "0", "--admin-port", "0", "--ready-file", str(ready)],
                stdout=subprocess.DEVNULL, cwd=ROOT,
            )  # fmt: skip
            while not ready.exists():
                assert process.poll() is None, "weir up ended"
                time.sleep(0.01)
            took = time.perf_counter() - began
            assert json.loads(ready.read_text())["gateway_url"]
            process.send_signal(signal.SIGTERM)
            process.wait()
            show(f"weir up to ready, {name}", f"{took:.2f} s", "goal 5 s", took / 5, "≤ 1")


def main() -> None:
    """Everything, one line a figure."""
    print(f"{'figure':<44} {'measured':>22} {'base':>30} {'ratio':>8}  goal")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        bench_recorder(place / "recorder")
        (place / "pg" / "log").mkdir(parents=True)
        with running_server(place / "pg") as server:
            (place / "gateway").mkdir()
            bench_gateway(place / "gateway", server.database())
    storage.run()
    bench_start()


if __name__ == "__main__":
    main()
