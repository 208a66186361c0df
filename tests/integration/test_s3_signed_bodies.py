"""Every way a body may be protected, signed by an independent signer; and every way it may lie."""

from __future__ import annotations

import base64
import binascii
import hashlib
import random
from typing import Any

import pytest
from awscrt import checksums

from tests.gateway import Credentials, RunningGateway
from tests.integration.s3_kit import (
    SIGNED_CHUNKS,
    SIGNED_TRAILER,
    UNSIGNED,
    UNSIGNED_TRAILER,
    Answer,
    ask,
    eventually,
    left,
    line,
    plain_chunks,
    sign,
    signed_chunks,
)

pytestmark = pytest.mark.every_engine(without=("rclone",))

CHECKSUMS = {
    "crc32": lambda data: binascii.crc32(data).to_bytes(4, "big"),
    "crc32c": lambda data: checksums.crc32c(data).to_bytes(4, "big"),
    "crc64nvme": lambda data: checksums.crc64nvme(data).to_bytes(8, "big"),
    "sha1": lambda data: hashlib.sha1(data).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
}
SIZES = [0, 10, 70_000, 1_500_000]


def checksum(name: str, data: bytes) -> str:
    """As it stands in a header or trailer."""
    return base64.b64encode(CHECKSUMS[name](data)).decode()


def body_of(size: int) -> bytes:
    """Bytes that repeat nowhere."""
    return random.Random(size).randbytes(size)


def cut(data: bytes, size: int = 65536) -> list[bytes]:
    """In chunks."""
    return [data[at : at + size] for at in range(0, len(data), size)]


