"""The log of acts and offices against whoever would bend them: rewriting, forging, acting without an office."""

from __future__ import annotations

import hashlib
from pathlib import Path

import asyncpg
import pytest

from billing.acts import run, store
from billing.acts.act import Actor, Doing, Office
from billing.acts.run import NotInOffice, acting, note
from billing.costs.costing import add_cost
from meter.postgres import Connection
from meter.refusal import Refusal
from tests.coop import NOW, OCTOBER, SEPTEMBER, Coop
from tests.integration.test_up import Weir
from tests.integration.test_up import weir as weir
from tests.offices import acts, holds

ROOT_USER = Actor.at_the_command_line("root")
DAY_US = 86_400 * 10**6
LINE = (
    "INSERT INTO billing.act (at, member, who, role, kind, subject, what, detail, is_done)"
    " VALUES (now(), {member}, 'x', 'treasurer', 'bill close', NULL, 'close', '', true)"
)


def doing(what: str = "book an invoice") -> Doing:
    return Doing(Office.TREASURER, "cost add", what)


async def booked_and_then(office: Connection, actor: Actor, error: Exception | None) -> None:
    """An invoice booked as an act that ends so."""
    async with acting(office, actor, doing(), now_us=NOW):
        await add_cost(office, month=OCTOBER, pool="rack", amount="1", memo="", now_us=NOW)
        if error is not None:
            raise error


async def three_acts(co_op: Coop) -> Connection:
    await co_op.found("anna")
    office = await co_op.connection("weir_office")
    for number in range(3):
        await note(office, ROOT_USER, doing(f"book invoice {number}"), is_done=True, now_us=NOW + number)
    return office


async def test_an_act_and_its_line_are_one(co_op: Coop) -> None:
    await co_op.found("anna")
    office = await co_op.connection("weir_office")
    async with acting(office, ROOT_USER, doing(), now_us=NOW) as act:
        await add_cost(office, month=OCTOBER, pool="rack", amount="1", memo="", now_us=NOW)
        act.what = "book invoice 1"
        assert [] == await acts(co_op)
    assert ["book invoice 1"] == [one.what for one in await acts(co_op)]
    with pytest.raises(ZeroDivisionError):
        await booked_and_then(office, ROOT_USER, ZeroDivisionError())
    owner = await co_op.owner()
    assert (1, 1) == (len(await acts(co_op)), await owner.fetchval("SELECT count(*) FROM billing.invoice"))


async def test_what_was_refused_changed_nothing_and_has_its_line(co_op: Coop) -> None:
    await co_op.found("anna")
    office = await co_op.connection("weir_office")
    with pytest.raises(Refusal, match="no"):
        await booked_and_then(office, ROOT_USER, Refusal("no"))
    (line,) = await acts(co_op)
    assert (False, "book an invoice", "no") == (line.is_done, line.what, line.detail)
    assert 0 == await (await co_op.owner()).fetchval("SELECT count(*) FROM billing.invoice")


async def test_a_trial_and_a_slip_of_the_pen_leave_no_line(co_op: Coop) -> None:
    await co_op.found("anna")
    office = await co_op.connection("weir_office")
    trial = doing()
    trial.nothing = True
    async with acting(office, ROOT_USER, trial, now_us=NOW):
        assert not office.is_in_transaction()
    assert [] == await acts(co_op)


@pytest.mark.parametrize("role", [None, "weir_office", "weir_billing", "weir_gateway", "weir_meter"])
@pytest.mark.parametrize("table", ["act", "office", "office_end"])
async def test_nobody_changes_or_removes_a_line_not_even_the_owner(
    co_op: Coop, role: str | None, table: str
) -> None:
    await three_acts(co_op)
    connection = await co_op.connection(role)
    for statement in (
        f"UPDATE billing.{table} SET who = 'somebody else'",
        f"DELETE FROM billing.{table}",
        f"TRUNCATE billing.{table} CASCADE",
    ):
        with pytest.raises(asyncpg.PostgresError, match=r"only added to|permission denied"):
            await connection.execute(statement)
    assert 3 == len(await acts(co_op))


async def test_a_line_s_place_and_links_are_not_the_writer_s_to_give(co_op: Coop) -> None:
    office = await three_acts(co_op)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await office.execute(
            "INSERT INTO billing.act VALUES (1, now(), NULL, 'x', 'board', 'x', NULL, 'x', '', true, $1, $1)",
            bytes(32),
        )
    owner = await co_op.owner()
    await owner.execute(
        "INSERT INTO billing.act VALUES (99, now(), NULL, 'x', 'board', 'x', NULL, 'x', '', true, $1, $1)",
        bytes(32),
    )
    found = await acts(co_op)
    assert [1, 2, 3, 4] == [one.number for one in found]
    assert found[2].digest == found[3].previous


async def test_the_digest_is_of_the_text_that_the_page_tells(co_op: Coop) -> None:
    await three_acts(co_op)
    first = (await acts(co_op))[0]
    text = (
        f"weir-act-1\n1\n{NOW}\n-\ntreasurer\ncost add\n-\ndone\n23:the command line (root)\n14:book invoice 0\n0:\n"
        + "0" * 64
    )
    assert hashlib.sha256(text.encode()).digest() == first.digest


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE billing.act SET what = 'nothing' WHERE number = 2", ["act 2 is not what its digest was made of"]),
        ("UPDATE billing.act SET is_done = false WHERE number = 3", ["act 3 is not what its digest was made of"]),
        (
            "DELETE FROM billing.act WHERE number = 2",
            ["act 3 follows act 1; between them some are missing"],
        ),
    ],
)  # fmt: skip
async def test_who_takes_the_triggers_away_and_rewrites_a_line_is_found_out(
    co_op: Coop, change: str, found: list[str]
) -> None:
    await three_acts(co_op)
    owner = await co_op.owner()
    chain, problems = await run.verify(owner)
    assert (3, []) == (chain.number, problems)
    await owner.execute("ALTER TABLE billing.act DISABLE TRIGGER ALL")
    await owner.execute(change)
    assert found == (await run.verify(owner))[1]


