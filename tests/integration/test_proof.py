"""A closed month from raw segments to the statement, bit for bit; and what happens when somebody lies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from billing import run
from billing.costs import costing
from billing.month.proof import verify
from meter import store
from meter.event import RequestClass
from meter.ids import MemberId
from meter.journal import Journal
from meter.postgres import Connection
from meter.recount import recount
from meter.settings import MeterSettings
from meter.shipper import ship_everything
from meter.usage import Usage
from meter.window import HOUR_US
from tests.coop import OCTOBER, Coop
from tests.events import PLAIN, stored


@pytest.fixture
def settings(tmp_path: Path, database: str) -> MeterSettings:
    return MeterSettings(data=tmp_path, database_url=database, journal_segment_bytes_max=2**16)


async def recounted(books: Connection, settings: MeterSettings) -> dict[MemberId, Usage]:
    marks = await store.watermarks(books)
    return recount(settings.journal_directory, OCTOBER, marks, up_to=marks[OCTOBER])


async def closed_october(co_op: Coop, settings: MeterSettings) -> list[MemberId]:
    """Two members' October out of the journal, with costs, closed."""
    members = await co_op.found("alice", "bob")
    noon = OCTOBER.start_us + 12 * HOUR_US
    journal = Journal(
        settings.journal_directory / "worker-0", segment_bytes_max=2**16, segment_age_max_s=3600, now_us=noon
    )
    for number in range(1500):
        journal.append(
            PLAIN._replace(
                payer=members[number % 3 % 2],
                request_class=RequestClass.B,
                bytes_out=10_000_000 + number,
                began_us=noon + number,
                ended_us=noon + number,
            )
        )
    journal.append(stored(5_000, noon)._replace(payer=members[0]))
    journal.close()
    assert 0 == await ship_everything(settings, settings.database_url)
    books = await co_op.books()
    await costing.add_cost(
        books, month=OCTOBER, pool="transit", amount="9.99", memo="uplink", now_us=OCTOBER.end_us
    )
    await run.close(books, OCTOBER, now_us=OCTOBER.end_us + HOUR_US)
    return members


async def test_a_closed_month_follows_from_the_segments_bit_for_bit(
    co_op: Coop, settings: MeterSettings
) -> None:
    members = await closed_october(co_op, settings)
    books = await co_op.books()
    for member in members:
        told = await verify(
            books, member, OCTOBER, await recounted(books, settings), now_us=OCTOBER.end_us + 2 * HOUR_US
        )
        assert told.agrees, told.differences
        assert told.stored_digest == told.recomputed_digest


async def test_usage_after_the_closing_does_not_change_the_proof(
    co_op: Coop, settings: MeterSettings
) -> None:
    members = await closed_october(co_op, settings)
    late = Journal(
        settings.journal_directory / "worker-0",
        segment_bytes_max=2**16,
        segment_age_max_s=3600,
        now_us=OCTOBER.end_us,
    )
    late.append(PLAIN._replace(payer=members[0], ended_us=OCTOBER.start_us + HOUR_US, bytes_out=77))
    late.close()
    assert 0 == await ship_everything(settings, settings.database_url)
    books = await co_op.books()
    told = await verify(
        books, members[0], OCTOBER, await recounted(books, settings), now_us=OCTOBER.end_us + 2 * HOUR_US
    )
    assert told.agrees, told.differences


async def test_a_count_that_differs_by_one_byte_is_named(co_op: Coop, settings: MeterSettings) -> None:
    members = await closed_october(co_op, settings)
    books = await co_op.books()
    counted = await recounted(books, settings)
    counted[members[0]] = replace(counted[members[0]], bytes_out=counted[members[0]].bytes_out + 1)
    told = await verify(books, members[0], OCTOBER, counted, now_us=OCTOBER.end_us + 2 * HOUR_US)
    assert not told.agrees
    assert told.differences
    assert "alice" in told.differences[0]
