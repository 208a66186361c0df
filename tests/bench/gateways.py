"""Many gateways: how fast a revoked key is refused by all, and what a second worker costs each request."""

from __future__ import annotations

import asyncio
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from gateway.keys import create_key, revoke_key
from gateway.vault import Vault
from meter.ids import MemberId
from meter.postgres import Connection, connect
from meter.recorder import now_us
from tests.bench.small import signed
from tests.bench.table import ROOT, SECONDS, cpu_us, load, paired, show
from tests.gateway import Credentials, RunningGateway, client, running_gateway

GATEWAYS = 8
REVOCATIONS = 30
GOAL_S = 2.0
PAUSE_S = 0.005
BODY = b"x" * 4096


async def status_of(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> int:
    """Ask once on a connection that is kept."""
    writer.write(head)
    answer = await reader.readuntil(b"\r\n\r\n")
    size = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(size)
    return int(answer.split(b" ", 2)[1])


async def until(port: int, head: bytes, status: int) -> float:
    """When this gateway first answers so."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while await status_of(reader, writer, head) != status:
            await asyncio.sleep(PAUSE_S)
        return time.perf_counter()
    finally:
        writer.close()


async def revoke_once(
    connection: Connection, vault: Vault, member: MemberId, ports: list[int]
) -> list[float]:
    """Seconds from the revocation's commit to each gateway's first refusal; each had let the key in before."""
    access_key, secret_key = await create_key(connection, member, vault=vault, now_us=now_us())
    credentials = Credentials(member, "bench", access_key, secret_key)
    heads = {port: signed(port, credentials, "small") for port in ports}
    await asyncio.gather(*(until(port, head, 404) for port, head in heads.items()))
    await revoke_key(connection, access_key, now_us=now_us())
    began = time.perf_counter()
    ends = await asyncio.gather(*(until(port, head, 403) for port, head in heads.items()))
    return [end - began for end in ends]


async def revocations(database: str, vault: Vault, member: MemberId, ports: list[int]) -> list[float]:
    """Of many keys, one after the other."""
    connection = await connect(database, role="weir_gateway")
    try:
        found: list[float] = []
        for _ in range(REVOCATIONS):
            found += await revoke_once(connection, vault, member, ports)
        return found
    finally:
        await connection.close()


def bench_revocation(place: Path, database: str) -> None:
    """Eight gateways, each a process with a data directory of its own, as on eight machines."""
    with ExitStack() as stack:
        first = place / "gateway-0"
        first.mkdir(parents=True)
        vault = Vault.open(first / "secret.key", create=True)
        gateways: list[RunningGateway] = []
        for number in range(GATEWAYS):
            data = place / f"gateway-{number}"
            data.mkdir(exist_ok=True)
            if number:
                shutil.copy(first / "secret.key", data / "secret.key")
            gateways.append(stack.enter_context(running_gateway(data, database)))
        member = gateways[0].member("revoked").member
        ports = [gateway.port for gateway in gateways]
        took = asyncio.run(revocations(database, vault, member, ports))
    p99 = statistics.quantiles(took, n=100)[98]
    middle = statistics.median(took)
    show(
        f"revocation at all of {GATEWAYS} gateways, p99", f"{p99 * 1000:,.0f} ms",
        f"goal {GOAL_S:.0f} s; median {middle * 1000:,.0f} ms", p99 / GOAL_S, "≤ 1",
    )  # fmt: skip


def cost_of_all(pids: Sequence[int], port: int, request: bytes) -> float:
    """Microseconds of processor time an answer, all processes together."""
    used = sum(map(cpu_us, pids))
    rate = load(port, [request], len(BODY))
    return (sum(map(cpu_us, pids)) - used) / (rate * SECONDS)


@contextmanager
def bare_servers(count: int) -> Iterator[tuple[list[int], int]]:
    """So many bare handlers on one port, as workers are; their processes, and the port."""
    listeners: list[socket.socket] = []
    processes = []
    try:
        for _ in range(count):
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(("127.0.0.1", listeners[0].getsockname()[1] if listeners else 0))
            listener.listen(1024)
            listeners.append(listener)
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.bare", str(listener.fileno())],
                pass_fds=[listener.fileno()], stdout=subprocess.PIPE, cwd=ROOT, text=True,
            )  # fmt: skip
            processes.append(process)
            assert process.stdout is not None
            process.stdout.readline()
        yield [process.pid for process in processes], int(listeners[0].getsockname()[1])
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for listener in listeners:
            listener.close()


def bench_workers(place: Path, database: str, other_database: str) -> None:
    """The same small GETs from one worker and from two."""
    with ExitStack() as stack:
        figures = []
        for workers, dsn in ((2, database), (1, other_database)):
            data = place / f"workers-{workers}"
            data.mkdir(parents=True)
            gateway = stack.enter_context(running_gateway(data, dsn, workers=workers))
            member = gateway.member("bench")
            s3 = client(gateway, member)
            s3.create_bucket(Bucket="bench")
            s3.put_object(Bucket="bench", Key="small", Body=BODY)
            pids = [process.pid for process in gateway.processes]
            request = signed(gateway.port, member, "small")
            figures.append(partial(cost_of_all, pids, gateway.port, request))
        bare = [
            partial(cost_of_all, *stack.enter_context(bare_servers(workers)), request) for workers in (2, 1)
        ]
        two, one, ratio = paired(*figures)
        bare_two, bare_one, bare_ratio = paired(*bare)
    show(
        "CPU of a 4 KiB GET, two workers / one",
        f"{two:,.0f} µs",
        f"one worker {one:,.0f} µs",
        ratio,
        "≤ 1.15",
    )
    # Two processes share caches, and two loads a machine: that part is the machine's, and no program's.
    show(
        "  the same of a bare aiohttp handler", f"{bare_two:,.0f} µs", f"one process {bare_one:,.0f} µs",
        bare_ratio, "",
    )  # fmt: skip


def run(place: Path, databases: list[str]) -> None:
    """Both."""
    bench_revocation(place / "revocation", databases[0])
    bench_workers(place / "workers", databases[1], databases[2])
