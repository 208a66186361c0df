"""Delete objects and versions, one or many; decided inside the engine's commit."""

from __future__ import annotations

from gateway.admission import refused_deletion
from gateway.call import Call, Reply, Services
from gateway.documents import DoomedObject, parse_delete
from gateway.errors import S3Error, s3_error
from gateway.handlers.failure import translate
from gateway.handlers.support import (
    MARKER_HEADER,
    VERSION_HEADER,
    bucket_of,
    may_bypass,
    version_asked,
    xml_reply,
)
from gateway.headers import unquoted
from gateway.names import check_key
from gateway.results import delete_result
from gateway.storage.model import NO_CONDITION, Condition, Deleted, Deletion


async def delete_object(services: Services, call: Call) -> Reply:
    """Hide a key behind a marker, or remove it, or one version for good.

    What is not there is deleted as well, as S3 has it.
    """
    bucket = bucket_of(call)
    etag = call.headers.get("if-match")
    deletion = Deletion(
        call.key,
        version_asked(call),
        NO_CONDITION if etag is None else Condition(if_match=unquoted(etag)),
        may_bypass(call),
    )
    (deleted,) = await services.engine.delete_objects(bucket.id, [deletion], now_us=call.now_us)
    if deleted.error is not None:
        raise deleted.error
    headers = {}
    if deleted.is_marker:
        headers[MARKER_HEADER] = "true"
    version_id = deleted.version_id or deleted.marker_version_id
    if version_id:
        headers[VERSION_HEADER] = version_id
    return Reply(status=204, headers=headers)


async def delete_objects(services: Services, call: Call) -> Reply:
    """Delete many in one commit; each entry that is refused says why."""
    bucket = bucket_of(call)
    body = await call.body.document(services.settings.document_bytes_max)
    request = parse_delete(body, keys_max=services.settings.delete_keys_max)
    bypasses = may_bypass(call)
    errors: list[tuple[str, str, S3Error]] = []
    deletions: list[Deletion] = []
    for doomed in request.objects:
        refusal = _refusal(doomed) or await refused_deletion(
            services, call, doomed.key, doomed.version_id or None
        )
        if refusal is None:
            deletions.append(_deletion(doomed, bypasses=bypasses))
        else:
            errors.append((doomed.key, doomed.version_id, refusal))
    gone: list[Deleted] = []
    if deletions:
        for deleted in await services.engine.delete_objects(bucket.id, deletions, now_us=call.now_us):
            if deleted.error is None:
                gone.append(deleted)
            else:
                errors.append((deleted.key, deleted.version_id, translate(deleted.error, call)))
    return xml_reply(delete_result([] if request.quiet else gone, errors))


def _deletion(doomed: DoomedObject, *, bypasses: bool) -> Deletion:
    condition = NO_CONDITION if doomed.etag is None else Condition(if_match=doomed.etag)
    return Deletion(doomed.key, doomed.version_id or None, condition, bypasses)


def _refusal(doomed: DoomedObject) -> S3Error | None:
    try:
        if not doomed.key:
            raise s3_error("UserKeyMustBeSpecified")
        check_key(doomed.key)
        if doomed.refused:
            raise s3_error(
                "NotImplemented", f"Deleting on the condition {doomed.refused} is not implemented here."
            )
    except S3Error as error:
        return error
    return None
