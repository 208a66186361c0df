"""The LifecycleConfiguration document: S3's checks, and that what is told back is what was meant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from gateway.errors import S3Error
from gateway.lifecycle_document import document_of, parse_lifecycle, parse_minimum_size, rules_of, write

MODEL = botocore.session.get_session().get_service_model("s3")
DAYS = "<Expiration><Days>1</Days></Expiration>"
ALL = "<Filter><Prefix></Prefix></Filter>"


def sent(rules: list[dict[str, Any]]) -> bytes:
    """The document as botocore writes it."""
    operation = MODEL.operation_model("PutBucketLifecycleConfiguration")
    asked = {"Bucket": "b", "LifecycleConfiguration": {"Rules": rules}}
    body: bytes = create_serializer("rest-xml").serialize_to_request(asked, operation)["body"]
    return body


def told(document: str) -> list[dict[str, Any]]:
    """The document as botocore reads it."""
    shape = MODEL.operation_model("GetBucketLifecycleConfiguration").output_shape
    response = {"status_code": 200, "headers": {}, "body": document.encode()}
    rules: list[dict[str, Any]] = create_parser("rest-xml").parse(response, shape)["Rules"]
    return rules


EVERY_KIND: list[dict[str, Any]] = [
    {"ID": "all <&>", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}},
    {"ID": "old", "Status": "Disabled", "Prefix": "logs/", "Expiration": {"Days": 1}},
    {
        "ID": "date", "Status": "Enabled", "Filter": {"Tag": {"Key": "k", "Value": ""}},
        "Expiration": {"Date": datetime(2030, 2, 28, tzinfo=UTC)},
    },
    {
        "ID": "and", "Status": "Enabled",
        "Filter": {
            "And": {
                "Prefix": "a/", "Tags": [{"Key": "x", "Value": "1"}, {"Key": "y", "Value": "2"}],
                "ObjectSizeGreaterThan": 0, "ObjectSizeLessThan": 2**40,
            }
        },
        "NoncurrentVersionExpiration": {"NoncurrentDays": 3, "NewerNoncurrentVersions": 2},
    },
    {
        "ID": "markers", "Status": "Enabled", "Filter": {"Prefix": "ü"},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    },
    {"ID": "big", "Status": "Enabled", "Filter": {"ObjectSizeGreaterThan": 5}, "Expiration": {"Days": 2**31 - 1}},
]  # fmt: skip


def test_what_a_client_sends_is_what_it_is_told() -> None:
    rules = parse_lifecycle(sent(EVERY_KIND))
    kept = write(rules, "varies_by_storage_class")
    minimum_size, document = document_of(kept)
    assert "varies_by_storage_class" == minimum_size
    assert EVERY_KIND == told(document)
    assert rules == rules_of(kept)


def test_a_rule_without_a_name_gets_the_same_one_each_time() -> None:
    body = f"<LifecycleConfiguration>{2 * f'<Rule>{ALL}<Status>Enabled</Status>{DAYS}</Rule>'}</LifecycleConfiguration>"
    first, second = (rule.rule_id for rule in parse_lifecycle(body.encode()))
    assert first != second
    assert [first, second] == [rule.rule_id for rule in parse_lifecycle(body.encode())]


def rule(inner: str, *, status: str = "Enabled") -> str:
    return f"<Rule>{inner}<Status>{status}</Status></Rule>"


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ("", "MalformedXML"),
        (1001 * rule(ALL + DAYS), "MalformedXML"),
        ("<Other/>", "MalformedXML"),
        (rule(ALL + DAYS, status="enabled"), "MalformedXML"),
        (rule(ALL + DAYS + "<Colour>red</Colour>"), "MalformedXML"),
        (rule(DAYS), "MalformedXML"),
        (rule(ALL + "<Prefix>a</Prefix>" + DAYS), "InvalidRequest"),
        (rule("<Filter><Prefix>a</Prefix><ObjectSizeLessThan>1</ObjectSizeLessThan></Filter>" + DAYS), "MalformedXML"),
        (rule("<Filter><And><Prefix>a</Prefix></And></Filter>" + DAYS), "MalformedXML"),
        (rule("<Filter><Tag><Key>a</Key></Tag></Filter>" + DAYS), "MalformedXML"),
        (rule("<Filter><Colour>a</Colour></Filter>" + DAYS), "MalformedXML"),
        (rule(f"<Filter><And>{2 * '<Tag><Key>a</Key><Value>b</Value></Tag>'}</And></Filter>" + DAYS), "InvalidRequest"),
        (rule(f"<Filter><Prefix>{'ü' * 513}</Prefix></Filter>" + DAYS), "InvalidRequest"),
        (rule("<Filter><ObjectSizeLessThan>0</ObjectSizeLessThan></Filter>" + DAYS), "InvalidRequest"),
        (rule("<Filter><ObjectSizeLessThan>1.5</ObjectSizeLessThan></Filter>" + DAYS), "MalformedXML"),
        (
            rule(
                "<Filter><And><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan>"
                "<ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>" + DAYS
            ),
            "InvalidRequest",
        ),
        (rule(ALL), "InvalidRequest"),
        (rule(ALL + "<Expiration/>"), "MalformedXML"),
        (rule(ALL + DAYS + DAYS), "MalformedXML"),
        (rule(ALL + "<Expiration><Days>1</Days><Date>2030-01-01</Date></Expiration>"), "MalformedXML"),
        (rule(ALL + "<Expiration><Days>0</Days></Expiration>"), "InvalidArgument"),
        (rule(ALL + "<Expiration><Days>-1</Days></Expiration>"), "InvalidArgument"),
        (rule(ALL + "<Expiration><Days>x</Days></Expiration>"), "MalformedXML"),
        (rule(ALL + "<Expiration><Days>2147483648</Days></Expiration>"), "MalformedXML"),
        (rule(ALL + "<Expiration><Date>2030-01-01T00:00:01Z</Date></Expiration>"), "InvalidArgument"),
        (rule(ALL + "<Expiration><Date>2030-01-01T00:00:00+01:00</Date></Expiration>"), "InvalidArgument"),
        (rule(ALL + "<Expiration><Date>0999-01-01T00:00:00Z</Date></Expiration>"), "InvalidArgument"),
        (rule(ALL + "<Expiration><Date>soon</Date></Expiration>"), "MalformedXML"),
        (
            rule(
                "<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter>"
                "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
            ),
            "InvalidRequest",
        ),
        (rule(ALL + "<NoncurrentVersionExpiration/>"), "MalformedXML"),
        (
            rule(
                ALL + "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>"
                "<NewerNoncurrentVersions>101</NewerNoncurrentVersions></NoncurrentVersionExpiration>"
            ),
            "InvalidArgument",
        ),
        (
            rule(
                "<Filter><ObjectSizeLessThan>1</ObjectSizeLessThan></Filter><AbortIncompleteMultipartUpload>"
                "<DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
            ),
            "InvalidRequest",
        ),
        (rule(ALL + "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"), "NotImplemented"),
        (rule(ALL + DAYS + "<NoncurrentVersionTransition/>"), "NotImplemented"),
        (rule(f"<ID>{'x' * 256}</ID>" + ALL + DAYS), "InvalidArgument"),
        (2 * rule("<ID>a</ID>" + ALL + DAYS), "InvalidArgument"),
    ],
)  # fmt: skip
def test_what_s3_refuses_is_refused(rules: str, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_lifecycle(f"<LifecycleConfiguration>{rules}</LifecycleConfiguration>".encode())
    assert code == caught.value.code


def test_a_thousand_rules_are_allowed() -> None:
    rules = "".join(rule(f"<ID>{number}</ID>" + ALL + DAYS) for number in range(1000))
    assert 1000 == len(parse_lifecycle(f"<LifecycleConfiguration>{rules}</LifecycleConfiguration>".encode()))


def test_the_minimum_size_is_one_of_two() -> None:
    assert "all_storage_classes_128K" == parse_minimum_size(None)
    assert "varies_by_storage_class" == parse_minimum_size("varies_by_storage_class")
    with pytest.raises(S3Error, match="InvalidArgument"):
        parse_minimum_size("none")
