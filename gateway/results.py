"""The result documents of everything but object listings, byte for byte the same for the same facts.

It knows shapes and escaping, not where the facts come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.call import Bucket
from gateway.errors import S3Error
from gateway.headers import quoted
from gateway.listing import Page, common_prefixes, encoder, iso_time, owner_element
from gateway.markup import document, element, escape
from gateway.storage.model import Checksum, Deleted, ObjectHead, Part, Upload, Versioning

_STANDARD = "<StorageClass>STANDARD</StorageClass>"


@dataclass(frozen=True, slots=True)
class UploadsPage:
    """One page of ListMultipartUploads."""

    page: Page
    key_marker: str
    upload_id_marker: str
    uploads: tuple[Upload, ...]
    prefixes: tuple[str, ...]
    next_markers: tuple[str, str] | None
    """Key and upload id to go on after, when more follow."""


def list_buckets(
    buckets: Sequence[Bucket], *, member: int, member_name: str, region: str, prefix: str, token: str
) -> bytes:
    """ListAllMyBucketsResult. token is the continuation token, empty for none."""
    lines = "".join(
        f"<Bucket>{element('Name', bucket.name)}"
        f"<CreationDate>{iso_time(bucket.created_us)}</CreationDate>"
        f"{element('BucketRegion', region)}</Bucket>"
        for bucket in buckets
    )
    inner = owner_element(member, member_name) + f"<Buckets>{lines}</Buckets>"
    if token:
        inner += element("ContinuationToken", token)
    if prefix:
        inner += element("Prefix", prefix)
    return document("ListAllMyBucketsResult", inner)


def location(region: str) -> bytes:
    """LocationConstraint; us-east-1 is the empty one, as it always was."""
    return document("LocationConstraint", "" if region == "us-east-1" else escape(region))


def delete_result(deleted: Sequence[Deleted], errors: Sequence[tuple[str, str, S3Error]]) -> bytes:
    """DeleteResult: what is gone, then (key, version id, error) of what was refused."""
    refused = "".join(
        "<Error>"
        + element("Key", key)
        + (element("VersionId", version_id) if version_id else "")
        + element("Code", error.code)
        + element("Message", error.message)
        + "</Error>"
        for key, version_id, error in errors
    )
    return document("DeleteResult", "".join(map(_deleted, deleted)) + refused)


def _deleted(one: Deleted) -> str:
    inner = element("Key", one.key)
    if one.version_id:
        inner += element("VersionId", one.version_id)
    if one.is_marker:
        inner += "<DeleteMarker>true</DeleteMarker>" + element("DeleteMarkerVersionId", one.marker_version_id)
    return f"<Deleted>{inner}</Deleted>"


def versioning(state: Versioning) -> bytes:
    """VersioningConfiguration; empty where versions were never asked for."""
    status = "" if state is Versioning.OFF else element("Status", state.value)
    return document("VersioningConfiguration", status)


def nothing_set(name: str) -> bytes:
    """The empty configuration of that name: S3's way to say that nothing was set."""
    return document(name, "")


def request_payment() -> bytes:
    """RequestPaymentConfiguration: here the bucket's owner pays, always."""
    return document("RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>")


def copy_result(head: ObjectHead) -> bytes:
    """CopyObjectResult."""
    checksum = head.properties.checksum
    inner = (
        f"<LastModified>{iso_time(head.modified_us)}</LastModified>"
        + element("ETag", quoted(head.etag))
        + checksum_values(checksum)
    )
    return document("CopyObjectResult", inner)


def copy_part_result(part: Part) -> bytes:
    """CopyPartResult."""
    inner = (
        f"<LastModified>{iso_time(part.modified_us)}</LastModified>"
        + element("ETag", quoted(part.etag))
        + checksum_values(part.checksum, with_kind=False)
    )
    return document("CopyPartResult", inner)


def initiate_result(bucket: str, upload: Upload) -> bytes:
    """InitiateMultipartUploadResult."""
    inner = element("Bucket", bucket) + element("Key", upload.key) + element("UploadId", upload.upload_id)
    return document("InitiateMultipartUploadResult", inner)


