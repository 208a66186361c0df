"""The listings' documents, V1, V2 and versions, and what their query parameters mean.

A page that holds a character XML 1.0 forbids is answered with EncodingType url even unasked: the document stays
well-formed and says so. Many clients that did not ask do not decode, so no more of it is encoded than must be.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from gateway.checksum import FULL_OBJECT
from gateway.errors import invalid_argument
from gateway.markup import document, element, escape, is_plain, is_writable, url_encode, url_encode_least
from gateway.storage.model import Checksum, ListedObject, ListedVersion, Listing, VersionListing
from meter.window import MICROSECONDS

MINUTES_MAX = 16_384
"""Minutes whose text is remembered: eleven days of writing without a pause."""
CHECKSUMS_MAX = 32
"""Pairs of algorithm and kind; S3 knows fewer."""
_EPOCH = date(1970, 1, 1)
_SECONDS = tuple(f"{second:02d}.000Z" for second in range(60))

Encode = Callable[[str], str]
"""Writes a name into a document: escaped, or percent-encoded."""


@dataclass(frozen=True, slots=True)
class Page:
    """What every listing asks for."""

    prefix: str
    delimiter: str
    limit: int
    encode_url: bool


def parse_page(query: Mapping[str, str], *, limit_name: str, limit_max: int) -> Page:
    """Prefix, delimiter, limit (clamped to limit_max) and encoding. Raises InvalidArgument."""
    encoding = query.get("encoding-type")
    if encoding not in (None, "", "url"):
        raise invalid_argument("encoding-type", str(encoding), "Invalid Encoding Method specified in Request")
    limit = parse_count(query, limit_name, limit_max)
    return Page(query.get("prefix", ""), query.get("delimiter", ""), limit, encoding == "url")


def parse_count(query: Mapping[str, str], name: str, most: int) -> int:
    """A whole number ≥ 0 from the query, clamped to the most; absent is the most. Raises InvalidArgument."""
    text = query.get(name, "")
    if not text:
        return most
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > 2**31 - 1:
        raise invalid_argument(name, text, f"Argument {name} must be an integer between 0 and 2147483647")
    return min(int(text), most)


def make_token(after: str) -> str:
    """An opaque continuation token: the last key or common prefix given."""
    return urlsafe_b64encode(b"1" + after.encode()).decode()


def read_token(token: str) -> str:
    """What make_token put in. Raises InvalidArgument."""
    try:
        data = urlsafe_b64decode(token.encode("ascii"))
        if data[:1] == b"1":
            return data[1:].decode()
    except (ValueError, binascii.Error):
        pass  # the same refusal as another version's token
    raise invalid_argument("continuation-token", token, "The continuation token provided is incorrect")


def owner_id(member: int) -> str:
    """A member as S3 knows owners: twelve digits, as in x-amz-expected-bucket-owner."""
    return f"{member:012d}"


def iso_time(instant_us: int) -> str:
    """An instant in S3's form. Whole seconds, so that it equals the Last-Modified of the object."""
    minute, second = divmod(instant_us // MICROSECONDS, 60)
    return _minute(minute) + _SECONDS[second]


@lru_cache(maxsize=MINUTES_MAX)
def _minute(minute: int) -> str:
    """The date and time so many minutes after 1970-01-01T00:00; objects of one page were often written close by."""
    day, minute = divmod(minute, 24 * 60)
    hour, minute = divmod(minute, 60)
    return f"{(_EPOCH + timedelta(days=day)).isoformat()}T{hour:02d}:{minute:02d}:"


def encoder(page: Page, *texts: str) -> tuple[Encode, str]:
    """How the page's names are written, and the EncodingType element that says so."""
    if page.encode_url:
        return url_encode, element("EncodingType", "url")
    if not all(map(is_writable, texts)):
        return url_encode_least, element("EncodingType", "url")
    # One search over everything costs less than one a name.
    return (str if all(map(is_plain, texts)) else escape), ""


def owner_element(member: int, name: str, tag: str = "Owner") -> str:
    """<Owner>."""
    return f"<{tag}>{element('ID', owner_id(member))}{element('DisplayName', name)}</{tag}>"


def checksum_elements(checksum: Checksum | None) -> str:
    """ChecksumAlgorithm and ChecksumType of a listed object."""
    return "" if checksum is None else _checksum_markup(checksum.algorithm, checksum.kind or FULL_OBJECT)


@lru_cache(maxsize=CHECKSUMS_MAX)
def _checksum_markup(algorithm: str, kind: str) -> str:
    return element("ChecksumAlgorithm", algorithm) + element("ChecksumType", kind)


def common_prefixes(prefixes: tuple[str, ...], encode: Encode) -> str:
    """<CommonPrefixes> for each."""
    return "".join(
        f"<CommonPrefixes><Prefix>{encode(prefix)}</Prefix></CommonPrefixes>" for prefix in prefixes
    )


def list_objects(bucket: str, page: Page, marker: str, listing: Listing, *, owner: str) -> bytes:
    """ListBucketResult of version 1. owner is markup (owner_element)."""
    encode, encoding = _encoder(page, listing, marker)
    next_marker = ""
    if listing.next_after is not None and page.delimiter:
        next_marker = f"<NextMarker>{encode(listing.next_after)}</NextMarker>"
    inner = (
        _head(bucket, page, encode)
        + f"<Marker>{encode(marker)}</Marker>{next_marker}<MaxKeys>{page.limit}</MaxKeys>"
        + _delimiter(page, encode)
        + encoding
        + _truncated(listing)
        + _contents(listing, encode, owner)
        + common_prefixes(listing.prefixes, encode)
    )
    return document("ListBucketResult", inner)


def list_objects_v2(
    bucket: str,
    page: Page,
    listing: Listing,
    *,
    token: str | None,
    start_after: str,
    owner: str,
) -> bytes:
    """ListBucketResult of version 2. owner is markup, empty unless fetch-owner was asked."""
    encode, encoding = _encoder(page, listing, start_after)
    tokens = element("ContinuationToken", token) if token is not None else ""
    if listing.next_after is not None:
        tokens += element("NextContinuationToken", make_token(listing.next_after))
    count = len(listing.objects) + len(listing.prefixes)
    inner = (
        _head(bucket, page, encode)
        + tokens
        + (f"<StartAfter>{encode(start_after)}</StartAfter>" if start_after else "")
        + f"<KeyCount>{count}</KeyCount><MaxKeys>{page.limit}</MaxKeys>"
        + _delimiter(page, encode)
        + encoding
        + _truncated(listing)
        + _contents(listing, encode, owner)
        + common_prefixes(listing.prefixes, encode)
    )
    return document("ListBucketResult", inner)


def list_versions(
    bucket: str, page: Page, listing: VersionListing, *, key_marker: str, version_marker: str, owner: str
) -> bytes:
    """ListVersionsResult: versions and delete markers in one order. owner is markup (owner_element)."""
    names = "".join([item.key for item in listing.versions])
    encode, encoding = encoder(
        page, names, "".join(listing.prefixes), page.prefix, page.delimiter, key_marker
    )
    following = ""
    if listing.next_after is not None:
        key, version_id = listing.next_after
        following = f"<NextKeyMarker>{encode(key)}</NextKeyMarker>"
        if version_id:
            following += element("NextVersionIdMarker", version_id)
    inner = (
        _head(bucket, page, encode)
        + f"<KeyMarker>{encode(key_marker)}</KeyMarker>"
        + element("VersionIdMarker", version_marker)
        + following
        + f"<MaxKeys>{page.limit}</MaxKeys>"
        + _delimiter(page, encode)
        + encoding
        + _truncated(listing)
        + "".join([_version(item, encode, owner) for item in listing.versions])
        + common_prefixes(listing.prefixes, encode)
    )
    return document("ListVersionsResult", inner)


def _version(item: ListedVersion, encode: Encode, owner: str) -> str:
    named = (
        f"<Key>{encode(item.key)}</Key>{element('VersionId', item.version_id)}"
        f"<IsLatest>{'true' if item.is_latest else 'false'}</IsLatest>"
    )
    if item.is_marker:
        written = f"<LastModified>{iso_time(item.modified_us)}</LastModified>"
        return f"<DeleteMarker>{named}{written}{owner}</DeleteMarker>"
    return f"<Version>{named}{_facts(item)}{owner}</Version>"


def _encoder(page: Page, listing: Listing, marker: str) -> tuple[Encode, str]:
    names = "".join([item.key for item in listing.objects])
    return encoder(page, names, "".join(listing.prefixes), page.prefix, page.delimiter, marker)


def _head(bucket: str, page: Page, encode: Encode) -> str:
    return f"{element('Name', bucket)}<Prefix>{encode(page.prefix)}</Prefix>"


def _delimiter(page: Page, encode: Encode) -> str:
    return f"<Delimiter>{encode(page.delimiter)}</Delimiter>" if page.delimiter else ""


def _truncated(listing: Listing | VersionListing) -> str:
    return f"<IsTruncated>{'true' if listing.next_after is not None else 'false'}</IsTruncated>"


def _contents(listing: Listing, encode: Encode, owner: str) -> str:
    return "".join(
        [
            f"<Contents><Key>{encode(item.key)}</Key>{_facts(item)}{owner}</Contents>"
            for item in listing.objects
        ]
    )


def _facts(item: ListedObject | ListedVersion) -> str:
    checksum = item.checksum
    return (
        f"<LastModified>{iso_time(item.modified_us)}</LastModified><ETag>&quot;{item.etag}&quot;</ETag>"
        f"{'' if checksum is None else checksum_elements(checksum)}"
        f"<Size>{item.size_bytes}</Size><StorageClass>STANDARD</StorageClass>"
    )
