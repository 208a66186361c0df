"""What every new object is given by its request: headers, tags, locks. Put, copy and multipart share it."""

from __future__ import annotations

from gateway.call import Call, Services
from gateway.checksum import HEADER_PREFIX, trailer_names
from gateway.errors import s3_error
from gateway.handlers.acl import new_acl
from gateway.handlers.support import bucket_of
from gateway.headers import collect_properties
from gateway.locks import asks_for_lock, hold_of_write, missing_configuration, retention_of_write
from gateway.storage.model import Checksum, ObjectProperties
from gateway.tags import tags_of_write


async def new_properties(
    services: Services, call: Call, checksum: Checksum | None = None
) -> ObjectProperties:
    """Everything the request's headers say is kept beside the bytes.

    Raises InvalidArgument, InvalidTag, BadRequest, MetadataTooLarge, and InvalidRequest for a lock in a
    bucket without.
    """
    await check_lockable(services, call)
    kept = collect_properties(call.headers, metadata_bytes_max=services.settings.metadata_bytes_max)
    return ObjectProperties(
        kept,
        checksum,
        tags=tags_of_write(call.headers),
        retention=retention_of_write(call.headers, now_us=call.now_us),
        legal_hold=hold_of_write(call.headers),
        acl=new_acl(call),
    )


async def check_lockable(services: Services, call: Call) -> None:
    """Raises InvalidRequest when a lock is asked for in a bucket that has none."""
    if asks_for_lock(call.headers) and not (await services.engine.bucket_rules(bucket_of(call).id)).locks:
        raise missing_configuration()


def check_proven(call: Call) -> None:
    """Who locks bytes must prove them: S3 asks for a digest of whatever cannot be taken back.

    Raises InvalidRequest. Either of the two digests will do, in a header or a trailer.
    """
    if not asks_for_lock(call.headers):
        return
    names = (*call.headers, *trailer_names(call.headers))
    if "content-md5" not in call.headers and not any(name.startswith(HEADER_PREFIX) for name in names):
        raise s3_error(
            "InvalidRequest",
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests "
            "with Object Lock parameters",
        )
