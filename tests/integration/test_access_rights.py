"""Who may read and write what, over real sockets: strangers, other members, policies, access lists, keys with bounds."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.exceptions import ClientError

from gateway.directory import PostgresDirectory
from gateway.keys import create_key
from gateway.scope import KeyScope
from gateway.vault import Vault
from meter.postgres import connect
from meter.recorder import now_us
from meter.store import add_member
from meter.usage import MemberClass
from tests.gateway import Credentials, RunningGateway, client
from tests.integration.s3_kit import Answer, eventually, fetch

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def ben(s3_gateway: RunningGateway) -> Credentials:
    """Another member."""
    return s3_gateway.member("ben-of-access")


@pytest.fixture(scope="module")
def bens(s3_gateway: RunningGateway, ben: Credentials) -> Any:
    """His client."""
    return client(s3_gateway, ben)


@pytest.fixture(scope="module")
def nobody(s3_gateway: RunningGateway) -> Any:
    """A client that signs nothing."""
    return client(s3_gateway, Credentials(0, "", "none", "none"), signature_version=UNSIGNED)  # type: ignore[arg-type]


def code(how: Callable[..., Any], **arguments: Any) -> str:
    """S3's code of a refusal; empty when there was none."""
    try:
        how(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(bucket: str, action: Any, *, path: str = "/*", principal: Any = "*", **more: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow", "Principal": principal, "Action": action, "Resource": f"arn:aws:s3:::{bucket}{path}", **more
    }  # fmt: skip


def owner_id(credentials: Credentials) -> str:
    return f"{credentials.member:012d}"


def get(gateway: RunningGateway, bucket: str, key: str) -> Answer:
    """What anybody with a browser gets."""
    return fetch(f"{gateway.url}/{bucket}/{key}")


def test_a_stranger_reads_nothing_of_a_private_bucket(
    s3_gateway: RunningGateway, s3: Any, bucket: str, nobody: Any
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    there, absent = get(s3_gateway, bucket, "k"), get(s3_gateway, bucket, "absent")
    assert (403, "AccessDenied", 403, "AccessDenied") == (
        there.status,
        there.code,
        absent.status,
        absent.code,
    )
    assert "AccessDenied" == code(nobody.list_objects_v2, Bucket=bucket)
    assert "AccessDenied" == code(nobody.put_object, Bucket=bucket, Key="k", Body=b"other")
    # As S3 has it: names of buckets are no secret, for everybody may try to make one.
    assert "NoSuchBucket" == get(s3_gateway, "no-such-bucket-here", "k").code


def test_an_object_put_public_read_is_read_by_anybody_and_its_neighbour_is_not(
    s3_gateway: RunningGateway, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="open", Body=b"for all", ACL="public-read", ContentType="text/plain")
    s3.put_object(Bucket=bucket, Key="closed", Body=b"mine")
    found = get(s3_gateway, bucket, "open")
    assert (200, b"for all", "text/plain") == (found.status, found.body, found.headers["content-type"])
    assert 403 == get(s3_gateway, bucket, "closed").status
    # Put again without a word of rights, it is private again.
    s3.put_object(Bucket=bucket, Key="open", Body=b"not any more")
    assert 403 == get(s3_gateway, bucket, "open").status


def test_a_copy_and_an_upload_in_parts_have_the_list_they_asked_for(
    s3_gateway: RunningGateway, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"data", ACL="public-read")
    s3.copy_object(Bucket=bucket, Key="plain-copy", CopySource=f"{bucket}/source")
    s3.copy_object(Bucket=bucket, Key="open-copy", CopySource=f"{bucket}/source", ACL="public-read")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", ACL="public-read")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"part")
    s3.complete_multipart_upload(
        Bucket=bucket, Key="parts", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )  # fmt: skip
    read = {
        key: get(s3_gateway, bucket, key).status for key in ("source", "plain-copy", "open-copy", "parts")
    }
    assert {"source": 200, "plain-copy": 403, "open-copy": 200, "parts": 200} == read


def test_access_lists_come_back_as_they_were_set(
    s3: Any, bucket: str, anna: Credentials, ben: Credentials
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    owner = {"ID": owner_id(anna), "DisplayName": "anna"}
    full = {"Grantee": {"Type": "CanonicalUser", **owner}, "Permission": "FULL_CONTROL"}
    assert (owner, [full]) == ((found := s3.get_object_acl(Bucket=bucket, Key="k"))["Owner"], found["Grants"])
    for_all = {"Grantee": {"Type": "Group", "URI": ALL_USERS}, "Permission": "READ"}
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert [full, for_all] == s3.get_bucket_acl(Bucket=bucket)["Grants"]
    for_ben = {"Grantee": {"Type": "CanonicalUser", "ID": owner_id(ben)}, "Permission": "READ_ACP"}
    s3.put_object_acl(
        Bucket=bucket,
        Key="k",
        AccessControlPolicy={"Owner": {"ID": owner_id(anna)}, "Grants": [full, for_ben]},
    )
    assert [full, for_ben] == s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]
    s3.put_object_acl(Bucket=bucket, Key="k", GrantRead=f'id="{owner_id(ben)}", uri="{ALL_USERS}"')
    given = [
        {"Grantee": {"Type": "CanonicalUser", "ID": owner_id(ben)}, "Permission": "READ"},
        {"Grantee": {"Type": "Group", "URI": ALL_USERS}, "Permission": "READ"},
    ]
    assert given == s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [({"ACL": "public"}, "InvalidArgument"), ({"ACL": "log-delivery-write"}, "NotImplemented"),
     ({"ACL": "private", "GrantRead": "id=000000000001"}, "InvalidRequest"), ({}, "MissingSecurityHeader"),
     ({"GrantRead": "nonsense"}, "InvalidArgument"), ({"GrantRead": "id=anna"}, "InvalidArgument"),
     ({"GrantRead": "uri=http://example.org/everybody"}, "InvalidArgument"),
     ({"GrantRead": "emailAddress=a@example.org"}, "NotImplemented"),
     ({"AccessControlPolicy": {"Owner": {"ID": "000000000999"}, "Grants": []}}, "AccessDenied"),
     ({"AccessControlPolicy": {"Grants": []}}, "MalformedACLError")],
)  # fmt: skip
def test_a_list_that_is_none_is_refused_and_changes_nothing(
    s3: Any, bucket: str, sent: dict[str, Any], expected: str
) -> None:
    before = s3.get_bucket_acl(Bucket=bucket)["Grants"]
    assert expected == code(s3.put_bucket_acl, Bucket=bucket, **sent)
    assert before == s3.get_bucket_acl(Bucket=bucket)["Grants"]


def test_what_a_bucket_s_list_gives_and_what_not(
    s3_gateway: RunningGateway, s3: Any, bucket: str, bens: Any, nobody: Any, ben: Credentials
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"mine")
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert ["k"] == [one["Key"] for one in nobody.list_objects_v2(Bucket=bucket)["Contents"]]
    # To list is not to read; but who may list is told what is not there.
    assert "AccessDenied" == code(nobody.get_object, Bucket=bucket, Key="k")
    assert "NoSuchKey" == code(nobody.get_object, Bucket=bucket, Key="absent")
    s3.put_bucket_acl(Bucket=bucket, GrantWrite=f"id={owner_id(ben)}")
    bens.put_object(Bucket=bucket, Key="from-ben", Body=b"his")
    assert "AccessDenied" == code(bens.delete_object, Bucket=bucket, Key="k")
    assert "AccessDenied" == code(bens.get_object, Bucket=bucket, Key="from-ben")
    assert "AccessDenied" == code(bens.put_object, Bucket=bucket, Key="x", Body=b"", ACL="public-read")
    assert "AccessDenied" == code(nobody.put_object, Bucket=bucket, Key="x", Body=b"")
    assert b"his" == s3.get_object(Bucket=bucket, Key="from-ben")["Body"].read()
    s3.put_bucket_acl(Bucket=bucket, ACL="authenticated-read")
    assert {"", "AccessDenied"} == {code(one.list_objects, Bucket=bucket) for one in (bens, nobody)}
    assert "" == code(bens.list_objects, Bucket=bucket)


def test_a_bucket_may_be_made_public_at_once(s3: Any, nobody: Any) -> None:
    name = f"access-made-{next(_numbers)}"
    s3.create_bucket(Bucket=name, ACL="public-read-write")
    nobody.put_object(Bucket=name, Key="drop", Body=b"box")
    assert 1 == nobody.list_objects_v2(Bucket=name)["KeyCount"]
    assert "InvalidBucketAclWithObjectOwnership" == code(
        s3.create_bucket, Bucket=f"{name}-x", ACL="public-read", ObjectOwnership="BucketOwnerEnforced"
    )
    assert "NoSuchBucket" == code(s3.list_objects_v2, Bucket=f"{name}-x")


def test_a_policy_lets_everybody_read_and_is_public(
    s3_gateway: RunningGateway, s3: Any, bucket: str, nobody: Any
) -> None:
    assert "NoSuchBucketPolicy" == code(s3.get_bucket_policy, Bucket=bucket)
    assert "NoSuchBucketPolicy" == code(s3.get_bucket_policy_status, Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="site/index.html", Body=b"<h1>")
    wanted = policy(allow(bucket, "s3:GetObject", path="/site/*", Sid="Site"))
    s3.put_bucket_policy(Bucket=bucket, Policy=wanted)
    assert json.loads(wanted) == json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"]
    assert b"<h1>" == get(s3_gateway, bucket, "site/index.html").body
    assert {"AccessDenied"} == {get(s3_gateway, bucket, key).code for key in ("site/absent", "other")}
    assert "AccessDenied" == code(nobody.put_object, Bucket=bucket, Key="site/x", Body=b"")
    assert "AccessDenied" == code(nobody.get_bucket_policy, Bucket=bucket)
    s3.delete_bucket_policy(Bucket=bucket)
    assert 403 == get(s3_gateway, bucket, "site/index.html").status


def test_a_denial_outweighs_and_the_owner_gets_out_of_it(
    s3: Any, bucket: str, bens: Any, ben: Credentials
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    for_ben = allow(bucket, "s3:*", principal={"AWS": f"arn:aws:iam::{owner_id(ben)}:root"})
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(for_ben))
    assert b"data" == bens.get_object(Bucket=bucket, Key="k")["Body"].read()
    nothing_for_anybody = allow(bucket, "s3:*") | {
        "Effect": "Deny", "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }  # fmt: skip
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(for_ben, nothing_for_anybody))
    for one in (s3, bens):
        assert "AccessDenied" == code(one.get_object, Bucket=bucket, Key="k")
        assert "AccessDenied" == code(one.list_objects_v2, Bucket=bucket)
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})
    assert ["AccessDenied"] == [one["Code"] for one in deleted["Errors"]]
    assert "" == code(s3.get_bucket_policy, Bucket=bucket)
    assert "AccessDenied" == code(bens.delete_bucket_policy, Bucket=bucket)
    s3.delete_bucket_policy(Bucket=bucket)
    assert b"data" == s3.get_object(Bucket=bucket, Key="k")["Body"].read()


