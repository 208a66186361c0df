"""Caddy and nginx as their files are shipped, with TLS, before two gateways of which one is killed; and the portal."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import signal
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from meter.event import Mark
from tests.engines.place import REQUIRED, free_ports
from tests.integration.clients.tls import certificate_for
from tests.integration.gateways_kit import START_TIMEOUT_S, Started, beside, running, s3_of, up
from tests.integration.load_kit import Load
from tests.integration.records import records_in
from tests.integration.s3_kit import eventually
from tests.ordinary import ROOT

CLIENTS, SIZE_MAX = 4, 300_000
ODD_KEYS = ("a//b", "ä ö/ü+%41", "x/./y", "semi;colon&amp=1?", "~tilde(1)!*'")
BODY_BYTES = 12_345_678


@dataclass(frozen=True)
class Front:
    """Where a proxy listens, and what trusts it."""

    s3: str
    portal: str
    trusted: Path


def program(name: str) -> str:
    """The proxy's program; skips by name where there is none."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        assert os.environ.get(REQUIRED) != "required", (
            f"{REQUIRED} is 'required', and {name} is not installed"
        )
        pytest.skip(f"{name} is not installed (Debian: apt-get install {name})")
    return found


@contextmanager
def started(front: Front, place: Path, *command: str, **environment: str) -> Iterator[Front]:
    """A proxy that runs until the block ends."""
    with (place / "proxy.log").open("w") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=log, stderr=log, cwd=place
        )
    try:
        asked = lambda: answer(f"{front.s3}/-/ready", front)[0] == 200  # noqa: E731
        assert eventually(asked, within_s=START_TIMEOUT_S), (place / "proxy.log").read_text()
        yield front
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def caddy(place: Path, home: Started, second: Started) -> Iterator[Front]:
    """With certificates of its own making in the place of those it would fetch."""
    s3, portal = free_ports(2)
    front = Front(
        f"https://localhost:{s3}", f"https://localhost:{portal}",
        place / "caddy" / "pki" / "authorities" / "local" / "root.crt",
    )  # fmt: skip
    environment = {
        "CADDY_GLOBAL": "admin off\nlocal_certs\nskip_install_trust\nauto_https disable_redirects",
        "S3_HOST": front.s3, "PORTAL_HOST": front.portal, "XDG_DATA_HOME": str(place),
        "WEIR_GATEWAY_A": f"127.0.0.1:{home.port}", "WEIR_GATEWAY_B": f"127.0.0.1:{second.port}",
        "WEIR_PORTAL": home.told["portal_url"].removeprefix("http://"),
    }  # fmt: skip
    line = ["run", "--adapter", "caddyfile", "--config", str(ROOT / "deploy" / "caddy" / "Caddyfile")]
    with started(front, place, program("caddy"), *line, **environment) as one:
        yield one


@contextmanager
def nginx(place: Path, home: Started, second: Started) -> Iterator[Front]:
    """With addresses and certificates of the test's in the place of the examples."""
    s3, portal = free_ports(2)
    certificate, key = certificate_for(place)
    text = (ROOT / "deploy" / "nginx" / "weir.conf").read_text()
    for old, new, times in (
        ("server 10.0.0.11:9000", f"server 127.0.0.1:{home.port}", 1),
        ("server 10.0.0.12:9000", f"server 127.0.0.1:{second.port}", 1),
        ("http://10.0.0.11:9001", home.told["portal_url"], 1),
        ("/etc/nginx/weir/s3.pem", str(certificate), 1), ("/etc/nginx/weir/members.pem", str(certificate), 1),
        ("/etc/nginx/weir/s3.key", str(key), 1), ("/etc/nginx/weir/members.key", str(key), 1),
    ):  # fmt: skip
        assert times == text.count(old), old
        text = text.replace(old, new)
    ports = iter((s3, portal))
    text, done = re.subn("listen 443 ssl", lambda _: f"listen 127.0.0.1:{next(ports)} ssl", text)
    assert 2 == done
    temporary = "\n".join(
        f"{kind}_temp_path {place}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    (place / "nginx.conf").write_text(
        f"{user}\ndaemon off;\npid {place}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}\n{text}\n}}\n"
    )
    front = Front(f"https://127.0.0.1:{s3}", f"https://127.0.0.1:{portal}", certificate)
    with started(front, place, program("nginx"), "-c", str(place / "nginx.conf"), "-e", "stderr") as one:
        yield one


