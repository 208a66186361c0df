"""A member takes home what checks their statement, from the portal and by the API: a real portal, a real bundler."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import socket
import time
import urllib.request
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from billing.portal.bearer import make_token
from billing.portal.bundles import LINE_VARIABLE, Bundles
from billing.portal.tokens import Scope, WantedToken
from billing.settings import BillingSettings
from deploy.bundler import Bundler
from deploy.children import ChildSpec
from deploy.founding import vault_path
from gateway.vault import Vault
from meter.ids import MemberId
from meter.settings import MeterSettings
from meter.signing import ensure_key, known_public
from meter.window import DAY_US
from tests.api_kit import GENEROUS, Api
from tests.coop import NOW, Coop
from tests.integration.gateways_kit import Started, running, up
from tests.integration.test_bundle import live, verified, wrong
from tests.integration.test_up import descendants
from tests.integration.test_year_bundle import NOW as AFTER_THE_YEAR
from tests.integration.test_year_bundle import live as a_year
from tests.offices import acts
from tests.portal import running_site

HOW = "Unpack it, and run <code>python3 -I verify.py</code> in the folder"
WAIT_S = 60


@asynccontextmanager
async def bundled(
    co_op: Coop, data: Path, settings: BillingSettings | None = None
) -> AsyncIterator[tuple[Api, list[str]]]:
    """A portal with a line to a bundler, as `weir up` starts them; and what the bundler told operators."""
    chosen = settings or BillingSettings(**GENEROUS)  # type: ignore[arg-type]
    told: list[str] = []
    environment = {"WEIR_DATA": str(data), "WEIR_DATABASE_URL": co_op.dsn}
    environment |= {"WEIR_PORTAL_BUNDLE_RECORDS_MAX": str(chosen.portal_bundle_records_max)}
    bundler = Bundler(chosen, environment, tell=told.append)
    spec = bundler.reached_by(ChildSpec("portal", ()))
    line = socket.socket(fileno=os.dup(int(spec.environment[LINE_VARIABLE])))
    try:
        async with running_site(
            co_op, data / "journal", chosen, kind=Api, bundles=Bundles(line, chosen)
        ) as site:
            site.now_us = NOW
            yield site, told
    finally:
        line.close()
        await bundler.stop()


async def founded(
    co_op: Coop, tmp_path: Path, lived: Callable[[Coop, MeterSettings], Awaitable[None]]
) -> Path:
    """A co-op's data directory, with closed months in its journal and in its books."""
    place = tmp_path / "home" / "data"
    place.mkdir(parents=True)
    (place / "FORMAT").write_text("1\n")
    ensure_key(place)
    Vault.open(vault_path(place), create=True)
    await lived(co_op, MeterSettings(data=place, database_url=co_op.dsn))
    return place


@pytest_asyncio.fixture
async def data(co_op: Coop, tmp_path: Path) -> Path:
    """Of a co-op in which two months are closed."""
    return await founded(co_op, tmp_path, live)


async def members_of(co_op: Coop) -> dict[str, MemberId]:
    owner = await co_op.owner()
    return {
        row["name"]: MemberId(row["id"]) for row in await owner.fetch("SELECT id, name FROM meter.member")
    }


