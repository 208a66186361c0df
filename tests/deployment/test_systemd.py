"""The units on a systemd of their own: Weir starts, reloads, is watched, backs up and stops, as restricted as shipped."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator

import pytest

from tests.deployment.machine import (
    START_WITHIN_S,
    UNITS,
    Machine,
    booted,
    place_for,
    skip_where_there_is_none,
)
from tests.integration.s3_kit import eventually

READY = "http://127.0.0.1:9002/readyz"
PASSPHRASE = "a long sentence that is on paper too"
ALL_CAPABILITIES_GONE = "0000000000000000"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One that has the units as docs/install.md puts them, and Weir running."""
    skip_where_there_is_none()
    with booted(place_for(tmp_path_factory.mktemp("systemd"), "weir-test-systemd")) as one:
        for unit in (*UNITS.glob("*.service"), *UNITS.glob("*.timer")):
            shutil.copy(unit, one.path("/etc/systemd/system"))
        one.write("/usr/lib/sysusers.d/weir.conf", (UNITS / "weir.sysusers").read_text())
        one.write("/usr/lib/tmpfiles.d/weir.conf", (UNITS / "weir.tmpfiles").read_text())
        one.run("systemd-sysusers")
        one.run("systemd-tmpfiles", "--create", "weir.conf")
        one.write("/etc/weir/weir.toml", "workers = 2\nchild_start_timeout_s = 300\n")
        one.write("/etc/weir/credentials/gateway_name", "named-by-a-credential\n", "0600")
        one.write("/etc/weir/backup.pass", PASSPHRASE + "\n", "0600")
        one.run("systemctl", "daemon-reload")
        one.run("systemctl", "start", "weir")
        yield one


def weir(machine: Machine, *words: str) -> str:
    """A command as an operator gives it: as the user weir."""
    environment = ["env", "WEIR_DATA=/var/lib/weir", "WEIR_CONFIG=/etc/weir/weir.toml"]
    return machine.run("setpriv", "--reuid=weir", "--regid=weir", "--clear-groups", *environment, "/opt/weir/bin/weir", *words)  # fmt: skip


def test_units_have_no_fault_that_systemd_sees(machine: Machine) -> None:
    names = [path.name for path in (*UNITS.glob("*.service"), *UNITS.glob("*.timer"))]
    assert "" == machine.run("systemd-analyze", "verify", "--man=no", *names)


def test_a_start_returns_when_all_serves_and_not_before(machine: Machine) -> None:
    machine.run("systemctl", "restart", "weir")
    assert json.loads(machine.answer(READY)) == {
        "ready": True,
        "parts": {"gateway": True, "not_stopping": True},
    }
    assert "serving" == machine.property("weir", "StatusText")


def test_every_process_is_as_restricted_as_the_unit_says(machine: Machine) -> None:
    group = machine.property("weir", "ControlGroup")
    roots = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup")
    (root,) = (one for one in roots if machine.path(one + group).is_dir())
    numbers = machine.run("cat", f"{root}{group}/cgroup.procs").split()
    # The parent, two workers, shipper, portal, PostgreSQL and its own.
    assert len(set(numbers)) > 8
    user = machine.run("id", "-u", "weir").strip()
    for number in set(numbers):
        status = dict(
            re.findall(r"^(\w+):\t(.*)$", machine.path(f"/proc/{number}/status").read_text(), re.MULTILINE)
        )
        assert user == status["Uid"].split("\t")[0]
        assert [ALL_CAPABILITIES_GONE] * 3 == [status[one] for one in ("CapEff", "CapPrm", "CapBnd")]
        assert ("1", "2") == (status["NoNewPrivs"], status["Seccomp"])
        mounts = machine.path(f"/proc/{number}/mountinfo").read_text()
        assert re.search(r" / / ro,", mounts), "the system's files can be written"
        assert re.search(r" /var/lib/weir rw,", mounts)


def test_a_setting_comes_from_a_credential(machine: Machine) -> None:
    listed = json.loads(weir(machine, "gateway", "list", "--json"))["gateways"]
    assert ["named-by-a-credential"] == [one["name"] for one in listed]


def test_no_secret_is_in_the_journal(machine: Machine) -> None:
    told = machine.run("journalctl", "--no-pager", "-u", "weir")
    assert "AWS_SECRET_ACCESS_KEY" not in told
    assert "/login" not in told


