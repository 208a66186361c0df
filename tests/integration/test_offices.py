"""The pages of offices over HTTP: who gets in, what is done, and what the log and the members see of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from billing.acts.act import Office
from billing.acts.run import end
from billing.costs.costing import add_cost
from billing.governance import store as governance_store
from billing.payments.ordering import order
from billing.payments.run import set_account
from billing.register.operations import Operation, OperationKind
from billing.register.run import add_share_kind, enter_shares
from billing.run import close
from billing.settings import BillingSettings
from deploy.commands.pay import MasterSeal
from gateway.vault import Vault
from meter.cap_store import caps
from meter.caps import Cap, Caps
from meter.ids import BucketId, MemberId
from meter.settings import MeterSettings
from tests.coop import CENT, NOVEMBER, NOW, OCTOBER, SEPTEMBER, Coop
from tests.events import PLAIN
from tests.integration import journals
from tests.integration.test_payments import ANNA, OWN, owing
from tests.offices import acts, holds
from tests.portal import Site, running_site
from tests.voting_kit import proposed

GB = 10**9
INVOICE = {
    "period": "2026-10", "pool": "rack", "amount": "2.00", "supplier": "Rack Ltd", "dated": "2026-10-31", "memo": "place",
}  # fmt: skip


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(co_op, tmp_path / "journal", BillingSettings()) as one:
        yield one


async def with_offices(site: Site) -> tuple[MemberId, MemberId, MemberId, MemberId]:
    """Anna uses the co-op and holds nothing; tom is treasurer, olga operator, bea on the board."""
    anna, tom, olga, bea = await site.co_op.found("anna", "tom", "olga", "bea")
    await holds(site.co_op, tom, Office.TREASURER)
    await holds(site.co_op, olga, Office.OPERATOR)
    await holds(site.co_op, bea, Office.BOARD)
    await site.co_op.use(anna, OCTOBER, 369 * CENT)
    return anna, tom, olga, bea


def office_paths(site: Site) -> dict[str, list[tuple[str, str]]]:
    """Every (method, path) of each office's pages."""
    found: dict[str, list[tuple[str, str]]] = {"treasurer": [], "operator": [], "board": []}
    for one in site.server.app.router.routes():
        if one.resource is not None and one.method != "HEAD":
            first = one.resource.canonical.split("/")[1]
            if first in found:
                path = one.resource.canonical.format(
                    month="2026-10", year="2026", number="1", report="balance-sheet"
                )
                found[first].append((one.method, path))
    return found


async def test_every_page_of_an_office_is_there_for_its_holder_and_for_nobody_else(site: Site) -> None:
    anna, tom, olga, bea = await with_offices(site)
    books, seal = await site.co_op.books(), MasterSeal(Vault(b"\x07" * 32))
    await proposed(books)
    for member, iban in ((None, OWN), (anna, ANNA)):
        await set_account(books, member, name="A B", iban=iban, seal=seal, now_us=NOW)
    await owing(books, anna=1089)
    await order(books, execute_on=date(2026, 11, 9), minimum_minor=0, now_us=NOW)
    holders = {"treasurer": tom, "operator": olga, "board": bea}
    paths = office_paths(site)
    assert {"treasurer": True, "operator": True, "board": True} == {
        name: len(found) > 1 for name, found in paths.items()
    }
    for member in (anna, tom, olga, bea):
        await site.sign_in(member)
        for office, found in paths.items():
            for method, path in found:
                reply = await site.client.request(method, path, allow_redirects=False)
                is_there = reply.status != 404
                assert (holders[office] == member) == is_there, (member, method, path, reply.status)
                assert reply.status < 500, path


async def test_who_has_no_office_changes_nothing_by_any_of_its_forms(site: Site) -> None:
    anna, *_ = await with_offices(site)
    await site.sign_in(anna)
    for path, form in (
        ("/treasurer/invoices", {**INVOICE, "sure": "yes"}),
        ("/treasurer/months/2026-10/close", {"sure": "yes", "result": "369"}),
        ("/operator/members/1/caps", {"egress_hard": "1 GB", "why": "x", "sure": "yes"}),
        (
            "/board/resolutions",
            {"body": "board", "kind": "other", "decided": "2026-11-01", "text": "x", "sure": "yes"},
        ),
        (
            "/board/proposals/1/open",
            {"days": "3", "opens": "", "record": "", "ballot": "secret", "sure": "yes"},
        ),
        ("/board/proposals/1/adopt", {}),
    ):
        assert 404 == (await site.post(path, **form)).status
    owner = await site.co_op.owner()
    for table in (
        "billing.invoice",
        "billing.closing",
        "meter.member_cap",
        "billing.resolution",
        "billing.poll",
    ):
        assert 0 == await owner.fetchval(f"SELECT count(*) FROM {table}")
    assert [] == await acts(site.co_op)


