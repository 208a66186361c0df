"""GetObjectAttributes."""

from __future__ import annotations

from gateway.attributes import attributes_document, parse_attributes
from gateway.call import Call, Reply, Services
from gateway.customer_key import customer_key
from gateway.handlers.support import bucket_of, version_asked, version_headers, xml_reply
from gateway.headers import http_date
from gateway.sealing import opened_head


async def get_object_attributes(services: Services, call: Call) -> Reply:
    """Facts of an object, or of a version, without its bytes or its metadata."""
    bucket = bucket_of(call)
    asked = parse_attributes(call.headers)
    key = customer_key(call.headers)
    head = opened_head(
        await services.engine.head_object(bucket.id, call.key, version_asked(call)), key, with_parts=True
    )
    headers = {"Last-Modified": http_date(head.modified_us)}
    return xml_reply(attributes_document(head, asked), headers | version_headers(head))
