"""The x-amz-checksum family: which one a request asks for, computing it, and combining those of parts.

It knows digests, not where bytes come from. Base64 of the big-endian value, as S3 writes it.
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from awscrt import checksums

from gateway.errors import s3_error
from gateway.storage.model import Checksum

HEADER_PREFIX = "x-amz-checksum-"
FULL_OBJECT = "FULL_OBJECT"
COMPOSITE = "COMPOSITE"

DIGEST_BYTES = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}
"""Every algorithm there is, and the length of its digest in bytes."""

DEFAULT_ALGORITHM = "CRC64NVME"
"""What is computed and kept for a body whose sender names none, as S3 does."""

_HEADER_OF = {algorithm: f"{HEADER_PREFIX}{algorithm.lower()}" for algorithm in DIGEST_BYTES}
_ALGORITHM_OF = {header: algorithm for algorithm, header in _HEADER_OF.items()}
_ABOUT_CHECKSUMS = frozenset(f"{HEADER_PREFIX}{name}" for name in ("algorithm", "mode", "type"))
_KINDS = {
    "CRC32": (COMPOSITE, FULL_OBJECT),
    "CRC32C": (COMPOSITE, FULL_OBJECT),
    "CRC64NVME": (FULL_OBJECT,),
    "SHA1": (COMPOSITE,),
    "SHA256": (COMPOSITE,),
}
_COMBINE: dict[str, Callable[[int, int, int], int]] = {
    "CRC32": checksums.combine_crc32,
    "CRC32C": checksums.combine_crc32c,
    "CRC64NVME": checksums.combine_crc64nvme,
}


class Hasher(Protocol):
    """Digests bytes as they pass."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take more bytes."""
        ...

    def digest(self) -> bytes:
        """The digest of all bytes so far, big-endian."""
        ...


@dataclass(frozen=True, slots=True)
class AskedChecksum:
    """The checksum a request's body must be verified against."""

    algorithm: str
    value: str | None
    """Base64 from the header; None when it comes in the trailer of that name."""

    @property
    def header(self) -> str:
        """The header or trailer that carries it."""
        return header_of(self.algorithm)


class Crc:
    """A running CRC."""

    def __init__(self, step: Callable[[bytes | memoryview, int], int], size_bytes: int) -> None:
        self._step = step
        self._size_bytes = size_bytes
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = self._step(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size_bytes, "big")


def hasher(algorithm: str) -> Hasher:
    """A new digest of that algorithm; its name is one of DIGEST_BYTES."""
    match algorithm:
        case "CRC32":
            # zlib lets other threads run meanwhile; its result is the same CRC.
            return Crc(binascii.crc32, 4)
        case "CRC32C":
            return Crc(checksums.crc32c, 4)
        case "CRC64NVME":
            return Crc(checksums.crc64nvme, 8)
        case "SHA1":
            return hashlib.sha1(usedforsecurity=False)
        case "SHA256":
            return hashlib.sha256()
        case _:
            raise KeyError(algorithm)


def digest_base64(digest: Hasher) -> str:
    """The digest so far as S3 writes it."""
    return b64encode(digest.digest()).decode()


def header_of(algorithm: str) -> str:
    """CRC32 → x-amz-checksum-crc32."""
    return _HEADER_OF[algorithm]


def parse_algorithm(text: str, header: str) -> str:
    """An algorithm's name in any case, as our own. Raises InvalidRequest."""
    algorithm = text.strip().upper()
    if algorithm not in DIGEST_BYTES:
        raise s3_error(
            "InvalidRequest", f"Checksum algorithm provided in {header} is unsupported: {text[:32]}"
        )
    return algorithm


def trailer_names(headers: Mapping[str, str]) -> tuple[str, ...]:
    """What x-amz-trailer announces, in lower case."""
    text = headers.get("x-amz-trailer")
    if text is None:
        return ()
    return tuple(name.strip().lower() for name in text.split(",") if name.strip())