async def test_an_office_ends_with_the_next_page(site: Site) -> None:
    _, tom, _, _ = await with_offices(site)
    await site.sign_in(tom)
    assert 'href="/treasurer"' in await site.text("/")
    assert "The treasurer’s desk" in await site.text("/treasurer")
    await end(
        await site.co_op.owner(), tom, Office.TREASURER, ends_us=site.now_us, resolution=None, who="test",
        now_us=site.now_us,
    )  # fmt: skip
    assert 404 == (await site.get("/treasurer")).status
    assert 'href="/treasurer"' not in await site.text("/")


async def test_who_is_suspended_holds_nothing_meanwhile(site: Site) -> None:
    _, tom, _, _ = await with_offices(site)
    await site.sign_in(tom)
    await (await site.co_op.owner()).execute(
        "UPDATE meter.member SET status = 'suspended' WHERE id = $1", tom
    )
    assert 404 == (await site.get("/treasurer")).status


async def test_an_invoice_is_shown_before_it_is_booked_and_booked_once_it_is_wanted(site: Site) -> None:
    _, tom, _, _ = await with_offices(site)
    await site.sign_in(tom)
    reply = await site.post("/treasurer/invoices", **INVOICE)
    assert (200, True) == (reply.status, "Book 2.00 EUR in pool rack of 2026-10?" in await reply.text())
    owner = await site.co_op.owner()
    assert 0 == await owner.fetchval("SELECT count(*) FROM billing.invoice")
    reply = await site.post("/treasurer/invoices", **INVOICE, sure="yes")
    assert (303, "/treasurer?booked=1") == (reply.status, reply.headers["Location"])
    row = await owner.fetchrow("SELECT * FROM billing.invoice")
    assert ("rack", 200, "Rack Ltd", "place") == (
        row["pool"], row["amount_minor"], row["supplier"], row["memo"]
    )  # fmt: skip
    (line,) = await acts(site.co_op)
    assert (tom, "tom", Office.TREASURER, "cost add", True) == (
        line.actor.member, line.actor.name, line.office, line.kind, line.is_done
    )  # fmt: skip
    assert "book invoice 1: 2.00 EUR in pool rack of 2026-10" == line.what


@pytest.mark.parametrize(
    ("more", "is_told"),
    [({}, True), ({"memo": " Place ", "supplier": "RACK Ltd"}, True), ({"amount": "2.01"}, False),
     ({"supplier": "Power Ltd"}, False), ({"memo": "power"}, False), ({"period": "2026-11"}, False)],
)  # fmt: skip
async def test_the_same_invoice_once_more_is_told_before_it_is_booked(
    site: Site, more: dict[str, str], is_told: bool
) -> None:
    _, tom, _, _ = await with_offices(site)
    await site.sign_in(tom)
    assert "says the same" not in await (await site.post("/treasurer/invoices", **INVOICE)).text()
    await site.post("/treasurer/invoices", **INVOICE, sure="yes")
    page = await (await site.post("/treasurer/invoices", **(INVOICE | more))).text()
    assert is_told == ("Invoice 1, booked on 6 November 2026, 00:00 UTC, says the same" in page)


async def test_a_month_is_tried_confirmed_and_closed(site: Site) -> None:
    anna, tom, _, _ = await with_offices(site)
    await add_cost(await site.co_op.books(), month=OCTOBER, pool="rack", amount="2.00", memo="", now_us=NOW)
    await site.sign_in(tom)
    page = await site.text("/treasurer/months/2026-10")
    assert "1.69" in page
    assert "charges = costs + result, 3.69 EUR = 3.69 EUR" in page
    assert "bytes sent: members&#39; usage = lines charged, 3,690,000,000 = 3,690,000,000" in page
    assert "Go on to close 2026-10" in page
    sure = await site.sure_form("/treasurer/months/2026-10/close")
    owner = await site.co_op.owner()
    assert 0 == await owner.fetchval("SELECT count(*) FROM billing.closing")
    reply = await site.post("/treasurer/months/2026-10/close", **sure)
    assert (303, "/treasurer?closed=2026-10") == (reply.status, reply.headers["Location"])
    digest = await owner.fetchval("SELECT digest FROM billing.closing WHERE period = '2026-10-01'")
    (line,) = await acts(site.co_op)
    assert (True, f"close the month 2026-10: result 1.69 EUR, digest {digest}") == (line.is_done, line.what)
    await site.sign_in(anna)
    assert "3.69" in await site.text("/statements/2026-10")
    assert "close the month 2026-10" in await site.text("/acts")


