"""A real Weir under traffic, with an S3 system behind it and a real Prometheus beside it, for tests and pictures."""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.engines.place import S3System
from tests.engines.rclone import running_rclone
from tests.integration.test_up import Weir, client
from tests.observe.place import Prometheus, running_prometheus

SETTINGS = {
    "metrics_ledger_every_s": 1, "metrics_money_every_s": 2, "inventory_interval_s": 60, "lifecycle_interval_s": 1,
    "upstream_failures_max": 3, "upstream_rest_s": 60, "scrub_interval_s": 1,
}  # fmt: skip
REFUSED = (ClientError, BotoCoreError, OSError)


def certificate(path: Path, *, days: int) -> None:
    """A certificate of its own that ends in so many days."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "coop.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))


def configure(weir: Weir, **settings: object) -> None:
    """Write weir.toml before the start."""
    weir.data.mkdir(parents=True, exist_ok=True)
    lines = [f"{name} = {value!r}".replace("'", '"') for name, value in settings.items()]
    (weir.data / "weir.toml").write_text("\n".join(lines) + "\n")


@dataclass
class Rig:
    """What runs."""

    weir: Weir
    ready: dict[str, Any]
    rclone: S3System
    prometheus: Prometheus
    s3: Any
    stopping: threading.Event = field(default_factory=threading.Event)

    def page(self) -> str:
        """A scrape, as Prometheus gets it."""
        with urllib.request.urlopen(self.ready["admin_url"] + "/metrics", timeout=10) as answer:  # noqa: S310
            text: str = answer.read().decode()
        return text

    def traffic(self) -> None:
        """Until told to stop: what members do, well and badly, on both engines."""
        count = 0
        while not self.stopping.wait(0.02):
            count += 1
            for wish in (self._ordinary, self._wrong, self._elsewhere):
                with contextlib.suppress(*REFUSED):
                    wish(count)
            if count % 5 == 0:
                self._leave()
            self._portal()

    def _ordinary(self, count: int) -> None:
        key = f"object-{count % 50}"
        self.s3.put_object(Bucket="films", Key=key, Body=os.urandom(1000 * (1 + count % 90)))
        self.s3.get_object(Bucket="films", Key=key)["Body"].read()
        self.s3.head_object(Bucket="films", Key=key)
        self.s3.list_objects_v2(Bucket="films", MaxKeys=10)

    def _wrong(self, _: int) -> None:
        stranger = boto3.client(
            "s3", endpoint_url=self.ready["gateway_url"], region_name="us-east-1",
            aws_access_key_id=self.ready["access_key"], aws_secret_access_key="x" * 40,
            config=Config(retries={"max_attempts": 1}),
        )  # fmt: skip
        try:
            stranger.head_bucket(Bucket="films")
        finally:
            stranger.close()

    def _elsewhere(self, count: int) -> None:
        self.s3.get_object(Bucket="away", Key=f"a{count % 3}")["Body"].read()

    def _leave(self) -> None:
        """A client that goes in the middle of its download."""
        place = urlsplit(self.ready["gateway_url"])
        with (
            contextlib.suppress(OSError),
            socket.create_connection((place.hostname, place.port or 80), 10) as one,
        ):
            one.sendall(b"GET /films/long HTTP/1.1\r\nHost: x\r\n\r\n")
            one.recv(1000)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    def _portal(self) -> None:
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(self.ready["portal_url"], timeout=10).close()  # noqa: S310 - our own


@contextmanager
def rig(
    place: Path,
    *,
    rules: Path | None = None,
    disk: Path | None = None,
    certificate_days: int = 90,
    **settings: object,
) -> Iterator[Rig]:
    """Everything up and under traffic for the time of the block; Weir's data on a disk of its own, if one is given."""
    certificate(place / "coop.pem", days=certificate_days)
    with ExitStack() as stack:
        (place / "rclone").mkdir()
        rclone = stack.enter_context(running_rclone(place / "rclone"))
        weir = Weir(disk or place)
        configure(weir, **{**SETTINGS, "certificate_files": str(place / "coop.pem"), **settings})
        stack.callback(_end, weir)
        ready = weir.start()
        secret = place / "secret"
        secret.write_text(rclone.secret_key + "\n")
        weir.command(
            "engine", "add", "rclone", "--endpoint", rclone.endpoint, "--region", rclone.region, "--access-key",
            rclone.access_key, "--secret-file", str(secret), "--location", "away",
        )  # fmt: skip
        s3 = stack.enter_context(contextlib.closing(client(ready)))
        s3.create_bucket(Bucket="films")
        s3.put_object(Bucket="films", Key="long", Body=bytes(8 * 2**20), ACL="public-read")
        s3.create_bucket(Bucket="away", CreateBucketConfiguration={"LocationConstraint": "away"})
        for number in range(3):
            s3.put_object(Bucket="away", Key=f"a{number}", Body=os.urandom(20_000))
        target = urlsplit(ready["admin_url"]).netloc
        prometheus = stack.enter_context(running_prometheus(place / "prometheus", [target], rules=rules))
        one = Rig(weir, ready, rclone, prometheus, s3)
        thread = threading.Thread(target=one.traffic, daemon=True)
        thread.start()
        stack.callback(thread.join, 30)
        stack.callback(one.stopping.set)
        yield one


def _end(weir: Weir) -> None:
    if weir.process is not None and weir.process.poll() is None:
        weir.process.kill()
        weir.process.wait()
