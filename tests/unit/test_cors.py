"""Rules for pages of other origins: S3's documented examples, its refusals, and no way to write a header of ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cors import (
    CorsRule,
    cors_document,
    cors_headers,
    matching_rule,
    parse_cors,
    requested_headers,
    stored_rules,
)
from gateway.errors import S3Error
from gateway.head import response_head

# The example of the S3 user guide, "CORS configuration".
DOCUMENTED = b"""<CORSConfiguration>
 <CORSRule>
   <AllowedOrigin>http://www.example1.com</AllowedOrigin>
   <AllowedMethod>PUT</AllowedMethod>
   <AllowedMethod>POST</AllowedMethod>
   <AllowedMethod>DELETE</AllowedMethod>
   <AllowedHeader>*</AllowedHeader>
 </CORSRule>
 <CORSRule>
   <AllowedOrigin>http://*.example2.com</AllowedOrigin>
   <AllowedMethod>PUT</AllowedMethod>
   <AllowedHeader>x-amz-*</AllowedHeader>
   <MaxAgeSeconds>3000</MaxAgeSeconds>
   <ExposeHeader>x-amz-request-id</ExposeHeader>
 </CORSRule>
 <CORSRule>
   <AllowedOrigin>*</AllowedOrigin>
   <AllowedMethod>GET</AllowedMethod>
 </CORSRule>
</CORSConfiguration>"""
RULES = parse_cors(DOCUMENTED)


def one_rule(**parts: str) -> bytes:
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in parts.items())
    return f"<CORSConfiguration><CORSRule>{inner}</CORSRule></CORSConfiguration>".encode()


@pytest.mark.parametrize(
    ("origin", "method", "headers", "number"),
    [
        ("http://www.example1.com", "PUT", ["X-Anything"], 0),
        ("http://www.example1.com", "GET", [], 2),
        ("https://www.example1.com", "PUT", [], None),
        ("http://www.example1.com.evil.org", "PUT", [], None),
        ("http://a.example2.com", "PUT", ["X-Amz-Meta-A", "x-amz-acl"], 1),
        ("http://a.example2.com", "PUT", ["content-type"], None),
        ("http://a.example2.com", "DELETE", [], None),
        ("http://example2.com", "PUT", [], None),
        ("http://.example2.com", "PUT", [], 1),
        ("null", "GET", [], 2),
        ("null", "GET", ["range"], None),
    ],
)
def test_the_first_rule_that_fits_all_of_a_request_decides(
    origin: str, method: str, headers: list[str], number: int | None
) -> None:
    expected = None if number is None else RULES[number]
    assert expected == matching_rule(RULES, origin, method, headers)


def test_a_rule_for_every_origin_reflects_none_and_asks_for_no_credentials() -> None:
    for origins in (("*",), ("https://named.example", "*")):
        told = cors_headers(CorsRule(origins, ("GET",)), "https://named.example")
        assert "*" == told["Access-Control-Allow-Origin"]
        assert "Access-Control-Allow-Credentials" not in told


def test_a_rule_for_a_named_origin_says_what_s3_says() -> None:
    assert {
        "Access-Control-Allow-Origin": "http://a.example2.com",
        "Access-Control-Allow-Methods": "PUT",
        "Access-Control-Allow-Headers": "x-amz-acl, x-amz-meta-b",
        "Access-Control-Expose-Headers": "x-amz-request-id",
        "Access-Control-Max-Age": "3000",
        "Access-Control-Allow-Credentials": "true",
        "Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
    } == cors_headers(RULES[1], "http://a.example2.com", ["x-amz-acl", "X-Amz-Meta-B"])


def test_what_is_kept_means_what_was_sent() -> None:
    assert RULES == parse_cors(cors_document(RULES))
    assert RULES == stored_rules(cors_document(RULES).decode())


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (b"", "MalformedXML"),
        (b"<CORSConfiguration/>", "MalformedXML"),
        (b"<Other/>", "MalformedXML"),
        (one_rule(AllowedOrigin="*"), "MalformedXML"),
        (one_rule(AllowedMethod="GET"), "MalformedXML"),
        (one_rule(AllowedOrigin="*", AllowedMethod="GET", Surprise="x"), "MalformedXML"),
        (one_rule(AllowedOrigin="*", AllowedMethod="GET", MaxAgeSeconds="-1"), "MalformedXML"),
        (one_rule(AllowedOrigin="*", AllowedMethod="GET", MaxAgeSeconds="ten"), "MalformedXML"),
        (one_rule(AllowedOrigin="*", AllowedMethod="GET", MaxAgeSeconds="2147483648"), "MalformedXML"),
        (one_rule(AllowedOrigin="*", AllowedMethod="GET", ID="a" * 256), "MalformedXML"),
        (one_rule(AllowedOrigin="*", AllowedMethod="OPTIONS"), "InvalidRequest"),
        (one_rule(AllowedOrigin="*", AllowedMethod="get"), "InvalidRequest"),
        (one_rule(AllowedOrigin="http://*.*.example", AllowedMethod="GET"), "InvalidRequest"),
        (one_rule(AllowedOrigin="*", AllowedMethod="GET", AllowedHeader="*a*"), "InvalidRequest"),
        (one_rule(AllowedOrigin="*", AllowedMethod="GET", ExposeHeader="x-*"), "InvalidRequest"),
        (one_rule(AllowedOrigin="a&#13;&#10;Set-Cookie: b", AllowedMethod="GET"), "InvalidRequest"),
        (one_rule(AllowedOrigin="*", AllowedMethod="GET", ExposeHeader="a&#10;b"), "InvalidRequest"),
        (one_rule(AllowedOrigin="*", AllowedMethod="GET", AllowedHeader="a: b"), "InvalidRequest"),
        (b"<!DOCTYPE a><CORSConfiguration/>", "MalformedXML"),
    ],
)
def test_what_s3_refuses_is_refused(document: bytes, code: str) -> None:
    with pytest.raises(S3Error) as error:
        parse_cors(document)
    assert code == error.value.code


def test_a_hundred_rules_are_taken_and_one_more_is_not() -> None:
    rule = b"<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>"
    assert 100 == len(parse_cors(b"<CORSConfiguration>" + rule * 100 + b"</CORSConfiguration>"))
    with pytest.raises(S3Error, match="limit of 100 rules"):
        parse_cors(b"<CORSConfiguration>" + rule * 101 + b"</CORSConfiguration>")


TEXT = st.text(st.characters(max_codepoint=0x2FF), min_size=1, max_size=12) | st.sampled_from(
    ["*", "a*", "\r\nx: y"]
)


@given(st.lists(TEXT, min_size=1), st.lists(TEXT), TEXT, st.lists(TEXT))
def test_no_rule_not_even_a_forged_one_can_break_a_line(
    origins: list[str], exposed: list[str], origin: str, asked: list[str]
) -> None:
    """The stored document is believed by nobody: values are looked at again when they are written."""
    told = cors_headers(CorsRule(tuple(origins), ("GET",), (), tuple(exposed)), origin, asked)
    head = response_head(200, told, content_length=0, request_id="id", keep_alive=True).decode()
    assert len(told) + 6 + 1 == head.count("\n")
    assert all("\r" not in value and "\n" not in value for value in told.values())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ("content-type,x-amz-date", ("content-type", "x-amz-date")),
        (" a , b,", ("a", "b")),
        ("a b", None),
        ("ü", None),
    ],
)
def test_the_headers_a_browser_asks_for_are_names_or_nothing(
    text: str, names: tuple[str, ...] | None
) -> None:
    assert names == requested_headers(text)
