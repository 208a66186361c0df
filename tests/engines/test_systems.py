"""The S3 systems that tests start are real, keep what they are given, and leave nothing running behind."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from gateway.storage.abilities import ENGINES, VERSITY
from tests.engines import versity
from tests.engines.ceph import Ceph
from tests.engines.place import REQUIRED, S3System, free_ports, need, running
from tests.engines.versity import PREPARE
from tests.integration.s3_kit import eventually

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["radosgw", "rclone_s3", "versity_s3"])
def system(request: pytest.FixtureRequest) -> S3System:
    """Each system in turn."""
    found: S3System = request.getfixturevalue(request.param)
    return found


def test_it_keeps_what_it_is_given(system: S3System) -> None:
    with closing(system.client()) as s3:
        s3.create_bucket(Bucket="kept")
        s3.put_object(Bucket="kept", Key="a/ü", Body=b"bytes", Metadata={"m": "v"})
        answer = s3.get_object(Bucket="kept", Key="a/ü")
        with answer["Body"] as body:
            # rclone writes the names of headers as Go does; HTTP knows no case.
            metadata = {name.lower(): value for name, value in answer["Metadata"].items()}
            assert (b"bytes", {"m": "v"}) == (body.read(), metadata)
        s3.delete_object(Bucket="kept", Key="a/ü")
        s3.delete_bucket(Bucket="kept")


def test_radosgw_writes_down_what_it_moved(radosgw: Ceph) -> None:
    with closing(radosgw.client()) as s3:
        s3.create_bucket(Bucket="logged")
        s3.put_object(Bucket="logged", Key="k", Body=b"x" * 12_345)
        with s3.get_object(Bucket="logged", Key="k")["Body"] as body:
            body.read()

    def is_written() -> bool:
        told = json.loads(radosgw.admin("usage", "show", "--show-log-entries=true"))
        rows = [
            (row["category"], row["bytes_sent"], row["bytes_received"], row["ops"])
            for entry in told["entries"]
            for bucket in entry["buckets"]
            if bucket["bucket"] == "logged"
            for row in bucket["categories"]
        ]
        return {("put_obj", 0, 12_345, 1), ("get_obj", 12_345, 0, 1)} <= set(rows)

    assert eventually(is_written, within_s=60)


def test_a_program_ends_with_its_block(tmp_path: Path) -> None:
    with running(("sleep", "600"), tmp_path / "log") as process:
        assert process.poll() is None
    assert process.poll() is not None


def test_a_program_ends_when_its_test_is_killed(tmp_path: Path) -> None:
    lines = (
        "import sys; from pathlib import Path; from tests.engines.place import running",
        "with running(('sleep', '600'), Path(sys.argv[1])) as one: print(one.pid, flush=True); sys.stdin.read()",
    )
    with subprocess.Popen(
        [sys.executable, "-c", "\n".join(lines), tmp_path / "log"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        sleeper = int(parent.stdout.readline())
        # Before it runs as what it becomes, the kernel has not been asked yet.
        comm = Path(f"/proc/{sleeper}/comm")
        assert eventually(lambda: comm.read_text() == "sleep\n")
        parent.send_signal(signal.SIGKILL)
    assert eventually(lambda: not _runs(sleeper))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_ports_are_all_different() -> None:
    assert 20 == len(set(free_ports(20)))


def test_without_its_program_a_test_is_skipped_by_name_and_in_ci_it_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(REQUIRED, raising=False)
    need("sh")
    with pytest.raises(pytest.skip.Exception, match="no-such-program-of-ours"):
        need("sh", "no-such-program-of-ours")
    monkeypatch.setenv(REQUIRED, "required")
    need("sh")
    with pytest.raises(pytest.fail.Exception, match="no-such-program-of-ours"):
        need("sh", "no-such-program-of-ours")


def test_versitygw_that_was_not_built_in_this_version_is_skipped_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(versity, "PREPARED", tmp_path)
    stamp = tmp_path / "versitygw.prepared"
    for text in ("", "another version"):
        stamp.write_text(text)
        with pytest.raises(pytest.skip.Exception, match="versitygw is not here"):
            versity.need_versity()
    stamp.write_bytes(PREPARE.read_bytes())
    versity.need_versity()


def test_versitygw_is_of_the_version_that_the_page_of_engines_names() -> None:
    (version,) = re.findall(r"^versitygw_version=v(\d+\.\d+)\.\d+$", PREPARE.read_text("utf-8"), re.MULTILINE)
    assert f"versitygw {version}, over a directory" == ENGINES[VERSITY]


def test_ci_asks_for_the_systems_and_installs_their_programs() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert f"export {REQUIRED}=required" in script
    packages = ("ceph-common", "ceph-mon", "ceph-osd", "radosgw", "haproxy", "chromium")
    assert [] == [package for package in packages if package not in script]
