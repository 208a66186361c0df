"""What two places hold under one key, and what a move would lose. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from gateway.engine_store import DISK_KIND, EngineRow
from gateway.storage.model import Amendment, BucketRules, ObjectHead, RetentionMode, Versioning


class Seen(NamedTuple):
    """A version as a listing tells of it."""

    version_id: str
    is_marker: bool
    etag: str
    size_bytes: int


def common(source: Sequence[Seen], target: Sequence[Seen]) -> int:
    """How many of the oldest versions are the same in both places; both from the oldest to the newest."""
    count = 0
    for ours, theirs in zip(source, target, strict=False):
        if (ours.is_marker, ours.etag, ours.size_bytes) != (theirs.is_marker, theirs.etag, theirs.size_bytes):
            break
        count += 1
    return count


def is_same_object(source: ObjectHead, target: ObjectHead) -> bool:
    """The same bytes and headers; the target may tell of more, such as a type nobody named."""
    return (source.etag, source.size_bytes) == (target.etag, target.size_bytes) and all(
        target.properties.headers.get(name) == value for name, value in source.properties.headers.items()
    )


def amendment(source: ObjectHead, target: ObjectHead) -> Amendment | None:
    """What has to be changed beside the target's bytes; None for nothing."""
    ours, theirs = source.properties, target.properties
    kept = (ours.tags, ours.acl, ours.retention, ours.legal_hold)
    if kept == (theirs.tags, theirs.acl, theirs.retention, theirs.legal_hold):
        return None
    return Amendment(
        tags=ours.tags if dict(ours.tags) != dict(theirs.tags) else None,
        acl=ours.acl if ours.acl != theirs.acl else None,
        retention=ours.retention if ours.retention != theirs.retention else None,
        clear_retention=ours.retention is None and theirs.retention is not None,
        legal_hold=ours.legal_hold if ours.legal_hold != theirs.legal_hold else None,
        may_bypass=True,
    )


class Loss(StrEnum):
    """What would not arrive; the value stands in JSON."""

    ACCESS_LIST = "access-list"
    CUSTOMER_KEY = "customer-key"
    TAGS = "tags"
    METADATA = "metadata"
    LOCK = "lock"
    ETAG = "etag"
    VERSIONS = "versions"
    VERSION_IDS = "version-ids"
    COMPLIANCE = "compliance"


SENTENCES = {
    Loss.ACCESS_LIST: "the access list of objects: that engine keeps none but private ones",
    Loss.CUSTOMER_KEY: "objects encrypted with a customer's key: only the disk keeps them",
    Loss.TAGS: "the tags of objects: that engine keeps none",
    Loss.METADATA: "headers and metadata of objects: that engine keeps none",
    Loss.LOCK: "retention and legal holds: that engine has no object lock",
    Loss.ETAG: "the ETag of objects that were put together: their parts are not known any more",
    Loss.VERSIONS: "old versions and delete markers: that engine keeps none",
    Loss.VERSION_IDS: "the ids of versions: each gets a new one there (--new-version-ids accepts that)",
    Loss.COMPLIANCE: "nothing, but versions under COMPLIANCE could not leave the old place before their time",
}


@dataclass(frozen=True, slots=True)
class Keeps:
    """What an engine keeps."""

    is_disk: bool
    tags: bool
    metadata: bool
    locks: bool
    versions: bool


def keeps(engine: EngineRow) -> Keeps:
    """Of the disk all; of another what its trial found."""
    able, is_disk = engine.features, engine.kind == DISK_KIND
    return Keeps(
        is_disk=is_disk,
        tags=is_disk or bool(able.get("tagging")),
        metadata=is_disk or bool(able.get("metadata")),
        locks=is_disk or bool(able.get("object_lock")),
        versions=is_disk or bool(able.get("versioning")),
    )


def losses_of_bucket(rules: BucketRules, target: Keeps, *, may_change_ids: bool) -> set[Loss]:
    """What of the bucket's rules would not arrive."""
    found = set()
    if rules.versioning is not Versioning.OFF:
        if not target.versions:
            found.add(Loss.VERSIONS)
        elif not may_change_ids:
            found.add(Loss.VERSION_IDS)
    if rules.locks and not target.locks:
        found.add(Loss.LOCK)
    return found


def losses_of_object(head: ObjectHead, target: Keeps) -> set[Loss]:
    """What of one version would not arrive."""
    kept = head.properties
    found = set()
    if kept.retention is not None and kept.retention.mode is RetentionMode.COMPLIANCE:
        found.add(Loss.COMPLIANCE)
    if target.is_disk:
        return found
    if kept.acl:
        found.add(Loss.ACCESS_LIST)
    if kept.sealing:
        found.add(Loss.CUSTOMER_KEY)
    if kept.tags and not target.tags:
        found.add(Loss.TAGS)
    if kept.headers and not target.metadata:
        found.add(Loss.METADATA)
    if (kept.retention is not None or kept.legal_hold) and not target.locks:
        found.add(Loss.LOCK)
    if "-" in head.etag and not head.part_sizes:
        found.add(Loss.ETAG)
    return found
