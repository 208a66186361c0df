"""Bucket policies: the examples of S3's own guide, each operator, what is public, and what is refused as malformed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.access import Decision, decide
from gateway.call import Bucket, Caller, Origin, Subject
from gateway.errors import S3Error
from gateway.operation import Operation
from gateway.policy.conditions import BadCondition, parse_condition
from gateway.policy.document import POLICY_BYTES_MAX, canonical_policy, parse_policy
from gateway.policy.facts import Asked
from meter.ids import BucketId, MemberId
from meter.proxies import client_address, is_proxy

NOW_US = 1_700_000_000_000_000
"""2023-11-14T22:13:20Z."""
ANNA, BERT = Caller(MemberId(1), "anna", "KEY1"), Caller(MemberId(2), "bert", "KEY2")
GET, PUT, LIST = Operation.GET_OBJECT, Operation.PUT_OBJECT, Operation.LIST_OBJECTS_V2


def ask(
    *statements: dict[str, Any], operation: Operation = GET, caller: Caller | None = None, key: str = "k",
    query: dict[str, str] | None = None, headers: dict[str, str] | None = None, peer: str = "192.0.2.7",
    proxies: str = "", version: str = "2012-10-17",
) -> bool:  # fmt: skip
    """Whether a bucket of anna's with these statements lets the request in."""
    text = canonical_policy(
        json.dumps({"Version": version, "Statement": list(statements)}).encode(), bucket="amzn-s3-demo-bucket"
    )
    bucket = Bucket(BucketId(1), "amzn-s3-demo-bucket", ANNA.member, 0, documents={Subject.POLICY: text})
    at_key = "" if operation is LIST else key
    origin = Origin(
        peer, "" if caller is None else "REST-HEADER", None if caller is None else NOW_US - 5_000_000
    )
    question = Asked(
        operation, bucket.name, at_key, query or {}, headers or {}, caller, origin, NOW_US, proxies
    )
    return decide(question, bucket) is Decision.ALLOW


def statement(effect: str, action: Any, *paths: str, principal: Any = "*", **more: Any) -> dict[str, Any]:
    places = [f"arn:aws:s3:::amzn-s3-demo-bucket{path}" for path in paths or ("/*",)]
    return {"Effect": effect, "Principal": principal, "Action": action, "Resource": places, **more}


ALL_GET = statement("Allow", "s3:GetObject")


def test_public_read() -> None:
    """Guide: Granting read-only permission to an anonymous user."""
    one = statement("Allow", ["s3:GetObject", "s3:GetObjectVersion"], Sid="PublicRead")
    assert ask(one)
    assert ask(one, caller=BERT)
    assert ask(one, query={"versionId": "v"})
    assert not ask(one, operation=PUT)
    assert not ask(one, operation=LIST)


def test_restricting_access_to_addresses() -> None:
    """Guide: Managing access based on specific IP addresses."""
    one = statement(
        "Deny", "s3:*", "", "/*", Sid="IPAllow",
        Condition={"NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24", "2001:DB8:1234:5678::/64"]}},
    )  # fmt: skip
    assert ask(one, ALL_GET)
    assert ask(one, ALL_GET, peer="2001:db8:1234:5678::1")
    assert ask(one, ALL_GET, peer="::ffff:192.0.2.9")
    assert not ask(one, ALL_GET, peer="198.51.100.1")
    # A denial binds the owner as well.
    assert ask(one, caller=ANNA)
    assert not ask(one, caller=ANNA, peer="198.51.100.1")


def test_restricting_access_to_a_referer() -> None:
    """Guide: Managing access based on HTTP or HTTPS requests, a specific HTTP referer."""
    sites = ["http://www.example.com/*", "http://example.com/*"]
    one = statement("Allow", "s3:GetObject", Condition={"StringLike": {"aws:Referer": sites}})
    assert ask(one, headers={"referer": "http://www.example.com/page"})
    assert not ask(one, headers={"referer": "http://www.example.org/page"})
    assert not ask(one)
    other = statement("Deny", "s3:GetObject", Condition={"StringNotLike": {"aws:Referer": sites}})
    assert ask(ALL_GET, other, headers={"referer": "http://example.com/"})
    assert not ask(ALL_GET, other)