def answer(url: str, front: Front) -> tuple[int, str]:
    """Status and cookies of a GET; 0 where nobody answers."""
    try:
        context = ssl.create_default_context(cafile=front.trusted)
        with urllib.request.urlopen(url, timeout=10, context=context) as found:  # noqa: S310 - our own
            return int(found.status), str(found.headers.get("Set-Cookie", ""))
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


Proxy = Callable[[Path, Started, Started], AbstractContextManager[Front]]


@pytest.mark.parametrize("proxy", [caddy, nginx], ids=lambda one: one.__name__)
def test_bytes_keys_and_counts_pass_and_a_killed_gateway_costs_no_request(
    proxy: Proxy, database: str, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(proxy.__name__)
    settings = {"trusted_proxies": "127.0.0.1/32", "stop_notice_s": "4"}
    home = up(tmp_path / "home", database, **settings)
    second = beside(tmp_path / "second", database, home.data, **settings)
    with running(home, second), proxy(tmp_path, home, second) as front:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(front.trusted))
        keys = (home.told["access_key"], home.told["secret_key"])
        s3 = s3_of(front.s3, *keys)
        s3.create_bucket(Bucket="front")
        for key in ODD_KEYS:
            s3.put_object(Bucket="front", Key=key, Body=key.encode())
            assert key.encode() == s3.get_object(Bucket="front", Key=key)["Body"].read()
        assert set(ODD_KEYS) == {one["Key"] for one in s3.list_objects_v2(Bucket="front")["Contents"]}

        body = random.Random(seed).randbytes(BODY_BYTES)
        s3.put_object(Bucket="front", Key="large", Body=body)
        found = s3.get_object(Bucket="front", Key="large")
        assert str(BODY_BYTES) == found["ResponseMetadata"]["HTTPHeaders"]["content-length"]
        assert "content-encoding" not in found["ResponseMetadata"]["HTTPHeaders"]
        assert hashlib.sha256(body).digest() == hashlib.sha256(found["Body"].read()).digest()
        part = s3.get_object(Bucket="front", Key="large", Range="bytes=7-1000006")
        assert body[7:1_000_007] == part["Body"].read()

        # Every byte that the client had is in a journal, whole and once.
        small = sum(len(key.encode()) for key in ODD_KEYS)
        wanted = (BODY_BYTES + small, BODY_BYTES + 1_000_000 + small)

        def counted() -> tuple[int, int]:
            events = [event for one in (home, second) for event in records_in(one.data / "journal")]
            named = [event for event in events if event.bucket and not event.marks & Mark.ABORTED]
            return sum(event.bytes_in for event in named), sum(event.bytes_out for event in named)

        # Of a long answer it stands there once its receiver acknowledged the last byte, which a client may have before.
        assert eventually(lambda: wanted[0] <= counted()[0] and wanted[1] < counted()[1])
        listing = counted()[1] - wanted[1]
        assert wanted[0] == counted()[0]
        # The listing's own bytes are the rest.
        assert 0 < listing < 10_000

        assert 200 == answer(front.portal + "/", front)[0]
        with Load(front.s3, keys, "front", seed, clients=CLIENTS, size_max=SIZE_MAX) as load:
            load.more(20)
            assert -signal.SIGKILL == second.end(signal.SIGKILL)
            load.more(20)
        assert [] == load.failures
    assert "Traceback" not in home.log() + second.log()
