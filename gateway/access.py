"""May this caller do this here? Deny by default, decided over the whole table of operations. Pure.

The order: the bounds of the key; what the policy denies; the owner may; what the policy or an access list gives;
nothing else. It asks no storage: when an object's own list or tags must decide, it says so (Decision.LOOK) and is
asked again with what was seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from gateway.actions import Need, needs
from gateway.call import Bucket, Caller, Subject
from gateway.exposure import lists_count, parse_block
from gateway.grants import Permission, parse
from gateway.operation import Level, Operation
from gateway.policy.conditions import Facts
from gateway.policy.document import parse_policy
from gateway.policy.facts import EXISTING_TAG, REQUEST_TAG, Asked, fact
from gateway.policy.model import Policy, Verdict, Who


class Decision(Enum):
    """What comes of it."""

    ALLOW = auto()
    DENY = auto()
    LOOK = auto()
    """The object's access list or tags decide; ask again with what was seen."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at the object showed."""

    is_there: bool
    acl: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


_FOR_EVERYBODY = frozenset((Operation.PREFLIGHT_BUCKET, Operation.PREFLIGHT_OBJECT))
"""A browser asks them before it may sign; the bucket's CORS rules answer, and give nothing of what is stored."""
_FOR_MEMBERS = frozenset((Operation.LIST_BUCKETS, Operation.CREATE_BUCKET))
"""They touch only what is the member's own, or make it."""
_FOR_THE_OWNER = frozenset(
    (Operation.GET_BUCKET_POLICY, Operation.PUT_BUCKET_POLICY, Operation.DELETE_BUCKET_POLICY)
)
"""No policy gives them to others, and none can lock the owner out of them."""

_BY_BUCKET_LIST = {
    "s3:ListBucket": Permission.READ,
    "s3:ListBucketVersions": Permission.READ,
    "s3:ListBucketMultipartUploads": Permission.READ,
    "s3:PutObject": Permission.WRITE,
    # Whoever may write and knows an upload's id has begun it, or was told by who did.
    "s3:AbortMultipartUpload": Permission.WRITE,
    "s3:ListMultipartUploadParts": Permission.WRITE,
    "s3:GetBucketAcl": Permission.READ_ACP,
    "s3:PutBucketAcl": Permission.WRITE_ACP,
}
_BY_OBJECT_LIST = {
    "s3:GetObject": Permission.READ,
    "s3:GetObjectVersion": Permission.READ,
    "s3:GetObjectAcl": Permission.READ_ACP,
    "s3:GetObjectVersionAcl": Permission.READ_ACP,
    "s3:PutObjectAcl": Permission.WRITE_ACP,
    "s3:PutObjectVersionAcl": Permission.WRITE_ACP,
}
_READS = frozenset((Operation.GET_OBJECT, Operation.HEAD_OBJECT))
_IN_THE_BODY = {
    Operation.PUT_OBJECT_TAGGING: REQUEST_TAG,
    Operation.PUT_OBJECT_RETENTION: "s3:object-lock-",
    Operation.PUT_OBJECT_LEGAL_HOLD: "s3:object-lock-",
}
"""What a policy may ask for and these requests say only in their body, which is not read before they are let in."""


def is_owner(caller: Caller | None, bucket: Bucket) -> bool:
    """Whether the caller owns the bucket."""
    return caller is not None and caller.member == bucket.owner


def is_unbound_owner(caller: Caller | None, bucket: Bucket | None) -> bool:
    """The case of nearly every request, decided by a look: an owner whom neither key nor policy holds back."""
    return (
        bucket is not None
        and caller is not None
        and caller.member == bucket.owner
        and caller.scope is None
        and (not bucket.documents or Subject.POLICY not in bucket.documents)
    )


def decide(asked: Asked, bucket: Bucket | None, seen: Seen | None = None) -> Decision:
    """Whether the caller may; bucket None is none named, or one that is to be made."""
    caller, operation = asked.caller, asked.operation
    if operation in _FOR_EVERYBODY:
        return Decision.ALLOW
    name = bucket.name if bucket is not None else ""
    scope = None if caller is None else caller.scope
    if scope is not None and not scope.covers(operation, name or asked.bucket_name, now_us=asked.now_us):
        return Decision.DENY
    if operation in _FOR_MEMBERS:
        return _as(caller is not None)
    if bucket is None or operation.level is Level.SERVICE:
        return Decision.DENY
    owns = is_owner(caller, bucket)
    if operation in _FOR_THE_OWNER:
        return _as(owns)
    policy = policy_of(bucket)
    if policy is None and owns:
        return Decision.ALLOW
    if policy is not None and operation is Operation.DELETE_OBJECTS:
        # Each key is asked for by itself; here only that there is anything to ask for.
        who = _who(caller)
        may_some = policy.may_allow(who, "s3:DeleteObject") or policy.may_allow(who, "s3:DeleteObjectVersion")
        return _as(owns or may_some)
    return _decide_by_documents(asked, bucket, policy, seen)


