"""Draws docs/dashboards from a real Weir under traffic: `python -m tests.observe`. A picture is no test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

from billing.charges.tariff import DEFAULT_TARIFF
from billing.run import set_tariff
from deploy.embedded import dsn, socket_directory
from deploy.founding import vault_path
from gateway.keys import create_key
from gateway.vault import Vault
from meter.postgres import connect
from meter.store import add_member
from meter.usage import MemberClass
from meter.window import Month
from tests.integration.test_up import client
from tests.observe.draw import picture
from tests.observe.faults import end_rclone
from tests.observe.place import wait_for
from tests.observe.rig import Rig, rig
from tests.observe.test_dashboards import ROOT, dashboards

PLACE = ROOT / "docs" / "dashboards"
TRAFFIC_S = 100


async def more_members(one: Rig) -> None:
    """Three more, each with something stored and read, and prices high enough that minutes of traffic cost something."""
    address, now_us = dsn(socket_directory(one.weir.data), database="weir"), time.time_ns() // 1000
    vault = Vault.open(vault_path(one.weir.data))
    connection = await connect(address)
    try:
        keys = []
        for name in ("anna", "ben", "choir"):
            member = await add_member(
                connection, name=name, member_class=MemberClass.USER, email="", now_us=now_us
            )
            keys.append(await create_key(connection, member.id, vault=vault, now_us=now_us))
        prices = DEFAULT_TARIFF.read_text("utf-8").replace('"2000-01"', f'"{Month.of(now_us)}"')
        await set_tariff(connection, prices.replace("0.01", "10").replace("0.006", "6"), now_us=now_us)
    finally:
        await connection.close()
    await asyncio.to_thread(store_some, one, keys)


def store_some(one: Rig, keys: list[tuple[str, str]]) -> None:
    """Each puts and reads an object of a few megabytes."""
    for number, (access_key, secret_key) in enumerate(keys, 1):
        with contextlib.closing(
            client({**one.ready, "access_key": access_key, "secret_key": secret_key})
        ) as s3:
            s3.create_bucket(Bucket=f"bucket-{number}")
            s3.put_object(Bucket=f"bucket-{number}", Key="a", Body=os.urandom(number * 3_000_000))
            for _ in range(4 - number):
                s3.get_object(Bucket=f"bucket-{number}", Key="a")["Body"].read()


def main() -> None:
    """Run for a while, let the upstream fail at the end, draw."""
    PLACE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="weir-pictures-") as name, rig(Path(name)) as one:
        one.weir.command("cost", "add", "--period", time.strftime("%Y-%m", time.gmtime()), "--pool", "transit", "--amount", "0.60")  # fmt: skip
        asyncio.run(more_members(one))
        wait_for(one.prometheus.is_scraping, within_s=60)
        start_s = time.time() + 5
        wait_for(lambda: time.time() > start_s + TRAFFIC_S, within_s=TRAFFIC_S + 60)
        end_rclone(one)
        wait_for(lambda: time.time() > start_s + TRAFFIC_S + 30, within_s=60)
        end_s = time.time()
        for name, dashboard in dashboards().items():
            (PLACE / f"{name}.svg").write_text(
                picture(dashboard, one.prometheus, start_s=start_s, end_s=end_s)
            )
            print(f"{name}.svg", file=sys.stderr)


if __name__ == "__main__":
    main()
