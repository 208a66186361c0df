"""The key a request brings along (SSE-C), and everything derived from it. Pure: salts are handed in.

A stored byte is AES-256 in counter mode under a key of its piece's own: HKDF-SHA256 of the customer's key and the
piece's random salt. Counter mode, because any range can then be read by itself and a sealed object has the size of
the plain one. It hides and does not prove: who can write to the disk can flip bits unseen, as with a plain object.

A hash of the plain bytes would let a reader of the disk check a guess, so none is kept: the ETag is the MD5 of the
sealed bytes, and a checksum is covered with a pad that only the customer's key makes.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

from gateway.errors import S3Error, s3_error
from gateway.storage.model import Checksum

KEY_BYTES = 32
SALT_BYTES = 16
COPY_SOURCE = "x-amz-copy-source-"
"""The prefix of the headers that bring the key of a copy's source."""
_NAMES = {
    prefix: tuple(
        f"{prefix}server-side-encryption-customer-{name}" for name in ("algorithm", "key", "key-md5")
    )
    for prefix in ("x-amz-", COPY_SOURCE)
}
_BLOCK_BYTES = 16
_MAC_BYTES = 32
_REQUESTS = "Requests specifying Server Side Encryption with Customer provided keys must provide "


@dataclass(frozen=True, slots=True)
class CustomerKey:
    """A key as it came with one request. It is never kept and never printed."""

    secret: bytes = field(repr=False)
    """32 bytes."""

    def cipher(self, salt: bytes, *, offset: int = 0) -> CipherContext:
        """Seals and opens the bytes of one piece, from the offset on.

        Invariant: a salt is never used for a second piece, or the two could be told from each other.
        """
        counter = (offset // _BLOCK_BYTES).to_bytes(_BLOCK_BYTES, "big")
        key = self._derived(salt, "bytes", KEY_BYTES)
        context: CipherContext = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
        context.update(bytes(offset % _BLOCK_BYTES))
        return context

    def verifier(self, salt: bytes) -> str:
        """What tells this key from another one, and does not tell the key; base64 of salt and MAC."""
        return b64encode(salt + self._derived(salt, "verifier", _MAC_BYTES)).decode()

    def is_of(self, verifier: str) -> bool:
        """Whether the verifier was made from this key."""
        salt = b64decode(verifier)[:SALT_BYTES]
        return hmac.compare_digest(self.verifier(salt), verifier)

    def covered(self, checksum: Checksum | None, *, salt: bytes, place: str) -> Checksum | None:
        """A checksum under its pad, or back from it; place ("object", "part") tells two of the same salt apart."""
        return None if checksum is None else self.uncovered(checksum, salt=salt, place=place)

    def uncovered(self, checksum: Checksum, *, salt: bytes, place: str) -> Checksum:
        """The same for one that is there: the pad takes away what the pad gave."""
        encoded, dash, count = checksum.value.partition("-")
        value = b64decode(encoded)
        pad = self._derived(salt, f"checksum {place} {checksum.algorithm}", len(value))
        hidden = bytes(a ^ b for a, b in zip(value, pad, strict=True))
        return replace(checksum, value=f"{b64encode(hidden).decode()}{dash}{count}")

    @property
    def headers(self) -> dict[str, str]:
        """What an answer says of the key: never the key, only the MD5 the client sent itself."""
        md5 = b64encode(hashlib.md5(self.secret, usedforsecurity=False).digest()).decode()
        return {
            "x-amz-server-side-encryption-customer-algorithm": "AES256",
            "x-amz-server-side-encryption-customer-key-MD5": md5,
        }

    def _derived(self, salt: bytes, purpose: str, size_bytes: int) -> bytes:
        """HKDF (RFC 5869) with SHA-256, of one block; the purpose keeps the streams apart.

        Written out because an upload of 10,000 parts asks 10,000 times: two calls are four times as fast.
        """
        assert size_bytes <= _MAC_BYTES
        extracted = hmac.digest(salt, self.secret, "sha256")
        return hmac.digest(extracted, f"weir sse-c 1 {purpose}".encode() + b"\1", "sha256")[:size_bytes]


def customer_key(headers: Mapping[str, str], *, prefix: str = "x-amz-") -> CustomerKey | None:
    """The key the request brings, None without one. headers have lower-case names.

    Raises InvalidArgument, which never shows what was sent: it may be half a key.
    """
    names = _NAMES[prefix]
    if headers.keys().isdisjoint(names):
        return None
    algorithm, key, key_md5 = map(headers.get, names)
    stem = f"{prefix}server-side-encryption-customer-"
    if key is None:
        raise _invalid(f"{stem}key", f"{_REQUESTS}an appropriate secret key.")
    if key_md5 is None:
        raise _invalid(f"{stem}key-MD5", f"{_REQUESTS}the client calculated MD5 of the secret key.")
    if algorithm != "AES256":
        raise _invalid(f"{stem}algorithm", f"{_REQUESTS}a valid encryption algorithm: AES256.")
    secret = _decoded(key)
    if secret is None or len(secret) != KEY_BYTES:
        raise _invalid(f"{stem}key", "The secret key was invalid for the specified algorithm.")
    digest = hashlib.md5(secret, usedforsecurity=False).digest()
    if not hmac.compare_digest(digest, _decoded(key_md5) or b""):
        raise _invalid(
            f"{stem}key-MD5", "The calculated MD5 hash of the key did not match the hash that was provided."
        )
    return CustomerKey(secret)


def check_reading(key: CustomerKey | None, verifier: str) -> None:
    """Whether the key opens what is stored; the verifier of a plain object is empty.

    Raises InvalidRequest for a key too many or too few, AccessDenied for another key.
    """
    if not verifier:
        if key is not None:
            raise s3_error("InvalidRequest", "The encryption parameters are not applicable to this object.")
        return
    if key is None:
        raise s3_error(
            "InvalidRequest",
            "The object was stored using a form of Server Side Encryption. "
            "The correct parameters must be provided to retrieve the object.",
        )
    if not key.is_of(verifier):
        raise s3_error("AccessDenied", "The key given is not the one the object was stored with.")


def check_part(key: CustomerKey | None, verifier: str) -> None:
    """Whether a part is sealed as its upload was begun. Raises InvalidRequest."""
    if not verifier:
        if key is not None:
            raise s3_error("InvalidRequest", "The upload was begun without a key of the customer's.")
        return
    if key is None:
        raise s3_error(
            "InvalidRequest",
            "The multipart upload initiate requested encryption. "
            "Subsequent part requests must include the appropriate encryption parameters.",
        )
    if not key.is_of(verifier):
        raise s3_error(
            "InvalidRequest", "The provided encryption parameters did not match the ones used originally."
        )


def _invalid(name: str, message: str) -> S3Error:
    return s3_error("InvalidArgument", message, ArgumentName=name)


def _decoded(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