def test_a_member_deletes_only_the_keys_the_policy_gives(
    s3: Any, bucket: str, bens: Any, ben: Credentials
) -> None:
    for key in ("ben/a", "anna/a"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert "AccessDenied" == code(bens.delete_objects, Bucket=bucket, Delete={"Objects": [{"Key": "ben/a"}]})
    mine = allow(
        bucket, ["s3:DeleteObject"], path="/ben/*", principal={"AWS": f"arn:aws:iam:::user/{ben.name}"}
    )
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(mine))
    answer = bens.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "ben/a"}, {"Key": "anna/a"}]})
    assert ["ben/a"] == [one["Key"] for one in answer["Deleted"]]
    assert [("anna/a", "AccessDenied")] == [(one["Key"], one["Code"]) for one in answer["Errors"]]
    assert ["anna/a"] == [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]


def test_a_copy_needs_the_right_to_read_its_source(s3: Any, bucket: str, bens: Any, ben: Credentials) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    name = f"bens-copies-{next(_numbers)}"
    bens.create_bucket(Bucket=name)
    copy = {"Bucket": name, "Key": "k", "CopySource": f"{bucket}/k"}
    assert "AccessDenied" == code(bens.copy_object, **copy)
    assert "AccessDenied" == code(bens.copy_object, **copy | {"CopySource": f"{bucket}/absent"})
    s3.put_bucket_policy(
        Bucket=bucket, Policy=policy(allow(bucket, "s3:GetObject", principal={"AWS": owner_id(ben)}))
    )
    bens.copy_object(**copy)
    assert b"data" == bens.get_object(Bucket=name, Key="k")["Body"].read()
    assert "AccessDenied" == code(bens.copy_object, **copy | {"CopySource": f"{bucket}/absent"})
    assert "AccessDenied" == code(s3.copy_object, Bucket=name, Key="back", CopySource=f"{bucket}/k")


