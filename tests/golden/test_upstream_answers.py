"""What radosgw, rclone and versitygw really answered (tests/engines/capture.py), read: the facts are those of what was sent."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.storage import errors as refused
from gateway.storage.errors import StorageError
from gateway.storage.model import (
    Checksum,
    Condition,
    DefaultRetention,
    Deletion,
    Retention,
    RetentionMode,
    Versioning,
)
from gateway.storage.upstream import answers, rules
from gateway.storage.upstream.errors import Asked, may_retry, read_failure, says_nothing_is_set, storage_error
from gateway.storage.upstream.properties import read_head

HERE = Path(__file__).parent / "upstream"
RADOSGW, RCLONE, VERSITY = SYSTEMS = ("radosgw", "rclone", "versitygw")
ALL = pytest.mark.parametrize("system", SYSTEMS)
VERSIONED = pytest.mark.parametrize("system", [RADOSGW, VERSITY])
MIB5 = 5 * 2**20
UNTIL_US = 4_070_908_800_000_000  # 2099-01-01T00:00:00Z


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


class Answer:
    """One captured answer."""

    def __init__(self, system: str, name: str) -> None:
        kept: dict[str, Any] = json.loads((HERE / f"{system}.json").read_text("utf-8"))[name]
        self.asked = Asked(system, name, key="the key")
        self.status: int = kept["status"]
        self.headers: dict[str, str] = kept["headers"]
        self.body: bytes = kept["body"].encode()
        self.text: str = kept["body"]

    def error(self, **asked: Any) -> StorageError:
        """The refusal as a storage error."""
        assert self.status >= 300
        return storage_error(read_failure(self.status, self.headers, self.body), self.asked._replace(**asked))

    def values(self, name: str) -> list[str]:
        """Texts of the elements of that name, found without a parser."""
        return re.findall(f"<{name}>([^<]*)</{name}>", self.text)

    def times(self, name: str) -> list[int]:
        """Those as microseconds; radosgw's and rclone's end in Z and have up to nine digits."""
        moments = [datetime.fromisoformat(text) for text in self.values(name)]
        return [round(moment.timestamp() * 1000) * 1000 for moment in moments]


@ALL
def test_a_head_gives_back_all_that_was_kept(system: str) -> None:
    answer = Answer(system, "head")
    told = read_head("full", answer.headers, answer.asked)
    head = told.head
    assert ("full", 10, md5(b"0123456789")) == (head.key, head.size_bytes, head.etag)
    assert (
        round(parsedate_to_datetime(answer.headers["last-modified"]).timestamp()) * 10**6 == head.modified_us
    )
    kept = dict(head.properties.headers)
    if system != RCLONE:
        assert "Thu, 01 Dec 2033 16:00:00 GMT" == kept.pop("expires")
        assert 2 == told.tags_count
    assert {
        "content-type": "text/plain; charset=utf-8",
        "cache-control": "no-cache",
        "content-disposition": 'inline; filename="ü"',
        "content-encoding": "identity",
        "content-language": "de",
        "x-amz-meta-plain": "value",
        "x-amz-meta-umlaut": "grüße 日",
        "x-amz-meta-empty": "",
        "x-amz-website-redirect-location": "/else",
    } == kept
    assert (0, 10, 0) == (told.first, told.body_bytes, told.parts_count)


@ALL
def test_a_range_tells_the_size_of_the_whole(system: str) -> None:
    answer = Answer(system, "get range")
    told = read_head("full", answer.headers, answer.asked)
    assert (2, 3, 10) == (told.first, told.body_bytes, told.head.size_bytes)
    assert b"234" == answer.body


@VERSIONED
def test_an_object_in_parts_has_its_etag_and_size(system: str) -> None:
    # rclone drops an upload when a completion of it is refused, so it has none.
    answer = Answer(system, "head parted")
    digests = hashlib.md5(b"p" * MIB5).digest() + hashlib.md5(b"the end").digest()
    head = read_head("parted", answer.headers, answer.asked).head
    assert (MIB5 + 7, f"{md5(digests)}-2") == (head.size_bytes, head.etag)


def test_a_checksum_is_read_where_the_system_keeps_it() -> None:
    def told(system: str) -> Checksum | None:
        answer = Answer(system, "head checksum")
        return read_head("k", answer.headers, answer.asked).head.properties.checksum

    # python -c 'import zlib; print(zlib.crc32(b"0123456789").to_bytes(4, "big"))' | base64
    kept = Checksum("CRC32", "poTHxg==")
    assert [None, kept, kept] == [told(system) for system in SYSTEMS]


@ALL
def test_a_listing_has_names_in_order_sizes_times_and_etags(system: str) -> None:
    answer = Answer(system, "list")
    listing = answers.read_listing(answer.body, answer.asked)
    keys = [one.key for one in listing.objects]
    assert ["a b", "checksum", "copy", "d/one", "d/two", "e/ü+&", "full"] == keys[:7]
    assert "z" == keys[-1]
    first = listing.objects[0]
    assert (2, md5(b"12")) == (first.size_bytes, first.etag)
    assert answer.times("LastModified") == [round(one.modified_us / 1000) * 1000 for one in listing.objects]
    assert ((), None) == (listing.prefixes, listing.next_after)


@ALL
def test_odd_names_are_decoded_once(system: str) -> None:
    answer = Answer(system, "list odd")
    listing = answers.read_listing(answer.body, answer.asked)
    assert ["odd %+&/a +%", "odd %+&/b", "odd %+&c"] == [one.key for one in listing.objects]
    page = Answer(system, "list odd page")
    listing = answers.read_listing(page.body, page.asked)
    assert (("odd %+&/",), (), "odd %+&/") == (listing.prefixes, listing.objects, listing.next_after)


@ALL
@pytest.mark.parametrize("name", ["list page", "list v1 page"])
def test_a_page_ends_at_its_last_name_or_prefix(system: str, name: str) -> None:
    answer = Answer(system, name)
    listing = answers.read_listing(answer.body, answer.asked)
    assert ["a b", "checksum", "copy"] == [one.key for one in listing.objects]
    assert (("d/",), "d/") == (listing.prefixes, listing.next_after)


@ALL
@pytest.mark.parametrize("name", ["list behind prefix", "list v1 behind"])
def test_what_is_behind_a_prefix_does_not_tell_it_again(system: str, name: str) -> None:
    answer = Answer(system, name)
    listing = answers.read_listing(answer.body, answer.asked, after="d/")
    # rclone keeps the directory of an upload that was aborted.
    assert ("e/", "full", None) == (listing.prefixes[0], listing.objects[0].key, listing.next_after)


def test_what_a_system_tells_again_is_dropped_and_a_page_that_stands_still_is_no_page() -> None:
    answer = Answer(RADOSGW, "list page")
    asked = answer.asked
    again = answers.read_listing(answer.body, asked, after="checksum")
    assert (["copy"], ("d/",), "d/") == ([one.key for one in again.objects], again.prefixes, again.next_after)
    with pytest.raises(refused.Unavailable, match="does not go on"):
        answers.read_listing(answer.body, asked, after="d/")


@VERSIONED
def test_versions_and_markers_are_told_from_the_newest_to_the_oldest(system: str) -> None:
    answer = Answer(system, "list versions")
    listing = answers.read_versions(answer.body, answer.asked)
    newest, second, oldest = [one for one in listing.versions if one.key == "v"]
    assert [(True, True, 0), (False, False, 2), (False, False, 1)] == [
        (one.is_latest, one.is_marker, one.size_bytes) for one in (newest, second, oldest)
    ]
    assert [md5(b"22"), md5(b"1")] == [second.etag, oldest.etag]
    assert newest.modified_us >= second.modified_us >= oldest.modified_us
    superseded = [one.superseded_us for one in (newest, second, oldest)]
    assert [None, newest.modified_us, second.modified_us] == superseded
    told = [one.version_id for one in listing.versions]
    # versitygw tells its one marker, of the last key, before all versions.
    ids = answer.values("VersionId")
    assert (ids if system == RADOSGW else [*ids[1:-2], ids[0], *ids[-2:]]) == told
    assert {"null"} == {one.version_id for one in listing.versions if one.key != "v"}
    assert listing.next_after is None


def test_versions_and_markers_that_are_told_apart_are_put_together_by_key_and_age() -> None:
    """As versitygw tells them; by hand: `a` was written, deleted, written, deleted, `b` before versions and deleted."""
    second = "<LastModified>2026-11-26T10:13:41{}Z</LastModified>"

    def entry(kind: str, key: str, version_id: str, *, is_latest: bool = False) -> str:
        size = "<Size>1</Size>" if kind == "Version" else ""
        known = f"<Key>{key}</Key><VersionId>{version_id}</VersionId><IsLatest>{str(is_latest).lower()}</IsLatest>"
        return f"<{kind}>{known}{size}{second.format('.9' if size else '')}</{kind}>"

    markers = (
        entry("DeleteMarker", "a", "04", is_latest=True),
        entry("DeleteMarker", "a", "02"),
        entry("DeleteMarker", "b", "05", is_latest=True),
    )
    versions = (entry("Version", "a", "03"), entry("Version", "a", "01"), entry("Version", "b", "null"))
    body = (
        f"<ListVersionsResult>{''.join(markers)}<MaxKeys>9</MaxKeys>{''.join(versions)}</ListVersionsResult>"
    )
    listing = answers.read_versions(body.encode(), Asked(VERSITY, "ListObjectVersions"))
    told = [(one.key, one.version_id, one.superseded_us is None) for one in listing.versions]
    assert [
        ("a", "04", True), ("a", "03", False), ("a", "02", False), ("a", "01", False), ("b", "05", True),
        ("b", "null", False),
    ] == told  # fmt: skip


def test_a_version_that_is_told_again_is_dropped() -> None:
    answer = Answer(VERSITY, "list versions page")  # the marker of v, and what it hides
    marker, hidden = sorted(set(answer.values("VersionId")), reverse=True)
    asked = answer.asked
    for behind, left in (
        (("v", marker), [hidden]), (("v", hidden), []), (("v", ""), []), (("u", ""), [marker, hidden]),
        (("u", "gone"), [marker, hidden]), (("v", "gone"), [marker, hidden]), (("w", ""), []),
    ):  # fmt: skip
        listing = answers.read_versions(answer.body, asked, behind=(behind,))
        assert (left, ("v", hidden)) == ([one.version_id for one in listing.versions], listing.next_after)


@VERSIONED
def test_a_page_of_versions_ends_at_its_last_version_or_prefix_and_knows_what_came_before(
    system: str,
) -> None:
    answer = Answer(system, "list versions page")
    listing = answers.read_versions(answer.body, answer.asked, newer=("v", 17))
    assert ("v", answer.values("NextVersionIdMarker")[0]) == listing.next_after
    assert listing.versions[0].superseded_us is None  # the latest, whatever came before
    odd = Answer(system, "list versions odd page")
    assert ("odd %+&/a +%", "null") == answers.read_versions(odd.body, odd.asked).next_after
    rolled = Answer(system, "list versions odd")
    listing = answers.read_versions(rolled.body, rolled.asked)
    assert (("odd %+&/",), ("odd %+&/", "")) == (listing.prefixes, listing.next_after)


@VERSIONED
def test_the_first_of_a_page_is_superseded_by_the_last_of_the_page_before(system: str) -> None:
    answer = Answer(system, "list versions page")
    body = answer.body.replace(b"<IsLatest>true</IsLatest>", b"<IsLatest>false</IsLatest>")
    listing = answers.read_versions(body, answer.asked, newer=("v", 17))
    assert 17 == listing.versions[0].superseded_us
    assert answers.read_versions(body, answer.asked, newer=("u", 17)).versions[0].superseded_us is None


@ALL
def test_uploads_and_parts(system: str) -> None:
    odd = Answer(system, "list uploads odd")
    (upload,), more = answers.read_uploads(odd.body, odd.asked)
    assert ("odd %+&/up", odd.values("UploadId")[0], False) == (upload.key, upload.upload_id, more)
    assert odd.times("Initiated") == [round(upload.started_us / 1000) * 1000]
    page = Answer(system, "list uploads page")
    (upload,), more = answers.read_uploads(page.body, page.asked)
    assert ("odd %+&/up", True) == (upload.key, more)
    whole = Answer(system, "list parts")
    found = answers.read_parts(whole.body, whole.asked)
    expected = [(1, MIB5, md5(b"p" * MIB5)), (2, 7, md5(b"the end"))]
    assert expected == [(one.number, one.size_bytes, one.etag) for one in found.parts]
    assert not found.truncated
    part = Answer(system, "list parts page")
    assert answers.read_parts(part.body, part.asked).truncated


@ALL
def test_the_begin_and_the_end_of_an_upload(system: str) -> None:
    begun = Answer(system, "initiate")
    assert begun.values("UploadId")[0] == answers.read_upload_id(begun.body, begun.asked)
    if system == RCLONE:
        done = Answer(system, "complete small")
        assert (
            f"{md5(hashlib.md5(b'x').digest() * 2)}-2" == answers.read_completed(done.body, done.asked).etag
        )
        return
    first, again = Answer(system, "complete"), Answer(system, "complete again")
    digests = hashlib.md5(b"p" * MIB5).digest() + hashlib.md5(b"the end").digest()
    etag = answers.read_completed(first.body, first.asked).etag
    assert ("" if system == RADOSGW else f"{md5(digests)}-2") == etag  # radosgw says it the second time only
    assert f"{md5(digests)}-2" == answers.read_completed(again.body, again.asked).etag
    copied = Answer(system, "copy part")
    assert md5(b"123") == answers.read_copy(copied.body, copied.asked).etag


@ALL
def test_a_copy(system: str) -> None:
    answer = Answer(system, "copy")
    written = answers.read_copy(answer.body, answer.asked)
    # rclone took the document of PutObjectTagging for the object.
    etag = answer.values("ETag")[0].replace("&#34;", "")
    assert (etag, answer.times("LastModified")) == (written.etag, [round(written.modified_us / 1000) * 1000])
    if system == RADOSGW:
        assert md5(b"0123456789") == written.etag


@ALL
def test_what_was_deleted_is_told_in_the_order_asked(system: str) -> None:
    answer = Answer(system, "delete many")
    keys = ("z", "nothing", "a b")
    deleted = answers.read_deleted(answer.body, [Deletion(key) for key in keys], answer.asked)
    assert [(key, None) for key in keys] == [(one.key, one.error) for one in deleted]


def test_what_became_of_versions_and_of_what_nothing_was_said_of() -> None:
    answer = Answer(RADOSGW, "delete versions")
    first, marker = answer.values("VersionId")[:2]
    doomed = [
        Deletion("v", marker),
        Deletion("v"),
        Deletion("v", first),
        Deletion("v", condition=Condition()),
    ]
    told = answers.read_deleted(answer.body, doomed, answer.asked)
    assert [(marker, True, marker), ("", False, ""), (first, False, "")] == [
        (one.version_id, one.is_marker, one.marker_version_id) for one in told[:3]
    ]
    assert isinstance(told[3].error, refused.Unavailable)
    locked = Answer(RADOSGW, "delete many locked")
    version = locked.values("VersionId")[0]
    (one,) = answers.read_deleted(locked.body, [Deletion("k", version)], locked.asked)
    assert (refused.ObjectLocked, ("k",)) == (type(one.error), one.error.args if one.error else ())


@VERSIONED
def test_versioning_locks_and_tags(system: str) -> None:
    def of(name: str, read: Any) -> Any:
        answer = Answer(system, name)
        return read(answer.body, answer.asked)

    assert Versioning.OFF is of("get versioning off", rules.read_versioning)
    assert Versioning.ENABLED is of("get versioning", rules.read_versioning)
    assert (True, None) == of("get lock", rules.read_lock_configuration)
    default = DefaultRetention(RetentionMode.GOVERNANCE, days=3)
    assert (True, default) == of("get lock default", rules.read_lock_configuration)
    assert Retention(RetentionMode.GOVERNANCE, UNTIL_US) == of("get retention", rules.read_retention)
    assert True is of("get legal hold", rules.read_legal_hold)
    assert {"one": "1", "two": "ü"} == of("get tagging", rules.read_tagging)
    off = Answer(system, "get lock off")
    assert says_nothing_is_set(read_failure(off.status, off.headers, off.body))


@ALL
def test_a_locked_object_s_head(system: str) -> None:
    answer = Answer(system, "head locked")
    properties = read_head("k", answer.headers, answer.asked).head.properties
    assert (Retention(RetentionMode.GOVERNANCE, UNTIL_US), True) == (
        properties.retention,
        properties.legal_hold,
    )


@pytest.mark.parametrize(
    ("name", "read"),
    [("get tagging", rules.read_tagging), ("get lock", rules.read_lock_configuration),
     ("get retention", rules.read_retention), ("get legal hold", rules.read_legal_hold)],
)  # fmt: skip
def test_the_object_itself_in_place_of_what_was_asked_about_it_is_no_answer(name: str, read: Any) -> None:
    # rclone passes over sub-resources it does not know, and answers as if they were not there.
    answer = Answer(RCLONE, name)
    assert 200 == answer.status
    with pytest.raises(refused.Unavailable):
        read(answer.body, answer.asked)


ERRORS: list[tuple[str, str, dict[str, Any], type[StorageError], tuple[Any, ...]]] = [
    *[(system, "get nothing", {"key": "nothing"}, refused.NoSuchKey, ("nothing",)) for system in SYSTEMS],
    *[(system, "head nothing", {"key": "nothing"}, refused.NoSuchKey, ("nothing",)) for system in SYSTEMS],
    *[(system, "copy of nothing", {"key": "nothing"}, refused.NoSuchKey, ("nothing",)) for system in SYSTEMS],
    *[(system, "no such bucket", {}, refused.NoSuchBucket, ()) for system in SYSTEMS],
    *[(system, "head of no bucket", {"key": ""}, refused.NoSuchBucket, ()) for system in SYSTEMS],
    *[(system, "put into no bucket", {}, refused.NoSuchBucket, ()) for system in SYSTEMS],
    *[(system, "no such upload", {"in_upload": True}, refused.NoSuchUpload, ()) for system in SYSTEMS],
    *[(system, "list parts of nothing", {"in_upload": True}, refused.NoSuchUpload, ()) for system in SYSTEMS],
    *[(system, "abort again", {"in_upload": True}, refused.NoSuchUpload, ()) for system in SYSTEMS],
    *[(system, "bucket not empty", {}, refused.BucketNotEmpty, ()) for system in SYSTEMS],
    *[(system, "complete wrong", {"in_upload": True}, refused.InvalidPart, ()) for system in SYSTEMS],
    (RADOSGW, "complete small", {"in_upload": True}, refused.PartTooSmall, ()),
    (RCLONE, "complete disorder", {"in_upload": True}, refused.InvalidPartOrder, ()),
    (RADOSGW, "put none match", {}, refused.PreconditionFailed, ()),
    (RADOSGW, "put match", {}, refused.PreconditionFailed, ()),
    (RADOSGW, "get if match", {}, refused.PreconditionFailed, ()),
    (RADOSGW, "get hidden", {"key": "v"}, refused.NoSuchKey, ("v",)),
    (RADOSGW, "get marker", {"key": "v", "version_id": "1"}, refused.NoSuchVersion, ("v", "1")),
    (RADOSGW, "head marker", {"key": "v", "version_id": "1"}, refused.NoSuchVersion, ("v", "1")),
    (RADOSGW, "delete locked", {"key": "k", "may_be_locked": True}, refused.ObjectLocked, ("k",)),
    (RADOSGW, "put locked where none is", {"sets_lock": True}, refused.InvalidRules, ("the bucket has no object lock",)),
    *[(VERSITY, *one) for one in (
        ("complete small", {"in_upload": True}, refused.PartTooSmall, ()),
        ("put none match", {}, refused.PreconditionFailed, ()),
        ("put match", {}, refused.PreconditionFailed, ()),
        ("get if match", {}, refused.PreconditionFailed, ()),
        ("get hidden", {"key": "v"}, refused.NoSuchKey, ("v",)),
        ("delete locked", {"key": "k", "may_be_locked": True}, refused.ObjectLocked, ("k",)),
        ("put locked where none is", {"sets_lock": True}, refused.InvalidRules, ("the bucket has no object lock",)),
    )],
    (RCLONE, "get version", {"operation": "GetObject"}, refused.Unsupported, ("GetObject", RCLONE)),
    (RCLONE, "put versioning", {"operation": "PutBucketVersioning"}, refused.Unsupported, ("PutBucketVersioning", RCLONE)),
    (RCLONE, "list versions", {"operation": "ListObjectVersions"}, refused.Unsupported, ("ListObjectVersions", RCLONE)),
]  # fmt: skip


@pytest.mark.parametrize(("system", "name", "asked", "kind", "args"), ERRORS)
def test_a_refusal_is_the_contracts(
    system: str, name: str, asked: dict[str, Any], kind: type[StorageError], args: tuple[Any, ...]
) -> None:
    error = Answer(system, name).error(**asked)
    assert (kind, args) == (type(error), error.args)


@ALL
@pytest.mark.parametrize("name", ["wrong key", "wrong secret"])
def test_credentials_of_ours_that_are_wrong_are_the_operators_matter(system: str, name: str) -> None:
    answer = Answer(system, name)
    failure = read_failure(answer.status, answer.headers, answer.body)
    assert refused.Misconfigured is type(answer.error(may_be_locked=True))
    assert not may_retry(failure)


@ALL
@pytest.mark.parametrize("name", ["put wrong md5", "get beyond"])
def test_what_went_wrong_between_us_is_no_fault_of_the_member(system: str, name: str) -> None:
    expected = refused.Unavailable if name == "put wrong md5" else refused.DamagedObject
    assert expected is type(Answer(system, name).error())
