"""Objects sealed with their customer's key: a layer between handlers and any engine. gateway/customer_key.py has why.

Each piece, a whole object or a part, has a random salt of its own, also when a part is sent again: no stream of
the cipher ever covers two texts. The index keeps the salts and a verifier in ObjectProperties.sealing and
Part.sealing; a Complete gathers the parts' salts into the object's, in the order of its part_sizes.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from base64 import b64decode, b64encode
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from gateway.customer_key import SALT_BYTES, CustomerKey, check_reading
from gateway.storage.base import ObjectReader, Staged
from gateway.storage.model import (
    Checksum,
    ComputedExtent,
    Extent,
    FileExtent,
    MemoryExtent,
    ObjectHead,
    ObjectProperties,
    Part,
    StreamedExtent,
)

VERIFIER, SALTS = "verifier", "salts"
_INLINE_BYTES = 64 * 1024
"""Sealed on the event loop up to this size: a thread's turn would cost more."""


class Arrival:
    """One piece on its way in, sealed when the request brought a key and passed through when not."""

    __slots__ = ("_key", "_salt", "_sealed", "staged")

    def __init__(self, staged: Staged, key: CustomerKey | None) -> None:
        """The engine commits or discards `staged`, as without us."""
        self._key = key
        self._salt = b"" if key is None else secrets.token_bytes(SALT_BYTES)
        self._sealed = None if key is None else _SealedStaged(staged, key, self._salt)
        self.staged: Staged = staged if self._sealed is None else self._sealed
        """Where the plain bytes are written to."""

    def etag(self, plain_md5: bytes) -> str:
        """MD5 of the bytes that are stored."""
        return (plain_md5 if self._sealed is None else self._sealed.md5.digest()).hex()

    def properties(self, plain: ObjectProperties) -> ObjectProperties:
        """What a whole object keeps beside its bytes."""
        if self._key is None:
            return plain
        sealing = sealing_of_upload(self._key)
        if sealing:
            sealing[SALTS] = b64encode(self._salt).decode()
        return replace(plain, checksum=covered_checksum(plain.checksum, sealing, self._key), sealing=sealing)

    def part_checksum(self, plain: Checksum | None) -> Checksum | None:
        """What a part keeps of its checksum."""
        return plain if self._key is None else self._key.covered(plain, salt=self._salt, place="part")

    @property
    def part_sealing(self) -> str:
        """What a part keeps of its sealing: the salt in base64; empty for a plain part."""
        return "" if self._key is None else b64encode(self._salt).decode()


class _SealedStaged(Staged):
    """Seals what is written and passes it on."""

    def __init__(self, inner: Staged, key: CustomerKey, salt: bytes) -> None:
        self.size_bytes = 0
        self.md5 = hashlib.md5(usedforsecurity=False)
        self._inner = inner
        self._cipher = key.cipher(salt)

    async def write(self, chunk: bytes | memoryview) -> None:
        """Append. Raises StorageFull."""
        self.size_bytes += len(chunk)
        short = len(chunk) <= _INLINE_BYTES
        await self._inner.write(self._seal(chunk) if short else await asyncio.to_thread(self._seal, chunk))

    async def discard(self) -> None:
        """Remove what was written."""
        await self._inner.discard()

    def _seal(self, chunk: bytes | memoryview) -> bytes:
        sealed = self._cipher.update(chunk)
        self.md5.update(sealed)
        return sealed


class SealedReader(ObjectReader):
    """An opened object whose bytes come out plain; it keeps the key only until it is forgotten."""

    __slots__ = ("_ends", "_inner", "_key", "_salts", "head")

    def __init__(self, inner: ObjectReader, key: CustomerKey) -> None:
        """Owns inner. Raises InvalidRequest, AccessDenied."""
        self.head = opened_head(inner.head, key)
        self._inner = inner
        self._key = key
        self._salts = _split(inner.head.properties.sealing[SALTS])
        self._ends = list(accumulate(inner.head.part_sizes or (inner.head.size_bytes,)))
        assert len(self._salts) == len(self._ends), "a salt for each piece"

    def extents(self, start: int, stop: int) -> tuple[Extent, ...]:
        """The bytes [start, stop) in order, opened as they are read; what is in memory already, at once."""
        opened: list[Extent] = []
        number = bisect_right(self._ends, start)
        while start < stop:
            begins_at = self._ends[number - 1] if number else 0
            until = min(stop, self._ends[number])
            at = start - begins_at
            for extent in self._inner.extents(start, until):
                assert not isinstance(extent, StreamedExtent), "no upstream keeps sealed objects"
                piece = _SealedExtent(self._key, self._salts[number], extent, at)
                at += piece.size_bytes
                opened.append(piece.opened())
            start = until
            number += 1
        return tuple(opened)

    def close(self) -> None:
        """Give the descriptors back. May be called twice."""
        self._inner.close()