def test_denying_what_is_not_https() -> None:
    """Guide: Restricting access to only HTTPS requests."""
    one = statement("Deny", "s3:*", "", "/*", Condition={"Bool": {"aws:SecureTransport": "false"}})
    by_proxy = {"headers": {"x-forwarded-proto": "https"}, "proxies": "192.0.2.7/32"}
    assert ask(one, ALL_GET, **by_proxy)  # type: ignore[arg-type]
    assert not ask(one, ALL_GET)
    assert not ask(one, ALL_GET, headers={"x-forwarded-proto": "https"})


def test_a_folder_for_each_member() -> None:
    """Guide: Managing user access to specific folders."""
    listing = statement(
        "Allow", "s3:ListBucket", "", principal={"AWS": ["000000000002"]},
        Condition={"StringLike": {"s3:prefix": ["", "home/", "home/${aws:username}/*"]}},
    )  # fmt: skip
    own = statement(
        "Allow",
        ["s3:GetObject", "s3:PutObject"],
        "/home/${aws:username}/*",
        principal={"AWS": "000000000002"},
    )
    both = (listing, own)
    assert ask(*both, operation=PUT, caller=BERT, key="home/bert/a")
    assert not ask(*both, operation=PUT, caller=BERT, key="home/carl/a")
    assert not ask(*both, operation=PUT, caller=None, key="home/bert/a")
    star = BERT._replace(member_name="*")
    assert not ask(*both, operation=PUT, caller=star, key="home/bert/a")
    for prefix, expected in (("", True), ("home/bert/x", True), ("home/carl/", False)):
        assert expected == ask(*both, operation=LIST, caller=BERT, query={"prefix": prefix})
    # Policies of 2008 have no variables: there it is a folder of that very name.
    assert not ask(own, operation=PUT, caller=BERT, key="home/bert/a", version="2008-10-17")
    assert ask(own, operation=PUT, caller=BERT, key="home/${aws:username}/a", version="2008-10-17")


