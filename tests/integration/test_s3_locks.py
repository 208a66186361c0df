"""Object lock through boto3: what is kept stays, for as long as was said, and who may bypass may."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from gateway.storage.abilities import DISK
from tests.gateway import Credentials, RunningGateway
from tests.integration.s3_kit import ask, sign

pytestmark = [pytest.mark.every_engine(without=("rclone",)), pytest.mark.needs("object_lock", "versioning")]

_names = count(1)
UNTIL = datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = UNTIL + timedelta(days=1)


def code_of(operation: Any, **how: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as error:
        operation(**how)
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def retention(mode: str, until: datetime = UNTIL) -> dict[str, Any]:
    return {"Mode": mode, "RetainUntilDate": until}


@pytest.fixture
def locking(s3: Any) -> Iterator[str]:
    """A bucket with object lock."""
    name = f"locking-{next(_names)}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def test_a_bucket_made_with_locks_has_versions_for_good(s3: Any, locking: str) -> None:
    told = s3.get_object_lock_configuration(Bucket=locking)["ObjectLockConfiguration"]
    assert {"ObjectLockEnabled": "Enabled"} == told
    assert "Enabled" == s3.get_bucket_versioning(Bucket=locking)["Status"]
    suspend = {"Bucket": locking, "VersioningConfiguration": {"Status": "Suspended"}}
    assert (409, "InvalidBucketState") == code_of(s3.put_bucket_versioning, **suspend)


def test_a_bucket_without_locks_says_so_everywhere(s3: Any, bucket: str, engine: str) -> None:
    where = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**where, Body=b"x")
    missing = (404, "ObjectLockConfigurationNotFoundError")
    assert missing == code_of(s3.get_object_lock_configuration, Bucket=bucket)
    without = (400, "InvalidRequest")
    assert without == code_of(s3.put_object_retention, **where, Retention=retention("GOVERNANCE"))
    assert without == code_of(s3.get_object_retention, **where)
    assert without == code_of(s3.put_object_legal_hold, **where, LegalHold={"Status": "ON"})
    assert without == code_of(s3.get_object_legal_hold, **where)
    assert without == code_of(s3.put_object, **where, Body=b"y", ObjectLockLegalHoldStatus="ON")
    assert without == code_of(s3.create_multipart_upload, **where, ObjectLockLegalHoldStatus="ON")
    if engine != DISK:
        return  # there a bucket has object lock from its creation on
    configuration = {"ObjectLockEnabled": "Enabled"}
    assert (409, "InvalidBucketState") == code_of(
        s3.put_object_lock_configuration, Bucket=bucket, ObjectLockConfiguration=configuration
    )
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration)
    told = s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
    assert configuration == told


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("<Mode>GOVERNANCE</Mode><Days>0</Days>", "InvalidRetentionPeriod"),
        ("<Mode>GOVERNANCE</Mode><Years>-1</Years>", "InvalidRetentionPeriod"),
        ("<Mode>GOVERNANCE</Mode><Days>36501</Days>", "InvalidArgument"),
        ("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>", "MalformedXML"),
        ("<Mode>GOVERNANCE</Mode>", "MalformedXML"),
        ("<Mode>governance</Mode><Days>1</Days>", "MalformedXML"),
        ("<Days>1</Days>", "MalformedXML"),
        ("<Mode>GOVERNANCE</Mode><Days>1.5</Days>", "MalformedXML"),
    ],
)
def test_a_default_that_cannot_be_is_refused(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, locking: str, rule: str, code: str
) -> None:
    inner = f"<Rule><DefaultRetention>{rule}</DefaultRetention></Rule>"
    body = f"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{inner}</ObjectLockConfiguration>"
    asked = sign(s3_gateway, anna, "PUT", f"/{locking}?object-lock")
    assert code == ask(s3_gateway, asked.whole(body.encode())).code
    assert "Rule" not in s3.get_object_lock_configuration(Bucket=locking)["ObjectLockConfiguration"]


@pytest.mark.needs("default_retention")
def test_a_new_object_gets_the_bucket_s_default(s3: Any, locking: str) -> None:
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 3}}
    s3.put_object_lock_configuration(
        Bucket=locking, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    told = s3.get_object_lock_configuration(Bucket=locking)["ObjectLockConfiguration"]
    assert rule == told["Rule"]
    s3.put_object(Bucket=locking, Key="k", Body=b"x")
    head = s3.head_object(Bucket=locking, Key="k")
    assert "COMPLIANCE" == head["ObjectLockMode"]
    kept = head["ObjectLockRetainUntilDate"] - head["LastModified"]
    assert timedelta(days=3) <= kept < timedelta(days=3, seconds=2)


def test_governance_stops_a_delete_until_it_is_bypassed(s3: Any, locking: str) -> None:
    where = {"Bucket": locking, "Key": "k"}
    version_id = s3.put_object(
        **where, Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=UNTIL
    )["VersionId"]
    head = s3.head_object(**where)
    assert ("GOVERNANCE", UNTIL) == (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"])
    assert retention("GOVERNANCE") == s3.get_object_retention(**where)["Retention"]
    named = where | {"VersionId": version_id}
    assert (403, "AccessDenied") == code_of(s3.delete_object, **named)
    many = {"Objects": [{"Key": "k", "VersionId": version_id}]}
    (error,) = s3.delete_objects(Bucket=locking, Delete=many)["Errors"]
    assert ("k", version_id, "AccessDenied") == (error["Key"], error["VersionId"], error["Code"])
    assert b"x" == s3.get_object(**named)["Body"].read()
    marker = s3.delete_object(**where)
    assert marker["DeleteMarker"] is True  # hiding takes nothing away
    s3.delete_object(**where, VersionId=marker["VersionId"])
    s3.delete_object(**named, BypassGovernanceRetention=True)
    assert (404, "NoSuchVersion") == code_of(s3.get_object, **named)


@pytest.mark.needs("cleared_retention")
def test_compliance_ends_for_nobody(s3: Any, locking: str) -> None:
    where = {"Bucket": locking, "Key": "k"}
    version_id = s3.put_object(**where, Body=b"x")["VersionId"]
    named = where | {"VersionId": version_id}
    s3.put_object_retention(**named, Retention=retention("COMPLIANCE"))
    bypass = {"BypassGovernanceRetention": True}
    denied = (403, "AccessDenied")
    assert denied == code_of(s3.delete_object, **named, **bypass)
    shorter = retention("COMPLIANCE", UNTIL - timedelta(days=1))
    assert denied == code_of(s3.put_object_retention, **named, Retention=shorter, **bypass)
    assert denied == code_of(s3.put_object_retention, **named, Retention=retention("GOVERNANCE"), **bypass)
    assert denied == code_of(s3.put_object_retention, **named, Retention={}, **bypass)
    s3.put_object_retention(**named, Retention=retention("COMPLIANCE", LATER))
    assert retention("COMPLIANCE", LATER) == s3.get_object_retention(**named)["Retention"]


@pytest.mark.needs("cleared_retention")
def test_governance_is_shortened_and_ended_by_a_bypass_alone(s3: Any, locking: str) -> None:
    where = {"Bucket": locking, "Key": "k"}
    s3.put_object(**where, Body=b"x")
    assert (404, "NoSuchObjectLockConfiguration") == code_of(s3.get_object_retention, **where)
    s3.put_object_retention(**where, Retention=retention("GOVERNANCE", LATER))
    assert (403, "AccessDenied") == code_of(
        s3.put_object_retention, **where, Retention=retention("GOVERNANCE")
    )
    s3.put_object_retention(**where, Retention=retention("GOVERNANCE"), BypassGovernanceRetention=True)
    assert retention("GOVERNANCE") == s3.get_object_retention(**where)["Retention"]
    s3.put_object_retention(**where, Retention={}, BypassGovernanceRetention=True)
    assert (404, "NoSuchObjectLockConfiguration") == code_of(s3.get_object_retention, **where)


def test_a_legal_hold_stops_everybody_until_it_is_off(s3: Any, locking: str) -> None:
    where = {"Bucket": locking, "Key": "k"}
    version_id = s3.put_object(**where, Body=b"x", ObjectLockLegalHoldStatus="ON")["VersionId"]
    named = where | {"VersionId": version_id}
    assert "ON" == s3.head_object(**where)["ObjectLockLegalHoldStatus"]
    assert (403, "AccessDenied") == code_of(s3.delete_object, **named, BypassGovernanceRetention=True)
    s3.put_object_legal_hold(**named, LegalHold={"Status": "OFF"})
    assert "OFF" == s3.get_object_legal_hold(**named)["LegalHold"]["Status"]
    assert version_id == s3.delete_object(**named)["VersionId"]


@pytest.mark.needs("parts_extras")
def test_a_copy_and_an_upload_in_parts_are_locked_by_their_own_request(s3: Any, locking: str) -> None:
    s3.put_object(Bucket=locking, Key="k", Body=b"x", ObjectLockLegalHoldStatus="ON")
    source = {"Bucket": locking, "Key": "k"}
    s3.copy_object(Bucket=locking, Key="free", CopySource=source)
    assert "OFF" == s3.get_object_legal_hold(Bucket=locking, Key="free")["LegalHold"]["Status"]
    locked = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": UNTIL}
    s3.copy_object(Bucket=locking, Key="copy", CopySource=source, **locked)
    where = {"Bucket": locking, "Key": "parts"}
    upload_id = s3.create_multipart_upload(**where, **locked)["UploadId"]
    part = s3.upload_part(**where, UploadId=upload_id, PartNumber=1, Body=b"x")
    s3.complete_multipart_upload(
        **where, UploadId=upload_id, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    for key in ("copy", "parts"):
        assert retention("GOVERNANCE") == s3.get_object_retention(Bucket=locking, Key=key)["Retention"]


PAST, MODE = "2001-01-01T00:00:00Z", "x-amz-object-lock-mode"
DATE, HOLD = "x-amz-object-lock-retain-until-date", "x-amz-object-lock-legal-hold"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({MODE: "GOVERNANCE"}, "InvalidArgument"),
        ({DATE: "2099-01-01T00:00:00Z"}, "InvalidArgument"),
        ({MODE: "GOVERNANCE", DATE: PAST}, "InvalidArgument"),
        ({MODE: "GOVERNANCE", DATE: "tomorrow"}, "InvalidArgument"),
        ({MODE: "GOVERNANCE", DATE: "2099-01-01"}, "InvalidArgument"),
        ({MODE: "GOVERNANCE", DATE: "9999-12-31T23:59:59.9999Z"}, "InvalidArgument"),
        ({MODE: "governance", DATE: "2099-01-01T00:00:00Z"}, "InvalidArgument"),
        ({HOLD: "on"}, "InvalidArgument"),
        ({HOLD: "ON"}, "InvalidRequest"),  # no digest proves the bytes that would be held
    ],
)
def test_a_write_with_a_lock_that_cannot_be_writes_nothing(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, locking: str, headers: dict[str, str], code: str
) -> None:
    asked = sign(s3_gateway, anna, "PUT", f"/{locking}/k", headers=headers)
    assert code == ask(s3_gateway, asked.whole(b"x")).code
    assert 0 == s3.list_objects_v2(Bucket=locking)["KeyCount"]


@pytest.mark.parametrize(
    ("target", "body", "code"),
    [
        ("retention", "<Retention><Mode>GOVERNANCE</Mode></Retention>", "MalformedXML"),
        ("retention", f"<Retention><Mode>NO</Mode><RetainUntilDate>{UNTIL.isoformat()}</RetainUntilDate></Retention>",
         "MalformedXML"),
        ("retention", f"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>{PAST}</RetainUntilDate></Retention>",
         "InvalidArgument"),
        ("retention", "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>soon</RetainUntilDate></Retention>",
         "MalformedXML"),
        ("retention", "<Retention><EventHold>ON</EventHold></Retention>", "MalformedXML"),
        ("retention", "<Retention", "MalformedXML"),
        ("legal-hold", "<LegalHold><Status>MAYBE</Status></LegalHold>", "MalformedXML"),
        ("legal-hold", "<LegalHold/>", "MalformedXML"),
    ],
)  # fmt: skip
def test_a_malformed_lock_is_named_and_changes_nothing(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, locking: str, target: str, body: str, code: str
) -> None:
    s3.put_object(Bucket=locking, Key="k", Body=b"x")
    asked = sign(s3_gateway, anna, "PUT", f"/{locking}/k?{target}")
    assert code == ask(s3_gateway, asked.whole(body.encode())).code
    assert {"ObjectLockMode", "ObjectLockLegalHoldStatus"}.isdisjoint(s3.head_object(Bucket=locking, Key="k"))
