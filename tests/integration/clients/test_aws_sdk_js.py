"""AWS SDK for JavaScript v3 on Node: commands, managed uploads, streams, links."""

from __future__ import annotations

import base64
import zlib
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
    came_in_parts,
    link_key,
    needs,
    sha256,
    with_wrong_secret,
)
from tests.integration.clients.tls import tls_front

CLIENT = "AWS SDK for JavaScript"
pytestmark = [
    needs(CLIENT, "node", decided_by=HERE / "node" / "package-lock.json"),
    pytest.mark.every_engine,
]
NAMES = [*ODD_KEYS, *WILD_KEYS]


@pytest.fixture
def node(s3_gateway: RunningGateway, anna: Credentials, tmp_path: Path) -> Node:
    """Anna's, over plain HTTP."""
    return Node(CLIENT, "aws_sdk.cjs", s3_gateway.url, anna, tmp_path)


@pytest.mark.needs("any_key")
def test_odd_and_wild_names_go_there_and_back(node: Node, bucket: str) -> None:
    told = node("names", bucket, names=NAMES)
    assert sorted(NAMES, key=str.encode) == told["listed"]
    assert [[name, "blue"] for name in NAMES] == told["read"]
    prefixes = {name.partition("/")[0] + "/" for name in NAMES if "/" in name}
    assert sorted(prefixes, key=str.encode) == told["prefixes"]
    assert sorted(NAMES) == sorted(told["deleted"])


@pytest.mark.journey
def test_a_stream_is_uploaded_in_parts(node: Node, bucket: str, tmp_path: Path, engine: str) -> None:
    (tmp_path / "large").write_bytes(LARGE)
    told = node("parts", bucket, file=str(tmp_path / "large"), key="a dir/large ü+")
    assert (len(LARGE), sha256(LARGE), LARGE[5:12].hex()) == (told["length"], told["sha256"], told["range"])
    assert came_in_parts(told["etag"], 4, engine)


def test_behind_tls_a_stream_carries_its_checksum_in_a_trailer(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str, tmp_path: Path, engine: str
) -> None:
    (tmp_path / "large").write_bytes(LARGE)
    with tls_front(s3_gateway.port, tmp_path) as front:
        trust = {"NODE_EXTRA_CA_CERTS": str(front.certificate)}
        node = Node(CLIENT, "aws_sdk.cjs", front.url, anna, tmp_path, trust)
        told = node("streams", bucket, file=str(tmp_path / "large"), length=len(LARGE), key="a stream ü")
    crc = base64.b64encode(zlib.crc32(LARGE).to_bytes(4, "big")).decode()
    kept = {"crc32": crc} if can(engine, Ability.CHECKSUMS) else {}
    assert kept | {"sha256": sha256(LARGE)} == told


def test_links_get_and_put_without_a_key(node: Node, bucket: str, engine: str) -> None:
    assert {"status": 200, "body": "put by link"} == node("links", bucket, key=link_key(engine))


def test_refusals_are_told_by_their_code(
    node: Node, s3_gateway: RunningGateway, anna: Credentials, bucket: str, tmp_path: Path
) -> None:
    assert [["NoSuchKey", 404], ["NotFound", 404], ["NoSuchBucket", 404]] == node("refusals", bucket)
    wrong = Node(CLIENT, "aws_sdk.cjs", s3_gateway.url, with_wrong_secret(anna), tmp_path)
    assert ["SignatureDoesNotMatch", 403] == wrong("refusals", bucket)[0]
