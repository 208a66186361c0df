"""Every error an S3 client can get from us: one table of codes, one exception, one rendering.

It knows statuses and sentences, not where an error comes from.
"""

from __future__ import annotations

from gateway.markup import DECLARATION, element
from gateway.operation import Operation

_TABLE: dict[str, tuple[int, str]] = {
    # Who asks, and may they
    "AccessDenied": (403, "Access Denied"),
    "AccessForbidden": (403, "CORSResponse: This CORS request is not allowed."),
    "AllAccessDisabled": (403, "All access to this bucket has been disabled: its owner's account is closed."),
    "AccountProblem": (403, "This member's account is suspended, or they have left. Ask the co-op's office."),
    "AuthorizationHeaderMalformed": (400, "The authorization header is malformed."),
    "AuthorizationQueryParametersError": (400, "The authorization query parameters are malformed."),
    "ExpiredToken": (400, "The provided token has expired."),
    "InvalidAccessKeyId": (403, "The access key Id you provided does not exist in our records."),
    "InvalidToken": (400, "The provided token is malformed or otherwise invalid."),
    "MissingSecurityHeader": (400, "Your request was missing a required header."),
    "RequestTimeTooSkewed": (
        403,
        "The difference between the request time and the server's time is too large.",
    ),
    "SignatureDoesNotMatch": (
        403,
        (
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method."
        ),
    ),
    # What is not there
    "NoSuchBucket": (404, "The specified bucket does not exist."),
    "NoSuchCORSConfiguration": (404, "The CORS configuration does not exist"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchObjectLockConfiguration": (
        404,
        "The specified object does not have an Object Lock configuration.",
    ),
    "NoSuchTagSet": (404, "The TagSet does not exist."),
    "NoSuchLifecycleConfiguration": (404, "The lifecycle configuration does not exist."),
    "NoSuchUpload": (
        404,
        (
            "The specified multipart upload does not exist. The upload id may be wrong, "
            "or the upload was completed or aborted."
        ),
    ),
    "NoSuchVersion": (404, "The specified version does not exist."),
    "NoSuchWebsiteConfiguration": (404, "The specified bucket does not have a website configuration"),
    "NoSuchBucketPolicy": (404, "The bucket policy does not exist."),
    "NoSuchPublicAccessBlockConfiguration": (404, "The public access block configuration was not found."),
    "OwnershipControlsNotFoundError": (404, "The bucket ownership controls were not found."),
    "ObjectLockConfigurationNotFoundError": (
        404,
        "Object Lock configuration does not exist for this bucket.",
    ),
    # Buckets
    "AccessControlListNotSupported": (400, "The bucket does not allow ACLs."),
    "BucketAlreadyExists": (409, "The requested bucket name is not available. Choose another name."),
    "BucketAlreadyOwnedByYou": (409, "The bucket you tried to create exists already, and you own it."),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty."),
    "IllegalVersioningConfigurationException": (400, "The versioning configuration names no status."),
    "InvalidBucketState": (409, "The request is not valid for the current state of the bucket."),
    "IllegalLocationConstraintException": (400, "The location constraint is not this gateway's region."),
    "InvalidBucketAclWithObjectOwnership": (
        400,
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting.",
    ),
    "InvalidBucketName": (400, "The specified bucket is not valid."),
    "InvalidLocationConstraint": (400, "The specified location constraint is not valid."),
    "TooManyBuckets": (400, "You have attempted to create more buckets than allowed."),
    # What was asked
    "BadRequest": (400, "An error occurred when parsing the HTTP request."),
    "InvalidArgument": (400, "Invalid Argument"),
    "InvalidHTTPMethod": (405, "The HTTP method is not valid."),
    "InvalidPartNumber": (416, "The requested partnumber is not satisfiable."),
    "InvalidPolicyDocument": (
        400,
        "The content of the form does not meet the conditions specified in the policy document.",
    ),
    "InvalidRange": (416, "The requested range is not satisfiable."),
    "InvalidRetentionPeriod": (400, "The retention period must be a positive whole number."),
    "InvalidTag": (400, "The tag you have provided is invalid."),
    "InvalidRequest": (400, "Invalid Request"),
    "InvalidRedirectLocation": (
        400,
        "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
    ),
    "InvalidStorageClass": (400, "The storage class you specified is not valid."),
    "InvalidURI": (400, "Couldn't parse the specified URI."),
    "KeyTooLongError": (400, "Your key is too long."),
    "MalformedPOSTRequest": (
        400,
        "The body of your POST request is not well-formed multipart/form-data.",
    ),
    "MalformedACLError": (
        400,
        "The XML you provided was not well-formed or did not validate against our published schema.",
    ),
    "MalformedPolicy": (400, "The policy is malformed."),
    "MalformedXML": (
        400,
        "The XML you provided was not well-formed or did not validate against our published schema.",
    ),
    "MaxMessageLengthExceeded": (400, "Your request was too big."),
    "MaxPostPreDataLengthExceededError": (
        400,
        "Your POST request fields preceding the upload file were too large.",
    ),
    "MetadataTooLarge": (400, "Your metadata headers exceed the maximum allowed metadata size."),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "NotImplemented": (
        501,
        "A header or query parameter you provided implies functionality that is not implemented.",
    ),
    "PreconditionFailed": (412, "At least one of the pre-conditions you specified did not hold."),
    "RequestHeaderSectionTooLarge": (400, "Your request header section exceeds the maximum allowed size."),
    "UnexpectedContent": (400, "This request does not support content."),
    "UserKeyMustBeSpecified": (400, "The request must name an object's key."),
    # Bodies
    "EgressCapReached": (403, "The bucket owner's own monthly cap of egress is reached."),
    "QuotaExceeded": (403, "The limit of stored bytes would be passed; nothing was stored."),
    "BadDigest": (
        400,
        "The Content-MD5 or checksum value that you specified did not match what we received.",
    ),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed object size."),
    "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed object size."),
    "IncompleteBody": (400, "The request body terminated unexpectedly."),
    "InvalidChunkSizeError": (403, "Only the last chunk is allowed to have a size less than 8192 bytes."),
    "InvalidDigest": (400, "The Content-MD5 you specified is not valid."),
    "InvalidPart": (
        400,
        (
            "One or more of the specified parts could not be found. The part may not have been uploaded, "
            "or its entity tag did not match."
        ),
    ),
    "InvalidPartOrder": (400, "The list of parts was not in ascending order by part number."),
    "MalformedTrailerError": (
        400,
        "The request contained trailing data that was not well-formed or was not announced.",
    ),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "MissingRequestBodyError": (400, "Request body is empty."),
    "RequestTimeout": (
        400,
        "Your socket connection to the server was not read from or written to within the timeout period.",
    ),
    "XAmzContentSHA256Mismatch": (
        400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    ),
    # Ours
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "ServiceUnavailable": (503, "Service is unable to handle the request. Please try again."),
    "SlowDown": (503, "Please reduce your request rate."),
}


