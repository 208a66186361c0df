"""What a machine must have: `python -m tests.bench.sizing`. Memory by process and connection, disk by object and request.

These are absolute figures, which belong to this program and hardly to the machine: bytes, not seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.gateways_kit import Started, running, s3_of, up
from tests.integration.s3_kit import eventually

SIZES = (200, 4096, 16_384, 16_385, 100_000)
"""Up to inline_bytes_max an object lives in the index, above in a file."""
KIB = 1024


def children_of(pid: int) -> dict[int, str]:
    """Everything below a process, and what each is."""
    found, names = {pid: "parent"}, {b"gateway": "worker", b"billing": "portal", b"meter": "shipper"}
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    grown = True
    while grown:
        grown = False
        for child, parent in parents.items():
            if parent in found and child not in found:
                words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
                found[child] = next((names[word] for word in words if word in names), "postgres")
                grown = True
    return found


def proportional_bytes(pid: int) -> int:
    """What a process takes of the memory, pages that several share divided among them (PSS)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.partition("\nPss:")[2].split()[0]) * KIB


def tell_memory(home: Started, when: str) -> dict[str, int]:
    """By kind of process, in bytes."""
    assert home.process is not None
    sums: dict[str, int] = {}
    for pid, name in children_of(home.process.pid).items():
        sums[name] = sums.get(name, 0) + proportional_bytes(pid)
    told = ", ".join(f"{name} {size / 2**20:.0f} MiB" for name, size in sorted(sums.items()))
    print(f"memory {when}: {told}; together {sum(sums.values()) / 2**20:.0f} MiB", flush=True)
    return sums


@contextmanager
def idle(port: int, count: int) -> Iterator[None]:
    """Connections on which one request was answered and no other follows."""
    lines = []
    try:
        for _ in range(count):
            line = socket.create_connection(("127.0.0.1", port), 30)
            line.sendall(b"GET /-/ready HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"200 OK" in line.recv(4096)
            lines.append(line)
        yield
    finally:
        for line in lines:
            line.close()


def disk_bytes(engine: Path) -> int:
    """Blocks that files take once the index holds what its log held; the log itself is as large as it ever was."""
    index = sqlite3.connect(engine / "index.sqlite", timeout=30)
    index.execute("PRAGMA wal_checkpoint(FULL)")
    index.close()
    files = [
        path for path in engine.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    ]
    return sum(path.stat().st_blocks * 512 for path in files)


def measure(home: Started, objects: int, connections: int) -> None:
    """Everything, on a Weir of one worker with the embedded PostgreSQL."""
    quiet = tell_memory(home, "in quiet, one worker")
    with idle(home.port, connections):
        full = tell_memory(home, f"with {connections:,} idle connections")
    print(
        f"memory of an idle connection: {(full['worker'] - quiet['worker']) // connections:,} bytes of the worker"
    )
    s3 = s3_of(home.url, home.told["access_key"], home.told["secret_key"])
    s3.create_bucket(Bucket="sizing")
    engine = home.data / "engine"
    for size in SIZES:
        before = disk_bytes(engine)
        for number in range(objects):
            s3.put_object(
                Bucket="sizing", Key=f"folder/of/{size}/object-{number:08}.bin", Body=os.urandom(size)
            )
        grown = (disk_bytes(engine) - before) // objects
        print(
            f"disk of an object of {size:,} bytes: {grown:,} bytes, {grown - size:,} of them beside its own",
            flush=True,
        )
    tell_memory(home, f"after {objects * len(SIZES):,} uploads")

    def is_shipped() -> bool:
        return not json.loads(home.weir("status", "--json"))["unshipped_events"]

    assert eventually(is_shipped, within_s=60)


def main() -> None:
    """Start, measure, stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=1000, help="of each size")
    parser.add_argument("--connections", type=int, default=1000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as name:
        place = Path(name)
        place.chmod(0o755)
        home = up(place / "home", "")
        with running(home):
            measure(home, asked.objects, asked.connections)


if __name__ == "__main__":
    main()
