"""A resolution into the books: looked at against the register of its day, then entered under the books' lock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from billing import store as books_store
from billing.governance import store
from billing.governance.decisions import Resolution, check_resolution
from billing.register import store as register_store
from billing.register.operations import voters_at
from meter.postgres import Connection
from meter.window import DAY_US, to_datetime, to_us


async def check(connection: Connection, asked: Resolution, *, now_us: int) -> None:
    """Refuse what no body could have decided. Raises Refusal naming the field."""
    day = asked.decided_on
    # The end of the day: who was admitted by the meeting itself may have voted in it.
    until_us = to_us(datetime(day.year, day.month, day.day, tzinfo=UTC)) + DAY_US - 1
    voters = voters_at(await register_store.operations(connection), until_us)
    check_resolution(asked, today=to_datetime(now_us).date(), voters=voters)


async def enter(connection: Connection, checked: Resolution) -> Resolution:
    """Enter what check() let pass; with the id it got."""
    async with connection.transaction():
        await books_store.lock_books(connection)
        return replace(checked, id=await store.insert_resolution(connection, checked))
