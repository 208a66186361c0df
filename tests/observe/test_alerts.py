"""Alerts: rules that hold what we say of them, tested by promtool, and each fault made once for real."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.observe import faults
from tests.observe.place import promtool, wait_for
from tests.observe.promql import selectors
from tests.observe.rig import Rig, rig
from tests.observe.test_dashboards import ROOT, contract
from tests.small_disk import small_disk

PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = PROMETHEUS / "rules" / "weir.yml"
TESTS = tuple((PROMETHEUS / "tests").glob("*.yml"))
RUNBOOKS = ROOT / "docs" / "runbooks"
SEVERITIES = {"page", "ticket", "none"}
CHAPTERS = ["What it means", "What members notice", "Look", "Mend"]
ON_PAPER_ONLY = {"WeirReplicaLag"}
"""Needs a second PostgreSQL; promtool alone tries it."""
QUICK = {
    r"\n        for: \w+": "", r"\[1d:1m\]": "[30s:1s]", r"\[3d\]": "[30s]", r"\[6h\]": "[25s]", r"\[1h\]": "[20s]",
    r"\[30m\]": "[15s]", r"\[15m\]": "[60s]", r"\[10m\]": "[15s]", r"\[5m\]": "[10s]", r"\[1m\]": "[10s]",
    r"(:increase\w+) > \d+": r"\1 > 5", r"(oldest_unshipped_seconds) > 600": r"\1 > 2", r"< bool 60": "< bool 2",
    r"(unshipped_events) > 10000": r"\1 > 1", r"(ledger_age_seconds) > 900": r"\1 > 3",
}  # fmt: skip
"""What makes hours into seconds; faults are real, patience is not."""


def rules(kind: str) -> list[dict[str, Any]]:
    """Alerts, or recorded sums, in the form the file is written in; promtool reads it as YAML."""
    found = []
    for block in re.split(r"\n      - ", RULES.read_text())[1:]:
        fields = dict(re.findall(r"^ *(\w+): (.+)$", block, re.MULTILINE))
        told = {key: value.strip("'").replace("''", "'") for key, value in fields.items()}
        if kind in told:
            notes = {key: told[key] for key in ("summary", "description", "runbook_url") if key in told}
            found.append({**told, "labels": {"severity": told.get("severity")}, "annotations": notes})
    return found


ALERTS = {rule["alert"]: rule for rule in rules("alert")}
SUMS = {rule["record"]: rule for rule in rules("record")}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_what_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in SEVERITIES
    told = rule["annotations"]
    assert {"summary", "description", "runbook_url"} == {*told}
    assert min(len(told["summary"]), len(told["description"])) > 12
    assert f"docs/runbooks/{name}.md" == told["runbook_url"]


@pytest.mark.parametrize("name", ALERTS)
def test_a_runbook_has_its_chapters(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text("utf-8")
    assert [name] == re.findall(r"^# (.+)$", text, re.MULTILINE)
    assert CHAPTERS == re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert all(len(chapter.strip()) > 7 for chapter in re.split(r"^## .+$", text, flags=re.MULTILINE)[1:])


def test_there_is_no_runbook_without_its_alert() -> None:
    assert {*ALERTS} == {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}


def test_rules_ask_for_what_a_scrape_has() -> None:
    wrong = set()
    for name, rule in {**ALERTS, **SUMS}.items():
        expr = rule["expr"]
        asked = [one.metric for one in selectors(expr)] if expr != "vector(1)" else []
        for one in asked:
            if one.startswith("weir:"):
                wrong |= {f"{name}: {one} is not recorded"} if one not in SUMS else set()
                expr = re.sub(rf"{one}\b", "weir_gateway_connections", expr)
        expr = re.sub(r'\bup\{job="weir"\}', "weir_gateway_connections", expr)
        if expr != "vector(1)":
            wrong |= {f"{name}: {one}" for one in contract(expr)}
    assert set() == wrong


def test_every_alert_is_told_of_by_its_unit_test() -> None:
    told = set(re.findall(r'alertname="(\w+)"', "".join(path.read_text() for path in TESTS)))
    assert {*ALERTS} == told


def test_promtool_agrees_with_rules_configuration_and_unit_tests() -> None:
    for words in (
        ("check", "rules", RULES),
        ("check", "config", PROMETHEUS / "prometheus.yml"),
        ("test", "rules", *TESTS),
    ):
        done = promtool(*words)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_that_never_fires_is_seen_by_its_unit_test(tmp_path: Path) -> None:
    """All rules at once, for promtool reads days of series: each must be missed by name."""
    text = RULES.read_text()
    for rule in ALERTS.values():
        expr = rule["expr"].replace("'", "''")
        assert text.count(f"        expr: '{expr}'") == 1
        text = text.replace(f"        expr: '{expr}'", f"        expr: '({expr}) and vector(1) < 0'")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "weir.yml").write_text(text)
    (tmp_path / "tests").mkdir()
    copies = [Path(shutil.copy(path, tmp_path / "tests")) for path in TESTS]
    done = promtool("test", "rules", *copies)
    assert done.returncode != 0
    assert set() == {name for name in ALERTS if f'alertname="{name}"' not in done.stdout + done.stderr}


def quick_rules(place: Path) -> Path:
    """The same rules with seconds for hours."""
    text = RULES.read_text()
    for pattern, instead in QUICK.items():
        assert re.search(pattern, text), pattern
        text = re.sub(pattern, instead, text)
    path = place / "quick.yml"
    path.write_text(text)
    return path


class Scene:
    """A running Weir whose faults are timed until their alerts fire."""

    def __init__(self, running: Rig) -> None:
        self.rig = running
        self.rows: list[tuple[str, str, float]] = []
        self.missed: list[str] = []

    def is_firing(self, *names: str) -> bool:
        """Whether all of these fire."""
        return {*names} <= self.rig.prometheus.firing()

    def fires(self, fault: str, *names: str, during: AbstractContextManager[object] | None = None, within_s: int = 60) -> None:  # fmt: skip
        """These alerts fire because of a fault that was just caused, or is there for the time of a block."""
        began = time.monotonic()
        with during or nullcontext():
            for name in names:
                if wait_for(lambda one=name: self.is_firing(one), within_s=within_s):  # type: ignore[misc]
                    self.rows.append((name, fault, time.monotonic() - began))
                else:
                    self.missed.append(f"{name}: {fault}; firing: {sorted(self.rig.prometheus.firing())}")
                print(*(self.rows[-1:] + self.missed[-1:]), flush=True)

    def cause(self, fault: str, act: Callable[[Rig], object], *names: str, within_s: int = 60) -> None:
        """None of them fires; then the fault, and they do."""
        self.quiet(*names)
        act(self.rig)
        self.fires(fault, *names, within_s=within_s)

    def quiet(self, *names: str) -> None:
        """None of these fires before its fault."""
        if not wait_for(lambda: not {*names} & self.rig.prometheus.firing(), within_s=60):
            self.missed.append(f"{names} fire before their fault")

    def table(self) -> str:
        """Alert, fault, and after how many seconds it fired."""
        lines = [f"| {name} | {fault} | {took:.0f} s |" for name, fault, took in self.rows]
        return "\n".join(["| alert | fault | fired after |", "|---|---|---|", *lines])


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(tmp_path / "disk", size_bytes=2**30))
        running = stack.enter_context(
            rig(
                tmp_path, rules=quick_rules(tmp_path), disk=disk, certificate_days=5, restart_pause_min_ms=8000,
                restart_pause_max_s=8, connections_max=40, postgres_connections_max=25, disk_free_bytes_min=2**20,
            )
        )  # fmt: skip
        yield Scene(running)


def test_each_alert_fires_because_of_its_fault(scene: Scene) -> None:
    one = scene.rig
    assert wait_for(one.prometheus.is_scraping, within_s=60)
    faults.strangers_object(one)
    stranger_s = time.monotonic()
    scene.fires("none: it fires always", "Watchdog")
    scene.fires("no backup was ever made", "WeirBackupTooOld")
    faults.backed_up(one, age_s=3600)
    scene.quiet("WeirBackupTooOld")
    scene.cause(
        "the last good backup is two days old",
        lambda rig: faults.backed_up(rig, age_s=172_800),
        "WeirBackupTooOld",
    )
    scene.fires("a certificate of five days", "WeirCertificateEndsSoon")
    scene.cause("an invoice for a month long over", old_invoice, "WeirMonthNotClosed")
    scene.quiet(
        "WeirSlowFirstByte", "WeirEventLoopLag", "WeirConnectionsNearlyAll", "WeirDescriptorsNearlyAll"
    )
    # So short a while to go on that even on a fast machine one read in twenty meets a stop, which is over half a second.
    stutter = faults.stuttering(faults.rclones(one), stopped_s=0.7, going_s=0.1)
    scene.fires("the S3 system behind stutters", "WeirSlowFirstByte", during=stutter)
    scene.fires(
        "workers are stopped for most of the time",
        "WeirEventLoopLag",
        during=faults.stuttering(faults.processes(one, "gateway")),
    )
    scene.fires("200 idle clients", "WeirConnectionsNearlyAll", during=faults.idle_connections(one, 200))
    scene.fires(
        "a limit of descriptors near what is held",
        "WeirDescriptorsNearlyAll",
        during=faults.few_descriptors(faults.processes(one, "gateway")),
    )
    scene.quiet("WeirPostgresConnections", "WeirDiskFilling")
    scene.fires(
        "sessions until PostgreSQL takes no more",
        "WeirPostgresConnections",
        during=faults.database_sessions(one),
    )
    scene.fires(
        "a foreign file takes all but a twentieth of the disk",
        "WeirDiskFilling",
        during=faults.full_disk(one.weir.data.parent),
    )
    scene.cause("a torn file beside a segment", faults.tear, "WeirTornBytes")
    scene.cause("a journal that bears another's name", faults.swap_stream, "WeirStreamStandsStill")
    scene.fires("somebody else wrote 5,000 bytes into our bucket there", "WeirInventoryDrift", within_s=240)
    if scene.rows[-1][0] == "WeirInventoryDrift":
        scene.rows[-1] = (*scene.rows[-1][:2], time.monotonic() - stranger_s)
    burning = ("WeirErrorBudgetBurnsFast", "WeirErrorBudgetBurns", "WeirErrorBudgetBurnsSlowly")
    scene.cause(
        "the S3 system behind is killed",
        faults.end_rclone,
        "WeirUpstreamErrors",
        "WeirUpstreamResting",
        *burning,
    )
    # A lost file is answered with 500: only now, for it burns the error budget too.
    scene.cause("a byte of a stored file changed", faults.damage, "WeirDamagedObjects")
    scene.cause("a stored file removed, then `weir audit`", lost_and_audited, "WeirAuditDifference")
    scene.cause("all gateway workers are killed", lambda rig: faults.kill(rig, "gateway"), "WeirNoWorkers")
    # It is back after eight seconds: what ends with that is looked for first.
    late = (
        "WeirPostgresDown", "WeirLedgerStale", "WeirShippingStalled", "WeirMeteringNotFresh", "WeirUncountedGrowing",
    )  # fmt: skip
    # With seconds for hours, a burst of traffic alone makes the others flicker.
    scene.cause("PostgreSQL is killed", faults.kill_postgres, *late[:2])
    scene.fires("PostgreSQL is killed", *late[2:])
    scene.cause(
        "workers, shipper and portal are killed",
        lambda rig: faults.kill(rig, "gateway", "meter", "billing"),
        "WeirChildRestarts",
    )
    scene.cause("Weir itself is killed", killed, "WeirDown")
    print(scene.table())
    assert [] == scene.missed
    assert {*ALERTS} - ON_PAPER_ONLY == {name for name, _, _ in scene.rows}


def old_invoice(one: Rig) -> None:
    """For a month that ended more than ten days ago."""
    year, month = time.gmtime().tm_year, time.gmtime().tm_mon - 2
    period = f"{year - (month < 1)}-{(month - 1) % 12 + 1:02}"
    one.weir.command("cost", "add", "--period", period, "--pool", "power", "--amount", "1.00")


def lost_and_audited(one: Rig) -> None:
    """The audit finds it and says so."""
    faults.lose(one)
    one.weir.command("audit", status=1)


def killed(one: Rig) -> None:
    """The supervisor, and with it all its children."""
    assert one.weir.process is not None
    one.weir.process.kill()
    one.weir.process.wait(30)
