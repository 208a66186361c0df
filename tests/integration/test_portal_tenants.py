"""Every path of the portal as somebody else, and as nobody: it shows nothing of another member's and changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest_asyncio

from billing.costs.costing import add_cost
from billing.ledger.entry import UNDISTRIBUTED, payable
from billing.payments.ordering import order
from billing.payments.store import insert_account
from billing.portal.tokens import Scope
from billing.run import close
from billing.settings import BillingSettings
from gateway.keys import create_key, publish_letterbox
from gateway.vault import Vault
from meter.credentials import new_access_key
from meter.ids import BucketId, MemberId
from meter.settings import MeterSettings
from meter.shipper import ship_everything
from meter.window import to_datetime
from tests.api_kit import GENEROUS, Api
from tests.capital import allocate, move
from tests.coop import CENT, NOVEMBER, NOW, OCTOBER, Coop
from tests.events import PLAIN, stored
from tests.integration import journals
from tests.portal import Site, running_site
from tests.voting_kit import proposed

PORTAL, NOWHERE = "http://localhost:8443", "http://127.0.0.1:1"
OPEN = {
    "/how",
    "/how/{topic}",
    "/how/start/checklist",
    "/how-it-works",
    "/language",
    "/login",
    "/login/{token}",
    "/login/passkey",
    "/login/passkey/begin",
    "/login/account",
    "/login/account/back",
    "/logout",
    "/style.css",
    "/icon.svg",
    "/htmx.min.js",
    "/now.js",
    "/passkey.js",
}
"""What anybody may ask for."""
MARKS = re.compile(r"anna|Anna|77,777|\b77777(?:00)?\b|WEIRANNA|ANN7")
"""What is anna's alone, in any spelling of a page or a file; her number as a whole one, for a form's drawn name may hold it."""
ASKED = (
    "",
    "?format=json",
    "?format=csv",
    "?format=text",
    "?by=bucket&bucket=1",
    "?bucket=1&hour=1",
    "?member=1",
)


SCOPES: dict[str, Scope | None] = {
    "GET /me": None, "GET /membership": Scope.MEMBERSHIP, "GET /now": Scope.USAGE, "GET /usage": Scope.USAGE,
    "GET /requests/{day}": Scope.USAGE, "GET /statements": Scope.STATEMENTS, "GET /statements/{month}": Scope.STATEMENTS,
    "GET /years": Scope.STATEMENTS, "GET /years/{year}": Scope.STATEMENTS, "GET /capital": Scope.STATEMENTS,
    "GET /books": Scope.BOOKS, "GET /proposals": Scope.VOTES, "GET /proposals/{number}": Scope.VOTES,
    "GET /co-op": Scope.BOOKS, "GET /invoices": Scope.BOOKS, "GET /offices": Scope.ACTS, "GET /acts": Scope.ACTS,
    "GET /statements/{month}/bundle": Scope.STATEMENTS, "GET /years/{year}/bundle": Scope.STATEMENTS,
    "GET /resolutions": Scope.VOTES, "GET /heads": None, "GET /proposals/{number}/attachments/{place}": Scope.VOTES,
    "GET /proposals/{number}/result": Scope.VOTES, "GET /keys": Scope.KEYS, "POST /keys": Scope.KEYS_WRITE,
    "POST /keys/{access_key}/rotate": Scope.KEYS_WRITE, "POST /keys/{access_key}/revoke": Scope.KEYS_WRITE,
}  # fmt: skip
"""What a token needs for what, as it was decided; all but the API's own document, which is open."""


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Api]:
    # Every way in is there; nobody answers at the provider's address, and nobody is let in by it.
    ways: dict[str, object] = {
        "portal_url": PORTAL, "oidc_issuer": NOWHERE, "oidc_client_id": "weir", "oidc_client_secret": "x",
        "login_attempts_per_minute_max": 100_000,
    }  # fmt: skip
    settings = BillingSettings(**(GENEROUS | ways))  # type: ignore[arg-type]
    async with running_site(co_op, tmp_path / "journal", settings, origin=PORTAL, kind=Api) as one:
        yield one


