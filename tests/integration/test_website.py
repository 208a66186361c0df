"""Websites of buckets at a real gateway, as visitors without any key see them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from gateway.operation import Operation
from meter.ids import NOBODY
from tests.gateway import Credentials, RunningGateway, client, running_gateway
from tests.integration.records import record_of
from tests.integration.s3_kit import Answer, line
from tests.postgres import TestServer

SITE = "holiday"
PAGES = {
    "index.html": "<h1>home</h1>",
    "blog/index.html": "<h1>blog</h1>",
    "blog/first post": "<h1>first</h1>",
    "errors/oops.html": "<h1>oops</h1>",
    "private/diary": "secret",
}
CONFIGURATION = {
    "IndexDocument": {"Suffix": "index.html"},
    "ErrorDocument": {"Key": "errors/oops.html"},
    "RoutingRules": [
        {"Condition": {"KeyPrefixEquals": "old/"}, "Redirect": {"ReplaceKeyPrefixWith": "blog/"}},
        {
            "Condition": {"KeyPrefixEquals": "shop/", "HttpErrorCodeReturnedEquals": "404"},
            "Redirect": {"HostName": "shop.example", "Protocol": "https", "HttpRedirectCode": "302"},
        },
    ],
}


@pytest.fixture(scope="module")
def gateway(
    postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    database = postgres_server.database()
    environment = {"WEIR_WEBSITE_SUFFIX": "web.example", "WEIR_WEBSITE_DOMAINS": "www.coop.example"}
    with running_gateway(
        tmp_path_factory.mktemp("website"), database, workers=2, environment=environment
    ) as running:
        yield running
        assert "Traceback" not in running.log()
    postgres_server.drop(database)


@pytest.fixture(scope="module")
def owner(gateway: RunningGateway) -> Credentials:
    return gateway.member("anna")


def publish(s3: Any, bucket: str, configuration: dict[str, Any], *prefixes: str) -> None:
    """A bucket with the pages, of which anybody may read those under the prefixes."""
    s3.create_bucket(Bucket=bucket)
    for key, text in PAGES.items():
        s3.put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType="text/html")
    statement = {
        "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
        "Resource": [f"arn:aws:s3:::{bucket}/{prefix}*" for prefix in prefixes],
    }  # fmt: skip
    if prefixes:
        s3.put_bucket_policy(
            Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        )
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=configuration)


@pytest.fixture(scope="module")
def s3(gateway: RunningGateway, owner: Credentials) -> Any:
    made = client(gateway, owner)
    publish(made, SITE, CONFIGURATION, "index", "blog/", "errors/", "moved")
    return made


def visit(
    gateway: RunningGateway,
    path: str,
    *,
    host: str = f"{SITE}.web.example",
    method: str = "GET",
    **headers: str,
) -> Answer:
    """What a browser without any key gets."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    with line(gateway) as open_line:
        open_line.is_head = method == "HEAD"
        open_line.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode())
        return open_line.answer()


def test_the_configuration_is_kept_told_and_taken_away(s3: Any) -> None:
    told = s3.get_bucket_website(Bucket=SITE)
    assert CONFIGURATION["IndexDocument"] == told["IndexDocument"]
    assert CONFIGURATION["ErrorDocument"] == told["ErrorDocument"]
    assert ["old/", "shop/"] == [rule["Condition"]["KeyPrefixEquals"] for rule in told["RoutingRules"]]
    s3.create_bucket(Bucket="no-site")
    for _ in range(2):
        with pytest.raises(ClientError) as error:
            s3.get_bucket_website(Bucket="no-site")
        assert "NoSuchWebsiteConfiguration" == error.value.response["Error"]["Code"]
        s3.delete_bucket_website(Bucket="no-site")


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/", "index.html"),
        ("/index.html?list-type=2&versionId=x&response-content-type=text/plain", "index.html"),
        ("/blog/", "blog/index.html"),
        ("/blog/first%20post", "blog/first post"),
    ],
)
def test_a_path_shows_its_page(gateway: RunningGateway, s3: Any, path: str, page: str) -> None:
    answer = visit(gateway, path)
    assert (200, "text/html", PAGES[page]) == (
        answer.status,
        answer.headers["content-type"],
        answer.body.decode(),
    )
    head = visit(gateway, path, method="HEAD")
    assert (200, str(len(PAGES[page])), b"") == (head.status, head.headers["content-length"], head.body)


