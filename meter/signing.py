"""The key that signs heads: a file of its own, made at the founding, and its public half beside it.

A lost key cannot be made again. What was signed with it stays proven by the public half.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from meter.refusal import Refusal
from meter.segments import sync_directory

KEY_BYTES = 32


class KeyLost(Refusal):
    """The signing key is not there, or is not a key."""


def key_path(data: Path) -> Path:
    """Where the secret half is, readable by its owner alone."""
    return data / "signing.key"


def public_path(data: Path) -> Path:
    """Where the public half is: 64 hexadecimal digits, for everybody."""
    return data / "signing.pub"


def public_of(key: Ed25519PrivateKey) -> str:
    """The public half in hexadecimal digits."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def open_key(data: Path) -> Ed25519PrivateKey:
    """The key. Raises KeyLost."""
    path = key_path(data)
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        raise KeyLost(f"{path} is missing, so no head can be signed; `weir up` makes a new key") from None
    except OSError as error:
        raise KeyLost(f"{path} cannot be read: {error.strerror}") from None
    if len(secret) != KEY_BYTES:
        raise KeyLost(f"{path} must have {KEY_BYTES} bytes; restore it from a backup")
    return Ed25519PrivateKey.from_private_bytes(secret)


def ensure_key(data: Path) -> bool:
    """Make the key if there is none; whether it was made. Raises KeyLost for one that cannot be read."""
    is_new = not key_path(data).exists()
    if is_new:
        write_durably(key_path(data), Ed25519PrivateKey.generate().private_bytes_raw(), mode=0o600)
    public = public_of(open_key(data)) + "\n"
    if not public_path(data).exists() or public_path(data).read_text("ascii") != public:
        write_durably(public_path(data), public.encode(), mode=0o644)
    return is_new


def known_public(data: Path) -> str | None:
    """The public half as it lies in the data directory; None before the founding."""
    try:
        return public_path(data).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def write_durably(path: Path, content: bytes, *, mode: int) -> None:
    """Write a small file whole or not at all, also over a power cut."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    fresh.rename(path)
    sync_directory(path.parent)
