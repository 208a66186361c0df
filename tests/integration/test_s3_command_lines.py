"""Command-line clients as members have them, in their default settings: aws and rclone."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.gateway import Credentials, RunningGateway
from tests.integration.s3_kit import BIN

MIB = 2**20


class CommandLine:
    """Runs a client as a member, with a home of its own."""

    def __init__(self, gateway: RunningGateway, credentials: Credentials, home: Path) -> None:
        self.environment = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": gateway.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "RCLONE_CONFIG": str(home / "rclone.conf"),
        }
        (home / "rclone.conf").write_text(
            "[weir]\ntype = s3\nprovider = Other\nregion = us-east-1\n"
            f"access_key_id = {credentials.access_key}\nsecret_access_key = {credentials.secret_key}\n"
            f"endpoint = {gateway.url}\n"
        )

    def __call__(self, *words: str | Path) -> str:
        """Run it; what it printed."""
        done = subprocess.run(
            [BIN / words[0], *words[1:]], env=self.environment, capture_output=True, text=True, timeout=90
        )
        assert 0 == done.returncode, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def run(s3_gateway: RunningGateway, anna: Credentials, tmp_path: Path) -> CommandLine:
    """Anna's command line."""
    home = tmp_path / "home"
    home.mkdir()
    return CommandLine(s3_gateway, anna, home)


def tree_of(directory: Path) -> dict[str, bytes]:
    """Every file under it, by name."""
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def plant(directory: Path, files: dict[str, bytes]) -> None:
    """Write them."""
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


ODD_FILES = {
    "with space/a b.txt": b"1", "plus+and%2Bpercent%.txt": b"2", "ümlaut/日本語/\U0001f600": b"3", "e\u0301 and é": b"4",
    "quote's \"and\" <tags> & more;": b"5", "hash#query?=x": b"6", "-dash": b"7", ".hidden/.file": b"8", "empty": b"",
    "tab\there": b"9", "back\\slash": b"10", "~tilde*star[1]{2}": b"11", "comma,colon:at@=": b"12", "...": b"13",
}  # fmt: skip


def test_aws_copies_a_large_file_up_and_down_in_parts(
    run: CommandLine, s3: Any, bucket: str, tmp_path: Path
) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(random.Random(40).randbytes(40 * MIB))
    run("aws", "s3", "cp", there, f"s3://{bucket}/a dir/large ü", "--no-progress")
    assert s3.head_object(Bucket=bucket, Key="a dir/large ü")["ETag"].endswith('-5"')
    run("aws", "s3", "cp", f"s3://{bucket}/a dir/large ü", back, "--no-progress")
    assert hashlib.sha256(there.read_bytes()).digest() == hashlib.sha256(back.read_bytes()).digest()
    assert [] == s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])


def test_aws_syncs_lists_and_removes_a_tree(run: CommandLine, s3: Any, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    plant(there, ODD_FILES | {f"many/{number}": b"%d" % number for number in range(40)})
    run("aws", "s3", "mb", "s3://aws-bucket")
    run("aws", "s3", "sync", there, "s3://aws-bucket/tree", "--no-progress")
    listed = run("aws", "s3", "ls", "s3://aws-bucket/tree/")
    assert all(f" {name}\n" in listed for name in ("PRE many/", "PRE with space/", "hash#query?=x", "-dash"))
    (there / "many/7").unlink()
    (there / "-dash").write_bytes(b"changed")
    told = run("aws", "s3", "sync", there, "s3://aws-bucket/tree", "--delete", "--no-progress").splitlines()
    assert ["delete:", "upload:"] == sorted(line.split(" ")[0] for line in told)
    run("aws", "s3", "sync", "s3://aws-bucket/tree", back, "--no-progress")
    assert tree_of(there) == tree_of(back)
    run("aws", "s3", "rm", "s3://aws-bucket/tree", "--recursive", "--quiet")
    assert 0 == s3.list_objects_v2(Bucket="aws-bucket")["KeyCount"]
    run("aws", "s3", "rb", "s3://aws-bucket")


def test_rclone_syncs_checks_and_empties_a_tree_both_ways(run: CommandLine, s3: Any, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    chance = random.Random(200)
    sizes = {f"dir {n % 7}/sub+{n % 3}/file-{n}.bin": chance.choice([0, 1, 5000, 70_000]) for n in range(200)}
    files = {name: chance.randbytes(size) for name, size in sizes.items()}
    plant(there, files | ODD_FILES)
    run("rclone", "mkdir", "weir:rclone-bucket")
    run("rclone", "sync", there, "weir:rclone-bucket/tree")
    assert "0 differences found" in run("rclone", "check", there, "weir:rclone-bucket/tree")
    run("rclone", "check", "--download", there, "weir:rclone-bucket/tree")
    (there / "empty").unlink()
    os.utime(there / "-dash", (1_000_000_000, 1_000_000_000))
    (there / "new").write_bytes(b"new")
    run("rclone", "sync", there, "weir:rclone-bucket/tree")
    run("rclone", "sync", "weir:rclone-bucket/tree", back)
    assert tree_of(there) == tree_of(back)
    assert 1_000_000_000 == int((back / "-dash").stat().st_mtime)
    run("rclone", "copyto", "weir:rclone-bucket/tree/new", "weir:rclone-bucket/copy of new")
    run("rclone", "moveto", "weir:rclone-bucket/copy of new", "weir:rclone-bucket/moved")
    assert b"new" == s3.get_object(Bucket="rclone-bucket", Key="moved")["Body"].read()
    run("rclone", "purge", "weir:rclone-bucket")
    assert "rclone-bucket" not in run("rclone", "lsd", "weir:")


def test_rclone_copies_a_large_file_in_parts_and_a_stream(
    run: CommandLine, s3: Any, bucket: str, tmp_path: Path
) -> None:
    there = tmp_path / "there" / "large"
    plant(tmp_path / "there", {"large": random.Random(12).randbytes(12 * MIB + 1)})
    run("rclone", "copy", there, f"weir:{bucket}", "--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M")
    assert s3.head_object(Bucket=bucket, Key="large")["ETag"].endswith('-3"')
    run("rclone", "copy", f"weir:{bucket}/large", tmp_path / "back", "--multi-thread-cutoff", "5M")
    assert there.read_bytes() == (tmp_path / "back" / "large").read_bytes()
