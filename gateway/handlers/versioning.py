"""A bucket's versioning: whether writes replace, or make versions."""

from __future__ import annotations

from dataclasses import replace

from gateway.call import Call, Reply, Services
from gateway.documents import parse_versioning
from gateway.errors import s3_error
from gateway.handlers.support import bucket_of, xml_reply
from gateway.results import versioning as render
from gateway.storage.errors import InvalidRules


async def get_bucket_versioning(services: Services, call: Call) -> Reply:
    """The state; empty where versions were never asked for."""
    return xml_reply(render((await services.engine.bucket_rules(bucket_of(call).id)).versioning))


async def put_bucket_versioning(services: Services, call: Call) -> Reply:
    """Enable or suspend. Raises InvalidBucketState where a lock needs versions."""
    bucket = bucket_of(call)
    asked = parse_versioning(await call.body.document(services.settings.document_bytes_max))
    rules = await services.engine.bucket_rules(bucket.id)
    try:
        await services.engine.set_bucket_rules(bucket.id, replace(rules, versioning=asked))
    except InvalidRules:
        raise s3_error(
            "InvalidBucketState",
            "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
        ) from None
    return Reply()
