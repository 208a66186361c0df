"""versitygw over a directory for tests: a third S3 system, whose objects are files, and old versions files beside them.

`make clients` builds it with Go, in one version; where it was not built, what needs it is skipped by its name.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engines.place import S3System, answers, free_ports, running, until

ROOT = Path(__file__).resolve().parents[2]
PREPARED = ROOT / ".clients"
PROGRAM = PREPARED / "versitygw"
PREPARE = ROOT / "tests" / "integration" / "clients" / "prepare"


def need_versity() -> None:
    """Skip without the program, or with one of another version than the one that is fixed."""
    stamp = PREPARED / "versitygw.prepared"
    if not (stamp.exists() and stamp.read_bytes() == PREPARE.read_bytes()):
        pytest.skip("versitygw is not here: `make clients` builds it where Go is")


@contextmanager
def running_versity(root: Path) -> Iterator[S3System]:
    """It serves root/objects for the time of the block, with versions, and what it knows of objects in files of its own:
    not every file system a test runs on keeps extended attributes."""
    need_versity()
    for name in ("objects", "versions", "sidecar"):
        (root / name).mkdir()
    (port,) = free_ports(1)
    access_key, secret_key = f"VERSITY{uuid.uuid4().hex[:13].upper()}", uuid.uuid4().hex
    log = root / "versitygw.log"
    words = (
        PROGRAM, "--port", f"127.0.0.1:{port}", "--access", access_key, "--secret", secret_key, "--keep-alive",
        "--quiet", "posix", "--versioning-dir", root / "versions", "--sidecar", root / "sidecar", root / "objects",
    )  # fmt: skip
    with running(words, log) as process:
        until(lambda: answers(port), process, log)
        yield S3System("versitygw", f"http://127.0.0.1:{port}", "us-east-1", access_key, secret_key, root)