def test_conditions_see_address_agent_and_tls(s3_gateway: RunningGateway, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")

    def status(condition: dict[str, Any], **headers: str) -> int:
        s3.put_bucket_policy(Bucket=bucket, Policy=policy(allow(bucket, "s3:GetObject", Condition=condition)))
        return fetch(f"{s3_gateway.url}/{bucket}/k", headers=headers).status

    assert 200 == status({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}})
    assert 403 == status({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}})
    # Nobody may write an address of their own choice (the peer is no named proxy).
    elsewhere = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
    assert 403 == status({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, **elsewhere)
    assert 403 == status({"Bool": {"aws:SecureTransport": "true"}}, **elsewhere)
    assert 200 == status(
        {"StringLike": {"aws:Referer": "https://coop.example/*"}}, Referer="https://coop.example/a"
    )
    assert 403 == status({"StringLike": {"aws:Referer": "https://coop.example/*"}})


def test_the_public_access_block_closes_what_was_opened(
    s3_gateway: RunningGateway, s3: Any, bucket: str
) -> None:
    assert "NoSuchPublicAccessBlockConfiguration" == code(s3.get_public_access_block, Bucket=bucket)
    flags = {"BlockPublicAcls": False, "IgnorePublicAcls": False, "BlockPublicPolicy": False, "RestrictPublicBuckets": False}  # fmt: skip

    def block(**on: bool) -> None:
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=on)
        found = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        assert flags | on == found

    def read() -> list[int]:
        return [get(s3_gateway, bucket, key).status for key in ("by-list", "by-policy")]

    for_all = policy(allow(bucket, "s3:GetObject", path="/by-policy"))
    s3.put_object(Bucket=bucket, Key="by-list", Body=b"", ACL="public-read")
    s3.put_object(Bucket=bucket, Key="by-policy", Body=b"")
    s3.put_bucket_policy(Bucket=bucket, Policy=for_all)
    assert [200, 200] == read()
    block(IgnorePublicAcls=True)
    assert [403, 200] == read()
    block(RestrictPublicBuckets=True)
    assert [403, 403] == read()
    block(BlockPublicPolicy=True)
    assert ([200, 200], "AccessDenied") == (read(), code(s3.put_bucket_policy, Bucket=bucket, Policy=for_all))
    block(BlockPublicAcls=True)
    assert [200, 200] == read()
    assert "AccessDenied" == code(s3.put_object, Bucket=bucket, Key="x", Body=b"", ACL="public-read")
    assert "AccessDenied" == code(s3.put_bucket_acl, Bucket=bucket, ACL="public-read")
    assert "AccessDenied" == code(s3.put_object_acl, Bucket=bucket, Key="by-policy", ACL="authenticated-read")
    s3.delete_public_access_block(Bucket=bucket)
    assert "" == code(s3.put_object_acl, Bucket=bucket, Key="by-policy", ACL="authenticated-read")


