"""The master keys as files in the data directory: the one in force, the coming one, and older ones sealed by it.

    secret.key        in force: what is sealed from now on is sealed with it
    secret.next.key   while a rotation is under way: opens already, seals nothing yet
    secret.ring       keys of earlier rotations, sealed with the one in force, the oldest first

At every step of a rotation all keys that anything is sealed with can be read from these files.
"""

from __future__ import annotations

import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from meter.refusal import Refusal
from meter.segments import sync_directory
from meter.signing import write_durably

KEY_BYTES = 32
NEXT_NAME, RING_NAME = "secret.next.key", "secret.ring"
_NONCE_BYTES = 12
_RING_NAME_BYTES = b"weir ring of master keys"


@dataclass(frozen=True, slots=True)
class MasterKeys:
    """All that can be read; never printed."""

    current: bytes = field(repr=False)
    coming: bytes | None = field(default=None, repr=False)
    older: tuple[bytes, ...] = field(default=(), repr=False)
    """The oldest first."""

    @property
    def others(self) -> tuple[bytes, ...]:
        """Every key but the one in force, the likeliest first."""
        return (*(() if self.coming is None else (self.coming,)), *reversed(self.older))

    @property
    def fingerprints(self) -> list[str]:
        """Of each."""
        return sorted({fingerprint(one) for one in (self.current, *self.others)})


def fingerprint(key: bytes) -> str:
    """By which a key is told from others, and which tells nothing of it."""
    return hmac.digest(key, b"weir fingerprint", "sha256")[:8].hex()


def read_keys(path: Path) -> MasterKeys:
    """The keys beside and including secret.key, which `path` names. Raises Refusal."""
    try:
        return _read_once(path)
    except Refusal:
        # A rotation that ended between two of these looks; else it is refused again.
        return _read_once(path)


def _read_once(path: Path) -> MasterKeys:
    current = _read(path)
    try:
        coming: bytes | None = _read(path.with_name(NEXT_NAME))
    except FileNotFoundError:
        coming = None
    return MasterKeys(current, coming, _ring(path, current, coming))


def begin(path: Path) -> bytes:
    """The coming key, made if there is none yet; durable afterwards."""
    coming = path.with_name(NEXT_NAME)
    if not coming.exists():
        write_durably(coming, secrets.token_bytes(KEY_BYTES), mode=0o600)
    return _read(coming)


def finish(path: Path) -> None:
    """The coming key comes into force here, and the one that was goes into the ring. A kill in between loses none."""
    keys = read_keys(path)
    coming = keys.coming
    assert coming is not None, "a rotation that was not begun does not end"
    older = [one for one in keys.older if one != keys.current]
    write_durably(path.with_name(RING_NAME), _sealed_ring([*older, keys.current], by=coming), mode=0o600)
    os.replace(path.with_name(NEXT_NAME), path)
    sync_directory(path.parent)


def _read(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        if path.name == NEXT_NAME:
            raise
        raise Refusal(
            f"the master key {path} cannot be read: there is no such file. The first `weir up` makes it; "
            "where it was there before, put it back from where you keep it"
        ) from None
    except OSError as error:
        raise Refusal(f"the master key {path} cannot be read: {error.strerror}") from error
    if len(key) != KEY_BYTES:
        raise Refusal(f"the master key {path} must have {KEY_BYTES} bytes, it has {len(key)}")
    return key


def _ring(path: Path, current: bytes, coming: bytes | None) -> tuple[bytes, ...]:
    """Raises Refusal for a ring that neither key opens: it belongs to another secret.key."""
    ring = path.with_name(RING_NAME)
    try:
        sealed = ring.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise Refusal(f"{ring} cannot be read: {error.strerror}") from error
    for key in filter(None, (current, coming)):
        try:
            plain = AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _RING_NAME_BYTES)
        except InvalidTag:
            continue
        return tuple(plain[at : at + KEY_BYTES] for at in range(0, len(plain), KEY_BYTES))
    raise Refusal(f"{ring} does not open with the master key beside it: the two must come from one moment")


def _sealed_ring(keys: list[bytes], *, by: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(by).encrypt(nonce, b"".join(keys), _RING_NAME_BYTES)
