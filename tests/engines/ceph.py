"""Ceph on one machine for tests: a monitor, a store in memory, and radosgw, its S3 gateway, on loopback.

No manager: nothing here asks for what it sums up, and it takes longer to start than all the rest.
"""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.engines.place import S3System, answers, free_ports, need, running, until

PROGRAMS = (
    "ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin", "setpriv",
)  # fmt: skip
"""Debian's packages ceph-common, ceph-mon, ceph-osd and radosgw bring them."""
STORE_BYTES = 4 * 2**30
"""Its limit; memory is taken as it is filled."""
USER = "weir"
_CONFIGURATION = """\
[global]
fsid = {fsid}
mon initial members = a
mon host = [v2:127.0.0.1:{mon_v2}/0,v1:127.0.0.1:{mon_v1}/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
auth allow insecure global id reclaim = true
keyring = {root}/keyring
run dir = {root}
admin socket = {root}/$name.asok
pid file = {root}/$name.pid
log to stderr = true
err to stderr = true
log to file = false
mon cluster log to file = false
# One copy in one place, and decisions of the monitor at once rather than gathered for a second.
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 2000
paxos propose interval = 0.02
paxos min wait = 0.01
# It needs a few megabytes, and would not start on a disk of which a twentieth is free.
mon data avail crit = 0
mon data avail warn = 0
osd objectstore = memstore
memstore device bytes = {store_bytes}
[mon.a]
mon data = {root}/mon.a
[osd.0]
osd data = {root}/osd.0
[client.rgw.a]
# Else an answer's head waits for its acknowledgement before its body goes, 40 ms for a client that does not hurry.
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw thread pool size = 64
rgw enable usage log = true
rgw usage log tick interval = 1
rgw usage log flush threshold = 1
rgw dynamic resharding = false
rgw override bucket index max shards = 1
rgw enable gc threads = true
"""


@dataclass(frozen=True)
class Ceph(S3System):
    """radosgw, and its tool for whoever runs it."""

    def admin(self, *words: str) -> str:
        """What `radosgw-admin` prints, JSON as a rule."""
        return _run("radosgw-admin", "-c", self.directory / "ceph.conf", *words)


@contextmanager
def running_ceph(root: Path) -> Iterator[Ceph]:
    """A cluster for the time of the block, its files under root."""
    need(*PROGRAMS)
    port = _configure(root)
    configuration = root / "ceph.conf"

    def ask(*words: str | Path) -> str:
        return _run("ceph", "-c", configuration, "--connect-timeout", "5", *words)

    def is_there(*words: str, said: str) -> bool:
        try:
            return said in ask(*words)
        except AssertionError:
            return False

    with ExitStack() as stack:
        log = root / "mon.log"
        words = ("ceph-mon", "-c", configuration, "-i", "a")
        _run(*words, "--mkfs", "--monmap", root / "monmap", "--keyring", root / "keyring")
        monitor = stack.enter_context(running((*words, "-f"), log))
        until(lambda: is_there("mon", "stat", said="quorum"), monitor, log)
        ask("auth", "import", "-i", root / "keyring")
        log, identity = root / "osd.log", str(uuid.uuid4())
        ask("osd", "new", identity, "0")
        words = ("ceph-osd", "-c", configuration, "-i", "0")
        _run(*words, "--mkfs", "--osd-uuid", identity)
        store = stack.enter_context(running((*words, "-f"), log))
        until(lambda: is_there("osd", "stat", said="1 up"), store, log)
        log = root / "radosgw.log"
        gateway = stack.enter_context(
            running(("radosgw", "-c", configuration, "-n", "client.rgw.a", "-f"), log)
        )
        until(lambda: answers(port), gateway, log)
        access_key, secret_key = f"CEPH{uuid.uuid4().hex[:16].upper()}", uuid.uuid4().hex
        ceph = Ceph("radosgw", f"http://127.0.0.1:{port}", "default", access_key, secret_key, root)
        made = ("user", "create", f"--uid={USER}", f"--display-name={USER}", "--max-buckets=0")
        ceph.admin(*made, f"--access-key={access_key}", f"--secret-key={secret_key}")
        yield ceph


def _configure(root: Path) -> int:
    """Configuration, keys and the monitors' map; the port radosgw is to listen at."""
    mon_v2, mon_v1, port = free_ports(3)
    fsid = str(uuid.uuid4())
    values = {"fsid": fsid, "root": root, "mon_v2": mon_v2, "mon_v1": mon_v1, "port": port}
    (root / "ceph.conf").write_text(_CONFIGURATION.format(store_bytes=STORE_BYTES, **values))
    keyring = root / "keyring"
    everything = ("--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *")
    _run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    for name in ("client.admin", "osd.0", "client.rgw.a"):
        _run("ceph-authtool", keyring, "--gen-key", "-n", name, *everything)
    addresses = f"[v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}]"
    _run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", addresses, root / "monmap")
    (root / "osd.0").mkdir()
    return port


def _run(*words: str | Path) -> str:
    """Run it to its end; what it printed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout
