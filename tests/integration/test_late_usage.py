"""What becomes known after its month was closed: lines of its own on the next bill, and a proof that still agrees."""

from __future__ import annotations

from pathlib import Path

import pytest

from billing import run
from billing.costs import costing
from billing.month.proof import verify
from meter import store
from meter.event import Event, Mark, Zone
from meter.ids import MemberId
from meter.journal import Journal
from meter.postgres import Connection
from meter.recount import recount
from meter.refusal import Refusal
from meter.settings import MeterSettings
from meter.shipper import ship_everything
from meter.store import add_member
from meter.usage import Late, MemberClass, Usage
from meter.usage_store import period_usage
from meter.window import HOUR_US, Month
from tests.coop import NOVEMBER, OCTOBER, SEPTEMBER, TARIFF, Coop
from tests.events import PLAIN, stored

GB = 10**9
OVER = NOVEMBER.end_us + HOUR_US


@pytest.fixture
def settings(tmp_path: Path, database: str) -> MeterSettings:
    return MeterSettings(data=tmp_path, database_url=database, journal_segment_bytes_max=2**16)


async def ship(settings: MeterSettings, *events: Event) -> None:
    """As worker-0 would have written them."""
    journal = Journal(
        settings.journal_directory / "worker-0", segment_bytes_max=2**16, segment_age_max_s=3600,
        now_us=OCTOBER.start_us,
    )  # fmt: skip
    for event in events:
        journal.append(event)
    journal.close()
    assert 0 == await ship_everything(settings, settings.database_url)


def sent(month: Month, count: int, *, zone: Zone = Zone.INTERNET, mark: Mark = Mark.NONE) -> Event:
    at = month.start_us + 36 * HOUR_US
    return PLAIN._replace(bytes_in=0, bytes_out=count, zone=zone, marks=mark, began_us=at, ended_us=at)


async def again(books: Connection, settings: MeterSettings, month: Month) -> dict[MemberId, Usage]:
    return recount(
        settings.journal_directory,
        month,
        await store.watermarks(books),
        up_to=await store.stream_places(books),
    )


