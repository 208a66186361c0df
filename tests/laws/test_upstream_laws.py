"""What is written for an upstream, and told by one that keeps it, comes back as it was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway import results
from gateway.documents import parse_complete, parse_delete, parse_versioning
from gateway.headers import http_date
from gateway.listing import Page, list_objects, list_objects_v2, list_versions
from gateway.locks import legal_hold_document, lock_configuration_document, retention_document
from gateway.storage.model import (
    BucketRules,
    Checksum,
    Condition,
    DefaultRetention,
    Deleted,
    Deletion,
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
from gateway.storage.upstream import answers, requests, rules
from gateway.storage.upstream.errors import Asked
from gateway.storage.upstream.properties import property_headers, read_head
from gateway.tags import parse_tagging_header, tagging_document

ASKED = Asked("mirror", "AnyOperation", key="k")
SECOND = 1_000_000
# No lone surrogates and no NUL: the door refuses both. Slashes and blanks are frequent, as they are in keys.
KEY = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0") | st.sampled_from("/ +%&"),
    min_size=1,
    max_size=30,
)
WORD = st.from_regex(r"[a-z0-9]{1,12}", fullmatch=True)
VALUE = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30).map(str.strip)
INSTANT = st.integers(0, 4_000_000_000).map(lambda second: second * SECOND)
SIZE = st.integers(0, 2**45)
CHECKSUMS = st.sampled_from((None, Checksum("CRC32", "ruK/jg=="), Checksum("SHA256", "AAAA-3", "COMPOSITE")))
RETENTIONS = st.none() | st.builds(
    Retention, st.sampled_from(RetentionMode), INSTANT.map(lambda us: us + SECOND)
)
PROPERTIES = st.builds(
    ObjectProperties,
    headers=st.dictionaries(
        st.sampled_from(
            ("cache-control", "content-encoding", "expires", "x-amz-website-redirect-location", "x-amz-meta-weir-acl",
             "x-amz-meta-weir-own-acl", "x-amz-meta-weir-", "x-amz-meta-weir-checksum", "x-amz-meta-other")
        ),
        VALUE, max_size=6,
    ).map(lambda kept: {"content-type": "text/plain", **kept}),
    checksum=CHECKSUMS,
    acl=st.sampled_from(("", '{"grants":[["*","READ"]]}')),
    retention=RETENTIONS,
    legal_hold=st.booleans(),
    sealing=st.dictionaries(WORD, VALUE, max_size=3),
)  # fmt: skip


@given(properties=PROPERTIES, keeps=st.booleans(), size=SIZE, at_us=INSTANT)
def test_properties_come_back_from_an_upstream_that_keeps_headers(
    properties: ObjectProperties, keeps: bool, size: int, at_us: int
) -> None:
    sent = property_headers(properties, keeps_checksums=keeps)
    told = {**sent, "content-length": str(size), "etag": '"e"', "last-modified": http_date(at_us)}
    assert ObjectHead("k", size, "e", at_us, properties) == read_head("k", told, ASKED).head


@given(tags=st.dictionaries(KEY, VALUE, max_size=4).filter(lambda tags: all(key.isalnum() for key in tags)))
def test_tags_go_in_the_header_as_the_door_reads_them(tags: dict[str, str]) -> None:
    kept = {key: value for key, value in tags.items() if value.isalnum()}
    sent = property_headers(ObjectProperties(tags=kept), keeps_checksums=False)
    assert kept == parse_tagging_header(sent.get("x-amz-tagging"))
    assert kept == rules.read_tagging(tagging_document(kept), ASKED)


LISTED = st.builds(ListedObject, KEY, SIZE, WORD, INSTANT)


@given(
    objects=st.lists(LISTED, max_size=6, unique_by=lambda one: one.key),
    prefixes=st.sets(KEY.map(lambda key: key + "/"), max_size=3),
    more=st.booleans(), encode=st.booleans(), second_version=st.booleans(),
)  # fmt: skip
def test_the_gateways_own_listings_are_read_as_they_were_written(
    objects: list[ListedObject], prefixes: set[str], more: bool, encode: bool, second_version: bool
) -> None:
    objects = [one for one in objects if one.key not in prefixes]
    ordered = sorted(objects, key=lambda one: one.key.encode())
    rolled = tuple(sorted(prefixes, key=str.encode))
    last = max([*(one.key for one in objects), *rolled], key=str.encode, default=None)
    listing = Listing(tuple(ordered), rolled, last if more else None)
    page = Page("", "/", 1000, encode)
    if second_version:
        body = list_objects_v2("b", page, listing, token="", start_after="", owner="")
    else:
        body = list_objects("b", page, "", listing, owner="")
    assert listing == answers.read_listing(body, ASKED)


VERSION = st.tuples(WORD, INSTANT, SIZE, WORD, st.booleans())


@given(
    keys=st.dictionaries(KEY, st.lists(VERSION, min_size=1, max_size=3, unique_by=lambda one: one[0]), max_size=3),
    encode=st.booleans(), more=st.booleans(),
)  # fmt: skip
def test_versions_are_read_as_they_were_written(
    keys: dict[str, list[tuple[str, int, int, str, bool]]], encode: bool, more: bool
) -> None:
    versions = []
    for key in sorted(keys, key=str.encode):
        newer = None
        for version_id, at_us, size, etag, is_marker in sorted(keys[key], key=lambda one: -one[1]):
            facts = (0, "") if is_marker else (size, etag)
            versions.append(
                ListedVersion(key, version_id, newer is None, is_marker, *facts, at_us, superseded_us=newer)
            )
            newer = at_us
    following = (versions[-1].key, versions[-1].version_id) if versions and more else None
    listing = VersionListing(tuple(versions), (), following)
    body = list_versions("b", Page("", "", 1000, encode), listing, key_marker="", version_marker="", owner="")
    assert listing == answers.read_versions(body, ASKED)


@given(parts=st.lists(st.tuples(SIZE, WORD, INSTANT, CHECKSUMS), max_size=4), more=st.booleans())
def test_parts_are_read_as_they_were_written(
    parts: list[tuple[int, str, int, Checksum | None]], more: bool
) -> None:
    given_parts = tuple(
        Part(number, size, etag, at_us, checksum)
        for number, (size, etag, at_us, checksum) in enumerate(parts, 1)
    )
    upload = Upload("u", "k", 0, ObjectProperties(), "CRC32", "COMPOSITE")
    body = results.list_parts(
        "b", upload, given_parts, after=0, limit=1000, truncated=more, member=1, member_name="anna"
    )
    page = answers.read_parts(body, ASKED)
    assert (given_parts, more) == (page.parts, page.truncated)
    assert ("CRC32", "COMPOSITE") == (page.checksum_algorithm, page.checksum_kind)


@given(key=KEY.filter(requests.can_be_named), etag=WORD, at_us=INSTANT, checksum=CHECKSUMS)
def test_results_are_read_as_they_were_written(
    key: str, etag: str, at_us: int, checksum: Checksum | None
) -> None:
    head = ObjectHead(key, 1, etag, at_us, ObjectProperties(checksum=checksum))
    assert answers.Written(etag, at_us, checksum) == answers.read_copy(results.copy_result(head), ASKED)
    done = results.complete_result("b", head, location="http://a/b")
    assert answers.Written(etag, 0, checksum) == answers.read_completed(done, ASKED)
    assert "u" == answers.read_upload_id(
        results.initiate_result("b", Upload("u", key, 0, ObjectProperties())), ASKED
    )
    told = [Deleted(key), Deleted(key, "v1"), Deleted(key, "v2", is_marker=True, marker_version_id="v2")]
    asked = [Deletion(key), Deletion(key, "v1"), Deletion(key, "v2")]
    assert tuple(told) == answers.read_deleted(results.delete_result(told[::-1], []), asked, ASKED)


@given(
    deletions=st.lists(
        st.builds(
            Deletion, KEY.filter(requests.can_be_named), st.none() | WORD,
            st.builds(Condition, if_match=st.none() | WORD | st.just("*")),
        ), min_size=1, max_size=5,
    ),
    parts=st.lists(WORD, min_size=1, max_size=5),
)  # fmt: skip
def test_documents_for_an_upstream_are_read_by_our_own_door(
    deletions: list[Deletion], parts: list[str]
) -> None:
    read = parse_delete(requests.delete_document(deletions), keys_max=1000)
    assert not read.quiet
    expected = [(one.key, one.version_id or "", one.condition.if_match) for one in deletions]
    assert expected == [(one.key, one.version_id, one.etag) for one in read.objects]
    numbered = list(enumerate(parts, 1))
    checksum = Checksum("CRC32", "ruK/jg==")
    named = parse_complete(requests.complete_document(numbered, {1: checksum}), parts_max=10_000)
    assert numbered == [(one.number, one.etag) for one in named]
    assert (("CRC32", "ruK/jg=="),) == named[0].checksums
    assert all(one.checksums == () for one in named[1:])


@given(
    state=st.sampled_from(Versioning),
    default=st.none()
    | st.builds(DefaultRetention, st.sampled_from(RetentionMode), days=st.integers(1, 900))
    | st.builds(DefaultRetention, st.sampled_from(RetentionMode), years=st.integers(1, 90)),
    retention=RETENTIONS, holds=st.booleans(),
)  # fmt: skip
def test_rules_and_locks_are_read_as_they_were_written(
    state: Versioning, default: DefaultRetention | None, retention: Retention | None, holds: bool
) -> None:
    body = results.versioning(state)
    assert state is rules.read_versioning(body, ASKED)
    if state is not Versioning.OFF:
        assert state is parse_versioning(body)
    written = lock_configuration_document(BucketRules(locks=True, default_retention=default))
    assert (True, default) == rules.read_lock_configuration(written, ASKED)
    if retention is not None:
        assert retention == rules.read_retention(retention_document(retention), ASKED)
    assert holds is rules.read_legal_hold(legal_hold_document(holds=holds), ASKED)


@given(after=KEY, prefix=st.sampled_from(("", "a/", "b")), other=KEY)
def test_a_listing_begins_behind_the_whole_prefix_it_ended_in(after: str, prefix: str, other: str) -> None:
    start = requests.start_behind(after, prefix=prefix, delimiter="/")
    assert start.encode() >= after.encode() or after.startswith(start[:-1])
    if after.startswith(prefix) and "/" in after[len(prefix) :]:
        rolled = prefix + after[len(prefix) :].partition("/")[0] + "/"
        assert (rolled + other).encode() < start.encode() or other.startswith("\U0010ffff")
        assert start.startswith(rolled)
    else:
        assert after == start
    assert after == requests.start_behind(after, prefix=prefix, delimiter="")
