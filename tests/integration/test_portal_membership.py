"""A member's membership in the portal: what stands in the register, a change of address, all data as a file, leaving."""

from __future__ import annotations

import codecs
import csv
import io
import re
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from billing.capital.exit_standing import standings
from billing.capital.exits import ExitState
from billing.governance.decisions import ResolutionKind
from billing.portal.export import write_export
from billing.portal.membership import read_leaving, read_particulars, what_happens
from billing.portal.membership_store import EXPORT, LEFT_OUT
from billing.register.particulars import Particulars
from billing.register.run import verify_register
from billing.rules.afterwards import afterwards, rule_sets
from billing.settings import BillingSettings
from billing.tongue import LANGUAGES, SOURCE, speaking
from billing.voting import run
from billing.voting.proposal import withdrawal, wording
from meter.refusal import Refusal
from meter.usage import MemberClass
from tests.coop import NOVEMBER, NOW, OCTOBER, Coop
from tests.portal import Site, running_site
from tests.voting_kit import DURING, SETTINGS, join, opened, proposed

EVIL = '"><script>alert(1)</script>'
ADDRESS = {
    "legal_name": "Anna Example",
    "postal": "Weir Lane 1",
    "email": "anna@example.org",
    "purposes": "notices",
}
WHOSE = ("member", "payer", "requester", "owner", "counterpart")


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(co_op, tmp_path / "journal", BillingSettings()) as one:
        yield one


async def test_a_change_of_address_is_in_the_register_as_the_member_s_own_act(site: Site) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    await site.sign_in(anna)
    assert "You are" in await site.text("/membership")
    reply = await site.post("/membership/address", **ADDRESS)
    assert (303, "/membership?saved") == (reply.status, reply.headers["Location"])
    text = await site.text("/membership")
    for told in ADDRESS.values():
        assert f'value="{told}"' in text
    owner = await site.co_op.owner()
    row = await owner.fetchrow("SELECT member, kind, who FROM billing.operation ORDER BY number DESC LIMIT 1")
    assert row is not None
    assert (anna, "address", "the member, in the portal") == tuple(row)
    emails = {one["id"]: one["email"] for one in await owner.fetch("SELECT id, email FROM meter.member")}
    assert {anna: "anna@example.org", ben: ""} == emails
    assert [] == await verify_register(owner, now_us=site.now_us)
    # The same again is no act.
    before = await owner.fetchval("SELECT count(*) FROM billing.operation")
    await site.post("/membership/address", **ADDRESS)
    assert before == await owner.fetchval("SELECT count(*) FROM billing.operation")


def shown_in(page: str) -> dict[str, str]:
    """What a browser would send of the form of addresses, untouched."""
    form = page.partition('action="/membership/address"')[2].partition("</form>")[0]
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))


async def test_a_form_that_stood_open_puts_no_older_address_back(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    await site.post("/membership/address", **ADDRESS)
    open_meanwhile = shown_in(await site.text("/membership"))
    assert ADDRESS == {name: open_meanwhile[name] for name in ADDRESS}
    await site.post("/membership/address", **(open_meanwhile | {"email": "new@example.org"}))
    await site.post("/membership/address", **(open_meanwhile | {"postal": " New street  2 "}))
    now = shown_in(await site.text("/membership"))
    expected = ADDRESS | {"email": "new@example.org", "postal": "New street 2"}
    assert expected == {name: now[name] for name in ADDRESS}


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": "nobody"}, {"email": "Anna <anna@example.org>"}, {"email": "a@b, c@d"}, {"legal_name": "x" * 201},
        {"postal": "a\x00b"}, {"purposes": "\u202e"},
    ],
)  # fmt: skip
async def test_an_address_that_is_none_is_refused(site: Site, wrong: dict[str, str]) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    assert 400 == (await site.post("/membership/address", **(ADDRESS | wrong))).status
    assert 400 == (await site.post("/membership/address", email="a@b")).status


