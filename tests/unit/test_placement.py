"""To which engine a bucket goes, and what it is called there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.engine_store import DISK_KIND, S3_KIND, EngineRow
from gateway.errors import S3Error
from gateway.names import is_bucket_name
from gateway.placement import choose, location_of, upstream_name

DISK = EngineRow("disk", DISK_KIND, is_default=True)
CEPH = EngineRow("ceph-a", S3_KIND, bucket_prefix="weir-", storage_class="COLD", location="hall-2")
OLD = EngineRow("ceph-old", S3_KIND, storage_class="COLD", location="hall-2", closed_us=1)
ENGINES = {one.name: one for one in (OLD, DISK, CEPH)}


def chosen(constraint: str = "", storage_class: str = "", engines: dict[str, EngineRow] = ENGINES) -> str:
    return choose(engines, constraint=constraint, storage_class=storage_class, region="us-east-1").name


@pytest.mark.parametrize(
    ("constraint", "storage_class", "expected"),
    [
        ("", "", "disk"),
        ("us-east-1", "STANDARD", "disk"),
        ("hall-2", "", "ceph-a"),
        ("ceph-a", "", "ceph-a"),
        ("disk", "", "disk"),
        ("", "COLD", "ceph-a"),
        ("ceph-a", "COLD", "ceph-a"),
    ],
)
def test_a_bucket_goes_where_it_was_asked_to(constraint: str, storage_class: str, expected: str) -> None:
    assert expected == chosen(constraint, storage_class)


def test_without_a_wish_it_goes_to_the_default() -> None:
    engines = {"disk": replace(DISK, is_default=False), "ceph-a": replace(CEPH, is_default=True)}
    assert "ceph-a" == chosen(engines=engines)


@pytest.mark.parametrize(
    ("constraint", "storage_class", "code"),
    [
        ("nowhere", "", "InvalidLocationConstraint"),
        ("", "GLACIER", "InvalidStorageClass"),
        ("disk", "COLD", "InvalidStorageClass"),
        ("ceph-old", "", "InvalidRequest"),
    ],
)
def test_what_cannot_be_is_refused(constraint: str, storage_class: str, code: str) -> None:
    with pytest.raises(S3Error) as refused:
        chosen(constraint, storage_class)
    assert code == refused.value.code


def test_a_closed_engine_says_so() -> None:
    with pytest.raises(S3Error, match="'ceph-old' takes no new buckets"):
        chosen("ceph-old")


@pytest.mark.parametrize(
    ("number", "name", "expected"),
    [
        (7, "photos", "weir-7-photos"),
        (8, "my.site.example", "weir-8-my-site-example"),
        (12345, "a" * 63, "weir-12345-" + "a" * 52),
        (1, "x" * 55 + "-" + "y" * 7, "weir-1-" + "x" * 55),
    ],
)
def test_the_name_there_is_a_bucket_name_with_its_number(number: int, name: str, expected: str) -> None:
    found = upstream_name(CEPH, number, name)
    assert expected == found
    assert is_bucket_name(found)


def test_the_disk_needs_no_other_name() -> None:
    assert "" == upstream_name(DISK, 7, "photos")


def test_a_bucket_tells_the_location_of_its_engine() -> None:
    assert "hall-2" == location_of(ENGINES, "ceph-a", region="us-east-1")
    assert "us-east-1" == location_of(ENGINES, "disk", region="us-east-1")
