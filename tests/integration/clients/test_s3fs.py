"""s3fs, in an environment of its own: it needs an older botocore than boto3 does here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gateway import Credentials, RunningGateway
from tests.integration.clients.kit import (
    HERE,
    PREPARED,
    CommandLine,
    needs,
    settings,
    with_wrong_secret,
)
from tests.integration.s3_kit import fetch

CLIENT = "s3fs"
PYTHON = PREPARED / "s3fs" / "bin" / "python"
pytestmark = [
    needs(CLIENT, "s3fs", decided_by=HERE / "s3fs.txt"),
    pytest.mark.every_engine,
]


def play(scenario: str, bucket: str, url: str, credentials: Credentials, directory: Path) -> str:
    """Run a scenario with the page's settings; what it printed."""
    page = directory / "page.py"
    page.write_text(settings(CLIENT, url, credentials))
    return CommandLine(directory / "home")(
        PYTHON, HERE / "s3fs_scenarios.py", page, scenario, bucket, directory
    )


@pytest.mark.parametrize("scenario", ["blocks", "names"])
def test_it_reads_and_writes(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str, tmp_path: Path, scenario: str
) -> None:
    play(scenario, bucket, s3_gateway.url, anna, tmp_path)


@pytest.mark.journey
def test_a_tree_goes_there_and_back_and_a_link_needs_no_key(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str, tmp_path: Path
) -> None:
    link = play("trees", bucket, s3_gateway.url, anna, tmp_path)
    assert b"plain" * 1000 == fetch(link.strip()).body


def test_refusals_are_told(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str, tmp_path: Path
) -> None:
    assert f"{bucket}/gone" in play("gone", bucket, s3_gateway.url, anna, tmp_path)
    told = play("refused", bucket, s3_gateway.url, with_wrong_secret(anna), tmp_path)
    assert "signature we calculated does not match" in told