async def test_script_in_what_a_member_may_type_is_shown_as_text(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    reply = await site.post("/membership/address", **dict.fromkeys(ADDRESS, EVIL))
    assert (400, False, True) == (
        reply.status,
        "<script" in (page := await reply.text()),
        "&lt;script" in page,
    )
    # An address of before it was asked for an '@' and no more.
    before = f"{EVIL}@x"
    books = await site.co_op.books()
    await books.execute("SELECT billing.change_own_particulars($1, '', '', $2, '', now())", anna, before)
    typed = dict.fromkeys(ADDRESS, EVIL) | {"email": before, "shown_email": before}
    assert 303 == (await site.post("/membership/address", **typed)).status
    await site.post("/membership/leave", on="2026-12-31", why=EVIL, sure="yes")
    for path in ("/membership", "/membership/leave", "/"):
        text = await site.text(path)
        assert "<script" not in text
    # In the field, and in what says how the form showed it.
    assert (await site.text("/membership")).count("&#34;&gt;&lt;script&gt;") == 2 * len(ADDRESS)


async def test_the_portal_s_role_reads_and_writes_no_register_but_one_member_at_a_time(site: Site) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    books = await site.co_op.books()
    for statement in (
        "SELECT * FROM billing.particulars",
        "INSERT INTO billing.particulars VALUES (1, 1)",
        "UPDATE meter.member SET email = 'x@y'",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await books.execute(statement)
    await books.execute("SELECT billing.change_own_particulars($1, 'A', 'B', 'a@b', '', now())", anna)
    assert [] == await books.fetch("SELECT * FROM billing.own_particulars($1)", ben)
    gateway = await site.co_op.connection("weir_meter")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await gateway.fetch("SELECT * FROM billing.own_particulars($1)", anna)


async def test_leaving_is_confirmed_noted_and_told_with_what_becomes_of_the_capital(site: Site) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    await site.sign_in(anna)
    text = await site.text("/membership/leave")
    assert "Nothing is cut off by it" in text
    for form in ({"on": "2026-12-31"}, {"on": "2026-11-01", "sure": "yes"}, {"on": "soon", "sure": "yes"}):
        assert 400 == (await site.post("/membership/leave", **form)).status, form
    books = await site.co_op.books()
    assert [] == await standings(books)
    for _ in range(2):
        reply = await site.post("/membership/leave", on="2026-12-31", why="moving", sure="yes")
        assert 303 == reply.status
    (found,) = await standings(books)
    assert (anna, ExitState.REQUESTED, date(2026, 12, 31)) == (found.member, found.state, found.wanted_on)
    rows = await books.fetch("SELECT member, why FROM billing.capital_request")
    assert [(anna, "moving")] == [tuple(row) for row in rows]
    assert "You gave notice to leave on 2026-12-31" in await site.text("/membership")
    await site.sign_in(ben)
    assert "You gave notice" not in await site.text("/membership")


async def test_who_cannot_leave_as_a_member_does_is_told_what_is_true_for_them(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    carl = await join(site.co_op, "carl", MemberClass.CUSTOMER)
    owner = await site.co_op.owner()
    await site.sign_in(carl)
    text = await site.text("/membership/leave")
    assert "Until then you go on as a customer" in text
    assert "like everybody" not in text
    assert "has chosen no rules yet" not in text
    await site.sign_in(anna)
    await site.post("/membership/leave", on="2026-12-31", why="", sure="yes")
    await owner.execute("UPDATE meter.member SET status = 'suspended' WHERE id = $1", anna)
    text = await site.text("/membership/leave")
    assert "your keys are closed already" in text
    assert "Your keys and your buckets go on" not in text
    assert "like everybody" in text
    assert "has chosen no rules yet" in text
    await owner.execute("UPDATE meter.member SET status = 'left', left_at = now() WHERE id = $1", anna)
    text = await site.text("/membership/leave")
    assert "You have left already." in text
    assert 'name="sure"' not in text
    text = await site.text("/membership")
    assert "You gave notice" not in text
    assert 'href="/membership/leave"' not in text


def test_what_happens_to_a_leaver_has_its_source_in_every_rule_set() -> None:
    for name in rule_sets():
        rule = afterwards(name).exit
        told = " ".join(what_happens(rule))
        assert rule.source in told
        assert (rule.years_max == 0) == ("the resolution says how long" in told)
    assert "has chosen no rules yet" in what_happens(None)[-1]


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "by the rate called 'Federal Reserve discount rate' and 2 percentage points on top of it."),
        ("de", "nach dem Satz, der „Diskontsatz der Federal Reserve“ heißt, und 2 Prozentpunkte darüber hinaus."),
        ("es", "el tipo llamado «tipo de descuento de la Reserva Federal», y 2 puntos porcentuales más."),
    ],
)  # fmt: skip
def test_interest_of_a_leaver_s_debt_is_told_with_what_comes_on_top_of_the_rate(
    language: str, words: str
) -> None:
    with speaking(language):
        told = " ".join(what_happens(afterwards("us-selc").exit))
        plain = " ".join(what_happens(afterwards("es").exit))
    assert words in told
    # Spain's is the legal interest and no more.
    assert re.search("percentage|Prozentpunkt|porcentual", plain) is None


