"""Encrypts members' S3 secrets at rest with the co-op's master key; AES-256-GCM, bound to the access key.

It also opens what the portal sealed to the public half of a key pair that follows from the master key, and what was
sealed with the master keys of earlier and coming days (gateway/key_files.py).
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.key_files import KEY_BYTES, MasterKeys, read_keys
from meter.credentials import is_sealed_to, open_with, public_half
from meter.refusal import Refusal

_NONCE_BYTES = 12
_LETTERBOX = "letterbox"


class Vault:
    """Seals with the key in force, and opens with every key there is. The keys never leave this object."""

    __slots__ = ("_keys", "_path")

    def __init__(self, key: bytes, *, keys: MasterKeys | None = None, path: Path | None = None) -> None:
        assert len(key) == KEY_BYTES, "a master key has 32 bytes"
        self._keys, self._path = keys or MasterKeys(key), path

    def __repr__(self) -> str:
        return "Vault(…)"

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Vault:
        """Read the master keys; with create make one that only its owner can read. Raises Refusal."""
        if create and not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
        keys = read_keys(path)
        return cls(keys.current, keys=keys, path=path)

    def seal(self, secret: str, *, access_key: str) -> bytes:
        """Encrypt; the result opens only under the same access key."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._keys.current).encrypt(nonce, secret.encode(), access_key.encode())

    def lasting(self, use: str) -> bytes:
        """A secret of 32 bytes for another use, from which no master key can be found: the same after every rotation."""
        return _derived((*self._keys.older, self._keys.current)[0], use)

    @property
    def letterbox(self) -> bytes:
        """The public key to which others seal secrets that only this master key opens."""
        return public_half(_derived(self._keys.current, _LETTERBOX))

    def coming(self) -> Vault | None:
        """What seals with the coming key, while a rotation is under way."""
        keys = self._keys
        if keys.coming is None:
            return None
        return Vault(keys.coming, keys=MasterKeys(keys.coming, None, (*keys.older, keys.current)))

    def is_in_force(self, sealed: bytes, *, access_key: str) -> bool:
        """Whether the key in force itself opens it."""
        return _opened(self._keys.current, sealed, access_key) is not None

    def reveal(self, sealed: bytes, *, access_key: str) -> str:
        """Decrypt. Raises Refusal when it was sealed with a key that is not here, or the row was changed."""
        for _ in self._twice():
            for key in (self._keys.current, *self._keys.others):
                if (plain := _opened(key, sealed, access_key)) is not None:
                    return plain
        raise Refusal(f"the secret of {access_key} does not open with this master key")

    def _twice(self) -> Iterator[None]:
        """The keys as they are, and then as the files have them now: a rotation may have begun since."""
        yield
        if self._path is not None:
            keys = read_keys(self._path)
            if keys != self._keys:
                self._keys = keys
                yield


def _derived(key: bytes, use: str) -> bytes:
    return hmac.digest(key, f"weir {use}".encode(), "sha256")


def _opened(key: bytes, sealed: bytes, access_key: str) -> str | None:
    """The secret; None when it was sealed with another key."""
    try:
        if is_sealed_to(sealed):
            return open_with(_derived(key, _LETTERBOX), sealed, access_key=access_key)
        plain = AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], access_key.encode())
    except (InvalidTag, Refusal):
        return None
    return plain.decode()
