"""s3cmd: one file at a time, and trees both ways."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.storage.abilities import Ability, can
from tests.gateway import Credentials, RunningGateway
from tests.integration.clients.kit import (
    CONTROL,
    LARGE,
    CommandLine,
    came_in_parts,
    odd_files,
    plant,
    settings,
    sha256,
    tree_of,
    with_wrong_secret,
)
from tests.integration.s3_kit import fetch

pytestmark = pytest.mark.every_engine

CLIENT = "s3cmd"


def command_line(gateway: RunningGateway, credentials: Credentials, home: Path) -> CommandLine:
    """With the page's settings where s3cmd looks for them."""
    run = CommandLine(home)
    (home / ".s3cfg").write_text(settings(CLIENT, gateway.url, credentials))
    return run


@pytest.fixture
def run(s3_gateway: RunningGateway, anna: Credentials, tmp_path: Path) -> CommandLine:
    """Anna's s3cmd."""
    return command_line(s3_gateway, anna, tmp_path / "home")


def test_a_large_file_goes_up_in_parts_and_comes_back(
    run: CommandLine, s3: Any, bucket: str, tmp_path: Path, engine: str
) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(LARGE)
    run("s3cmd", "put", there, f"s3://{bucket}/a dir/large + ü", "--multipart-chunk-size-mb=5")
    assert came_in_parts(s3.head_object(Bucket=bucket, Key="a dir/large + ü")["ETag"], 4, engine)
    run("s3cmd", "get", f"s3://{bucket}/a dir/large + ü", back)
    assert sha256(LARGE) == sha256(back)
    assert f"{len(LARGE)} " in run("s3cmd", "du", f"s3://{bucket}")
    assert (
        "" == run("s3cmd", "multipart", f"s3://{bucket}").partition("Initiated")[2].partition("\n")[2].strip()
    )


def test_buckets_and_objects_are_made_told_copied_and_removed(
    run: CommandLine, s3: Any, tmp_path: Path, engine: str
) -> None:
    file = tmp_path / "file.txt"
    file.write_bytes(b"first")
    assert "s3://s3cmd-bucket/' created" in run("s3cmd", "mb", "s3://s3cmd-bucket")
    assert "s3://s3cmd-bucket\n" in run("s3cmd", "ls")
    wild = ["odd/plain", "a?b#c+d%41 ü"]
    if can(engine, Ability.ANY_KEY):
        wild += ["odd//double", "/leading"]
    for name in wild:
        run("s3cmd", "put", file, f"s3://s3cmd-bucket/{name}")
    listed = {one["Key"] for one in s3.list_objects_v2(Bucket="s3cmd-bucket")["Contents"]}
    assert set(wild) == listed
    file.write_bytes(b"second")
    run("s3cmd", "put", file, "s3://s3cmd-bucket/odd/plain", "--add-header=x-amz-meta-colour:blue",
        "--mime-type=text/x-odd")  # fmt: skip
    told = run("s3cmd", "info", "s3://s3cmd-bucket/odd/plain")
    assert re.search(r"x-amz-meta-colour: +blue", told)
    assert re.search(r"MIME type: +text/x-odd", told)
    assert re.search(r"File size: +6\b", told)
    run("s3cmd", "info", "s3://s3cmd-bucket")
    run("s3cmd", "cp", "s3://s3cmd-bucket/odd/plain", "s3://s3cmd-bucket/copy ü")
    run("s3cmd", "mv", "s3://s3cmd-bucket/copy ü", "s3://s3cmd-bucket/moved")
    assert b"second" == s3.get_object(Bucket="s3cmd-bucket", Key="moved")["Body"].read()
    run("s3cmd", "del", "s3://s3cmd-bucket/moved")
    assert "404" in run.refused("s3cmd", "info", "s3://s3cmd-bucket/moved")
    run("s3cmd", "del", "--recursive", "--force", "s3://s3cmd-bucket")
    run("s3cmd", "rb", "s3://s3cmd-bucket")
    assert "s3://s3cmd-bucket\n" not in run("s3cmd", "ls")


@pytest.mark.journey
def test_a_tree_is_synced_both_ways(
    run: CommandLine, s3: Any, bucket: str, tmp_path: Path, engine: str
) -> None:
    there, back, files = tmp_path / "there", tmp_path / "back", odd_files(60, engine=engine)
    files.pop(CONTROL, None)  # s3cmd brings it back as tab^Ihere
    plant(there, files)
    back.mkdir()
    run("s3cmd", "sync", f"{there}/", f"s3://{bucket}/tree/")
    assert {f"tree/{name}" for name in files} == {
        one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]
    }
    run("s3cmd", "sync", f"s3://{bucket}/tree/", f"{back}/")
    assert tree_of(there) == tree_of(back)
    (there / "plain").unlink()
    (there / "-dash").write_bytes(b"changed")
    os.utime(there / "-dash", (2_000_000_000, 2_000_000_000))
    told = run("s3cmd", "sync", "--delete-removed", f"{there}/", f"s3://{bucket}/tree/")
    assert [1, 1] == [told.count("upload: '"), told.count("delete: '")], told
    run("s3cmd", "sync", "--delete-removed", f"s3://{bucket}/tree/", f"{back}/")
    assert tree_of(there) == tree_of(back)


def test_its_signed_links_are_of_signature_version_2_and_refused_by_name(
    run: CommandLine, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"shared")
    answer = fetch(run("s3cmd", "signurl", f"s3://{bucket}/key", "+600").strip())
    assert (400, "InvalidRequest") == (answer.status, answer.code)
    assert b"AWS4-HMAC-SHA256" in answer.body


def test_refusals_are_told_by_their_code(
    run: CommandLine, s3_gateway: RunningGateway, anna: Credentials, bucket: str, tmp_path: Path
) -> None:
    assert "does not exist" in run.refused("s3cmd", "get", f"s3://{bucket}/gone", tmp_path / "gone")
    assert "404 (NoSuchKey)" in run.refused("s3cmd", "info", f"s3://{bucket}/gone")
    assert "404 (NoSuchBucket)" in run.refused("s3cmd", "ls", "s3://no-such-bucket-here")
    wrong = command_line(s3_gateway, with_wrong_secret(anna), tmp_path / "wrong")
    assert "403 (SignatureDoesNotMatch)" in wrong.refused("s3cmd", "ls", f"s3://{bucket}")