class S3Error(Exception):
    """An answer S3 has a code for. Build it with s3_error, which refuses codes that are not in the table."""

    def __init__(
        self,
        code: str,
        *,
        status: int,
        message: str,
        extra: dict[str, str],
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.status = status
        self.message = message
        self.extra = extra
        """Elements of its own, such as Key or BucketName, in the order given."""
        self.headers = headers or {}
        """Response headers of its own, such as Content-Range."""


def s3_error(
    code: str, message: str = "", *, headers: dict[str, str] | None = None, **extra: str | int
) -> S3Error:
    """The error of that code, with S3's sentence or a clearer one. An unknown code is a bug: KeyError."""
    status, sentence = _TABLE[code]
    if code == "SlowDown":
        headers = {"Retry-After": "1"} | (headers or {})
    texts = {name: str(value) for name, value in extra.items()}
    return S3Error(code, status=status, message=message or sentence, extra=texts, headers=headers)


def invalid_argument(name: str, value: str, message: str) -> S3Error:
    """InvalidArgument that names the argument and shows what was given, cut to 200 characters."""
    return s3_error("InvalidArgument", message, ArgumentName=name, ArgumentValue=value[:200])


def not_supported(operation: Operation) -> S3Error:
    """The answer to an operation this gateway has a name for but not yet a handler."""
    if operation is Operation.OTHER:
        return s3_error("MethodNotAllowed")
    return s3_error("NotImplemented", f"{operation.s3_name} is not implemented.", Operation=operation.s3_name)


def known_codes() -> tuple[str, ...]:
    """Every code there is, in the table's order."""
    return tuple(_TABLE)


def render_error(error: S3Error, *, resource: str, request_id: str) -> bytes:
    """The XML body. resource is the decoded path; what XML cannot hold is percent-encoded."""
    inner = [element("Code", error.code), element("Message", error.message)]
    inner += [element(name, value) for name, value in error.extra.items()]
    inner += [element("Resource", resource), element("RequestId", request_id)]
    return f"{DECLARATION}<Error>{''.join(inner)}</Error>".encode()