async def test_the_database_itself_refuses_an_act_without_the_office(co_op: Coop) -> None:
    anna, ben = await co_op.found("anna", "ben")
    await holds(co_op, ben, Office.OPERATOR)
    office = await co_op.connection("weir_office")
    for member in (anna, ben):
        with pytest.raises(asyncpg.PostgresError, match="does not hold the office of treasurer"):
            await office.execute(LINE.format(member=int(member)))
        with pytest.raises(NotInOffice):
            await booked_and_then(office, Actor(member, "x"), None)
    assert 0 == await (await co_op.owner()).fetchval("SELECT count(*) FROM billing.invoice")
    assert [] == await acts(co_op)


async def test_nobody_but_the_owner_gives_an_office(co_op: Coop) -> None:
    (anna,) = await co_op.found("anna")
    for role in ("weir_office", "weir_billing", "weir_gateway", "weir_meter"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await run.grant(
                await co_op.connection(role), anna, Office.BOARD, from_us=NOW, until_us=None, resolution=None, who="x",
                now_us=NOW,
            )  # fmt: skip


async def test_an_office_is_held_from_its_first_instant_to_its_last(co_op: Coop) -> None:
    (anna,) = await co_op.found("anna")
    owner = await co_op.owner()
    more = {"resolution": None, "who": "x", "now_us": SEPTEMBER.start_us}
    await run.grant(owner, anna, Office.BOARD, from_us=NOW, until_us=NOW + 10 * DAY_US, **more)
    with pytest.raises(Refusal, match="holds that office in this time already"):
        await run.grant(owner, anna, Office.BOARD, from_us=NOW + DAY_US, until_us=None, **more)
    with pytest.raises(Refusal, match="there is no resolution"):
        await run.grant(
            owner, anna, Office.OPERATOR, from_us=NOW, until_us=None, **(more | {"resolution": "2026-9"})
        )
    await run.grant(owner, anna, Office.BOARD, from_us=NOW + 10 * DAY_US, until_us=None, **more)
    await run.end(owner, anna, Office.BOARD, ends_us=NOW + 20 * DAY_US, resolution=None, who="x", now_us=NOW)
    held = {
        at: Office.BOARD in await store.offices_of(owner, anna, at_us=NOW + at)
        for at in (-1, 0, 10 * DAY_US - 1, 10 * DAY_US, 20 * DAY_US - 1, 20 * DAY_US)
    }
    assert [False, True, True, True, True, False] == list(held.values())
    with pytest.raises(Refusal, match="cannot be ended in the past"):
        await run.end(owner, anna, Office.BOARD, ends_us=NOW - 1, resolution=None, who="x", now_us=NOW)
    with pytest.raises(Refusal, match="nobody of that name is treasurer then"):
        await run.end(owner, anna, Office.TREASURER, ends_us=NOW, resolution=None, who="x", now_us=NOW)


def test_commands_give_offices_and_leave_lines(weir: Weir) -> None:
    weir.start()
    weir.command("member", "add", "anna")
    assert "anna is treasurer" in weir.command("role", "grant", "anna", "treasurer")
    (held,) = weir.json("role", "list")["offices"]
    assert ("anna", "treasurer", None) == (held["member"], held["office"], held["until"])
    weir.command("member", "cap", "anna", "--egress-hard", "1GB")
    weir.command("role", "end", "anna", "board", status=2)
    weir.command("role", "end", "anna", "treasurer")
    assert [] == weir.json("role", "list")["offices"]
    told = weir.json("acts", "list")["acts"][::-1]
    user = told[0]["who"]
    assert user.startswith("the command line (")
    assert [
        ("member add", "enter a member into the register", "anna", "done"),
        ("role grant", "make anna treasurer", "anna", "done"),
        ("member cap", "set a member's own caps", "anna", "done"),
        ("role end", "end an office of a member", None, "refused"),
        ("role end", "end that anna is treasurer", "anna", "done"),
    ] == [(one["kind"], one["what"], one["about"], one["outcome"]) for one in told]
    assert "refuse at 1,000,000,000 bytes" in told[2]["detail"]
    assert 3 == len(weir.json("acts", "list", "--member", "anna", "--before", "4")["acts"])
    verified = weir.json("acts", "verify")
    assert (5, True, told[-1]["digest"]) == (verified["acts"], verified["agrees"], verified["digest"])


def test_every_command_that_changes_something_for_the_co_op_says_so() -> None:
    """Commands that connect as the books' writer do it for an act; a new one cannot forget its line."""
    place = Path(__file__).parents[2] / "deploy" / "commands"
    bare = [
        f"{path.name}: {line.strip()}"
        for path in sorted(place.glob("*.py"))
        for line in path.read_text("utf-8").splitlines()
        if 'connected("weir_office")' in line
    ]
    assert [] == bare
    assert 20 < sum("desk.acting(" in path.read_text("utf-8") for path in place.glob("*.py"))
