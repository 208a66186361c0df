"""The Ansible role, linted and played for real, twice, on a machine of its own; what it made then serves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployment.machine import Machine, booted, missing, place_for
from tests.deployment.tools import has_nothing_to_say, tool
from tests.ordinary import ROOT

PLACE = ROOT / "deploy" / "ansible"
PLAY_WITHIN_S = 280
FROM_SETTINGS = ("--start-at-task", "Write the settings")
PACKAGES_WITHIN_S = 280
INSIDE = "/srv/wheels"
SECRET = "hunter2-of-the-mail-server"


def test_ansible_lint_finds_nothing(tmp_path: Path) -> None:
    lint = tool("ansible-lint")
    path = f"{Path(lint).parent}:/usr/bin:/bin"
    has_nothing_to_say(
        lint, "--offline", "--project-dir", PLACE, PLACE / "site.yml", PLACE / "roles", PATH=path, HOME=str(tmp_path),
        ANSIBLE_HOME=str(tmp_path),
    )  # fmt: skip


def test_the_example_of_an_inventory_can_be_played(tmp_path: Path) -> None:
    play = tool("ansible-playbook")
    has_nothing_to_say(play, "-i", PLACE / "inventory.example.yml", "--syntax-check", PLACE / "site.yml", ANSIBLE_HOME=str(tmp_path))  # fmt: skip


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, and all that it needs."""
    place = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    for words in (
        ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(place), str(ROOT)],
        [
            "download",
            "--require-hashes",
            "--requirement",
            str(ROOT / "requirements.txt"),
            "--dest",
            str(place),
        ],
    ):
        done = subprocess.run(
            [*pip, *words], capture_output=True, text=True, timeout=PACKAGES_WITHIN_S, check=False
        )
        assert 0 == done.returncode, done.stderr
    return place


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Iterator[Machine]:
    """One with nothing of Weir on it, and no way out; the wheels lie where pip is told to look."""
    if (why := missing()) is not None:
        pytest.skip(why)
    tool("ansible-playbook")
    with booted(place_for(tmp_path_factory.mktemp("ansible"), "weir-test-ansible"), with_weir=False) as one:
        inside = one.path(INSIDE)
        inside.mkdir()
        one.run("sh", "-c", f"mount -t tmpfs tmpfs {INSIDE}")
        for wheel in wheels.iterdir():
            (inside / wheel.name).write_bytes(wheel.read_bytes())
        yield one


def play(machine: Machine, *words: str, **settings: object) -> tuple[int, int, str]:
    """(what was done, what was changed, everything that was said) of one run of the playbook."""
    (wheel,) = (path.name for path in machine.path(INSIDE).glob("weir-*.whl"))
    variables = {
        "ansible_become": False, "ansible_python_interpreter": "/usr/bin/python3",
        "weir_wheel": f"{INSIDE}/{wheel}", "weir_pip_extra_args": f"--no-index --find-links {INSIDE}",
        "weir_settings": {"workers": 1, "child_start_timeout_s": 300, "gateway_name": "played", **settings},
        "weir_credentials": {"smtp_password": SECRET}, "weir_backup_passphrase": "a sentence on paper",
    }  # fmt: skip
    machine.write("/srv/variables.json", json.dumps(variables))
    machine.write("/srv/hosts", "[weir]\nlocalhost ansible_connection=local\n")
    said = machine.run(
        "env", "ANSIBLE_HOME=/srv/ansible", "ANSIBLE_NOCOLOR=1", "ANSIBLE_PIPELINING=1", "HOME=/root", tool("ansible-playbook"),
        "-i", "/srv/hosts", "-e", "@/srv/variables.json", str(PLACE / "site.yml"), *words, check=False, timeout_s=PLAY_WITHIN_S,
    )  # fmt: skip
    recap = re.search(r"localhost +: ok=(\d+) +changed=(\d+) +unreachable=0 +failed=(\d+)", said)
    assert recap is not None, said
    return int(recap[1]), -1 if int(recap[3]) else int(recap[2]), said


def test_a_first_run_makes_a_co_op_a_second_changes_nothing_and_the_doctor_is_content(
    machine: Machine,
) -> None:
    done, changed, said = play(machine)
    assert changed > 10, said + machine.journal()
    assert SECRET not in said
    assert "active" == machine.property("weir", "ActiveState")
    assert json.loads(machine.answer("http://127.0.0.1:9002/readyz"))["ready"]

    started = machine.property("weir", "ExecMainStartTimestampMonotonic")
    again, changed, said = play(machine)
    assert 0 == changed, said
    assert again <= done
    assert started == machine.property("weir", "ExecMainStartTimestampMonotonic")

    looked = machine.run("/usr/local/sbin/weir", "doctor", check=False)
    assert "failure" not in looked.lower(), looked
    # The command for people has the secrets of the service.
    (password,) = (line for line in machine.run("/usr/local/sbin/weir", "config", "show").splitlines() if "smtp_password" in line)  # fmt: skip
    assert "***" in password
    timers = ("weir-backup.timer", "weir-backup-verify.timer", "weir-audit.timer")
    assert {"enabled"} == {machine.property(one, "UnitFileState") for one in timers}


def test_a_wrong_setting_stops_before_anything_is_touched(machine: Machine) -> None:
    before = machine.path("/etc/weir/weir.toml").read_text()
    started = machine.property("weir", "ExecMainStartTimestampMonotonic")
    _, changed, said = play(machine, *FROM_SETTINGS, gatway_port=1)
    assert -1 == changed
    assert "did you mean gateway_port?" in said
    assert before == machine.path("/etc/weir/weir.toml").read_text()
    assert started == machine.property("weir", "ExecMainStartTimestampMonotonic")


def test_a_changed_setting_is_in_force_after_one_restart(machine: Machine) -> None:
    started = machine.property("weir", "ExecMainStartTimestampMonotonic")
    _, changed, said = play(machine, *FROM_SETTINGS, gateway_name="renamed")
    # The file, and the handler that starts Weir again.
    assert 2 == changed, said
    assert started != machine.property("weir", "ExecMainStartTimestampMonotonic")
    listed = json.loads(machine.run("/usr/local/sbin/weir", "gateway", "list", "--json"))["gateways"]
    assert ["renamed"] == [one["name"] for one in listed]
