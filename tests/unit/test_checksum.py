"""Checksums: published check values, which one a request asks for, and those of parts combined."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.checksum import (
    DIGEST_BYTES,
    AskedChecksum,
    asked_checksum,
    checksum_headers,
    combined,
    content_md5,
    digest_base64,
    hasher,
    trailer_names,
    upload_checksum,
)
from gateway.errors import S3Error
from gateway.storage.model import Checksum

# The catalogue's check values: each algorithm over the ASCII digits 123456789.
CHECK = {
    "CRC32": "cbf43926",
    "CRC32C": "e3069283",
    "CRC64NVME": "ae8b14860a799888",
    "SHA1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "SHA256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
}


@pytest.mark.parametrize("algorithm", CHECK)
def test_the_check_value_in_pieces(algorithm: str) -> None:
    digest = hasher(algorithm)
    digest.update(b"1234")
    digest.update(b"")
    digest.update(b"56789")
    assert CHECK[algorithm] == digest.digest().hex()
    assert b64encode(bytes.fromhex(CHECK[algorithm])).decode() == digest_base64(digest)
    assert DIGEST_BYTES[algorithm] == len(digest.digest())


def _value(algorithm: str, data: bytes) -> str:
    digest = hasher(algorithm)
    digest.update(data)
    return digest_base64(digest)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
@given(parts=st.lists(st.binary(max_size=40), min_size=1, max_size=5))
def test_a_full_object_checksum_is_that_of_the_bytes_joined(algorithm: str, parts: list[bytes]) -> None:
    values = [(_value(algorithm, part), len(part)) for part in parts]
    assert Checksum(algorithm, _value(algorithm, b"".join(parts)), "FULL_OBJECT") == combined(
        algorithm, "FULL_OBJECT", values
    )


def test_a_composite_checksum_is_that_of_the_digests() -> None:
    parts = [b"one", b"two"]
    expected = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()
    values = [(_value("SHA256", part), len(part)) for part in parts]
    assert Checksum("SHA256", b64encode(expected).decode() + "-2", "COMPOSITE") == combined(
        "SHA256", "COMPOSITE", values
    )


@pytest.mark.parametrize(
    ("headers", "asked"),
    [
        ({}, None),
        ({"x-amz-checksum-mode": "ENABLED", "x-amz-checksum-algorithm": "CRC32"}, None),
        ({"x-amz-checksum-crc32": "y/Q5Jg=="}, AskedChecksum("CRC32", "y/Q5Jg==")),
        (
            {"x-amz-checksum-crc32": "y/Q5Jg==", "x-amz-sdk-checksum-algorithm": "crc32"},
            AskedChecksum("CRC32", "y/Q5Jg=="),
        ),
        ({"x-amz-trailer": "X-Amz-Checksum-Crc64nvme"}, AskedChecksum("CRC64NVME", None)),
    ],
)
def test_what_a_request_asks_for(headers: dict[str, str], asked: AskedChecksum | None) -> None:
    assert asked == asked_checksum(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32": "y/Q5Jg==", "x-amz-checksum-sha1": "x"},
        {"x-amz-checksum-crc32": "y/Q5Jg==", "x-amz-trailer": "x-amz-checksum-crc32"},
        {"x-amz-checksum-crc32": "y/Q5"},
        {"x-amz-checksum-crc32": "not base64"},
        {"x-amz-checksum-sha512": "x"},
        {"x-amz-sdk-checksum-algorithm": "CRC32"},
        {"x-amz-sdk-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": "y/Q5Jg=="},
        {"x-amz-trailer": "x-amz-meta-a"},
        {"x-amz-trailer": "x-amz-checksum-crc32,x-amz-checksum-crc32"},
    ],
)
def test_two_unknown_or_misshapen_checksums_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(S3Error, match="InvalidRequest"):
        asked_checksum(headers)


def test_trailer_names_are_lower_case() -> None:
    assert trailer_names({"x-amz-trailer": " X-Amz-Checksum-CRC32 ,"}) == ("x-amz-checksum-crc32",)


def test_content_md5_is_sixteen_bytes() -> None:
    assert content_md5({}) is None
    assert hashlib.md5(b"").digest() == content_md5({"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="})
    for bad in ("", "1B2M2Y8AsgTpgAmY7PhCfg", "AAAA"):
        with pytest.raises(S3Error, match="InvalidDigest"):
            content_md5({"content-md5": bad})


@pytest.mark.parametrize(
    ("algorithm", "kind", "expected"),
    [
        (None, None, ("", "")),
        ("CRC32", None, ("CRC32", "COMPOSITE")),
        ("crc32c", "FULL_OBJECT", ("CRC32C", "FULL_OBJECT")),
        ("CRC64NVME", None, ("CRC64NVME", "FULL_OBJECT")),
        ("SHA256", "COMPOSITE", ("SHA256", "COMPOSITE")),
    ],
)
def test_the_checksum_of_an_upload(
    algorithm: str | None, kind: str | None, expected: tuple[str, str]
) -> None:
    assert expected == upload_checksum(_upload_headers(algorithm, kind))


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("SHA1", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE"), ("MD4", None), (None, "COMPOSITE"), ("CRC32", "X")],
)
def test_a_checksum_no_upload_can_have_is_refused(algorithm: str | None, kind: str | None) -> None:
    with pytest.raises(S3Error, match="InvalidRequest"):
        upload_checksum(_upload_headers(algorithm, kind))


def _upload_headers(algorithm: str | None, kind: str | None) -> dict[str, str]:
    pairs = {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind}
    return {name: value for name, value in pairs.items() if value is not None}


def test_a_checksum_is_told_in_headers() -> None:
    assert checksum_headers(None) == {}
    assert checksum_headers(Checksum("SHA1", "v-2", "COMPOSITE")) == {
        "x-amz-checksum-sha1": "v-2",
        "x-amz-checksum-type": "COMPOSITE",
    }