def test_where_the_owner_s_word_is_enforced_lists_do_not_count(
    s3_gateway: RunningGateway, s3: Any, bucket: str
) -> None:
    assert "OwnershipControlsNotFoundError" == code(s3.get_bucket_ownership_controls, Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"", ACL="public-read")
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    rules = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    put = {"Bucket": bucket, "OwnershipControls": rules}
    assert "InvalidBucketAclWithObjectOwnership" == code(s3.put_bucket_ownership_controls, **put)
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    s3.put_bucket_ownership_controls(**put)
    assert rules == s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]
    assert 403 == get(s3_gateway, bucket, "k").status
    assert ["FULL_CONTROL"] == [
        one["Permission"] for one in s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]
    ]
    for acl, expected in (("public-read", "AccessControlListNotSupported"), ("bucket-owner-full-control", ""), ("private", "")):  # fmt: skip
        assert expected == code(s3.put_object, Bucket=bucket, Key="new", Body=b"", ACL=acl)
    assert "AccessControlListNotSupported" == code(s3.put_bucket_acl, Bucket=bucket, ACL="public-read")
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    assert 200 == get(s3_gateway, bucket, "k").status


def test_a_stranger_s_link_may_not_choose_the_answer_s_headers(
    s3_gateway: RunningGateway, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"<script>", ACL="public-read")
    refused = get(s3_gateway, bucket, "k?response-content-type=text/html")
    assert (400, "InvalidRequest") == (refused.status, refused.code)


