"""Each engine has its own cost pools: two members who use the same pay what their own engine costs."""

from __future__ import annotations

from datetime import date

from billing.costs.costing import add_cost, set_pool
from billing.costs.run import post_trueup, shared
from billing.run import close
from meter.engine_usage_store import engine_usage
from meter.ids import MemberId
from meter.store import part_name
from meter.usage_store import period_usage
from meter.window import DAY_US, to_datetime
from tests.coop import NOVEMBER, NOW, OCTOBER, SEPTEMBER, Coop

GB = 10**9


async def use(co_op: Coop, member: MemberId, bucket: int, *, bytes_out: int, stored: int) -> None:
    """A day of October: bytes sent, and bytes stored from its second day on."""
    meter = await co_op.connection("weir_meter")
    period = date(OCTOBER.year, OCTOBER.number, 1)
    await meter.execute("SELECT meter.ensure_month($1)", period)
    at_us = OCTOBER.start_us + DAY_US
    await meter.execute(
        f"INSERT INTO {part_name('reading', period)} VALUES ($1, $2, $3, $4, 1, 2, 0, 1, 0, 0, 0, $5, 0, $5)",
        period, member, to_datetime(at_us), bucket, bytes_out,
    )  # fmt: skip
    await meter.execute(
        f"INSERT INTO {part_name('storage', period)} VALUES ($1, $2, $3, $4, 0, $5, $5::numeric * $6::numeric)",
        period, member, to_datetime(at_us), bucket, stored, at_us,
    )  # fmt: skip


async def test_the_bill_follows_the_placement(co_op: Coop) -> None:
    """By hand: anna and ben each sent 60 GB (60.00 charged). The disk cost 20.00 and ceph-a 90.00 in October.

    Anna is on the disk, ben on ceph-a; carla used both by half: 20 GB each. The disk: anna 60/80 of 20.00 = 15.00,
    carla 5.00. ceph-a: ben 60/80 of 90.00 = 67.50, carla 22.50. Charged 60.00, 60.00 and 40.00: anna gets 45.00
    back, ben pays 7.50 more, carla gets 12.50 back.
    """
    anna, ben, carla = await co_op.found("anna", "ben", "carla")
    owner, books = await co_op.owner(), await co_op.books()
    await owner.execute("INSERT INTO meter.bucket_engine VALUES (8, 'ceph-a'), (9, 'disk')")
    for member, bucket, sent in ((anna, 9, 60), (ben, 8, 60), (carla, 7, 20), (carla, 8, 20)):
        await use(co_op, member, bucket, bytes_out=sent * GB, stored=bucket * GB)
    everyone = await period_usage(owner, OCTOBER)
    found = {
        name: await engine_usage(owner, OCTOBER, name, until_us=OCTOBER.end_us) for name in ("disk", "ceph-a")
    }
    for member, whole in everyone.items():
        both = [of[member] for of in found.values() if member in of]
        assert whole.bytes_out == sum(one.bytes_out for one in both)
        assert whole.byte_us == sum(one.byte_us for one in both)
    assert 9 * GB * (OCTOBER.end_us - OCTOBER.start_us - DAY_US) == found["disk"][anna].byte_us
    for pool, key, amount in (("disks", "gb_out@disk", "20.00"), ("ceph", "gb_out@ceph-a", "90.00")):
        await set_pool(books, name=pool, month=SEPTEMBER, key=key, memo="", now_us=NOW)
        await add_cost(books, month=OCTOBER, pool=pool, amount=amount, memo="invented", now_us=NOW)
    await close(books, SEPTEMBER, now_us=NOW)
    await close(books, OCTOBER, now_us=NOW)
    done = await shared(books, OCTOBER, now_us=NOW)
    assert {"disks": {anna: 1500, carla: 500}, "ceph": {ben: 6750, carla: 2250}} == done.parts
    month, adjusted = await post_trueup(books, OCTOBER, now_us=NOW)
    assert NOVEMBER == month
    assert {anna: 4500, ben: -750, carla: 1750 - 500} == {
        one.member: one.difference_minor for one in adjusted
    }
