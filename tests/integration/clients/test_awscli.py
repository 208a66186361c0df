"""aws-cli in its default settings: the s3 commands and s3api."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from deploy import snippets
from gateway.storage.abilities import Ability, can
from tests.gateway import Credentials, RunningGateway
from tests.integration.clients.kit import (
    LARGE,
    CommandLine,
    came_in_parts,
    exported,
    odd_files,
    plant,
    settings,
    sha256,
    tree_of,
    with_wrong_secret,
)
from tests.integration.s3_kit import fetch

pytestmark = pytest.mark.every_engine

CLIENT = "aws-cli"


def command_line(gateway: RunningGateway, credentials: Credentials, home: Path) -> CommandLine:
    """With the page's settings where aws looks for them."""
    plant(home, {".aws/config": settings(CLIENT, gateway.url, credentials).encode()})
    return CommandLine(home)


@pytest.fixture
def run(s3_gateway: RunningGateway, anna: Credentials, tmp_path: Path) -> CommandLine:
    """Anna's aws."""
    return command_line(s3_gateway, anna, tmp_path / "home")


def test_a_large_file_goes_up_and_down_in_parts(
    run: CommandLine, s3: Any, bucket: str, tmp_path: Path, engine: str
) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(LARGE)
    run("aws", "s3", "cp", there, f"s3://{bucket}/a dir/large ü", "--no-progress")
    assert came_in_parts(s3.head_object(Bucket=bucket, Key="a dir/large ü")["ETag"], 3, engine)
    run("aws", "s3", "cp", f"s3://{bucket}/a dir/large ü", back, "--no-progress")
    assert sha256(LARGE) == sha256(back)
    run("aws", "s3", "cp", f"s3://{bucket}/a dir/large ü", f"s3://{bucket}/copy", "--no-progress")
    assert sha256(LARGE) == sha256(s3.get_object(Bucket=bucket, Key="copy")["Body"].read())
    assert [] == s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])


@pytest.mark.journey
def test_a_tree_is_synced_both_ways_listed_and_removed(
    run: CommandLine, s3: Any, tmp_path: Path, engine: str
) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    plant(there, odd_files(60, engine=engine))
    run("aws", "s3", "mb", "s3://aws-bucket")
    run("aws", "s3", "sync", there, "s3://aws-bucket/tree", "--no-progress")
    listed = run("aws", "s3", "ls", "s3://aws-bucket/tree/")
    assert all(f" {name}\n" in listed for name in ("PRE dir 3/", "PRE with space/", "hash#query?=x", "-dash"))
    run("aws", "s3", "sync", "s3://aws-bucket/tree", back, "--no-progress")
    assert tree_of(there) == tree_of(back)
    (there / "plain").unlink()
    (there / "-dash").write_bytes(b"changed")
    told = run("aws", "s3", "sync", there, "s3://aws-bucket/tree", "--delete", "--no-progress").splitlines()
    assert ["delete:", "upload:"] == sorted(line.split(" ")[0] for line in told)
    run("aws", "s3", "sync", "s3://aws-bucket/tree", back, "--delete", "--no-progress")
    assert tree_of(there) == tree_of(back)
    run("aws", "s3", "rm", "s3://aws-bucket/tree", "--recursive", "--quiet")
    assert 0 == s3.list_objects_v2(Bucket="aws-bucket")["KeyCount"]
    run("aws", "s3", "rb", "s3://aws-bucket")


@pytest.mark.needs("any_key")
def test_s3api_puts_tells_lists_and_deletes(
    run: CommandLine, bucket: str, tmp_path: Path, engine: str
) -> None:
    file, back = tmp_path / "file", tmp_path / "back"
    file.write_bytes(b"0123456789")
    place = ("--bucket", bucket, "--key", "wild//key/../ü+")
    run("aws", "s3api", "put-object", *place, "--body", file, "--metadata", "colour=blue",
        "--checksum-algorithm", "SHA256")  # fmt: skip
    told = json.loads(run("aws", "s3api", "head-object", *place, "--checksum-mode", "ENABLED"))
    assert {"colour": "blue"} == told["Metadata"]
    expected = base64.b64encode(hashlib.sha256(b"0123456789").digest()).decode()
    assert (expected if can(engine, Ability.CHECKSUMS) else None) == told.get("ChecksumSHA256")
    run("aws", "s3api", "get-object", *place, "--range", "bytes=2-4", back)
    assert b"234" == back.read_bytes()
    listed = json.loads(run("aws", "s3api", "list-objects-v2", "--bucket", bucket, "--delimiter", "/"))
    assert [{"Prefix": "wild/"}] == listed["CommonPrefixes"]
    run("aws", "s3api", "delete-object", *place)
    assert "" == run("aws", "s3", "ls", f"s3://{bucket}", "--recursive")


def test_a_presigned_link_needs_no_key(run: CommandLine, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a b+ü", Body=b"shared")
    assert b"shared" == fetch(run("aws", "s3", "presign", f"s3://{bucket}/a b+ü").strip()).body


def test_the_lines_that_the_start_prints_are_enough(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str, tmp_path: Path
) -> None:
    printed = snippets.shell(
        gateway_url=s3_gateway.url, access_key=anna.access_key, secret_key=anna.secret_key, region="us-east-1"
    )
    assert f" {bucket}\n" in CommandLine(tmp_path / "home", exported(printed))("aws", "s3", "ls")


def test_refusals_are_told_by_their_code(
    run: CommandLine, s3_gateway: RunningGateway, anna: Credentials, bucket: str, tmp_path: Path
) -> None:
    gone = ("--bucket", bucket, "--key", "gone", tmp_path / "gone")
    assert "(NoSuchKey)" in run.refused("aws", "s3api", "get-object", *gone)
    assert "(404)" in run.refused("aws", "s3", "cp", f"s3://{bucket}/gone", tmp_path / "gone")
    wrong = command_line(s3_gateway, with_wrong_secret(anna), tmp_path / "wrong")
    assert "(SignatureDoesNotMatch)" in wrong.refused("aws", "s3", "ls", f"s3://{bucket}")
