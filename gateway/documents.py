"""The XML documents clients send, read into dataclasses. Anything else than expected is MalformedXML.

Guarded: no DOCTYPE and so no entities, bounded elements and depth; the caller bounds the size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

from gateway.errors import S3Error, s3_error
from gateway.markup import NAMESPACE

ELEMENTS_MAX = 100_000
"""Ten thousand parts of five elements each fit twice; a bound of the parser, not a setting."""
DEPTH_MAX = 8

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


@dataclass(slots=True)
class _Node:
    name: str
    text: str = ""
    children: list[_Node] = field(default_factory=list)

    def all(self, name: str) -> list[_Node]:
        return [child for child in self.children if child.name == name]

    def one(self, name: str) -> str | None:
        """The text of the only child of that name; None when there is none."""
        found = self.all(name)
        if len(found) > 1:
            raise _malformed()
        return found[0].text if found else None


def parse_delete(body: bytes, *, keys_max: int) -> DeleteRequest:
    """Read a Delete document. Raises MalformedXML, also for no key at all or more than keys_max."""
    root = _parse(body, "Delete")
    objects = []
    for node in root.all("Object"):
        key = node.one("Key")
        if key is None:
            raise _malformed()
        conditions = [name for name in ("ETag", "LastModifiedTime", "Size") if node.one(name) is not None]
        objects.append(DoomedObject(key, (node.one("VersionId") or "").strip(), bool(conditions)))
    if not 1 <= len(objects) <= keys_max:
        raise _malformed()
    return DeleteRequest(tuple(objects), _boolean(root.one("Quiet")))


def parse_complete(body: bytes, *, parts_max: int) -> tuple[NamedPart, ...]:
    """Read a CompleteMultipartUpload document. Raises MalformedXML, also for no part or too many."""
    parts = []
    for node in _parse(body, "CompleteMultipartUpload").all("Part"):
        number, etag = node.one("PartNumber"), node.one("ETag")
        if number is None or etag is None:
            raise _malformed()
        checksums = tuple(
            (algorithm, value.strip())
            for name, algorithm in _CHECKSUM_ELEMENTS.items()
            if (value := node.one(name)) is not None
        )
        bare_etag = etag.strip().removeprefix('"').removesuffix('"')
        parts.append(NamedPart(_number(number, parts_max), bare_etag, checksums))
    if not 1 <= len(parts) <= parts_max:
        raise _malformed()
    return tuple(parts)


def parse_create_bucket(body: bytes) -> str:
    """The LocationConstraint of CreateBucket, or the empty string. An empty body is none.

    Raises MalformedXML, and NotImplemented for a directory bucket.
    """
    if not body.strip():
        return ""
    root = _parse(body, "CreateBucketConfiguration")
    if root.all("Location") or root.all("Bucket"):
        raise s3_error("NotImplemented", "Directory buckets are not implemented.")
    return (root.one("LocationConstraint") or "").strip()


def _number(text: str, parts_max: int) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 9:
        raise _malformed()
    if not 1 <= int(digits) <= parts_max:
        raise s3_error(
            "InvalidArgument", f"Part number must be an integer between 1 and {parts_max}, inclusive."
        )
    return int(digits)


def _boolean(text: str | None) -> bool:
    match (text or "false").strip().lower():
        case "true" | "1":
            return True
        case "false" | "0":
            return False
        case _:
            raise _malformed()


def _parse(body: bytes, root_name: str) -> _Node:
    """The document's tree, names without namespace. Raises MalformedXML."""
    builder = _Builder()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.doctype
    try:
        parser.Parse(body, True)  # noqa: FBT003 - expat takes it by place only
    except (expat.ExpatError, ValueError, LookupError):
        # Not well-formed, or in an encoding nobody knows.
        raise _malformed() from None
    if builder.root is None or builder.root.name != root_name:
        raise _malformed()
    return builder.root


class _Builder:
    """Gathers expat's events into a tree, within bounds."""

    def __init__(self) -> None:
        self.root: _Node | None = None
        self._open: list[_Node] = []
        self._elements = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        del attributes
        namespace, _, local = name.rpartition(" ")
        self._elements += 1
        is_ours = namespace in ("", NAMESPACE)
        if not is_ours or self._elements > ELEMENTS_MAX or len(self._open) >= DEPTH_MAX:
            raise _malformed()
        node = _Node(local)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)

    def end(self, name: str) -> None:
        del name
        self._open.pop()

    def text(self, data: str) -> None:
        self._open[-1].text += data

    def doctype(self, name: str, system: str | None, public: str | None, internal: bool) -> None:
        del name, system, public, internal
        raise _malformed()


def _malformed() -> S3Error:
    return s3_error("MalformedXML")
