"""Bodies so long that they are read past the HTTP parser: what is stored, and what follows on the connection."""

from __future__ import annotations

import asyncio
import random
import socket
from typing import Any

import pytest

from gateway.intake import BLOCK_BYTES_MAX, BLOCKS, Blocks, Intake, Lane
from tests.gateway import Credentials, RunningGateway
from tests.integration.s3_kit import SIGNED_CHUNKS, UNSIGNED, line, sign, signed_chunks

LONG_BYTES = 5 * 2**20 + 12_345


@pytest.mark.parametrize("payload", [UNSIGNED, SIGNED_CHUNKS])
def test_what_follows_a_long_body_in_the_same_breath_is_the_next_request(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, bucket: str, payload: str
) -> None:
    data = random.Random(7).randbytes(LONG_BYTES)
    more = {"x-amz-decoded-content-length": str(len(data))} if payload == SIGNED_CHUNKS else {}
    signed = sign(s3_gateway, anna, "PUT", f"/{bucket}/long", payload=payload, headers=more)
    body = signed_chunks(signed, [data]) if more else data
    short = sign(s3_gateway, anna, "PUT", f"/{bucket}/short").whole(b"next")
    with line(s3_gateway) as one:
        for _ in range(2):
            one.send(signed.head(Content_Length=str(len(body))) + body + short)
            assert [200, 200] == [one.answer().status, one.answer().status]
    assert data == s3.get_object(Bucket=bucket, Key="long")["Body"].read()
    assert b"next" == s3.get_object(Bucket=bucket, Key="short")["Body"].read()


async def test_blocks_keep_the_order_whatever_is_slow() -> None:
    """Writing waits for a few turns now and then, hashing runs in a thread: both see the bytes as they came."""
    chance = random.Random(8)
    data = chance.randbytes(1_000_003)
    hashed, written = bytearray(), bytearray()

    async def write(block: memoryview) -> None:
        for _ in range(chance.randrange(5)):
            await asyncio.sleep(0)
        written.extend(block)

    lane = Lane(hashed.extend)
    blocks = Blocks(hash_block=lane.put, write=write, body_bytes=10**6, block_bytes_min=4096, memory_bytes=0)
    for start in range(0, len(data), 10_007):
        await blocks.add(data[start : start + 10_007])
    await blocks.finish()
    await blocks.close()
    assert (data, data) == (bytes(hashed), bytes(written))


async def test_a_write_that_fails_is_raised_and_no_later_block_is_written() -> None:
    tried: list[int] = []

    async def write(block: memoryview) -> None:
        tried.append(block[0])
        raise OSError("the disk is gone")

    blocks = Blocks(
        hash_block=Lane(bytes).put, write=write, body_bytes=10**6, block_bytes_min=4096, memory_bytes=0
    )
    with pytest.raises(OSError, match="the disk is gone"):
        await blocks.add(b"".join(bytes([number]) * 4096 for number in range(10)))
    await blocks.close()
    assert [0] == tried


async def test_many_bodies_at_once_have_small_blocks() -> None:
    async def write(block: memoryview) -> None:
        del block

    def one_more(body_bytes: int = 10**9) -> Blocks:
        return Blocks(
            hash_block=Lane(bytes).put, write=write, body_bytes=body_bytes, block_bytes_min=65_536,
            memory_bytes=BLOCKS * 2**21,
        )  # fmt: skip

    opened = [one_more() for _ in range(40)]
    sizes = [len(blocks.room) for blocks in opened]
    for blocks in opened:
        await blocks.close()
    assert [BLOCK_BYTES_MAX, BLOCK_BYTES_MAX, 2**21 // 3, 2**19] == sizes[:4]
    assert 65_536 == sizes[-1]
    for body_bytes, expected in ((10**9, BLOCK_BYTES_MAX), (70_000, 70_000)):
        alone = one_more(body_bytes)
        assert expected == len(alone.room)
        await alone.close()


async def test_an_intake_never_takes_what_belongs_to_the_next_request() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.sendall(b"bodynext")
    intake = Intake(ours.fileno(), left_bytes=4)
    room = memoryview(bytearray(100))
    assert (4, b"body", 0) == (intake.take(room), bytes(room[:4]), intake.left_bytes)
    intake.close()
    assert b"next" == ours.recv(100)
    ours.close()
    theirs.close()


async def test_a_sender_that_ends_early_is_an_error_and_one_that_pauses_is_not() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    intake = Intake(ours.fileno(), left_bytes=4)
    room = memoryview(bytearray(100))
    assert 0 == intake.take(room)
    theirs.send(b"b")
    await asyncio.wait_for(intake.readable(), 10)
    assert 1 == intake.take(room)
    theirs.close()
    await asyncio.wait_for(intake.readable(), 10)
    with pytest.raises(ConnectionError):
        intake.take(room)
    intake.close()
    ours.close()