@dataclass(frozen=True, slots=True)
class _SealedExtent:
    """A run of sealed bytes, which begins so many bytes behind the start of its piece."""

    key: CustomerKey
    salt: bytes
    extent: MemoryExtent | FileExtent | ComputedExtent
    at: int

    @property
    def size_bytes(self) -> int:
        return len(self.extent.data) if isinstance(self.extent, MemoryExtent) else self.extent.size_bytes

    def opened(self) -> Extent:
        if isinstance(self.extent, MemoryExtent):
            return MemoryExtent(self.read(0, len(self.extent.data)))
        return ComputedExtent(self.extent.size_bytes, self.read)

    def read(self, offset: int, count: int) -> bytes:
        """Plain bytes; fewer than count where the file is short."""
        match self.extent:
            case MemoryExtent(data):
                sealed = data[offset : offset + count]
            case FileExtent(descriptor, begins_at, _):
                sealed = os.pread(descriptor, count, begins_at + offset)
            case ComputedExtent(_, read):
                sealed = read(offset, count)
        return self.key.cipher(self.salt, offset=self.at + offset).update(sealed)


def opened(reader: ObjectReader, key: CustomerKey | None) -> ObjectReader:
    """The reader, whose bytes come out plain. Raises InvalidRequest, AccessDenied, and has closed it then."""
    try:
        if key is not None:
            return SealedReader(reader, key)
        check_reading(key, verifier_of(reader.head.properties))
    except BaseException:
        reader.close()
        raise
    return reader


def opened_head(head: ObjectHead, key: CustomerKey | None, *, with_parts: bool = False) -> ObjectHead:
    """The head as the key's owner may see it. Raises InvalidRequest, AccessDenied.

    Without with_parts it has no checksums of parts: a download has no use for them, and there may be 10,000.
    """
    check_reading(key, verifier_of(head.properties))
    if key is None:
        return head
    properties = replace(head.properties, checksum=shown_checksum(head, key))
    return replace(head, properties=properties, part_checksums=_shown_parts(head, key) if with_parts else ())


def _shown_parts(head: ObjectHead, key: CustomerKey) -> tuple[str, ...]:
    whole = head.properties.checksum
    if whole is None or not head.part_checksums:
        return ()
    covered = [Checksum(whole.algorithm, value) for value in head.part_checksums]
    salts = _split(head.properties.sealing[SALTS])
    return tuple(
        key.uncovered(one, salt=salt, place="part").value for one, salt in zip(covered, salts, strict=True)
    )


def shown_checksum(head: ObjectHead, key: CustomerKey | None) -> Checksum | None:
    """The checksum uncovered with the right key; of a sealed object without its key, none."""
    sealing = head.properties.sealing
    if not sealing:
        return head.properties.checksum
    return covered_checksum(head.properties.checksum, sealing, key)


def covered_checksum(
    checksum: Checksum | None, sealing: Mapping[str, str], key: CustomerKey | None
) -> Checksum | None:
    """An object's checksum covered, or uncovered again: the pad is the same. As it is where nothing is sealed."""
    if not sealing:
        return checksum
    return None if key is None else key.covered(checksum, salt=_split(sealing[SALTS])[0], place="object")


def sealing_of_upload(key: CustomerKey | None) -> dict[str, str]:
    """What an upload keeps before it has parts."""
    return {} if key is None else {VERIFIER: key.verifier(secrets.token_bytes(SALT_BYTES))}


def sealing_of_parts(upload: Mapping[str, str], parts: Sequence[Part]) -> dict[str, str]:
    """The sealing of the object that the parts of a sealed upload become; empty for a plain one."""
    if not upload:
        return {}
    return {**upload, SALTS: b64encode(b"".join(b64decode(part.sealing) for part in parts)).decode()}


def verifier_of(properties: ObjectProperties) -> str:
    """What tells the right key; empty where nothing is sealed."""
    return properties.sealing.get(VERIFIER, "")


def shown_part(part: Part, key: CustomerKey | None) -> Part:
    """The part with its checksum uncovered, or without it where nobody brought the key."""
    if not part.sealing:
        return part
    shown = None if key is None else key.covered(part.checksum, salt=b64decode(part.sealing), place="part")
    return replace(part, checksum=shown)


def _split(text: str) -> list[bytes]:
    salts = b64decode(text)
    return [salts[at : at + SALT_BYTES] for at in range(0, len(salts), SALT_BYTES)]
