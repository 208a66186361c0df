"""Several gateways of one co-op on this machine: `weir up`, and `weir gateway run` beside it, as real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.config import Config

from tests.ordinary import ROOT

START_TIMEOUT_S = 300
WEIR = [sys.executable, "-m", "deploy"]
OF_A_TREE = [sys.executable, "-P", "-m", "deploy"]
"""The same, of the program that PYTHONPATH names and not of the working directory."""


class Started:
    """One process tree of ours on a data directory."""

    def __init__(self, place: Path, database: str, *words: str, **settings: str) -> None:
        place.mkdir(exist_ok=True)
        self.place = place
        self.data = place / "data"
        self._words = words
        self.environment = {
            **os.environ, "WEIR_DATABASE_URL": database, "WEIR_DATA": str(self.data), "WEIR_GATEWAY_HEARTBEAT_S": "1",
            # A busy machine is no fault of theirs.
            "WEIR_CHILD_START_TIMEOUT_S": "300",
            **{f"WEIR_{name.upper()}": value for name, value in settings.items()},
        }  # fmt: skip
        self.command = WEIR
        self.process: subprocess.Popen[bytes] | None = None
        self.told: dict[str, Any] = {}

    def by(self, tree: Path) -> Self:
        """From the next start or command on it is the program in another tree."""
        self.command = OF_A_TREE
        self.environment = self.environment | {"PYTHONPATH": str(tree)}
        return self

    def start(self) -> Started:
        """Start it, and wait until it serves."""
        ready = self.place / "ready.json"
        ready.unlink(missing_ok=True)
        with (self.place / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, *self._words, "--ready-file", str(ready)], stdout=log, stderr=log, cwd=ROOT,
                env=self.environment, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + START_TIMEOUT_S
        while not ready.exists():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < until, self.log()
            time.sleep(0.02)
        self.told = json.loads(ready.read_text())
        return self

    @property
    def url(self) -> str:
        """The S3 endpoint."""
        return str(self.told["gateway_url"])

    @property
    def port(self) -> int:
        """Of the endpoint."""
        return int(self.url.rpartition(":")[2])

    def log(self) -> str:
        """What it and its children wrote."""
        paths = [self.place / "log", *sorted((self.data / "log").glob("*.log"))]
        return "\n".join(f"== {path.name}\n{path.read_text()}" for path in paths if path.exists())

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; its children die with it."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(timeout=120)
        self.process = None
        return status

    def again(self) -> None:
        """Stop it in order and start it on the port it had, as a service manager does."""
        words = list(self._words)
        words[words.index("--gateway-port") + 1] = str(self.port)
        self._words = tuple(words)
        assert 0 == self.end(), self.log()
        self.start()

    def weir(self, *words: str, check: bool = True) -> str:
        """A command on its data directory; what it printed, also of an error."""
        done = subprocess.run(
            [*self.command, *words], cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def gateways(self) -> dict[str, dict[str, Any]]:
        """`weir gateway list`, by name."""
        listed = json.loads(self.weir("gateway", "list", "--json"))["gateways"]
        return {one["name"]: one for one in listed}


def up(place: Path, database: str, **settings: str) -> Started:
    """The co-op's own machine."""
    words = ("up", "--gateway-port", "0", "--portal-port", "0", "--admin-port", "0")
    return Started(place, database, *words, **{"gateway_name": "home", "workers": "1"} | settings)


def beside(place: Path, database: str, home: Path, **settings: str) -> Started:
    """A gateway beside it that shares its disk."""
    words = (
        "gateway",
        "run",
        "--gateway-port",
        "0",
        "--admin-port",
        "0",
        "--master-key",
        str(home / "secret.key"),
    )
    name = place.name
    return Started(
        place, database, *words, **{"gateway_name": name, "workers": "1", "disk_home": str(home)} | settings
    )


@contextmanager
def running(*all_of_them: Started) -> Iterator[None]:
    """Start them in order, and end what still runs in the opposite one."""
    try:
        for one in all_of_them:
            one.start()
        yield
    finally:
        for one in reversed(all_of_them):
            if one.process is not None:
                one.end()


def s3_of(url: str, access_key: str, secret_key: str, **options: Any) -> Any:
    """A boto3 client of its own."""
    return boto3.client(
        "s3", endpoint_url=url, aws_access_key_id=access_key, aws_secret_access_key=secret_key,
        region_name="us-east-1", config=Config(**options),
    )  # fmt: skip