async def test_a_month_that_changed_since_it_was_looked_at_is_not_closed(site: Site) -> None:
    _, tom, _, _ = await with_offices(site)
    await site.sign_in(tom)
    reply = await site.post("/treasurer/months/2026-10/close", sure="yes", digest="ab" * 32)
    assert 400 == reply.status
    assert "2026-10 has changed since you looked at it" in await reply.text()
    assert 0 == await (await site.co_op.owner()).fetchval("SELECT count(*) FROM billing.closing")
    (line,) = await acts(site.co_op)
    assert ("close the month 2026-10", False) == (line.what, line.is_done)


async def test_a_closed_month_takes_nothing_more_and_the_try_is_logged(site: Site) -> None:
    anna, tom, _, _ = await with_offices(site)
    await close(await site.co_op.books(), OCTOBER, now_us=NOW)
    await site.sign_in(tom)
    reply = await site.post("/treasurer/invoices", **INVOICE, sure="yes")
    assert 400 == reply.status
    assert "2026-10 is closed; book the invoice in a month that is open" in await reply.text()
    reply = await site.post("/treasurer/months/2026-10/close", sure="yes", result="369")
    assert (400, True) == (reply.status, "2026-10 is closed already" in await reply.text())
    assert 0 == await (await site.co_op.owner()).fetchval("SELECT count(*) FROM billing.invoice")
    told = [(one.what, one.is_done, one.actor.member) for one in await acts(site.co_op)]
    assert [
        ("book an invoice in pool rack of 2026-10", False, tom), ("close the month 2026-10", False, tom)
    ] == told  # fmt: skip
    await site.sign_in(anna)
    assert 2 == (await site.text("/acts")).count("refused, nothing changed")


async def test_a_month_is_not_closed_before_its_end_or_out_of_order(site: Site) -> None:
    _, tom, _, _ = await with_offices(site)
    await site.sign_in(tom)
    for month, why in (("2026-11", "2026-11 is not over yet"), ("2026-09", "")):
        page = await site.text(f"/treasurer/months/{month}")
        assert bool(why) == ("cannot be closed now" in page)
        assert why in page
    site.now_us = NOVEMBER.end_us + 1
    await site.sign_in(tom)
    reply = await site.post("/treasurer/months/2026-11/close", sure="yes", result="0")
    assert (400, True) == (reply.status, "2026-10 is still open" in await reply.text())


async def test_a_month_is_not_closed_while_records_of_it_wait_on_this_machine(site: Site) -> None:
    anna, tom, _, _ = await with_offices(site)
    meter = MeterSettings(data=site.journal.parent)
    late = PLAIN._replace(payer=anna, bucket=BucketId(1), ended_us=OCTOBER.end_us - 1)
    journals.write(meter, late, late._replace(ended_us=OCTOBER.end_us))
    await site.sign_in(tom)
    assert "1 events of the month are not in the sums yet" in await site.text("/treasurer/months/2026-10")
    for form in ({}, {"sure": "yes", "result": "369"}):
        reply = await site.post("/treasurer/months/2026-10/close", **form)
        assert (400, True) == (reply.status, "1 events of the month" in await reply.text())
    assert 0 == await (await site.co_op.owner()).fetchval("SELECT count(*) FROM billing.closing")


async def test_reports_and_the_ledger_are_files_and_taking_the_ledger_is_logged(site: Site) -> None:
    anna, tom, _, _ = await with_offices(site)
    await add_cost(await site.co_op.books(), month=OCTOBER, pool="rack", amount="2.00", memo="", now_us=NOW)
    await close(await site.co_op.books(), OCTOBER, now_us=NOW)
    await site.sign_in(tom)
    report = await site.text("/treasurer/reports/income-statement?from=2026-10&to=2026-10")
    assert "expenses,cost:rack,Cost: rack,200,EUR" in report
    assert f"member:{anna}" not in report
    ledger = await site.text("/treasurer/ledger?format=csv")
    assert f"receivable:member:{anna}" in ledger
    (line,) = await acts(site.co_op)
    assert ("ledger export", True) == (line.kind, line.is_done)


