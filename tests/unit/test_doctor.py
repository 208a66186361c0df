"""How the doctor judges, at each side of its limits; and what it sees on a machine that is not well."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from deploy.backup.last import LastUnknown, backup_gauges, last_backup
from deploy.commands import doctor
from deploy.doctor import machine, verdict
from deploy.doctor.verdict import Level
from deploy.place import check_format
from deploy.settings import DeploySettings
from tests.ordinary import NOBODY

OK, WARN, FAIL = Level.OK, Level.WARN, Level.FAIL
HOUR_US = 3600 * 1_000_000


@pytest.mark.parametrize(
    ("off_us", "level"),
    [
        (0, OK),
        (-1_999_999, OK),
        (2_000_000, WARN),
        (-59_999_999, WARN),
        (60_000_000, FAIL),
        (-60_000_000, FAIL),
    ],
)
def test_a_clock_is_judged_by_how_far_it_is_off(off_us: int, level: Level) -> None:
    assert level is verdict.clock(off_us).level


@pytest.mark.parametrize(
    ("free", "level"), [(1000, OK), (100, OK), (99, WARN), (50, WARN), (49, FAIL), (0, FAIL)]
)
def test_a_disk_is_judged_by_what_is_free(free: int, level: Level) -> None:
    found = verdict.space("disk", "/srv", free=free, whole=1000, least=50, unit="MiB")
    assert level is found.level
    assert (level is OK) == (found.mend == "")


def test_files_certificates_backlogs_and_backups_are_judged() -> None:
    assert OK is verdict.descriptors(soft=5000, hard=5000, needed=5000).level
    assert WARN is verdict.descriptors(soft=4999, hard=5000, needed=5000).level
    assert FAIL is verdict.descriptors(soft=500, hard=1023, needed=5000).level
    assert [FAIL, FAIL, WARN, OK] == [
        verdict.certificate("x", days_left=days).level for days in (-1, 2, 20, 21)
    ]
    assert OK is verdict.backlog(events=0, waits_us=None).level
    assert OK is verdict.backlog(events=5, waits_us=299_999_999).level
    assert WARN is verdict.backlog(events=5, waits_us=300_000_000).level
    assert WARN is verdict.backup(age_us=None, damaged=0).level
    assert OK is verdict.backup(age_us=47 * HOUR_US, damaged=0).level
    assert WARN is verdict.backup(age_us=47 * HOUR_US, damaged=1).level
    assert WARN is verdict.backup(age_us=48 * HOUR_US, damaged=0).level


def test_versions_that_differ_want_an_eye_and_a_newer_index_fails() -> None:
    assert OK is verdict.program(own="2", running="2", pid=7).level
    assert WARN is verdict.program(own="2", running="1", pid=7).level
    assert WARN is verdict.program(own="2", running=None, pid=7).level
    assert OK is verdict.gateway_versions("2", [("a", "2"), ("b", "2")]).level
    told = verdict.gateway_versions("2", [("a", "2"), ("b", "1")])
    assert (WARN, True, False) == (told.level, "b has 1" in told.sentence, "a has" in told.sentence)
    assert [OK, OK, FAIL] == [verdict.index_schema(found=n, known=4).level for n in (3, 4, 5)]


def test_the_worst_verdict_counts() -> None:
    found = [verdict.backup(age_us=None, damaged=0), verdict.clock(0)]
    assert WARN is verdict.worst(found)
    assert FAIL is verdict.worst([*found, verdict.clock(10**9)])
    assert OK is verdict.worst([])


def test_modes_of_directory_and_keys_are_seen(tmp_path: Path) -> None:
    levels = lambda: {one.name: one.level for one in machine.permissions(tmp_path)}  # noqa: E731
    tmp_path.chmod(0o700)
    assert {"owner": OK, "secret.key": FAIL, "signing.key": FAIL} == levels()
    for name in ("secret.key", "signing.key", "secret.ring"):
        (tmp_path / name).write_bytes(bytes(32))
        (tmp_path / name).chmod(0o600)
    assert {"owner": OK, "secret.key": OK, "signing.key": OK, "secret.ring": OK} == levels()
    (tmp_path / "secret.key").chmod(0o640)
    tmp_path.chmod(0o720)
    assert {"owner": FAIL, "secret.key": FAIL, "signing.key": OK, "secret.ring": OK} == levels()


def test_a_port_that_another_program_has_is_seen(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        settings = DeploySettings(data=tmp_path, gateway_port=taken.getsockname()[1])
        found = machine.port("gateway", settings, None)
    assert FAIL is found.level
    assert "is in use" in found.sentence
    assert OK is machine.port("gateway", settings, None).level


def test_settings_with_a_password_that_others_may_read_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIR_DATA", str(tmp_path))
    assert [] == list(machine.settings_file())
    (tmp_path / "weir.toml").write_text('smtp_password = "x"\n')
    (tmp_path / "weir.toml").chmod(0o644)
    assert [FAIL] == [one.level for one in machine.settings_file()]
    (tmp_path / "weir.toml").chmod(0o600)
    assert [OK] == [one.level for one in machine.settings_file()]


def names_verdict() -> verdict.Verdict:
    (found,) = (one for one in asyncio.run(doctor.visit()) if one.name == "names")
    return found


def test_a_portal_on_the_gateway_s_name_is_seen_before_there_is_a_co_op(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIR_DATA", str(tmp_path))
    monkeypatch.setenv("WEIR_GATEWAY_URL", "https://s3.example.coop")
    monkeypatch.setenv("WEIR_PORTAL_URL", "https://members.example.coop")
    assert OK is names_verdict().level
    monkeypatch.setenv("WEIR_PORTAL_URL", "https://s3.example.coop:8443")
    found = names_verdict()
    assert (FAIL, "give the portal a host name of its own (portal_url)") == (found.level, found.mend)
    assert "share the host s3.example.coop" in found.sentence


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a directory to another user")
def test_another_user_s_co_op_is_told_and_nothing_is_written_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    check_format(data)
    for path in (data, data / "FORMAT"):
        os.chown(path, NOBODY, NOBODY)
    monkeypatch.setenv("WEIR_DATA", str(data))
    monkeypatch.setenv("WEIR_GATEWAY_PORT", "0")
    found = {one.name: one for one in asyncio.run(doctor.visit())}
    mend = "run this as the user who runs `weir up`"
    owner, database = found["owner"], found["database"]
    assert (FAIL, f"{data} belongs to user {NOBODY}, and you are 0", mend) == (
        owner.level, owner.sentence, owner.mend,
    )  # fmt: skip
    assert (FAIL, mend) == (database.level, database.mend)
    assert database.sentence.startswith(f"not asked: {data} belongs to user {NOBODY}")
    assert ["FORMAT"] == [one.name for one in data.iterdir()]


def test_the_kernel_says_something_of_its_clock() -> None:
    (found,) = machine.kernel_clock()
    assert found.level in (OK, WARN)
    assert "clock" in found.sentence


def test_an_unreadable_note_of_the_last_backup_is_not_the_same_as_none(tmp_path: Path) -> None:
    assert last_backup(tmp_path) is None
    assert 0.0 == backup_gauges(tmp_path).gauges["weir_backup_last_unreadable"]
    (tmp_path / "backup.json").mkdir()
    with pytest.raises(LastUnknown, match=r"backup\.json cannot be read: Is a directory"):
        last_backup(tmp_path)
    (tmp_path / "backup.json").rmdir()
    (tmp_path / "backup.json").write_text('{"name": "half')
    with pytest.raises(LastUnknown, match="is not what a backup writes"):
        last_backup(tmp_path)
    gauges = backup_gauges(tmp_path).gauges
    assert (1.0, 0.0) == (
        gauges["weir_backup_last_unreadable"],
        gauges["weir_backup_last_success_timestamp_seconds"],
    )
