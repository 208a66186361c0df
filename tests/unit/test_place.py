"""The data directory: one holder, a format number, and clear refusals."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from deploy.cli import run
from deploy.commands.ship import locate
from deploy.place import AlreadyRunning, DataRefused, check_format, check_owner, held, holder, prepare
from tests.ordinary import NOBODY, as_nobody, interpreter

HOLD_AND_SAY_SO = """
import sys
from pathlib import Path
from deploy.place import held
with held(Path(sys.argv[1]), kind=sys.argv[2], timeout_s=1) as hold:
    hold.tell({"gateway_url": "http://127.0.0.1:1"})
    print("held", flush=True)
    sys.stdin.read()
"""


def start_holder(data: Path, kind: str) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD_AND_SAY_SO, str(data), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    assert b"held\n" == child.stdout.readline()
    return child


def test_a_second_start_refuses_and_names_the_process(tmp_path: Path) -> None:
    with start_holder(tmp_path, "up") as first:
        with pytest.raises(AlreadyRunning) as refused, held(tmp_path, kind="up", timeout_s=5):
            pass
        assert f"Weir already runs on {tmp_path}, as process {first.pid}" == str(refused.value)
        assert first.stdin is not None
        first.stdin.close()


def test_a_command_waits_for_another_command_only_so_long(tmp_path: Path) -> None:
    with start_holder(tmp_path, "command") as first:
        with pytest.raises(AlreadyRunning, match=f"in use by process {first.pid}"):
            with held(tmp_path, kind="up", timeout_s=0.1):
                pass
        assert first.stdin is not None
        first.stdin.close()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    with start_holder(tmp_path, "up") as first:
        told = holder(tmp_path)
        assert told is not None
        assert (first.pid, "up", "http://127.0.0.1:1") == (told.pid, told.kind, told.facts["gateway_url"])
        first.kill()
    assert holder(tmp_path) is None
    with held(tmp_path, kind="up", timeout_s=0):
        pass


def test_a_directory_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "FORMAT").write_text("999\n")
    with pytest.raises(DataRefused, match="written by a newer Weir"):
        check_format(tmp_path)


def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "FORMAT").write_text("ext4")
    with pytest.raises(DataRefused, match="holds no format number"):
        check_format(tmp_path)


def test_a_new_directory_gets_the_format_number_and_is_accepted_again(tmp_path: Path) -> None:
    check_format(tmp_path)
    check_format(tmp_path)
    assert "1\n" == (tmp_path / "FORMAT").read_text()


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(DataRefused, match="must be a directory"):
        prepare(tmp_path / "data")


def test_an_unwritable_directory_is_refused_with_a_sentence() -> None:
    program = "import sys; from deploy.place import prepare; from pathlib import Path\n"
    program += "try:\n    prepare(Path(sys.argv[1]))\nexcept Exception as error:\n    print(error)"
    python = interpreter()
    if python is None:
        pytest.skip("no Python on this machine that an ordinary user may run")
    with tempfile.TemporaryDirectory(prefix="weir-") as name:
        closed = Path(name)
        closed.chmod(0o555)
        line = [python, "-c", program, str(closed / "data")]
        told = subprocess.run(line, capture_output=True, text=True, check=True, **as_nobody()).stdout
        closed.chmod(0o755)
    assert f"the data directory {closed / 'data'} cannot be made: Permission denied\n" == told


def test_a_holder_is_known_where_proc_hides_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a unit with ProtectProc=invisible, whose processes see none of another unit's."""
    monkeypatch.setattr(Path, "exists", lambda path: not str(path).startswith("/proc/"))
    with start_holder(tmp_path, "up") as first:
        found = holder(tmp_path)
        assert found is not None
        assert first.pid == found.pid
        assert first.stdin is not None
        first.stdin.close()


def another_user(monkeypatch: pytest.MonkeyPatch) -> int:
    """From here on the kernel seems to say that we are somebody else; who that is."""
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    return other


def test_another_users_co_op_is_refused_and_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_format(tmp_path)
    us = os.geteuid()
    other = another_user(monkeypatch)
    for way in (check_owner, prepare):
        with pytest.raises(DataRefused) as refused:
            way(tmp_path)
        sentence = (
            f"{tmp_path} belongs to user {us}, and you are {other}: run this as the user who runs `weir up`"
        )
        assert sentence == str(refused.value)
    assert ["FORMAT"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a directory away")
def test_a_mounted_directory_of_another_user_is_ours_when_the_format_in_it_is(tmp_path: Path) -> None:
    """As a volume of Kubernetes with fsGroup: root's directory, the container's files."""
    check_format(tmp_path)
    os.chown(tmp_path, NOBODY, NOBODY)
    check_owner(tmp_path)
    assert prepare(tmp_path) == tmp_path


COMMANDS = (
    ["secret", "rotate"],
    ["backup", "take", "PLACE", "--passphrase-file", "PASS"],
    ["backup", "prune", "PLACE", "--keep", "1", "--passphrase-file", "PASS"],
    ["usage", "anna"],
    ["status"],
    ["up"],
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_of_another_user_leaves_nothing_behind(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a PostgreSQL over TCP nothing else stops root."""
    data, place, passphrase = tmp_path / "data", tmp_path / "place", tmp_path / "pass"
    data.mkdir()
    check_format(data)
    passphrase.write_text("a long passphrase that nobody guesses\n")
    monkeypatch.setenv("WEIR_DATA", str(data))
    monkeypatch.setenv("WEIR_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    another_user(monkeypatch)
    named = {"PLACE": str(place), "PASS": str(passphrase)}
    assert 2 == run([named.get(word, word) for word in words])
    assert "run this as the user who runs `weir up`" in capsys.readouterr().err
    assert ["FORMAT"] == [path.name for path in data.iterdir()]
    assert not place.exists()


def test_the_directory_of_a_dead_gateway_may_be_another_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`weir ship` works on a disk from another machine."""
    (tmp_path / "journal").mkdir()
    check_format(tmp_path)
    another_user(monkeypatch)
    assert tmp_path == locate(tmp_path).data
