"""Encrypts members' S3 secrets at rest with the co-op's master key; AES-256-GCM, bound to the access key.

It also opens what the portal sealed to the public half of a key pair that follows from the master key.
"""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from meter.credentials import is_sealed_to, open_with, public_half
from meter.refusal import Refusal

KEY_BYTES = 32
_NONCE_BYTES = 12
_LETTERBOX = "letterbox"


class Vault:
    """Seals and opens secrets. Its key never leaves this object."""

    __slots__ = ("_cipher", "_key")

    def __init__(self, key: bytes) -> None:
        assert len(key) == KEY_BYTES, "a master key has 32 bytes"
        self._cipher, self._key = AESGCM(key), key

    def __repr__(self) -> str:
        return "Vault(…)"

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Vault:
        """Read the master key; with create make one that only its owner can read. Raises Refusal."""
        if create and not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
        try:
            key = path.read_bytes()
        except OSError as error:
            raise Refusal(f"the master key {path} cannot be read: {error.strerror}") from error
        if len(key) != KEY_BYTES:
            raise Refusal(f"the master key {path} must have {KEY_BYTES} bytes, it has {len(key)}")
        return cls(key)

    def seal(self, secret: str, *, access_key: str) -> bytes:
        """Encrypt; the result opens only under the same access key."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), access_key.encode())

    def derived(self, use: str) -> bytes:
        """A secret of 32 bytes for another use, always the same, from which the master key cannot be found."""
        return hmac.digest(self._key, f"weir {use}".encode(), "sha256")

    @property
    def letterbox(self) -> bytes:
        """The public key to which others seal secrets that only this master key opens."""
        return public_half(self.derived(_LETTERBOX))

    def reveal(self, sealed: bytes, *, access_key: str) -> str:
        """Decrypt. Raises Refusal when the master key is another one or the row was changed."""
        if is_sealed_to(sealed):
            return open_with(self.derived(_LETTERBOX), sealed, access_key=access_key)
        try:
            plain = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], access_key.encode())
        except InvalidTag:
            raise Refusal(f"the secret of {access_key} does not open with this master key") from None
        return plain.decode()
