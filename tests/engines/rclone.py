"""`rclone serve s3` over a directory for tests: a second S3 system, much smaller than Ceph and unlike it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.engines.place import S3System, answers, free_ports, running, until
from tests.integration.s3_kit import BIN


@contextmanager
def running_rclone(root: Path) -> Iterator[S3System]:
    """It serves root/objects for the time of the block."""
    (root / "objects").mkdir()
    (port,) = free_ports(1)
    access_key, secret_key = f"RCLONE{uuid.uuid4().hex[:14].upper()}", uuid.uuid4().hex
    log = root / "rclone.log"
    words = (
        BIN / "rclone", "serve", "s3", root / "objects", "--config", root / "no.conf", "--cache-dir", root / "cache",
        "--addr", f"127.0.0.1:{port}", "--auth-key", f"{access_key},{secret_key}",
        # What it remembers of directories is left as it is: all changes come through it. Told to remember nothing it lists
        # them anew for each step, and 60 small files by ten clients at once took 60 s in place of 1.
        "--vfs-cache-mode", "off", "--log-level", "INFO",
    )  # fmt: skip
    with running(words, log) as process:
        until(lambda: answers(port), process, log)
        yield S3System("rclone", f"http://127.0.0.1:{port}", "us-east-1", access_key, secret_key, root)
