"""Prices of a storage engine: a bucket's hours cost what the engine costs that it was on, and every calculation agrees."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from billing import run
from billing.costs.run import figures
from billing.month.proof import verify
from billing.statements import verifier
from billing.statements.render import statement_text
from deploy.founding import vault_path
from gateway.vault import Vault
from meter import store
from meter.engine_usage_store import placement, usage_on
from meter.event import Event, Mark, RequestClass, StorageLine, Zone
from meter.ids import BucketId, MemberId
from meter.postgres import Connection
from meter.recount import Placement, recount
from meter.settings import MeterSettings
from meter.shipper import ship_everything
from meter.signing import ensure_key
from meter.usage import Usage
from meter.usage_store import period_usage
from meter.window import HOUR_US, Month
from tests.coop import OCTOBER, SEPTEMBER, Coop
from tests.events import PLAIN, stored
from tests.integration.journals import write
from tests.integration.test_bundle import weir, wrong

GB = 10**9
ON_DISK, ON_CEPH = BucketId(7), BucketId(8)
TARIFF = """
currency = "EUR"
effective_from = "2026-01"
gb_out = "1.00"
gb_in = "0.50"
gb_month = "2.00"
gb_out_own = "0.25"
requests_a_1000 = "3.00"
requests_b_1000 = "0.40"
[free]
gb_out = "0.5"
[engine.ceph-a]
gb_out = "0.10"
gb_month = "0.50"
[engine.b2]
gb_out_peering = "0.01"
gb_month_versions = "0.20"
requests_a_1000 = "5.00"
[engine.b2.free]
requests_a_1000 = "0.002"
[class.customer.engine.ceph-a]
gb_month = "0.80"
"""


@pytest.fixture
def settings(tmp_path: Path, database: str) -> MeterSettings:
    """A co-op's data directory that can sign."""
    (tmp_path / "FORMAT").write_text("1\n")
    ensure_key(tmp_path)
    Vault.open(vault_path(tmp_path), create=True)
    return MeterSettings(data=tmp_path, database_url=database, journal_segment_bytes_max=2**16)


def sent(member: MemberId, bucket: BucketId, at_us: int, count: int, **what: Any) -> Event:
    """A read out of a bucket."""
    found = PLAIN._replace(
        payer=member, requester=member, bucket=bucket, request_class=RequestClass.B, began_us=at_us, ended_us=at_us,
        bytes_in=0, moved_in=0, bytes_out=count, moved_out=count,
    )  # fmt: skip
    return found._replace(**what)


async def recounted(books: Connection, settings: MeterSettings, month: Month) -> dict[MemberId, Usage]:
    """The month from the segments alone."""
    marks = await store.watermarks(books)
    names = await run.priced_engines(books, month, now_us=month.end_us)
    return recount(
        settings.journal_directory, month, marks, up_to=marks.get(month) or await store.stream_places(books),
        placement=Placement(names, await placement(books)),
    )  # fmt: skip


async def test_a_bucket_that_moved_costs_what_each_place_costs_by_its_hours(
    co_op: Coop, settings: MeterSettings, tmp_path: Path
) -> None:
    """By hand: 10 GB were on the disk for the first half of October and on ceph-a for the second, 4 GB sent from each.

    The disk: half a month of 10 GB is 5 GB-months at 2.00, 10.00; 4 GB less 0.5 free at 1.00, 3.50. ceph-a: 5 GB-months
    at 0.50, 2.50; 4 GB at 0.10, 0.40, none of it free. Two reads are 0.00. Together 16.40.
    """
    (anna,) = await co_op.found("anna")
    owner, books = await co_op.owner(), await co_op.books()
    await owner.execute("INSERT INTO meter.bucket_engine VALUES (7, 'disk'), (8, 'ceph-a')")
    await run.set_tariff(books, TARIFF, now_us=SEPTEMBER.start_us)
    half = OCTOBER.start_us + (OCTOBER.end_us - OCTOBER.start_us) // 2
    write(
        settings,
        stored(10 * GB, SEPTEMBER.end_us - HOUR_US, member=anna, bucket=ON_DISK),
        sent(anna, ON_DISK, half - 1, 4 * GB),
        stored(-10 * GB, half, member=anna, bucket=ON_DISK),
        stored(10 * GB, half, member=anna, bucket=ON_CEPH),
        sent(anna, ON_CEPH, half + 1, 4 * GB),
    )
    await ship_everything(settings, settings.database_url)
    await run.close(books, SEPTEMBER, now_us=SEPTEMBER.end_us)
    trial = await run.statement(books, anna, OCTOBER, now_us=OCTOBER.end_us)
    await run.close(books, OCTOBER, now_us=OCTOBER.end_us)
    told = await run.statement(books, anna, OCTOBER, now_us=OCTOBER.end_us)
    lines = {(one["words"], one["price"]): one["amount_minor"] for one in told["lines"] if one["quantity"]}
    assert {
        ("Sent to readers, 0.5 GB of it free", "1.00"): 350,
        ("Kept in storage", "2.00"): 1000,
        ("Requests that read", "0.40"): 0,
        ("Sent to readers on ceph-a", "0.10"): 40,
        ("Kept in storage on ceph-a", "0.50"): 250,
    } == lines
    assert 1640 == told["charges_minor"]
    assert told["lines"] == trial["lines"]
    assert "Kept in storage on ceph-a" in statement_text(told)
    beside = (await figures(books, OCTOBER, now_us=OCTOBER.end_us)).lines
    assert 1640 == sum(one.amount_minor for one in beside)
    again = await recounted(books, settings, OCTOBER)
    proof = await verify(books, anna, OCTOBER, again, now_us=OCTOBER.end_us)
    assert ([], True) == (proof.differences, proof.agrees)
    # One byte counted to another place, and the proof says so, though the member's whole usage is the same.
    (part,) = again[anna].engines
    moved = replace(part, usage=replace(part.usage, bytes_out=part.usage.bytes_out - 1))
    again[anna] = replace(again[anna], engines=(moved,))
    assert not (await verify(books, anna, OCTOBER, again, now_us=OCTOBER.end_us)).agrees
    bundle = tmp_path / "bundle"
    done = weir(tmp_path, settings.database_url, "anna", "2026-10", "--to", str(bundle))
    assert 0 == done.returncode, done.stderr
    assert {"engines": {"8": "ceph-a"}} == json.loads((bundle / "engines.json").read_text())
    assert [] == wrong(bundle)
    own = subprocess.run([sys.executable, "-I", str(bundle / "verify.py")], capture_output=True, text=True)
    assert own.stdout.endswith(f"{verifier.ALL_AGREE}\n")
    (bundle / "engines.json").write_text('{"engines":{}}')
    assert any("Sent to readers" in line or "gb_out" in line for line in wrong(bundle))


