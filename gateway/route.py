"""Request to named operation: which bucket, which key, which S3 operation.

It reads the raw target exactly once and knows no rights and no storage. What it returns is what
everybody later uses, so that nobody sees a second view of the same path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gateway.errors import invalid_argument, s3_error
from gateway.names import check_bucket_name, check_key, percent_decode
from gateway.operation import Level, Operation

_SERVICE, _BUCKET, _OBJECT = Level.SERVICE, Level.BUCKET, Level.OBJECT
_OTHER = Operation.OTHER
READINESS_PATH = "/-/ready"
QUERY_PARAMETERS_MAX = 100
"""A protocol bound: no S3 operation has nearly as many."""


class Route(NamedTuple):
    """What the request asks for."""

    operation: Operation
    bucket: str
    key: str
    query: Mapping[str, str]
    """Decoded; a parameter without '=' has the empty string."""


def split_target(target: str) -> tuple[str, str]:
    """A raw request target as (raw path, raw query); the absolute form loses scheme and authority.

    RFC 9112, section 3.2. Raises InvalidURI.
    """
    if not target.startswith("/"):
        scheme, separator, rest = target.partition("://")
        if not separator or scheme.lower() not in ("http", "https"):
            raise s3_error("InvalidURI")
        authority, _, _ = rest.partition("?")
        cut = authority.find("/")
        target = rest[cut:] if cut >= 0 else "/" + rest[len(authority) :]
    path, _, query = target.partition("?")
    return path, query


def parse_query(raw_query: str) -> dict[str, str]:
    """Query parameters, decoded once; here '+' is a space, as in every S3 client.

    Raises InvalidURI, and InvalidArgument for a parameter named twice: two values are two views.
    """
    if not raw_query:
        return {}
    pairs = raw_query.split("&")
    if len(pairs) > QUERY_PARAMETERS_MAX:
        raise s3_error("InvalidURI", "The query has too many parameters.")
    query: dict[str, str] = {}
    for pair in pairs:
        if not pair:
            continue
        raw_name, _, raw_value = pair.partition("=")
        name = percent_decode(raw_name.replace("+", " "))
        if name in query:
            raise invalid_argument(name, raw_value, f"Query parameter {name!r} is named twice.")
        query[name] = percent_decode(raw_value.replace("+", " "))
    return query


def route(
    method: str, raw_path: str, raw_query: str, headers: Mapping[str, str], *, host_suffix: str = ""
) -> Route:
    """Name the operation. headers are looked up by lower-case names.

    host_suffix 'example.org' lets bucket.example.org/key stand for /bucket/key; empty turns it off.
    Raises InvalidURI, InvalidBucketName, KeyTooLongError, InvalidArgument.
    """
    bucket, key = _address(raw_path, headers, host_suffix)
    query = parse_query(raw_query) if raw_query else {}
    level = _OBJECT if key else _BUCKET if bucket else _SERVICE
    operation = _operation(level, method, query, headers)
    return Route(operation, bucket, key, query)


def is_readiness(raw_path: str, headers: Mapping[str, str], *, host_suffix: str = "") -> bool:
    """Whether a load balancer asks for this worker, and nobody for an object.

    No bucket can have this name; where the host names one, the path is the key of an object.
    """
    return raw_path == READINESS_PATH and not (
        host_suffix and _bucket_of_host(headers.get("host", ""), host_suffix)
    )


def _address(raw_path: str, headers: Mapping[str, str], host_suffix: str) -> tuple[str, str]:
    if not raw_path.startswith("/"):
        raise s3_error("InvalidURI")
    bucket = _bucket_of_host(headers.get("host", ""), host_suffix) if host_suffix else ""
    # Split before decoding: an encoded slash must not move the border between bucket and key.
    if bucket:
        raw_key = raw_path[1:]
    else:
        raw_bucket, slash, raw_key = raw_path[1:].partition("/")
        bucket = percent_decode(raw_bucket)
        if not bucket and not slash:
            return "", ""
    check_bucket_name(bucket)
    key = percent_decode(raw_key)
    check_key(key)
    return bucket, key


def _bucket_of_host(host: str, host_suffix: str) -> str:
    name = host.lower()
    if not name.endswith("]"):  # an IPv6 address has colons of its own
        name = name.rpartition(":")[0] or name
    ending = "." + host_suffix.lower()
    return name.removesuffix(ending) if name.endswith(ending) else ""


def _tables() -> tuple[
    dict[tuple[Level, str], dict[str, Operation]],
    dict[tuple[Level, str], Operation],
]:
    """The operation table, turned round: by place and method, with and without a selecting parameter."""
    selected: dict[tuple[Level, str], dict[str, Operation]] = {}
    plain: dict[tuple[Level, str], Operation] = {}
    for operation in Operation:
        place = (operation.level, operation.method)
        if operation.parameter:
            selected.setdefault(place, {}).setdefault(operation.parameter, operation)
        else:
            plain.setdefault(place, operation)
    return selected, plain


_SELECTED, _PLAIN = _tables()

_COPIES = {
    Operation.PUT_OBJECT: Operation.COPY_OBJECT,
    Operation.UPLOAD_PART: Operation.UPLOAD_PART_COPY,
}
# The same address lists, or reads one by its name.
_LISTED_WITHOUT_ID = {
    Operation.GET_BUCKET_ANALYTICS_CONFIGURATION: Operation.LIST_BUCKET_ANALYTICS_CONFIGURATIONS,
    Operation.GET_BUCKET_INTELLIGENT_TIERING_CONFIGURATION: (
        Operation.LIST_BUCKET_INTELLIGENT_TIERING_CONFIGURATIONS
    ),
    Operation.GET_BUCKET_INVENTORY_CONFIGURATION: Operation.LIST_BUCKET_INVENTORY_CONFIGURATIONS,
    Operation.GET_BUCKET_METRICS_CONFIGURATION: Operation.LIST_BUCKET_METRICS_CONFIGURATIONS,
}


def _operation(level: Level, method: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Operation:
    place = (level, method)
    operation = _PLAIN.get(place, _OTHER)
    if query:
        operation = _by_parameter(place, query) or operation
    if operation in _COPIES and "x-amz-copy-source" in headers:
        return _COPIES[operation]
    return operation


def _by_parameter(place: tuple[Level, str], query: Mapping[str, str]) -> Operation | None:
    table = _SELECTED.get(place)
    if table is None:
        return None
    names = [name for name in query if name in table]
    if len(names) > 1:
        shown = ", ".join(sorted(names))
        raise invalid_argument("ResourceType", shown, f"Conflicting query string parameters: {shown}")
    if not names:
        is_second_listing = place == (Level.BUCKET, "GET") and query.get("list-type") == "2"
        return Operation.LIST_OBJECTS_V2 if is_second_listing else None
    operation = table[names[0]]
    if operation in _LISTED_WITHOUT_ID and "id" not in query:
        return _LISTED_WITHOUT_ID[operation]
    if operation is Operation.GET_OBJECT_ANNOTATION and "annotationName" not in query:
        return Operation.LIST_OBJECT_ANNOTATIONS
    return operation
