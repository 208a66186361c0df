"""What an upstream's refusal means: HTTP status and S3's error document to a storage error; what may be tried again.

Pure. An upstream's own words never reach a member as they are: only codes that are about the member's request do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gateway.errors import S3Error
from gateway.headers import parse_http_date
from gateway.storage.errors import (
    BucketNotEmpty,
    Busy,
    DamagedObject,
    InvalidPart,
    InvalidPartOrder,
    InvalidRules,
    IsDeleteMarker,
    Misconfigured,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    NoSuchVersion,
    ObjectLocked,
    PartTooSmall,
    PreconditionFailed,
    Refused,
    StorageError,
    StorageFull,
    Unavailable,
    Unsupported,
)
from gateway.tree import Node, parse_any_tree

ERROR_BYTES_MAX = 64 * 2**10
"""Of an error's body as much is read; S3's have a few hundred bytes."""
_MESSAGE_MAX = 200
_CODES_OF_STATUS = {
    301: "PermanentRedirect",
    307: "TemporaryRedirect",
    400: "BadRequest",
    401: "AccessDenied",
    403: "AccessDenied",
    404: "NoSuchKey",
    405: "MethodNotAllowed",
    409: "OperationAborted",
    411: "MissingContentLength",
    412: "PreconditionFailed",
    416: "InvalidRange",
    429: "SlowDown",
    501: "NotImplemented",
    503: "ServiceUnavailable",
    507: "InsufficientCapacity",
}
"""For answers without a document: those to HEAD, those of a proxy in between."""
_MISCONFIGURED = frozenset(
    (
        "AccessDenied", "AccountProblem", "AllAccessDisabled", "AuthorizationHeaderMalformed", "ExpiredToken",
        "IllegalLocationConstraintException", "InvalidAccessKeyId", "InvalidLocationConstraint",
        "InvalidSecurity", "InvalidToken", "NotSignedUp", "PermanentRedirect", "RequestTimeTooSkewed",
        "SignatureDoesNotMatch", "TemporaryRedirect", "UserSuspended", "XAdminUserNotFound",
    )
)  # fmt: skip
_BUSY = frozenset(
    ("SlowDown", "OperationAborted", "ConditionalRequestConflict", "TooManyRequests", "RequestLimitExceeded",
     "Throttling", "ThrottlingException", "XRateLimited")
)  # fmt: skip
_FULL = frozenset(("InsufficientCapacity", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull"))
_UNSUPPORTED = frozenset(("NotImplemented", "MethodNotAllowed", "XNotImplemented"))
_FAILING = frozenset(
    ("BadDigest", "IncompleteBody", "InternalError", "RequestTimeout", "ServiceUnavailable",
     "XAmzContentSHA256Mismatch")
)  # fmt: skip
"""Also what says that the body was not ours as it got there: the member's was verified."""
_MEMBERS = frozenset(
    ("EntityTooLarge", "InvalidArgument", "InvalidRedirectLocation", "InvalidRequest", "InvalidStorageClass",
     "InvalidTag", "KeyTooLongError", "MaxMessageLengthExceeded", "MetadataTooLarge",
     "RequestHeaderSectionTooLarge", "InvalidRetentionPeriod")
)  # fmt: skip
"""What a member can do something about: an upstream may have narrower limits than the gateway."""
_DELETIONS = ("DeleteObject", "DeleteObjects")
_NOTHING_SET = frozenset(
    (
        "NoSuchObjectLockConfiguration",
        "NoSuchTagSet",
        "NoSuchTagSetError",
        "ObjectLockConfigurationNotFoundError",
    )
)
_RETRY_STATUS = frozenset((429, 500, 502, 503, 504))
_RETRY_CODES = frozenset(("RequestTimeout", *_BUSY))


class Asked(NamedTuple):
    """What was asked, as far as the meaning of a refusal hangs on it."""

    engine: str
    """The engine's name, for the operator and for NotImplemented."""
    operation: str
    """By S3's name."""
    key: str = ""
    version_id: str = ""
    in_upload: bool = False
    """An upload id was named."""
    may_be_locked: bool = False
    """A retention or a legal hold may be why it is refused."""
    sets_lock: bool = False
    """A retention or a legal hold was asked for."""


class Failure(NamedTuple):
    """An answer that is no success, read."""

    status: int
    code: str
    """S3's; where the answer has no document, the one that fits its status."""
    message: str = ""
    is_marker: bool = False
    """x-amz-delete-marker: true."""
    version_id: str = ""
    modified_us: int = 0
    """Of the delete marker; 0 where it was not told."""


