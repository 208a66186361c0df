"""`weir capital` as a treasurer types it, on a co-op that runs."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deploy.embedded import dsn, socket_directory
from meter.ids import MemberId
from meter.postgres import connect
from tests.capital import allocate, money
from tests.integration.test_up import Weir
from tests.integration.test_up import weir as weir
from tests.unit.test_notices import DOCUMENT


async def seed(data: Path, lots: dict[tuple[int, MemberId], int]) -> None:
    connection = await connect(dsn(socket_directory(data), database="weir"), role="weir_office")
    try:
        await allocate(connection, lots)
        await money(connection, 100_000)
    finally:
        await connection.close()


def test_a_treasurer_s_year_after_the_closing(weir: Weir, tmp_path: Path) -> None:
    weir.start()
    ids = {name: weir.json("member", "add", name)["id"] for name in ("anna", "ben", "carla", "wim")}
    anna, ben = MemberId(ids["anna"]), MemberId(ids["ben"])
    asyncio.run(seed(weir.data, {(2020, anna): 10_000, (2021, ben): 6_000}))

    assert "10,000" not in weir.command("capital", "show", "anna")
    shown = weir.json("capital", "show", "anna")
    assert (10_000, 0, 0) == (shown["total_minor"], shown["payable_minor"], shown["debt_minor"])
    assert "in members' names, not paid: 160.00 EUR" in weir.command("capital", "show", "--all")
    budgets = weir.json("capital", "plan", "--budget", "80.00")["years"]
    assert [(2020, 2), (2021, 2)] == [(one["year"], one["budgets"]) for one in budgets]

    assert [] == weir.json("capital", "carry-over", "--resolution", "2027-1", "--trial")["lots"]
    line = ("capital", "retire", "--method", "fifo", "--budget", "30.00", "--resolution", "2027-3")
    assert "a trial: nothing was posted" in weir.command(*line, "--trial")
    assert "it is not paid out yet" in weir.command(*line)
    assert "carried out before as act 1" in weir.command(*line)
    assert (7_000, 3_000) == tuple(
        weir.json("capital", "show", "anna")[name] for name in ("total_minor", "payable_minor")
    )

    # After they joined and before anybody left; the first part is due at a year's end that is still to come.
    today = datetime.now(UTC).date()
    leaving = (
        "capital",
        "exit",
        "ben",
        "--date",
        str(today),
        "--rule-set",
        "us-selc",
        "--resolution",
        "2027-4",
    )
    assert "enter that they left with `weir member leave`" in weir.command(
        *leaving, "--base-rate", "4.5", status=2
    )
    weir.command("member", "leave", "ben")
    assert "base rate: give the Federal Reserve discount rate" in weir.command(*leaving, status=2)
    told = weir.json(*leaving, "--base-rate", "4.5")
    assert (6_000, "13/200", 5) == (told["debt_minor"], told["rate"], len(told["schedule"]))
    noted = weir.command(
        "capital", "request", "carla", "--date", str(today + timedelta(days=30)), "--why", "moving"
    )
    assert "`weir member leave`" in noted
    assert "`weir capital exit`" in noted
    states = {one["member"]: one["state"] for one in weir.json("capital", "exits")["exits"]}
    assert {ben: "payable schedule", ids["carla"]: "exit requested"} == states
    assert "payable schedule" in weir.command("capital", "exits")
    assert [] == weir.json("capital", "due", "--trial")["instalments"]

    present = ("capital", "estate", "anna", "--date", str(today), "--method", "present", "--cycle", "18")
    assert "rate: a present value, and only it" in weir.command(*present, "--resolution", "x", status=2)
    assert "left to all members" in weir.command(*present, "--rate", "5.18", "--resolution", "x", "--trial")

    assert [] == weir.json("capital", "unclaimed", "list", "--rule", "arizona")["unclaimed"]
    weir.command("capital", "unclaimed", "mark", "ben", "--lost", "--why", "letters came back")
    assert "unlocated" in weir.command("capital", "exits")
    assert [] == weir.json("capital", "unclaimed", "forfeit", "--resolution", "x")["forfeited"]
    assert "was forfeited and not claimed" in weir.command(
        "capital", "unclaimed", "claim", "anna", "--evidence", "e", "--resolution", "x", status=2
    )
    _notices(weir, tmp_path)


def _notices(weir: Weir, place: Path) -> None:
    file = place / "allocations.json"
    file.write_text(json.dumps(DOCUMENT))
    assert "could be made; none was" in weir.command(
        "capital", "notice", "make", str(file), "--rule-set", "us-selc", "--trial"
    )
    assert "4 notices of 2026 made" in weir.command(
        "capital", "notice", "make", str(file), "--rule-set", "us-selc"
    )
    sent = ("capital", "notice", "mark", "sent", "2026", "--how", "letter", "--evidence", "list 12")
    assert "4 notices of 2026 sent" in weir.command(*sent, "--all")
    assert "a notice that is sent cannot be sent" in weir.command(*sent, "anna", status=2)
    listed = weir.json("capital", "notice", "list", "2026")
    assert (4, 0) == (listed["counts"]["sent"], listed["counts"]["created"])
    assert "This is not a bill and not a cheque." in weir.command("capital", "notice", "show", "anna", "2026")
    file.write_text('{"year": 2026, "cash": 0.3}')
    assert "0.3 stands without quotes" in weir.command("capital", "notice", "make", str(file), status=2)
