"""The table of S3 operations: name, permanent code, class, place. It feeds routing, rights and the meter.

A code is written into the journal, so it is never reused and never renumbered: new operations are
added at the end with the next free code. What is not in the table has no name here.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import Self

from meter.event import RequestClass


class Level(Enum):
    """What an operation's address names."""

    SERVICE = "service"
    BUCKET = "bucket"
    OBJECT = "object"


_A, _B, _FREE = RequestClass.A, RequestClass.B, RequestClass.FREE
_SERVICE, _BUCKET, _OBJECT = Level.SERVICE, Level.BUCKET, Level.OBJECT
_THERE = True


@unique
class Operation(Enum):
    """One S3 operation. Operation(code) finds it by the number a journal keeps.

    Each line: code, S3's name, request class, level, HTTP method, the query parameter that selects
    it ("" for none), and whether this gateway answers it.
    """

    code: int
    s3_name: str
    request_class: RequestClass
    level: Level
    method: str
    parameter: str
    supported: bool

    # Members are single objects; Enum's own hash is a Python call on every look-up.
    __hash__ = object.__hash__

    def __new__(
        cls,
        code: int,
        # The defaults only let a type checker see that Operation(code) looks a member up.
        s3_name: str = "",
        request_class: RequestClass = _B,
        level: Level = _SERVICE,
        method: str = "",
        parameter: str = "",
        supported: bool = False,
    ) -> Self:
        """The code alone is the member's value."""
        member = object.__new__(cls)
        member._value_ = code
        member.code = code
        member.s3_name = s3_name
        member.request_class = request_class
        member.level = level
        member.method = method
        member.parameter = parameter
        member.supported = supported
        return member

    # One line an operation is worth more here than the usual width.
    # fmt: off
    LIST_BUCKETS = (1, "ListBuckets", _A, _SERVICE, "GET", "", _THERE)
    CREATE_BUCKET = (2, "CreateBucket", _A, _BUCKET, "PUT", "", _THERE)
    HEAD_BUCKET = (3, "HeadBucket", _B, _BUCKET, "HEAD", "", _THERE)
    DELETE_BUCKET = (4, "DeleteBucket", _FREE, _BUCKET, "DELETE", "", _THERE)
    GET_BUCKET_LOCATION = (5, "GetBucketLocation", _B, _BUCKET, "GET", "location", _THERE)
    PUT_OBJECT = (6, "PutObject", _A, _OBJECT, "PUT", "", _THERE)
    GET_OBJECT = (7, "GetObject", _B, _OBJECT, "GET", "", _THERE)
    HEAD_OBJECT = (8, "HeadObject", _B, _OBJECT, "HEAD", "", _THERE)
    DELETE_OBJECT = (9, "DeleteObject", _FREE, _OBJECT, "DELETE", "", _THERE)
    COPY_OBJECT = (10, "CopyObject", _A, _OBJECT, "PUT", "", _THERE)
    DELETE_OBJECTS = (11, "DeleteObjects", _FREE, _BUCKET, "POST", "delete", _THERE)
    LIST_OBJECTS = (12, "ListObjects", _A, _BUCKET, "GET", "", _THERE)
    LIST_OBJECTS_V2 = (13, "ListObjectsV2", _A, _BUCKET, "GET", "list-type=2", _THERE)
    LIST_OBJECT_VERSIONS = (14, "ListObjectVersions", _A, _BUCKET, "GET", "versions", _THERE)
    CREATE_MULTIPART_UPLOAD = (15, "CreateMultipartUpload", _A, _OBJECT, "POST", "uploads", _THERE)
    UPLOAD_PART = (16, "UploadPart", _A, _OBJECT, "PUT", "uploadId", _THERE)
    UPLOAD_PART_COPY = (17, "UploadPartCopy", _A, _OBJECT, "PUT", "uploadId", _THERE)
    COMPLETE_MULTIPART_UPLOAD = (18, "CompleteMultipartUpload", _A, _OBJECT, "POST", "uploadId", _THERE)
    ABORT_MULTIPART_UPLOAD = (19, "AbortMultipartUpload", _FREE, _OBJECT, "DELETE", "uploadId", _THERE)
    LIST_PARTS = (20, "ListParts", _A, _OBJECT, "GET", "uploadId", _THERE)
    LIST_MULTIPART_UPLOADS = (21, "ListMultipartUploads", _A, _BUCKET, "GET", "uploads", _THERE)

    # Not there yet: each has its name and its answer. A member moves up by its last word only.
    CREATE_BUCKET_METADATA_CONFIGURATION = (22, "CreateBucketMetadataConfiguration", _A, _BUCKET, "POST", "metadataConfiguration")
    CREATE_BUCKET_METADATA_TABLE_CONFIGURATION = (23, "CreateBucketMetadataTableConfiguration", _A, _BUCKET, "POST", "metadataTable")
    CREATE_SESSION = (24, "CreateSession", _B, _BUCKET, "GET", "session")
    DELETE_BUCKET_ANALYTICS_CONFIGURATION = (25, "DeleteBucketAnalyticsConfiguration", _FREE, _BUCKET, "DELETE", "analytics")
    DELETE_BUCKET_CORS = (26, "DeleteBucketCors", _FREE, _BUCKET, "DELETE", "cors", _THERE)
    DELETE_BUCKET_ENCRYPTION = (27, "DeleteBucketEncryption", _FREE, _BUCKET, "DELETE", "encryption")
    DELETE_BUCKET_INTELLIGENT_TIERING_CONFIGURATION = (28, "DeleteBucketIntelligentTieringConfiguration", _FREE, _BUCKET, "DELETE", "intelligent-tiering")
    DELETE_BUCKET_INVENTORY_CONFIGURATION = (29, "DeleteBucketInventoryConfiguration", _FREE, _BUCKET, "DELETE", "inventory")
    DELETE_BUCKET_LIFECYCLE = (30, "DeleteBucketLifecycle", _FREE, _BUCKET, "DELETE", "lifecycle", _THERE)
    DELETE_BUCKET_METADATA_CONFIGURATION = (31, "DeleteBucketMetadataConfiguration", _FREE, _BUCKET, "DELETE", "metadataConfiguration")
    DELETE_BUCKET_METADATA_TABLE_CONFIGURATION = (32, "DeleteBucketMetadataTableConfiguration", _FREE, _BUCKET, "DELETE", "metadataTable")
    DELETE_BUCKET_METRICS_CONFIGURATION = (33, "DeleteBucketMetricsConfiguration", _FREE, _BUCKET, "DELETE", "metrics")
    DELETE_BUCKET_OWNERSHIP_CONTROLS = (34, "DeleteBucketOwnershipControls", _FREE, _BUCKET, "DELETE", "ownershipControls", _THERE)
    DELETE_BUCKET_POLICY = (35, "DeleteBucketPolicy", _FREE, _BUCKET, "DELETE", "policy", _THERE)
    DELETE_BUCKET_REPLICATION = (36, "DeleteBucketReplication", _FREE, _BUCKET, "DELETE", "replication")
    DELETE_BUCKET_TAGGING = (37, "DeleteBucketTagging", _FREE, _BUCKET, "DELETE", "tagging", _THERE)
    DELETE_BUCKET_WEBSITE = (38, "DeleteBucketWebsite", _FREE, _BUCKET, "DELETE", "website", _THERE)
    DELETE_OBJECT_ANNOTATION = (39, "DeleteObjectAnnotation", _FREE, _OBJECT, "DELETE", "annotation")
    DELETE_OBJECT_TAGGING = (40, "DeleteObjectTagging", _FREE, _OBJECT, "DELETE", "tagging", _THERE)
    DELETE_PUBLIC_ACCESS_BLOCK = (41, "DeletePublicAccessBlock", _FREE, _BUCKET, "DELETE", "publicAccessBlock", _THERE)
    GET_BUCKET_ABAC = (42, "GetBucketAbac", _B, _BUCKET, "GET", "abac")
    GET_BUCKET_ACCELERATE_CONFIGURATION = (43, "GetBucketAccelerateConfiguration", _B, _BUCKET, "GET", "accelerate", _THERE)
    GET_BUCKET_ACL = (44, "GetBucketAcl", _B, _BUCKET, "GET", "acl", _THERE)
    GET_BUCKET_ANALYTICS_CONFIGURATION = (45, "GetBucketAnalyticsConfiguration", _B, _BUCKET, "GET", "analytics")
    GET_BUCKET_CORS = (46, "GetBucketCors", _B, _BUCKET, "GET", "cors", _THERE)
    GET_BUCKET_ENCRYPTION = (47, "GetBucketEncryption", _B, _BUCKET, "GET", "encryption")
    GET_BUCKET_INTELLIGENT_TIERING_CONFIGURATION = (48, "GetBucketIntelligentTieringConfiguration", _B, _BUCKET, "GET", "intelligent-tiering")
    GET_BUCKET_INVENTORY_CONFIGURATION = (49, "GetBucketInventoryConfiguration", _B, _BUCKET, "GET", "inventory")
    GET_BUCKET_LIFECYCLE_CONFIGURATION = (50, "GetBucketLifecycleConfiguration", _B, _BUCKET, "GET", "lifecycle", _THERE)
    GET_BUCKET_LOGGING = (51, "GetBucketLogging", _B, _BUCKET, "GET", "logging", _THERE)
    GET_BUCKET_METADATA_CONFIGURATION = (52, "GetBucketMetadataConfiguration", _B, _BUCKET, "GET", "metadataConfiguration")
    GET_BUCKET_METADATA_TABLE_CONFIGURATION = (53, "GetBucketMetadataTableConfiguration", _B, _BUCKET, "GET", "metadataTable")
    GET_BUCKET_METRICS_CONFIGURATION = (54, "GetBucketMetricsConfiguration", _B, _BUCKET, "GET", "metrics")
    GET_BUCKET_NOTIFICATION_CONFIGURATION = (55, "GetBucketNotificationConfiguration", _B, _BUCKET, "GET", "notification")
    GET_BUCKET_OWNERSHIP_CONTROLS = (56, "GetBucketOwnershipControls", _B, _BUCKET, "GET", "ownershipControls", _THERE)
    GET_BUCKET_POLICY = (57, "GetBucketPolicy", _B, _BUCKET, "GET", "policy", _THERE)
    GET_BUCKET_POLICY_STATUS = (58, "GetBucketPolicyStatus", _B, _BUCKET, "GET", "policyStatus", _THERE)
    GET_BUCKET_REPLICATION = (59, "GetBucketReplication", _B, _BUCKET, "GET", "replication")
    GET_BUCKET_REQUEST_PAYMENT = (60, "GetBucketRequestPayment", _B, _BUCKET, "GET", "requestPayment", _THERE)
    GET_BUCKET_TAGGING = (61, "GetBucketTagging", _B, _BUCKET, "GET", "tagging", _THERE)
    GET_BUCKET_VERSIONING = (62, "GetBucketVersioning", _B, _BUCKET, "GET", "versioning", _THERE)
    GET_BUCKET_WEBSITE = (63, "GetBucketWebsite", _B, _BUCKET, "GET", "website", _THERE)
    GET_OBJECT_ACL = (64, "GetObjectAcl", _B, _OBJECT, "GET", "acl", _THERE)
    GET_OBJECT_ANNOTATION = (65, "GetObjectAnnotation", _B, _OBJECT, "GET", "annotation")
    GET_OBJECT_ATTRIBUTES = (66, "GetObjectAttributes", _B, _OBJECT, "GET", "attributes", _THERE)
    GET_OBJECT_LEGAL_HOLD = (67, "GetObjectLegalHold", _B, _OBJECT, "GET", "legal-hold", _THERE)
    GET_OBJECT_LOCK_CONFIGURATION = (68, "GetObjectLockConfiguration", _B, _BUCKET, "GET", "object-lock", _THERE)
    GET_OBJECT_RETENTION = (69, "GetObjectRetention", _B, _OBJECT, "GET", "retention", _THERE)
    GET_OBJECT_TAGGING = (70, "GetObjectTagging", _B, _OBJECT, "GET", "tagging", _THERE)
    GET_OBJECT_TORRENT = (71, "GetObjectTorrent", _B, _OBJECT, "GET", "torrent")
    GET_PUBLIC_ACCESS_BLOCK = (72, "GetPublicAccessBlock", _B, _BUCKET, "GET", "publicAccessBlock", _THERE)
    LIST_BUCKET_ANALYTICS_CONFIGURATIONS = (73, "ListBucketAnalyticsConfigurations", _A, _BUCKET, "GET", "analytics")
    LIST_BUCKET_INTELLIGENT_TIERING_CONFIGURATIONS = (74, "ListBucketIntelligentTieringConfigurations", _A, _BUCKET, "GET", "intelligent-tiering")
    LIST_BUCKET_INVENTORY_CONFIGURATIONS = (75, "ListBucketInventoryConfigurations", _A, _BUCKET, "GET", "inventory")
    LIST_BUCKET_METRICS_CONFIGURATIONS = (76, "ListBucketMetricsConfigurations", _A, _BUCKET, "GET", "metrics")
    LIST_DIRECTORY_BUCKETS = (77, "ListDirectoryBuckets", _A, _SERVICE, "GET", "")
    LIST_OBJECT_ANNOTATIONS = (78, "ListObjectAnnotations", _A, _OBJECT, "GET", "annotation")
    PUT_BUCKET_ABAC = (79, "PutBucketAbac", _A, _BUCKET, "PUT", "abac")
    PUT_BUCKET_ACCELERATE_CONFIGURATION = (80, "PutBucketAccelerateConfiguration", _A, _BUCKET, "PUT", "accelerate")
    PUT_BUCKET_ACL = (81, "PutBucketAcl", _A, _BUCKET, "PUT", "acl", _THERE)
    PUT_BUCKET_ANALYTICS_CONFIGURATION = (82, "PutBucketAnalyticsConfiguration", _A, _BUCKET, "PUT", "analytics")
    PUT_BUCKET_CORS = (83, "PutBucketCors", _A, _BUCKET, "PUT", "cors", _THERE)
    PUT_BUCKET_ENCRYPTION = (84, "PutBucketEncryption", _A, _BUCKET, "PUT", "encryption")
    PUT_BUCKET_INTELLIGENT_TIERING_CONFIGURATION = (85, "PutBucketIntelligentTieringConfiguration", _A, _BUCKET, "PUT", "intelligent-tiering")
    PUT_BUCKET_INVENTORY_CONFIGURATION = (86, "PutBucketInventoryConfiguration", _A, _BUCKET, "PUT", "inventory")
    PUT_BUCKET_LIFECYCLE_CONFIGURATION = (87, "PutBucketLifecycleConfiguration", _A, _BUCKET, "PUT", "lifecycle", _THERE)
    PUT_BUCKET_LOGGING = (88, "PutBucketLogging", _A, _BUCKET, "PUT", "logging")
    PUT_BUCKET_METRICS_CONFIGURATION = (89, "PutBucketMetricsConfiguration", _A, _BUCKET, "PUT", "metrics")
    PUT_BUCKET_NOTIFICATION_CONFIGURATION = (90, "PutBucketNotificationConfiguration", _A, _BUCKET, "PUT", "notification")
    PUT_BUCKET_OWNERSHIP_CONTROLS = (91, "PutBucketOwnershipControls", _A, _BUCKET, "PUT", "ownershipControls", _THERE)
    PUT_BUCKET_POLICY = (92, "PutBucketPolicy", _A, _BUCKET, "PUT", "policy", _THERE)
    PUT_BUCKET_REPLICATION = (93, "PutBucketReplication", _A, _BUCKET, "PUT", "replication")
    PUT_BUCKET_REQUEST_PAYMENT = (94, "PutBucketRequestPayment", _A, _BUCKET, "PUT", "requestPayment", _THERE)
    PUT_BUCKET_TAGGING = (95, "PutBucketTagging", _A, _BUCKET, "PUT", "tagging", _THERE)
    PUT_BUCKET_VERSIONING = (96, "PutBucketVersioning", _A, _BUCKET, "PUT", "versioning", _THERE)
    PUT_BUCKET_WEBSITE = (97, "PutBucketWebsite", _A, _BUCKET, "PUT", "website", _THERE)
    PUT_OBJECT_ACL = (98, "PutObjectAcl", _A, _OBJECT, "PUT", "acl", _THERE)
    PUT_OBJECT_ANNOTATION = (99, "PutObjectAnnotation", _A, _OBJECT, "PUT", "annotation")
    PUT_OBJECT_LEGAL_HOLD = (100, "PutObjectLegalHold", _A, _OBJECT, "PUT", "legal-hold", _THERE)
    PUT_OBJECT_LOCK_CONFIGURATION = (101, "PutObjectLockConfiguration", _A, _BUCKET, "PUT", "object-lock", _THERE)
    PUT_OBJECT_RETENTION = (102, "PutObjectRetention", _A, _OBJECT, "PUT", "retention", _THERE)
    PUT_OBJECT_TAGGING = (103, "PutObjectTagging", _A, _OBJECT, "PUT", "tagging", _THERE)
    PUT_PUBLIC_ACCESS_BLOCK = (104, "PutPublicAccessBlock", _A, _BUCKET, "PUT", "publicAccessBlock", _THERE)
    RENAME_OBJECT = (105, "RenameObject", _A, _OBJECT, "PUT", "renameObject")
    RESTORE_OBJECT = (106, "RestoreObject", _A, _OBJECT, "POST", "restore")
    SELECT_OBJECT_CONTENT = (107, "SelectObjectContent", _B, _OBJECT, "POST", "select")
    UPDATE_BUCKET_METADATA_ANNOTATION_TABLE_CONFIGURATION = (108, "UpdateBucketMetadataAnnotationTableConfiguration", _A, _BUCKET, "PUT", "metadataAnnotationTable")
    UPDATE_BUCKET_METADATA_INVENTORY_TABLE_CONFIGURATION = (109, "UpdateBucketMetadataInventoryTableConfiguration", _A, _BUCKET, "PUT", "metadataInventoryTable")
    UPDATE_BUCKET_METADATA_JOURNAL_TABLE_CONFIGURATION = (110, "UpdateBucketMetadataJournalTableConfiguration", _A, _BUCKET, "PUT", "metadataJournalTable")
    UPDATE_OBJECT_ENCRYPTION = (111, "UpdateObjectEncryption", _A, _OBJECT, "PUT", "encryption")
    WRITE_GET_OBJECT_RESPONSE = (112, "WriteGetObjectResponse", _A, _SERVICE, "POST", "")
    POST_OBJECT = (113, "PostObject", _A, _BUCKET, "POST", "", _THERE)
    PREFLIGHT_BUCKET = (114, "PreflightBucket", _FREE, _BUCKET, "OPTIONS", "", _THERE)
    PREFLIGHT_OBJECT = (115, "PreflightObject", _FREE, _OBJECT, "OPTIONS", "", _THERE)

    # A request that names no operation of S3, such as PATCH.
    OTHER = (255, "Other", _B, _SERVICE, "", "")
    # fmt: on

    @property
    def writes(self) -> bool:
        """Whether it changes what is stored or configured."""
        return self.method in _WRITING_METHODS and self is not Operation.SELECT_OBJECT_CONTENT


_WRITING_METHODS = frozenset(("PUT", "POST", "DELETE"))
