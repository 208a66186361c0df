"""A bucket on radosgw: through the gateway beside straight to the same radosgw, in turn, on the same cores."""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from meter.ids import MemberId
from meter.postgres import connect
from tests.bench.large import LARGE_BYTES, put, receive
from tests.bench.small import BODY, signed
from tests.bench.table import ROUNDS, cpu_us, paired, show
from tests.engines.behind import put_behind
from tests.engines.ceph import running_ceph
from tests.engines.place import S3System
from tests.gateway import Credentials, RunningGateway, client, running_gateway

ASKED = 300
"""Small GETs a round, one after the other on one connection."""
GIB = 2**30


def bench_upstream(place: Path, database: str) -> None:
    """Skipped by name where there is no Ceph."""
    (place / "ceph").mkdir()
    try:
        with running_ceph(place / "ceph") as system:
            (place / "before-ceph").mkdir()
            put_behind(RunningGateway(place / "before-ceph", database, 0), system, prefix="")
            with running_gateway(place / "before-ceph", database) as gateway:
                _bench(gateway, system)
    except pytest.skip.Exception as skipped:
        print(f"upstream figures: skipped, {skipped}")


def _bench(gateway: RunningGateway, system: S3System) -> None:
    member = gateway.member("bench-upstream")
    s3 = client(gateway, member)
    s3.create_bucket(Bucket="bench-up")
    s3.put_object(Bucket="bench-up", Key="small", Body=BODY)
    bucket, there = _name(gateway), int(system.endpoint.rpartition(":")[2])
    theirs = Credentials(MemberId(0), "straight", system.access_key, system.secret_key)
    ours = partial(signed, gateway.port, member, bucket="bench-up")
    straight = partial(signed, there, theirs, bucket=bucket)
    worker = gateway.processes[0].pid
    body = os.urandom(2**20) * (LARGE_BYTES // 2**20)
    _large(
        "64 MiB PUT on radosgw", worker,
        lambda: put(gateway.port, ours("large", method="PUT", size=LARGE_BYTES), body),
        lambda: put(there, straight("large-straight", method="PUT", size=LARGE_BYTES), body),
    )  # fmt: skip
    _large(
        "64 MiB GET from radosgw", worker,
        lambda: receive(gateway.port, ours("large"), LARGE_BYTES),
        lambda: receive(there, straight("large"), LARGE_BYTES),
    )  # fmt: skip
    used = cpu_us(worker)
    mine, base, _ = paired(
        partial(_median_us, gateway.port, ours("small")), partial(_median_us, there, straight("small"))
    )
    each = (cpu_us(worker) - used) / (ASKED * (ROUNDS + 1))
    show(
        "4 KiB GET from radosgw, added at the median",
        f"{mine:.0f} µs",
        f"straight {base:.0f} µs",
        (mine - base) / 400,
        "≤ 1",
    )
    show("  the worker's CPU of one", f"{each:.0f} µs", "goal 350 µs", each / 350, "≤ 1")


def _large(name: str, worker: int, ours: Callable[[], float], straight: Callable[[], float]) -> None:
    used = cpu_us(worker)
    rate, base, ratio = paired(ours, straight)
    seconds = (cpu_us(worker) - used) / 1e6 / ((ROUNDS + 1) * LARGE_BYTES / GIB)
    show(name, f"{rate / 1e9:.2f} GB/s", f"straight {base / 1e9:.2f} GB/s", ratio, "≥ 0.7")
    show("  the worker's CPU a GiB", f"{seconds:.2f} s", "goal 1.2 s", seconds / 1.2, "≤ 1")


def _median_us(port: int, request: bytes) -> float:
    """The median of one client's answers on a warm connection."""
    buffer, took = bytearray(2**16), []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(ASKED):
            began = time.perf_counter()
            connection.sendall(request)
            got = wanted = 0
            while not wanted or got < wanted:
                got += connection.recv_into(memoryview(buffer)[got:])
                if not wanted and (end := buffer.find(b"\r\n\r\n", 0, got)) >= 0:
                    wanted = end + 4 + len(BODY)
            took.append((time.perf_counter() - began) * 1e6)
    return statistics.median(took)


def _name(gateway: RunningGateway) -> str:
    async def ask() -> str:
        connection = await connect(gateway.database)
        try:
            return str(
                await connection.fetchval("SELECT upstream_name FROM gateway.bucket WHERE name = 'bench-up'")
            )
        finally:
            await connection.close()

    return asyncio.run(ask())
