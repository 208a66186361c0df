"""restic: a repository's whole life."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.gateway import Credentials, RunningGateway
from tests.integration.clients.kit import (
    HERE,
    MIB,
    PREPARED,
    CommandLine,
    exported,
    needs,
    odd_files,
    plant,
    settings,
    tree_of,
    with_wrong_secret,
)

CLIENT = "restic"
RESTIC = PREPARED / "restic"
pytestmark = [
    needs(CLIENT, "restic", decided_by=HERE / "prepare"),
    pytest.mark.every_engine,
]


def command_line(gateway: RunningGateway, credentials: Credentials, home: Path, bucket: str) -> CommandLine:
    """With the page's variables."""
    return CommandLine(home, exported(settings(CLIENT, gateway.url, credentials, bucket=bucket)))


@pytest.mark.journey
def test_a_backup_survives_changes_a_check_a_prune_and_a_restore(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, tmp_path: Path, engine: str
) -> None:
    run = command_line(s3_gateway, anna, tmp_path / "home", "restic-bucket")
    there, back, chance = tmp_path / "there", tmp_path / "back", random.Random(64)
    plant(
        there,
        odd_files(60, engine=engine) | {f"large/{number}": chance.randbytes(8 * MIB) for number in range(8)},
    )
    run(RESTIC, "init")  # makes the bucket too
    run(RESTIC, "backup", there)
    (there / "large/3").unlink()
    plant(there, {"large/4": chance.randbytes(8 * MIB), "new ü": b"new", "plain": b"changed"})
    run(RESTIC, "backup", there)
    kept = run(RESTIC, "stats", "--mode", "raw-data", "--json")
    assert "no errors were found" in run(RESTIC, "check", "--read-data")
    run(RESTIC, "forget", "--keep-last", "1", "--prune")
    assert kept != run(RESTIC, "stats", "--mode", "raw-data", "--json")
    assert "no errors were found" in run(RESTIC, "check", "--read-data")
    run(RESTIC, "restore", "latest", "--target", back)
    assert "" == run("diff", "-r", there, back / there.relative_to("/"))
    assert tree_of(there) == tree_of(back / there.relative_to("/"))
    assert not any("locks/" in one["Key"] for one in s3.list_objects_v2(Bucket="restic-bucket")["Contents"])


def test_refusals_are_told(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str, tmp_path: Path
) -> None:
    run = command_line(s3_gateway, anna, tmp_path / "home", bucket)
    assert "repository does not exist" in run.refused(RESTIC, "snapshots")
    wrong = command_line(s3_gateway, with_wrong_secret(anna), tmp_path / "wrong", bucket)
    wrong_init = wrong.refused(RESTIC, "init", "--stuck-request-timeout", "20s")
    assert "signature" in wrong_init