@pytest.mark.parametrize(
    "headers",
    [{"X-Amz-Content-SHA256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length": "1"},
     {"Content-Encoding": "aws-chunked"}, {"X-Amz-Content-SHA256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}],
)  # fmt: skip
def test_nobody_s_body_in_chunks_is_refused(
    s3_gateway: RunningGateway, s3: Any, headers: dict[str, str]
) -> None:
    name = f"access-chunks-{next(_numbers)}"
    s3.create_bucket(Bucket=name, ACL="public-read-write")
    refused = fetch(f"{s3_gateway.url}/{name}/k", b"1\r\nx\r\n0\r\n\r\n", headers)
    assert (403, "AccessDenied") == (refused.status, refused.code)
    assert 0 == s3.list_objects_v2(Bucket=name)["KeyCount"]


def test_what_others_read_is_on_the_owner_s_bill(s3_gateway: RunningGateway) -> None:
    owner, reader = s3_gateway.member("access-owner"), s3_gateway.member("access-reader")
    owns, reads = client(s3_gateway, owner), client(s3_gateway, reader)
    owns.create_bucket(Bucket="access-billed")
    owns.put_object(Bucket="access-billed", Key="k", Body=b"x" * 10_000, ACL="public-read")
    before = s3_gateway.usage(owner.member)
    assert 10_000 == len(reads.get_object(Bucket="access-billed", Key="k")["Body"].read())
    assert 10_000 == len(get(s3_gateway, "access-billed", "k").body)
    # Refused: nobody pays for it.
    assert "AccessDenied" == code(reads.list_objects_v2, Bucket="access-billed")
    # A name that is taken is the asker's own mistake.
    assert "BucketAlreadyExists" == code(reads.create_bucket, Bucket="access-billed")
    after = s3_gateway.usage(owner.member)
    assert (20_000, 2, 0) == (
        after.bytes_out - before.bytes_out,
        after.requests_b - before.requests_b,
        after.requests_a - before.requests_a,
    )
    used = s3_gateway.usage(reader.member)
    assert (0, 0, 1) == (used.bytes_out, used.requests_b, used.requests_a)


def scoped(gateway: RunningGateway, member: Credentials, scope: KeyScope) -> Any:
    """A client with a key of the member's that is held to something."""

    async def make() -> tuple[str, str]:
        connection = await connect(gateway.database)
        try:
            vault = Vault.open(gateway.data / "secret.key")
            return await create_key(connection, member.member, vault=vault, now_us=now_us(), scope=scope)
        finally:
            await connection.close()

    return client(gateway, Credentials(member.member, member.name, *asyncio.run(make())))


def test_a_key_is_held_to_reading(
    s3_gateway: RunningGateway, s3: Any, bucket: str, anna: Credentials
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    reading = scoped(s3_gateway, anna, KeyScope(read_only=True))
    assert b"data" == reading.get_object(Bucket=bucket, Key="k")["Body"].read()
    assert 1 == reading.list_objects_v2(Bucket=bucket)["KeyCount"]
    for how, more in (
        (reading.put_object, {"Key": "k"}), (reading.delete_object, {"Key": "k"}), (reading.delete_bucket, {}),
        (reading.put_bucket_acl, {"ACL": "public-read"}), (reading.create_multipart_upload, {"Key": "k"}),
        (reading.delete_objects, {"Delete": {"Objects": [{"Key": "k"}]}}),
        (reading.delete_bucket_policy, {}),
    ):  # fmt: skip
        assert "AccessDenied" == code(how, Bucket=bucket, **more)
    assert "AccessDenied" == code(reading.create_bucket, Bucket=f"{bucket}-more")
    assert b"data" == s3.get_object(Bucket=bucket, Key="k")["Body"].read()


def test_a_key_is_held_to_its_buckets(
    s3_gateway: RunningGateway, s3: Any, bucket: str, anna: Credentials
) -> None:
    name = f"access-other-{next(_numbers)}"
    s3.create_bucket(Bucket=name, ACL="public-read")
    s3.put_object(Bucket=name, Key="k", Body=b"data")
    held = scoped(s3_gateway, anna, KeyScope(buckets=frozenset((bucket,))))
    held.put_object(Bucket=bucket, Key="k", Body=b"here")
    assert [bucket] == [one["Name"] for one in held.list_buckets()["Buckets"]]
    assert "AccessDenied" == code(held.get_object, Bucket=name, Key="k")
    # Even what anybody may do without a key: a bound is a bound.
    assert "AccessDenied" == code(held.list_objects_v2, Bucket=name)
    assert "AccessDenied" == code(held.copy_object, Bucket=bucket, Key="x", CopySource=f"{name}/k")
    assert "AccessDenied" == code(held.create_bucket, Bucket=f"{name}-more")


def test_a_key_past_its_end_opens_nothing(s3_gateway: RunningGateway, bucket: str, anna: Credentials) -> None:
    over = scoped(s3_gateway, anna, KeyScope(expires_us=now_us() - 1))
    assert "ExpiredToken" == code(over.list_objects_v2, Bucket=bucket)
    assert "ExpiredToken" == code(over.list_buckets)
    lasting = scoped(s3_gateway, anna, KeyScope(expires_us=now_us() + 3600 * 10**6))
    assert "" == code(lasting.list_objects_v2, Bucket=bucket)


async def test_the_bounds_of_a_key_outlive_a_restart_without_postgres(database: str, tmp_path: Path) -> None:
    vault, snapshot = Vault.open(tmp_path / "secret.key", create=True), tmp_path / "directory.json"
    scope = KeyScope(read_only=True, buckets=frozenset(("abc",)), expires_us=2**50)
    connection = await connect(database)
    found = await add_member(
        connection, name="dora", member_class=MemberClass.USER, email="", now_us=now_us()
    )
    bound, _ = await create_key(connection, found.id, vault=vault, now_us=now_us(), scope=scope)
    free, _ = await create_key(connection, found.id, vault=vault, now_us=now_us())
    await connection.close()
    for dsn in (database, "postgresql://weir@127.0.0.1:1/none"):
        directory = PostgresDirectory(dsn, snapshot=snapshot, vault=vault, poll_s=3600, timeout_s=1)
        await directory.start()
        try:
            known = [directory.known_key(one) for one in (bound, free)]
            assert [scope, None] == [one.scope for one in known if one is not None]
            assert None not in known
        finally:
            await directory.close()


def test_a_suspended_owner_s_bucket_serves_nobody(s3_gateway: RunningGateway, bens: Any) -> None:
    gone = s3_gateway.member("access-gone")
    theirs = client(s3_gateway, gone)
    theirs.create_bucket(Bucket="access-suspended", ACL="public-read")
    theirs.put_object(Bucket="access-suspended", Key="k", Body=b"x", ACL="public-read")
    assert 200 == get(s3_gateway, "access-suspended", "k").status
    s3_gateway.execute(f"UPDATE meter.member SET status = 'suspended' WHERE id = {gone.member}")
    # A document of any bucket makes every worker read the directory again, each in its time.
    bens.create_bucket(Bucket=f"access-news-{next(_numbers)}")
    assert eventually(lambda: get(s3_gateway, "access-suspended", "k").code == "AllAccessDisabled")
    assert eventually(
        lambda: code(bens.get_object, Bucket="access-suspended", Key="k") == "AllAccessDisabled"
    )
    assert eventually(lambda: code(theirs.get_object, Bucket="access-suspended", Key="k") == "AccountProblem")
