"""A bucket as a website: hosts, configurations, S3's documented routing examples, and no way to another host."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.errors import S3Error, s3_error
from gateway.settings import GatewaySettings
from gateway.website import (
    Redirect,
    RoutingRule,
    Website,
    bucket_of_host,
    error_page,
    parse_website,
    path_of,
    stored_website,
    website_document,
)


def document(inner: str) -> bytes:
    return f"<WebsiteConfiguration>{inner}</WebsiteConfiguration>".encode()


INDEX = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"


def ruled(rule: str) -> bytes:
    return document(f"{INDEX}<RoutingRules><RoutingRule>{rule}</RoutingRule></RoutingRules>")


# The examples of the S3 user guide, "Configuring advanced conditional redirects".
PREFIX = ruled(
    "<Condition><KeyPrefixEquals>docs/</KeyPrefixEquals></Condition>"
    "<Redirect><ReplaceKeyPrefixWith>documents/</ReplaceKeyPrefixWith></Redirect>"
)
FOLDER = ruled(
    "<Condition><KeyPrefixEquals>images/</KeyPrefixEquals></Condition>"
    "<Redirect><ReplaceKeyWith>folderdeleted.html</ReplaceKeyWith></Redirect>"
)
ERROR = ruled(
    "<Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition>"
    "<Redirect><HostName>ec2-11-22-333-44.compute-1.amazonaws.com</HostName>"
    "<ReplaceKeyPrefixWith>report-404/</ReplaceKeyPrefixWith></Redirect>"
)


@pytest.mark.parametrize(
    ("configuration", "key", "error", "location"),
    [
        (PREFIX, "docs/a b.html", None, "/documents/a%20b.html"),
        (PREFIX, "doc/a.html", None, None),
        (PREFIX, "docs/a", 404, None),
        (FOLDER, "images/any/thing.jpg", None, "/folderdeleted.html"),
        (ERROR, "ExamplePage.html", None, None),
        (ERROR, "ExamplePage.html", 403, None),
        (
            ERROR,
            "ExamplePage.html",
            404,
            "//ec2-11-22-333-44.compute-1.amazonaws.com/report-404/ExamplePage.html",
        ),
    ],
)
def test_the_documented_rules_send_visitors_where_the_guide_says(
    configuration: bytes, key: str, error: int | None, location: str | None
) -> None:
    rule = parse_website(configuration).rule(key, error)
    assert location == (None if rule is None else rule.redirect.location(key, rule.prefix, "host.example"))


def test_the_first_rule_that_fits_decides_and_protocol_keeps_the_host() -> None:
    rules = (
        RoutingRule(Redirect(protocol="https"), "a/"),
        RoutingRule(Redirect(host="other.example:8080", protocol="http", status=307, key="x"), "a"),
    )
    site = Website(None, "index.html", "", rules)
    first, second = site.rule("a/b", None), site.rule("ab", None)
    assert first == rules[0]
    assert second == rules[1]
    assert "https://host.example:81/a/b" == rules[0].redirect.location("a/b", "a/", "host.example:81")
    assert "http://other.example:8080/x" == rules[1].redirect.location("ab", "a", "host.example")


@pytest.mark.parametrize(
    "site",
    [
        Website(Redirect("www.example.org", "https")),
        Website(Redirect("www.example.org")),
        Website(None, "index.html"),
        Website(
            None, "index.html", "errors/4xx.html",
            (RoutingRule(Redirect("a.example", "http", 302, "b/"), "c&/", 404), RoutingRule(Redirect(key=""), "d")),
        ),
    ],
)  # fmt: skip
def test_what_is_kept_means_what_was_sent(site: Website) -> None:
    assert site == parse_website(website_document(site))
    assert site == stored_website(website_document(site).decode())


@pytest.mark.parametrize(
    ("configuration", "code"),
    [
        (b"", "MalformedXML"),
        (document(""), "InvalidArgument"),
        (document("<ErrorDocument><Key>e</Key></ErrorDocument>"), "InvalidArgument"),
        (document("<IndexDocument><Suffix>a/b</Suffix></IndexDocument>"), "InvalidArgument"),
        (document("<IndexDocument><Suffix></Suffix></IndexDocument>"), "InvalidArgument"),
        (document(f"{INDEX}<ErrorDocument><Key>{'k' * 1025}</Key></ErrorDocument>"), "InvalidArgument"),
        (document(f"{INDEX}<Surprise/>"), "MalformedXML"),
        (
            document(f"{INDEX}<RedirectAllRequestsTo><HostName>a</HostName></RedirectAllRequestsTo>"),
            "InvalidArgument",
        ),
        (document("<RedirectAllRequestsTo></RedirectAllRequestsTo>"), "MalformedXML"),
        (
            document("<RedirectAllRequestsTo><HostName>a/b</HostName></RedirectAllRequestsTo>"),
            "InvalidRequest",
        ),
        (
            document("<RedirectAllRequestsTo><HostName>a&#13;&#10;b</HostName></RedirectAllRequestsTo>"),
            "InvalidRequest",
        ),
        (
            document(
                "<RedirectAllRequestsTo><HostName>a</HostName><Protocol>ftp</Protocol></RedirectAllRequestsTo>"
            ),
            "InvalidRequest",
        ),
        (ruled(""), "MalformedXML"),
        (ruled("<Redirect></Redirect>"), "MalformedXML"),
        (
            ruled("<Condition></Condition><Redirect><ReplaceKeyWith>a</ReplaceKeyWith></Redirect>"),
            "InvalidRequest",
        ),
        (
            ruled(
                "<Redirect><ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith></Redirect>"
            ),
            "InvalidRequest",
        ),
        (ruled("<Redirect><HttpRedirectCode>200</HttpRedirectCode></Redirect>"), "InvalidRequest"),
        (ruled("<Redirect><HttpRedirectCode>300</HttpRedirectCode></Redirect>"), "InvalidRequest"),
        (ruled("<Redirect><HttpRedirectCode>304</HttpRedirectCode></Redirect>"), "InvalidRequest"),
        (
            ruled(
                "<Condition><HttpErrorCodeReturnedEquals>302</HttpErrorCodeReturnedEquals></Condition>"
                "<Redirect><ReplaceKeyWith>a</ReplaceKeyWith></Redirect>"
            ),
            "InvalidRequest",
        ),
        (document(f"{INDEX}<RoutingRules></RoutingRules>"), "MalformedXML"),
        (
            document(
                f"{INDEX}<RoutingRules>"
                + "<RoutingRule><Redirect><ReplaceKeyWith>a</ReplaceKeyWith></Redirect></RoutingRule>" * 51
                + "</RoutingRules>"
            ),
            "InvalidRequest",
        ),
    ],
)
def test_what_s3_refuses_is_refused(configuration: bytes, code: str) -> None:
    with pytest.raises(S3Error) as error:
        parse_website(configuration)
    assert code == error.value.code


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("holiday.web.example", "holiday"),
        ("HOLIDAY.Web.Example:8080", "holiday"),
        ("www.coop.org.web.example", "www.coop.org"),
        ("www.coop.org", "www.coop.org"),
        ("www.coop.org:80", "www.coop.org"),
        ("coop.org", ""),
        ("s3.example", ""),
        ("web.example", ""),
        (".web.example", ""),
        ("a.web.example", ""),
        ("holiday.web.example.evil.org", ""),
        ("holiday_.web.example", ""),
        ("127.0.0.1:9000", ""),
        ("[::1]:9000", ""),
        ("holiday.web.example\r\nX: y", ""),
        ("", ""),
    ],
)
def test_only_hosts_the_operator_gave_to_websites_are_websites(host: str, bucket: str) -> None:
    assert bucket == bucket_of_host(host, suffix="web.example", domains="www.coop.org, shop.coop.org")


def test_without_settings_no_host_is_a_website() -> None:
    assert "" == bucket_of_host("holiday.web.example", suffix="", domains="")
    with pytest.raises(ValidationError, match="must not be host_suffix"):
        GatewaySettings(host_suffix="s3.example", website_suffix="S3.example")


@given(st.text(max_size=12) | st.sampled_from(["/evil.example", "//evil.example/", "/\\evil.example", "é/ "]))
def test_a_redirect_within_the_site_never_leads_to_another_host(key: str) -> None:
    key = key.encode("utf-8", "replace").decode()
    location = path_of(key)
    assert ("", "") == urlsplit(location)[:2]
    assert key == unquote(location)[1:]
    assert location.isascii()
    assert location.isprintable()


def test_the_page_for_an_error_shows_nothing_unescaped() -> None:
    page = error_page(s3_error("NoSuchKey", Key="<script>alert('1')</script>"), request_id="0f").decode()
    assert "<title>404 Not Found</title>" in page
    assert "<li>Key: &lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;</li>" in page
    assert "<script" not in page