async def a_co_op_with_two(site: Site) -> tuple[MemberId, MemberId, dict[str, str]]:
    """Anna with one of everything, ben with hardly anything; what of anna's the paths name."""
    anna, ben = await site.co_op.found("anna", "ben")
    owner, books = await site.co_op.owner(), await site.co_op.books()
    await owner.execute(
        "INSERT INTO gateway.bucket (id, name, owner, created_at) OVERRIDING SYSTEM VALUE VALUES (1, 'annas-films', $1, now())",
        anna,
    )  # fmt: skip
    gateway = await site.co_op.connection("weir_gateway")
    vault = Vault.open(site.journal.parent / "secret.key", create=True)
    await publish_letterbox(gateway, vault)
    access_key, _ = await create_key(gateway, anna, vault=vault, now_us=NOW)
    await site.co_op.use(anna, OCTOBER, 777_77 * CENT)
    await site.co_op.use(ben, OCTOBER, CENT)
    await add_cost(books, month=OCTOBER, pool="rack", amount="2.00", memo="", now_us=NOW)
    await close(books, OCTOBER, now_us=NOW)
    record = PLAIN._replace(
        payer=anna, bucket=BucketId(1), bytes_in=77_777, ended_us=NOVEMBER.start_us + 3600 * 10**6
    )
    meter = MeterSettings(data=site.journal.parent)
    journals.write(meter, record, stored(77_777, NOVEMBER.start_us + 3600 * 10**6, member=anna, bucket=1))
    assert 0 == await ship_everything(meter, site.co_op.dsn)
    await books.execute(
        "SELECT billing.change_own_particulars($1, 'Anna Example', 'x', 'anna@x', '', now())", anna
    )
    await site.sign_in(anna)
    number = str(await owner.fetchval("SELECT number FROM billing.session"))
    site.client.session.cookie_jar.clear()
    await owner.execute("INSERT INTO billing.passkey_holder VALUES ($1, $2)", anna, bytes(32))
    await owner.execute(
        "INSERT INTO billing.passkey (number, member, credential, public_key, counter, is_synced, name, created_at)"
        " OVERRIDING SYSTEM VALUE VALUES ($2, $1, 'WEIRANNA', 'x', 0, false, 'Anna''s phone', now())",
        anna, int(number),
    )  # fmt: skip
    await owner.execute(
        "INSERT INTO billing.outside_account VALUES ($2, 'WEIRANNA', $1, now())", anna, NOWHERE
    )
    await paid_in_part(books, anna, ben)
    names = {
        "access_key": access_key, "number": number, "month": "2026-10", "year": "2026", "day": "2026-11-01",
        "token": "x" * 43, "place": "1", "report": "balance-sheet", "topic": "surplus",
    }  # fmt: skip
    return anna, ben, names


async def paid_in_part(books: asyncpg.Connection, anna: MemberId, ben: MemberId) -> None:
    """Of what anna is owed 77,777.00 are ordered, to an account that ends in ANN7; of a year 777.77 are kept for her."""
    owed = {anna: 7_777_700, ben: 100}
    sides = [(payable(member), -amount) for member, amount in owed.items()]
    await move(books, [*sides, (UNDISTRIBUTED, sum(owed.values()))], key="owed")
    await allocate(books, {(2025, anna): 77_777, (2025, ben): 100})
    for member, last_four in ((None, "OWN1"), (anna, "ANN7")):
        await insert_account(books, member, b"sealed", last_four, now_us=NOW)
    done = await order(books, execute_on=to_datetime(NOW).date(), minimum_minor=0, now_us=NOW)
    assert done is not None
    assert 7_777_700 == done.batch.total_minor


def test_a_drawn_name_that_holds_her_digits_is_no_mark_and_her_sums_are() -> None:
    assert [] == MARKS.findall('<input name="form" value="4b77777a01d2"> 0077777 1777770000')
    shown = "77,777.00", "77777", '"amount_minor":7777700}', "member,77777,EUR", "annas-films"
    assert [1] * len(shown) == [len(MARKS.findall(one)) for one in shown]


def routes_of(site: Site) -> list[tuple[str, str]]:
    """(method, path with names in braces) of everything the portal answers."""
    return [
        (one.method, one.resource.canonical)
        for one in site.server.app.router.routes()
        if one.resource is not None and one.method != "HEAD"
    ]


def paths_of(site: Site) -> list[tuple[str, str]]:
    """Of these, the pages."""
    return [one for one in routes_of(site) if not one[1].startswith("/api/")]