def may(asked: Asked, bucket: Bucket, action: str) -> bool:
    """Whether the caller has a right on the bucket itself."""
    return (
        _decide_needs(asked, bucket, policy_of(bucket), (Need(action, on_object=False),), None)
        is Decision.ALLOW
    )


def policy_of(bucket: Bucket) -> Policy | None:
    """The bucket's policy, read once and remembered."""
    text = bucket.documents.get(Subject.POLICY)
    return None if text is None else parse_policy(text, bucket.name)


def _decide_by_documents(asked: Asked, bucket: Bucket, policy: Policy | None, seen: Seen | None) -> Decision:
    wanted = needs(asked.operation, asked.query, asked.headers)
    if policy is not None:
        hidden = _IN_THE_BODY.get(asked.operation)
        if hidden is not None and any(key.startswith(hidden) for key in policy.keys):
            return Decision.DENY
        asks_for_tags = any(key.startswith(EXISTING_TAG) for key in policy.keys)
        if asks_for_tags and wanted[0].on_object and asked.key:
            if seen is None:
                return Decision.LOOK
            asked = replace(asked, object_tags=seen.tags)
    return _decide_needs(asked, bucket, policy, wanted, seen)


def _decide_needs(
    asked: Asked, bucket: Bucket, policy: Policy | None, wanted: tuple[Need, ...], seen: Seen | None
) -> Decision:
    open_needs = wanted
    if policy is not None:
        facts = _facts(asked)
        who = _who(asked.caller)
        verdicts = [policy.judge(who, need.action, _resource(asked, bucket, need), facts) for need in wanted]
        if Verdict.DENIED in verdicts:
            return Decision.DENY
        open_needs = tuple(
            need for need, verdict in zip(wanted, verdicts, strict=True) if verdict is not Verdict.ALLOWED
        )
    if is_owner(asked.caller, bucket):
        return Decision.ALLOW
    block = parse_block(bucket.documents.get(Subject.PUBLIC_ACCESS_BLOCK))
    if policy is not None and block.restrict_public_buckets and policy.is_public:
        return Decision.DENY
    if not open_needs:
        return Decision.ALLOW
    if not lists_count(bucket.documents.get(Subject.OWNERSHIP)):
        return Decision.DENY
    decisions = {
        _by_list(asked, bucket, need, seen, ignore_public=block.ignore_public_acls) for need in open_needs
    }
    return next(one for one in (Decision.DENY, Decision.LOOK, Decision.ALLOW) if one in decisions)


def _by_list(asked: Asked, bucket: Bucket, need: Need, seen: Seen | None, *, ignore_public: bool) -> Decision:
    """What the access list of bucket or object says to one right."""
    member = None if asked.caller is None else asked.caller.member
    permission = _BY_BUCKET_LIST.get(need.action)
    if permission is not None:
        access = parse(bucket.documents.get(Subject.ACL, ""), bucket.owner)
        return _as(access.allows(permission, member, ignore_public=ignore_public))
    permission = _BY_OBJECT_LIST.get(need.action)
    if permission is None or need.action.endswith("Acl") != asked.operation.s3_name.endswith("Acl"):
        # A list that comes with new bytes is not given by the list of the old ones.
        return Decision.DENY
    if seen is None:
        return Decision.LOOK
    if not seen.is_there:
        # Who may list sees that it is not there; nobody else learns it.
        return _as(asked.operation in _READS and may(asked, bucket, "s3:ListBucket"))
    return _as(parse(seen.acl, bucket.owner).allows(permission, member, ignore_public=ignore_public))


def _resource(asked: Asked, bucket: Bucket, need: Need) -> str:
    return f"{bucket.name}/{asked.key}" if need.on_object else bucket.name


def _facts(asked: Asked) -> Facts:
    return lambda name: fact(asked, name)


def _who(caller: Caller | None) -> Who | None:
    return None if caller is None else Who(caller.member, caller.member_name)


def _as(allowed: bool) -> Decision:
    return Decision.ALLOW if allowed else Decision.DENY
