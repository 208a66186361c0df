"""The documents an upstream answers with, read into what every engine tells of. Pure.

Upstreams agree on names, and on little else: namespaces, quotes around ETags, the order of elements and which names are
percent-encoded differ. A document that cannot be what was asked for is Unavailable, never half an answer.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import unquote_plus

from gateway.checksum import COMPOSITE, DIGEST_BYTES, FULL_OBJECT
from gateway.errors import S3Error
from gateway.headers import unquoted
from gateway.storage.errors import NoSuchKey, NoSuchVersion, Unavailable
from gateway.storage.model import (
    NULL_VERSION,
    Checksum,
    Deleted,
    Deletion,
    ListedObject,
    ListedVersion,
    Listing,
    ObjectProperties,
    Part,
    Upload,
    VersionListing,
)
from gateway.storage.upstream.errors import ANY_NAMESPACE, Asked, Failure, failure_in, storage_error
from gateway.tree import Node, parse_any_tree
from meter.window import to_us

ANSWER_BYTES_MAX = 16 * 2**20
"""A page of a thousand keys of 1024 bytes, each byte percent-encoded, has under 4 MiB."""
_DIGITS_MAX = 18
_FORBIDDEN = re.compile(
    rb"&#x0*(?:[0-8bcef]|1[0-9a-f]);|&#0*(?:[0-8]|1[124-9]|2[0-9]|3[01]);|[\x00-\x08\x0b\x0c\x0e-\x1f]",
    re.IGNORECASE,
)
_ENTRIES = ("Version", "DeleteMarker")
_ELEMENTS = {algorithm: f"Checksum{algorithm}" for algorithm in DIGEST_BYTES}

Decode = Callable[[str], str]
"""Reads a name out of a document: as it stands, or percent-decoded."""


class Written(NamedTuple):
    """What an upstream tells of an object or part it made."""

    etag: str
    """Without quotes; empty where it does not say (radosgw's CompleteMultipartUpload)."""
    modified_us: int = 0
    """0 where it does not say."""
    checksum: Checksum | None = None


class PartsPage(NamedTuple):
    """One page of ListParts."""

    parts: tuple[Part, ...]
    truncated: bool
    checksum_algorithm: str
    checksum_kind: str


def read_listing(body: bytes, asked: Asked, *, after: str = "") -> Listing:
    """ListBucketResult of either version, asked for with encoding-type=url.

    Whatever is not behind `after` is dropped, so also a prefix that `after` is in: upstreams differ in whether they
    tell it again. next_after is the last key or prefix given: a token belongs to one upstream and one listing.
    """
    root = read_root(_readable(body), asked, "ListBucketResult")
    decode = _decoder(root)
    objects = [_listed(node, decode, asked) for node in root.all("Contents")]
    prefixes = _prefixes(root, decode)
    last = max((*(one.key.encode() for one in objects), *(one.encode() for one in prefixes)), default=b"")
    bound = after.encode()
    truncated = _truth(root, "IsTruncated")
    if truncated and last <= bound:
        raise malformed(asked, "a page that does not go on")
    return Listing(
        tuple(one for one in objects if one.key.encode() > bound),
        tuple(one for one in prefixes if one.encode() > bound),
        last.decode() if truncated else None,
    )


def read_versions(
    body: bytes, asked: Asked, *, newer: tuple[str, int] | None = None, behind: Sequence[tuple[str, str]] = ()
) -> VersionListing:
    """ListVersionsResult, asked for with encoding-type=url.

    What is not behind these (key, version id) is dropped, an empty id standing for all of the key's: upstreams differ in
    whether they tell it again. next_after is that of the page as it was told.

    newer is the key and the time of the version given last on the page before, if it was a version: what came
    before the page's first is told by nobody else. Tags are not told at all.
    """
    root = read_root(_readable(body), asked, "ListVersionsResult")
    decode = _decoder(root)
    versions: list[ListedVersion] = []
    for node in _in_order(root, decode):
        one = _version(node, decode, asked, newer)
        versions.append(one)
        newer = (one.key, one.modified_us)
    prefixes = _prefixes(root, decode)
    next_after = _after_versions(versions, prefixes) if _truth(root, "IsTruncated") else None
    for key, version_id in behind:
        versions = _behind(versions, key, version_id)
    return VersionListing(tuple(versions), prefixes, next_after)


def _behind(versions: list[ListedVersion], key: str, version_id: str) -> list[ListedVersion]:
    """Those behind a version, or behind all of a key."""
    if version_id:
        for place, one in enumerate(versions):
            if (one.key, one.version_id) == (key, version_id):
                return versions[place + 1 :]
    bound = key.encode()
    return [one for one in versions if one.key.encode() > bound or (version_id and one.key == key)]


def read_uploads(body: bytes, asked: Asked) -> tuple[tuple[Upload, ...], bool]:
    """ListMultipartUploadsResult, and whether more follow.

    Asked for without encoding-type: radosgw encodes then without saying so, and rclone says neither and does not.
    """
    root = read_root(body, asked, "ListMultipartUploadsResult")
    decode = _decoder(root)
    uploads = tuple(
        Upload(
            _needed(node, "UploadId", asked),
            decode(_needed(node, "Key", asked)),
            instant_of(text_of(node, "Initiated"), asked),
            ObjectProperties(),
            text_of(node, "ChecksumAlgorithm"),
            text_of(node, "ChecksumType"),
        )
        for node in root.all("Upload")
    )
    return uploads, _truth(root, "IsTruncated")


def read_parts(body: bytes, asked: Asked) -> PartsPage:
    """ListPartsResult, the parts ascending."""
    root = read_root(_readable(body), asked, "ListPartsResult")
    parts = sorted(
        (
            Part(
                number_of(node, "PartNumber", asked),
                number_of(node, "Size", asked),
                unquoted(_needed(node, "ETag", asked)),
                instant_of(text_of(node, "LastModified"), asked),
                _checksum(node),
            )
            for node in root.all("Part")
        ),
        key=lambda part: part.number,
    )
    return PartsPage(
        tuple(parts),
        _truth(root, "IsTruncated"),
        text_of(root, "ChecksumAlgorithm"),
        text_of(root, "ChecksumType"),
    )


def read_deleted(body: bytes, deletions: Sequence[Deletion], asked: Asked) -> tuple[Deleted, ...]:
    """DeleteResult, in the order of the deletions. `existed` stays False: S3 does not tell.

    One that the upstream says nothing of has the error Unavailable: whether it is gone is not known.
    """
    root = read_root(body, asked, "DeleteResult")
    told: dict[tuple[str, str], list[Node]] = {}
    for node in root.children:
        if node.name in ("Deleted", "Error"):
            told.setdefault((_needed(node, "Key", asked), text_of(node, "VersionId")), []).append(node)
    return tuple(_deleted(one, told, asked) for one in deletions)


def read_copy(body: bytes, asked: Asked) -> Written:
    """CopyObjectResult or CopyPartResult. Also raises what the document says when the copy failed after the 200."""
    root = read_root(body, asked, "CopyObjectResult", "CopyPartResult")
    return Written(
        unquoted(_needed(root, "ETag", asked)),
        instant_of(text_of(root, "LastModified"), asked),
        _checksum(root),
    )


def read_upload_id(body: bytes, asked: Asked) -> str:
    """InitiateMultipartUploadResult; rclone's root lacks the last word."""
    root = read_root(_readable(body), asked, "InitiateMultipartUploadResult", "InitiateMultipartUpload")
    return _needed(root, "UploadId", asked)


def read_completed(body: bytes, asked: Asked) -> Written:
    """CompleteMultipartUploadResult, after any white space that kept the connection.

    Also raises what the document says when the completion failed after the 200.
    """
    root = read_root(_readable(body), asked, "CompleteMultipartUploadResult")
    return Written(unquoted(text_of(root, "ETag")), 0, _checksum(root))


def checksum_of_value(algorithm: str, value: str, kind: str) -> Checksum:
    """A checksum an upstream tells of; without its kind, a -N says that it was made of parts."""
    return Checksum(algorithm, value, kind or (COMPOSITE if "-" in value else FULL_OBJECT))


def malformed(asked: Asked, what: str) -> Unavailable:
    """What is raised for an answer that cannot be one."""
    return Unavailable(f"{asked.engine} answered {asked.operation} with {what}")


def read_root(body: bytes, asked: Asked, *names: str) -> Node:
    """The document's tree under one of these names; raises what an error document says, and Unavailable."""
    if len(body) > ANSWER_BYTES_MAX:
        raise malformed(asked, f"more than {ANSWER_BYTES_MAX} bytes")
    try:
        root = parse_any_tree(body.strip(), ANY_NAMESPACE)
    except S3Error:
        raise malformed(asked, "a document that cannot be read") from None
    failure = failure_in(root)
    if failure is not None:
        raise storage_error(failure, asked)
    if root.name not in names:
        raise malformed(asked, f"the document {root.name[:64]}")
    return root


def _readable(body: bytes) -> bytes:
    """Without characters XML 1.0 forbids: radosgw tells the prefix, or key, it was asked for with them; those we know."""
    return _FORBIDDEN.sub(b"", body) if _FORBIDDEN.search(body) else body


def _decoder(root: Node) -> Decode:
    """S3 encodes a space as '+' in names, radosgw as %20; a plus is %2B for both."""
    return unquote_plus if text_of(root, "EncodingType").lower() == "url" else str


def _prefixes(root: Node, decode: Decode) -> tuple[str, ...]:
    return tuple(
        sorted(
            (decode(one.text) for node in root.all("CommonPrefixes") for one in node.all("Prefix")),
            key=str.encode,
        )
    )


def _listed(node: Node, decode: Decode, asked: Asked) -> ListedObject:
    return ListedObject(
        decode(_needed(node, "Key", asked)),
        number_of(node, "Size", asked),
        unquoted(text_of(node, "ETag")),
        instant_of(text_of(node, "LastModified"), asked),
    )


def _in_order(root: Node, decode: Decode) -> list[Node]:
    """Versions and markers by key, from the newest to the oldest, as S3 tells them.

    versitygw tells all markers, then of the listing itself, then all versions, each kind in its order: they are merged.
    """
    places = [place for place, node in enumerate(root.children) if node.name in _ENTRIES]
    entries = [root.children[place] for place in places]
    between = {node.name for node in root.children[places[0] : places[-1]]} if places else set()
    if between <= {*_ENTRIES, "CommonPrefixes"}:
        return entries
    kinds = ([node for node in entries if node.name == kind] for kind in _ENTRIES)
    return list(heapq.merge(*kinds, key=lambda node: _Newest(node, decode)))


class _Newest:
    """Orders entries of two lists by key, and within a key the current one first and the rest by age."""

    __slots__ = ("id", "is_latest", "key", "second")

    def __init__(self, node: Node, decode: Decode) -> None:
        self.key = decode(text_of(node, "Key")).encode()
        self.is_latest = _truth(node, "IsLatest")
        self.id = text_of(node, "VersionId")
        self.second = text_of(node, "LastModified")[: len("2026-01-01T00:00:00")]

    def __lt__(self, other: _Newest) -> bool:
        if self.key != other.key:
            return self.key < other.key
        if self.is_latest != other.is_latest:
            return self.is_latest
        if NULL_VERSION in (self.id, other.id):
            # Which has no place among the ids: where the second does not tell either, it was there before versions were.
            return self.second > other.second or (self.second == other.second and other.id == NULL_VERSION)
        # The time told of an old version is when it was superseded; ids are in the order of writing.
        return self.id > other.id


def _version(node: Node, decode: Decode, asked: Asked, newer: tuple[str, int] | None) -> ListedVersion:
    key, is_marker = decode(_needed(node, "Key", asked)), node.name == "DeleteMarker"
    is_latest = _truth(node, "IsLatest")
    return ListedVersion(
        key,
        text_of(node, "VersionId") or NULL_VERSION,
        is_latest,
        is_marker,
        0 if is_marker else number_of(node, "Size", asked),
        "" if is_marker else unquoted(text_of(node, "ETag")),
        instant_of(text_of(node, "LastModified"), asked),
        superseded_us=newer[1] if newer is not None and newer[0] == key and not is_latest else None,
    )


def _after_versions(versions: Sequence[ListedVersion], prefixes: Sequence[str]) -> tuple[str, str] | None:
    """Where the next page begins. The upstream's own markers are no help: some encode them, and some do not."""
    if prefixes and (not versions or prefixes[-1].encode() > versions[-1].key.encode()):
        return prefixes[-1], ""
    return (versions[-1].key, versions[-1].version_id) if versions else None


def _deleted(one: Deletion, told: dict[tuple[str, str], list[Node]], asked: Asked) -> Deleted:
    named = one.version_id or ""
    found = told.get((one.key, named)) or []
    if not found:
        return Deleted(one.key, named, error=malformed(asked, "nothing about one of the keys"))
    node = found.pop(0)
    if node.name == "Error":
        failure = Failure(200, text_of(node, "Code") or "InternalError", text_of(node, "Message"))
        context = asked._replace(key=one.key, version_id=named, may_be_locked=one.version_id is not None)
        error = storage_error(failure, context)
        return Deleted(one.key, named, error=None if isinstance(error, NoSuchKey | NoSuchVersion) else error)
    is_marker = _truth(node, "DeleteMarker")
    return Deleted(one.key, named, is_marker, text_of(node, "DeleteMarkerVersionId"))


def _checksum(node: Node) -> Checksum | None:
    for algorithm, name in _ELEMENTS.items():
        value = text_of(node, name)
        if value:
            return checksum_of_value(algorithm, value, text_of(node, "ChecksumType"))
    return None


def text_of(node: Node, name: str) -> str:
    """The text of the first child of that name, without blanks around it; empty for none."""
    for child in node.children:
        if child.name == name:
            return child.text.strip()
    return ""


def number_of(node: Node, name: str, asked: Asked, *, absent: int | None = None) -> int:
    """The whole number of the first child of that name. Raises Unavailable for another, and for none."""
    text = text_of(node, name)
    if not text and absent is not None:
        return absent
    if not (text.isascii() and text.isdigit()) or len(text) > _DIGITS_MAX:
        raise malformed(asked, f"{name} {text[:32]!r}")
    return int(text)


def instant_of(text: str, asked: Asked) -> int:
    """An ISO 8601 instant; without a zone it is UTC's. Raises Unavailable for anything else."""
    try:
        moment = datetime.fromisoformat(text)
        return to_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise malformed(asked, f"the time {text[:32]!r}") from None


def _needed(node: Node, name: str, asked: Asked) -> str:
    for child in node.children:
        if child.name == name:
            return child.text
    raise malformed(asked, f"{node.name} without {name}")


def _truth(node: Node, name: str) -> bool:
    return text_of(node, name).lower() == "true"
