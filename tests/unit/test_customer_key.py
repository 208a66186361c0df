"""A customer's key: how it arrives, and that what is derived is what RFC 5869 and NIST SP 800-38A say."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.customer_key import CustomerKey, check_part, check_reading, customer_key
from gateway.errors import S3Error
from gateway.storage.model import Checksum

SECRET = bytes(range(32))
OTHER = bytes(range(1, 33))
SALT = bytes(16)
STEM = "x-amz-server-side-encryption-customer-"


def sent(secret: bytes = SECRET, *, prefix: str = "x-amz-") -> dict[str, str]:
    stem = f"{prefix}server-side-encryption-customer-"
    return {
        f"{stem}algorithm": "AES256",
        f"{stem}key": b64encode(secret).decode(),
        f"{stem}key-md5": b64encode(hashlib.md5(secret).digest()).decode(),
    }


def hkdf(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """RFC 5869 by another program."""
    return HKDF(SHA256(), size, salt, info).derive(secret)


def test_the_stream_is_aes_256_in_counter_mode_under_the_piece_s_own_key() -> None:
    aes = Cipher(algorithms.AES(hkdf(SECRET, SALT, b"weir sse-c 1 bytes", 32)), modes.ECB()).encryptor()  # noqa: S305 - block by block, so that counter mode is done by hand here
    stream = b"".join(aes.update(number.to_bytes(16, "big")) for number in range(5))
    plain = bytes(range(200, 256)) + bytes(24)
    expected = bytes(a ^ b for a, b in zip(plain, stream, strict=True))
    assert expected == CustomerKey(SECRET).cipher(SALT).update(plain)
    for offset in (0, 1, 15, 16, 17, 40, 79):
        assert expected[offset:] == CustomerKey(SECRET).cipher(SALT, offset=offset).update(plain[offset:])


def test_another_salt_or_key_is_another_stream() -> None:
    streams = {
        CustomerKey(secret).cipher(salt).update(bytes(64))
        for secret in (SECRET, OTHER)
        for salt in (SALT, b"\1" * 16)
    }
    assert 4 == len(streams)


def test_a_verifier_tells_the_key_and_no_other() -> None:
    verifier = CustomerKey(SECRET).verifier(b"\7" * 16)
    assert b64encode(b"\7" * 16 + hkdf(SECRET, b"\7" * 16, b"weir sse-c 1 verifier", 32)).decode() == verifier
    assert CustomerKey(SECRET).is_of(verifier)
    assert not CustomerKey(OTHER).is_of(verifier)


@pytest.mark.parametrize("value", ["q83vEg==", "3q2+7wECAwQ=", "q83vEg==-12"])
def test_a_checksum_is_covered_and_comes_back(value: str) -> None:
    key = CustomerKey(SECRET)
    plain = Checksum("CRC32", value, "COMPOSITE")
    covered = key.covered(plain, salt=SALT, place="object")
    assert covered is not None
    assert covered.value != plain.value
    assert covered.value.partition("-")[1:] == value.partition("-")[1:]
    assert plain == key.covered(covered, salt=SALT, place="object")
    assert covered != key.covered(plain, salt=SALT, place="part")
    assert key.covered(None, salt=SALT, place="object") is None


def test_a_whole_set_of_headers_is_a_key_and_none_is_none() -> None:
    assert customer_key({"host": "h"}) is None
    assert CustomerKey(SECRET) == customer_key(sent())
    source = "x-amz-copy-source-"
    assert customer_key(sent(prefix=source)) is None
    assert CustomerKey(SECRET) == customer_key(sent(prefix=source), prefix=source)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"key": None}, "key"),
        ({"key": None, "key-md5": None}, "key"),
        ({"key-md5": None}, "key-MD5"),
        ({"algorithm": None}, "algorithm"),
        ({"algorithm": "AES128"}, "algorithm"),
        ({"algorithm": "aws:kms"}, "algorithm"),
        ({"key": "c2hvcnQ="}, "key"),
        ({"key": b64encode(bytes(33)).decode()}, "key"),
        ({"key": "***"}, "key"),
        ({"key": ""}, "key"),
        ({"key-md5": b64encode(bytes(16)).decode()}, "key-MD5"),
        ({"key-md5": "***"}, "key-MD5"),
        ({"key-md5": ""}, "key-MD5"),
    ],
)
def test_half_a_key_is_refused_and_not_repeated(change: dict[str, str | None], named: str) -> None:
    wanted = sent() | {STEM + name: value for name, value in change.items()}
    headers = {name: value for name, value in wanted.items() if value is not None}
    with pytest.raises(S3Error) as caught:
        customer_key(headers)
    assert ("InvalidArgument", 400) == (caught.value.code, caught.value.status)
    assert {"ArgumentName": STEM + named} == caught.value.extra


def test_a_key_is_not_printed() -> None:
    shown = repr(customer_key(sent()))
    assert str(SECRET)[2:-1] not in shown
    assert "secret" not in shown


def test_answers_repeat_the_md5_and_never_the_key() -> None:
    assert {
        "x-amz-server-side-encryption-customer-algorithm": "AES256",
        "x-amz-server-side-encryption-customer-key-MD5": sent()[f"{STEM}key-md5"],
    } == CustomerKey(SECRET).headers


@pytest.mark.parametrize(
    ("key", "stored", "reading", "part"),
    [
        (None, "", "", ""),
        (SECRET, SECRET, "", ""),
        (SECRET, None, "InvalidRequest", "InvalidRequest"),
        (None, SECRET, "InvalidRequest", "InvalidRequest"),
        (OTHER, SECRET, "AccessDenied", "InvalidRequest"),
    ],
)
def test_the_right_key_and_no_other_is_let_in(
    key: bytes | None, stored: bytes | None, reading: str, part: str
) -> None:
    given = None if key is None else CustomerKey(key)
    verifier = CustomerKey(stored).verifier(SALT) if stored else ""
    for check, expected in ((check_reading, reading), (check_part, part)):
        code = ""
        try:
            check(given, verifier)
        except S3Error as error:
            code = error.code
        assert expected == code