def test_a_reload_exchanges_the_workers_under_the_same_parent(machine: Machine) -> None:
    before, parent = machine.workers(), machine.property("weir", "MainPID")
    assert 2 == len(before)
    machine.run("systemctl", "reload", "weir")
    after = machine.workers()
    assert 2 == len(after)
    assert set() == set(before) & set(after)
    assert parent == machine.property("weir", "MainPID")
    assert "active" == machine.property("weir", "ActiveState")


def test_a_reload_that_fails_is_told_and_the_old_workers_serve_on(machine: Machine) -> None:
    before = machine.workers()
    toml = machine.path("/etc/weir/weir.toml")
    good = toml.read_text()
    toml.write_text(good + 'put_bytes_max = "many"\n')
    assert "Job for weir.service failed" in machine.run("systemctl", "reload", "weir", check=False)
    toml.write_text(good)
    assert before == machine.workers()
    assert json.loads(machine.answer(READY))["ready"]


def test_a_backup_and_an_audit_are_made_beside_it(machine: Machine) -> None:
    machine.run("systemctl", "start", "weir-backup", "weir-audit")
    assert "success" == machine.property("weir-backup", "Result") == machine.property("weir-audit", "Result")
    machine.run("systemctl", "start", "weir-backup-verify")
    assert "success" == machine.property("weir-backup-verify", "Result")
    assert 0 == json.loads(machine.path("/var/lib/weir/audit.json").read_text())["differences"]
    place = ["/var/backups/weir", "--passphrase-file", "/tmp/pass", "--json"]
    machine.write("/tmp/pass", PASSPHRASE, "0644")
    assert 1 == len(json.loads(weir(machine, "backup", "list", *place)))
    assert PASSPHRASE not in machine.run("journalctl", "--no-pager")


def test_a_gateway_of_its_own_starts_from_its_unit(machine: Machine) -> None:
    shutil.copy(machine.path("/var/lib/weir/secret.key"), machine.path("/etc/weir/secret.key"))
    machine.write(
        "/etc/weir/credentials/database_url", "postgresql:///weir?host=/var/lib/weir/run&user=weir\n", "0600"
    )
    machine.write(
        "/etc/systemd/system/weir-gateway.service.d/test.conf",
        "[Service]\nEnvironment=WEIR_GATEWAY_PORT=9010 WEIR_ADMIN_PORT=9012 WEIR_DISK_HOME=none WEIR_GATEWAY_NAME=second\n",
    )
    machine.run("systemctl", "daemon-reload")
    try:
        machine.run("systemctl", "start", "weir-gateway")
        assert json.loads(machine.answer("http://127.0.0.1:9012/readyz"))["ready"]
        listed = json.loads(weir(machine, "gateway", "list", "--json"))["gateways"]
        assert {"named-by-a-credential": "alive", "second": "alive"} == {
            one["name"]: one["state"] for one in listed
        }
        machine.run("systemctl", "stop", "weir-gateway")
        assert "success" == machine.property("weir-gateway", "Result")
    finally:
        machine.path("/etc/weir/credentials/database_url").unlink()


def test_one_that_hangs_is_killed_and_started_again(machine: Machine) -> None:
    machine.write("/etc/systemd/system/weir.service.d/test.conf", "[Service]\nWatchdogSec=3\nRestartSec=1\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "weir")
    hung = machine.property("weir", "MainPID")
    machine.run("kill", "-STOP", hung)

    def is_another() -> bool:
        # The process first: between two questions the one that hangs can be killed, and then there is none, "0".
        return (
            machine.property("weir", "MainPID") not in (hung, "0")
            and machine.property("weir", "SubState") == "running"
        )

    assert eventually(is_another, within_s=START_WITHIN_S), machine.journal()
    assert "1" == machine.property("weir", "NRestarts")
    assert json.loads(machine.answer(READY))["ready"]


def test_a_stop_ends_all_in_order_the_database_last(machine: Machine) -> None:
    log = machine.path("/var/lib/weir/log/postgres.log")
    before = log.read_text().count("database system is shut down")
    machine.run("systemctl", "stop", "weir")
    assert ("success", "0") == (
        machine.property("weir", "Result"),
        machine.property("weir", "ExecMainStatus"),
    )
    told = log.read_text()
    assert before + 1 == told.count("database system is shut down")
    # systemd's own SIGTERM to PostgreSQL would be a smart shutdown, which waits for whoever is connected.
    assert "smart shutdown" not in told
    listed = json.loads(weir(machine, "gateway", "list", "--json"))["gateways"]
    assert {"stopped"} == {one["state"] for one in listed}
