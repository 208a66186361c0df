"""The command line: one sentence and exit 2 for what is refused, and never a traceback."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from deploy.cli import run, weir
from tests.ordinary import ROOT

SUBJECTS = {
    "found",
    "backup", "restore", "doctor", "secret", "metrics", "role", "acts",
    "up", "reload", "gateway", "demo", "status", "config", "member", "register", "share", "resolution", "proposal", "vote", "consent", "hours",
    "engine",
    "ruleset", "bucket", "key", "login-link", "token", "usage", "correct", "tariff", "cost", "ledger", "pay",
    "pool", "credit", "income", "trueup", "bill", "statement", "verify", "simulate", "year", "audit",
    "heads", "db", "ship", "capital", "download", "compare",
}  # fmt: skip


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_DATA", str(tmp_path))
    monkeypatch.delenv("WEIR_CONFIG", raising=False)
    monkeypatch.delenv("WEIR_DATABASE_URL", raising=False)


def commands(group: click.Group) -> list[tuple[str, click.Command]]:
    found, context = [], click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found += [(f"{name} {inner}", one) for inner, one in commands(command)]
        else:
            found.append((name, command))
    return found


def test_the_subjects_are_those_of_the_manual() -> None:
    assert SUBJECTS == set(weir.list_commands(click.Context(weir)))


def test_every_command_that_needs_one_takes_a_data_directory() -> None:
    without = {name for name, command in commands(weir) if all(one.name != "data" for one in command.params)}
    assert {"demo", "metrics list"} == without


def test_every_command_explains_itself_in_a_sentence() -> None:
    assert [] == [name for name, command in commands(weir) if not (command.help or "").strip().endswith(".")]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (["usage", "founder"], "there is no co-op in"),
        (["member", "list", "--json"], "there is no co-op in"),
        (["bill", "trial", "2026-13"], "'2026-13' is not a month; write it as YYYY-MM"),
        (["cost", "list", "--period", "soon"], "'soon' is not a month"),
        (["tariff", "set", "/nowhere/tariff.toml"], "/nowhere/tariff.toml cannot be read"),
        (["up", "--gateway-port", "70000"], "setting gateway_port is '70000'"),
        (["up", "--gateway-port", "many"], "'many' is not a valid integer"),
        (["usage"], "Missing argument 'MEMBER'"),
        (["uasge"], "No such command 'uasge'"),
        (["member", "limit", "anna", "ten"], "'ten' is not a size; write it like 500MB, 10GB, 10GiB"),
        (["bucket", "limit", "films", "1.5B"], "'1.5B' is not a whole number of bytes"),
        (["member", "add", "x", "--class", "king"], "'king' is not one of 'user', 'worker', 'supporter'"),
    ],
)
def test_what_is_refused_exits_2_with_a_sentence(
    line: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # set here so that what a command puts into the environment is taken back after the test
    monkeypatch.setenv("WEIR_GATEWAY_PORT", "0")
    assert 2 == run(line)
    told = capsys.readouterr()
    assert sentence in told.err
    assert "Traceback" not in told.err
    assert "" == told.out


def test_the_data_directory_is_taken_before_and_after_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for line in (
        ["--data", "here", "config", "show", "--json"],
        ["config", "show", "--json", "--data", "here"],
    ):
        monkeypatch.setenv("WEIR_DATA", "elsewhere")
        assert 0 == run(line)
        rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["settings"]}
        assert (str(tmp_path / "here"), "argument") == (rows["data"]["value"], rows["data"]["source"])


def test_the_unexpected_is_one_sentence_and_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "log").mkdir()

    @click.command()
    def broken() -> None:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setitem(weir.commands, "broken", broken)
    assert 1 == run(["broken"])
    told = capsys.readouterr().err
    (kept,) = (tmp_path / "log").glob("error-*.txt")
    assert (
        f"weir: something unexpected went wrong (ZeroDivisionError); please report it with {kept}\n" == told
    )
    assert "a bug of ours" in kept.read_text()
    assert 0o600 == kept.stat().st_mode & 0o777


def test_a_closed_pipe_is_quiet() -> None:
    line = f"{sys.executable} -m deploy config show | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}; echo ${{PIPESTATUS[0]}} >&2"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ},
    )
    assert 1 == done.stdout.count("\n")
    assert done.stderr.strip() in ("0", "141")


def test_no_colour_and_no_frame_when_nobody_looks() -> None:
    line = [sys.executable, "-m", "deploy", "config", "show"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=True)
    assert "\x1b" not in done.stdout
    assert "gateway_port" in done.stdout


def test_a_typo_in_weir_toml_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "weir.toml").write_text("worker = 3\n")
    assert 2 == run(["config", "show"])
    assert "unknown setting worker; did you mean workers?" in capsys.readouterr().err


def test_capital_s_calendar_and_what_if_need_no_co_op(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == run(["capital", "deadlines", "1963", "--rule-set", "us-subchapter-t", "--json"])
    told = json.loads(capsys.readouterr().out)["deadlines"]
    assert ["1964-09-15", "1964-12-14"] == [one["due_on"] for one in told]
    assert 0 == run(["capital", "plan", "--cash", "20", "--years", "20", "--json"])
    assert "10.03" == json.loads(capsys.readouterr().out)["plans"][0]["return_percent"]
    assert 0 == run(["capital", "plan", "--cash", "20", "--return", "12", "--json"])
    assert 16 == json.loads(capsys.readouterr().out)["plans"][0]["years"]
    assert 2 == run(["capital", "deadlines", "2026", "--rule-set", "mars"])
    assert "rule set: 'mars' is not one of us-subchapter-t" in capsys.readouterr().err


@pytest.mark.parametrize("subject", ["member", "bucket"])
def test_a_negative_size_is_a_wrong_size(subject: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == run([subject, "limit", "bob", "-5GB"])
    assert "weir: '-5GB' is not a size; write it like 500MB" in capsys.readouterr().err


def test_an_unknown_option_of_a_limit_is_still_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == run(["member", "limit", "bob", "5GB", "--jsn"])
    assert "--jsn" in capsys.readouterr().err


def test_a_misspelt_variable_is_told_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEIR_GATWAY_PORT", "1")
    assert 0 == run(["config", "show"])
    assert "did you mean WEIR_GATEWAY_PORT?" in capsys.readouterr().err


def test_an_address_that_is_none_is_refused_before_anything_is_opened(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert 2 == run(["member", "add", "bob", "--email", "notmail"])
    assert "'notmail' is no e-mail address" in capsys.readouterr().err


OLD_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "latin-1"}
"""A locale whose encoding is not UTF-8; the real ones are not on every machine."""
BARS = (sys.executable, "-m", "deploy", "capital", "plan", "--growth", "5")


def test_what_goes_into_a_file_is_utf_8_in_every_locale() -> None:
    done = subprocess.run(
        BARS, capture_output=True, cwd=ROOT, env={**os.environ, **OLD_LOCALE}, timeout=60, check=False
    )
    assert (0, b"") == (done.returncode, done.stderr)
    assert "█" in done.stdout.decode("utf-8")


def test_a_terminal_of_an_old_encoding_shows_a_mark_for_what_it_lacks() -> None:
    ours, theirs = os.openpty()
    try:
        done = subprocess.run(
            BARS, stdout=theirs, stderr=subprocess.PIPE, cwd=ROOT, env={**os.environ, **OLD_LOCALE}, timeout=60,
            check=False,
        )  # fmt: skip
        assert (0, b"") == (done.returncode, done.stderr)
        assert b"??" in os.read(ours, 1 << 16)
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_migration_s_digest_is_that_of_its_file_in_every_locale() -> None:
    """The database keeps it, and a text read otherwise would count as edited."""
    read = "from meter.postgres import migrations; from pathlib import Path; print(*[one.sha256 for one in migrations('meter', Path('meter/sql'))])"
    done = subprocess.run(
        [sys.executable, "-c", read], capture_output=True, text=True, cwd=ROOT, env={**os.environ, **OLD_LOCALE},
        timeout=60, check=True,
    )  # fmt: skip
    files = sorted(ROOT.joinpath("meter", "sql").glob("*.sql"))
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in files] == done.stdout.split()


def test_deadlines_say_after_which_day_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == run(["capital", "deadlines", "2026", "--rule-set", "us-selc", "--ends", "6"])
    assert "after the fiscal year that ends on 2026-06-30" in capsys.readouterr().out


def test_every_option_that_takes_a_time_says_whose_zone_it_is_in() -> None:
    taken = [
        (name, option)
        for name, command in commands(weir)
        for option in command.params
        if isinstance(option, click.Option) and option.metavar in ("T", "WHEN")
    ]
    assert len(taken) > 10
    assert [] == [(name, option.opts[0]) for name, option in taken if "UTC" not in (option.help or "")]
