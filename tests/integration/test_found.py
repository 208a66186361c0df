"""`weir found` with a real database: a co-op of each rule set that runs a month, kills at every step, and refusals."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import boto3
import pytest
from pypdf import PdfReader

from billing.founding.pdf import sheet_pdf
from billing.founding.sheet import Sheet
from billing.rules.book import rule_set_ids
from billing.run import close
from deploy.cli import run
from deploy.found import papers as found_papers
from deploy.founding import found as found_at_start
from meter.postgres import connect
from meter.refusal import Refusal
from meter.window import Month
from tests.founding_kit import CURRENCIES, document, founders, toml
from tests.ordinary import ROOT
from tests.postgres import TestServer

REFUSED, INTERRUPTED = 2, 130
WAIT_S = 240
SIZE = 3_000_000
"""Bytes; at 100 a GB they cost 0.30 to send, at 10 a GB 0.03 to receive."""
STEPS = 15
Command = Callable[..., str]


@pytest.fixture
def empty(postgres_server: TestServer) -> Iterator[str]:
    """A database without a table."""
    made = postgres_server.empty_database()
    yield made
    postgres_server.drop(made)


@pytest.fixture
def place() -> Iterator[Path]:
    """A short path: sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="weir-found-") as name:
        yield Path(name)


@pytest.fixture
def weir(
    place: Path, empty: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs a command line on a directory that is not there yet, with a database of its own; what it printed."""
    monkeypatch.setenv("WEIR_DATA", str(place / "data"))
    monkeypatch.setenv("WEIR_DATABASE_URL", empty)
    capsys.readouterr()

    def command(*words: object, status: int = 0) -> str:
        returned = run([str(word) for word in words])
        told = capsys.readouterr()
        assert status == returned, told
        return told.out if status != REFUSED else told.err

    return command


def file_of(place: Path, **changes: Any) -> Path:
    """Answers as a file."""
    made = place / "answers.toml"
    made.write_text(toml(document(**changes)))
    return made


class Running:
    """`weir up` beside the commands, on the environment's data and database."""

    def __init__(self, place: Path) -> None:
        self._ready = place / "ready.json"
        self._log = place / "up.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> dict[str, Any]:
        """Start and wait until it serves; what it tells."""
        ports = [word for name in ("gateway", "portal", "admin") for word in (f"--{name}-port", "0")]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deploy", "up", "--workers", "1", *ports, "--ready-file", str(self._ready)],
                stdout=log, stderr=log, cwd=ROOT,
            )  # fmt: skip
        deadline = time.monotonic() + WAIT_S
        while not self._ready.exists():
            assert self.process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.02)
        facts: dict[str, Any] = json.loads(self._ready.read_text())
        return facts

    def stop(self) -> None:
        """As systemd does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert 0 == self.process.wait(WAIT_S), self._log.read_text()

    def kill(self) -> None:
        """At a test's end, whatever happened."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(WAIT_S)


@pytest.fixture
def running(place: Path) -> Iterator[Running]:
    """One that is gone after the test."""
    one = Running(place)
    yield one
    one.kill()


def signed_in(link: str, portal_url: str) -> bool:
    """Whether the link lets somebody in at the portal as it runs now."""
    portal = urlsplit(portal_url)
    asked = HTTPConnection(portal.hostname or "", portal.port, timeout=30)
    try:
        asked.request("POST", urlsplit(link).path, headers={"Origin": portal_url})
        reply = asked.getresponse()
        return reply.status == 303 and "session" in (reply.getheader("Set-Cookie") or "")
    finally:
        asked.close()