async def november_with_late_usage(co_op: Coop, settings: MeterSettings) -> tuple[MemberId, Connection]:
    """October closed with 1 GB. Then become known: 2 GB of September, 3 of October over peering, half a GB of October
    taken back, 1,000 bytes stored since October's last two hours; 4 GB of November itself, at twice the price.
    """
    (alice,) = await co_op.found("alice")
    books = await co_op.books()
    dearer = TARIFF.replace('gb_out = "1.00"', 'gb_out = "2.00"').replace("2026-01", "2026-11")
    await run.set_tariff(books, dearer, now_us=OCTOBER.start_us)
    await ship(settings, sent(OCTOBER, GB))
    await costing.add_cost(books, month=OCTOBER, pool="rack", amount="1", memo="", now_us=OCTOBER.end_us)
    await run.close(books, OCTOBER, now_us=OCTOBER.end_us + HOUR_US)
    await ship(
        settings,
        sent(SEPTEMBER, 2 * GB),
        sent(OCTOBER, 3 * GB, zone=Zone.PEERING),
        sent(OCTOBER, -GB // 2, mark=Mark.CORRECTION),
        stored(1000, OCTOBER.end_us - 2 * HOUR_US),
        sent(NOVEMBER, 4 * GB),
    )
    return alice, books


async def test_late_usage_is_told_apart_by_its_month_in_the_sums_and_in_the_recount(
    co_op: Coop, settings: MeterSettings
) -> None:
    alice, books = await november_with_late_usage(co_op, settings)
    used = (await period_usage(books, NOVEMBER))[alice]
    assert (
        Late(SEPTEMBER, False, bytes_out=2 * GB, requests_a=1),
        Late(
            OCTOBER, False, bytes_out=3 * GB, bytes_out_peering=3 * GB, requests_a=1, byte_us=2000 * HOUR_US
        ),
        Late(OCTOBER, True, bytes_out=-GB // 2),
    ) == used.late
    assert 8_500_000_000 == used.bytes_out
    assert used == (await again(books, settings, NOVEMBER))[alice]
    october = (await period_usage(books, OCTOBER))[alice]
    assert ((), GB) == (october.late, october.bytes_out)
    assert october == recount(
        settings.journal_directory, OCTOBER, await store.watermarks(books),
        up_to=(await store.watermarks(books))[OCTOBER],
    )[alice]  # fmt: skip


async def test_late_stored_bytes_count_in_every_month_they_were_there(
    co_op: Coop, settings: MeterSettings
) -> None:
    """Since September's last hour, known in November: an hour of September, all of October, all of November."""
    (alice,) = await co_op.found("alice")
    books = await co_op.books()
    await run.close(books, OCTOBER, now_us=OCTOBER.end_us)
    await ship(settings, stored(7, SEPTEMBER.end_us - HOUR_US))
    used = (await period_usage(books, NOVEMBER))[alice]
    october_us = OCTOBER.end_us - OCTOBER.start_us
    assert (
        Late(SEPTEMBER, False, byte_us=7 * HOUR_US),
        Late(OCTOBER, False, byte_us=7 * october_us),
    ) == used.late
    assert 7 * (HOUR_US + october_us + NOVEMBER.end_us - NOVEMBER.start_us) == used.byte_us
    assert used == (await again(books, settings, NOVEMBER))[alice]


async def test_the_statement_names_the_month_and_charges_its_price(
    co_op: Coop, settings: MeterSettings
) -> None:
    alice, books = await november_with_late_usage(co_op, settings)
    await run.close(books, NOVEMBER, now_us=OVER)
    told = await run.statement(books, alice, NOVEMBER, now_us=OVER)
    assert [
        ("Sent to readers", 800),
        ("Sent to readers, late usage of 2026-09", 200),
        ("Sent to readers, late usage of 2026-10", 300),
        ("Sent to readers, correction of 2026-10", -50),
    ] == [(one["words"], one["amount_minor"]) for one in told["lines"] if one["amount_minor"]]
    assert 1250 == told["charges_minor"]


async def test_the_counts_alone_are_those_of_the_statement(co_op: Coop, settings: MeterSettings) -> None:
    """Open, with others and late usage and a correction in it; closed; and refused where there is no statement."""
    alice, books = await november_with_late_usage(co_op, settings)
    (owner, middle) = (await co_op.owner(), NOVEMBER.start_us + 20 * 24 * HOUR_US)
    await add_member(owner, name="idle", member_class=MemberClass.USER, email="", now_us=NOVEMBER.start_us)
    for now in (middle, OVER):
        for member in (alice, MemberId(alice + 1)):
            counts = await run.counted(books, member, NOVEMBER, now_us=now)
            told = await run.statement(books, member, NOVEMBER, now_us=now)
            assert dict(counts) == {name: told["usage"][name] for name in counts}
            assert {"bytes_in", "bytes_out", "requests_a", "requests_b"} == set(counts)
    assert 8_500_000_000 == (await run.counted(books, alice, NOVEMBER, now_us=middle))["bytes_out"]
    await run.close(books, NOVEMBER, now_us=OVER)
    assert 8_500_000_000 == (await run.counted(books, alice, NOVEMBER, now_us=OVER))["bytes_out"]
    for member, month, words in (
        (MemberId(alice + 2), NOVEMBER.next(), "not a member then"),
        (alice, NOVEMBER.next().next(), "not begun"),
    ):
        with pytest.raises(Refusal, match=words):
            await run.counted(books, member, month, now_us=OVER)


async def test_a_closing_with_late_usage_follows_from_the_segments(
    co_op: Coop, settings: MeterSettings
) -> None:
    alice, books = await november_with_late_usage(co_op, settings)
    done = await run.close(books, NOVEMBER, now_us=OVER)
    told = await verify(books, alice, NOVEMBER, await again(books, settings, NOVEMBER), now_us=OVER)
    assert (True, [], done.digest) == (told.agrees, told.differences, told.recomputed_digest)


async def test_samples_hold_every_byte_that_is_no_correction(co_op: Coop, settings: MeterSettings) -> None:
    _, books = await november_with_late_usage(co_op, settings)
    sums = "SELECT sum(bytes_in)::bigint, sum(bytes_out)::bigint FROM meter."
    rows = [await books.fetchrow(f"{sums}{name}") for name in ("sample", "reading WHERE NOT correction")]
    assert [(0, 10 * GB)] * 2 == [tuple(row) for row in rows]
    slots = await books.fetch("SELECT slot, zone, bytes_out FROM meter.sample ORDER BY bytes_out")
    assert [GB, 2 * GB, 3 * GB, 4 * GB] == [row["bytes_out"] for row in slots]
    assert [0, 0, 1, 0] == [row["zone"] for row in slots]
