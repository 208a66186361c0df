"""What the tests of clients share: settings as docs/clients.md prints them, odd names, trees, other programs."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.storage.abilities import DISK, Ability, can
from tests.gateway import Credentials
from tests.integration.s3_kit import BIN

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PREPARED = ROOT / ".clients"
"""Where tests/integration/clients/prepare puts what is no package of the test environment."""
PAGE = ROOT / "docs" / "clients.md"
MIB = 2**20
LARGE = random.Random(17).randbytes(17 * MIB + 17)
"""Above every client's part size."""
ODD_KEYS = (
    "plain", "with space/a b.txt", "plus+and%2Bpercent%.txt", "ümlaut/日本語/\U0001f600", "e\u0301 and é",
    "quote's \"and\" <tags> & more;", "hash#query?=x", "-dash", ".hidden/.file", "back\\slash",
    "~tilde*star[1]{2}", "comma,colon:at@=$!()", "...", "tab\there",
)  # fmt: skip
"""Names that a file can have too."""
WILD_KEYS = ("double//slash", "/leading", "trailing/", "dot/./and/../dot", "//")
"""Names that only an object can have."""
CONTROL = "tab\there"
"""The odd name that no engine takes whose keys are names of files everywhere."""


def odd_keys(engine: str) -> tuple[str, ...]:
    """The odd names that an engine can keep."""
    return ODD_KEYS if can(engine, Ability.ANY_KEY) else tuple(key for key in ODD_KEYS if key != CONTROL)


def link_key(engine: str) -> str:
    """A name that a link has to write otherwise, as wild as the engine can keep it."""
    return "a b+ü//c" if can(engine, Ability.ANY_KEY) else "a b+ü/c"


def came_in_parts(etag: str, count: int, engine: str) -> bool:
    """Whether the ETag says so many parts, where the engine's ETags do."""
    return etag.endswith(f'-{count}"') == can(engine, Ability.PARTS_ETAG)


def needs(client: str, prepared: str, *, decided_by: Path) -> pytest.MarkDecorator:
    """Skip a client by its name if it was not prepared, or not in the version that is locked."""
    stamp = PREPARED / f"{prepared}.prepared"
    there = stamp.exists() and stamp.read_bytes() == decided_by.read_bytes()
    return pytest.mark.skipif(not there, reason=f"{client} is not here: `make clients` fetches it")


def sha256(data: bytes | Path) -> str:
    """Of bytes, or of a file."""
    return hashlib.sha256(data.read_bytes() if isinstance(data, Path) else data).hexdigest()


def settings(client: str, url: str, credentials: Credentials, *, bucket: str = "") -> str:
    """The first block of the client's chapter on the page, with this endpoint, key and bucket in it."""
    chapter = PAGE.read_text("utf-8").split(f"\n## {client}\n")[1].split("\n## ")[0]
    block = re.findall(r"^```\w+\n(.*?)^```", chapter, re.MULTILINE | re.DOTALL)[0]
    places = {
        "http://127.0.0.1:9000": url,
        "127.0.0.1:9000": url.partition("://")[2],
        "port: 9000": f"port: {url.rpartition(':')[2]}",
        "YOUR-ACCESS-KEY": credentials.access_key,
        "YOUR-SECRET-KEY": credentials.secret_key,
        "my-bucket": bucket,
    }
    for written, real in places.items():
        block = block.replace(written, real)
    return block


def made_by_page(client: str, url: str, credentials: Credentials) -> dict[str, Any]:
    """What the Python of the client's chapter makes, by name."""
    made: dict[str, Any] = {}
    exec(settings(client, url, credentials), made)  # noqa: S102 - our own page
    return made


def exported(shell: str) -> dict[str, str]:
    """The variables that lines of `export NAME=value …` set."""
    words = [word for line in shell.splitlines() for word in shlex.split(line.removeprefix("export "))]
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def with_wrong_secret(credentials: Credentials) -> Credentials:
    """The same key, and a secret that is not its own."""
    return Credentials(credentials.member, credentials.name, credentials.access_key, "w" * 40)


@dataclass
class CommandLine:
    """Runs programs with a home of their own."""

    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.mkdir(exist_ok=True)

    def tried(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run it; how it ended."""
        environment = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return subprocess.run(
            [str(word) for word in words], env=environment | self.variables, capture_output=True, text=True,
            timeout=120,
        )  # fmt: skip

    def __call__(self, *words: str | Path) -> str:
        """Run it to a good end; what it printed."""
        done = self.tried(*words)
        assert 0 == done.returncode, done.stdout + done.stderr
        return done.stdout + done.stderr

    def refused(self, *words: str | Path) -> str:
        """Run it to a bad end; what it printed."""
        done = self.tried(*words)
        assert 0 != done.returncode, done.stdout + done.stderr
        return done.stdout + done.stderr


@dataclass(frozen=True)
class Node:
    """Runs scenarios of node/*.cjs with the settings of the page."""

    client: str
    scenarios: str
    url: str
    credentials: Credentials
    directory: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __call__(self, scenario: str, bucket: str, **given: Any) -> Any:
        """What the scenario returned."""
        made = self.directory / "settings.cjs"
        made.write_text(settings(self.client, self.url, self.credentials) + "\nmodule.exports = { s3 };\n")
        modules = {"NODE_PATH": str(PREPARED / "node" / "node_modules")}
        run = CommandLine(self.directory / "home", modules | self.variables)
        words = (HERE / "node" / "run.cjs", made, HERE / "node" / self.scenarios, scenario, bucket)
        done = run.tried("node", *words, json.dumps(given))
        assert 0 == done.returncode, done.stdout + done.stderr
        return json.loads(done.stdout)


def tree_of(directory: Path) -> dict[str, str]:
    """Every file under it, by name, as its SHA-256."""
    return {str(path.relative_to(directory)): sha256(path) for path in directory.rglob("*") if path.is_file()}


def plant(directory: Path, files: dict[str, bytes]) -> None:
    """Write them."""
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def odd_files(count: int, *, seed: int = 300, engine: str = DISK) -> dict[str, bytes]:
    """That many files: all odd names that the engine can keep, and plain ones in odd directories."""
    chance = random.Random(seed)
    files = {name: name.encode() for name in odd_keys(engine)} | {"empty": b""}
    for number in range(count - len(files)):
        name = f"dir {number % 7}/sub+{number % 3} é/file-{number} ü&.bin"
        files[name] = chance.randbytes(chance.choice((0, 1, 5000, 70_000)))
    return files
