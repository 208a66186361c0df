"""The API as a program meets it: every answer against its schema and the pages, every refusal by its name."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import pytest_asyncio

from billing.portal.api.page import BEGINNING, reference
from billing.portal.api.table import table
from billing.settings import BillingSettings
from meter.credentials import new_access_key
from meter.ids import MemberId
from tests.api_kit import GENEROUS, Api, a_full_co_op
from tests.coop import CENT, NOVEMBER, Coop
from tests.portal import running_site

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT.joinpath("docs", "api.md").read_text("utf-8")
SETTINGS = BillingSettings(**GENEROUS)  # type: ignore[arg-type]
MINUTE = 60 * 10**6
ANSWERS = (
    "/me", "/membership", "/now", "/usage", "/usage?by=hour", "/usage?by=bucket", "/usage?by=operation", "/usage?by=zone",
    "/usage?from=2026-09-01&to=2026-12-31", "/usage?by=day&bucket=1&zone=0", "/requests/2027-01-01",
    "/requests/2027-01-01?bucket=1&hour=1", "/statements", "/statements/2026-09", "/statements/2027-01", "/years",
    "/years/2026", "/years/2027", "/capital", "/books", "/proposals", "/proposals?limit=1", "/proposals/1", "/proposals/2",
    "/proposals/3", "/proposals/1/result", "/proposals/2/result", "/keys", "/openapi.json",
    "/co-op", "/invoices", "/invoices?limit=1", "/offices", "/acts", "/acts?about=me", "/acts?limit=1", "/resolutions",
    "/resolutions?limit=1", "/heads",
)  # fmt: skip


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_site(co_op, tmp_path / "journal", SETTINGS, kind=Api) as one:
        yield one


def template_of(document: dict[str, Any], path: str) -> str:
    """Which path of the document an address is one of."""
    bare = path.partition("?")[0]
    (found,) = [
        one for one in document["paths"]
        if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(one)), bare) and (bare == one or "{" in one)
    ]  # fmt: skip
    return str(found)


def complaints(document: dict[str, Any], told: dict[str, Any], value: object) -> list[str]:
    """What the schema of a media type says against a value."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **told["schema"],
        "components": document["components"],
    }
    return [
        one.message for one in jsonschema_rs.validator_for(schema, validate_formats=True).iter_errors(value)
    ]


async def document_of(site: Api) -> dict[str, Any]:
    reply = await site.ask("/openapi.json")
    assert (200, "application/json") == (reply.status, reply.content_type)
    found: dict[str, Any] = await reply.json()
    return found


async def test_every_answer_fits_the_schema_that_is_published(site: Api) -> None:
    document = await document_of(site)
    async with a_full_co_op(site) as (a, _):
        token = await site.token(a)
        for path in ANSWERS:
            told = await site.told(path, token)
            operation = document["paths"][template_of(document, path)]["get"]
            content = operation["responses"]["200"]["content"]["application/json"]
            assert [] == complaints(document, content, told), path
    # Every GET of the document was asked for, but for those that answer a file.
    asked = {template_of(document, path) for path in ANSWERS}
    gets = {
        path: one["get"]["responses"]["200"]["content"]
        for path, one in document["paths"].items()
        if "get" in one
    }
    assert {path for path, content in gets.items() if "application/json" in content} == asked


async def test_every_example_fits_its_schema_and_every_schema_is_whole(site: Api) -> None:
    document = await document_of(site)
    looked = 0
    for path, operations in document["paths"].items():
        for method, one in operations.items():
            content = [
                *one.get("requestBody", {}).get("content", {}).values(),
                *(media for told in one["responses"].values() for media in told.get("content", {}).values()),
            ]
            for media in content:
                assert [] == complaints(document, media, media["example"]), (path, method)
                looked += 1
            for parameter in one["parameters"]:
                assert [] == complaints(document, parameter, parameter["example"]), (path, parameter["name"])
    for told in document["components"]["responses"].values():
        (media,) = told["content"].values()
        assert [] == complaints(document, media, media["example"])
    assert looked > 20
    references = set(
        re.findall(r'"\$ref":"#/components/(\w+)/([\w-]+)"', json.dumps(document, separators=(",", ":")))
    )
    assert set() == {one for one in references if one[1] not in document["components"][one[0]]}