def read_failure(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """Read it. Headers have lower-case names; a body that is no error document counts as none."""
    code, message = _document(body)
    if not code:
        code = _CODES_OF_STATUS.get(status, "InternalError" if status >= 500 else "BadRequest")
    return Failure(
        status,
        code,
        message,
        headers.get("x-amz-delete-marker", "").lower() == "true",
        headers.get("x-amz-version-id", ""),
        parse_http_date(headers.get("last-modified", "")) or 0,
    )


def failure_in(root: Node) -> Failure | None:
    """The failure that stands in the document of an answer whose status was 200; None for another document."""
    if root.name != "Error":
        return None
    return Failure(200, _text(root, "Code") or "InternalError", _text(root, "Message"))


def may_retry(failure: Failure) -> bool:
    """Whether the same request may succeed a little later; that it may be done twice is the caller's to know."""
    return failure.status in _RETRY_STATUS or failure.code in _RETRY_CODES


def storage_error(failure: Failure, asked: Asked) -> StorageError:
    """The storage error it means."""
    code = failure.code
    if failure.is_marker and failure.status in (404, 405):
        return _hidden(failure, asked)
    found = _of_names(code, asked)
    if found is not None:
        return found
    if code in _BUSY or failure.status == 429:
        return Busy(_said(failure, asked))
    if code in _FULL:
        return StorageFull(_said(failure, asked))
    if code in _UNSUPPORTED:
        return Unsupported(asked.operation, asked.engine)
    if code == "AccessDenied" and asked.may_be_locked:
        return ObjectLocked(asked.key)
    if asked.sets_lock and code in ("InvalidRequest", "ObjectLockConfigurationNotFoundError"):
        return InvalidRules("the bucket has no object lock")
    if code == "InvalidBucketState":
        return InvalidRules(_said(failure, asked))
    if code in _MISCONFIGURED or failure.status in (301, 307, 401, 403):
        return Misconfigured(_said(failure, asked))
    if code == "InvalidArgument" and asked.version_id and asked.operation in _DELETIONS:
        # versitygw's word for a version that is not there.
        return NoSuchVersion(asked.key, asked.version_id)
    if code in _MEMBERS and failure.status < 500:
        return Refused(code, failure.message[:_MESSAGE_MAX])
    if code == "InvalidRange":
        return DamagedObject(_said(failure, asked))
    return Unavailable(_said(failure, asked))


def says_nothing_is_set(failure: Failure) -> bool:
    """Whether it only says that tags, a lock or a retention that was asked for is not set."""
    return failure.code in _NOTHING_SET


def is_upstreams_fault(failure: Failure) -> bool:
    """Whether it says that the upstream is not well, which a circuit breaker counts; a plain refusal does not."""
    return (failure.status >= 500 and failure.code not in _UNSUPPORTED) or failure.code in _FAILING


def _of_names(code: str, asked: Asked) -> StorageError | None:
    """Those whose names are the same on both sides."""
    match code:
        case "NoSuchBucket":
            return NoSuchBucket()
        case "BucketNotEmpty":
            return BucketNotEmpty()
        case "NoSuchUpload":
            return NoSuchUpload()
        case "NoSuchKey" | "NoSuchVersion" | "NotFound":
            return _missing(code, asked)
        case "InvalidPart":
            return InvalidPart()
        case "InvalidPartOrder":
            return InvalidPartOrder()
        case "EntityTooSmall":
            return PartTooSmall()
        case "PreconditionFailed":
            return PreconditionFailed()
        case _:
            return None


def _missing(code: str, asked: Asked) -> StorageError:
    if not asked.key:
        return NoSuchBucket()
    if asked.in_upload:
        # radosgw says NoSuchKey for the parts of an upload that is not there.
        return NoSuchUpload()
    if asked.version_id or code == "NoSuchVersion":
        return NoSuchVersion(asked.key, asked.version_id)
    return NoSuchKey(asked.key)


def _hidden(failure: Failure, asked: Asked) -> StorageError:
    if asked.version_id:
        return IsDeleteMarker(asked.key, failure.version_id or asked.version_id, failure.modified_us)
    error = NoSuchKey(asked.key)
    error.marker_version_id = failure.version_id
    return error


def _said(failure: Failure, asked: Asked) -> str:
    words = f"{asked.engine} answered {asked.operation} with {failure.status} {failure.code[:64]}"
    return f"{words}: {failure.message[:_MESSAGE_MAX]}" if failure.message else words


class _Anything:
    """Every namespace: upstreams disagree about S3's, and what counts is the element's name."""

    def __contains__(self, namespace: object) -> bool:
        return True


ANY_NAMESPACE = _Anything()


def _document(body: bytes) -> tuple[str, str]:
    if not body or len(body) > ERROR_BYTES_MAX:
        return "", ""
    try:
        root = parse_any_tree(body.strip(), ANY_NAMESPACE)
        return (_text(root, "Code"), _text(root, "Message")) if root.name == "Error" else ("", "")
    except S3Error:
        # A page of a proxy in between, or cut off: its status is all it says.
        return "", ""


def _text(node: Node, name: str) -> str:
    return (node.one(name) or "").strip()
