"""What each query touches: only the partitions of the months it asks about, by index, never a whole table.

The plans are PostgreSQL's own (EXPLAIN), of the very statements the store sends.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from meter import usage_store
from meter.ids import MemberId
from meter.window import Month
from tests.coop import Coop

MONTHS = [Month(2026, number) for number in range(1, 12)]
JUNE, AUGUST = Month(2026, 6), Month(2026, 8)
PART = re.compile(r"(reading|storage)(_day)?_\d{4}_\d\d")
TABLES = ("reading", "storage", "reading_day", "storage_day")
Query = Callable[[asyncpg.Connection], Awaitable[object]]

BETWEEN = {"start_us": JUNE.start_us, "end_us": JUNE.end_us}
QUERIES: dict[str, Query] = {
    "usage_between": lambda one: usage_store.usage_between(one, MemberId(7), **BETWEEN),
    "stored_between": lambda one: usage_store.stored_between(one, MemberId(7), **BETWEEN),
    "usage_rows": lambda one: usage_store.usage_rows(one, MemberId(7), **BETWEEN, by="day"),
    "stored_bytes": lambda one: usage_store.stored_bytes(one, MemberId(7)),
}
"""Every query by member; the others ask for everybody."""


@pytest_asyncio.fixture
async def filled(co_op: Coop) -> AsyncIterator[asyncpg.Connection]:
    """300 members × 4 buckets × 11 months × 10 hours, and one late reading of May that was booked to August."""
    owner = await co_op.owner()
    for month in MONTHS:
        day = date(month.year, month.number, 1)
        await owner.execute("SELECT meter.ensure_month($1)", day)
        for table, columns in (("reading", "2, 0, 1, 0, 0, 5, 7, 5, 7"), ("storage", None)):
            values = f"1, {columns}" if columns else "0, 3, 3 * extract(epoch FROM hour)::numeric * 1000000"
            await owner.execute(
                f"""
                INSERT INTO meter.{table}_{month.year}_{month.number:02d}
                SELECT $1::date, member, hour, bucket, {values}
                FROM generate_series($1::timestamp AT TIME ZONE 'UTC', $1::timestamp AT TIME ZONE 'UTC' + '9 h', '1 h') AS hour,
                    generate_series(1, 300) AS member, generate_series(1, 4) AS bucket
                """,
                day,
            )
    late = "('2026-08-01', 7, '2026-05-09Z'"
    await owner.execute(f"INSERT INTO meter.reading_2026_08 VALUES {late}, 1, 1, 2, 0, 1, 0, 0, 5, 7, 5, 7)")
    await owner.execute("ANALYZE")
    yield await co_op.connection("weir_office")


async def plans(connection: asyncpg.Connection, query: Query) -> list[tuple[str, dict[str, Any]]]:
    """(statement, plan) of each statement a query sends, planned anew with the same values."""
    sent: list[tuple[str, tuple[Any, ...]]] = []

    def note(found: asyncpg.connection.LoggedQuery) -> None:
        sent.append((found.query, found.args))

    with connection.query_logger(note):
        await query(connection)
    found = []
    for text, values in sent:
        told = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {text}", *values)
        found.append((text, json.loads(told)[0]["Plan"]))
    return found


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def touched(found: list[tuple[str, dict[str, Any]]]) -> set[str]:
    return {
        node["Relation Name"]
        for _, plan in found
        for node in nodes(plan)
        if PART.fullmatch(str(node.get("Relation Name", "")))
    }


@pytest.mark.parametrize("name", QUERIES)
async def test_a_member_s_month_is_found_by_index_in_its_own_partition(
    filled: asyncpg.Connection, name: str
) -> None:
    found = await plans(filled, QUERIES[name])
    # May was booked late to August, so that one query must look there, too; June was not.
    allowed = {f"{table}_2026_{month}" for table in TABLES for month in ("06", "08")}
    assert touched(found) <= allowed
    big = [
        node
        for _, plan in found
        for node in nodes(plan)
        if PART.fullmatch(str(node.get("Relation Name", ""))) or node.get("Relation Name") == "stored"
    ]
    assert big
    assert {"Seq Scan"}.isdisjoint(node["Node Type"] for node in big), [node["Node Type"] for node in big]
    conditions = [
        node["Index Cond"]
        for _, plan in found
        for node in nodes(plan)
        if "Index Name" in node and PART.match(str(node["Index Name"]))
    ]
    assert all("payer = " in one or "member = " in one for one in conditions), conditions


async def test_a_billing_month_touches_its_own_partitions_only(filled: asyncpg.Connection) -> None:
    found = await plans(filled, lambda one: usage_store.period_usage(one, JUNE))
    assert {"reading_day_2026_06", "storage_day_2026_06"} == touched(found)


async def test_late_usage_is_looked_for_where_it_was_booked(filled: asyncpg.Connection) -> None:
    may = Month(2026, 5)
    found = await plans(
        filled,
        lambda one: usage_store.usage_rows(
            one, MemberId(7), start_us=may.start_us, end_us=may.end_us, by="day"
        ),
    )
    assert {"reading_day_2026_05", "reading_day_2026_08"} == touched(found)
    used = await usage_store.usage_between(filled, MemberId(7), start_us=may.start_us, end_us=may.end_us)
    # A month is whole days, so not an hour of it need be looked at.
    assert (41, 41 * 7) == (used.requests_b, used.bytes_out)


async def test_what_was_stored_before_is_carried_and_comes_out_as_the_sum_over_all_history(
    filled: asyncpg.Connection,
) -> None:
    """The integral as it is defined, over every row there is, against what the store finds in one month."""
    before = await filled.fetchval(
        "SELECT sum(delta * $2::numeric - moment) - coalesce(sum(delta * $1::numeric - moment)"
        " FILTER (WHERE hour < to_timestamp($1::numeric / 1000000)), 0) FROM meter.storage"
        " WHERE member = 7 AND hour < to_timestamp($2::numeric / 1000000)",
        Decimal(AUGUST.start_us), Decimal(AUGUST.end_us),
    )  # fmt: skip
    used = await usage_store.usage_between(
        filled, MemberId(7), start_us=AUGUST.start_us, end_us=AUGUST.end_us
    )
    assert int(before) == used.byte_us
    assert int(before) == (await usage_store.period_usage(filled, AUGUST))[MemberId(7)].byte_us
    assert 11 * 10 * 4 * 3 == await usage_store.stored_bytes(filled, MemberId(7))
