"""Which abilities a request to an upstream needs: what rclone was seen to pass over, and what is the same everywhere."""

from __future__ import annotations

import pytest

from gateway.storage.abilities import DISK, ENGINES, MISSING, OPERATIONS, WORDS, Ability, can, does
from gateway.storage.upstream.needs import needs


@pytest.mark.parametrize(
    ("method", "query", "headers", "expected"),
    [
        ("PUT", {}, {"content-type": "a", "x-amz-meta-a": "b"}, set()),
        ("PUT", {}, {"x-amz-tagging": "a=1"}, {"tagging"}),
        ("PUT", {"tagging": ""}, {}, {"tagging"}),
        ("GET", {"tagging": "", "versionId": "v"}, {}, {"tagging", "versioning"}),
        ("GET", {"versioning": ""}, {}, set()),
        ("PUT", {"versioning": ""}, {}, {"versioning"}),
        ("GET", {"versions": "", "encoding-type": "url"}, {}, {"versioning"}),
        ("DELETE", {"versionId": "v"}, {}, {"versioning"}),
        ("PUT", {"retention": ""}, {}, {"object_lock"}),
        ("PUT", {"object-lock": ""}, {}, {"object_lock"}),
        ("GET", {"legal-hold": ""}, {}, {"object_lock"}),
        ("PUT", {}, {"x-amz-object-lock-mode": "GOVERNANCE"}, {"object_lock"}),
        ("PUT", {}, {"x-amz-object-lock-legal-hold": "ON"}, {"object_lock"}),
        ("PUT", {}, {"x-amz-bucket-object-lock-enabled": "true"}, {"object_lock"}),
        ("PUT", {}, {"if-none-match": "*"}, {"conditional_put"}),
        ("POST", {"uploadId": "u"}, {"if-match": '"e"'}, {"conditional_put"}),
        ("DELETE", {}, {"if-match": '"e"'}, {"conditional_delete"}),
        ("GET", {}, {"if-match": '"e"', "range": "bytes=0-1"}, set()),
        ("HEAD", {}, {"if-none-match": '"e"'}, set()),
        ("GET", {"list-type": "2", "prefix": "versions"}, {}, set()),
    ],
)
def test_a_request_needs(
    method: str, query: dict[str, str], headers: dict[str, str], expected: set[str]
) -> None:
    assert expected == set(needs(method, query, headers))


def test_the_table_of_engines_is_whole() -> None:
    assert list(ENGINES) == list(MISSING)
    assert set(Ability) == set(WORDS)
    assert {} == MISSING[DISK]
    assert all(reason for missing in MISSING.values() for reason in missing.values())
    assert all(can(DISK, ability) for ability in Ability)
    assert all(does(DISK, operation) for operation in OPERATIONS)
