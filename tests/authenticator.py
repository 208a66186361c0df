"""A security key for tests, by the words of the WebAuthn standard: it holds passkeys, and can be told to misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, MAY_SYNC, HAS_KEY = 0x01, 0x04, 0x08, 0x40
"""Bits of the authenticator's data, WebAuthn section 6.1."""


def text(raw: bytes) -> str:
    """Base64url without its padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def raw(encoded: str) -> bytes:
    """And back."""
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))


def cbor(value: object) -> bytes:
    """A value as CBOR, RFC 8949: whole numbers, bytes, text and maps of these, which is all that a key speaks."""
    match value:
        case int():
            return _head(0, value) if value >= 0 else _head(1, -1 - value)
        case bytes():
            return _head(2, len(value)) + value
        case str():
            return _head(3, len(value.encode())) + value.encode()
        case dict():
            return _head(5, len(value)) + b"".join(cbor(key) + cbor(one) for key, one in value.items())
        case other:
            raise TypeError(f"{type(other)} is nothing a key says")


def _head(kind: int, number: int) -> bytes:
    if number < 24:
        return bytes([kind << 5 | number])
    size, code = next((size, code) for size, code in ((1, 24), (2, 25), (4, 26)) if number < 1 << 8 * size)
    return bytes([kind << 5 | code]) + number.to_bytes(size, "big")


@dataclass
class SecurityKey:
    """One passkey on a device, and how it answers."""

    origin: str
    """Of the page that a browser would say it is on."""
    host: str = "localhost"
    flags: int = PRESENT | VERIFIED
    counts: bool = True
    counter: int = 0
    handle: bytes = b""
    id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def create(self, options: dict[str, Any], **other: Any) -> str:
        """What navigator.credentials.create gives, as the page sends it; `other` replaces client data."""
        self.handle = raw(options["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        # COSE, RFC 9053: kty EC2, alg ES256, crv P-256, x, y.
        public = cbor(
            {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        )
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + public
        statement = {"fmt": "none", "attStmt": {}, "authData": self._data(HAS_KEY) + attested}
        client = self._client("webauthn.create", options, other)
        return self._sent({"clientDataJSON": text(client), "attestationObject": text(cbor(statement))})

    def get(self, options: dict[str, Any], **other: Any) -> str:
        """What navigator.credentials.get gives."""
        self.counter += self.counts
        data, client = self._data(0), self._client("webauthn.get", options, other)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._sent(
            {
                "clientDataJSON": text(client), "authenticatorData": text(data), "signature": text(signature),
                "userHandle": text(self.handle),
            }
        )  # fmt: skip

    def _data(self, more: int) -> bytes:
        return (
            hashlib.sha256(self.host.encode()).digest()
            + bytes([self.flags | more])
            + self.counter.to_bytes(4, "big")
        )

    def _client(self, kind: str, options: dict[str, Any], other: dict[str, Any]) -> bytes:
        said = {
            "type": kind,
            "challenge": options["challenge"],
            "origin": self.origin,
            "crossOrigin": False,
        } | other
        return json.dumps(said).encode()

    def _sent(self, response: dict[str, str]) -> str:
        return json.dumps(
            {"id": text(self.id), "rawId": text(self.id), "type": "public-key", "response": response}
        )