class Door:
    """Puts one key of one bucket in raw requests, and looks at what became of it."""

    def __init__(self, gateway: RunningGateway, credentials: Credentials, s3: Any, bucket: str) -> None:
        self.gateway, self.credentials, self.s3, self.bucket = gateway, credentials, s3, bucket

    def sign(self, payload: str, data: bytes, **headers: str) -> Any:
        """A PUT of the data in that mode."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if payload.startswith("STREAMING"):
            named = {
                "x-amz-decoded-content-length": str(len(data)),
                "content-encoding": "aws-chunked",
            } | named
        return sign(
            self.gateway, self.credentials, "PUT", f"/{self.bucket}/k", payload=payload, headers=named
        )

    def ask(self, data: bytes) -> Answer:
        """On a fresh connection."""
        return ask(self.gateway, data)

    def stored(self) -> bytes | None:
        """What stands under the key."""
        try:
            body: bytes = self.s3.get_object(Bucket=self.bucket, Key="k")["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return None
        return body

    def refuses(self, data: bytes, code: str) -> None:
        """The request is answered with the code and leaves nothing at all behind."""
        before = left(self.gateway)
        assert code == self.ask(data).code
        assert None is self.stored()
        assert before == left(self.gateway)


@pytest.fixture
def door(s3_gateway: RunningGateway, anna: Credentials, s3: Any, bucket: str) -> Door:
    """A door to a bucket of its own."""
    return Door(s3_gateway, anna, s3, bucket)


@pytest.mark.parametrize("size", SIZES)
def test_a_hashed_an_unsigned_and_a_chunked_body_are_stored_alike(door: Door, size: int) -> None:
    data = body_of(size)
    hashed = door.sign(hashlib.sha256(data).hexdigest(), data).whole(data)
    unsigned = door.sign(UNSIGNED, data, content_md5=base64.b64encode(hashlib.md5(data).digest()).decode())
    in_chunks = door.sign(SIGNED_CHUNKS, data)
    framed = in_chunks.whole(signed_chunks(in_chunks, cut(data)))
    for request in (hashed, unsigned.whole(data), framed):
        assert 200 == door.ask(request).status
        assert data == door.stored()
        door.s3.delete_object(Bucket=door.bucket, Key="k")


@pytest.mark.parametrize("name", CHECKSUMS)
@pytest.mark.parametrize("payload", [SIGNED_TRAILER, UNSIGNED_TRAILER])
def test_a_trailer_of_every_checksum_is_verified_and_kept(door: Door, payload: str, name: str) -> None:
    for size in SIZES:
        data = body_of(size)
        trailer = {f"x-amz-checksum-{name}": checksum(name, data)}
        signed = door.sign(payload, data, x_amz_trailer=f"x-amz-checksum-{name}")
        chunked = signed_chunks(signed, cut(data), trailer=trailer)
        answer = door.ask(
            signed.whole(chunked if payload == SIGNED_TRAILER else plain_chunks(cut(data), trailer=trailer))
        )
        assert (200, checksum(name, data)) == (answer.status, answer.headers[f"x-amz-checksum-{name}"])
        assert data == door.stored()


def test_chunks_of_any_size_that_arrive_in_dribs_are_one_body(door: Door, seed: int) -> None:
    chance = random.Random(seed)
    data = body_of(300_000)
    pieces, at = [], 0
    while at < len(data):
        size = chance.choice([1, 100, 8192, 65536])
        pieces.append(data[at : at + size])
        at += size
    signed = door.sign(SIGNED_CHUNKS, data)
    request = signed.whole(signed_chunks(signed, pieces))
    with line(door.gateway) as open_line:
        while request:
            size = chance.choice([1, 90, 5000])
            open_line.send(request[:size])
            request = request[size:]
        assert 200 == open_line.answer().status
    assert data == door.stored()


@pytest.mark.parametrize("size", [10, 70_000, 1_500_000])
@pytest.mark.parametrize("wrong", ["sha256", "md5", "checksum"])
def test_a_body_that_is_not_what_was_promised_is_refused(door: Door, wrong: str, size: int) -> None:
    data = body_of(size)
    other = b"!" + data[1:]
    match wrong:
        case "sha256":
            door.refuses(
                door.sign(hashlib.sha256(other).hexdigest(), data).whole(data), "XAmzContentSHA256Mismatch"
            )
        case "md5":
            md5 = base64.b64encode(hashlib.md5(other).digest()).decode()
            door.refuses(door.sign(UNSIGNED, data, content_md5=md5).whole(data), "BadDigest")
        case _:
            signed = door.sign(UNSIGNED, data, x_amz_checksum_crc32=checksum("crc32", other))
            door.refuses(signed.whole(data), "BadDigest")


@pytest.mark.parametrize("size", [200_000, 1_500_000])
@pytest.mark.parametrize("at", [0, 1, -1])
def test_a_chunk_with_a_wrong_signature_or_other_bytes_is_refused(door: Door, at: int, size: int) -> None:
    data = body_of(size)
    signed = door.sign(SIGNED_CHUNKS, data)
    body = signed_chunks(signed, cut(data))
    marks = [place for place in range(len(body)) if body.startswith(b"chunk-signature=", place)]
    place = marks[at] + len(b"chunk-signature=")
    forged = body[:place] + (b"1" if body[place : place + 1] == b"0" else b"0") + body[place + 1 :]
    door.refuses(signed.whole(forged), "SignatureDoesNotMatch")
    inside = marks[0] + len(b"chunk-signature=") + 64 + 2 + 5
    changed = body[:inside] + bytes([body[inside] ^ 1]) + body[inside + 1 :]
    door.refuses(signed.whole(changed), "SignatureDoesNotMatch")


def test_chunks_in_another_order_are_refused(door: Door) -> None:
    pieces = cut(body_of(200_000))
    signed = door.sign(SIGNED_CHUNKS, b"".join(pieces))
    body = signed_chunks(signed, pieces)
    frame = 65536 + len("10000;chunk-signature=") + 64 + 4
    swapped = body[frame : 2 * frame] + body[:frame] + body[2 * frame :]
    door.refuses(signed.whole(swapped), "SignatureDoesNotMatch")


@pytest.mark.parametrize("payload", [SIGNED_CHUNKS, SIGNED_TRAILER, UNSIGNED_TRAILER])
@pytest.mark.parametrize("lie", [-1, 1, 100_000])
def test_a_lying_decoded_length_is_refused(door: Door, payload: str, lie: int) -> None:
    data = body_of(150_000)
    trailer = {"x-amz-checksum-crc32": checksum("crc32", data)}
    more = {} if payload == SIGNED_CHUNKS else {"x_amz_trailer": "x-amz-checksum-crc32"}
    signed = door.sign(payload, data, x_amz_decoded_content_length=str(len(data) + lie), **more)
    if payload == UNSIGNED_TRAILER:
        body = plain_chunks(cut(data), trailer=trailer)
    else:
        body = signed_chunks(signed, cut(data), trailer=trailer if more else None)
    door.refuses(signed.whole(body), "IncompleteBody")


@pytest.mark.parametrize("payload", [SIGNED_TRAILER, UNSIGNED_TRAILER])
@pytest.mark.parametrize("size", [10, 1_500_000])
def test_a_wrong_a_missing_and_an_unannounced_trailer_are_refused(
    door: Door, payload: str, size: int
) -> None:
    data = body_of(size)
    signed = door.sign(payload, data, x_amz_trailer="x-amz-checksum-crc32c")
    right = checksum("crc32c", data)
    for trailer, code in (
        ({"x-amz-checksum-crc32c": checksum("crc32c", data + b"!")}, "BadDigest"),
        ({"x-amz-checksum-crc32": checksum("crc32", data)}, "MalformedTrailerError"),
        ({}, "MalformedTrailerError"),
        ({"x-amz-checksum-crc32c": right, "x-amz-meta-a": "b"}, "MalformedTrailerError"),
    ):
        if payload == SIGNED_TRAILER:
            body = signed_chunks(signed, cut(data), trailer=trailer)
        else:
            body = plain_chunks(cut(data), trailer=trailer)
        door.refuses(signed.whole(body), code)


def test_a_trailer_with_a_wrong_signature_is_refused(door: Door) -> None:
    data = body_of(100_000)
    signed = door.sign(SIGNED_TRAILER, data, x_amz_trailer="x-amz-checksum-crc32")
    body = signed_chunks(signed, cut(data), trailer={"x-amz-checksum-crc32": checksum("crc32", data)})
    place = body.rindex(b"x-amz-trailer-signature:") + len(b"x-amz-trailer-signature:")
    forged = body[:place] + b"0" * 64 + body[place + 64 :]
    door.refuses(signed.whole(forged), "SignatureDoesNotMatch")


@pytest.mark.parametrize("payload", [SIGNED_CHUNKS, UNSIGNED_TRAILER])
@pytest.mark.parametrize("size", [100_000, 1_500_000])
def test_framing_that_ends_early_is_incomplete(door: Door, payload: str, size: int) -> None:
    data = body_of(size)
    if payload == SIGNED_CHUNKS:
        signed = door.sign(payload, data)
        body = signed_chunks(signed, cut(data))
    else:
        signed = door.sign(payload, data, x_amz_trailer="x-amz-checksum-crc32")
        body = plain_chunks(cut(data), trailer={"x-amz-checksum-crc32": checksum("crc32", data)})
    for end in (len(body) // 2, body.rindex(b"\r\n0"), len(body) - 2):
        door.refuses(signed.whole(body[:end]), "IncompleteBody")


def test_what_is_not_framed_at_all_is_refused(door: Door) -> None:
    data = body_of(100_000)
    door.refuses(door.sign(SIGNED_CHUNKS, data).whole(data), "InvalidRequest")
    # The other way round the frame would become part of the object: here it is refused by its hash.
    signed = door.sign(hashlib.sha256(data).hexdigest(), data, content_encoding="aws-chunked")
    door.refuses(signed.whole(plain_chunks(cut(data), trailer={})), "XAmzContentSHA256Mismatch")


@pytest.mark.parametrize("payload", [UNSIGNED, SIGNED_CHUNKS])
@pytest.mark.parametrize("size", [1000, 3_000_000])
def test_a_client_that_leaves_in_the_middle_leaves_nothing(door: Door, payload: str, size: int) -> None:
    before = left(door.gateway)
    data = body_of(size)
    signed = door.sign(payload, data)
    request = signed.whole(data if payload == UNSIGNED else signed_chunks(signed, cut(data)))
    with line(door.gateway) as open_line:
        open_line.send(request[:-500])
    assert eventually(lambda: before == left(door.gateway), within_s=60), left(door.gateway)
    assert None is door.stored()


def test_an_old_object_outlives_every_refused_overwrite(door: Door) -> None:
    old = body_of(100_000)
    door.s3.put_object(Bucket=door.bucket, Key="k", Body=old)
    new = body_of(1_500_000)
    before = left(door.gateway)
    signed = door.sign(UNSIGNED, new, x_amz_checksum_sha256=checksum("sha256", old))
    assert "BadDigest" == door.ask(signed.whole(new)).code
    assert old == door.stored()
    assert before == left(door.gateway)


def test_a_body_of_unknown_or_impossible_length_is_refused(door: Door) -> None:
    signed = door.sign(UNSIGNED, b"")
    chunked = signed.head(Transfer_Encoding="chunked") + b"4\r\ndata\r\n0\r\n\r\n"
    door.refuses(chunked, "MissingContentLength")
    door.refuses(signed.head(Content_Length=str(5 * 2**30 + 1)), "EntityTooLarge")
    without = sign(door.gateway, door.credentials, "PUT", f"/{door.bucket}/k", payload=SIGNED_CHUNKS)
    door.refuses(without.whole(signed_chunks(without, [b"data"])), "MissingContentLength")
