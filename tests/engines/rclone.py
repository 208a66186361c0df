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
        # Its directories are ours alone, but several processes' requests must see each other's at once. With "0s" each
        # directory it has read is forgotten by a timer of no time for ever: it took a third of the machine.
        "--vfs-cache-mode", "off", "--dir-cache-time", "1ms", "--log-level", "INFO",
    )  # fmt: skip
    with running(words, log) as process:
        until(lambda: answers(port), process, log)
        yield S3System("rclone", f"http://127.0.0.1:{port}", "us-east-1", access_key, secret_key, root)