def test_one_point_and_parts_of_one_are_told_apart() -> None:
    rule = afterwards("us-selc").exit
    for margin, words in ((1, "and 1 percentage point on"), (Fraction(5, 2), "and 2.5 percentage points on")):
        told = " ".join(what_happens(replace(rule, margin=Fraction(margin) / 100)))
        assert words in told


@pytest.mark.parametrize("language", [one for one in LANGUAGES if one != SOURCE])
def test_what_happens_to_a_leaver_is_told_whole_in_each_language(language: str) -> None:
    """No sentence of a rule set, its source included, has its English in it."""
    for name in rule_sets():
        rule = afterwards(name).exit
        with speaking(language):
            told = what_happens(rule)
        assert [] == [one for one in told if rule.source in one or one in what_happens(rule)], name


def test_a_form_that_lacks_a_field_changes_nothing() -> None:
    with pytest.raises(Refusal):
        read_particulars(Particulars(), {"email": "a@b"})
    with pytest.raises(Refusal):
        read_leaving({"sure": "yes", "on": "2036-12-31"}, today=date(2026, 11, 6))
    assert (date(2026, 11, 6), "") == read_leaving(
        {"sure": "yes", "on": "2026-11-06"}, today=date(2026, 11, 6)
    )


async def test_the_file_of_everything_has_the_member_s_rows_and_nobody_else_s(site: Site) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    await site.co_op.use(anna, OCTOBER, 123_456_789)
    await site.co_op.use(anna, NOVEMBER, 5)
    await site.co_op.use(ben, OCTOBER, 987_654_321)
    owner = await site.co_op.owner()
    for member, name in ((anna, "annas"), (ben, "bens")):
        await owner.execute(
            "INSERT INTO gateway.bucket (name, owner, created_at) VALUES ($2, $1, now())",
            member,
            f"{name}-films",
        )
        await owner.execute(
            "INSERT INTO gateway.access_key VALUES ($2, $1, 'a sealed secret', now())",
            member,
            f"WEIR{name.upper():A<16}",
        )
    await site.sign_in(anna)
    await site.post("/membership/address", **(ADDRESS | {"legal_name": "=cmd"}))
    reply = await site.post("/membership/export")
    assert (200, "application/zip") == (reply.status, reply.content_type)
    with zipfile.ZipFile(io.BytesIO(await reply.read())) as archive:
        assert archive.testzip() is None
        content = {name: archive.read(name) for name in archive.namelist()}
    # A spreadsheet reads names that are not ASCII by it.
    assert {name for name in content if name.endswith(".csv")} == {
        name
        for name, one in content.items()
        if one.startswith(codecs.BOM_UTF8) and one.count(codecs.BOM_UTF8) == 1
    }
    files = {name: one.decode("utf-8-sig") for name, one in content.items()}
    assert {"ABOUT.txt", *(f"{name}.csv" for name in EXPORT)} == set(files)
    assert "in the folder papers" in files["ABOUT.txt"]
    rows = {name: list(csv.DictReader(io.StringIO(text, newline=""))) for name, text in files.items()}
    assert ["123456789", "5"] == sorted(row["bytes_out"] for row in rows["meter.reading.payer.csv"])
    assert ["annas-films"] == [row["name"] for row in rows["gateway.bucket.owner.csv"]]
    assert "'=cmd" == rows["billing.particulars.member.csv"][-1]["legal_name"]
    everything = "\n".join(files.values())
    for alien in ("987654321", "bens", "BENS", "sealed secret", "ben,"):
        assert alien not in everything
    assert str(anna) == rows["meter.member.csv"][0]["id"]


