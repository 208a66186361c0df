"""What a storage engine refused, as S3 says it. The one place where the two error trees meet."""

from __future__ import annotations

from gateway.call import Call
from gateway.errors import S3Error, s3_error
from gateway.storage.errors import InvalidPart, PartTooSmall, StorageError

# An engine's errors carry S3's names where S3 has one; these are the others.
_CODES = {
    "PartTooSmall": "EntityTooSmall",
    "StorageFull": "ServiceUnavailable",
    "Busy": "SlowDown",
    "DamagedObject": "InternalError",
}
_SAME = frozenset(
    (
        "NoSuchBucket",
        "BucketNotEmpty",
        "NoSuchKey",
        "NoSuchUpload",
        "InvalidPart",
        "InvalidPartOrder",
        "PreconditionFailed",
    )
)


def translate(error: StorageError, call: Call) -> S3Error:
    """The S3 error for what the engine raised during this call."""
    name = type(error).__name__
    code = name if name in _SAME else _CODES.get(name, "InternalError")
    match code:
        case "NoSuchBucket" | "BucketNotEmpty":
            return s3_error(code, BucketName=call.bucket_name)
        case "NoSuchKey":
            return s3_error(code, Key=call.key)
        case "NoSuchUpload":
            return s3_error(code, UploadId=call.query.get("uploadId", "")[:200])
        case "ServiceUnavailable":
            return s3_error(code, "There is no room left for this object.")
        case _:
            failure = s3_error(code)
            failure.extra.update(_facts(error))
            return failure


def _facts(error: StorageError) -> dict[str, str]:
    if isinstance(error, InvalidPart) and error.args:
        return {"PartNumber": str(error.args[0])}
    if isinstance(error, PartTooSmall) and len(error.args) == 3:
        number, size_bytes, least_bytes = map(str, error.args)
        return {"PartNumber": number, "ProposedSize": size_bytes, "MinSizeAllowed": least_bytes}
    return {}
