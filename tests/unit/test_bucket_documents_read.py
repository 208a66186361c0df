"""Documents about versions, tags and locks: read as meant, and hostile or unknown content refused."""

from __future__ import annotations

import pytest

from gateway.documents import parse_request_payment, parse_versioning
from gateway.errors import S3Error
from gateway.locks import parse_legal_hold, parse_lock_configuration, parse_retention, retention_of_write
from gateway.storage.model import DefaultRetention, Retention, RetentionMode, Versioning
from gateway.tags import dump_tags, load_tags, parse_tagging, parse_tagging_header

SPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
NOW_US = 1_700_000_000_000_000  # 2023-11-14T22:13:20Z
BOMB = '<!DOCTYPE {0} [<!ENTITY a "aaaaaaaaaa">]><{0}>&a;</{0}>'
FIRST_MS_OF_2030_US = 1_893_456_000_000_000  # 2030-01-01T00:00:00Z


def code_of(error: pytest.ExceptionInfo[S3Error]) -> str:
    return error.value.code


def test_documents_are_read_with_their_namespace() -> None:
    body = f"<VersioningConfiguration {SPACE}><Status> Suspended </Status><MfaDelete>Disabled</MfaDelete></VersioningConfiguration>"
    assert Versioning.SUSPENDED is parse_versioning(body.encode())
    body = f"<RequestPaymentConfiguration {SPACE}><Payer>Requester</Payer></RequestPaymentConfiguration>"
    assert "Requester" == parse_request_payment(body.encode())
    body = f"<LegalHold {SPACE}><Status>OFF</Status></LegalHold>"
    assert not parse_legal_hold(body.encode())
    default = "<Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Years>100</Years></DefaultRetention></Rule>"
    body = f"<ObjectLockConfiguration {SPACE}><ObjectLockEnabled>Enabled</ObjectLockEnabled>{default}</ObjectLockConfiguration>"
    assert DefaultRetention(RetentionMode.COMPLIANCE, years=100) == parse_lock_configuration(body.encode())


@pytest.mark.parametrize(
    ("date", "until_us"),
    [
        ("2030-01-01T00:00:00Z", FIRST_MS_OF_2030_US),
        ("2030-01-01T00:00:00.000Z", FIRST_MS_OF_2030_US),
        ("2030-01-01T02:00:00+02:00", FIRST_MS_OF_2030_US),
        ("2029-12-31T23:59:59.9991Z", FIRST_MS_OF_2030_US),  # never shorter than asked
    ],
)
def test_a_retention_is_read_to_the_millisecond(date: str, until_us: int) -> None:
    body = f"<Retention {SPACE}><Mode>GOVERNANCE</Mode><RetainUntilDate>{date}</RetainUntilDate></Retention>"
    expected = Retention(RetentionMode.GOVERNANCE, until_us)
    assert expected == parse_retention(body.encode(), now_us=NOW_US)
    headers = {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": date}
    assert expected == retention_of_write(headers, now_us=NOW_US)
    assert parse_retention(b"<Retention/>", now_us=NOW_US) is None


@pytest.mark.parametrize(
    ("parse", "root"),
    [
        (parse_versioning, "VersioningConfiguration"),
        (parse_request_payment, "RequestPaymentConfiguration"),
        (parse_legal_hold, "LegalHold"),
        (parse_lock_configuration, "ObjectLockConfiguration"),
        (lambda body: parse_retention(body, now_us=NOW_US), "Retention"),
        (lambda body: parse_tagging(body, tags_max=10), "Tagging"),
    ],
)
def test_a_hostile_or_foreign_document_is_malformed(parse, root: str) -> None:  # type: ignore[no-untyped-def]
    for body in (
        b"",
        b"\xff\xfe",
        f"<{root}>".encode(),
        f'<{root} xmlns="urn:other"/>'.encode(),
        f"<{root}><Surprise/></{root}>".encode(),
        BOMB.format(root).encode(),
        ("<a>" * 1000).encode(),
        f"<Other><{root}/></Other>".encode(),
    ):
        with pytest.raises(S3Error) as error:
            parse(body)
        assert "MalformedXML" == code_of(error), body


def test_a_header_of_tags_is_read_like_a_query() -> None:
    assert {} == parse_tagging_header("")
    assert {"a b": "c+d", "é": "", "e": "f=g"} == parse_tagging_header("a+b=c%2Bd&%C3%A9&e=f%3Dg")


@pytest.mark.parametrize(
    ("text", "code"),
    [("a=1&&b=2", "InvalidTag"), ("a=%C3", "InvalidArgument"), ("a=1&a=1", "InvalidArgument")],
)
def test_a_header_that_is_no_query_is_refused(text: str, code: str) -> None:
    with pytest.raises(S3Error) as error:
        parse_tagging_header(text)
    assert code == code_of(error)


def test_a_bucket_s_tags_come_back_from_the_directory() -> None:
    tags = {"colour": "blue", "é ": "", "a:b/c@d": "1 + 1 = 2"}
    assert tags == load_tags(dump_tags(tags))
