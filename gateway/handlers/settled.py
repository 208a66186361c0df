"""Configurations of a bucket that cannot be changed here, asked for by common tools at every run.

What is answered is true: nothing is set, and the owner pays.
"""

from __future__ import annotations

from gateway.call import Call, Reply, Services
from gateway.documents import parse_request_payment
from gateway.errors import s3_error
from gateway.handlers.support import bucket_of, xml_reply
from gateway.results import nothing_set, request_payment


async def get_bucket_request_payment(services: Services, call: Call) -> Reply:
    """The bucket's owner pays, always."""
    del services
    bucket_of(call)
    return xml_reply(request_payment())


async def put_bucket_request_payment(services: Services, call: Call) -> Reply:
    """BucketOwner changes nothing; Requester is refused by name."""
    bucket_of(call)
    body = await call.body.document(services.settings.document_bytes_max)
    if parse_request_payment(body) != "BucketOwner":
        raise s3_error("NotImplemented", "Requester pays is not implemented.", Payer="Requester")
    return Reply()


async def get_bucket_logging(services: Services, call: Call) -> Reply:
    """No access log is delivered anywhere."""
    del services
    bucket_of(call)
    return xml_reply(nothing_set("BucketLoggingStatus"))


async def get_bucket_accelerate_configuration(services: Services, call: Call) -> Reply:
    """There is no acceleration."""
    del services
    bucket_of(call)
    return xml_reply(nothing_set("AccelerateConfiguration"))
