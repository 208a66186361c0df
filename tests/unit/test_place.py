"""The data directory: one holder, a format number, and clear refusals."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from deploy.place import AlreadyRunning, DataRefused, check_format, held, holder, prepare
from tests.ordinary import as_nobody, interpreter

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
