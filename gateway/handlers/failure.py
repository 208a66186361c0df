"""What a storage engine refused, as S3 says it. The one place where the two error trees meet."""

from __future__ import annotations

from typing import assert_never

from gateway.call import Call
from gateway.errors import S3Error, known_codes, s3_error
from gateway.handlers.support import MARKER_HEADER, VERSION_HEADER, bucket_of, quota_exceeded
from gateway.headers import http_date
from gateway.locks import missing_configuration
from gateway.storage.errors import (
    InvalidPart,
    InvalidRules,
    IsDeleteMarker,
    NoSuchKey,
    PartTooSmall,
    QuotaExceeded,
    Refused,
    StorageError,
    Unsupported,
)

# An engine's errors carry S3's names where S3 has one; these are the others.
_CODES = {
    "PartTooSmall": "EntityTooSmall",
    "StorageFull": "ServiceUnavailable",
    "Busy": "SlowDown",
    "DamagedObject": "InternalError",
    "ObjectLocked": "AccessDenied",
    "Unavailable": "ServiceUnavailable",
    "Unreached": "ServiceUnavailable",
    "Misconfigured": "InternalError",
}
_SAME = frozenset(
    (
        "NoSuchBucket",
        "BucketNotEmpty",
        "NoSuchUpload",
        "NoSuchVersion",
        "InvalidPart",
        "InvalidPartOrder",
        "PreconditionFailed",
    )
)


def translate(error: StorageError, call: Call) -> S3Error:
    """The S3 error for what the engine raised during this call."""
    if isinstance(error, NoSuchKey | IsDeleteMarker | QuotaExceeded | InvalidRules):
        return _particular(error, call)
    if isinstance(error, Unsupported | Refused):
        return _of_engine(error)
    name = type(error).__name__
    code = name if name in _SAME else _CODES.get(name, "InternalError")
    match code:
        case "NoSuchBucket" | "BucketNotEmpty":
            return s3_error(code, BucketName=call.bucket_name)
        case "NoSuchVersion":
            return s3_error(code, Key=call.key, VersionId=call.query.get("versionId", "")[:200])
        case "AccessDenied":
            return s3_error(code, "Access Denied because object protected by object lock.")
        case "NoSuchUpload":
            return s3_error(code, UploadId=call.query.get("uploadId", "")[:200])
        case "ServiceUnavailable" if name == "StorageFull":
            return s3_error(code, "There is no room left for this object.")
        case _:
            failure = s3_error(code)
            failure.extra.update(_facts(error))
            return failure


def _particular(error: NoSuchKey | IsDeleteMarker | QuotaExceeded | InvalidRules, call: Call) -> S3Error:
    """Those that have headers or a sentence of their own."""
    match error:
        case NoSuchKey():
            marker = error.marker_version_id
            headers = {MARKER_HEADER: "true", VERSION_HEADER: marker} if marker else None
            return s3_error("NoSuchKey", headers=headers, Key=call.key)
        case IsDeleteMarker():
            _, marker, set_us = error.args
            headers = {
                "Allow": "DELETE",
                "Last-Modified": http_date(set_us),
                MARKER_HEADER: "true",
                VERSION_HEADER: marker,
            }
            return s3_error("MethodNotAllowed", headers=headers, ResourceType="DeleteMarker")
        case QuotaExceeded():
            whose, limit = error.args
            return quota_exceeded(whose, limit, bucket_of(call))
        case InvalidRules():
            return missing_configuration()
        case _:
            assert_never(error)


def _of_engine(error: Unsupported | Refused) -> S3Error:
    """What the engine the bucket lives on cannot do, or refuses in S3's own words."""
    match error:
        case Unsupported():
            operation, engine = error.args
            message = f"{operation} is not possible in this bucket: it lives on {engine}, which cannot do it."
            return s3_error("NotImplemented", message, Operation=operation, Engine=engine)
        case Refused():
            code, message = error.args
            return s3_error(code if code in known_codes() else "InvalidRequest", message)
        case _:
            assert_never(error)


def _facts(error: StorageError) -> dict[str, str]:
    if isinstance(error, InvalidPart) and error.args:
        return {"PartNumber": str(error.args[0])}
    if isinstance(error, PartTooSmall) and len(error.args) == 3:
        number, size_bytes, least_bytes = map(str, error.args)
        return {"PartNumber": number, "ProposedSize": size_bytes, "MinSizeAllowed": least_bytes}
    return {}
