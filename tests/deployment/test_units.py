"""The systemd units as they are shipped: how exposed systemd finds them, and what they promise in numbers."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.settings import DeploySettings
from gateway.settings import GatewaySettings
from meter.settings import MeterSettings
from tests.house.test_written_pages import commands_in, commands_there
from tests.ordinary import ROOT

UNITS = ROOT / "deploy" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
EXPOSURE_MAX = 2.0
LONG_RUNNING = ("weir.service", "weir-gateway.service")


def section(path: Path, name: str) -> dict[str, list[str]]:
    """A section's lines by key; a key may come several times."""
    found: dict[str, list[str]] = {}
    text = path.read_text().split(f"[{name}]\n")[1].split("\n[")[0]
    for line in text.splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def seconds(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(min|s)?", text).groups()  # type: ignore[union-attr]
    return int(number) * (60 if unit == "min" else 1)


def test_all_are_here() -> None:
    names = {path.name for path in UNITS.iterdir()}
    assert {
        *LONG_RUNNING,
        "weir-backup.service",
        "weir-backup.timer",
        "weir-backup-verify.service",
        "weir-backup-verify.timer",
        "weir-audit.service",
        "weir-audit.timer",
    } <= names


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_systemd_finds_each_little_exposed(path: Path) -> None:
    threshold = str(int(EXPOSURE_MAX * 10))
    line = ["systemd-analyze", "security", "--offline=true", f"--threshold={threshold}", str(path)]
    told = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", told.stdout)
    assert found is not None, told.stderr
    assert 0 == told.returncode
    assert float(found[1]) <= EXPOSURE_MAX


def test_what_units_may_do_is_the_same_in_each() -> None:
    told = {
        path.name: path.read_text().split("# What it may do.")[1].split("\n[Install]")[0].strip()
        for path in SERVICES
    }
    assert 1 == len(set(told.values())), told


def test_a_backup_is_verified_where_it_is_made_and_with_the_same_passphrase() -> None:
    made, verified = (
        section(UNITS / name, "Service") for name in ("weir-backup.service", "weir-backup-verify.service")
    )
    for key in ("User", "Environment", "LoadCredential"):
        assert made[key] == verified[key]
    assert any(" backup verify " in line for line in verified["ExecStart"])


def test_every_timer_starts_a_unit_that_is_here() -> None:
    timers = sorted(UNITS.glob("*.timer"))
    assert timers
    assert [] == [path.name for path in timers if not path.with_suffix(".service").exists()]


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_the_parent_alone_is_asked_to_stop_and_has_the_time_its_settings_promise(name: str) -> None:
    service = section(UNITS / name, "Service")
    # SIGTERM to all at once would end the database while workers still drain.
    assert ["mixed"] == service["KillMode"]
    # One worker that the kernel killed is the parent's matter.
    assert ["continue"] == service["OOMPolicy"]
    deploy, meter = DeploySettings.model_fields, MeterSettings.model_fields
    longest = sum(
        deploy[one].default
        for one in (
            "stop_notice_s",
            "worker_stop_timeout_s",
            "child_stop_timeout_s",
            "postgres_stop_timeout_s",
        )
    )
    longest += deploy["child_stop_timeout_s"].default + meter["database_timeout_s"].default
    assert longest < seconds(service["TimeoutStopSec"][0])
    assert GatewaySettings.model_fields["drain_timeout_s"].default < deploy["worker_stop_timeout_s"].default
    assert deploy["postgres_start_timeout_s"].default < seconds(service["TimeoutStartSec"][0])


def test_every_command_and_setting_in_units_exists() -> None:
    known = commands_there()
    for path in SERVICES:
        lines = section(path, "Service")
        started = [*lines.get("ExecStart", []), *lines.get("ExecReload", [])]
        assert started
        for line in started:
            assert line.startswith("/opt/weir/bin/weir ")
            named = commands_in("    " + line.removeprefix("/opt/weir/bin/"))
            assert named <= known, (path.name, named)


def test_no_secret_is_printed_into_the_journal() -> None:
    (start,) = section(UNITS / "weir.service", "Service")["ExecStart"]
    assert "--quiet" in start.split()


@pytest.mark.parametrize("path", sorted(UNITS.glob("*.timer")), ids=lambda path: path.name)
def test_each_timer_has_its_service(path: Path) -> None:
    assert path.with_suffix(".service").exists()
    assert section(path, "Timer")["Persistent"] == ["true"]