def test_ranges_and_conditions_hold_for_pages_too(gateway: RunningGateway, s3: Any) -> None:
    part = visit(gateway, "/", Range="bytes=1-2")
    assert (206, b"h1") == (part.status, part.body)
    assert 304 == visit(gateway, "/", If_None_Match=part.headers["etag"]).status
    missing = visit(gateway, "/missing", Range="bytes=1-2")
    assert (404, PAGES["errors/oops.html"]) == (missing.status, missing.body.decode())


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("/blog", 302, "/blog/"),
        ("/old/first%20post", 301, "/blog/first%20post"),
        ("/old//evil.example", 301, "/blog//evil.example"),
        ("/shop/a%20b", 302, "https://shop.example/shop/a%20b"),
    ],
)
def test_visitors_are_sent_on(
    gateway: RunningGateway, s3: Any, path: str, status: int, location: str
) -> None:
    answer = visit(gateway, path)
    assert (status, location, b"") == (answer.status, answer.headers["location"], answer.body)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/missing", 404, "NoSuchKey"),
        ("/missing/", 404, "NoSuchKey"),
        ("/private/diary", 403, "AccessDenied"),
        ("/%ff", 400, "InvalidURI"),
    ],
)
def test_what_is_not_there_or_not_for_everybody_is_the_sites_own_page(
    gateway: RunningGateway, s3: Any, path: str, status: int, code: str
) -> None:
    answer = visit(gateway, path)
    assert (status, code) == (answer.status, answer.headers["x-amz-error-code"])
    assert b"secret" not in answer.body
    if status != 400:
        assert PAGES["errors/oops.html"] == answer.body.decode()
    head = visit(gateway, path, method="HEAD")
    assert (status, b"") == (head.status, head.body)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "OPTIONS", "PATCH"])
def test_a_website_is_only_read(gateway: RunningGateway, s3: Any, method: str) -> None:
    answer = visit(gateway, "/index.html", method=method)
    assert (405, "text/html; charset=utf-8") == (answer.status, answer.headers["content-type"])
    assert PAGES["index.html"] == visit(gateway, "/index.html").body.decode()


def test_a_page_can_send_its_visitors_on_and_a_copy_does_not_inherit_it(
    gateway: RunningGateway, s3: Any
) -> None:
    onward = "https://elsewhere.example/ü?a=b"
    for location in ("ftp://elsewhere.example/", "elsewhere"):
        with pytest.raises(ClientError) as error:
            s3.put_object(Bucket=SITE, Key="moved", WebsiteRedirectLocation=location)
        assert "InvalidRedirectLocation" == error.value.response["Error"]["Code"]
    s3.put_object(Bucket=SITE, Key="moved", Body=b"x", WebsiteRedirectLocation="/blog/")
    assert (301, "/blog/") == ((answer := visit(gateway, "/moved")).status, answer.headers["location"])
    assert "/blog/" == s3.head_object(Bucket=SITE, Key="moved")["WebsiteRedirectLocation"]
    source = {"Bucket": SITE, "Key": "moved"}
    s3.copy_object(Bucket=SITE, Key="moved-copy", CopySource=source)
    assert 200 == visit(gateway, "/moved-copy").status
    s3.copy_object(
        Bucket=SITE, Key="moved", CopySource=source, WebsiteRedirectLocation=onward.replace("ü", "%C3%BC")
    )
    assert "https://elsewhere.example/%C3%BC?a=b" == visit(gateway, "/moved").headers["location"]
    upload = s3.create_multipart_upload(Bucket=SITE, Key="moved-parts", WebsiteRedirectLocation="/parts")[
        "UploadId"
    ]
    place = {"Bucket": SITE, "Key": "moved-parts", "UploadId": upload}
    part = {"ETag": s3.upload_part(**place, PartNumber=1, Body=b"1")["ETag"], "PartNumber": 1}
    s3.complete_multipart_upload(**place, MultipartUpload={"Parts": [part]})
    assert "/parts" == visit(gateway, "/moved-parts").headers["location"]


