"""The settlement of a move: the second copy's stored bytes are taken off its member's bill, by corrections."""

from __future__ import annotations

import asyncio

from deploy.desk import Desk, ship_up_to_now
from deploy.instants import instant_text
from gateway.call import Bucket
from gateway.move_store import Move
from gateway.moving.settling import corrections, extra, missing
from meter.correcting import enter
from meter.correction import CORRECTION_BYTES_MAX, CorrectionKind
from meter.correction_store import of_buckets
from meter.event import Event
from meter.requests import Search, search
from meter.window import MICROSECONDS

SPAN_US_MIN = MICROSECONDS
"""The shortest time over which a move is settled, however soon it was over."""


async def settle(desk: Desk, move: Move, bucket: Bucket, *, switched_us: int) -> int:
    """Enter what is missing of it; how many corrections. May be done again. Raises Refusal."""
    end_us = max(switched_us, move.started_us + SPAN_US_MIN)
    # A move can be over sooner; a correction is only of what has happened.
    await asyncio.sleep(min(max(end_us - desk.now_us, 0), SPAN_US_MIN) / MICROSECONDS)
    await ship_up_to_now(desk)
    settings = desk.meter.model_copy(update={"data": desk.data})
    now_us = desk.now_us
    wanted_of = Search(
        bucket.owner, move.started_us, now_us, frozenset((move.bucket, move.target)), storage=True
    )

    def changes() -> list[Event]:
        return [found.event for found in search(settings.journal_directory, wanted_of)]

    byte_us = extra(
        await asyncio.to_thread(changes), source=move.bucket, target=move.target, switched_us=switched_us,
        ended_us=now_us,
    )  # fmt: skip
    wanted = corrections(
        byte_us, member=bucket.owner, start_us=move.started_us, end_us=end_us,
        why=f"{bucket.name} had two copies while it went from {move.source_engine} to {move.target_engine}, begun"
        f" {instant_text(move.started_us)}; only one is billed",
    )  # fmt: skip
    assert all(abs(one.stored_bytes) <= CORRECTION_BYTES_MAX for one in wanted), (
        "a bucket is smaller than that"
    )
    async with desk.connected("weir_meter") as connection:
        entered = [
            one.correction
            for one in await of_buckets(connection, [move.bucket, move.target])
            if one.correction.kind is CorrectionKind.MOVE
        ]
        left = missing(wanted, entered)
        for one in left:
            await enter(connection, settings, one, now_us=desk.now_us)
    if left:
        await ship_up_to_now(desk)
    return len(left)
