"""PostObject: a browser's form that uploads one object. What is signed is checked before this is reached."""

from __future__ import annotations

from gateway.call import Call, Reply, Services
from gateway.handlers import object  # noqa: A004
from gateway.handlers.support import bucket_of
from gateway.postfields import post_result, success_redirect, success_status

LOCATION = "location"
"""Where the object can be asked for; stands among the call's parameters, beside the form's own."""


async def post_object(services: Services, call: Call) -> Reply:
    """Store it as PutObject does, and answer as the form asks: 200, 201 with a document, 204, or a redirect."""
    reply = await object.put_object(services, call)
    etag, bucket = reply.headers["ETag"], bucket_of(call).name
    location = call.query[LOCATION]
    onward = success_redirect(call.query, bucket=bucket, key=call.key, etag=etag)
    reply.headers["Location"] = onward or location
    if onward is not None:
        reply.status = 303
        return reply
    reply.status = success_status(call.query)
    if reply.status == 201:
        reply.headers["Content-Type"] = "application/xml"
        reply.body = post_result(location=location, bucket=bucket, key=call.key, etag=etag)
    return reply