async def test_what_is_served_is_what_the_document_says(site: Api) -> None:
    document = await document_of(site)
    served = {
        (one.method, one.resource.canonical.removeprefix("/api/v1"))
        for one in site.server.app.router.routes()
        if one.resource is not None and one.method != "HEAD" and one.resource.canonical.startswith("/api/")
    }
    told = {(method.upper(), path) for path, one in document["paths"].items() for method in one}
    assert served == told
    assert len(told) == 28
    names = [one["operationId"] for operations in document["paths"].values() for one in operations.values()]
    assert sorted(set(names)) == sorted(names)


def test_the_members_page_is_the_table() -> None:
    assert PAGE.endswith(reference(table(BillingSettings())))
    assert 1 == PAGE.count(BEGINNING)


async def test_every_line_of_the_members_page_works_as_it_is_written(site: Api) -> None:
    async with a_full_co_op(site) as (a, _):
        token = await site.token(a)
        lines = re.findall(r"^    (curl .+)$", PAGE, re.MULTILINE)
        assert len(lines) == 11
        for line in lines:
            here = line.replace("https://portal.example.org", site.origin)
            running = await asyncio.create_subprocess_exec(
                "bash", "-c", here, env={"PATH": "/usr/bin:/bin", "TOKEN": token}, stdout=-1, stderr=-1
            )
            out, error = await asyncio.wait_for(running.communicate(), 60)
            assert (0, True) == (running.returncode, len(out) > 20), (line, error)


async def test_a_statement_is_byte_for_byte_what_the_page_gives(site: Api) -> None:
    async with a_full_co_op(site) as (a, _):
        token = await site.token(a)
        await site.sign_in(a)
        for asked, page in (
            ("/statements/2026-09", "/statements/2026-09?format=json"),
            ("/statements/2026-09?format=csv", "/statements/2026-09?format=csv"),
            ("/years/2026", "/years/2026?format=json"),
            ("/years/2026?format=csv", "/years/2026?format=csv"),
            ("/proposals/1/result", "/proposals/1/result"),
            ("/proposals/1/attachments/1", "/proposals/1/attachments/1"),
        ):
            reply, file = await site.ask(asked, token), await site.get(page)
            assert (200, await file.read()) == (reply.status, await reply.read()), asked
            assert file.content_type == reply.content_type


async def test_the_api_tells_what_the_reference_s_year_comes_to(site: Api) -> None:
    """G18: a's share is 369.02, of which 110.71 are paid and 258.31 are kept; the co-op's result is 1,220.00."""
    async with a_full_co_op(site) as (a, _):
        token = await site.token(a)
        year = await site.told("/years/2026", token)
        assert (36902, 11071, 25831, 122_000) == (
            year["amount_minor"], year["cash_minor"], year["retained_minor"], year["co_op"]["result_minor"],
        )  # fmt: skip
        capital = await site.told("/capital", token)
        assert (25831, "EUR", "2027-01") == (capital["kept_minor"], capital["currency"], capital["from"])
        assert [{"kind": "member", "shares": 2, "paid_minor": 6400}] == capital["shares"]
        assert [25831] == [one["closing_minor"] for one in capital["accounts"]]
        listed = await site.told("/statements", token)
        periods = ["2026-12", "2026-11", "2026-10", "2026-09"]
        assert periods == [one["period"] for one in listed["statements"]]
        assert 151_237 == sum(one["charges_minor"] for one in listed["statements"])
        years = await site.told("/years", token)
        assert ("2027", {"2027": False, "2026": True}) == (
            years["running"], {one["year"]: one["is_closed"] for one in years["years"]},
        )  # fmt: skip
        now = await site.told("/now", token)
        # 1,000 were shipped, 5 are in the journal alone, 345 are on their way.
        assert (1005, 2 * 77_777, 3, 77_777) == tuple(
            now[name] for name in ("sent_bytes", "received_bytes", "requests", "stored_bytes")
        )
        assert [("ab" * 16, 345)] == [(one["request_id"], one["sent_bytes"]) for one in now["running"]]
        assert ({"soft_bytes": 500, "hard_bytes": 1000, "percent": 100}, True) == (
            now["caps"]["sent"], now["notices"][0]["is_reached"],
        )  # fmt: skip
        requests = await site.told("/requests/2027-01-01", token)
        assert [(77_777, 0, "you"), (0, 1000, "another member"), (77_777, 5, "you")] == [
            (one["bytes_received"], one["bytes_sent"], one["who"]) for one in requests["requests"]
        ]
        membership = await site.told("/membership", token)
        assert ("a@example.org", ["user"], "2026-1") == (
            membership["particulars"]["email"], membership["classes"], membership["consents"][0]["bylaws"],
        )  # fmt: skip
        proposals = await site.told("/proposals", token)
        assert [(3, "discussed"), (2, "declined"), (1, "declined")] == [
            (one["number"], one["state"]) for one in proposals["proposals"]
        ]


