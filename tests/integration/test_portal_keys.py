"""Keys that members make in the portal: used by a real client at a real gateway, rotated, revoked, and nobody else's."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from billing.portal.clients import settings_of
from billing.portal.just_made import KEPT_US
from billing.settings import BillingSettings
from deploy.founding import found
from gateway.keys import create_key, publish_letterbox
from gateway.vault import Vault
from meter.credentials import new_access_key, seal_to
from meter.ids import MemberId
from meter.recorder import now_us
from tests.coop import Coop
from tests.gateway import Credentials, RunningGateway, client, running_gateway
from tests.integration.s3_kit import eventually
from tests.portal import Site, running_site

HOUR = 3600 * 10**6
ROOT = Path(__file__).resolve().parents[2]


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    vault = Vault.open(tmp_path / "secret.key", create=True)
    await publish_letterbox(await co_op.connection("weir_gateway"), vault)
    settings = BillingSettings(keys_per_member_max=3, gateway_url="http://127.0.0.1:9000")
    async with running_site(co_op, tmp_path / "journal", settings) as one:
        one.now_us = now_us()
        yield one


async def made(site: Site, path: str = "/keys", **form: str) -> tuple[str, str]:
    """A key as its page shows it."""
    reply = await site.post(path, **{"access_key": new_access_key(), **form})
    text = await reply.text()
    assert (200, "no-store") == (reply.status, reply.headers["Cache-Control"]), text
    access_key = re.findall(r'id="access-key">(WEIR[A-Z0-9]{16})<', text)[0]
    return access_key, re.findall(r'id="secret-key">([A-Za-z0-9]{40})<', text)[0]


def refusal(call: Callable[[], object]) -> str:
    """The code with which the gateway refuses; empty where it does not."""
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def refused_soon(call: Callable[[], object], code: str) -> bool:
    return eventually(lambda: refusal(call) == code)


def s3_of(gateway: RunningGateway, member: MemberId, pair: tuple[str, str]) -> Any:
    return client(gateway, Credentials(member, "anna", *pair))


async def test_a_key_from_the_portal_opens_a_real_gateway_until_it_is_rotated_or_revoked(
    site: Site, tmp_path: Path
) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    with running_gateway(tmp_path, site.co_op.dsn) as gateway:
        first = await made(site)
        s3 = s3_of(gateway, anna, first)

        def stores() -> bytes:
            s3.create_bucket(Bucket="films")
            s3.put_object(Bucket="films", Key="a", Body=b"moved picture")
            return bytes(s3.get_object(Bucket="films", Key="a")["Body"].read())

        assert b"moved picture" == await asyncio.to_thread(stores)

        reading = s3_of(gateway, anna, await made(site, rights="read", buckets="films"))
        write = lambda: reading.put_object(Bucket="films", Key="b", Body=b"")  # noqa: E731
        assert "AccessDenied" == await asyncio.to_thread(refusal, write)
        assert "" == await asyncio.to_thread(refusal, lambda: reading.get_object(Bucket="films", Key="a"))

        # An hour and a half ago, with an hour of overlap: the old one has ended since.
        site.now_us = now_us() - HOUR * 3 // 2
        second = await made(site, f"/keys/{first[0]}/rotate", ends_in_hours="1")
        site.now_us = now_us()
        assert await asyncio.to_thread(refused_soon, s3.list_buckets, "ExpiredToken")
        s3 = s3_of(gateway, anna, second)
        assert "" == await asyncio.to_thread(refusal, s3.list_buckets)

        reply = await site.post(f"/keys/{second[0]}/revoke")
        assert (303, "/keys?revoked") == (reply.status, reply.headers["Location"])
        assert await asyncio.to_thread(refused_soon, s3.list_buckets, "InvalidAccessKeyId")
    assert second[1] not in gateway.log()


async def test_a_rotated_key_goes_on_until_its_hour_and_its_follower_has_the_same_bounds(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    old, _ = await made(site, rights="read", expires_days="7")
    new, _ = await made(site, f"/keys/{old}/rotate", ends_in_hours="24")
    rows = await (await site.co_op.owner()).fetch(
        "SELECT access_key, revoked_at, scope::json FROM gateway.access_key"
    )
    found = {row["access_key"]: row["scope"] for row in rows}
    week, day = site.now_us + 7 * 24 * HOUR, site.now_us + 24 * HOUR
    assert f'{{"read_only": true, "expires_us": {day}}}' == found[old]
    assert f'{{"read_only": true, "expires_us": {week}}}' == found[new]
    at_once, _ = await made(site, f"/keys/{new}/rotate", ends_in_hours="0")
    text = await site.text("/keys")
    assert text.count("revoked ") == 1
    assert f"/keys/{at_once}/rotate" in text


async def test_the_secret_is_shown_for_seconds_and_a_form_sent_twice_makes_one_key(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    name = re.findall(r'name="access_key" value="(WEIR[A-Z0-9]{16})"', await site.text("/keys"))[0]
    access_key, secret = await made(site, access_key=name)
    assert name == access_key
    # A button pressed twice shows what the first press made; half a minute later nobody can.
    both = await asyncio.gather(made(site, access_key=name), made(site, access_key=name))
    assert [(access_key, secret)] * 2 == list(both)
    site.now_us += KEPT_US
    again = await site.post("/keys", access_key=name)
    assert (400, True) == (again.status, "made already" in await again.text())
    text = await site.text("/keys")
    assert (True, False) == (access_key in text, secret in text)
    owner = await site.co_op.owner()
    (sealed,) = [row["secret"] for row in await owner.fetch("SELECT secret FROM gateway.access_key")]
    assert secret.encode() not in sealed


async def test_a_rotation_pressed_twice_shows_one_key(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    old, old_secret = await made(site)
    for hours in ("24", "0"):
        form = {"access_key": new_access_key(), "ends_in_hours": hours}
        pairs = await asyncio.gather(*(made(site, f"/keys/{old}/rotate", **form) for _ in range(2)))
        ((access_key, secret),) = set(pairs)
        assert (form["access_key"], True) == (access_key, secret != old_secret)
    assert 3 == await (await site.co_op.owner()).fetchval("SELECT count(*) FROM gateway.access_key")


async def test_a_member_has_so_many_open_keys_and_no_more(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    pairs = [await made(site) for _ in range(3)]
    refused = await site.post("/keys", access_key=new_access_key())
    assert (400, True) == (refused.status, "3 open keys" in await refused.text())
    await site.post(f"/keys/{pairs[0][0]}/revoke")
    await made(site)


async def test_nobody_sees_rotates_or_revokes_another_s_key(site: Site) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    await site.sign_in(anna)
    access_key, _ = await made(site)
    await site.sign_in(ben)
    assert access_key not in await site.text("/keys")
    for path in ("rotate", "revoke"):
        reply = await site.post(f"/keys/{access_key}/{path}", access_key=new_access_key(), ends_in_hours="0")
        assert (404, True) == (reply.status, "no such key" in await reply.text())
    bucket = await site.post("/keys", access_key=new_access_key(), buckets="annas-bucket")
    assert (400, True) == (bucket.status, "of your own alone" in await bucket.text())
    await site.sign_in(anna)
    assert f"/keys/{access_key}/revoke" in await site.text("/keys")


async def test_the_page_of_who_left_calls_no_key_open_and_offers_none(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    access_key, _ = await made(site)
    assert "Keys that open your buckets now" in await site.text("/keys")
    owner = await site.co_op.owner()
    await owner.execute("UPDATE meter.member SET status = 'left', left_at = now()")
    page = await site.text("/keys")
    assert (True, True) == (access_key in page, "<td>you have left</td>" in page)
    for told in ("Keys that open your buckets now", "Rotate", "Make a key"):
        assert told not in page


async def test_a_suspended_member_gets_no_key(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    await (await site.co_op.owner()).execute("UPDATE meter.member SET status = 'suspended'")
    reply = await site.post("/keys", access_key=new_access_key())
    assert (400, True) == (reply.status, "suspended" in await reply.text())


@pytest.mark.parametrize(
    "form",
    [
        {"access_key": "x"},
        {"access_key": "WEIR" + "A" * 17},
        {"expires_days": "-1"},
        {"expires_days": "3651"},
    ],
)
async def test_a_form_that_is_not_ours_makes_no_key(site: Site, form: dict[str, str]) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    assert 400 == (await site.post("/keys", **({"access_key": new_access_key()} | form))).status
    assert 0 == await (await site.co_op.owner()).fetchval("SELECT count(*) FROM gateway.access_key")


async def test_the_portal_s_role_reads_no_secret_and_cannot_widen_or_open_a_key(
    site: Site, tmp_path: Path
) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    vault = Vault.open(tmp_path / "secret.key")
    operator = await site.co_op.connection("weir_gateway")
    access_key, _ = await create_key(operator, anna, vault=vault, now_us=site.now_us)
    books = await site.co_op.books()
    for statement in (
        "SELECT secret FROM gateway.access_key",
        "UPDATE gateway.access_key SET revoked_at = NULL",
        "UPDATE gateway.access_key SET scope = NULL",
        f"INSERT INTO gateway.access_key VALUES ('{new_access_key()}', {anna}, 'x', now())",
        "DELETE FROM gateway.access_key",
        "INSERT INTO gateway.letterbox VALUES (sha256('mine'))",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await books.execute(statement)
    end = "SELECT gateway.end_own_key($1, $2, $3)"
    assert not await books.fetchval(end, ben, access_key, 5)
    assert [True, True] == [await books.fetchval(end, anna, access_key, us) for us in (1000, 2000)]
    kept = await books.fetchval("SELECT scope->>'expires_us' FROM gateway.access_key")
    assert "1000" == kept
    assert not await books.fetchval("SELECT gateway.revoke_own_key($1, $2, now())", ben, access_key)
    with pytest.raises(asyncpg.RaiseError):
        await books.execute(
            "SELECT gateway.add_own_key($1, $2, 'plain secret', NULL, now(), 9)", anna, new_access_key()
        )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await operator.execute("SELECT gateway.revoke_own_key($1, $2, now())", anna, access_key)


async def test_the_letterbox_published_last_is_the_one_in_force(site: Site, tmp_path: Path) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    gateway = await site.co_op.connection("weir_gateway")
    ours, other = Vault.open(tmp_path / "secret.key"), Vault(b"\x05" * 32)
    for vault in (other, ours, ours):
        await publish_letterbox(gateway, vault)
    access_key, secret = await made(site)
    sealed = await gateway.fetchval("SELECT secret FROM gateway.access_key WHERE access_key = $1", access_key)
    assert secret == ours.reveal(sealed, access_key=access_key)
    assert 2 == await gateway.fetchval("SELECT count(*) FROM gateway.letterbox")
    assert sealed != seal_to(ours.letterbox, secret, access_key=access_key)


async def test_a_start_publishes_the_letterbox_of_its_own_master_key(co_op: Coop, tmp_path: Path) -> None:
    for _ in range(2):
        await found(co_op.dsn, tmp_path, now_us=now_us(), timeout_s=30)
    rows = await (await co_op.owner()).fetch("SELECT public_key FROM gateway.letterbox")
    assert [Vault.open(tmp_path / "secret.key").letterbox] == [row["public_key"] for row in rows]


def test_the_settings_to_paste_are_those_of_the_page_about_clients() -> None:
    page = (ROOT / "docs" / "clients.md").read_text("utf-8")
    blocks = {
        one.split("\n", 1)[0]: re.findall(r"```\w+\n(.*?)```", one, re.DOTALL)[0]
        for one in page.split("\n## ")[1:]
    }
    told = settings_of(
        endpoint="http://127.0.0.1:9000", region="us-east-1", access_key="YOUR-ACCESS-KEY",
        secret_key="YOUR-SECRET-KEY",
    )  # fmt: skip
    assert blocks == {one.name: one.text for one in told}


def test_behind_tls_the_settings_say_so() -> None:
    told = settings_of(endpoint="https://s3.example", region="here", access_key="A", secret_key="B")
    text = {one.name: one.text for one in told}
    assert not [name for name, one in text.items() if "http://" in one or "@" in one.replace("@aws-sdk", "")]
    for name, words in (
        ("s3cmd", "use_https = True"), ("minio-py", "secure=True"), ("pyarrow", 'scheme="https"'),
        ("DuckDB", "USE_SSL true"), ("minio-js", "useSSL: true"), ("minio-js", "port: 443"), ("obstore", '"allow_http": False'),
    ):  # fmt: skip
        assert words in text[name]
