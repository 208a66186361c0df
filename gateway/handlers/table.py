"""Operation to handler. Every handler's storage errors become S3's here, and the common header checks run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.call import Call, Reply, Services
from gateway.handlers import (
    acl,
    attributes,
    bucket,
    copy,
    cors,
    delete,
    lifecycle,
    listing,
    lock,
    multipart,
    object,  # noqa: A004
    policy,
    post,
    service,
    settled,
    tagging,
    uploads,
    versioning,
    website,
)
from gateway.handlers.failure import translate
from gateway.operation import Operation
from gateway.storage.errors import StorageError
from gateway.unsupported import check_expected_owner, refuse_unsupported

Handler = Callable[[Services, Call], Awaitable[Reply]]
"""Answers one authorised call. Raises S3Error only."""


def _guarded(handler: Handler) -> Handler:
    async def guarded(services: Services, call: Call) -> Reply:
        refuse_unsupported(call.headers, names_class=call.operation is Operation.CREATE_BUCKET)
        if call.bucket is not None:
            check_expected_owner(call.headers, owner=call.bucket.owner)
        try:
            return await handler(services, call)
        except StorageError as error:
            raise translate(error, call) from error

    return guarded


HANDLERS: dict[Operation, Handler] = {
    operation: _guarded(handler)
    for operation, handler in {
        Operation.LIST_BUCKETS: service.list_buckets,
        Operation.CREATE_BUCKET: bucket.create_bucket,
        Operation.HEAD_BUCKET: bucket.head_bucket,
        Operation.DELETE_BUCKET: bucket.delete_bucket,
        Operation.GET_BUCKET_LOCATION: bucket.get_bucket_location,
        Operation.PUT_OBJECT: object.put_object,
        Operation.GET_OBJECT: object.get_object,
        Operation.HEAD_OBJECT: object.head_object,
        Operation.DELETE_OBJECT: delete.delete_object,
        Operation.DELETE_OBJECTS: delete.delete_objects,
        Operation.COPY_OBJECT: copy.copy_object,
        Operation.LIST_OBJECTS: listing.list_objects,
        Operation.LIST_OBJECTS_V2: listing.list_objects_v2,
        Operation.LIST_OBJECT_VERSIONS: listing.list_object_versions,
        Operation.CREATE_MULTIPART_UPLOAD: multipart.create_multipart_upload,
        Operation.UPLOAD_PART: multipart.upload_part,
        Operation.UPLOAD_PART_COPY: multipart.upload_part_copy,
        Operation.COMPLETE_MULTIPART_UPLOAD: multipart.complete_multipart_upload,
        Operation.ABORT_MULTIPART_UPLOAD: multipart.abort_multipart_upload,
        Operation.LIST_PARTS: uploads.list_parts,
        Operation.LIST_MULTIPART_UPLOADS: uploads.list_multipart_uploads,
        Operation.DELETE_BUCKET_CORS: cors.delete_bucket_cors,
        Operation.DELETE_BUCKET_LIFECYCLE: lifecycle.delete_bucket_lifecycle,
        Operation.DELETE_BUCKET_OWNERSHIP_CONTROLS: policy.delete_bucket_ownership_controls,
        Operation.DELETE_BUCKET_POLICY: policy.delete_bucket_policy,
        Operation.DELETE_BUCKET_TAGGING: tagging.delete_bucket_tagging,
        Operation.DELETE_BUCKET_WEBSITE: website.delete_bucket_website,
        Operation.DELETE_OBJECT_TAGGING: tagging.delete_object_tagging,
        Operation.DELETE_PUBLIC_ACCESS_BLOCK: policy.delete_public_access_block,
        Operation.GET_BUCKET_ACCELERATE_CONFIGURATION: settled.get_bucket_accelerate_configuration,
        Operation.GET_BUCKET_ACL: acl.get_bucket_acl,
        Operation.GET_BUCKET_CORS: cors.get_bucket_cors,
        Operation.GET_BUCKET_LIFECYCLE_CONFIGURATION: lifecycle.get_bucket_lifecycle,
        Operation.GET_BUCKET_LOGGING: settled.get_bucket_logging,
        Operation.GET_BUCKET_OWNERSHIP_CONTROLS: policy.get_bucket_ownership_controls,
        Operation.GET_BUCKET_POLICY: policy.get_bucket_policy,
        Operation.GET_BUCKET_POLICY_STATUS: policy.get_bucket_policy_status,
        Operation.GET_BUCKET_REQUEST_PAYMENT: settled.get_bucket_request_payment,
        Operation.GET_BUCKET_TAGGING: tagging.get_bucket_tagging,
        Operation.GET_BUCKET_VERSIONING: versioning.get_bucket_versioning,
        Operation.GET_BUCKET_WEBSITE: website.get_bucket_website,
        Operation.GET_OBJECT_ACL: acl.get_object_acl,
        Operation.GET_OBJECT_ATTRIBUTES: attributes.get_object_attributes,
        Operation.GET_OBJECT_LEGAL_HOLD: lock.get_object_legal_hold,
        Operation.GET_OBJECT_LOCK_CONFIGURATION: lock.get_object_lock_configuration,
        Operation.GET_OBJECT_RETENTION: lock.get_object_retention,
        Operation.GET_OBJECT_TAGGING: tagging.get_object_tagging,
        Operation.GET_PUBLIC_ACCESS_BLOCK: policy.get_public_access_block,
        Operation.POST_OBJECT: post.post_object,
        Operation.PREFLIGHT_BUCKET: cors.preflight,
        Operation.PREFLIGHT_OBJECT: cors.preflight,
        Operation.PUT_BUCKET_ACL: acl.put_bucket_acl,
        Operation.PUT_BUCKET_CORS: cors.put_bucket_cors,
        Operation.PUT_BUCKET_LIFECYCLE_CONFIGURATION: lifecycle.put_bucket_lifecycle,
        Operation.PUT_BUCKET_OWNERSHIP_CONTROLS: policy.put_bucket_ownership_controls,
        Operation.PUT_BUCKET_POLICY: policy.put_bucket_policy,
        Operation.PUT_BUCKET_REQUEST_PAYMENT: settled.put_bucket_request_payment,
        Operation.PUT_BUCKET_TAGGING: tagging.put_bucket_tagging,
        Operation.PUT_BUCKET_VERSIONING: versioning.put_bucket_versioning,
        Operation.PUT_BUCKET_WEBSITE: website.put_bucket_website,
        Operation.PUT_OBJECT_ACL: acl.put_object_acl,
        Operation.PUT_OBJECT_LEGAL_HOLD: lock.put_object_legal_hold,
        Operation.PUT_OBJECT_LOCK_CONFIGURATION: lock.put_object_lock_configuration,
        Operation.PUT_OBJECT_RETENTION: lock.put_object_retention,
        Operation.PUT_OBJECT_TAGGING: tagging.put_object_tagging,
        Operation.PUT_PUBLIC_ACCESS_BLOCK: policy.put_public_access_block,
    }.items()
}
"""One for every supported operation, and for no other."""
assert HANDLERS.keys() == {operation for operation in Operation if operation.supported}
