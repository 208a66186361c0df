"""What the doctor looks at on this machine: clock, disk, permissions, limits, ports. It needs no database."""

from __future__ import annotations

import ctypes
import os
import resource
import socket
import ssl
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509

from deploy.doctor.verdict import Level, Verdict, certificate, descriptors, ok, space
from deploy.place import AS_OWNER, Holder, owner_sentence, strange_owner
from deploy.settings import DeploySettings, file_values, is_secret
from deploy.sockets import CannotListen, listen
from gateway.crowd import descriptors_for
from gateway.settings import GatewaySettings
from meter.settings import config_file

TIMEX_BYTES, TIMEX_MAXERROR_AT, TIME_ERROR = 208, 24, 5
"""struct timex of 64-bit Linux, and what adjtimex(2) answers when nobody keeps the clock."""
CONNECT_TIMEOUT_S = 5
INODES_MIN = 10_000
MIB = 2**20


def look(deploy: DeploySettings, gateway: GatewaySettings, running: Holder | None) -> Iterator[Verdict]:
    """Everything, in the order of how much goes wrong without it."""
    data = deploy.data.absolute()
    yield from kernel_clock()
    yield from disk("disk", data, least=gateway.disk_free_bytes_min)
    engine = gateway.engine_directory
    if gateway.has_disk and engine.is_dir() and engine.stat().st_dev != data.stat().st_dev:
        yield from disk("disk of the objects", engine, least=gateway.disk_free_bytes_min)
    yield from permissions(data)
    yield from settings_file()
    needed = descriptors_for(gateway.connections_max)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield descriptors(soft=soft, hard=hard, needed=needed)
    for name in ("gateway", "portal", "admin"):
        yield port(name, deploy, running)
    yield ok(
        "time zone", f"the machine's time zone is {time.tzname[0]}; Weir counts and logs in UTC all the same"
    )


def kernel_clock() -> Iterator[Verdict]:
    """Whether the kernel knows its clock to be kept by somebody (NTP)."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(TIMEX_BYTES)
    answer = int(libc.adjtimex(buffer))
    if answer < 0:
        yield ok("clock's keeper", "the kernel does not tell whether the clock is kept")
    elif answer == TIME_ERROR:
        yield Verdict(
            "clock's keeper", Level.WARN, "the kernel says that nobody keeps this machine's clock",
            "run chrony or `timedatectl set-ntp true`; in a container the host's clock counts",
        )  # fmt: skip
    else:
        error_us = int.from_bytes(buffer.raw[TIMEX_MAXERROR_AT : TIMEX_MAXERROR_AT + 8], "little")
        yield ok("clock's keeper", f"the clock is kept, to within {error_us // 1000:,} ms")


def disk(name: str, path: Path, *, least: int) -> Iterator[Verdict]:
    """Room for bytes, and for names."""
    found = os.statvfs(path)
    free, whole = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    yield space(name, str(path), free=free // MIB, whole=whole // MIB, least=least // MIB, unit="MiB")
    if found.f_files:
        yield space(
            f"{name}, names",
            str(path),
            free=found.f_favail,
            whole=found.f_files,
            least=INODES_MIN,
            unit="inodes",
        )


def permissions(data: Path) -> Iterator[Verdict]:
    """Whose the directory is, and who may read the keys in it."""
    found = data.stat()
    if (owner := strange_owner(data)) is not None:
        yield Verdict("owner", Level.FAIL, owner_sentence(data, owner), AS_OWNER)
    elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield Verdict("owner", Level.FAIL, f"others may write in {data}", f"`chmod go-w {data}`")
    else:
        yield ok("owner", f"{data} is yours, and nobody else writes in it")
    for name in ("secret.key", "secret.ring", "secret.next.key", "signing.key"):
        yield from _key(data / name)


def _key(path: Path) -> Iterator[Verdict]:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.name in ("secret.key", "signing.key"):
            yield Verdict(
                path.name, Level.FAIL, f"{path} is missing", "restore it from a backup: see docs/backup.md"
            )
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield Verdict(
            path.name, Level.FAIL, f"others may read {path}", f"`chmod 600 {path}`, and `weir secret rotate`"
        )
    else:
        yield ok(path.name, f"{path} is for its owner alone")


def settings_file() -> Iterator[Verdict]:
    """A file with a password in it that others may read."""
    path = config_file()
    if not path.exists():
        return
    values = file_values()
    secret = [name for name, value in values.items() if is_secret(name) or "@" in str(value)]
    if secret and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        yield Verdict(
            "weir.toml",
            Level.FAIL,
            f"others may read {path}, and {secret[0]} in it is a secret",
            f"`chmod 600 {path}`",
        )
    else:
        yield ok("weir.toml", f"{path} can be read, and every name in it is known")


def port(name: str, deploy: DeploySettings, running: Holder | None) -> Verdict:
    """Free, or taken by the Weir that runs here."""
    host, number = getattr(deploy, f"{name}_host"), getattr(deploy, f"{name}_port")
    title, setting = f"{name}'s port", f"{name}_port"
    if running is not None and running.kind == "up":
        url = str(running.facts.get(f"{name}_url") or "")
        return ok(title, f"Weir (process {running.pid}) serves {url or 'none'}")
    if number == 0:
        return ok(title, f"{setting} is 0: a free one is taken")
    try:
        (one,) = listen(host, number, slots=1, backlog=1, setting=name)
    except CannotListen as error:
        return Verdict(title, Level.FAIL, str(error), f"stop the other program, or set {setting}")
    one.close()
    return ok(title, f"port {number} on {host} is free")


def public_certificate(setting: str, url: str) -> Iterator[Verdict]:
    """What clients see at a public https address: its name, and for how long."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        return
    where, host, number = f"{setting} {url}", parts.hostname, parts.port or 443
    try:
        with (
            socket.create_connection((host, number), CONNECT_TIMEOUT_S) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as wrapped,
        ):
            raw = wrapped.getpeercert(binary_form=True)
    except ssl.SSLCertVerificationError as error:
        yield Verdict(
            "certificate", Level.FAIL, f"{where}: clients refuse the certificate: {error.verify_message}",
            "give the proxy in front a certificate for this name from an authority that clients know",
        )  # fmt: skip
        return
    except OSError as error:
        yield Verdict(
            "certificate", Level.WARN, f"{where} cannot be reached from here: {error.strerror or error}",
            "see that the proxy in front runs, and that the name leads to it",
        )  # fmt: skip
        return
    assert raw is not None, "a verified peer has shown a certificate"
    left = x509.load_der_x509_certificate(raw).not_valid_after_utc - datetime.now(UTC)
    yield certificate(where, days_left=left.days)
