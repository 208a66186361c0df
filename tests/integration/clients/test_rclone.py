"""rclone, told that the provider is Other and told that it is AWS."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.gateway import Credentials, RunningGateway
from tests.integration.clients.kit import (
    LARGE,
    MIB,
    CommandLine,
    came_in_parts,
    odd_files,
    plant,
    settings,
    sha256,
    tree_of,
    with_wrong_secret,
)
from tests.integration.clients.tls import tls_front
from tests.integration.s3_kit import fetch

pytestmark = pytest.mark.every_engine

CLIENT = "rclone"


def command_line(
    url: str,
    credentials: Credentials,
    home: Path,
    *,
    provider: str = "Other",
    certificate: Path | None = None,
) -> CommandLine:
    """With the page's settings where rclone looks for them."""
    run = CommandLine(home, {"RCLONE_CA_CERT": str(certificate)} if certificate else {})
    written = settings(CLIENT, url, credentials)
    plant(home, {".config/rclone/rclone.conf": written.replace("Other", provider).encode()})
    return run


@pytest.fixture
def run(s3_gateway: RunningGateway, anna: Credentials, tmp_path: Path) -> CommandLine:
    """Anna's rclone."""
    return command_line(s3_gateway.url, anna, tmp_path / "home")


def sync_both_ways(run: CommandLine, s3: Any, bucket: str, directory: Path, engine: str) -> None:
    """300 odd names up, compared, changed, up again and down."""
    there, back = directory / "there", directory / "back"
    plant(there, odd_files(300, engine=engine))
    run("rclone", "mkdir", f"weir:{bucket}")
    run("rclone", "sync", there, f"weir:{bucket}/tree")
    checked = run("rclone", "check", there, f"weir:{bucket}/tree", "-v")
    assert "0 differences found" in checked
    assert "300 matching files" in checked
    run("rclone", "check", "--download", there, f"weir:{bucket}/tree")
    (there / "empty").unlink()
    os.utime(there / "-dash", (1_000_000_000, 1_000_000_000))
    (there / "new").write_bytes(b"new")
    run("rclone", "sync", there, f"weir:{bucket}/tree")
    run("rclone", "sync", f"weir:{bucket}/tree", back)
    assert tree_of(there) == tree_of(back)
    assert 1_000_000_000 == int((back / "-dash").stat().st_mtime)
    run("rclone", "copyto", f"weir:{bucket}/tree/new", f"weir:{bucket}/copy of new")
    run("rclone", "moveto", f"weir:{bucket}/copy of new", f"weir:{bucket}/moved")
    assert b"new" == s3.get_object(Bucket=bucket, Key="moved")["Body"].read()
    run("rclone", "purge", f"weir:{bucket}")
    assert bucket not in run("rclone", "lsd", "weir:")


@pytest.mark.journey
def test_a_tree_of_odd_names_is_synced_and_checked_both_ways(
    run: CommandLine, s3: Any, tmp_path: Path, engine: str
) -> None:
    sync_both_ways(run, s3, "rclone-other", tmp_path, engine)


def test_told_that_it_is_aws_it_syncs_the_same_behind_tls(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, tmp_path: Path, engine: str
) -> None:
    with tls_front(s3_gateway.port, tmp_path) as front:
        home, certificate = tmp_path / "home", front.certificate
        run = command_line(front.url, anna, home, provider="AWS", certificate=certificate)
        sync_both_ways(run, s3, "rclone-aws", tmp_path, engine)


def test_a_large_file_goes_in_parts_and_comes_in_several_streams(
    run: CommandLine, s3: Any, bucket: str, tmp_path: Path, engine: str
) -> None:
    plant(tmp_path / "there", {"large": LARGE})
    there = tmp_path / "there" / "large"
    run("rclone", "copy", there, f"weir:{bucket}", "--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M")
    assert came_in_parts(s3.head_object(Bucket=bucket, Key="large")["ETag"], 4, engine)
    chunks = ("--multi-thread-chunk-size", "5M", "--multi-thread-streams", "4")
    run("rclone", "copy", f"weir:{bucket}/large", tmp_path / "back", "--multi-thread-cutoff", "5M", *chunks)
    assert sha256(LARGE) == sha256(tmp_path / "back" / "large")
    assert "0 differences found" in run("rclone", "check", tmp_path / "there", f"weir:{bucket}")
    cutoff = ("--s3-copy-cutoff", "6M", "--s3-chunk-size", "5M")
    run("rclone", "copyto", f"weir:{bucket}/large", f"weir:{bucket}/copy", *cutoff)
    assert sha256(LARGE) == sha256(s3.get_object(Bucket=bucket, Key="copy")["Body"].read())


def test_metadata_of_a_file_comes_back(run: CommandLine, s3: Any, bucket: str, tmp_path: Path) -> None:
    plant(tmp_path / "there", {"page.html": b"<p>"})
    header = ("--header-upload", "Content-Language: de", "--metadata-set", "colour=blue")
    run("rclone", "copy", tmp_path / "there", f"weir:{bucket}", "--metadata", *header)
    told = s3.head_object(Bucket=bucket, Key="page.html")
    assert ("de", "blue") == (told["ContentLanguage"], told["Metadata"]["colour"])
    assert '"colour":"blue"' in run("rclone", "lsjson", "--metadata", f"weir:{bucket}").replace(" ", "")


def test_an_unknown_length_is_streamed_and_a_link_needs_no_key(
    run: CommandLine, s3: Any, bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(LARGE[: 6 * MIB])
    run(
        "sh",
        "-c",
        f"cat '{tmp_path}/large' | rclone rcat 'weir:{bucket}/a stream+ü' --streaming-upload-cutoff 1M",
    )
    assert sha256(LARGE[: 6 * MIB]) == sha256(s3.get_object(Bucket=bucket, Key="a stream+ü")["Body"].read())
    link = run("rclone", "link", f"weir:{bucket}/a stream+ü", "--expire", "10m").strip()
    assert sha256(LARGE[: 6 * MIB]) == sha256(fetch(link).body)


def test_refusals_are_told_by_their_code(
    run: CommandLine, s3_gateway: RunningGateway, anna: Credentials, bucket: str, tmp_path: Path
) -> None:
    assert "not found" in run.refused("rclone", "deletefile", f"weir:{bucket}/gone")
    wrong = command_line(s3_gateway.url, with_wrong_secret(anna), tmp_path / "wrong")
    assert "SignatureDoesNotMatch" in wrong.refused("rclone", "lsf", f"weir:{bucket}", "--retries", "1")
