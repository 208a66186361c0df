"""10,000 idle and 1,000 active connections at `weir up` with two workers, and twice as many: `python -m tests.bench.crowd`.

Memory is the proportional share of all processes that `weir up` runs, PostgreSQL's too (Pss of smaps_rollup).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from tests.bench.small import BODY, signed
from tests.bench.table import ROOT, show
from tests.gateway import Credentials, boto3

IDLE, ACTIVE, SECONDS = 10_000, 1_000, 20
PER_WORKER = 6_000
"""Connections a worker keeps: two keep the 11,000, and not the 20,000."""
GIB = 2**30
START_S = 60.0


@contextmanager
def weir_up(place: Path, **settings: object) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """A co-op that runs, and what its ready file says."""
    ready = place / "ready.json"
    environment = {**os.environ, **{f"WEIR_{name.upper()}": str(value) for name, value in settings.items()}}
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy", "up", "--data", str(place / "data"), "--gateway-port", "0", "--portal-port",
         "0", "--admin-port", "0", "--ready-file", str(ready)],
        stdout=subprocess.DEVNULL, cwd=ROOT, env=environment,
    )  # fmt: skip
    try:
        until = time.monotonic() + START_S
        while not ready.exists():
            assert process.poll() is None, "weir up ended"
            assert time.monotonic() < until, "weir up does not come up"
            time.sleep(0.05)
        yield process, json.loads(ready.read_text())
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_S)


def tree(process: int) -> dict[int, str]:
    """A process and all below it: number and what it is."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended while we looked
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, left = {}, [process]
    while left:
        one = left.pop()
        left += parents.get(one, [])
        words = Path(f"/proc/{one}/cmdline").read_bytes().split(b"\0")
        found[one] = next(
            (w.decode() for w in words if w in (b"gateway", b"billing", b"meter", b"deploy")), "postgres"
        )
    return found


def pss_bytes(process: int) -> dict[str, int]:
    """Memory by kind of process."""
    sums: dict[str, int] = {}
    for number, kind in tree(process).items():
        text = Path(f"/proc/{number}/smaps_rollup").read_text()
        (line,) = (line for line in text.splitlines() if line.startswith("Pss:"))
        sums[kind] = sums.get(kind, 0) + int(line.split()[1]) * 1024
    return sums


class Many:
    """Connections in a process of their own; see tests/bench/many.py."""

    def __init__(
        self,
        port: int,
        request: bytes,
        *,
        answer_bytes: int,
        first: int,
        idle: int,
        active: int,
        seconds: int,
    ) -> None:
        numbers = (port, first, idle, active, seconds, answer_bytes)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.many", *map(str, numbers)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        assert self._process.stdin is not None
        self._process.stdin.write(request.replace(b"\r\n", b"\x00") + b"\n")
        self._process.stdin.flush()

    def told(self) -> dict[str, Any]:
        """The next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "it ended"
        found: dict[str, Any] = json.loads(line)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(START_S)
        assert self._process.stdout is not None
        self._process.stdout.close()


def descriptors(process: int) -> int:
    """Of the worker with the most."""
    return max(len(os.listdir(f"/proc/{one}/fd")) for one, kind in tree(process).items() if kind == "gateway")


def line_of(memory: dict[str, int]) -> str:
    """By kind, in MiB."""
    return ", ".join(f"{kind} {size / 2**20:.0f}" for kind, size in sorted(memory.items()))


def bench_crowd() -> None:
    """Figures of the crowd, then of twice as many as there is room for."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        place = Path(name)
        place.chmod(0o755)
        process, ready = stack.enter_context(
            weir_up(place, workers=2, connections_max=PER_WORKER, header_timeout_s=600)
        )
        url = str(ready["gateway_url"])
        port = int(url.rpartition(":")[2])
        s3 = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=ready["access_key"],
            aws_secret_access_key=ready["secret_key"],
        )  # fmt: skip
        s3.create_bucket(Bucket="bench")
        s3.put_object(Bucket="bench", Key="small", Body=BODY)
        s3.close()
        keys = Credentials(1, "", ready["access_key"], ready["secret_key"])  # type: ignore[arg-type]
        request = signed(port, keys, "small")
        empty = pss_bytes(process.pid)
        with Many(
            port, request, answer_bytes=len(BODY), first=2, idle=0, active=ACTIVE, seconds=SECONDS
        ) as alone:
            alone.told()
            before = alone.told()
        with Many(
            port, request, answer_bytes=len(BODY), first=2, idle=IDLE, active=ACTIVE, seconds=SECONDS
        ) as crowd:
            idle = crowd.told()
            told = crowd.told()
            full, most = pss_bytes(process.pid), descriptors(process.pid)
            with Many(
                port, request, answer_bytes=len(BODY), first=60, idle=IDLE, active=0, seconds=0
            ) as more:
                beyond = more.told()
                overfull, most_beyond = pss_bytes(process.pid), descriptors(process.pid)
            kept = idle["served"] + beyond["served"] + ACTIVE
        total = sum(full.values())
        name = f"{IDLE:,} idle and {ACTIVE:,} active connections"
        show(
            name,
            f"{total / 2**20:.0f} MiB",
            f"without {sum(empty.values()) / 2**20:.0f} MiB",
            total / GIB,
            "≤ 1 of 1 GiB",
        )
        print(
            f"  without any: {line_of(empty)}\n  with them:   {line_of(full)}; descriptors of a worker {most:,}"
        )
        print(f"  idle: {idle}\n  active, alone: {before}\n  active, with idle ones: {told}")
        show("  slowest but one in a hundred", f"{told['latency_ms']['p99']:.1f} ms", f"without idle ones {before['latency_ms']['p99']:.1f} ms",
             told["latency_ms"]["p99"] / before["latency_ms"]["p99"], "")  # fmt: skip
        refused = idle["refused"] + idle["closed"] + told["refused"] + told["closed"]
        show("  of these refused", f"{refused}", "caps are not reached: 0", refused, "0")
        show(f"{2 * IDLE + ACTIVE:,} connections, room for {2 * PER_WORKER:,}", f"{kept:,} kept", f"503 {beyond['refused']:,}, cut {beyond['closed']:,}",
             kept / (2 * PER_WORKER), "")  # fmt: skip
        print(
            f"  then: {sum(overfull.values()) / 2**20:.0f} MiB: {line_of(overfull)}; descriptors of a worker {most_beyond:,}"
        )


if __name__ == "__main__":
    bench_crowd()