def test_everything_can_go_elsewhere(gateway: RunningGateway, s3: Any) -> None:
    publish(s3, "everything", {"RedirectAllRequestsTo": {"HostName": "new.example", "Protocol": "https"}})
    for path in ("/", "/blog/first%20post"):
        answer = visit(gateway, path, host="everything.web.example")
        assert (301, f"https://new.example{path}") == (answer.status, answer.headers["location"])


def test_a_site_that_is_for_nobody_shows_nothing_and_lists_nothing(gateway: RunningGateway, s3: Any) -> None:
    publish(s3, "closed", {"IndexDocument": {"Suffix": "index.html"}})
    for path, status in (("/", 403), ("/blog/", 403), ("/missing", 404), ("/?list-type=2", 403)):
        answer = visit(gateway, path, host="closed.web.example")
        assert (status, "text/html; charset=utf-8") == (answer.status, answer.headers["content-type"])
        assert b"diary" not in answer.body


def test_only_hosts_of_websites_are_websites(gateway: RunningGateway, s3: Any) -> None:
    for host, code in (
        ("no-site.web.example", "NoSuchWebsiteConfiguration"),
        ("gone.web.example", "NoSuchBucket"),
    ):
        answer = visit(gateway, "/", host=host)
        assert (404, code) == (answer.status, answer.headers["x-amz-error-code"])
    publish(s3, "www.coop.example", {"IndexDocument": {"Suffix": "index.html"}}, "")
    assert PAGES["index.html"] == visit(gateway, "/", host="www.coop.example").body.decode()
    # A member cannot take a host by naming a bucket after it: only the operator gives hosts away.
    publish(s3, "s3.coop.example", {"IndexDocument": {"Suffix": "index.html"}}, "")
    assert b"<h1>" not in visit(gateway, "/", host="s3.coop.example").body


def test_the_owner_pays_for_pages_and_nobody_for_what_was_refused(
    gateway: RunningGateway, owner: Credentials, s3: Any
) -> None:
    def counted(path: str, method: str = "GET") -> tuple[Any, ...]:
        answer = visit(gateway, path, method=method)
        record = record_of(gateway, answer.headers["x-amz-request-id"])
        assert NOBODY == record.requester
        return record.operation, record.payer, record.request_class.name, record.bytes_out

    get, head = Operation.GET_OBJECT.code, Operation.HEAD_OBJECT.code
    assert (get, owner.member, "B", len(PAGES["index.html"])) == counted("/")
    assert (head, owner.member, "B", 0) == counted("/", "HEAD")
    # The page for errors is an object of the owner's, of any size: visitors read it at the owner's cost.
    assert (get, owner.member, "B", len(PAGES["errors/oops.html"])) == counted("/missing")
    assert (head, owner.member, "B", 0) == counted("/missing", "HEAD")
    assert (get, NOBODY, "FREE", 0) == counted("/old/x")
    assert NOBODY == counted("/", "DELETE")[1]


def test_pages_of_other_origins_may_read_a_site_that_says_so(gateway: RunningGateway, s3: Any) -> None:
    rules = {"CORSRules": [{"AllowedOrigins": ["https://a.example"], "AllowedMethods": ["GET"]}]}
    s3.put_bucket_cors(Bucket=SITE, CORSConfiguration=rules)
    for path in ("/", "/missing"):
        assert (
            "https://a.example"
            == visit(gateway, path, Origin="https://a.example").headers["access-control-allow-origin"]
        )
    s3.delete_bucket_cors(Bucket=SITE)
