"""The portal's page of usage: every split adds up to the statement, to the byte, and leads down to single requests."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from billing.run import statement
from billing.settings import BillingSettings
from meter.event import Event, Zone
from meter.ids import BucketId, MemberId
from meter.settings import MeterSettings
from meter.shipper import ship_everything
from tests.coop import NOVEMBER, NOW, Coop
from tests.events import PLAIN, stored
from tests.integration import journals
from tests.portal import Site, running_site

HOUR = 3600 * 10**6
WAYS = ("day", "hour", "bucket", "operation", "zone")


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(co_op, tmp_path / "journal", BillingSettings()) as one:
        yield one


async def used_in_november(site: Site, seed: int) -> tuple[MemberId, MemberId, list[Event]]:
    """300 exchanges of anna's over four days, and as many of ben's; anna's as they were written."""
    chance = random.Random(seed)
    anna, ben = await site.co_op.found("anna", "ben")
    owner = await site.co_op.owner()
    for number, member in ((1, anna), (2, anna), (3, ben)):
        await owner.execute(
            "INSERT INTO gateway.bucket (id, name, owner, created_at) OVERRIDING SYSTEM VALUE"
            " VALUES ($1, $2, $3, now())",
            number, f"{'=<b>films' if number == 1 else 'bucket'}-{number}", member,
        )  # fmt: skip
    await owner.execute("INSERT INTO gateway.operation VALUES (1, 'GetObject'), (2, 'PutObject')")
    events = [
        PLAIN._replace(
            payer=member, requester=member, bucket=BucketId(chance.choice(buckets)), operation=chance.choice([1, 2]),
            zone=chance.choice(list(Zone)), bytes_in=chance.randrange(10**6), bytes_out=chance.randrange(10**10),
            ended_us=NOVEMBER.start_us + chance.randrange(4 * 24) * HOUR,
        )
        for member, buckets in ((anna, [1, 2]), (ben, [3]))
        for _ in range(300)
    ]  # fmt: skip
    events += [
        stored(12_345, NOVEMBER.start_us + 7 * HOUR, member=anna),
        stored(777, NOVEMBER.start_us, member=ben),
    ]
    meter = MeterSettings(data=site.journal.parent)
    journals.write(meter, *sorted(events, key=lambda one: one.ended_us))
    assert 0 == await ship_everything(meter, site.co_op.dsn)
    return anna, ben, [one for one in events if one.payer == anna and one.request_class]


@pytest.mark.parametrize("by", WAYS)
async def test_every_split_adds_up_to_the_statement_to_the_byte(site: Site, seed: int, by: str) -> None:
    anna, _, events = await used_in_november(site, seed)
    await site.sign_in(anna)
    told = await statement(await site.co_op.books(), anna, NOVEMBER, now_us=NOW)
    document = json.loads(await site.text(f"/usage?by={by}&format=json"))
    sent, received = sum(one.bytes_out for one in events), sum(one.bytes_in for one in events)
    assert (sent, received) == (told["usage"]["bytes_out"], told["usage"]["bytes_in"])
    assert (sent, received) == (document["total"]["bytes_sent"], document["total"]["bytes_received"])
    rows = list(csv.DictReader(io.StringIO(await site.text(f"/usage?by={by}&format=csv"), newline="")))
    assert (sent, received) == (
        sum(int(row["bytes_sent"]) for row in rows), sum(int(row["bytes_received"]) for row in rows),
    )  # fmt: skip
    page = await site.text(f"/usage?by={by}")
    assert f'<th scope="row">Together</th>\n    <td class="n">{sent:,}</td>' in page
    assert "They are equal." in page
    if by == "bucket":
        byte_us = sum(int(row["stored_byte_microseconds"]) for row in rows)
        assert 12_345 * (NOW - NOVEMBER.start_us - 7 * HOUR) == byte_us
        assert told["usage"]["byte_seconds"] == byte_us // 10**6


async def test_filters_narrow_and_the_last_step_is_the_single_requests(site: Site, seed: int) -> None:
    anna, _, events = await used_in_november(site, seed)
    await site.sign_in(anna)
    mine = [one for one in events if (one.bucket, one.operation, one.zone) == (2, 1, Zone.PEERING)]
    address = "/usage?bucket=2&operation=1&zone=1"
    document = json.loads(await site.text(f"{address}&by=hour&format=json"))
    assert sum(one.bytes_out for one in mine) == document["total"]["bytes_sent"]
    page = await site.text(f"{address}&by=hour")
    link = re.findall(r'href="(/requests/[^"]+)"', page)[0].replace("&amp;", "&")
    hour = int(re.findall(r"hour=(\d+)", link)[0])
    below = await site.text(link)
    wanted = [
        one.bytes_out for one in mine
        if link.startswith(f"/requests/2026-11-{(one.ended_us - NOVEMBER.start_us) // HOUR // 24 + 1:02d}")
        and (one.ended_us - NOVEMBER.start_us) // HOUR % 24 == hour
    ]  # fmt: skip
    assert wanted
    assert sorted(wanted) == sorted(
        int(one.replace(",", "")) for one in re.findall(r'<td class="n">([\d,]+)</td>\s*<td></td><td><code>', below)
    )  # fmt: skip


async def test_a_bucket_s_name_is_escaped_on_the_page_and_defused_in_the_file(site: Site, seed: int) -> None:
    anna, _, _ = await used_in_november(site, seed)
    await site.sign_in(anna)
    page = await site.text("/usage?by=bucket")
    assert (True, False) == ("=&lt;b&gt;films-1" in page, "<b>films" in page)
    assert "'=<b>films-1" in await site.text("/usage?by=bucket&format=csv")


async def test_another_member_s_bucket_is_empty_and_has_no_name(site: Site, seed: int) -> None:
    anna, _, _ = await used_in_november(site, seed)
    await site.sign_in(anna)
    for by in WAYS:
        document = json.loads(await site.text(f"/usage?bucket=3&by={by}&format=json"))
        assert ([], 0) == (document["rows"], document["total"]["bytes_sent"])
    assert "bucket-3" not in await site.text("/usage?bucket=3&by=bucket")
    assert "There are none" in await site.text("/requests/2026-11-02?bucket=3")


async def test_nonsense_is_refused_with_a_sentence(site: Site, seed: int) -> None:
    anna, _, _ = await used_in_november(site, seed)
    await site.sign_in(anna)
    for query in ("by=member", "from=x", "from=2000-01-01", "format=xml", "bucket=films", "zone=9"):
        assert 400 == (await site.get(f"/usage?{query}")).status, query
    for query in ("hour=24", "bucket=x", "zone=3", "operation=99999"):
        assert 400 == (await site.get(f"/requests/2026-11-02?{query}")).status, query
    assert 400 == (await site.get("/usage?by=hour&from=2026-01-01")).status