async def test_an_operator_s_look_and_act_are_seen_by_the_member_and_by_others_without_its_details(
    site: Site,
) -> None:
    anna, tom, olga, _ = await with_offices(site)
    await site.sign_in(olga)
    assert f'href="/operator/members/{anna}"' in await site.text("/operator/members?name=an")
    assert f'href="/operator/members/{anna}"' in await site.text("/operator/members?name=An")
    assert [] == await acts(site.co_op)
    await site.text(f"/operator/members/{anna}")
    path = f"/operator/members/{anna}/caps"
    sure = await (await site.post(path, egress_hard="123 GB")).text()
    assert "Refuse at 123,000,000,000 bytes sent in a month." in sure
    assert {} == await caps(await site.co_op.books())
    assert 400 == (await site.post(path, egress_hard="123 GB", sure="yes")).status
    reply = await site.post(path, egress_hard="123 GB", why="she asked by phone", sure="yes")
    assert 303 == reply.status
    assert {anna: Caps(Cap(None, 123 * GB), Cap())} == await caps(await site.co_op.books())
    await site.sign_in(anna)
    own = await site.text("/acts?mine")
    assert 2 == own.count("That is about you.")
    assert "she asked by phone" in own
    assert "look at a member&#39;s use and limits" in own
    await site.sign_in(tom)
    others = await site.text("/acts")
    assert "look at a member&#39;s use and limits" in others
    for private in ("she asked by phone", "123", "anna", "That is about you"):
        assert private not in others


async def test_the_board_reads_resolutions_and_the_register_and_that_is_logged(site: Site) -> None:
    anna, _, _, bea = await with_offices(site)
    owner = await site.co_op.owner()
    await owner.execute(
        "SELECT billing.change_own_particulars($1, 'Anna Example', 'Lane 1', 'anna@x', '', now())", anna
    )
    await site.sign_in(bea)
    assert "4 members stand in the register" in await site.text("/board")
    told = await site.text("/board/register?format=csv")
    assert f"{anna},anna,user,{SEPTEMBER}-01,,0,0\r\n" in told
    page = await site.text("/board/register")
    for private in ("Example", "Lane", "anna@x"):
        assert private not in told + page
    assert ["take out the register of members and shares", "look at the register of members and shares"] == [
        one.what for one in await acts(site.co_op)
    ]
    assert [] == await governance_store.resolutions(owner)


async def test_the_register_says_what_was_paid_as_money_and_the_file_in_whole_cents(site: Site) -> None:
    anna, _, _, bea = await with_offices(site)
    books = await site.co_op.connection("weir_office")
    await add_share_kind(
        books, name="big", par="1234.50", currency="EUR", held_by=["user"], is_investment=False, interest_max=None,
        who="test", now_us=NOW,
    )  # fmt: skip
    for kind, more in (
        (OperationKind.SUBSCRIPTION, {"quantity": 2}), (OperationKind.PAYMENT, {"amount_minor": 123_450}),
    ):  # fmt: skip
        await enter_shares(books, Operation(0, kind, anna, NOW, NOW, "test", share_kind="big", **more))
    await site.sign_in(bea)
    cell = "<td class=n>2</td><td class=n>{}</td>"
    assert cell.format("1,234.50 EUR") in await site.text("/board/register")
    assert ",big,2,123450\r\n" in await site.text("/board/register?format=csv")
    await site.post("/language", language="de")
    page = await site.text("/board/register")
    assert (True, False) == (cell.format("1.234,50\N{NO-BREAK SPACE}EUR") in page, "123450" in page)


async def test_the_portal_s_ordinary_connection_cannot_write_the_books(co_op: Coop) -> None:
    await co_op.found("anna")
    ordinary, office = await co_op.connection("weir_billing"), await co_op.connection("weir_office")
    owner = await co_op.owner()
    tables = [
        row["name"]
        for row in await owner.fetch(
            "SELECT c.oid::regclass::text AS name FROM pg_class c WHERE c.relnamespace = 'billing'::regnamespace"
            " AND c.relkind = 'r' AND has_table_privilege('weir_office', c.oid, 'INSERT')"
        )
    ]
    may = [
        one
        for one in tables
        if await owner.fetchval("SELECT has_table_privilege('weir_billing', $1, 'INSERT')", one)
    ]
    assert len(tables) > 30
    assert {
        "billing.login_link", "billing.session", "billing.proposal", "billing.proposal_text",
        "billing.proposal_attachment", "billing.proposal_comment", "billing.vote_result", "billing.capital_request",
        "billing.api_token", "billing.member_language", "billing.proposal_withdrawal",
        "billing.entry_try", "billing.entry_record", "billing.passkey", "billing.passkey_holder", "billing.outside_account",
        "billing.form_sent", "billing.link_used",
    } == set(may)  # fmt: skip
    for connection, outcome in ((ordinary, "permission denied"), (office, None)):
        await _books(connection, outcome)


async def _books(connection: asyncpg.Connection, outcome: str | None) -> None:
    if outcome is None:
        await add_cost(connection, month=OCTOBER, pool="rack", amount="1", memo="", now_us=NOW)
        return
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match=outcome):
        await add_cost(connection, month=OCTOBER, pool="rack", amount="1", memo="", now_us=NOW)
