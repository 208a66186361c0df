"""A machine of its own for a test: a real systemd as process 1 over this machine's programs, and nothing of it stays."""

from __future__ import annotations

import contextlib
import os
import shutil
import site
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tests.integration.s3_kit import eventually
from tests.ordinary import ROOT, interpreter

SYSTEMD = Path("/lib/systemd/systemd")
BOOT_WITHIN_S = 120
START_WITHIN_S = 300
UNITS = ROOT / "deploy" / "systemd"
HIDDEN = ("/home/", "/root/", "/run/user/", "/tmp/")
"""Where ProtectHome= and PrivateTmp= let a unit see nothing."""

TRIAL = ("unshare", "--cgroup", "--pid", "--mount", "--ipc", "--uts", "--net", "--fork", "sh", "-euc", """
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
mount -t proc proc /mnt/root/proc
if [ -d /sys/fs/cgroup/systemd ]; then cd /sys/fs/cgroup/systemd; else cd /sys/fs/cgroup; test -e cgroup.controllers; fi
rmdir "$(mktemp -d "$PWD/weir-trial-XXXXXX")"
""")  # fmt: skip
"""What `boot` will need of the kernel, tried and undone."""


class Machine:
    """What runs in its namespaces."""

    def __init__(self, first: int) -> None:
        self.first = first
        """Process 1, by its number outside."""

    def run(self, *words: str, check: bool = True, timeout_s: int = START_WITHIN_S) -> str:
        """A command inside; what it printed, errors too."""
        line = ["nsenter", "--target", str(self.first), "--all", "--"]
        done = subprocess.run(
            [*line, *words], capture_output=True, text=True, timeout=timeout_s, check=False,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        assert not check or done.returncode == 0, (words, done.stdout + done.stderr, self.journal())
        return done.stdout + done.stderr

    def journal(self) -> str:
        """The end of what units wrote."""
        line = [
            "nsenter",
            "--target",
            str(self.first),
            "--all",
            "--",
            "journalctl",
            "--no-pager",
            "--lines=60",
        ]
        return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False).stdout

    def property(self, unit: str, name: str) -> str:
        """One of `systemctl show`."""
        return self.run("systemctl", "show", unit, f"--property={name}", "--value").strip()

    def write(self, path: str, text: str, mode: str = "0644") -> None:
        """A file inside."""
        place = self.path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(int(mode, 8))

    def path(self, path: str) -> Path:
        """A file inside, as it is reached from here."""
        return Path(f"/proc/{self.first}/root{path}")

    def answer(self, url: str) -> str:
        """What a URL inside answers; its error's sentence where it answers none."""
        program = f"import urllib.request; print(urllib.request.urlopen({url!r}, timeout=10).read().decode())"
        python = python_inside()
        assert python is not None
        return self.run(python, "-I", "-c", program, check=False)

    def workers(self) -> list[int]:
        """Gateway workers by their numbers inside."""
        return sorted(int(one) for one in self.run("pgrep", "-f", "-P", self.property("weir", "MainPID"), "gateway$").split())  # fmt: skip


def python_inside() -> str | None:
    """A Python that is there inside too, where a checkout below a hidden place is not; its packages are mounted."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = (interpreter(), f"/usr/bin/{version}", f"/usr/local/bin/{version}")
    return next(
        (one for one in candidates if one and Path(one).exists() and not one.startswith(HIDDEN)), None
    )


def missing() -> str | None:
    """Why there can be no such machine here."""
    if os.geteuid() != 0:
        return "only root can make namespaces with a systemd in them"
    if not SYSTEMD.exists() or not all(map(shutil.which, ("unshare", "nsenter", "systemd-analyze"))):
        return "systemd is not installed (Debian: apt-get install systemd)"
    if "overlay" not in Path("/proc/filesystems").read_text():
        return "the kernel has no overlay file system"
    if python_inside() is None:
        return "no Python that an ordinary user may run"
    told = subprocess.run(TRIAL, capture_output=True, text=True, timeout=60, check=False)
    if told.returncode != 0:
        return f"no namespaces, overlays or control groups of one's own here: {told.stderr.strip()}"
    return None


def skip_where_there_is_none() -> None:
    """Skip by the reason's name; what a kernel lets us do is no matter of packages, so in CI too.

    For a fixture: were it asked while tests are collected, each process of a run would ask, and those of one run
    have to find the same tests.
    """
    why = missing()
    if why is not None:
        pytest.skip(why)


def place_for(parent: Path, name: str) -> Path:
    """Where a machine may be. Its control group is called like it, and there another run may be on this machine."""
    return parent / f"{name}-{uuid4().hex[:8]}"


@contextmanager
def booted(place: Path, *, with_weir: bool = True) -> Iterator[Machine]:
    """A machine that is up; nothing of ours runs on it yet. with_weir: this tree's program is at its place."""
    log = (place.parent / f"{place.name}.log").open("wb")
    place.mkdir()
    packages = next(one for one in site.getsitepackages() if one.endswith("site-packages"))
    boot = subprocess.Popen(
        [Path(__file__).with_name("boot"), place, packages, ROOT], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        start_new_session=True,
    )  # fmt: skip
    try:
        machine = Machine(first_process(boot.pid))
        up = lambda: machine.run("systemctl", "is-active", "weir-test.target", check=False) == "active\n"  # noqa: E731
        assert eventually(up, within_s=BOOT_WITHIN_S), Path(log.name).read_text()
        start = f"#!/bin/sh\nPYTHONPATH=/opt/weir-test/tree:/opt/weir-test/packages PYTHONDONTWRITEBYTECODE=1 exec {python_inside()} -P -m deploy \"$@\"\n"  # fmt: skip
        if with_weir:
            machine.write("/opt/weir/bin/weir", start, "0755")
        yield machine
    finally:
        boot.kill()
        boot.wait(30)
        log.close()
        for hierarchy in (".", "systemd", "unified"):
            _remove_group(Path("/sys/fs/cgroup", hierarchy, place.name))


def first_process(unshare: int) -> int:
    """The process that becomes systemd: the one child of `unshare`."""
    children = Path(f"/proc/{unshare}/task/{unshare}/children")

    def is_systemd() -> bool:
        found = children.read_text().split()
        return bool(found) and os.readlink(f"/proc/{found[0]}/exe").endswith("/systemd")

    assert eventually(lambda: _quietly(is_systemd), within_s=BOOT_WITHIN_S)
    return int(children.read_text().split()[0])


def _quietly(ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except OSError:
        return False


def _remove_group(group: Path) -> None:
    """A control group's directories, deepest first, once its processes are gone."""
    until = time.monotonic() + 30
    while group.exists():
        for inner in sorted((one for one in group.rglob("*") if one.is_dir()), reverse=True):
            with contextlib.suppress(OSError):
                inner.rmdir()
        with contextlib.suppress(OSError):
            group.rmdir()
        assert time.monotonic() < until, f"{group} is still in use"
