"""Access keys: how a pair is made, and how a secret is sealed so that gateways alone can open it.

Sealing needs the public half only, so whoever seals need not be able to open. HPKE in its base mode (RFC 9180) with
X25519, HKDF-SHA256 and AES-256-GCM; the name of the access key is in its info, so a sealed secret fits no other one.
"""

from __future__ import annotations

import secrets
from string import ascii_letters, ascii_uppercase, digits

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from meter.refusal import Refusal

PREFIX = b"weirbox1"
"""How a secret begins that was sealed to the public half; eight random bytes are this by chance once in 2^64."""
_ACCESS_ALPHABET = ascii_uppercase + digits
_SECRET_ALPHABET = ascii_letters + digits
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def new_access_key() -> str:
    """20 characters, about 83 bits by chance: a name nobody else has."""
    return "WEIR" + "".join(secrets.choice(_ACCESS_ALPHABET) for _ in range(16))


def new_secret_key() -> str:
    """40 characters, about 238 bits."""
    return "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40))


def public_half(private: bytes) -> bytes:
    """What may be published of 32 secret bytes."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def seal_to(public: bytes, secret: str, *, access_key: str) -> bytes:
    """Encrypt for whoever has the other half; the result opens only under the same access key."""
    return PREFIX + _SUITE.encrypt(
        secret.encode(), X25519PublicKey.from_public_bytes(public), info=_info(access_key)
    )


def is_sealed_to(sealed: bytes) -> bool:
    """Whether seal_to made it."""
    return sealed.startswith(PREFIX)


def open_with(private: bytes, sealed: bytes, *, access_key: str) -> str:
    """Decrypt. Raises Refusal when it was sealed to another key, or was changed."""
    try:
        plain = _SUITE.decrypt(
            sealed.removeprefix(PREFIX), X25519PrivateKey.from_private_bytes(private), info=_info(access_key)
        )
    except InvalidTag:
        raise Refusal(f"the secret of {access_key} does not open with this master key") from None
    return plain.decode()


def _info(access_key: str) -> bytes:
    return b"weir access key " + access_key.encode()