def asked_checksum(headers: Mapping[str, str]) -> AskedChecksum | None:
    """The one checksum the request carries, in a header or announced as its trailer.

    headers have lower-case names. Raises InvalidRequest: two of them, an unknown one, a value of the
    wrong length, or an algorithm announced without its value.
    """
    in_headers = [_algorithm_in(name) for name in headers if _names_checksum(name)]
    in_trailer = [_algorithm_in(name) for name in trailer_names(headers)]
    if len(in_headers) + len(in_trailer) > 1:
        raise s3_error(
            "InvalidRequest",
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        )
    announced = headers.get("x-amz-sdk-checksum-algorithm")
    found = (in_headers or in_trailer or [""])[0]
    if announced is not None and parse_algorithm(announced, "x-amz-sdk-checksum-algorithm") != found:
        raise s3_error(
            "InvalidRequest",
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or "
            "x-amz-trailer headers were found.",
        )
    if not found:
        return None
    if in_trailer:
        return AskedChecksum(found, None)
    value = headers[_HEADER_OF[found]].strip()
    if not is_checksum(found, value):
        raise s3_error("InvalidRequest", f"Value for {_HEADER_OF[found]} header is invalid.")
    return AskedChecksum(found, value)


def content_md5(headers: Mapping[str, str]) -> bytes | None:
    """The 16 bytes of Content-MD5. Raises InvalidDigest."""
    text = headers.get("content-md5")
    if text is None:
        return None
    digest = _decoded(text.strip())
    if digest is None or len(digest) != 16:
        raise s3_error("InvalidDigest", Content_MD5=text[:64])
    return digest


def is_checksum(algorithm: str, value: str) -> bool:
    """Whether the text is base64 of a digest of the right length."""
    digest = _decoded(value)
    return digest is not None and len(digest) == DIGEST_BYTES[algorithm]


def upload_checksum(headers: Mapping[str, str]) -> tuple[str, str]:
    """Algorithm and kind a new multipart upload asks for; two empty strings for none.

    Raises InvalidRequest where the algorithm cannot be of that kind.
    """
    name = headers.get(f"{HEADER_PREFIX}algorithm")
    kind = headers.get(f"{HEADER_PREFIX}type")
    if name is None:
        if kind is not None:
            raise s3_error(
                "InvalidRequest",
                "The x-amz-checksum-type header can only be used with x-amz-checksum-algorithm.",
            )
        return "", ""
    algorithm = parse_algorithm(name, f"{HEADER_PREFIX}algorithm")
    kind = kind.strip().upper() if kind is not None else _KINDS[algorithm][0]
    if kind not in _KINDS[algorithm]:
        raise s3_error(
            "InvalidRequest",
            f"The {kind[:32]} checksum type cannot be used with the {algorithm} checksum algorithm.",
        )
    return algorithm, kind


def common_algorithm(parts: Sequence[Checksum | None]) -> str:
    """The CRC that every part of an upload has, so that the whole's follows from them; empty for none.

    For uploads that name no algorithm: then parts without a checksum got DEFAULT_ALGORITHM.
    """
    algorithms = {"" if part is None else part.algorithm for part in parts}
    algorithm = algorithms.pop() if len(algorithms) == 1 else ""
    return algorithm if algorithm in _COMBINE else ""


def combined(algorithm: str, kind: str, parts: Sequence[tuple[str, int]]) -> Checksum:
    """The checksum of a completed upload from its parts' (base64 value, size in bytes), in order.

    COMPOSITE is the digest of the parts' digests with -N; FULL_OBJECT of a CRC is computed from the
    parts' CRCs without reading a byte again.
    """
    assert parts
    assert kind in _KINDS[algorithm]
    if kind == COMPOSITE:
        digest = hasher(algorithm)
        for value, _ in parts:
            digest.update(b64decode(value))
        return Checksum(algorithm, f"{digest_base64(digest)}-{len(parts)}", COMPOSITE)
    total = 0
    for value, size_bytes in parts:
        total = _COMBINE[algorithm](total, int.from_bytes(b64decode(value), "big"), size_bytes)
    encoded = b64encode(total.to_bytes(DIGEST_BYTES[algorithm], "big")).decode()
    return Checksum(algorithm, encoded, FULL_OBJECT)


def checksum_headers(checksum: Checksum | None) -> dict[str, str]:
    """The headers that tell a client an object's or part's checksum."""
    if checksum is None:
        return {}
    return {header_of(checksum.algorithm): checksum.value, f"{HEADER_PREFIX}type": checksum.kind}


def _names_checksum(name: str) -> bool:
    return name.startswith(HEADER_PREFIX) and name not in _ABOUT_CHECKSUMS


def _algorithm_in(name: str) -> str:
    algorithm = _ALGORITHM_OF.get(name)
    if algorithm is None:
        raise s3_error("InvalidRequest", f"The checksum or trailer {name[:64]} is not supported.")
    return algorithm


def _decoded(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return None
