"""What requests to an upstream are made of: targets, and the documents of their bodies. Pure.

Rules of versions, locks and tags are written as the gateway writes them to its own clients.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from gateway.headers import quoted
from gateway.markup import document, element, is_writable, url_encode
from gateway.results import checksum_values
from gateway.storage.model import Checksum, Condition, Deletion

_LAST_CHARACTER = "\U0010ffff"
"""Behind every other character, as UTF-8 too."""


def object_path(bucket: str, key: str = "") -> str:
    """The path of a bucket or an object as it goes over the wire: nothing normalised, '/' as it is."""
    return f"/{bucket}/{url_encode(key)}" if key else f"/{bucket}"


def query_text(parameters: Mapping[str, str]) -> str:
    """The query as it goes over the wire, sorted; a parameter without a value is its name alone."""
    return "&".join(
        [
            f"{name}={quote(value, safe='-_.~', errors='surrogatepass')}" if value else name
            for name, value in sorted(parameters.items())
        ]
    )


def copy_source(bucket: str, key: str, version_id: str = "") -> str:
    """x-amz-copy-source."""
    path = object_path(bucket, key)
    return f"{path}?versionId={quote(version_id, safe='-_.~')}" if version_id else path


def start_behind(after: str, *, prefix: str, delimiter: str) -> str:
    """What a listing is told to start after, so that a common prefix `after` is in, or is, is not told again.

    Upstreams differ in whether they skip it by themselves.
    """
    if not delimiter or not after.startswith(prefix):
        return after
    end = after.find(delimiter, len(prefix))
    return after if end < 0 else after[: end + len(delimiter)] + _LAST_CHARACTER


def condition_headers(condition: Condition) -> dict[str, str]:
    """If-Match and If-None-Match of a write; that of the time has no header.

    The ETag stands bare, which S3 takes as well as a quoted one: radosgw compares that of a write letter by letter.
    """
    headers = {}
    if condition.if_match is not None:
        headers["if-match"] = condition.if_match
    if condition.if_none_match:
        headers["if-none-match"] = "*"
    return headers


def can_be_named(key: str) -> bool:
    """Whether a document can hold the key; XML 1.0 cannot hold every character, so that one is deleted alone."""
    return is_writable(key)


def create_document(constraint: str) -> bytes:
    """CreateBucketConfiguration; empty where no location is said, for then S3 wants no document at all."""
    if not constraint:
        return b""
    return document("CreateBucketConfiguration", element("LocationConstraint", constraint))


def delete_document(deletions: Iterable[Deletion]) -> bytes:
    """Delete, not quiet. Every key can_be_named. A condition on an ETag stands in it, one on the time does not."""
    lines = []
    for one in deletions:
        assert can_be_named(one.key)
        version = element("VersionId", one.version_id) if one.version_id is not None else ""
        etag = one.condition.if_match
        held = "" if etag is None else element("ETag", etag if etag == "*" else quoted(etag))
        lines.append(f"<Object>{element('Key', one.key)}{version}{held}</Object>")
    return document("Delete", "".join(lines))


def complete_document(
    parts: Sequence[tuple[int, str]], checksums: Mapping[int, Checksum] | None = None
) -> bytes:
    """CompleteMultipartUpload of (number, ETag without quotes); a checksum where the upstream keeps them."""
    kept = checksums or {}
    lines = "".join(
        [
            f"<Part><PartNumber>{number}</PartNumber>{element('ETag', quoted(etag))}"
            f"{checksum_values(kept.get(number), with_kind=False)}</Part>"
            for number, etag in parts
        ]
    )
    return document("CompleteMultipartUpload", lines)


def body_headers(body: bytes) -> dict[str, str]:
    """The headers of a document: S3 asks for a digest of most of them, and every upstream knows this one."""
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    return {"content-md5": b64encode(digest).decode(), "content-type": "application/xml"}


def body_sha256(body: bytes) -> str:
    """What the signature of a request with this body holds."""
    return hashlib.sha256(body).hexdigest()
