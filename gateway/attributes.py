"""GetObjectAttributes: what is asked for, and its document. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.errors import invalid_argument
from gateway.markup import document, element
from gateway.results import checksum_values
from gateway.storage.model import Checksum, ObjectHead

ATTRIBUTES_HEADER = "x-amz-object-attributes"
PARTS_PAGE_MAX = 1000
"""S3's own page of parts."""
_KNOWN = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")


@dataclass(frozen=True, slots=True)
class AskedAttributes:
    """What the request's headers name."""

    names: frozenset[str]
    parts_max: int
    part_marker: int


def parse_attributes(headers: Mapping[str, str]) -> AskedAttributes:
    """Read the three headers. Raises InvalidArgument for none, an unknown one, or no number."""
    text = headers.get(ATTRIBUTES_HEADER, "")
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    if not names or not names <= set(_KNOWN):
        raise invalid_argument(ATTRIBUTES_HEADER, text, "Invalid attribute name specified.")
    return AskedAttributes(
        names,
        min(_count(headers, "x-amz-max-parts", PARTS_PAGE_MAX), PARTS_PAGE_MAX),
        _count(headers, "x-amz-part-number-marker", 0),
    )


def attributes_document(head: ObjectHead, asked: AskedAttributes) -> bytes:
    """GetObjectAttributesResponse, with what was asked for as far as the object has it."""
    checksum = head.properties.checksum
    inner = ""
    if "ETag" in asked.names:
        inner += element("ETag", head.etag)  # without quotes, unlike everywhere else
    if "Checksum" in asked.names and checksum is not None:
        inner += f"<Checksum>{checksum_values(checksum)}</Checksum>"
    if "ObjectParts" in asked.names and head.part_sizes:
        inner += f"<ObjectParts>{_parts(head, asked)}</ObjectParts>"
    if "StorageClass" in asked.names:
        inner += "<StorageClass>STANDARD</StorageClass>"
    if "ObjectSize" in asked.names:
        inner += element("ObjectSize", str(head.size_bytes))
    return document("GetObjectAttributesResponse", inner)


def _parts(head: ObjectHead, asked: AskedAttributes) -> str:
    """The count alone; each part only where parts have checksums of their own, as S3 has it."""
    count = element("PartsCount", str(len(head.part_sizes)))
    checksum = head.properties.checksum
    if checksum is None or not head.part_checksums:
        return count
    first, stop = asked.part_marker, asked.part_marker + asked.parts_max
    sizes = head.part_sizes[first:stop]
    lines = "".join(
        f"<Part><PartNumber>{number}</PartNumber><Size>{size_bytes}</Size>"
        + checksum_values(Checksum(checksum.algorithm, value), with_kind=False)
        + "</Part>"
        for number, (size_bytes, value) in enumerate(
            zip(sizes, head.part_checksums[first:stop], strict=True), first + 1
        )
    )
    truncated = stop < len(head.part_sizes)
    return (
        count
        + element("PartNumberMarker", str(first))
        + element("NextPartNumberMarker", str(first + len(sizes)))
        + element("MaxParts", str(asked.parts_max))
        + element("IsTruncated", "true" if truncated else "false")
        + lines
    )


def _count(headers: Mapping[str, str], name: str, absent: int) -> int:
    text = headers.get(name)
    if text is None:
        return absent
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise invalid_argument(name, text, f"Argument {name} must be an integer between 0 and 2147483647")
    return int(text)
