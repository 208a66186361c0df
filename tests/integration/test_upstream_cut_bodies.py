"""An upstream that stores what came of a body that broke off gets a body when all of it is here, and its MD5 with it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from pathlib import Path

import pytest

from gateway.storage.model import NO_CONDITION, Arriving, ObjectProperties
from tests.engines.rogue import Rogue, running_rogue
from tests.integration.s3_kit import eventually
from tests.integration.test_upstream_failures import BUCKET, NOW_US, Told, before

SIZES = (1000, 300_000)
"""Sent at once anyway, and streamed to others."""
KEY = "/bucket/k"


class Careless(Rogue):
    """Stores what came."""

    async def body_of(self, reader: asyncio.StreamReader, announced: int) -> bytes:
        try:
            return await reader.readexactly(announced)
        except asyncio.IncompleteReadError as error:
            return error.partial

    def _done(
        self, method: str, target: str, headers: dict[str, str], body: bytes, *, other_etag: bool
    ) -> bytes:
        if method == "PUT":
            self.objects["md5"] = headers.get("content-md5", "").encode()
        return super()._done(method, target, headers, body, other_etag=other_etag)


async def put(told: Told, data: bytes) -> None:
    staged = await told.engine.stage(Arriving(BUCKET, "k", len(data)))
    assert staged.wants_md5
    await staged.write(data[:100])
    await staged.write(data[100:])
    await told.engine.put_object(
        BUCKET, "k", staged, etag=hashlib.md5(data).hexdigest(), properties=ObjectProperties(),
        condition=NO_CONDITION, now_us=NOW_US,
    )  # fmt: skip


async def give_up(told: Told, data: bytes) -> None:
    staged = await told.engine.stage(Arriving(BUCKET, "k", len(data)))
    await staged.write(data[:-1])
    await staged.discard()


@pytest.mark.parametrize("size", SIZES)
async def test_nothing_of_a_body_that_is_given_up_is_there(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    with running_rogue(kind=Careless) as rogue:
        async with before(rogue, tmp_path, features={"cut_bodies": False}) as told:
            await give_up(told, data)
            assert 0 == rogue.count("PUT")
            await put(told, data)
            assert data == rogue.objects[KEY]
            assert base64.b64encode(hashlib.md5(data).digest()) == rogue.objects["md5"]
            assert [size] == [one.delta_bytes for one in told.changes]


async def test_one_that_is_believed_to_drop_such_a_body_would_have_it(tmp_path: Path) -> None:
    """So the test above could fail; and others are sent no MD5 beforehand."""
    data = os.urandom(SIZES[1])
    with running_rogue(kind=Careless) as rogue:
        async with before(rogue, tmp_path) as told:
            await give_up(told, data)
            assert await asyncio.to_thread(eventually, lambda: KEY in rogue.objects)
            assert 0 < len(rogue.objects[KEY]) < len(data)
            assert b"" == rogue.objects["md5"]
