"""`weir status` where PostgreSQL does not answer: what the machine knows by itself, and then that sentence."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.cli import run
from deploy.place import held
from tests.integration.conftest import Command

NOWHERE = "postgresql://weir@127.0.0.1:1/weir"
FACTS = {
    "started_us": 1_790_000_000_000_000, "gateway_url": "http://127.0.0.1:9000", "portal_url": None,
    "admin_url": "http://127.0.0.1:9002", "is_embedded": False,
}  # fmt: skip
HERE = {
    "running",
    "version",
    "data",
    "durability",
    "journal_records",
    "torn_bytes",
    "month",
    "database_problem",
}


def test_what_lock_and_journal_say_is_told_without_the_database(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEIR_DATABASE_URL", NOWHERE)
    with held(data, kind="up", timeout_s=5) as hold:
        hold.tell(FACTS)
        assert 2 == run(["status"])
        told = capsys.readouterr()
        assert 2 == run(["status", "--json"])
        answer = capsys.readouterr()
    assert "runs as process" in told.out
    assert "since 2026-09-21" in told.out
    assert "http://127.0.0.1:9000" in told.out
    assert "DOES NOT ANSWER" in told.out
    assert told.err.startswith("weir: the database does not answer: ")
    found = json.loads(answer.out)
    assert (True, 0, FACTS["gateway_url"]) == (
        found["running"],
        found["journal_records"],
        found["gateway_url"],
    )
    assert found["database_problem"].startswith("the database does not answer: ")
    assert found["members"] is found["unshipped_events"] is found["bytes_in"] is None


def test_both_answers_have_the_same_keys(
    typed: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed("db", "migrate")
    whole = json.loads(typed("status", "--json"))
    assert whole["database_problem"] is None
    monkeypatch.setenv("WEIR_DATABASE_URL", NOWHERE)
    assert 2 == run(["status", "--json"])
    away = json.loads(capsys.readouterr().out)
    assert whole.keys() == away.keys()
    assert HERE <= {name for name in away if name == "database_problem" or away[name] == whole[name]}


def test_who_asked_to_leave_is_told_before_there_is_a_currency(typed: Command) -> None:
    typed("db", "migrate")
    assert [] == json.loads(typed("status", "--json"))["members_asked_to_leave"]
    for name in ("anna", "ben", "carla"):
        typed("member", "add", name)
    first, second, last = (f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}" for days in (30, 60, 90))
    for name, day in (("ben", last), ("anna", second), ("ben", first), ("carla", last)):
        typed("capital", "request", name, "--date", day)
    typed("member", "leave", "carla")
    asked = [{"member": "ben", "on": first}, {"member": "anna", "on": second}]
    assert asked == json.loads(typed("status", "--json"))["members_asked_to_leave"]
    assert "member ben asked to leave" in typed("status")
    exits = json.loads(typed("capital", "exits", "--json"))
    assert (None, 3) == (exits["currency"], len(exits["exits"]))
    assert "exit requested" in typed("capital", "exits")
