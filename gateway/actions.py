"""Which rights an operation needs, by the names policies use (s3:GetObject), and on what. Pure.

A request may need several: an access list that comes with an object is a right of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.operation import Level, Operation

HARMLESS_ACLS = frozenset(("private", "bucket-owner-full-control", "bucket-owner-read"))
"""Canned lists that give nobody anything: objects here belong to the bucket's owner anyway."""


@dataclass(frozen=True, slots=True)
class Need:
    """One right, on the bucket or on the object."""

    action: str
    on_object: bool


_NAMES = {
    Operation.LIST_BUCKETS: "ListAllMyBuckets",
    Operation.HEAD_BUCKET: "ListBucket",
    Operation.LIST_OBJECTS: "ListBucket",
    Operation.LIST_OBJECTS_V2: "ListBucket",
    Operation.LIST_OBJECT_VERSIONS: "ListBucketVersions",
    Operation.LIST_MULTIPART_UPLOADS: "ListBucketMultipartUploads",
    Operation.HEAD_OBJECT: "GetObject",
    Operation.COPY_OBJECT: "PutObject",
    Operation.POST_OBJECT: "PutObject",
    Operation.DELETE_OBJECTS: "DeleteObject",
    Operation.CREATE_MULTIPART_UPLOAD: "PutObject",
    Operation.UPLOAD_PART: "PutObject",
    Operation.UPLOAD_PART_COPY: "PutObject",
    Operation.COMPLETE_MULTIPART_UPLOAD: "PutObject",
    Operation.LIST_PARTS: "ListMultipartUploadParts",
    Operation.SELECT_OBJECT_CONTENT: "GetObject",
    Operation.GET_BUCKET_CORS: "GetBucketCORS",
    Operation.PUT_BUCKET_CORS: "PutBucketCORS",
    Operation.DELETE_BUCKET_CORS: "PutBucketCORS",
    Operation.GET_BUCKET_ENCRYPTION: "GetEncryptionConfiguration",
    Operation.PUT_BUCKET_ENCRYPTION: "PutEncryptionConfiguration",
    Operation.DELETE_BUCKET_ENCRYPTION: "PutEncryptionConfiguration",
    Operation.GET_BUCKET_LIFECYCLE_CONFIGURATION: "GetLifecycleConfiguration",
    Operation.PUT_BUCKET_LIFECYCLE_CONFIGURATION: "PutLifecycleConfiguration",
    Operation.DELETE_BUCKET_LIFECYCLE: "PutLifecycleConfiguration",
    Operation.GET_BUCKET_REPLICATION: "GetReplicationConfiguration",
    Operation.PUT_BUCKET_REPLICATION: "PutReplicationConfiguration",
    Operation.DELETE_BUCKET_REPLICATION: "PutReplicationConfiguration",
    Operation.GET_BUCKET_ACCELERATE_CONFIGURATION: "GetAccelerateConfiguration",
    Operation.PUT_BUCKET_ACCELERATE_CONFIGURATION: "PutAccelerateConfiguration",
    Operation.GET_BUCKET_NOTIFICATION_CONFIGURATION: "GetBucketNotification",
    Operation.PUT_BUCKET_NOTIFICATION_CONFIGURATION: "PutBucketNotification",
    Operation.DELETE_BUCKET_TAGGING: "PutBucketTagging",
    Operation.DELETE_BUCKET_OWNERSHIP_CONTROLS: "PutBucketOwnershipControls",
    Operation.GET_PUBLIC_ACCESS_BLOCK: "GetBucketPublicAccessBlock",
    Operation.PUT_PUBLIC_ACCESS_BLOCK: "PutBucketPublicAccessBlock",
    Operation.DELETE_PUBLIC_ACCESS_BLOCK: "PutBucketPublicAccessBlock",
    Operation.GET_OBJECT_LOCK_CONFIGURATION: "GetBucketObjectLockConfiguration",
    Operation.PUT_OBJECT_LOCK_CONFIGURATION: "PutBucketObjectLockConfiguration",
}
"""Where the right is not called like the operation."""

