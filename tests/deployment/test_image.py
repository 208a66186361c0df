"""The container image, without a container engine: linted, its build steps and its health check run as they stand."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.deployment.dockerfile import Stage, lets_in, stages
from tests.deployment.tools import has_nothing_to_say, tool
from tests.integration.s3_kit import eventually
from tests.ordinary import NOBODY, ROOT

BUILD_WITHIN_S = 280
START_WITHIN_S = 240
PYTHON = os.environ.get("WEIR_TEST_IMAGE_PYTHON", "/usr/bin/python3")
"""The machine's own, which any user may run; another one, to try the image's version."""


@pytest.fixture(scope="module")
def image() -> list[Stage]:
    return stages((ROOT / "Dockerfile").read_text())


def ignored() -> list[str]:
    return [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line]


def in_the_tree() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return listed.stdout.splitlines()


def test_hadolint_has_nothing_to_say() -> None:
    has_nothing_to_say(tool("hadolint"), ROOT / "Dockerfile")


def test_it_runs_as_an_ordinary_user_with_a_number_under_tini(image: list[Stage]) -> None:
    final = image[-1]
    (user,) = final.of("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    assert ["tini", "--", "weir"] == json.loads(final.of("ENTRYPOINT")[0])
    assert 1 == len(final.of("HEALTHCHECK"))
    # A name too, which PostgreSQL's peer authentication asks the user database for.
    assert any(f"useradd --uid {user.partition(':')[0]}" in step for step in final.of("RUN"))


def test_every_base_is_pinned_and_is_one(image: list[Stage]) -> None:
    assert 1 == len({stage.base for stage in image})
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", image[0].base)


def test_what_it_copies_is_let_in_and_what_is_private_is_not(image: list[Stage]) -> None:
    rules, tree = ignored(), in_the_tree()
    wanted = {one for rest in image[0].of("COPY") for one in rest.split()[:-1]}
    for one in wanted:
        inside = [path for path in tree if path == one or path.startswith(f"{one}/")]
        assert inside
        assert [] == [path for path in inside if not lets_in(rules, path)]
    let_in = {path.partition("/")[0] for path in tree if lets_in(rules, path)}
    assert wanted == let_in
    for private in (".git/config", ".venv/bin/python", "data/secret.key", "tests/conftest.py", "weir.toml", "meter/__pycache__/ids.pyc"):  # fmt: skip
        assert not lets_in(rules, private), private


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can build as another user")
@pytest.mark.skipif(not Path(PYTHON).exists(), reason=f"there is no {PYTHON}")
def test_its_build_steps_make_a_weir_that_serves_as_its_health_check_asks(
    image: list[Stage], tmp_path: Path
) -> None:
    # The folders above pytest's own are closed to others; this one is ours to open.
    place = Path(tempfile.mkdtemp(prefix="weir-test-image-", dir="/var/tmp"))
    os.chown(place, NOBODY, NOBODY)
    try:
        build(image[0], place)
        serve(image[-1], place, log=tmp_path / "log")
    finally:
        shutil.rmtree(place)


def user(place: Path) -> dict[str, object]:
    """Somebody who owns nothing but the place."""
    environment = {
        key: value for key, value in os.environ.items() if key.startswith("PIP_") or key.lower().endswith("_proxy")
    }  # fmt: skip
    environment |= {"HOME": str(place), "PATH": "/usr/local/bin:/usr/bin:/bin", "TMPDIR": str(place)}
    return {"user": NOBODY, "group": NOBODY, "extra_groups": [], "env": environment}


def build(stage: Stage, place: Path) -> None:
    """The steps of the first stage with other folders: /opt/weir and /src become the place's."""
    source = place / "src"
    for instruction, rest in stage.steps:
        if instruction == "COPY":
            *names, _ = rest.split()
            source.mkdir(exist_ok=True)
            for name in names:
                for path in in_the_tree():
                    if (path == name or path.startswith(f"{name}/")) and lets_in(ignored(), path):
                        (source / path).parent.mkdir(parents=True, exist_ok=True)
                        shutil.copy(ROOT / path, source / path)
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", source], check=True, timeout=60)
        elif instruction == "RUN":
            command = rest.replace("/opt/weir", str(place / "weir"))
            command = re.sub(r"^python ", f"{PYTHON} ", command)
            done = subprocess.run(
                ["/bin/sh", "-c", command], cwd=source if source.exists() else place, capture_output=True,
                text=True, timeout=BUILD_WITHIN_S, check=False, **user(place),
            )  # type: ignore[call-overload]  # fmt: skip
            assert 0 == done.returncode, (command, done.stdout + done.stderr)


def serve(stage: Stage, place: Path, *, log: Path) -> None:
    """Its command on a network of its own, so that its ports are the image's; then its health check; then a stop."""
    environment = {
        key: value.replace("/data", str(place / "data")) for key, value in stage.environment().items()
    }
    environment["PATH"] = f"{place}/weir/bin:/usr/bin:/bin"
    as_user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    command = [*json.loads(stage.of("ENTRYPOINT")[0])[2:], *json.loads(stage.of("CMD")[0])]
    line = 'ip link set lo up && exec "$@"'
    with log.open("wb") as output:
        running = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", line, "sh", *as_user, *command], env=environment, cwd=place,
            stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    asked = json.loads(stage.of("HEALTHCHECK")[0].partition("CMD ")[2])
    inside = ["nsenter", "--target", str(running.pid), "--net", "--", *as_user, *asked]

    def is_healthy() -> bool:
        assert running.poll() is None, log.read_text()
        return (
            0
            == subprocess.run(
                inside, env=environment, capture_output=True, timeout=60, check=False
            ).returncode
        )

    try:
        assert not is_healthy(), "the check cannot fail"
        assert eventually(is_healthy, within_s=START_WITHIN_S), log.read_text()
    finally:
        running.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert 0 == running.wait(120), log.read_text()
    assert time.monotonic() - began < 100
    assert "FORMAT" in {path.name for path in (place / "data").iterdir()}