def asked_of(site: Site) -> list[tuple[str, str]]:
    """Of these, the API's, below /api/v1."""
    return [
        (method, path.removeprefix("/api/v1")) for method, path in routes_of(site) if path.startswith("/api/")
    ]


async def test_ben_sees_nothing_of_anna_s_on_any_path(site: Api) -> None:
    anna, ben, names = await a_co_op_with_two(site)
    await site.sign_in(ben)
    looked = 0
    for method, path in paths_of(site):
        if method != "GET" or path == "/login/{token}":
            continue
        for query in ASKED:
            reply = await site.get(path.format(**names) + query)
            assert reply.status in (200, 400, 404), (path, query, reply.status)
            text = await reply.text()
            assert ([], False) == (MARKS.findall(text), names["access_key"] in text), (path, query)
            looked += reply.status == 200
    assert looked > 40
    # The marks are marks: as anna some of them are seen.
    await site.sign_in(anna)
    assert "annas-films" in await site.text("/usage?by=bucket")
    assert "77,777" in await site.text("/requests/2026-11-01")
    assert "Anna&#39;s phone" in await site.text("/sessions")
    assert ["77,777.00", "ANN7", "777.77"] == [
        one for one in ("77,777.00", "ANN7", "777.77") if one in await site.text("/years")
    ]


async def test_ben_changes_nothing_of_anna_s_on_any_path(site: Api) -> None:
    anna, ben, names = await a_co_op_with_two(site)
    owner = await site.co_op.owner()

    async def annas() -> list[object]:
        queries = (
            "SELECT * FROM gateway.access_key WHERE member = $1", "SELECT * FROM billing.session WHERE member = $1",
            "SELECT * FROM meter.member_cap WHERE member = $1", "SELECT * FROM meter.member WHERE id = $1",
            "SELECT * FROM billing.operation WHERE member = $1", "SELECT * FROM billing.particulars WHERE member = $1",
            "SELECT * FROM billing.capital_request WHERE member = $1", "SELECT * FROM billing.api_token WHERE member = $1",
            "SELECT * FROM billing.passkey WHERE member = $1", "SELECT * FROM billing.outside_account WHERE member = $1",
            "SELECT * FROM billing.entry_record WHERE member = $1", "SELECT * FROM billing.passkey_holder WHERE member = $1",
            "SELECT t.* FROM billing.proposal_text t JOIN billing.proposal p ON p.number = t.proposal WHERE p.member = $1",
            "SELECT * FROM billing.proposal_withdrawal WHERE proposal IN (SELECT number FROM billing.proposal WHERE member = $1)",
            "SELECT * FROM billing.address_notice WHERE member = $1",
        )  # fmt: skip
        return [await owner.fetch(one, anna) for one in queries]

    await site.token(anna)
    assert names["number"] == str(await proposed(await site.co_op.books(), member=anna))
    names["token"] = str(await owner.fetchval("SELECT id FROM billing.api_token"))
    before = await annas()
    form = {
        "access_key": new_access_key(), "ends_in_hours": "0", "egress_hard": "1 GB", "sure": "yes", "on": "2026-12-31",
        "legal_name": "B", "postal": "B", "email": "b@b", "purposes": "B", "member": str(anna), "buckets": "annas-films",
    }  # fmt: skip
    tried = 0
    for method, path in paths_of(site):
        if method == "POST":
            await site.sign_in(ben)
            reply = await site.post(path.format(**names), **form)
            assert reply.status < 500, path
            tried += 1
    assert tried > 8
    assert before == await annas()


async def test_nobody_gets_past_the_door_on_any_path(site: Api) -> None:
    _, _, names = await a_co_op_with_two(site)
    for method, path in paths_of(site):
        if path in OPEN:
            continue
        reply = await site.client.request(method, path.format(**names), allow_redirects=False)
        # A page is asked for again after signing in; a form is told that nothing was done.
        wanted = (303, "/login") if method in ("GET", "HEAD") else (403, None)
        assert wanted == (reply.status, reply.headers.get("Location")), (method, path)


