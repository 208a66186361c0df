"""What the storage engines that are tested can and cannot do: the one table, for the page and for the tests. Pure.

What an engine cannot do is refused by name; nothing is emulated. An engine an operator adds is tried out, and what was
found is kept beside it under the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from gateway.operation import Operation


class Ability(StrEnum):
    """Something that not every engine can do; the names are kept in the directory, so never changed."""

    VERSIONING = "versioning"
    MARKERS = "markers"
    OBJECT_LOCK = "object_lock"
    DEFAULT_RETENTION = "default_retention"
    TAGGING = "tagging"
    CONDITIONAL_PUT = "conditional_put"
    CONDITIONAL_COPY = "conditional_copy"
    CONDITIONAL_DELETE = "conditional_delete"
    REPLACING_COPY = "replacing_copy"
    PARTS_EXTRAS = "parts_extras"
    CLEARED_RETENTION = "cleared_retention"
    CHECKSUMS = "checksums"
    ACCESS_LISTS = "access_lists"
    CUSTOMER_KEYS = "customer_keys"
    PARTS = "parts"
    REPEATED_COMPLETE = "repeated_complete"
    ANY_KEY = "any_key"
    PART_MARKERS = "part_markers"
    PARTS_ETAG = "parts_etag"
    ANY_PARTS = "any_parts"
    CUT_BODIES = "cut_bodies"


UNSEEN = frozenset((Ability.REPLACING_COPY, Ability.PART_MARKERS, Ability.CUT_BODIES))
"""What no client sees missing: where the upstream's own copy would not do, the bytes are put anew; where it cannot list
parts from a number on, they are listed from the first; where it stores what came of a body that broke off, a body is sent
when all of it is here and verified."""

WORDS: Mapping[Ability, str] = {
    Ability.VERSIONING: "versions of objects",
    Ability.MARKERS: "`x-amz-delete-marker` and the marker's id, told to who reads what is hidden or names the marker",
    Ability.OBJECT_LOCK: "retention and legal hold",
    Ability.DEFAULT_RETENTION: "a bucket's default retention, which each new object gets for its own",
    Ability.TAGGING: "tags of objects",
    Ability.CONDITIONAL_PUT: "`If-Match` and `If-None-Match` of a write",
    Ability.CONDITIONAL_COPY: "the same of completing an upload",
    Ability.CONDITIONAL_DELETE: "`If-Match` of a delete",
    Ability.PARTS_EXTRAS: "tags, retention and legal hold given to an upload in parts",
    Ability.CLEARED_RETENTION: "taking a GOVERNANCE retention away",
    Ability.CHECKSUMS: "`x-amz-checksum-*` kept and told; all are verified on their way in, everywhere",
    Ability.ACCESS_LISTS: "access lists of single objects; those of buckets work everywhere",
    Ability.CUSTOMER_KEYS: "encryption with your own key (SSE-C)",
    Ability.PARTS: "the parts of a finished upload: `partNumber`, `ObjectParts`",
    Ability.REPEATED_COMPLETE: "completing an upload again, after an answer that was lost or a refusal",
    Ability.ANY_KEY: "keys with `//`, `.`, `..`, control characters, or both `a` and `a/b`",
    Ability.ANY_PARTS: "parts whose numbers leave some out",
    Ability.PARTS_ETAG: "the ETag of an object in parts says how many: `-N`",
}

DISK, RADOSGW, RCLONE, VERSITY = "disk", "radosgw", "rclone", "versitygw"
ENGINES: Mapping[str, str] = {
    DISK: "the machine's own disk",
    RADOSGW: "Ceph's S3 gateway, 16.2",
    RCLONE: "`rclone serve s3`, 1.75, over a directory",
    VERSITY: "versitygw 1.8, over a directory",
}
"""Those that the same tests run on, in the order of the page's columns."""

