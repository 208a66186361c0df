"""The XML documents clients send, read into dataclasses. Anything else than expected is MalformedXML.

The tree is read, and guarded, by gateway.tree.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import s3_error
from gateway.tree import malformed, parse_boolean, parse_tree

_CHECKSUM_ELEMENTS = {
    "ChecksumCRC32": "CRC32",
    "ChecksumCRC32C": "CRC32C",
    "ChecksumCRC64NVME": "CRC64NVME",
    "ChecksumSHA1": "SHA1",
    "ChecksumSHA256": "SHA256",
}


@dataclass(frozen=True, slots=True)
class DoomedObject:
    """One entry of DeleteObjects."""

    key: str
    version_id: str
    """Empty when none was named."""
    is_conditional: bool
    """It carries an ETag, time or size that must hold."""


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    """DeleteObjects."""

    objects: tuple[DoomedObject, ...]
    quiet: bool


@dataclass(frozen=True, slots=True)
class NamedPart:
    """One part that CompleteMultipartUpload names."""

    number: int
    etag: str
    """Without quotes."""
    checksums: tuple[tuple[str, str], ...]
    """Algorithm and base64 value, as far as the client named them."""


def parse_delete(body: bytes, *, keys_max: int) -> DeleteRequest:
    """Read a Delete document. Raises MalformedXML, also for no key at all or more than keys_max."""
    root = parse_tree(body, "Delete")
    objects = []
    for node in root.all("Object"):
        key = node.one("Key")
        if key is None:
            raise malformed()
        conditions = [name for name in ("ETag", "LastModifiedTime", "Size") if node.one(name) is not None]
        objects.append(DoomedObject(key, (node.one("VersionId") or "").strip(), bool(conditions)))
    if not 1 <= len(objects) <= keys_max:
        raise malformed()
    return DeleteRequest(tuple(objects), parse_boolean(root.one("Quiet")))


def parse_complete(body: bytes, *, parts_max: int) -> tuple[NamedPart, ...]:
    """Read a CompleteMultipartUpload document. Raises MalformedXML, also for no part or too many."""
    parts = []
    for node in parse_tree(body, "CompleteMultipartUpload").all("Part"):
        number, etag = node.one("PartNumber"), node.one("ETag")
        if number is None or etag is None:
            raise malformed()
        checksums = tuple(
            (algorithm, value.strip())
            for name, algorithm in _CHECKSUM_ELEMENTS.items()
            if (value := node.one(name)) is not None
        )
        bare_etag = etag.strip().removeprefix('"').removesuffix('"')
        parts.append(NamedPart(_number(number, parts_max), bare_etag, checksums))
    if not 1 <= len(parts) <= parts_max:
        raise malformed()
    return tuple(parts)


def parse_create_bucket(body: bytes) -> str:
    """The LocationConstraint of CreateBucket, or the empty string. An empty body is none.

    Raises MalformedXML, and NotImplemented for a directory bucket.
    """
    if not body.strip():
        return ""
    root = parse_tree(body, "CreateBucketConfiguration")
    if root.all("Location") or root.all("Bucket"):
        raise s3_error("NotImplemented", "Directory buckets are not implemented.")
    return (root.one("LocationConstraint") or "").strip()


def _number(text: str, parts_max: int) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 9:
        raise malformed()
    if not 1 <= int(digits) <= parts_max:
        raise s3_error(
            "InvalidArgument", f"Part number must be an integer between 1 and {parts_max}, inclusive."
        )
    return int(digits)