def unpacked(content: bytes, place: Path) -> Path:
    """The bundle's directory."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(place)
    (found,) = [one for one in place.iterdir() if one.is_dir()]
    return found


def manifest_of(place: Path) -> dict[str, Any]:
    """The list of files; the line after it is its signature."""
    told: dict[str, Any] = json.loads((place / "manifest.json").read_text().splitlines()[0])
    return told


async def test_a_member_checks_their_statement_without_asking_anybody(
    co_op: Coop, data: Path, tmp_path: Path
) -> None:
    members = await members_of(co_op)
    key = known_public(data)
    assert key is not None
    async with bundled(co_op, data) as (site, told):
        for name, other in (("anna", "ben"), ("ben", "anna")):
            await site.sign_in(members[name])
            page = await site.text("/statements/2026-10")
            assert [True, True] == [one in page for one in ('href="/statements/2026-10/bundle"', HOW)]
            reply = await asyncio.wait_for(site.get("/statements/2026-10/bundle"), WAIT_S)
            assert (200, "application/zip") == (reply.status, reply.content_type)
            assert f'filename="weir-{name}-2026-10-check.zip"' in reply.headers["Content-Disposition"]
            place = unpacked(await reply.read(), tmp_path / name)
            status, said = await asyncio.to_thread(verified, place, "--key", key)
            assert (0, "all agree: this statement follows from these records, prices and totals") == (
                status,
                said[-1],
            )
            # By another file than the one inside: whose it is, and that it holds nobody else's.
            assert members[name] == manifest_of(place)["member"]
            assert {name} == {json.loads((place / "statement.json").read_text())["member"]["name"]}
            assert other not in (place / "statement.json").read_text()
        token = await site.token(members["anna"], Scope.STATEMENTS)
        reply = await asyncio.wait_for(site.ask("/statements/2026-10/bundle", token), WAIT_S)
        assert (200, "application/zip") == (reply.status, reply.content_type)
        place = unpacked(await reply.read(), tmp_path / "by-the-api")
        assert ([], members["anna"]) == (
            wrong(place),
            manifest_of(place)["member"],
        )
        assert [] == told
    # It is the member's own, so it is nobody's act.
    assert [] == await acts(co_op)


async def test_a_year_is_checked_with_all_its_months(co_op: Coop, tmp_path: Path) -> None:
    data = await founded(co_op, tmp_path, a_year)
    members = await members_of(co_op)
    async with bundled(co_op, data) as (site, told):
        site.now_us = AFTER_THE_YEAR
        await site.sign_in(members["ben"])
        page = await site.text("/years/2026")
        assert [True, True] == [one in page for one in ('href="/years/2026/bundle"', HOW)]
        reply = await asyncio.wait_for(site.get("/years/2026/bundle"), WAIT_S)
        assert (200, "application/zip") == (reply.status, reply.content_type)
        place = unpacked(await reply.read(), tmp_path / "ben")
        assert [] == told
    status, said = await asyncio.to_thread(verified, place)
    assert (0, members["ben"]) == (status, manifest_of(place)["member"]), said
    assert ["2026-09", "2026-10", "2026-11", "2026-12"] == sorted(
        one.name for one in place.joinpath("months").iterdir()
    )


async def test_what_is_not_closed_or_not_theirs_has_no_bundle(co_op: Coop, data: Path) -> None:
    members = await members_of(co_op)
    async with bundled(co_op, data) as (site, told):
        token = await site.token(members["anna"])
        for path in (
            "/statements/2026-11/bundle", "/statements/2026-08/bundle", "/statements/2026-13/bundle", "/years/2026/bundle",
            "/years/0000/bundle",
        ):  # fmt: skip
            assert 404 == (await site.problem(path, token))["status"], path
            await site.sign_in(members["anna"])
            assert 404 == (await site.get(path)).status, path
        assert "/bundle" not in await site.text("/statements/2026-11")
        assert [] == told


async def test_a_journal_that_is_not_here_is_said_beside_the_bundle(
    co_op: Coop, data: Path, tmp_path: Path
) -> None:
    members = await members_of(co_op)
    shutil.rmtree(next(data.glob("journal/**/worker-1*")))
    async with bundled(co_op, data) as (site, _):
        await site.sign_in(members["anna"])
        reply = await asyncio.wait_for(site.get("/statements/2026-10/bundle"), WAIT_S)
        content = await reply.read()
    place = unpacked(content, tmp_path / "anna")
    warning = (place.parent / "IT-DOES-NOT-CHECK.txt").read_text()
    assert "is the journal of every machine here?" in warning
    assert wrong(place)
    assert set(wrong(place)) <= set(warning.splitlines())


async def test_limits_have_names(
    co_op: Coop, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    members = await members_of(co_op)
    few = BillingSettings(**GENEROUS, portal_bundle_records_max=1000)  # type: ignore[arg-type]
    async with bundled(co_op, data, few) as (site, _):
        found = await site.problem("/statements/2026-10/bundle", await site.token(members["anna"]))
        # anna has 1,500 reads in October.
        assert (409, True) == (
            found["status"],
            "more than 1,000 records (portal_bundle_records_max)" in found["detail"],
        )
    # A process that never ends is ended when its time is over, and said; the next question is answered.
    forever = tmp_path / "forever"
    forever.write_text("#!/bin/sh\nexec sleep 600\n")
    forever.chmod(0o700)
    short = BillingSettings(**GENEROUS, portal_bundle_timeout_s=1)  # type: ignore[arg-type]
    async with bundled(co_op, data, short) as (site, told):
        with monkeypatch.context() as patched:
            patched.setattr("deploy.bundler.python_module", lambda _: (str(forever),))
            token = await site.token(members["anna"])
            found = await asyncio.wait_for(site.problem("/statements/2026-10/bundle", token), WAIT_S)
            assert (409, True) == (found["status"], "not made within 1 seconds" in found["detail"])
            await until(lambda: bool(told))
        assert "portal_bundle_timeout_s, 1 s" in told[0]


async def until(is_so: Callable[[], bool]) -> None:
    """Let others work until it is so. Raises TimeoutError."""
    async with asyncio.timeout(WAIT_S):
        while not is_so():
            await asyncio.sleep(0.01)


async def test_one_is_made_at_a_time(
    co_op: Coop, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    members = await members_of(co_op)
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    os.mkfifo(gate)
    # It waits until somebody writes into the gate, and then says no.
    slow = tmp_path / "slow"
    slow.write_text(
        f'#!/bin/bash\n: > {begun}\nread -r line < {gate}\necho \'{{"refused":"enough"}}\' >&"$3"\n'
    )
    slow.chmod(0o700)
    monkeypatch.setattr("deploy.bundler.python_module", lambda _: (str(slow),))
    async with bundled(co_op, data) as (site, _):
        token = await site.token(members["anna"])
        other = await site.token(members["ben"])
        first = asyncio.create_task(site.problem("/statements/2026-10/bundle", token))
        await until(begun.exists)
        reply = await asyncio.wait_for(site.ask("/statements/2026-10/bundle", other), WAIT_S)
        assert (429, "60") == (reply.status, reply.headers["Retry-After"])
        # Other pages are not held up by it.
        assert (await site.told("/co-op", other))["currency"] == "EUR"
        with await asyncio.to_thread(gate.open, "w") as opened:
            opened.write("go\n")
        assert "enough" == (await asyncio.wait_for(first, WAIT_S))["detail"]


async def test_a_portal_without_a_bundler_says_whom_to_ask(co_op: Coop, tmp_path: Path) -> None:
    async with running_site(co_op, tmp_path / "journal", BillingSettings(), kind=Api) as site:
        (anna,) = await co_op.found("anna")
        found = await site.problem("/statements/2026-10/bundle", await site.token(anna))
        assert (409, True) == (found["status"], "`weir download`" in found["detail"])


async def test_weir_up_has_one_and_a_portal_that_is_started_again_finds_it(
    co_op: Coop, data: Path, tmp_path: Path
) -> None:
    members = await members_of(co_op)
    books = await co_op.books()
    now = time.time_ns() // 1000
    wanted = WantedToken("a test", (Scope.STATEMENTS,), now + DAY_US)
    token = await make_token(books, members["anna"], wanted, BillingSettings(), now_us=now)
    home = up(data.parent, co_op.dsn, workers="1")
    with running(home):
        first = await asyncio.to_thread(_asked, home.told["portal_url"], token)
        before = await asyncio.to_thread(_portal_of, home)
        await asyncio.to_thread(home.weir, "reload")
        async with asyncio.timeout(WAIT_S):
            while (after := await asyncio.to_thread(_portal_of, home)) in (set(), before):
                await asyncio.sleep(0.01)
        assert 1 == len(after)
        second = await asyncio.to_thread(_asked, home.told["portal_url"], token)
    for number, content in enumerate((first, second)):
        place = unpacked(content, tmp_path / str(number))
        assert ([], members["anna"]) == (wrong(place), manifest_of(place)["member"])
    assert "Traceback" not in home.log()


def _asked(portal_url: str, token: str) -> bytes:
    """anna's October, from a portal that may just be starting. The listening socket is its parent's, so it waits."""
    url = f"{portal_url}/api/v1/statements/2026-10/bundle"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310  our own portal
    with urllib.request.urlopen(request, timeout=WAIT_S) as reply:  # noqa: S310
        content: bytes = reply.read()
    return content


def _portal_of(home: Started) -> set[int]:
    """The portal's processes below a start."""
    assert home.process is not None
    found = set()
    for pid in descendants(home.process.pid):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().endswith(b"-m\0billing\0"):
                found.add(pid)
    return found