async def test_ben_s_token_tells_nothing_of_anna_s_on_any_path(site: Api) -> None:
    anna, ben, names = await a_co_op_with_two(site)
    token = await site.token(ben)
    looked = 0
    for method, path in asked_of(site):
        if method != "GET" or path == "/openapi.json":  # its examples are of an anna of their own
            continue
        for query in ASKED:
            reply = await site.ask(path.format(**names) + query, token)
            # Nobody makes bundles here; test_portal_bundle.py looks into them.
            known = (400, 409) if path.endswith("/bundle") else (200, 400, 404)
            assert reply.status in known, (path, query, reply.status)
            text = await reply.text()
            assert ([], False) == (MARKS.findall(text), names["access_key"] in text), (path, query)
            looked += reply.status == 200
    assert looked > 15
    # What is hers would be lost in a sum, so here it is ben's own to the cent.
    own = await site.told("/capital", token)
    assert [("2025", 100)] == [(one["year"], one["kept_minor"]) for one in own["comes_back"]["years"]]
    assert (100, []) == (own["payments"]["waiting_minor"], own["payments"]["listed"])
    # The marks are marks: as anna some of them are told.
    annas = await site.token(anna)
    assert "annas-films" in json.dumps(await site.told("/usage?by=bucket", annas))
    assert "77777" in json.dumps(await site.told("/requests/2026-11-01", annas))
    assert names["access_key"] in json.dumps(await site.told("/keys", annas))
    assert "anna@x" in json.dumps(await site.told("/membership", annas))
    capital = json.dumps(await site.told("/capital", annas))
    assert ["7777700", "77777,", "ANN7"] == [one for one in ("7777700", "77777,", "ANN7") if one in capital]


async def test_ben_s_token_changes_nothing_of_anna_s_on_any_path(site: Api) -> None:
    anna, ben, names = await a_co_op_with_two(site)
    owner = await site.co_op.owner()

    async def annas() -> list[object]:
        tables = ("gateway.access_key", "billing.session", "billing.api_token", "meter.member_cap")
        return [await owner.fetch(f"SELECT * FROM {one} WHERE member = $1", anna) for one in tables]

    token = await site.token(ben)
    await site.token(anna)
    before = await annas()
    answers = {}
    for method, path in asked_of(site):
        if method == "POST":
            for body in (
                {},
                {"buckets": ["annas-films"]},
                {"member": int(anna)},
                {"access_key": names["access_key"]},
            ):
                reply = await site.ask(path.format(**names), token, method=method, json=body)
                answers[path, json.dumps(body)] = reply.status
    assert before == await annas()
    made = [one for one, status in answers.items() if status < 400]
    assert ([("/keys", "{}")], 12) == (made, len(answers))
    # As anna the same two are hers to rotate and revoke.
    token = await site.token(anna)
    for what, status in (("rotate", 201), ("revoke", 200)):
        reply = await site.ask(
            f"/keys/{names['access_key']}/{what}", token, method="POST", json={"ends_in_hours": 1}
        )
        assert status == reply.status, what
    assert before != await annas()


async def test_nobody_gets_past_the_api_s_door_on_any_path(site: Api) -> None:
    _, _, names = await a_co_op_with_two(site)
    tried = 0
    for method, path in asked_of(site):
        for token in ("", f"weir_{'0' * 16}_{'A' * 43}", "x"):
            reply = await site.ask(path.format(**names), token, method=method)
            if path == "/openapi.json":
                assert 200 == reply.status
                continue
            found = await reply.json(content_type=None)
            assert (401, "urn:weir:problem:no-token") == (reply.status, found["type"]), path
            assert reply.headers["WWW-Authenticate"].startswith('Bearer realm="weir"')
            tried += 1
    assert 3 * len(SCOPES) == tried


async def test_each_scope_opens_its_own_routes_and_no_other(site: Api) -> None:
    anna, _, names = await a_co_op_with_two(site)
    routes = [(method, path) for method, path in asked_of(site) if path != "/openapi.json"]
    assert set(SCOPES) == {f"{method} {path}" for method, path in routes}
    for scope in Scope:
        token = await site.token(anna, scope, settings=BillingSettings(api_tokens_per_member_max=1000))
        for method, path in routes:
            needed = SCOPES[f"{method} {path}"]
            reply = await site.ask(
                path.format(**names), token, method=method, json={} if method == "POST" else None
            )
            if needed in (None, scope):
                assert reply.status not in (401, 403), (scope, path, reply.status)
                continue
            found = await reply.json(content_type=None)
            assert (403, needed) == (reply.status, found["scope"]), (scope, path)
            assert f'error="insufficient_scope", scope="{needed}"' in reply.headers["WWW-Authenticate"]
