"""Every operation of the table against every kind of caller; what is expected is written here by hand, by class.

An engine that fails the test when it is touched proves that a denial reaches no storage.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from gateway.access import Decision, Seen, decide, is_unbound_owner, may
from gateway.actions import ACTION_OF, BUCKET_ACTIONS, OBJECT_ACTIONS
from gateway.admission import admit as admit_in_time
from gateway.admission import concealed
from gateway.call import NOWHERE, Bucket, Caller, Services, Subject
from gateway.errors import S3Error, s3_error
from gateway.operation import Level, Operation
from gateway.policy.facts import Asked
from gateway.scope import NOTHING, KeyScope, parse_scope, render_scope
from gateway.settings import GatewaySettings
from gateway.storage.errors import Busy, NoSuchKey
from gateway.storage.model import ObjectHead, ObjectProperties
from meter.ids import BucketId, MemberId
from meter.usage import MemberStatus

NOW_US = 1_700_000_000_000_000
OWNER = Caller(MemberId(1), "anna", "KEY1")
OTHER = Caller(MemberId(2), "bert", "KEY2")
BUCKET = Bucket(BucketId(1), "abc", MemberId(1), 0)
PUBLIC_READ = json.dumps([["000000000001", "FULL_CONTROL"], ["*", "READ"]])
READING = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow", "Principal": {"AWS": "000000000002"}, "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": ["arn:aws:s3:::abc", "arn:aws:s3:::abc/*"],
    },
}  # fmt: skip

ALL = {one.s3_name for one in Operation}
OF_MEMBERS = {"ListBuckets", "CreateBucket"}
OF_NO_BUCKET = {"ListDirectoryBuckets", "WriteGetObjectResponse", "Other"}
PREFLIGHTS = {"PreflightBucket", "PreflightObject"}
"""Asked by browsers before they may sign; the CORS rules of the bucket answer."""
CHANGES_NOTHING = {one for one in ALL if one.startswith(("Get", "Head", "List"))} | {
    "SelectObjectContent", "CreateSession",
}  # fmt: skip
READS_BYTES = {"GetObject", "HeadObject", "SelectObjectContent"}
LISTS = {"HeadBucket", "ListObjects", "ListObjectsV2"}


@dataclass
class Engine:
    """Fails the test when touched, but for heads it was told it may be asked for."""

    head: ObjectHead | None = None
    heads_asked: list[tuple[str, str | None]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the storage was touched: {name}")

    async def head_object(self, bucket: BucketId, key: str, version_id: str | None = None) -> ObjectHead:
        assert BUCKET.id == bucket
        self.heads_asked.append((key, version_id))
        if self.head is None:
            raise NoSuchKey(key)
        return self.head


def services(engine: Engine) -> Services:
    return Services(cast(Any, engine), cast(Any, None), GatewaySettings())


def asked(operation: Operation, caller: Caller | None, **more: Any) -> Asked:
    names_bucket, names_key = operation.level is not Level.SERVICE, operation.level is Level.OBJECT
    found = Asked(
        operation, "abc" if names_bucket else "", "k" if names_key else "", {}, {}, caller, NOWHERE, NOW_US
    )
    return replace(found, **more)


def with_documents(**documents: str) -> Bucket:
    return replace(
        BUCKET, documents={Subject(name.replace("_", "-")): text for name, text in documents.items()}
    )


def object_with(acl: str) -> ObjectHead:
    return ObjectHead("k", 1, "e", 0, ObjectProperties(acl=acl))


def admit(services: Services, question: Asked, bucket: Bucket | None) -> None:
    """Let in, or refused; the engine here answers at once, so nothing is waited for."""
    try:
        admit_in_time(services, question, bucket).send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


def refusal(engine: Engine, question: Asked, bucket: Bucket | None) -> str:
    """The code of the refusal; empty where there is none."""
    try:
        admit(services(engine), question, bucket)
    except S3Error as error:
        return error.code
    return ""


@dataclass(frozen=True)
class Row:
    """A caller before a bucket, and all that is open then."""

    caller: Caller | None
    bucket: Bucket
    open_names: frozenset[str]
    acl: str = ""


def scoped(**bounds: Any) -> Caller:
    return OWNER._replace(scope=KeyScope(**bounds))


ROWS = {
    "owner": Row(OWNER, BUCKET, frozenset(ALL - OF_NO_BUCKET)),
    "owner, whose policy speaks of others": Row(
        OWNER, with_documents(policy=json.dumps(READING)), frozenset(ALL - OF_NO_BUCKET)
    ),
    "owner's key for reading": Row(
        scoped(read_only=True), BUCKET, frozenset((CHANGES_NOTHING | PREFLIGHTS) - OF_NO_BUCKET)
    ),
    "owner's key for this bucket": Row(
        scoped(buckets=frozenset(("abc",))), BUCKET, frozenset(ALL - OF_NO_BUCKET)
    ),
    "owner's key for another bucket": Row(
        scoped(buckets=frozenset(("other",))), BUCKET, frozenset({"ListBuckets"} | PREFLIGHTS)
    ),
    "other member": Row(OTHER, BUCKET, frozenset(OF_MEMBERS | PREFLIGHTS)),
    "other member the policy lets read": Row(
        OTHER, with_documents(policy=json.dumps(READING)), frozenset(OF_MEMBERS | PREFLIGHTS | READS_BYTES | LISTS)
    ),
    "his key for reading, where the policy lets him read": Row(
        OTHER._replace(scope=KeyScope(read_only=True)), with_documents(policy=json.dumps(READING)),
        frozenset({"ListBuckets"} | PREFLIGHTS | READS_BYTES | LISTS),
    ),
    "nobody": Row(None, BUCKET, frozenset(PREFLIGHTS)),
    "nobody, where the policy lets another member read": Row(
        None, with_documents(policy=json.dumps(READING)), frozenset(PREFLIGHTS)
    ),
    "nobody, where the bucket is public-read": Row(
        None, with_documents(acl=PUBLIC_READ),
        frozenset(PREFLIGHTS | LISTS | {"ListObjectVersions", "ListMultipartUploads"}),
    ),
    "nobody, where bucket and object are public-read": Row(
        None, with_documents(acl=PUBLIC_READ),
        frozenset(PREFLIGHTS | LISTS | {"ListObjectVersions", "ListMultipartUploads"} | READS_BYTES), PUBLIC_READ,
    ),
    "nobody, where public lists are ignored": Row(
        None, with_documents(acl=PUBLIC_READ, public_access_block="[false,true,false,false]"),
        frozenset(PREFLIGHTS), PUBLIC_READ,
    ),
    "nobody, where lists do not count": Row(
        None, with_documents(acl=PUBLIC_READ, ownership="BucketOwnerEnforced"), frozenset(PREFLIGHTS), PUBLIC_READ,
    ),
}  # fmt: skip
BY_OBJECT_LIST = READS_BYTES | {"GetObjectAcl", "PutObjectAcl"}


@pytest.mark.parametrize("name", ROWS)
def test_who_may_do_what(name: str) -> None:
    row = ROWS[name]
    opened = set()
    for operation in Operation:
        engine = Engine(object_with(row.acl))
        bucket = None if operation.s3_name in OF_MEMBERS else row.bucket
        code = refusal(engine, asked(operation, row.caller), bucket)
        assert code in ("", "AccessDenied")
        if not code:
            opened.add(operation.s3_name)
        # Nothing of the storage but the head of an object whose own list must decide, and never for its owner.
        assert not engine.heads_asked or operation.s3_name in BY_OBJECT_LIST
        assert not engine.heads_asked or row.caller is None or row.caller.member != OWNER.member
    assert row.open_names == opened


@pytest.mark.parametrize("name", ROWS)
def test_the_short_way_of_the_owner_is_never_wider(name: str) -> None:
    """An exchange asks nothing more when this is so; then everything of a bucket must be open."""
    row = ROWS[name]
    expected = name == "owner"
    assert expected == is_unbound_owner(row.caller, row.bucket)


def test_every_operation_has_its_action() -> None:
    assert {one for one in Operation if one is not Operation.OTHER} == ACTION_OF.keys()
    # Names as the reference of S3's actions has them, for those that are not called like their operation.
    assert {
        "HeadBucket": "s3:ListBucket", "ListObjects": "s3:ListBucket", "ListObjectsV2": "s3:ListBucket",
        "ListObjectVersions": "s3:ListBucketVersions", "ListMultipartUploads": "s3:ListBucketMultipartUploads",
        "ListParts": "s3:ListMultipartUploadParts", "HeadObject": "s3:GetObject", "CopyObject": "s3:PutObject",
        "UploadPart": "s3:PutObject", "CompleteMultipartUpload": "s3:PutObject", "ListBuckets": "s3:ListAllMyBuckets",
        "AbortMultipartUpload": "s3:AbortMultipartUpload", "DeleteBucketCors": "s3:PutBucketCORS",
        "DeleteBucketLifecycle": "s3:PutLifecycleConfiguration", "GetBucketEncryption": "s3:GetEncryptionConfiguration",
        "DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock", "DeleteBucketTagging": "s3:PutBucketTagging",
        "GetBucketPolicyStatus": "s3:GetBucketPolicyStatus", "GetObjectAcl": "s3:GetObjectAcl",
    }.items() <= {one.s3_name: action for one, action in ACTION_OF.items()}.items()  # fmt: skip
    assert not BUCKET_ACTIONS & OBJECT_ACTIONS


def statement(effect: str, action: Any, resource: str = "arn:aws:s3:::abc/*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Principal": "*", "Action": action, "Resource": resource, **more}


def policy(*statements: dict[str, Any]) -> Bucket:
    return with_documents(policy=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))


@pytest.mark.parametrize(
    ("operation", "query", "headers", "action"),
    [(Operation.GET_OBJECT, {"versionId": "v"}, {}, "s3:GetObjectVersion"),
     (Operation.DELETE_OBJECT, {"versionId": "v"}, {}, "s3:DeleteObjectVersion"),
     (Operation.GET_OBJECT_TAGGING, {"versionId": "v"}, {}, "s3:GetObjectVersionTagging"),
     (Operation.DELETE_OBJECT, {}, {"x-amz-bypass-governance-retention": "true"}, "s3:BypassGovernanceRetention"),
     (Operation.PUT_OBJECT, {}, {"x-amz-acl": "public-read"}, "s3:PutObjectAcl"),
     (Operation.CREATE_MULTIPART_UPLOAD, {}, {"x-amz-grant-read": "id=1"}, "s3:PutObjectAcl"),
     (Operation.PUT_OBJECT, {}, {"x-amz-tagging": "a=b"}, "s3:PutObjectTagging"),
     (Operation.COPY_OBJECT, {}, {"x-amz-object-lock-mode": "GOVERNANCE"}, "s3:PutObjectRetention"),
     (Operation.PUT_OBJECT, {}, {"x-amz-object-lock-legal-hold": "ON"}, "s3:PutObjectLegalHold"),
     (Operation.PUT_OBJECT, {}, {"if-match": "e"}, "s3:GetObject"),
     (Operation.GET_OBJECT_ATTRIBUTES, {}, {}, "s3:GetObject")],
)  # fmt: skip
def test_what_a_request_brings_along_needs_its_own_right(
    operation: Operation, query: dict[str, str], headers: dict[str, str], action: str
) -> None:
    question = asked(operation, OTHER, query=query, headers=headers)
    everything = statement("Allow", "s3:*")
    assert Decision.ALLOW is decide(question, policy(everything))
    assert Decision.DENY is decide(question, policy(everything, statement("Deny", action)))
    # The owner, too, is bound by a denial.
    owners = replace(question, caller=OWNER)
    assert Decision.DENY is decide(owners, policy(statement("Deny", action)))
    assert Decision.ALLOW is decide(owners, policy(statement("Deny", "s3:RestoreObject")))


def test_a_list_for_nobody_needs_no_right() -> None:
    only_put = policy(statement("Allow", "s3:PutObject"))
    for acl, expected in (("private", Decision.ALLOW), ("bucket-owner-full-control", Decision.ALLOW), ("public-read", Decision.DENY)):  # fmt: skip
        question = asked(Operation.PUT_OBJECT, OTHER, headers={"x-amz-acl": acl})
        assert expected is decide(question, only_put)


def test_the_list_of_the_old_object_does_not_decide_over_the_new_one() -> None:
    bucket = with_documents(acl=json.dumps([["000000000002", "WRITE"]]))
    question = asked(Operation.PUT_OBJECT, OTHER, headers={"x-amz-acl": "public-read"})
    assert Decision.DENY is decide(
        question, bucket, Seen(True, acl=json.dumps([["000000000002", "FULL_CONTROL"]]))
    )
    assert Decision.ALLOW is decide(replace(question, headers={}), bucket)


def test_tags_of_the_object_are_looked_at_where_the_policy_asks() -> None:
    tagged = {"StringEquals": {"s3:ExistingObjectTag/open": "yes"}}
    bucket = policy(statement("Allow", "s3:GetObject", Condition=tagged))
    question = asked(Operation.GET_OBJECT, None, query={"versionId": "v1"})
    bucket_of_versions = policy(statement("Allow", "s3:GetObjectVersion", Condition=tagged))
    for tags, expected in (({"open": "yes"}, True), ({"open": "no"}, False), ({}, False)):
        engine = Engine(ObjectHead("k", 1, "e", 0, ObjectProperties(tags=tags)))
        if expected:
            admit(services(engine), question, bucket_of_versions)
        else:
            with pytest.raises(S3Error, match="AccessDenied"):
                admit(services(engine), question, bucket_of_versions)
        assert [("k", "v1")] == engine.heads_asked
    with pytest.raises(S3Error, match="AccessDenied"):
        admit(services(Engine()), asked(Operation.GET_OBJECT, None), bucket)


@pytest.mark.parametrize("caller", [OWNER, OTHER])
def test_tags_that_only_the_body_names_are_no_way_round_a_denial(caller: Caller) -> None:
    guarded = statement(
        "Deny", "s3:PutObjectTagging", Condition={"StringEquals": {"s3:RequestObjectTag/a": "b"}}
    )
    question = asked(Operation.PUT_OBJECT_TAGGING, caller)
    assert Decision.DENY is decide(question, policy(statement("Allow", "s3:*"), guarded))
    assert Decision.ALLOW is decide(question, policy(statement("Allow", "s3:*")))


def test_who_may_not_list_does_not_learn_what_is_not_there() -> None:
    reading = policy(statement("Allow", "s3:GetObject"))
    listing = policy(statement("Allow", "s3:*"), statement("Allow", "s3:ListBucket", "arn:aws:s3:::abc"))
    absent = s3_error("NoSuchKey", Key="k")
    for caller, bucket, expected in (
        (OTHER, reading, "AccessDenied"), (None, reading, "AccessDenied"), (OTHER, listing, "NoSuchKey"),
        (OWNER, reading, "NoSuchKey"), (None, with_documents(acl=PUBLIC_READ), "NoSuchKey"),
    ):  # fmt: skip
        assert expected == concealed(absent, asked(Operation.GET_OBJECT, caller), bucket).code
    other = s3_error("PreconditionFailed")
    assert other is concealed(other, asked(Operation.GET_OBJECT, None), reading)


def test_a_missing_object_is_told_to_who_may_list_only() -> None:
    question = asked(Operation.GET_OBJECT, None)
    admit(services(Engine()), question, with_documents(acl=PUBLIC_READ))
    with pytest.raises(S3Error, match="AccessDenied"):
        admit(services(Engine()), question, BUCKET)


def test_a_storage_that_is_busy_is_no_denial() -> None:
    class BusyEngine(Engine):
        async def head_object(self, bucket: BucketId, key: str, version_id: str | None = None) -> ObjectHead:
            raise Busy

    with pytest.raises(S3Error, match="ServiceUnavailable"):
        admit(services(BusyEngine()), asked(Operation.GET_OBJECT, None), BUCKET)


@pytest.mark.parametrize("status", [MemberStatus.SUSPENDED, MemberStatus.LEFT])
def test_a_closed_account_s_bucket_serves_nobody(status: MemberStatus) -> None:
    bucket = replace(policy(statement("Allow", "s3:*")), owner_status=status)
    with pytest.raises(S3Error, match="AllAccessDisabled"):
        admit(services(Engine()), asked(Operation.GET_OBJECT, None), bucket)


def test_no_policy_locks_the_owner_out_of_the_policy_or_lets_others_at_it() -> None:
    shut = policy(
        {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"},
    )
    opened = policy({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"})
    for operation in (
        Operation.GET_BUCKET_POLICY,
        Operation.PUT_BUCKET_POLICY,
        Operation.DELETE_BUCKET_POLICY,
    ):
        assert Decision.ALLOW is decide(asked(operation, OWNER), shut)
        assert Decision.DENY is decide(asked(operation, OTHER), opened)
    assert Decision.DENY is decide(asked(Operation.PUT_BUCKET_ACL, OWNER), shut)
    assert Decision.ALLOW is decide(asked(Operation.PUT_BUCKET_ACL, OTHER), opened)


def test_while_a_public_bucket_is_restricted_only_the_owner_gets_in() -> None:
    restrict = "[false,false,false,true]"
    public = json.dumps({"Statement": [statement("Allow", "s3:GetObject")]})
    for_bert = json.dumps(
        {"Statement": statement("Allow", "s3:GetObject") | {"Principal": {"AWS": "000000000002"}}}
    )
    for text, caller, expected in (
        (public, None, Decision.DENY), (public, OTHER, Decision.DENY), (public, OWNER, Decision.ALLOW),
        (for_bert, OTHER, Decision.ALLOW),
    ):  # fmt: skip
        bucket = with_documents(policy=text, public_access_block=restrict)
        assert expected is decide(asked(Operation.GET_OBJECT, caller), bucket)


def test_may_speaks_of_the_bucket_itself() -> None:
    question = asked(Operation.GET_OBJECT, None)
    assert may(question, with_documents(acl=PUBLIC_READ), "s3:ListBucket")
    assert not may(question, with_documents(acl=PUBLIC_READ), "s3:PutObject")
    assert not may(question, BUCKET, "s3:ListBucket")


def test_an_ended_key_opens_nothing_and_says_so() -> None:
    for end_us, opened in ((NOW_US + 1, True), (NOW_US, False)):
        question = asked(Operation.GET_OBJECT, scoped(expires_us=end_us))
        if opened:
            admit(services(Engine()), question, BUCKET)
        else:
            with pytest.raises(S3Error, match="ExpiredToken"):
                admit(services(Engine()), question, BUCKET)


@pytest.mark.parametrize(
    "scope",
    [KeyScope(), KeyScope(read_only=True), KeyScope(buckets=frozenset(("a", "b"))), KeyScope(expires_us=5),
     KeyScope(buckets=frozenset())],
)  # fmt: skip
def test_a_scope_comes_back_as_it_was_kept(scope: KeyScope) -> None:
    assert scope == parse_scope(render_scope(scope))


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", '{"read_only": 1}', '{"buckets": "a"}', '{"buckets": [1]}', '{"expires_us": "5"}',
     '{"write_only": true}', '{"expires_us": true}'],
)  # fmt: skip
def test_a_scope_that_cannot_be_read_opens_nothing(text: str) -> None:
    assert NOTHING == parse_scope(text)
    assert parse_scope(None) is None
    caller = OWNER._replace(scope=NOTHING)
    assert {Decision.DENY} == {
        decide(asked(one, caller), BUCKET)
        for one in Operation
        if one not in (Operation.PREFLIGHT_BUCKET, Operation.PREFLIGHT_OBJECT)
    }
