"""`weir proposal`, `weir vote` and `weir resolution adopt`, as somebody types them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from billing.documents import path_of
from billing.voting import run as voting
from billing.voting import store
from meter.ids import MemberId
from meter.postgres import connect

Command = Callable[..., str]
REFUSED, DISAGREES = 2, 1


@pytest.fixture
def weir(typed: Command) -> Command:
    """Command lines of a co-op with three members."""
    for name in ("anna", "ben", "carla"):
        typed("member", "add", name)
    return typed


def read(text: str) -> Any:
    return json.loads(text)


def over(database: str, votes: dict[int, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """These members vote, and fifteen days go by."""

    async def work() -> None:
        books = await connect(database, role="weir_office")
        poll = (await store.polls(books, [1]))[1]
        for member, vote in votes.items():
            await voting.cast(books, 1, MemberId(member), vote, now_us=poll.opens_us)
        await books.close()

    asyncio.run(work())
    later = SimpleNamespace(**vars(time) | {"time_ns": lambda: time.time_ns() + 15 * 24 * 3600 * 10**9})
    monkeypatch.setattr("deploy.desk.time", later)


def test_from_proposal_to_resolution(
    weir: Command, data: Path, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, paper, taken = tmp_path / "text.txt", tmp_path / "offer.csv", tmp_path / "vote.json"
    text.write_text("We buy a disk.\n")
    paper.write_text("disk,120\n")
    assert "entered as proposal 1\n" == weir("proposal", "add", "A disk", "--text", text, "--kind", "closing",
                                             "--calc-hash", "ab" * 32)  # fmt: skip
    text.write_text("We buy two disks.\n")
    weir("proposal", "revise", 1, "Two disks", "--text", text, "--calc-hash", "ab" * 32)
    assert "attached to proposal 1 as number 1\n" == weir("proposal", "attach", 1, paper)
    assert [{"number": 1, "kind": "closing", "title": "Two disks", "state": "in discussion"}] == read(
        weir("proposal", "list", "--json")
    )["proposals"]
    told = read(weir("proposal", "open", 1, "--closes", "14d", "--json"))
    assert {"members": 3} == told["eligible"]
    assert "nobody ends it sooner" in weir("proposal", "close", 1, status=REFUSED)
    assert "nobody ends it sooner" in weir("vote", "export", 1, status=REFUSED)
    assert "stays so" in weir("proposal", "revise", 1, "Three", "--text", text, status=REFUSED)
    assert "stays so" in weir("proposal", "attach", 1, paper, status=REFUSED)
    assert "opened already" in weir("proposal", "open", 1, "--closes", "14d", status=REFUSED)
    over(database, {1: "for", 2: "for", 3: "against"}, monkeypatch)
    shown = read(weir("proposal", "show", 1, "--json"))
    assert ("adopted", 3, 3, None) == (shown["state"], shown["voted"], shown["eligible"], shown["resolution"])
    assert "adopted: 2/3 of the votes for and against" in weir("vote", "show", 1)
    assert "proposal 1 was adopted: 2/3 of the votes" in weir("proposal", "close", 1)
    weir("vote", "export", 1, "--to", taken)
    digest = hashlib.sha256(taken.read_bytes()).hexdigest()
    assert shown["digest"] == digest
    assert taken.read_bytes() == weir("vote", "export", 1).encode()
    assert f"SHA-256 {digest}" in weir("vote", "show", 1)
    again = read(weir("vote", "recount", taken, "--digest", digest, "--json"))
    assert ((2, 1, 0), []) == ((again["for"], again["against"], again["abstained"]), again["problems"])
    assert "all results agree\n" == weir("vote", "verify")
    entered = read(weir("resolution", "adopt", 1, "--json"))
    assert ("meeting", "closing", 2, 1, 0, "ab" * 32, digest) == tuple(
        entered[key] for key in (
            "body", "kind", "votes_for", "votes_against", "votes_abstained", "calc_hash", "document_sha256",
        )
    )  # fmt: skip
    assert taken.read_bytes() == path_of(data, digest).read_bytes()
    assert f"is resolution {entered['id']} already" in weir("resolution", "adopt", 1, status=REFUSED)


def test_a_result_is_counted_without_a_co_op(
    weir: Command, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, taken = tmp_path / "text.txt", tmp_path / "vote.json"
    text.write_text("We buy a disk.")
    weir("proposal", "add", "A disk", "--text", text)
    weir("proposal", "open", 1, "--closes", "14d")
    over(database, {1: "for", 2: "against"}, monkeypatch)
    weir("vote", "export", 1, "--to", taken)
    monkeypatch.setenv("WEIR_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("WEIR_DATABASE_URL", "postgres://127.0.0.1:1/none")
    told = json.loads(taken.read_text())
    receipt = told["ballots"][0]["receipt"]
    grouped = " ".join(receipt[place : place + 4] for place in range(0, 32, 4)).upper()
    said = weir("vote", "recount", taken, "--receipt", grouped)
    assert f"your ballot is there, and says: {told['ballots'][0]['vote']}" in said
    assert "agrees: the count is that of the ballots" in said
    assert "no ballot has this receipt" in weir(
        "vote", "recount", taken, "--receipt", "0" * 32, status=DISAGREES
    )
    assert "not the one you were told" in weir(
        "vote", "recount", taken, "--digest", "0" * 64, status=DISAGREES
    )
    told["ballots"][0]["vote"] = "for" if told["ballots"][0]["vote"] == "against" else "against"
    taken.write_text(json.dumps(told))
    assert "count is not that of its ballots" in weir("vote", "recount", taken, status=DISAGREES)
    taken.write_text("nonsense")
    assert "cannot be read" in weir("vote", "recount", taken, status=REFUSED)
    assert "cannot be read" in weir("vote", "recount", tmp_path / "gone.json", status=REFUSED)


def test_what_may_not_be_opened(weir: Command, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("We buy a disk.")
    weir("proposal", "add", "A disk", "--text", text, "--member", "anna")
    for words, why in (
        (("--closes", "2020-01-01"), "not in the future"),
        (("--closes", "14d", "--opens", "2020-01-01"), "not in the future"),
        (("--closes", "14d", "--record", "2099-01-01"), "still to come"),
        (("--closes", "14d", "--record", "2020-01-01"), "nobody in the register"),
        (("--closes", "1h", "--opens", "2h"), "closes after it opens"),
        (("--closes", "400d"), "at most 366 days"),
    ):
        assert why in weir("proposal", "open", 1, *words, status=REFUSED)
    assert "there is no proposal 9" in weir("proposal", "open", 9, "--closes", "1d", status=REFUSED)
    assert "was not put to the vote" in weir("proposal", "close", 1, status=REFUSED)
    assert "was not put to the vote" in weir("resolution", "adopt", 1, status=REFUSED)
    assert "in discussion" in weir("proposal", "list")
    assert "A disk" in weir("proposal", "show", 1)
