"""Documents clients send: read as meant, refused when hostile."""

from __future__ import annotations

import pytest

from gateway.documents import DoomedObject, NamedPart, parse_complete, parse_create_bucket, parse_delete
from gateway.errors import S3Error

SPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


@pytest.mark.parametrize(
    "root", ["<Delete>", f"<Delete {SPACE}>", f'<?xml version="1.0"?>\n<Delete {SPACE}>']
)
def test_a_delete_is_read_with_and_without_namespace(root: str) -> None:
    body = (
        f"{root}<Object><Key> a&amp;b&#13; </Key><VersionId>null</VersionId></Object>"
        "<Object><Key>é/..//</Key><ETag>x</ETag></Object><Quiet>true</Quiet></Delete>"
    )
    request = parse_delete(body.encode(), keys_max=2)
    assert (DoomedObject(" a&b\r ", "null"), DoomedObject("é/..//", "", "x")) == request.objects
    assert request.quiet


def test_a_complete_is_read_with_its_checksums() -> None:
    body = (
        f"<CompleteMultipartUpload {SPACE}><Part><ETag>&quot;abc&quot;</ETag><PartNumber>1</PartNumber>"
        "<ChecksumCRC32>y/Q5Jg==</ChecksumCRC32></Part>"
        "<Part><PartNumber> 10000 </PartNumber><ETag>def</ETag></Part></CompleteMultipartUpload>"
    )
    expected = (NamedPart(1, "abc", (("CRC32", "y/Q5Jg=="),)), NamedPart(10_000, "def", ()))
    assert expected == parse_complete(body.encode(), parts_max=10_000)


def test_the_location_of_a_new_bucket() -> None:
    inner = "<LocationConstraint>eu</LocationConstraint>"
    body = f"<CreateBucketConfiguration {SPACE}>{inner}</CreateBucketConfiguration>"
    assert parse_create_bucket(body.encode()) == "eu"
    assert parse_create_bucket(b"  ") == ""
    assert parse_create_bucket(b"<CreateBucketConfiguration/>") == ""


BOMB = (
    '<!DOCTYPE Delete [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    "<Delete><Object><Key>&b;</Key></Object></Delete>"
)
OUTSIDE = '<!DOCTYPE Delete [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&x;</Key></Object></Delete>'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"<Delete>",
        b"<Delete/>",
        b"<Other><Object><Key>k</Key></Object></Other>",
        b'<Delete xmlns="urn:other"><Object><Key>k</Key></Object></Delete>',
        b"<Delete><Object/></Delete>",
        b"<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
        b"<Delete><Object><Key>&#1;</Key></Object></Delete>",
        b"<Delete><Object><Key>\xff</Key></Object></Delete>",
        b"<Delete><Object><Key>k</Key></Object><Quiet>perhaps</Quiet></Delete>",
        b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>",
        b"<Delete>" + b"<a>" * 20 + b"</a>" * 20 + b"</Delete>",
        b"<Delete>" + b"<a/>" * 100_001 + b"<Object><Key>k</Key></Object></Delete>",
        b'<?xml version="1.0" encoding="klingon"?><Delete><Object><Key>k</Key></Object></Delete>',
        BOMB.encode(),
        BOMB.encode("utf-16"),
        OUTSIDE.encode(),
    ],
)
def test_a_bad_or_hostile_document_is_malformed(body: bytes) -> None:
    with pytest.raises(S3Error, match="MalformedXML"):
        parse_delete(body, keys_max=1000)


@pytest.mark.parametrize("number", ["0", "-1", "10001", "1.0", "+1", "٣", "", "9" * 30])
def test_a_part_number_outside_its_range_is_refused(number: str) -> None:
    body = (
        f"<CompleteMultipartUpload><Part><PartNumber>{number}</PartNumber><ETag>a</ETag></Part>"
        "</CompleteMultipartUpload>"
    )
    with pytest.raises(S3Error):
        parse_complete(body.encode(), parts_max=10_000)


def test_no_part_is_malformed() -> None:
    with pytest.raises(S3Error, match="MalformedXML"):
        parse_complete(b"<CompleteMultipartUpload/>", parts_max=10_000)