def test_another_account_puts_with_full_control_for_the_owner() -> None:
    """Guide: Granting cross-account permissions to upload objects while ensuring that the bucket owner has full control."""
    one = statement(
        "Allow", "s3:PutObject", principal={"AWS": "arn:aws:iam::000000000002:root"},
        Condition={"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}},
    )  # fmt: skip
    assert ask(one, operation=PUT, caller=BERT, headers={"x-amz-acl": "bucket-owner-full-control"})
    assert not ask(one, operation=PUT, caller=BERT, headers={"x-amz-acl": "public-read"})
    assert not ask(one, operation=PUT, caller=BERT)


@pytest.mark.parametrize(
    ("principal", "named"),
    [("*", {"anna", "bert", ""}), ({"AWS": "*"}, {"anna", "bert", ""}), ({"AWS": ["000000000002"]}, {"bert"}),
     ({"AWS": "arn:aws:iam::000000000002:root"}, {"bert"}), ({"AWS": "arn:aws:iam:::user/bert"}, {"bert"}),
     ({"AWS": "arn:aws:iam::000000000002:user/bert"}, {"bert"}), ({"AWS": "arn:aws:iam::000000000003:user/bert"}, set()),
     ({"CanonicalUser": "000000000002"}, {"bert"}), ({"AWS": ["000000000009", "000000000002"]}, {"bert"})],
)  # fmt: skip
def test_whom_a_principal_names(principal: Any, named: set[str]) -> None:
    one = parse_policy(
        json.dumps({"Statement": statement("Deny", "s3:*", principal=principal)}), "amzn-s3-demo-bucket"
    )
    callers = {"anna": ANNA, "bert": BERT, "": None}
    found = {
        name for name, caller in callers.items()
        if not ask(ALL_GET, statement("Deny", "s3:GetObject", principal=principal), caller=caller)
    }  # fmt: skip
    assert (named, 1) == (found, len(one.statements))


def test_all_but_those_named() -> None:
    but_bert: dict[str, Any] = statement("Deny", "s3:*", NotPrincipal={"AWS": "000000000002"})
    del but_bert["Principal"]
    assert ask(ALL_GET, but_bert, caller=BERT)
    assert not ask(ALL_GET, but_bert)
    but_get: dict[str, Any] = statement("Allow", "x") | {"NotAction": "s3:Get*"}
    del but_get["Action"]
    assert ask(but_get, operation=PUT)
    assert not ask(but_get)
    but_secret: dict[str, Any] = statement("Allow", "s3:GetObject") | {
        "NotResource": "arn:aws:s3:::amzn-s3-demo-bucket/secret/*"
    }
    del but_secret["Resource"]
    assert ask(but_secret, key="open")
    assert not ask(but_secret, key="secret/k")


def test_actions_are_compared_without_case_and_resources_with_it() -> None:
    assert ask(statement("Allow", "S3:getobject"))
    assert ask(statement("Allow", "s3:G?tO*"))
    assert not ask(statement("Allow", "s3:GetObject", "/K"), key="k")
    assert not ask(statement("Allow", "s3:GetObject", "/a/*"), key="a")


@pytest.mark.parametrize(
    ("operator", "key", "values", "facts", "expected"),
    [
        ("StringEquals", "s3:prefix", ["a", "b"], ["b"], True), ("StringEquals", "s3:prefix", ["a*"], ["ab"], False),
        ("StringEquals", "s3:prefix", ["a"], None, False), ("StringEqualsIfExists", "s3:prefix", ["a"], None, True),
        ("StringEqualsIfExists", "s3:prefix", ["a"], ["b"], False),
        ("StringNotEquals", "s3:prefix", ["a", "b"], ["c"], True), ("StringNotEquals", "s3:prefix", ["a", "b"], ["b"], False),
        ("StringNotEquals", "s3:prefix", ["a"], None, True), ("StringEqualsIgnoreCase", "s3:prefix", ["AbC"], ["aBc"], True),
        ("StringNotEqualsIgnoreCase", "s3:prefix", ["AbC"], ["aBc"], False),
        ("StringLike", "s3:prefix", ["a?c*"], ["abcd"], True), ("StringNotLike", "s3:prefix", ["a*"], ["b"], True),
        ("NumericEquals", "s3:max-keys", ["10"], ["10"], True), ("NumericLessThan", "s3:max-keys", ["10"], ["9"], True),
        ("NumericLessThanEquals", "s3:max-keys", ["10"], ["10"], True), ("NumericLessThan", "s3:max-keys", ["10"], ["many"], False),
        ("NumericGreaterThan", "s3:max-keys", ["9.5"], ["10"], True), ("NumericNotEquals", "s3:max-keys", ["10"], ["10"], False),
        ("NumericGreaterThanEquals", "s3:max-keys", ["10"], ["9"], False),
        ("DateGreaterThan", "aws:CurrentTime", ["2023-11-14T00:00:00Z"], ["2023-11-14T22:13:20.000Z"], True),
        ("DateLessThan", "aws:CurrentTime", ["2023-11-14T00:00:00Z"], ["2023-11-14T22:13:20.000Z"], False),
        ("DateGreaterThanEquals", "aws:EpochTime", ["2023-11-14T22:13:20Z"], ["1700000000"], True),
        ("DateNotEquals", "aws:EpochTime", ["1700000000"], ["1700000000"], False),
        ("Bool", "aws:SecureTransport", ["true"], ["true"], True), ("Bool", "aws:SecureTransport", ["true"], ["false"], False),
        ("IpAddress", "aws:SourceIp", ["10.0.0.0/8"], ["10.1.2.3"], True), ("IpAddress", "aws:SourceIp", ["::1"], ["::1"], True),
        ("NotIpAddress", "aws:SourceIp", ["10.0.0.0/8"], ["10.1.2.3"], False), ("NotIpAddress", "aws:SourceIp", ["10.0.0.0/8"], None, True),
        ("ArnLike", "aws:PrincipalArn", ["arn:aws:iam::*:user/b*"], ["arn:aws:iam::000000000002:user/bert"], True),
        ("ArnEquals", "aws:PrincipalArn", ["arn:*:bert"], ["arn:aws:iam::000000000002:user/bert"], None),
        ("ArnNotLike", "aws:PrincipalArn", ["arn:aws:iam::*:user/b*"], ["arn:aws:iam::000000000002:user/bert"], False),
        ("Null", "aws:username", ["true"], None, True), ("Null", "aws:username", ["true"], ["bert"], False),
        ("Null", "aws:username", ["false"], ["bert"], True),
        ("ForAllValues:StringEquals", "s3:RequestObjectTagKeys", ["a", "b"], ["a", "b"], True),
        ("ForAllValues:StringEquals", "s3:RequestObjectTagKeys", ["a", "b"], ["a", "c"], False),
        ("ForAllValues:StringEquals", "s3:RequestObjectTagKeys", ["a"], None, True),
        ("ForAnyValue:StringEquals", "s3:RequestObjectTagKeys", ["a"], ["a", "c"], True),
        ("ForAnyValue:StringEquals", "s3:RequestObjectTagKeys", ["a"], None, False),
        ("ForAnyValue:StringNotEquals", "s3:RequestObjectTagKeys", ["a"], ["a", "c"], True),
    ],
)  # fmt: skip
def test_operators(
    operator: str, key: str, values: list[str], facts: list[str] | None, expected: bool | None
) -> None:
    if expected is None:
        with pytest.raises(BadCondition):
            parse_condition(operator, key, tuple(values), with_variables=True)
        return
    condition = parse_condition(operator, key, tuple(values), with_variables=True)
    assert expected == condition.holds({key.lower(): None if facts is None else tuple(facts)}.get)


@pytest.mark.parametrize(
    ("condition", "more"),
    [
        ({"StringEquals": {"s3:VersionId": "v1"}}, {"query": {"versionId": "v1"}}),
        ({"StringEquals": {"s3:authType": "REST-HEADER"}}, {"caller": BERT}),
        ({"StringEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}}, {"caller": BERT}),
        ({"NumericLessThan": {"s3:signatureAge": 6000}}, {"caller": BERT}),
        ({"StringLike": {"aws:UserAgent": "curl/*"}}, {"headers": {"user-agent": "curl/8"}}),
        ({"DateLessThan": {"aws:CurrentTime": "2023-11-15"}}, {}),
        ({"NumericGreaterThan": {"aws:EpochTime": 1699999999}}, {}),
        ({"StringEquals": {"aws:PrincipalArn": "arn:aws:iam::000000000002:user/bert"}}, {"caller": BERT}),
        ({"StringEquals": {"aws:PrincipalAccount": "000000000002", "aws:userid": "000000000002"}}, {"caller": BERT}),
        ({"StringEquals": {"aws:PrincipalType": "Anonymous"}}, {}),
        ({"StringEquals": {"s3:x-amz-content-sha256": "UNSIGNED-PAYLOAD"}}, {"headers": {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}}),
    ],
)  # fmt: skip
def test_facts_of_a_request(condition: dict[str, Any], more: dict[str, Any]) -> None:
    actions = ["s3:GetObject", "s3:GetObjectVersion"]
    assert ask(statement("Allow", actions, Condition=condition), **more)
    assert ask(ALL_GET, caller=BERT)
    denied = statement("Deny", actions, Condition=condition)
    assert not ask(statement("Allow", actions), denied, **more)
    everything_else = {"peer": "192.0.2.7", "query": {"versionId": "v2"}}
    if "query" in more:
        assert ask(statement("Allow", actions), denied, **everything_else)  # type: ignore[arg-type]


def test_tags_a_request_brings() -> None:
    tagged = statement(
        "Allow", ["s3:PutObject", "s3:PutObjectTagging"],
        Condition={"StringEquals": {"s3:RequestObjectTag/team": "red"},
                   "ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["team", "stage"]}},
    )  # fmt: skip
    for sent, expected in (("team=red", True), ("team=red&stage=a%20b", True), ("team=blue", False), ("team=red&x=1", False), ("", False)):  # fmt: skip
        assert expected == ask(tagged, operation=PUT, headers={"x-amz-tagging": sent})


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (ALL_GET, True), (statement("Allow", "s3:GetObject", principal={"AWS": "*"}), True),
        (statement("Deny", "s3:*"), False), (statement("Allow", "s3:GetObject", principal={"AWS": "000000000002"}), False),
        (statement("Allow", "s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}), False),
        (statement("Allow", "s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "0.0.0.0/1"]}}), True),
        (statement("Allow", "s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/7"}}), True),
        (statement("Allow", "s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": "2001::/16"}}), True),
        (statement("Allow", "s3:GetObject", Condition={"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}}), True),
        (statement("Allow", "s3:GetObject", Condition={"StringLike": {"aws:Referer": "https://example.com/"}}), True),
        (statement("Allow", "s3:GetObject", Condition={"StringEquals": {"aws:userid": "000000000002"}}), False),
        (statement("Allow", "s3:GetObject", Condition={"StringLike": {"aws:userid": "0*"}}), True),
        (statement("Allow", "s3:GetObject", Condition={"StringEqualsIfExists": {"aws:userid": "000000000002"}}), True),
    ],
)  # fmt: skip
def test_what_is_public(one: dict[str, Any], expected: bool) -> None:
    """Guide: The meaning of "public"."""
    assert expected == parse_policy(json.dumps({"Statement": one}), "amzn-s3-demo-bucket").is_public


MALFORMED: list[tuple[Any, str]] = [
    ("", "Policies must be valid JSON and the first byte must be '{'"), ("[]", "must be valid JSON"),
    (" {}", "must be valid JSON"), ('{"a": NaN}', "must be valid JSON"), ("{" * 13, "nested"),
    ('{"Statement": [], "Statement": []}', "twice"), ({}, "Missing required field Statement"),
    ({"Statement": []}, "Invalid policy syntax"), ({"Statement": ["x"]}, "Invalid policy syntax"),
    ({"Version": "2020-01-01", "Statement": [ALL_GET]}, "valid version string"),
    ({"Statement": [ALL_GET], "Extra": 1}, "Unknown field Extra"),
    ({"Statement": [ALL_GET | {"Extra": 1}]}, "Unknown field Extra"),
    ({"Statement": [ALL_GET | {"Effect": "allow"}]}, "Invalid effect: allow"),
    ({"Statement": [{key: value for key, value in ALL_GET.items() if key != "Effect"}]}, "Missing required field Effect"),
    ({"Statement": [{key: value for key, value in ALL_GET.items() if key != "Principal"}]}, "Missing required field Principal"),
    ({"Statement": [{key: value for key, value in ALL_GET.items() if key != "Action"}]}, "Missing required field Action"),
    ({"Statement": [{key: value for key, value in ALL_GET.items() if key != "Resource"}]}, "Missing required field Resource"),
    ({"Statement": [ALL_GET | {"NotAction": "s3:*"}]}, "Invalid policy syntax"),
    ({"Statement": [ALL_GET | {"Sid": "a"}, ALL_GET | {"Sid": "a"}]}, "unique"),
    *(({"Statement": [ALL_GET | {"Principal": one}]}, "Invalid principal")
      for one in ("anna", {}, {"AWS": "anna"}, {"AWS": []}, {"Service": "s3.amazonaws.com"}, {"AWS": "arn:aws:iam::*:root"},
                  {"CanonicalUser": "*"}, {"AWS": "arn:aws:iam:::user/*"}, 7)),
    *(({"Statement": [ALL_GET | {"Action": one}]}, "invalid action")
      for one in ("GetObject", "ec2:*", "s3:Fly", [], "", ["s3:GetObject", 1], "s3:" + "a" * 3000)),
    ({"Statement": [statement("Allow", "s3:GetObject", "/" + "a*" * 501)]}, "more than 500 wildcards"),
    *(({"Statement": [ALL_GET | {"Resource": one}]}, "invalid resource")
      for one in ("arn:aws:s3:::other/*", "amzn-s3-demo-bucket/*", "arn:aws:s3:::*", "arn:aws:s3:::amzn-s3-demo-buckets/*", [],
                  "arn:aws:s3:::amzn-s3-demo-bucket/${aws:nothing}")),
    ({"Statement": [ALL_GET | {"Resource": "arn:aws:s3:::amzn-s3-demo-bucket"}]}, "does not apply to any resource"),
    ({"Statement": [ALL_GET | {"Action": "s3:ListBucket"}]}, "does not apply to any resource"),
    *(({"Statement": [ALL_GET | {"Condition": one}]}, sentence) for one, sentence in (
        ([], "Invalid policy syntax"), ({"StringEquals": 1}, "Invalid policy syntax"),
        ({"StringSounds": {"s3:prefix": "a"}}, "Invalid Condition type : StringSounds"),
        ({"NullIfExists": {"s3:prefix": "true"}}, "Invalid Condition type"),
        ({"StringEquals": {"aws:Weather": "sun"}}, "invalid condition key"),
        ({"StringEquals": {"s3:ExistingObjectTag/": "sun"}}, "invalid condition key"),
        ({"StringEquals": {"s3:prefix": "${aws:nothing}"}}, "invalid condition key"),
        ({"StringEquals": {"s3:prefix": []}}, "Invalid policy syntax"), ({"StringEquals": {"s3:prefix": {}}}, "Invalid policy syntax"),
        ({"IpAddress": {"aws:SourceIp": "everywhere"}}, "Invalid value"), ({"NumericEquals": {"s3:max-keys": "ten"}}, "Invalid value"),
        ({"DateLessThan": {"aws:CurrentTime": "soon"}}, "Invalid value"), ({"Bool": {"aws:SecureTransport": "yes"}}, "Invalid value"),
    )),
]  # fmt: skip


@pytest.mark.parametrize(("document", "sentence"), MALFORMED, ids=lambda one: str(one)[:70])
def test_what_is_not_understood_is_refused(document: Any, sentence: str) -> None:
    text = document if isinstance(document, str) else json.dumps({"Version": "2012-10-17"} | document)
    with pytest.raises(S3Error, match="MalformedPolicy") as error:
        canonical_policy(text.encode(), bucket="amzn-s3-demo-bucket")
    assert sentence in error.value.message


def test_depth_alone_is_refused_before_it_is_read() -> None:
    for body in (b"{" + b'"a":[' * 10_000, b"\xff{}", b'{"Id":"' + b"\\" * 9_999):
        assert len(body) < 3 * POLICY_BYTES_MAX
        with pytest.raises(S3Error, match="MalformedPolicy"):
            canonical_policy(body, bucket="amzn-s3-demo-bucket")


def test_what_is_kept_means_what_was_sent() -> None:
    sent = {"Version": "2012-10-17", "Id": "ü\u0000\ud800", "Statement": ALL_GET}
    kept = canonical_policy(json.dumps(sent, indent=4).encode(), bucket="amzn-s3-demo-bucket")
    assert sent == json.loads(kept)
    assert kept.isascii()
    assert "\x00" not in kept


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "expected"),
    [
        ("192.0.2.1", "198.51.100.1", "", "192.0.2.1"), ("192.0.2.1", "198.51.100.1", "203.0.113.0/24", "192.0.2.1"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.0/24", "198.51.100.1"),
        # What the client wrote itself stands to the left of what the proxy saw.
        ("203.0.113.9", "10.0.0.1, 198.51.100.1", "203.0.113.0/24", "198.51.100.1"),
        ("203.0.113.9", "10.0.0.1, 198.51.100.1, 203.0.113.7", "203.0.113.0/24", "198.51.100.1"),
        ("203.0.113.9", "", "203.0.113.0/24", "203.0.113.9"), ("203.0.113.9", "198.51.100.1, nonsense", "203.0.113.0/24", "203.0.113.9"),
        ("::ffff:203.0.113.9", "2001:DB8::1", "203.0.113.0/24", "2001:db8::1"), ("", "198.51.100.1", "203.0.113.0/24", ""),
        ("::1", "198.51.100.1", "::1/128, 203.0.113.0/24", "198.51.100.1"),
    ],
)  # fmt: skip
def test_where_a_request_came_from(peer: str, forwarded: str, proxies: str, expected: str) -> None:
    assert expected == client_address(peer, forwarded, proxies)


def test_nobody_is_a_proxy_unasked() -> None:
    assert not is_proxy("127.0.0.1", "")
