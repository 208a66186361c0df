"""The documents we write, byte for byte: a change of a file here is a change clients will see.

WEIR_GOLDEN_WRITE=1 writes the files anew; read the difference before you keep it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway import results
from gateway.attributes import AskedAttributes, attributes_document
from gateway.call import Bucket
from gateway.cors import CorsRule, cors_document
from gateway.errors import render_error, s3_error
from gateway.listing import Page, list_objects, list_objects_v2, list_versions, make_token, owner_element
from gateway.locks import legal_hold_document, lock_configuration_document, retention_document
from gateway.postfields import post_result
from gateway.storage.model import (
    BucketRules,
    Checksum,
    DefaultRetention,
    Deleted,
    ListedObject,
    ListedVersion,
    Listing,
    ObjectHead,
    ObjectProperties,
    Part,
    Retention,
    RetentionMode,
    Upload,
    Versioning,
    VersionListing,
)
from gateway.tags import tagging_document
from gateway.website import Redirect, RoutingRule, Website, error_page, website_document
from meter.ids import BucketId, MemberId

FILES = Path(__file__).parent / "s3"
AT_US = 1_255_369_830_123_456  # 2009-10-12T17:50:30.123456Z
ETAG = "fba9dede5f27731c9771645a39863328"
CRC = Checksum("CRC32", "y/Q5Jg==")
OWNER = owner_element(7, "Anna & Söhne")
LISTING = Listing(
    (
        ListedObject("notes/a&b <1>.txt", 434_234, ETAG, AT_US),
        ListedObject("notes/é\r.txt", 0, ETAG + "-3", AT_US, Checksum("CRC64NVME", "AAAAAAAAAAA=")),
    ),
    ("notes/2009 10/",),
    "notes/é\r.txt",
)
VERSIONS = VersionListing(
    (
        ListedVersion("notes/a&b", "v2", True, True, 0, "", AT_US),
        ListedVersion("notes/a&b", "v1", False, False, 434_234, ETAG, AT_US, CRC, AT_US),
        ListedVersion("notes/é\r.txt", "null", True, False, 0, ETAG + "-3", AT_US),
    ),
    ("notes/2009 10/",),
    ("notes/é\r.txt", "null"),
)
DELETED = [
    Deleted("a"),
    Deleted("b&c", is_marker=True, marker_version_id="m1"),
    Deleted("b&c", "v1"),
    Deleted("b&c", "m1", is_marker=True, marker_version_id="m1"),
]
MODE = RetentionMode.GOVERNANCE
ATTRIBUTES = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")
CONTROL = Listing((ListedObject("a\x01b+c d", 1, ETAG, AT_US),), (), None)
PLAIN = Page("notes/", "/", 3, encode_url=False)
ENCODED = Page("notes/", "/", 3, encode_url=True)
ALL = Page("", "", 1000, encode_url=False)
UPLOAD = Upload("0f1e", "big/ä", AT_US, ObjectProperties(), "SHA256", "COMPOSITE")
PARTS = (Part(1, 5_242_880, ETAG, AT_US, Checksum("SHA256", "AA==")), Part(4, 1, ETAG, AT_US))
IN_PARTS = ObjectHead(
    "k", 12, ETAG + "-4", AT_US, ObjectProperties({}, Checksum("SHA256", "AA==-4", "COMPOSITE")), (5, 4, 2, 1), "v1",
    ("YQ==", "Yg==", "Yw==", "ZA=="),
)  # fmt: skip
HEAD = ObjectHead("k/ä", 5, ETAG + "-2", AT_US, ObjectProperties({}, CRC))

DOCUMENTS: dict[str, Callable[[], bytes]] = {
    "list_objects": lambda: list_objects("abc", PLAIN, "notes/", LISTING, owner=OWNER),
    "list_objects_encoded": lambda: list_objects("abc", ENCODED, "notes/", LISTING, owner=OWNER),
    "list_objects_control": lambda: list_objects("abc", ALL, "", CONTROL, owner=OWNER),
    "list_objects_v2": lambda: list_objects_v2(
        "abc", PLAIN, LISTING, token=make_token("notes/"), start_after="n&", owner=""
    ),
    "list_objects_v2_empty": lambda: list_objects_v2(
        "abc", ALL, Listing((), (), None), token=None, start_after="", owner=""
    ),
    "list_versions": lambda: list_versions(
        "abc", PLAIN, VERSIONS, key_marker="notes/", version_marker="null", owner=OWNER
    ),
    "list_buckets": lambda: results.list_buckets(
        [Bucket(BucketId(1), "abc", MemberId(7), AT_US)],
        member=7,
        member_name="Anna & Söhne",
        region="eu-coop-1",
        prefix="a",
        token="MWFiYw==",
    ),
    "location": lambda: results.location("eu-coop-1"),
    "location_us_east_1": lambda: results.location("us-east-1"),
    "delete": lambda: results.delete_result(DELETED, [("d", "v1", s3_error("NoSuchVersion"))]),
    "versioning": lambda: results.versioning(Versioning.SUSPENDED),
    "versioning_never": lambda: results.versioning(Versioning.OFF),
    "tagging": lambda: tagging_document({"colour": "blue & green", "é": ""}),
    "lock_configuration": lambda: lock_configuration_document(
        BucketRules(Versioning.ENABLED, locks=True, default_retention=DefaultRetention(MODE, days=30))
    ),
    "lock_configuration_bare": lambda: lock_configuration_document(
        BucketRules(Versioning.ENABLED, locks=True)
    ),
    "retention": lambda: retention_document(Retention(MODE, AT_US)),
    "legal_hold": lambda: legal_hold_document(holds=True),
    "attributes": lambda: attributes_document(IN_PARTS, AskedAttributes(frozenset(ATTRIBUTES), 2, 1)),
    "attributes_single": lambda: attributes_document(HEAD, AskedAttributes(frozenset(ATTRIBUTES), 1000, 0)),
    "request_payment": results.request_payment,
    "logging": lambda: results.nothing_set("BucketLoggingStatus"),
    "copy": lambda: results.copy_result(HEAD),
    "copy_part": lambda: results.copy_part_result(PARTS[0]),
    "initiate": lambda: results.initiate_result("abc", UPLOAD),
    "complete": lambda: results.complete_result("abc", HEAD, location="/abc/k/ä"),
    "list_parts": lambda: results.list_parts(
        "abc", UPLOAD, PARTS, after=0, limit=2, truncated=True, member=7, member_name="anna"
    ),
    "list_uploads": lambda: results.list_uploads(
        "abc",
        results.UploadsPage(PLAIN, "big/", "00", (UPLOAD,), ("c/",), ("c/", "")),
        member=7,
        member_name="anna",
    ),
    "cors": lambda: cors_document(
        [
            CorsRule(("https://a&b.example",), ("GET", "PUT"), ("x-amz-*",), ("ETag",), 600, "<1>"),
            CorsRule(("*",), ("GET",)),
        ]
    ),
    "post": lambda: post_result(location="http://h/abc/k%26", bucket="abc", key="k&", etag=f'"{ETAG}"'),
    "website": lambda: website_document(
        Website(
            None,
            "index.html",
            "errors/4xx.html",
            (
                RoutingRule(Redirect(key_prefix="documents/"), "docs/"),
                RoutingRule(Redirect("a.example:8080", "https", 302, key="x&y"), "", 404),
            ),
        )
    ),
    "website_elsewhere": lambda: website_document(Website(Redirect("www.example.org", "https"))),
    "website_error": lambda: error_page(s3_error("NoSuchKey", Key="<k>"), request_id="00" * 16),
    "error": lambda: render_error(
        s3_error("NoSuchKey", Key="a<b>\x01"), resource="/abc/a<b>\x01", request_id="00" * 16
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_document_is_as_it_was(name: str) -> None:
    file = FILES / f"{name}.xml"
    actual = DOCUMENTS[name]()
    if os.environ.get("WEIR_GOLDEN_WRITE"):
        file.write_bytes(actual)
    assert file.read_bytes() == actual


def test_no_file_is_left_over() -> None:
    assert {f"{name}.xml" for name in DOCUMENTS} == {file.name for file in FILES.iterdir()}