async def test_where_a_bucket_number_is_cannot_be_changed_by_its_owner_either(co_op: Coop) -> None:
    owner = await co_op.owner()
    await owner.execute("INSERT INTO meter.bucket_engine VALUES (7, 'disk')")
    for statement in (
        "UPDATE meter.bucket_engine SET engine = 'ceph-a'",
        "DELETE FROM meter.bucket_engine",
        "TRUNCATE meter.bucket_engine",
    ):
        with pytest.raises(asyncpg.PostgresError, match="is only added to"):
            await owner.execute(statement)
    assert {} == await placement(owner)


BUCKETS = {1: "disk", 2: "ceph-a", 3: "b2", 4: "ceph-a", 5: "elsewhere", 0: ""}
"""Number to engine; 6 is in no table, and so on the disk; 0 is no bucket."""


def something(chance: random.Random, members: list[MemberId], months: tuple[Month, ...]) -> Iterator[Event]:
    """Reads, writes, corrections, pieces and changes of stored bytes at any time of those months."""
    for _ in range(chance.randrange(40, 90)):
        member, month = chance.choice(members), chance.choice(months)
        bucket = BucketId(chance.randrange(0, 7))
        at_us = chance.randrange(month.start_us, month.end_us)
        if bucket and chance.random() < 0.4:
            line = chance.choice(list(StorageLine))
            yield stored(chance.randrange(-(10**9), 10**10), at_us, member=member, bucket=bucket, line=line)
            continue
        mark = chance.choice((Mark.NONE, Mark.NONE, Mark.CHECKPOINT, Mark.CORRECTION))
        count = chance.randrange(-(10**8) if mark is Mark.CORRECTION else 0, 10**9)
        yield sent(
            member, bucket, at_us, count, zone=chance.choice(list(Zone)), marks=mark, bytes_in=abs(count) // 3,
            request_class=chance.choice((RequestClass.A, RequestClass.B)),
        )  # fmt: skip


async def test_every_calculation_of_random_traffic_on_four_engines_agrees(
    co_op: Coop, settings: MeterSettings, tmp_path: Path, seed: int
) -> None:
    """The sums, the segments, and the verifier that knows nothing of Weir; September's records also come late."""
    chance = random.Random(seed)
    members = await co_op.found("anna", "ben", "carla")
    owner, books = await co_op.owner(), await co_op.books()
    await owner.executemany(
        "INSERT INTO meter.bucket_engine VALUES ($1, $2)", [one for one in BUCKETS.items() if one[0]]
    )
    await run.set_tariff(books, TARIFF, now_us=SEPTEMBER.start_us)
    write(settings, *something(chance, members, (SEPTEMBER,)))
    await ship_everything(settings, settings.database_url)
    await run.close(books, SEPTEMBER, now_us=SEPTEMBER.end_us)
    events = list(something(chance, members, (SEPTEMBER, OCTOBER)))
    write(settings, *events)
    await ship_everything(settings, settings.database_url)
    await run.close(books, OCTOBER, now_us=OCTOBER.end_us)
    again = await recounted(books, settings, OCTOBER)
    whole = await period_usage(books, OCTOBER)
    parts = await usage_on(books, OCTOBER, ("b2", "ceph-a"), until_us=OCTOBER.end_us)
    for member, usage in whole.items():
        assert parts.get(member, ()) == again[member].engines
        for name in ("b2", "ceph-a"):
            mine = [
                one for one in events
                if one.payer == member and BUCKETS.get(one.bucket) == name and not one.marks & Mark.STORAGE
            ]  # fmt: skip
            found = {one.engine: one.usage for one in parts.get(member, ())}
            out = found[name].bytes_out if name in found else 0
            assert sum(one.bytes_out for one in mine) == out, (seed, name)
        told = await run.statement(books, member, OCTOBER, now_us=OCTOBER.end_us)
        of_sent = ("gb_out", "gb_out_peering", "gb_out_own")
        assert usage.bytes_out == sum(one["quantity"] for one in told["lines"] if one["service"] in of_sent)
        proof = await verify(books, member, OCTOBER, again, now_us=OCTOBER.end_us)
        assert ([], True) == (proof.differences, proof.agrees)
    for name in ("anna", "ben", "carla"):
        bundle = tmp_path / "bundles" / name
        bundle.parent.mkdir(exist_ok=True)
        done = weir(tmp_path, settings.database_url, name, "2026-10", "--to", str(bundle))
        assert 0 == done.returncode, done.stderr
        assert [] == wrong(bundle), (seed, name)