async def test_the_file_lists_every_table_that_holds_a_member(site: Site) -> None:
    owner = await site.co_op.owner()
    rows = await owner.fetch(
        "SELECT n.nspname || '.' || c.relname AS name, a.attname AS whose FROM pg_class AS c"
        " JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_attribute AS a ON a.attrelid = c.oid"
        " WHERE n.nspname IN ('meter', 'gateway', 'billing') AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        " AND a.attname = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped",
        list(WHOSE),
    )
    there = {f"{row['name']}.{row['whose']}" for row in rows}
    # Who gets shares of a transfer stands in the same rows as who gave them.
    known = {name for name in {*EXPORT, *LEFT_OUT} if name.count(".") == 2} | {
        "billing.operation.counterpart"
    }
    assert there == known
    assert len(there) > 30


async def test_the_file_lists_every_table_that_belongs_to_one_that_holds_a_member(site: Site) -> None:
    """What points to a row of somebody's says more about them, though it does not name them again."""
    owner = await site.co_op.owner()
    rows = await owner.fetch(
        "SELECT DISTINCT k.conrelid::regclass::text AS name, k.confrelid::regclass::text AS owned"
        " FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid"
        " WHERE k.contype = 'f' AND NOT c.relispartition AND k.conrelid <> k.confrelid"
    )
    told = {".".join(name.split(".")[:2]) for name in {*EXPORT, *LEFT_OUT}}
    holding = {name.rpartition(".")[0] for name in EXPORT if name.count(".") == 2} - {"meter.member"}
    there = {row["name"] for row in rows if row["owned"] in holding}
    assert set() == there - told
    assert {"billing.proposal_text", "billing.proposal_attachment", "billing.proposal_withdrawal"} <= there


async def test_the_file_has_what_a_member_proposed_and_nobody_else_s(site: Site) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    books = await site.co_op.books()
    for member, name in ((anna, "annas"), (ben, "bens")):
        for kept in ("first", "taken-back"):
            said = wording(
                title=f"{name}-{kept}-title", body=f"{name}-body", calc_hash=None, who=name, recorded_us=NOW
            )
            number = await run.propose(books, ResolutionKind.OTHER, said, member=member, settings=SETTINGS)
            await run.reword(books, number, replace(said, body=f"{name}-{kept}-other-words"), member=member)
            await run.attach(
                books, number, name=f"{name}.PDF", content=b"%PDF-\x00" + f"{name}-paper".encode(), member=member,
                who=name, settings=SETTINGS, now_us=NOW,
            )  # fmt: skip
        back = withdrawal(why=f"{name}-reason", who=name, recorded_us=NOW)
        await run.withdraw(books, number, back, member=member)
        await run.comment(books, 1, member, f"{name}-comment", settings=SETTINGS, now_us=NOW)
    await opened(books, 1)
    await run.cast(books, 1, ben, "for", now_us=DURING)
    await site.sign_in(anna)
    reply = await site.post("/membership/export")
    assert 200 == reply.status
    with zipfile.ZipFile(io.BytesIO(await reply.read())) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert {
        "papers/proposal-1-1.pdf": b"%PDF-\x00annas-paper",
        "papers/proposal-2-1.pdf": b"%PDF-\x00annas-paper",
    } == {name: content for name, content in files.items() if name.startswith("papers/")}
    everything = b"\n".join(files.values())
    for own in (
        "annas-first-title", "annas-body", "annas-first-other-words", "annas-taken-back-other-words", "annas-reason",
        "annas-comment",
    ):  # fmt: skip
        assert own.encode() in everything, own
    assert b"bens" not in everything
    assert [codecs.BOM_UTF8 + b"proposal,has_voted", b"1,False"] == files["billing.turnout.csv"].splitlines()


async def test_a_file_that_would_be_too_large_is_refused(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.co_op.use(anna, OCTOBER, 1)
    books = await site.co_op.books()
    with pytest.raises(Refusal, match="more than 1 rows"):
        await write_export(books, anna, io.BytesIO(), rows_max=1, papers_bytes_max=0)
    await write_export(books, anna, io.BytesIO(), rows_max=1000, papers_bytes_max=0)
    number = await proposed(books, member=anna)
    await run.attach(
        books, number, name="a.txt", content=b"1234", member=anna, who="anna", settings=SETTINGS, now_us=NOW
    )
    await write_export(books, anna, io.BytesIO(), rows_max=1000, papers_bytes_max=4)
    with pytest.raises(Refusal, match="papers are more than 3 bytes"):
        await write_export(books, anna, io.BytesIO(), rows_max=1000, papers_bytes_max=3)
    assert NOW == site.now_us