async def test_parts_of_a_long_answer_are_the_whole_of_it(site: Api) -> None:
    (anna,) = await site.co_op.found("anna")
    for day in (1, 2, 4):
        await site.co_op.use(anna, NOVEMBER, day * CENT, day=day)
    token = await site.token(anna)
    whole = await site.told("/usage", token)
    assert [CENT, 2 * CENT, 4 * CENT] == [one["bytes_sent"] for one in whole["rows"]]
    assert (7 * CENT, None) == (whole["total"]["bytes_sent"], whole["next"])
    rows, cursor = [], ""
    for _ in range(3):
        part = await site.told(f"/usage?limit=1{cursor}", token)
        rows += part["rows"]
        assert whole["total"] == part["total"]
        cursor = f"&cursor={part['next']}"
    assert (whole["rows"], "&cursor=None") == (rows, cursor)
    await site.sign_in(anna)
    file = await site.get("/usage?format=json")
    assert whole["rows"] == json.loads(await file.text())["rows"]
    by_bucket = await site.told("/usage?by=bucket&limit=1", token)
    assert ("1", None) == (by_bucket["rows"][0]["bucket"], by_bucket["next"])


async def test_proposals_and_requests_come_in_parts_too(site: Api) -> None:
    async with a_full_co_op(site) as (a, _):
        token = await site.token(a)
        numbers, cursor = [], ""
        while cursor != "&cursor=None" and len(numbers) < 9:
            part = await site.told(f"/proposals?limit=2{cursor}", token)
            numbers += [one["number"] for one in part["proposals"]]
            cursor = f"&cursor={part['next']}"
        assert [3, 2, 1] == numbers
        periods, cursor = [], ""
        while cursor != "&cursor=None" and len(periods) < 9:
            listed = await site.told(f"/statements?limit=3{cursor}", token)
            periods += [one["period"] for one in listed["statements"]]
            cursor = f"&cursor={listed['next']}"
        assert ["2026-12", "2026-11", "2026-10", "2026-09"] == periods


