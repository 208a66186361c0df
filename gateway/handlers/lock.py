"""Object lock: a bucket's configuration, and retention and legal hold of a version.

What a lock forbids is decided in the engine's commit.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.call import Bucket, Call, Reply, Services
from gateway.errors import s3_error
from gateway.handlers.support import bucket_of, may_bypass, version_asked, version_headers, xml_reply
from gateway.locks import (
    legal_hold_document,
    lock_configuration_document,
    missing_configuration,
    parse_legal_hold,
    parse_lock_configuration,
    parse_retention,
    retention_document,
)
from gateway.storage.model import Amendment, Versioning


async def get_object_lock_configuration(services: Services, call: Call) -> Reply:
    """The bucket's lock. Raises ObjectLockConfigurationNotFoundError."""
    bucket = bucket_of(call)
    rules = await services.engine.bucket_rules(bucket.id)
    if not rules.locks:
        raise s3_error("ObjectLockConfigurationNotFoundError", BucketName=bucket.name)
    return xml_reply(lock_configuration_document(rules))


async def put_object_lock_configuration(services: Services, call: Call) -> Reply:
    """Enable the lock for good, and set or lift the default retention."""
    bucket = bucket_of(call)
    default = parse_lock_configuration(await call.body.document(services.settings.document_bytes_max))
    rules = await services.engine.bucket_rules(bucket.id)
    if rules.versioning is not Versioning.ENABLED:
        raise s3_error(
            "InvalidBucketState",
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
        )
    await services.engine.set_bucket_rules(bucket.id, replace(rules, locks=True, default_retention=default))
    return Reply()


async def get_object_retention(services: Services, call: Call) -> Reply:
    """Until when a version is kept. Raises NoSuchObjectLockConfiguration where no time was set."""
    bucket = await _locking_bucket(services, call)
    head = await services.engine.head_object(bucket.id, call.key, version_asked(call))
    if head.properties.retention is None:
        raise s3_error("NoSuchObjectLockConfiguration", Key=call.key)
    return xml_reply(retention_document(head.properties.retention), version_headers(head))


async def put_object_retention(services: Services, call: Call) -> Reply:
    """Set, prolong, or with the right to bypass shorten or end a retention."""
    bucket = await _locking_bucket(services, call)
    version_id = version_asked(call)
    body = await call.body.document(services.settings.document_bytes_max)
    retention = parse_retention(body, now_us=call.now_us)
    amendment = Amendment(retention=retention, clear_retention=retention is None, may_bypass=may_bypass(call))
    head = await services.engine.amend_object(bucket.id, call.key, version_id, amendment, now_us=call.now_us)
    return Reply(headers=version_headers(head))


async def get_object_legal_hold(services: Services, call: Call) -> Reply:
    """Whether a version is held; one nobody ever held is OFF."""
    bucket = await _locking_bucket(services, call)
    head = await services.engine.head_object(bucket.id, call.key, version_asked(call))
    return xml_reply(
        legal_hold_document(holds=head.properties.legal_hold),
        version_headers(head),
    )


async def put_object_legal_hold(services: Services, call: Call) -> Reply:
    """Hold a version, or let it go."""
    bucket = await _locking_bucket(services, call)
    version_id = version_asked(call)
    holds = parse_legal_hold(await call.body.document(services.settings.document_bytes_max))
    head = await services.engine.amend_object(
        bucket.id, call.key, version_id, Amendment(legal_hold=holds), now_us=call.now_us
    )
    return Reply(headers=version_headers(head))


async def _locking_bucket(services: Services, call: Call) -> Bucket:
    """Raises InvalidRequest where the bucket has no object lock."""
    bucket = bucket_of(call)
    if not (await services.engine.bucket_rules(bucket.id)).locks:
        raise missing_configuration()
    return bucket
