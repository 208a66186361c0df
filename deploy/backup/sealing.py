"""What a backup's bytes look like where they lie: keys from a passphrase, and pieces sealed one by one.

Keys come from the passphrase by scrypt (RFC 7914). A piece has a name that follows from its content under a key
(HMAC-SHA256), so equal pieces are kept once and nobody else can tell what is in one. It is sealed with AES-256-GCM
under a key of its own, bound to its name: a piece in another's place does not open.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from meter.refusal import Refusal

PIECE_BYTES = 4 * 2**20
"""Most bytes of one piece before it is sealed."""
SALT_BYTES = 16
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**16, 8, 1
"""64 MiB and a quarter of a second for each guess of a passphrase."""
_SCRYPT_N_MAX = 2**20
_NONCE_BYTES = 12
_PLAIN, _PACKED = b"\0", b"\1"
_PACKING_LEVEL = 3


class WrongPassphrase(Refusal):
    """The passphrase is not the one the backups were sealed with."""


class DamagedBackup(Refusal):
    """Something in a backup is missing, or is not what was written; the sentence names it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """How dear it is to guess a passphrase: scrypt's N, r and p."""

    n: int = SCRYPT_N
    r: int = SCRYPT_R
    p: int = SCRYPT_P


@dataclass(frozen=True, slots=True)
class Keys:
    """What opens the backups of one place. Never printed."""

    names: bytes = field(repr=False)
    bodies: bytes = field(repr=False)
    roots: bytes = field(repr=False)
    check: str = field(repr=False)
    """What is written beside the backups, to tell a wrong passphrase from a damaged backup."""

    @classmethod
    def of(cls, passphrase: bytes, *, salt: bytes, cost: Cost) -> Keys:
        """Takes a quarter of a second on purpose. Raises DamagedBackup for a cost nobody would have chosen."""
        if not 2 <= cost.n <= _SCRYPT_N_MAX or not 1 <= cost.r <= 32 or not 1 <= cost.p <= 16:
            raise DamagedBackup("the description of the backups names a cost of scrypt that is none")
        try:
            master = hashlib.scrypt(
                passphrase, salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=2**31 - 1, dklen=32
            )
        except ValueError:
            raise DamagedBackup(
                "the description of the backups names a cost of scrypt that is none"
            ) from None
        names, bodies, roots, check = (
            hmac.digest(master, f"weir backup {use}".encode(), "sha256")
            for use in ("names", "bodies", "roots", "check")
        )
        return cls(names, bodies, roots, check[:16].hex())

    def name(self, content: bytes | memoryview) -> str:
        """The name of a piece with this content: 64 hexadecimal digits."""
        return hmac.digest(self.names, content, "sha256").hex()

    def seal(self, name: str, content: bytes | memoryview, *, packs: bool) -> bytes:
        """A piece as it is kept. With packs it is compressed where that makes it smaller."""
        mark, body = _PLAIN, bytes(content)
        if packs:
            packed = zstandard.ZstdCompressor(level=_PACKING_LEVEL).compress(body)
            if len(packed) < len(body):
                mark, body = _PACKED, packed
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return mark + nonce + self._cipher(name).encrypt(nonce, body, mark + bytes.fromhex(name))

    def open(self, name: str, sealed: bytes) -> bytes:
        """The content of a piece. Raises DamagedBackup when it is not the one of that name, to the bit."""
        mark, nonce, body = sealed[:1], sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            content = self._cipher(name).decrypt(nonce, body, mark + bytes.fromhex(name))
            if mark == _PACKED:
                content = zstandard.ZstdDecompressor().decompress(content, max_output_size=PIECE_BYTES)
        except (InvalidTag, ValueError, zstandard.ZstdError):
            raise DamagedBackup(f"the piece {name} is damaged") from None
        if not hmac.compare_digest(self.name(content), name):
            raise DamagedBackup(f"the piece {name} holds something else")
        return content

    def seal_root(self, name: str, document: bytes) -> bytes:
        """The document of a whole backup, bound to the backup's name."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self.roots).encrypt(nonce, document, name.encode())

    def open_root(self, name: str, sealed: bytes) -> bytes:
        """Raises DamagedBackup."""
        try:
            return AESGCM(self.roots).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError):
            raise DamagedBackup(f"the backup {name} is damaged: its own page does not open") from None

    def _cipher(self, name: str) -> AESGCM:
        return AESGCM(hmac.digest(self.bodies, bytes.fromhex(name), "sha256"))