async def test_a_key_is_made_rotated_and_revoked(site: Api) -> None:
    document = await document_of(site)

    def fits(path: str, status: str, told: object) -> None:
        content = document["paths"][path]["post"]["responses"][status]["content"]["application/json"]
        assert [] == complaints(document, content, told)

    async with a_full_co_op(site) as (a, _):
        token = await site.token(a)
        name = new_access_key()
        wanted = {"access_key": name, "read_only": True, "buckets": ["films"], "expires_days": 7}
        reply = await site.ask("/keys", token, method="POST", json=wanted)
        made = await reply.json()
        fits("/keys", "201", made)
        assert (201, name, True, ["films"], "2027-01-09T00:00:00.000000Z", None) == (
            reply.status, made["access_key"], made["read_only"], made["buckets"], made["expires"], made["old"],
        )  # fmt: skip
        assert re.fullmatch(r"[A-Za-z0-9]{40}", made["secret_key"])
        again = await site.problem("/keys", token, method="POST", json=wanted)
        assert ("urn:weir:problem:conflict", True) == (again["type"], "made already" in again["detail"])
        strange = await site.problem("/keys", token, method="POST", json={"buckets": ["theirs"]})
        assert (400, "buckets") == (strange["status"], strange["field"])
        reply = await site.ask(f"/keys/{name}/rotate", token, method="POST", json={"ends_in_hours": 24})
        rotated = await reply.json()
        fits("/keys/{access_key}/rotate", "201", rotated)
        assert (201, {"access_key": name, "ends": "2027-01-03T00:00:00.000000Z"}) == (
            reply.status,
            rotated["old"],
        )
        reply = await site.ask(f"/keys/{name}/revoke", token, method="POST")
        revoked = await reply.json()
        fits("/keys/{access_key}/revoke", "200", revoked)
        assert (200, "2027-01-02T00:00:00.000000Z", False) == (
            reply.status,
            revoked["revoked"],
            revoked["is_open"],
        )
        closed = await site.problem(f"/keys/{name}/rotate", token, method="POST", json={})
        assert 409 == closed["status"]
        listed = await site.told("/keys", token)
        assert {name: False, rotated["access_key"]: True} == {
            one["access_key"]: one["is_open"]
            for one in listed["keys"]
            if one["access_key"] in (name, rotated["access_key"])
        }
        assert 4 == len(listed["keys"])
        assert made["secret_key"] not in json.dumps(listed)


async def test_what_cannot_be_understood_is_a_problem_that_names_it(site: Api) -> None:
    (anna,) = await site.co_op.found("anna")
    token = await site.token(anna)
    for path, status, field in (
        ("/usage?form=x", 400, "form"), ("/usage?from=", 400, "from"), ("/usage?to=", 400, "to"), ("/usage?by=", 400, "by"), ("/usage?by=day&by=day", 400, "by"), ("/usage?by=year", 400, "by"),
        ("/usage?limit=0", 400, "limit"), ("/usage?limit=501", 400, "limit"), ("/usage?limit=-1", 400, "limit"),
        ("/usage?limit=1_0", 400, "limit"), ("/usage?limit=١", 400, "limit"), ("/usage?from=2026-02-31", 400, "from"),
        ("/usage?from=2027-01-01&to=2026-01-01", 400, "from"), ("/usage?cursor=17", 400, "cursor"),
        ("/usage?by=bucket&cursor=2026-11-01T00:00:00.000000Z", 400, "cursor"), ("/usage?cursor=%00", 400, "cursor"),
        ("/usage?bucket=" + "9" * 30, 400, "bucket"), ("/requests/2026-11-01?hour=24", 400, "hour"),
        ("/requests/2026-02-31", 404, None), ("/requests/yesterday", 404, "day"), ("/statements/2026-13", 404, None),
        ("/statements/2026-11?format=pdf", 400, "format"), ("/statements/x%0A2026-11", 404, "month"),
        ("/years/0000", 404, None), ("/years/1", 404, "year"), ("/proposals/99", 404, None),
        ("/proposals/99/attachments/1", 404, None), ("/proposals/1/attachments/x", 404, "place"),
        ("/acts?about=ben", 400, "about"), ("/acts?cursor=2026-1", 400, "cursor"), ("/resolutions?cursor=7", 400, "cursor"), ("/proposals/-1", 404, "number"),
        ("/nothing", 404, None), ("/", 404, None), ("/usage%00", 404, None), ("/usage/../me%2f", 404, None),
    ):  # fmt: skip
        found = await site.problem(path, token)
        assert (status, field) == (found["status"], found.get("field")), (path, found)