_OURS = "it would be the gateway's to keep, and the upstream has no place for it that can be changed alone"
MISSING: Mapping[str, Mapping[Ability, str]] = {
    DISK: {},
    RADOSGW: {
        Ability.MARKERS: "it says that there is nothing",
        Ability.CONDITIONAL_COPY: "it passes over the conditions",
        Ability.CONDITIONAL_DELETE: "it passes over the condition",
        Ability.PARTS_EXTRAS: "it passes over them",
        Ability.CLEARED_RETENTION: "it reads no empty retention",
        Ability.CHECKSUMS: "it knows none",
        Ability.ACCESS_LISTS: _OURS,
        Ability.CUSTOMER_KEYS: _OURS,
        Ability.PARTS: "it does not tell of them",
    },
    RCLONE: {
        Ability.VERSIONING: "it refuses to set them",
        Ability.MARKERS: "it has none",
        Ability.OBJECT_LOCK: "it keeps the headers and forbids nothing",
        Ability.DEFAULT_RETENTION: "it has none",
        Ability.TAGGING: "it takes the document for the object",
        Ability.CONDITIONAL_PUT: "it passes over the conditions",
        Ability.CONDITIONAL_COPY: "it passes over the conditions",
        Ability.CONDITIONAL_DELETE: "it passes over the condition",
        Ability.REPLACING_COPY: "it puts the new beside the old",
        Ability.PARTS_EXTRAS: "it has none",
        Ability.CLEARED_RETENTION: "it has none",
        Ability.CHECKSUMS: "it gives back the header it was sent, and has none for the rest",
        Ability.ACCESS_LISTS: _OURS,
        Ability.CUSTOMER_KEYS: _OURS,
        Ability.PARTS: "it does not tell of them",
        Ability.REPEATED_COMPLETE: "it forgets an upload with its completion, and with a refused one too",
        Ability.ANY_KEY: "its keys are paths",
        Ability.PART_MARKERS: "it breaks off where a part is not there yet",
        Ability.PARTS_ETAG: "it tells the MD5 of the whole",
        Ability.ANY_PARTS: "it wants 1, 2, 3 and so on",
    },
    VERSITY: {
        Ability.MARKERS: "it does not say which marker",
        Ability.DEFAULT_RETENTION: "it holds by the bucket's rule of the day, and gives the object none",
        Ability.CONDITIONAL_COPY: "it passes over those of a copy",
        Ability.CONDITIONAL_DELETE: "it looks first and deletes then",
        Ability.CLEARED_RETENTION: "it reads no empty retention",
        Ability.ACCESS_LISTS: _OURS,
        Ability.CUSTOMER_KEYS: _OURS,
        Ability.PARTS: "it is not asked for them",
        Ability.ANY_KEY: "its keys are paths",
        Ability.CUT_BODIES: "it stores what came of them",
    },
}
"""By engine, what is missing and why."""

OPERATIONS: Mapping[Operation, Ability] = {
    Operation.PUT_BUCKET_VERSIONING: Ability.VERSIONING,
    Operation.LIST_OBJECT_VERSIONS: Ability.VERSIONING,
    Operation.PUT_OBJECT_LOCK_CONFIGURATION: Ability.OBJECT_LOCK,
    Operation.PUT_OBJECT_RETENTION: Ability.OBJECT_LOCK,
    Operation.PUT_OBJECT_LEGAL_HOLD: Ability.OBJECT_LOCK,
    Operation.PUT_OBJECT_TAGGING: Ability.TAGGING,
    Operation.DELETE_OBJECT_TAGGING: Ability.TAGGING,
    Operation.PUT_OBJECT_ACL: Ability.ACCESS_LISTS,
}
"""Operations that are nothing without an ability. Asking for what cannot be set is none: it is told that nothing is."""

ONLY_WHEN_FOUND = frozenset((Ability.CONDITIONAL_COPY, Ability.CONDITIONAL_DELETE, Ability.PARTS_EXTRAS))
"""What so many systems pass over without a word that it is believed of none that was not seen to do it."""


LOCATION_CONSTRAINT = "location_constraint"
"""Kept beside the abilities: it takes its own region's name as a new bucket's location. AWS asks for that everywhere but in
us-east-1; others refuse what they do not know, or know their region by another name, and are told none."""
NEEDS_NO_CONSTRAINT = ("", "us-east-1")


def lacking(features: Mapping[str, bool]) -> frozenset[Ability]:
    """What an engine must not be asked for, by what was found when it was tried."""
    return frozenset(one for one in Ability if not features.get(one, one not in ONLY_WHEN_FOUND))


def constraint_of(region: str, features: Mapping[str, bool]) -> str:
    """The location a new bucket of an engine is made with; empty: none is said."""
    return region if features.get(LOCATION_CONSTRAINT) is True and region not in NEEDS_NO_CONSTRAINT else ""


def can(engine: str, ability: Ability) -> bool:
    """Whether a tested engine has the ability."""
    return ability not in MISSING[engine]


def does(engine: str, operation: Operation) -> bool:
    """Whether a tested engine carries out an operation that this gateway answers."""
    needed = OPERATIONS.get(operation)
    return needed is None or can(engine, needed)