@pytest.mark.parametrize("identity", rule_set_ids())
def test_a_co_op_of_each_rule_set_is_founded_and_runs_a_month(
    identity: str, weir: Command, running: Running, place: Path, empty: str
) -> None:
    currency = CURRENCIES.get(identity, "EUR")
    answers = file_of(place, rule_set=identity, currency=currency)
    made = json.loads(weir("found", "--answers", answers, "--yes", "--json"))
    assert [(1, "anna"), (2, "ben"), (3, "carla")] == [(one["id"], one["name"]) for one in made["members"]]
    assert ("2026-1"[4:], currency, []) == (
        made["resolution"][4:],
        made["currency"],
        notes_left(identity, made),
    )
    facts = running.start()
    assert all(signed_in(one["login_link"], facts["portal_url"]) for one in made["members"])
    assert not signed_in(made["members"][0]["login_link"], facts["portal_url"]), "a link works once"
    assert "anna" == facts["member"]
    s3 = boto3.client(
        "s3", endpoint_url=facts["gateway_url"], aws_access_key_id=facts["access_key"],
        aws_secret_access_key=facts["secret_key"], region_name="us-east-1",
    )  # fmt: skip
    s3.create_bucket(Bucket="first")
    s3.put_object(Bucket="first", Key="k", Body=bytes(SIZE))
    assert SIZE == len(s3.get_object(Bucket="first", Key="k")["Body"].read())
    month = Month.of(time.time_ns() // 1000)
    running.stop()
    assert 0 == json.loads(weir("usage", "anna", "--json"))["unshipped_events"]
    weir("cost", "add", "--period", month, "--pool", "machine", "--amount", "0.10", "--memo", "invoice 1")
    result_minor = asyncio.run(closed_ahead(empty, month))
    statement = json.loads(weir("statement", "anna", month, "--json"))
    # 3 MB received at 10 a GB and sent at 100 a GB, and what they took of a month's storage at 1 a GB: under a cent.
    assert (SIZE, SIZE) == (statement["usage"]["bytes_in"], statement["usage"]["bytes_out"])
    assert 33 == statement["charges_minor"]
    assert 33 - 10 == result_minor
    assert json.loads(weir("verify", "anna", month, "--json"))["agrees"]
    assert "agree" in weir("register", "verify")


async def closed_ahead(dsn: str, month: Month) -> int:
    """The month's result, closed as it will be closed when it is over."""
    books = await connect(dsn, role="weir_office")
    try:
        return (await close(books, month, now_us=month.end_us)).result.amount_minor
    finally:
        await books.close()


def notes_left(identity: str, made: dict[str, Any]) -> list[str]:
    """What it warned of beyond what it must: three founders are too few in Québec and Italy."""
    few = {"ca-qc": "asks for 5 founders", "it": "asks for 9 founders"}.get(identity)
    return [one for one in made["notes"] if few is None or few not in one]


SAME = {
    "members": "SELECT name, class, email, status FROM meter.member ORDER BY id",
    "operations": "SELECT o.number, kind, m.name, share_kind, quantity, amount_minor, entry FROM billing.operation o"
    " JOIN meter.member m ON m.id = o.member ORDER BY o.number",
    "tariffs": "SELECT number, currency, effective_from FROM billing.tariff ORDER BY number",
    "resolutions": "SELECT id, body, kind, text FROM billing.resolution ORDER BY id",
    "choices": "SELECT number, rule_set, from_year, resolution FROM billing.rule_set_choice ORDER BY number",
    "offices": "SELECT o.number, m.name, role, resolution FROM billing.office o JOIN meter.member m ON m.id = o.member"
    " ORDER BY o.number",
    "acts": "SELECT a.number, kind, m.name, what, is_done FROM billing.act a LEFT JOIN meter.member m ON m.id = a.subject"
    " ORDER BY a.number",
    "steps": "SELECT step FROM billing.founding_step ORDER BY step",
}
"""Members by their names: a number that a killed transaction took is given to nobody."""


async def held(dsn: str) -> dict[str, list[tuple[Any, ...]]]:
    """What a founding wrote, without its instants."""
    connection = await asyncpg.connect(dsn)
    try:
        return {name: [tuple(row) for row in await connection.fetch(query)] for name, query in SAME.items()}
    finally:
        await connection.close()


def killed_at(where: str, *words: object) -> int:
    """How the process ended."""
    return subprocess.run(
        [sys.executable, "-m", "tests.integration.founding_process", where, "found", *map(str, words)],
        cwd=ROOT, capture_output=True, timeout=WAIT_S, check=False,
    ).returncode  # fmt: skip


def test_killed_at_every_step_it_goes_on_and_does_nothing_twice(
    weir: Command, place: Path, empty: str, postgres_server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = file_of(place, begin=str(Month.of(time.time_ns() // 1000).next()))
    assert -signal.SIGKILL == killed_at("kept", "--answers", answers, "--yes")
    kills = 0
    while killed_at("step", "--yes") == -signal.SIGKILL:
        kills += 1
        assert kills <= STEPS + 1
        with pytest.raises(Refusal, match="and is not finished; call `weir found` again"):
            asyncio.run(found_at_start(empty, place / "data", now_us=1, timeout_s=10))
    # One more than the example's steps: nothing is charged before the books begin. The last is not followed by one.
    assert STEPS == kills
    assert "there is a co-op" in weir("found", "--answers", answers, "--yes", status=REFUSED)
    whole(place / "data", empty, postgres_server, answers, monkeypatch)


def test_killed_after_the_last_step_it_writes_papers_and_links_again(
    weir: Command, place: Path, empty: str, postgres_server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = file_of(place, begin=str(Month.of(time.time_ns() // 1000).next()))
    assert -signal.SIGKILL == killed_at("papers", "--answers", answers, "--yes")
    papers = place / "data" / "founding-papers"
    assert ["1-checklist.md"] == [one.name for one in papers.iterdir()]
    assert -signal.SIGKILL == killed_at("finish", "--yes")
    first = {one.name: one.read_bytes() for one in papers.iterdir()}
    assert 10 == len(first)
    made = json.loads(weir("found", "--yes", "--json"))
    assert first == {one.name: one.read_bytes() for one in papers.iterdir()}
    assert {0o600} == {stat.S_IMODE(one.stat().st_mode) for one in papers.iterdir()}
    assert 3 == len({one["login_link"] for one in made["members"]})
    whole(place / "data", empty, postgres_server, answers, monkeypatch)


def test_names_that_the_fonts_of_a_pdf_lack_stop_no_founding(weir: Command, place: Path) -> None:
    answers = file_of(place, founder=founders({"full_name": "Li Na (李娜)"}), name="Linden 🌿")
    assert -signal.SIGKILL == killed_at("papers", "--answers", answers, "--yes")
    made = json.loads(weir("found", "--yes", "--json"))
    assert {".md": 5, ".pdf": 5} == Counter(Path(one).suffix for one in made["papers"])
    papers = place / "data" / "founding-papers"
    assert "Li Na (李娜)" in papers.joinpath("3-founding-meeting.md").read_text("utf-8")
    pages = PdfReader(papers / "3-founding-meeting.pdf").pages
    assert "Li Na ([U+674E][U+5A1C])" in "".join(page.extract_text() for page in pages)


def test_a_paper_that_cannot_be_a_pdf_is_told_and_stops_no_founding(
    weir: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(sheet: Sheet, *, dated_us: int) -> bytes:
        if sheet.name == "1-checklist":
            raise Refusal("no PDF can be made of this: why; its other forms say the same")
        return sheet_pdf(sheet, dated_us=dated_us)

    monkeypatch.setattr(found_papers, "sheet_pdf", refused)
    told = weir("found", "--answers", file_of(place), "--yes")
    assert "Note: 1-checklist is written as Markdown alone: no PDF can be made of this: why;" in " ".join(
        told.split()
    )
    papers = place / "data" / "founding-papers"
    assert (True, False) == tuple((papers / f"1-checklist.{one}").exists() for one in ("md", "pdf"))
    assert 9 == len(list(papers.iterdir()))
    assert "there is a co-op" in weir("found", "--answers", file_of(place), "--yes", status=REFUSED)


def whole(data: Path, dsn: str, server: TestServer, answers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The killed founding wrote what one writes that nobody killed."""
    assert not (data / "founding.json").exists()
    other = server.empty_database()
    try:
        monkeypatch.setenv("WEIR_DATA", str(data.with_name("unkilled")))
        monkeypatch.setenv("WEIR_DATABASE_URL", other)
        assert 0 == run(["found", "--answers", str(answers), "--yes", "--json"])
        unkilled = asyncio.run(held(other))
        assert unkilled == asyncio.run(held(dsn))
        assert STEPS + 1 == len(unkilled["steps"])
    finally:
        server.drop(other)


def test_what_is_refused_leaves_nothing(weir: Command, place: Path) -> None:
    answers = file_of(place)
    assert "share, founder are missing, and nobody can be asked" in weir(
        "found", "--name", "x", "--rule-set", "plain", "--currency", "EUR", status=REFUSED
    )
    assert "look at it with --plan, then add --yes" in weir("found", "--answers", answers, status=REFUSED)
    assert "no whole number of shares" in weir(
        "found", "--answers", answers, "--founder", "x,x@example.org,user,1.5", status=REFUSED
    )
    assert "rule_set: 'atlantis' is unknown" in weir(
        "found", "--answers", answers, "--rule-set", "atlantis", "--yes", status=REFUSED
    )
    assert "cannot be read" in weir("found", "--answers", place / "nowhere.toml", "--yes", status=REFUSED)
    plan = json.loads(weir("found", "--answers", answers, "--plan", "--json"))
    assert (STEPS, 124_800) == (
        len(plan["steps"]),
        plan["first_year"]["result_minor"] * 2 // plan["first_year"]["months"],
    )
    assert not (place / "data").exists()
    assert weir("found", "--example").startswith("# Answers for `weir found")


def test_options_stand_in_place_of_the_files_answers(weir: Command, place: Path) -> None:
    words = (
        "--answers", file_of(place), "--name", "Otter", "--rule-set", "de-eg", "--par", "50", "--founder", "eva,eva@example.org",
        "--founder", "udo,udo@example.org,worker,3,board+treasurer", "--plan", "--json",
    )  # fmt: skip
    plan = json.loads(weir("found", *words))
    told = [one["words"] for one in plan["steps"]]
    assert ("Otter", "de-eg") == (plan["name"], plan["rule_set"])
    assert "make the kind of shares member, each of 50 EUR" in told
    assert ["udo subscribes 3 shares", "make udo treasurer"] == [
        one for one in told if one.startswith(("udo sub", "make udo tr"))
    ]
    assert ["asks for 3 founders, and there are 2"] == [
        one[one.index("asks") : one.index(" (")] for one in plan["notes"]
    ]


def test_papers_and_resolution_are_in_the_language_asked_for_and_stay_in_it_after_a_kill(
    weir: Command, place: Path, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = file_of(place, rule_set="de-eg")
    monkeypatch.setenv("WEIR_PORTAL_LANGUAGE", "de")
    assert "de" == json.loads(weir("found", "--answers", answers, "--plan", "--json"))["language"]
    asked = weir("found", "--answers", answers, "--language", "es", "--plan")
    assert "The papers and the resolution are in Español (es)." in asked
    # The portal's language was written down with the answers; what is set by then changes nothing.
    assert -signal.SIGKILL == killed_at("step", "--answers", answers, "--yes")
    monkeypatch.setenv("WEIR_PORTAL_LANGUAGE", "en")
    made = json.loads(weir("found", "--answers", answers, "--yes", "--json"))
    assert "de" == made["language"]
    papers = place / "data" / "founding-papers"
    assert papers.joinpath("1-checklist.md").read_text("utf-8").startswith("# Was zu tun ist\n")
    register = papers.joinpath("4-register-of-members.md").read_text("utf-8")
    assert "# Mitgliederliste" in register
    assert "Zeichnung: +2 Geschäftsanteile der Art member" in register
    ((_id, _body, _kind, text),) = asyncio.run(held(empty))["resolutions"]
    assert text.startswith("Linden Hosting ist gegründet. Die Jahre werden nach dem Regelwerk de-eg")
    assert text in papers.joinpath("3-founding-meeting.md").read_text("utf-8")


def test_a_place_that_is_founded_or_begun_otherwise_is_refused(
    weir: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = file_of(place)
    assert -signal.SIGKILL == killed_at("step", "--answers", answers, "--yes")
    other = place / "other.toml"
    other.write_text(toml(document(name="Otter")))
    assert "with other answers" in weir("found", "--answers", other, "--yes", status=REFUSED)
    assert "Linden Hosting" in weir("found", "--answers", answers, "--yes")
    assert "there is a co-op in" in weir("found", "--answers", answers, "--yes", status=REFUSED)
    # Another directory, and a database that is somebody's.
    monkeypatch.setenv("WEIR_DATA", str(place / "second"))
    assert "this database is that of Linden Hosting" in weir(
        "found", "--answers", other, "--yes", status=REFUSED
    )


def test_at_a_terminal_it_asks_again_what_cannot_be_and_does_nothing_without_a_yes(place: Path) -> None:
    """Driven over a pseudo-terminal, as a person types."""
    lines = (
        "Linden", "atlantis", "plain", "fr", "", "EUR", "", "64.001", "64.00", "anna", "Anna Adams", "anna@example.org", "user",
        "2", "y", "n", "y", "", "machine", "12.00", "", "500", "200", "50", "n",
    )  # fmt: skip
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy", "found", "--data", str(place / "data")],
        stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, start_new_session=True,
        env={**os.environ, "LC_ALL": "de_DE.UTF-8"},
    )  # fmt: skip
    os.close(slave)
    try:
        os.write(master, "".join(f"{line}\n" for line in lines).encode())
        told = _all_of(master)
        assert INTERRUPTED == process.wait(WAIT_S), told
    finally:
        process.kill()
        process.wait(WAIT_S)
        os.close(master)
    for words in (
        "'atlantis' is unknown", "'fr' is not one of", "The papers and the resolution are in Deutsch (de)", "'64.001' has 3 decimals", "enter anna (user, anna@example.org) into the register",
        "anna subscribes 2 shares", "make anna member of the board", "make anna treasurer", "no legal advice",
        "Shall it be done?",
    ):  # fmt: skip
        assert words in told, (words, told)
    assert "make anna operator" not in told
    assert not (place / "data").exists()


def _all_of(master: int) -> str:
    """Everything until the other side is closed; a terminal's end is an error, and a deadline holds."""
    found, deadline = b"", time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        ready, _, _ = select.select([master], [], [], 1)
        if not ready:
            continue
        try:
            more = os.read(master, 65_536)
        except OSError:
            break
        if not more:
            break
        found += more
    # A terminal breaks long lines where it likes.
    return " ".join(found.decode(errors="replace").split())