async def test_a_body_that_is_not_what_was_asked_for_is_a_problem(site: Api) -> None:
    (anna,) = await site.co_op.found("anna")
    token = await site.token(anna)
    json_type = {"Content-Type": "application/json"}
    for body, headers, status, field in (
        (b"", json_type, 400, "body"), (b"{", json_type, 400, "body"), (b"[]", json_type, 400, "body"),
        (b"[" * 15_000, json_type, 400, "body"), (b'{"read_only":true,"read_only":true}', json_type, 400, "body"),
        (b'{"read_only":1}', json_type, 400, "read_only"), (b'{"expires_days":true}', json_type, 400, "expires_days"),
        (b'{"expires_days":1.5}', json_type, 400, "body"), (b'{"expires_days":NaN}', json_type, 400, "body"),
        (b'{"expires_days":' + b"9" * 5000 + b"}", json_type, 400, "body"), (b'{"expires_days":0}', json_type, 400, "expires_days"),
        (b'{"access_key":"WEIR0123456789abcdef"}', json_type, 400, "access_key"), (b'{"member":1}', json_type, 400, "member"),
        (b'{"access_key":"WEIR0123456789ABCDEF\\n"}', json_type, 400, "access_key"),
        (b'{"buckets":["aaa","aaa"]}', json_type, 400, "buckets"), (b'{"buckets":"aaa"}', json_type, 400, "buckets"),
        (b'{"\\ud800":1}', json_type, 400, None), (b"\xff", json_type, 400, "body"), (b"\xef\xbb\xbf{}", json_type, 400, "body"),
        ('{"read_only":true}'.encode("utf-16"), json_type, 400, "body"), (b'{"access_key":1.5e3}', json_type, 400, "body"),
        (b"{}", {"Content-Type": "text/plain"}, 415, None), (b" " * 17_000, json_type, 413, None),
    ):  # fmt: skip
        found = await site.problem("/keys", token, method="POST", data=body, headers=headers)
        assert (status, field) == (found["status"], found.get("field")), (body[:60], found)
    large = await site.problem("/keys", token, method="POST", data=b" " * 17_000, headers=json_type)
    assert {"name": "portal_body_bytes_max", "value": 16_384} == large["limit"]


async def test_another_method_is_refused_and_the_right_ones_are_named(site: Api) -> None:
    (anna,) = await site.co_op.found("anna")
    token = await site.token(anna)
    for path, allowed in (("/keys", {"GET", "HEAD", "POST"}), ("/me", {"GET", "HEAD"})):
        for method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
            reply = await site.ask(path, token, method=method)
            assert (405, "urn:weir:problem:method-not-allowed") == (
                reply.status,
                (await reply.json(content_type=None))["type"],
            )
            assert allowed == set(reply.headers["Allow"].split(","))
    reply = await site.ask("/me", token, method="HEAD")
    assert (200, b"") == (reply.status, await reply.read())


async def test_before_there_is_a_tariff_the_books_say_so(site: Api) -> None:
    owner = await site.co_op.owner()
    await owner.execute(
        "INSERT INTO meter.member (name, email, class, status, joined_at) VALUES ('x', '', 'user', 'active', now())"
    )
    member = MemberId(await owner.fetchval("SELECT id FROM meter.member"))
    token = await site.token(member)
    for path in ("/books", "/capital"):
        found = await site.problem(path, token)
        assert (409, True) == (found["status"], "no currency yet" in found["detail"]), found
    assert 409 == (await site.problem("/keys", token, method="POST", json={}))["status"]


async def test_a_customer_sees_no_proposals(site: Api) -> None:
    async with a_full_co_op(site):
        owner = await site.co_op.owner()
        customer = MemberId(await owner.fetchval("SELECT id FROM meter.member WHERE name = 'n'"))
        token = await site.token(customer)
        for path in ("/proposals", "/proposals/1", "/proposals/1/result", "/proposals/1/attachments/1"):
            found = await site.problem(path, token)
            assert (403, "urn:weir:problem:not-a-member") == (found["status"], found["type"])


async def test_a_database_that_is_away_is_said(site: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    (anna,) = await site.co_op.found("anna")
    token = await site.token(anna)

    async def away(*_: object, **__: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("billing.portal.bearer.caller_of", away)
    reply = await site.ask("/me", token)
    assert (503, "5") == (reply.status, reply.headers["Retry-After"])
    assert "urn:weir:problem:books-away" == (await reply.json(content_type=None))["type"]


async def test_a_fault_of_ours_shows_no_trace(
    site: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (anna,) = await site.co_op.found("anna")
    token = await site.token(anna)

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("insides")

    monkeypatch.setattr("billing.portal.bearer.caller_of", broken)
    found = await site.problem("/me", token)
    assert (500, False) == (found["status"], "insides" in json.dumps(found))
    assert "the API failed" in caplog.text
    assert token not in caplog.text