def complete_result(bucket: str, head: ObjectHead, *, location: str) -> bytes:
    """CompleteMultipartUploadResult."""
    inner = (
        element("Location", location)
        + element("Bucket", bucket)
        + element("Key", head.key)
        + element("ETag", quoted(head.etag))
        + checksum_values(head.properties.checksum)
    )
    return document("CompleteMultipartUploadResult", inner)


def list_parts(
    bucket: str,
    upload: Upload,
    parts: Sequence[Part],
    *,
    after: int,
    limit: int,
    truncated: bool,
    member: int,
    member_name: str,
) -> bytes:
    """ListPartsResult. after and limit are part-number-marker and max-parts."""
    following = parts[-1].number if truncated and parts else 0
    lines = "".join(
        f"<Part><PartNumber>{part.number}</PartNumber>"
        f"<LastModified>{iso_time(part.modified_us)}</LastModified>"
        f"{element('ETag', quoted(part.etag))}<Size>{part.size_bytes}</Size>"
        f"{checksum_values(part.checksum, with_kind=False)}</Part>"
        for part in parts
    )
    inner = (
        element("Bucket", bucket)
        + element("Key", upload.key)
        + element("UploadId", upload.upload_id)
        + f"<PartNumberMarker>{after}</PartNumberMarker>"
        + (f"<NextPartNumberMarker>{following}</NextPartNumberMarker>" if truncated else "")
        + f"<MaxParts>{limit}</MaxParts><IsTruncated>{'true' if truncated else 'false'}</IsTruncated>"
        + lines
        + owner_element(member, member_name, "Initiator")
        + owner_element(member, member_name)
        + _STANDARD
        + _upload_checksum(upload)
    )
    return document("ListPartsResult", inner)


def list_uploads(bucket: str, result: UploadsPage, *, member: int, member_name: str) -> bytes:
    """ListMultipartUploadsResult."""
    page = result.page
    names = [upload.key for upload in result.uploads]
    encode, encoding = encoder(
        page, "".join(names), "".join(result.prefixes), page.prefix, page.delimiter, result.key_marker
    )
    people = owner_element(member, member_name, "Initiator") + owner_element(member, member_name)
    lines = "".join(
        f"<Upload><Key>{encode(upload.key)}</Key>{element('UploadId', upload.upload_id)}{people}{_STANDARD}"
        f"<Initiated>{iso_time(upload.started_us)}</Initiated>{_upload_checksum(upload)}</Upload>"
        for upload in result.uploads
    )
    following = ""
    if result.next_markers is not None:
        key, upload_id = result.next_markers
        following = f"<NextKeyMarker>{encode(key)}</NextKeyMarker>" + element("NextUploadIdMarker", upload_id)
    inner = (
        element("Bucket", bucket)
        + f"<KeyMarker>{encode(result.key_marker)}</KeyMarker>"
        + element("UploadIdMarker", result.upload_id_marker)
        + following
        + f"<Prefix>{encode(page.prefix)}</Prefix>"
        + (f"<Delimiter>{encode(page.delimiter)}</Delimiter>" if page.delimiter else "")
        + f"<MaxUploads>{page.limit}</MaxUploads>"
        + encoding
        + f"<IsTruncated>{'true' if result.next_markers is not None else 'false'}</IsTruncated>"
        + lines
        + common_prefixes(result.prefixes, encode)
    )
    return document("ListMultipartUploadsResult", inner)


def checksum_values(checksum: Checksum | None, *, with_kind: bool = True) -> str:
    """The checksum itself, and of which kind it is, as elements; nothing for none."""
    if checksum is None:
        return ""
    kind = element("ChecksumType", checksum.kind) if with_kind else ""
    return element(f"Checksum{checksum.algorithm}", checksum.value) + kind


def _upload_checksum(upload: Upload) -> str:
    if not upload.checksum_algorithm:
        return ""
    return element("ChecksumAlgorithm", upload.checksum_algorithm) + element(
        "ChecksumType", upload.checksum_kind
    )
