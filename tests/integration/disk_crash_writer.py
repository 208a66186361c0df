"""Writes objects until it is killed; prints a line before it begins one and a line once it is answered.

Arguments: DIRECTORY NAME SEED FIRST_VERSION. Bytes follow from the key and version alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import sys
from itertools import count
from pathlib import Path

from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import DiskEngine, open_engine
from gateway.storage.model import Arriving, BucketRules, Condition, Deletion, ObjectProperties, Versioning
from meter.ids import BucketId, MemberId

BUCKET = BucketId(1)
SIZES = (0, 100, 1024, 1025, 20_000, 900_000)
WRITERS = 4


def bytes_of(key: str, version: int, size: int) -> bytes:
    return hashlib.shake_128(f"{key}:{version}".encode()).digest(size)


VERSIONED_FROM = 2000
"""From this first version on the bucket keeps old versions: every kind of write moves rows, too."""


async def _put(engine: DiskEngine, key: str, version: int, size: int) -> None:
    staged = await engine.stage(Arriving(BUCKET, "key", 0))
    data = bytes_of(key, version, size)
    for start in range(0, size, 65_536):
        await staged.write(data[start : start + 65_536])
    await engine.put_object(
        BUCKET,
        key,
        staged,
        etag=str(version),
        properties=ObjectProperties(),
        condition=Condition(),
        now_us=1,
    )


async def _put_parts(engine: DiskEngine, key: str, version: int, size: int) -> None:
    upload = await engine.create_upload(
        BUCKET, key, properties=ObjectProperties(), checksum_algorithm="", checksum_kind="", now_us=1
    )
    data = bytes_of(key, version, size)
    parts = []
    for number, (start, stop) in enumerate(((0, size // 2), (size // 2, size)), start=1):
        staged = await engine.stage(Arriving(BUCKET, "key", 0))
        await staged.write(data[start:stop])
        await engine.put_part(
            BUCKET, key, upload.upload_id, number, staged, etag="p", checksum=None, now_us=1
        )
        parts.append((number, "p"))
    await engine.complete_upload(
        BUCKET,
        key,
        upload.upload_id,
        parts,
        etag=str(version),
        checksum=None,
        condition=Condition(),
        part_bytes_min=0,
        now_us=1,
    )


async def _write(engine: DiskEngine, name: str, dice: random.Random, first: int) -> None:
    for version in count(first):
        key = f"{name}/{dice.randrange(20)}"
        size = dice.choice(SIZES)
        action = dice.choice(("put", "put", "put", "parts", "delete"))
        print("begin", action, key, version, size, flush=True)
        if action == "put":
            await _put(engine, key, version, size)
        elif action == "parts":
            await _put_parts(engine, key, version, size)
        else:
            await engine.delete_objects(BUCKET, [Deletion(key)], now_us=1)
        print("done", action, key, version, size, flush=True)


async def main(directory: str, name: str, seed: str, first_version: str) -> None:
    engine = await open_engine(Path(directory), GatewaySettings(inline_bytes_max=1024))
    await engine.create_bucket(BUCKET, owner=MemberId(1))
    if int(first_version) >= VERSIONED_FROM:
        await engine.set_bucket_rules(BUCKET, BucketRules(Versioning.ENABLED))
    await asyncio.gather(
        *(
            _write(engine, f"{name}{n}", random.Random(f"{seed}{name}{n}"), int(first_version))
            for n in range(WRITERS)
        )
    )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
