"""The XML documents clients send about objects and buckets, read into dataclasses; all else is MalformedXML.

gateway/tree.py guards the reading. Tags and locks have modules of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import s3_error
from gateway.headers import unquoted
from gateway.storage.model import Versioning
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
    etag: str | None = None
    """The ETag that must hold, without quotes, or '*'; None for no condition."""
    refused: str = ""
    """The condition it carries that only directory buckets know; empty for none."""


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
        etag = node.one("ETag")
        refused = [name for name in ("LastModifiedTime", "Size") if node.one(name) is not None]
        objects.append(
            DoomedObject(
                key,
                (node.one("VersionId") or "").strip(),
                None if etag is None else unquoted(etag),
                refused[0] if refused else "",
            )
        )
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
        parts.append(NamedPart(_number(number, parts_max), unquoted(etag), checksums))
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


def parse_versioning(body: bytes) -> Versioning:
    """The Status of PutBucketVersioning.

    Raises MalformedXML, IllegalVersioningConfigurationException without a status, and NotImplemented for
    MFA delete: nobody here has a second factor, and to accept it would be a lie.
    """
    root = parse_tree(body, "VersioningConfiguration")
    root.holds_only("Status", "MfaDelete")
    factor = (root.one("MfaDelete") or "Disabled").strip()
    if factor not in ("Enabled", "Disabled"):
        raise malformed()
    if factor == "Enabled":
        raise s3_error("NotImplemented", "MFA delete is not implemented.", Header="MfaDelete")
    status = root.one("Status")
    if status is None:
        raise s3_error("IllegalVersioningConfigurationException")
    match status.strip():
        case "Enabled":
            return Versioning.ENABLED
        case "Suspended":
            return Versioning.SUSPENDED
        case _:
            raise malformed()


def parse_request_payment(body: bytes) -> str:
    """The Payer of PutBucketRequestPayment, BucketOwner or Requester. Raises MalformedXML."""
    root = parse_tree(body, "RequestPaymentConfiguration")
    root.holds_only("Payer")
    payer = (root.one("Payer") or "").strip()
    if payer not in ("BucketOwner", "Requester"):
        raise malformed()
    return payer


def _number(text: str, parts_max: int) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 9:
        raise malformed()
    if not 1 <= int(digits) <= parts_max:
        raise s3_error(
            "InvalidArgument", f"Part number must be an integer between 1 and {parts_max}, inclusive."
        )
    return int(digits)