_OF_VERSIONS = {
    "s3:GetObject": "s3:GetObjectVersion",
    "s3:GetObjectAcl": "s3:GetObjectVersionAcl",
    "s3:PutObjectAcl": "s3:PutObjectVersionAcl",
    "s3:GetObjectAttributes": "s3:GetObjectVersionAttributes",
    "s3:GetObjectTagging": "s3:GetObjectVersionTagging",
    "s3:PutObjectTagging": "s3:PutObjectVersionTagging",
    "s3:DeleteObjectTagging": "s3:DeleteObjectVersionTagging",
    "s3:GetObjectTorrent": "s3:GetObjectVersionTorrent",
    "s3:DeleteObject": "s3:DeleteObjectVersion",
}

ACTION_OF: dict[Operation, str] = {
    operation: f"s3:{_NAMES.get(operation, operation.s3_name)}"
    for operation in Operation
    if operation is not Operation.OTHER
}
"""The first right of each operation, where no version is named."""

# Rights that no operation has as its first, so that policies written for S3 can name them.
_MORE_OF_OBJECTS = frozenset(
    f"s3:{name}"
    for name in (
        "BypassGovernanceRetention", "GetObjectVersionForReplication", "ObjectOwnerOverrideToBucketOwner",
        "ReplicateDelete", "ReplicateObject", "ReplicateTags", "InitiateReplication",
    )
)  # fmt: skip
_OBJECT_LEVEL = {action for one, action in ACTION_OF.items() if one.level is Level.OBJECT}
OBJECT_ACTIONS = frozenset(
    _OBJECT_LEVEL | set(_OF_VERSIONS.values()) | _MORE_OF_OBJECTS | {"s3:DeleteObject", "s3:PutObject"}
)
"""Rights on objects."""
BUCKET_ACTIONS = frozenset(
    {action for one, action in ACTION_OF.items() if one.level is Level.BUCKET} - OBJECT_ACTIONS
)
"""Rights on a bucket."""

_TAKES_ACL = frozenset(
    (
        Operation.PUT_OBJECT,
        Operation.POST_OBJECT,
        Operation.COPY_OBJECT,
        Operation.CREATE_MULTIPART_UPLOAD,
    )
)
_CONDITIONAL = frozenset((Operation.PUT_OBJECT, Operation.COPY_OBJECT, Operation.COMPLETE_MULTIPART_UPLOAD))


def needs(operation: Operation, query: Mapping[str, str], headers: Mapping[str, str]) -> tuple[Need, ...]:
    """Every right a request needs, the operation's own first."""
    action = ACTION_OF[operation]
    on_object = operation.level is Level.OBJECT or operation is Operation.POST_OBJECT
    if "versionId" in query:
        action = _OF_VERSIONS.get(action, action)
    if operation in _TAKES_ACL:
        return Need(action, on_object), *(
            Need(more, on_object=True) for more in _beside_bytes(headers, operation)
        )
    if operation is Operation.GET_OBJECT_ATTRIBUTES:
        read = "s3:GetObjectVersion" if "versionId" in query else "s3:GetObject"
        return Need(action, on_object), Need(read, on_object)
    if headers.get("x-amz-bypass-governance-retention", "").lower() == "true":
        return Need(action, on_object), Need("s3:BypassGovernanceRetention", on_object)
    if operation in _CONDITIONAL and "if-match" in headers:
        return Need(action, on_object), Need("s3:GetObject", on_object)
    return (Need(action, on_object),)


def _beside_bytes(headers: Mapping[str, str], operation: Operation) -> list[str]:
    """Rights for what a write brings along."""
    found = []
    if headers.get("x-amz-acl", "private") not in HARMLESS_ACLS or any(
        name.startswith("x-amz-grant-") for name in headers
    ):
        found.append("s3:PutObjectAcl")
    if headers.get("x-amz-tagging"):
        found.append("s3:PutObjectTagging")
    if "x-amz-object-lock-mode" in headers or "x-amz-object-lock-retain-until-date" in headers:
        found.append("s3:PutObjectRetention")
    if "x-amz-object-lock-legal-hold" in headers:
        found.append("s3:PutObjectLegalHold")
    if operation in _CONDITIONAL and "if-match" in headers:
        # What an ETag is compared with is a thing one learns of the object.
        found.append("s3:GetObject")
    return found
