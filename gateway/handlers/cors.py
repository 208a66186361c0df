"""A bucket's rules for pages of other origins, the preflights browsers send, and the headers of all answers."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.call import Bucket, Call, Reply, Services, Subject
from gateway.cors import (
    METHODS,
    CorsRule,
    cors_document,
    cors_headers,
    matching_rule,
    not_allowed,
    parse_cors,
    requested_headers,
    stored_rules,
)
from gateway.errors import S3Error, s3_error
from gateway.handlers.support import bucket_of, xml_reply


async def put_bucket_cors(services: Services, call: Call) -> Reply:
    """Keep the rules in our own words."""
    bucket = bucket_of(call)
    rules = parse_cors(await call.body.document(services.settings.document_bytes_max))
    await services.directory.set_document(
        bucket, Subject.CORS, cors_document(rules).decode(), now_us=call.now_us
    )
    return Reply()


async def get_bucket_cors(services: Services, call: Call) -> Reply:
    """The rules as they are obeyed."""
    del services
    bucket = bucket_of(call)
    text = bucket.documents.get(Subject.CORS)
    if text is None:
        raise s3_error("NoSuchCORSConfiguration", BucketName=bucket.name)
    return xml_reply(text.encode())


async def delete_bucket_cors(services: Services, call: Call) -> Reply:
    """No page of another origin may ask anything, from now on."""
    await services.directory.set_document(bucket_of(call), Subject.CORS, None, now_us=call.now_us)
    return Reply(status=204)


async def preflight(services: Services, call: Call) -> Reply:
    """May a page of that origin ask this? Browsers ask without credentials, so anybody may.

    Raises BadRequest for a question without its parts, AccessForbidden for no.
    """
    del services
    origin = call.headers.get("origin", "")
    method = call.headers.get("access-control-request-method", "")
    if not origin:
        raise s3_error("BadRequest", "Insufficient information. Origin request header needed.")
    if method not in METHODS:
        raise s3_error("BadRequest", f"Invalid Access-Control-Request-Method: {method[:32] or 'null'}")
    rules = rules_of(call.bucket)
    headers = requested_headers(call.headers.get("access-control-request-headers", ""))
    rule = None if headers is None else matching_rule(rules, origin, method, headers)
    if rule is None:
        raise not_allowed(method, "OBJECT" if call.key else "BUCKET", has_rules=bool(rules))
    return Reply(headers=cors_headers(rule, origin, headers or ()))


async def origin_headers(
    services: Services, bucket_name: str, method: str, headers: Mapping[str, str]
) -> dict[str, str]:
    """The headers of the rule that fits the request, for every answer, errors too: a page must be able to read why.

    headers are the request's and hold an Origin; lower-case names.
    """
    if not bucket_name or method not in METHODS:
        return {}
    try:
        rules = rules_of(await services.directory.bucket(bucket_name, ask=False))
    except S3Error:
        return {}  # the directory is away and does not know the bucket: then nothing is allowed
    rule = matching_rule(rules, headers["origin"], method)
    return {} if rule is None else cors_headers(rule, headers["origin"])


def rules_of(bucket: Bucket | None) -> tuple[CorsRule, ...]:
    """The bucket's rules; none for a bucket that is not there."""
    text = None if bucket is None else bucket.documents.get(Subject.CORS)
    return () if text is None else stored_rules(text)
