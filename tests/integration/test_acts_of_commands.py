"""Commands that act for the co-op, each leaving its line: run in this process, on a database without a running Weir."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from billing.settings import BillingSettings
from deploy import desk
from deploy.cli import weir
from deploy.commands import bill, cost
from deploy.settings import DeploySettings
from meter.settings import MeterSettings
from tests.coop import CENT, OCTOBER, Coop
from tests.integration.conftest import Command
from tests.offices import acts

NEXT_MONTH = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
COMMANDS: tuple[tuple[Sequence[str], str | None], ...] = (
    (("ledger", "post", "--debit", "bank:main", "5", "--credit", "income:grants", "5", "--memo", "a gift", "--period", "2026-11"),
     "book an entry by hand"),
    (("ledger", "reverse", "1", "--memo", "not ours"), "reverse entry 1 of the ledger"),
    (("ledger", "export", "--format", "csv"), "take out the whole ledger, with every member's accounts"),
    (("ledger", "balance-sheet"), None),
    (("cost", "add", "--period", "2026-10", "--pool", "rack", "--amount", "2.00"),
     "book invoice 1: 2.00 EUR in pool rack of 2026-10"),
    (("pool", "set", "rack", "--key", "equal", "--from", "2026-10"), "share pool rack by the key 'equal' from 2026-10 on"),
    (("credit", "add", "anna", "--amount", "0.10", "--reason", "slow", "--period", "2026-10"), "give a member a credit in 2026-10"),
    (("income", "add", "--period", "2026-11", "--kind", "grant", "--amount", "3"), "book side income (grant) in 2026-11"),
    (("share", "kind", "member", "--par", "64.00"), "make the kind of shares member"),
    (("share", "kind"), None),
    (("share", "subscribe", "anna", "1", "--kind", "member"), "enter an operation of shares"),
    (("register", "class", "anna", "worker", "--from", "2099-12"), "change a member's class from 2099-12 on"),
    (("register", "print", "--law", "plain"), "print the register, with every member's name and addresses"),
    (("proposal", "list"), None),
    (("capital", "unclaimed", "mark", "anna", "--why", "two letters"), "note that a member cannot be reached"),
    (("capital", "request", "anna", "--date", NEXT_MONTH, "--why", "moving"), "note that a member will leave"),
    (("bill", "trial", "2026-10"), None),
    (("bill", "close", "2026-10"), "close the month 2026-10: result"),
    (("statement", "anna", "2026-10"), "look at a member's statement of 2026-10"),
    (("resolution", "add", "So be it", "--body", "board", "--kind", "other", "--date", "2026-10-01"),
     "enter resolution 2026-1 of the board"),
    (("member", "limit", "anna", "1GB"), "limit what a member may store"),
    (("member", "rate", "anna", "--requests", "50", "--bytes", "20MB"), "set how fast a member may go"),
    (("member", "cap", "anna", "--egress-hard", "1GB"), "set a member's own caps"),
    (("member", "show", "anna"), "look at a member's use and limits"),
    (("capital", "show", "anna"), "look at a member's capital account"),
    (("role", "grant", "anna", "board", "--resolution", "2026-1"), "make anna member of the board"),
    (("acts", "verify"), None),
)  # fmt: skip


async def test_each_act_leaves_its_line_and_what_changes_nothing_none(
    co_op: Coop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (anna,) = await co_op.found("anna")
    await co_op.use(anna, OCTOBER, 369 * CENT)

    @asynccontextmanager
    async def opened(*, migrating: bool = True) -> AsyncIterator[desk.Desk]:
        del migrating
        yield desk.Desk(DeploySettings(), MeterSettings(), BillingSettings(), tmp_path, co_op.dsn, None)

    async def nothing_waits(at: desk.Desk) -> int:
        del at
        return 0

    async def no_head(at: desk.Desk) -> None:
        del at

    monkeypatch.setattr(desk, "opened", opened)
    monkeypatch.setattr(bill, "ship_up_to_now", nothing_waits)
    monkeypatch.setattr(cost, "ship_up_to_now", nothing_waits)
    monkeypatch.setattr(bill, "sign_heads", no_head)
    wrong, before = [], 0
    for line, what in COMMANDS:
        done = await asyncio.to_thread(CliRunner().invoke, weir, list(line))
        found = await acts(co_op)
        fresh = [one for one in found[before:] if one.is_done]
        before = len(found)
        told = [one.what for one in fresh]
        if done.exit_code or len(told) != (what is not None) or (what and not told[0].startswith(what)):
            wrong.append((line, done.exit_code, done.exception, told))
        assert {one.kind for one in fresh} <= {" ".join(line[:1]), " ".join(line[:2]), " ".join(line[:3])}
    assert [] == wrong


def test_a_kind_that_no_command_has_is_refused(typed: Command) -> None:
    typed("db", "migrate")
    for words in ("nope", "member", "member nope", ""):
        assert f"no command is called '{words}'" in typed("acts", "list", "--kind", words, status=2)
    assert {"acts": []} == json.loads(typed("acts", "list", "--kind", "bill close", "--json"))
    typed("member", "add", "anna")
    (one,) = json.loads(typed("acts", "list", "--kind", "member add", "--json"))["acts"]
    assert "member add" == one["kind"]
