"""minio-js on Node: files, streams of unknown length, listings, links."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.storage.abilities import Ability, can
from tests.gateway import Credentials, RunningGateway
from tests.integration.clients.kit import (
    HERE,
    LARGE,
    ODD_KEYS,
    WILD_KEYS,
    Node,
    link_key,
    needs,
    sha256,
    with_wrong_secret,
)

CLIENT = "minio-js"
pytestmark = [
    needs(CLIENT, "node", decided_by=HERE / "node" / "package-lock.json"),
    pytest.mark.every_engine,
]
NAMES = [*ODD_KEYS, *WILD_KEYS]


@pytest.fixture
def node(s3_gateway: RunningGateway, anna: Credentials, tmp_path: Path) -> Node:
    """Anna's."""
    return Node(CLIENT, "minio.cjs", s3_gateway.url, anna, tmp_path)


@pytest.mark.needs("any_key")
def test_odd_names_go_there_and_back(node: Node, bucket: str) -> None:
    told = node("names", bucket, names=NAMES)
    assert sorted(NAMES) == sorted(told["listed"])
    assert [[name, "blue"] for name in NAMES] == told["read"]
    assert {name.partition("/")[0] + "/" * ("/" in name) for name in NAMES} == set(told["top"])
    assert [] == told["left"]


@pytest.mark.journey
@pytest.mark.needs("any_parts")  # it begins with the second
def test_files_and_streams_of_unknown_length_go_in_parts(
    node: Node, bucket: str, tmp_path: Path, engine: str
) -> None:
    (tmp_path / "large").write_bytes(LARGE)
    told = node("streams", bucket, file=str(tmp_path / "large"), key="a stream ü+")
    assert [sha256(LARGE)] * 2 == told["sha256"]
    assert [can(engine, Ability.PARTS_ETAG)] * 2 == ["-" in etag for etag in told["etags"]]


@pytest.mark.journey
def test_links_get_and_put_without_a_key(node: Node, bucket: str, engine: str) -> None:
    assert {"status": 200, "body": "put by link"} == node("links", bucket, key=link_key(engine))


def test_refusals_are_told_by_their_code(
    node: Node, s3_gateway: RunningGateway, anna: Credentials, bucket: str, tmp_path: Path
) -> None:
    assert ["NoSuchKey"] == node("refusals", bucket)
    wrong = Node(CLIENT, "minio.cjs", s3_gateway.url, with_wrong_secret(anna), tmp_path)
    assert ["SignatureDoesNotMatch"] * 2 == wrong("refusals", bucket)
