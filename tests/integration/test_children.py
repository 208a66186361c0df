"""Real child processes: readiness, restarts, giving up, the parent's death, and output that stays bounded."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.aggregate import parse_snapshot
from deploy.children import Child, ChildFailed, ChildSpec
from deploy.keeper import Counted, GaveUp, keep, pause_s
from deploy.settings import DeploySettings
from meter.metrics import Registry
from tests.ordinary import ROOT

SETTINGS = DeploySettings(restart_pause_min_ms=10, restarts_max=2, child_start_timeout_s=5)


def child(data: Path, program: str, counted: Counted | None = None) -> Child:
    (data / "log").mkdir(exist_ok=True)
    spec = ChildSpec("worker", (sys.executable, "-c", program))
    return Child(spec, SETTINGS, data, take_metrics=(counted or Counted(SETTINGS)).take)


def ignore(_: str) -> None:
    """Nobody listens."""


async def test_a_child_is_ready_when_it_says_so_and_the_rest_is_logged(tmp_path: Path) -> None:
    one = child(tmp_path, "print('hello'); print('ready', flush=True); input_ = __import__('time').sleep(60)")
    await one.start()
    assert one.ready.is_set()
    await one.stop(timeout_s=5)
    assert -signal.SIGTERM == await one.wait()
    assert "hello\n" == (tmp_path / "log" / "worker.log").read_text()


async def test_a_child_that_ends_before_it_is_ready_fails_with_its_last_line(tmp_path: Path) -> None:
    one = child(tmp_path, "raise SystemExit('the index is damaged')")
    with pytest.raises(
        ChildFailed, match=r"worker did not start: the index is damaged; its log is .*worker.log"
    ):
        await one.start()


async def test_a_child_that_does_not_listen_is_ended(tmp_path: Path) -> None:
    program = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    )
    one = child(tmp_path, program)
    await one.start()
    await one.stop(timeout_s=0.1)
    assert -signal.SIGKILL == await one.wait()


async def test_an_ended_child_is_started_again_and_its_counts_are_kept(tmp_path: Path) -> None:
    counted, stopping, told = Counted(SETTINGS), asyncio.Event(), []
    program = (
        "import json, os, sys\n"
        "line = json.dumps({'counters': {'x_total': 5}, 'gauges': {}, 'histograms': {}})\n"
        "os.write(int(os.environ['WEIR_METRICS_FD']), line.encode() + b'\\n')\n"
        "print('ready', flush=True)\n"
        f"mark = {str(tmp_path / 'second')!r}\n"
        "if not os.path.exists(mark):\n"
        "    open(mark, 'w').close()\n"
        "    sys.exit(3)\n"
        "__import__('time').sleep(60)\n"
    )
    one = child(tmp_path, program, counted)
    await one.start()
    keeper = asyncio.create_task(keep(one, SETTINGS, counted, stopping=stopping, tell=told.append))
    async with asyncio.timeout(10):
        while counted.fleet.total().counters.get("x_total") != 10:
            await asyncio.sleep(0.01)
    assert {"worker": 1} == counted.restarts
    assert "worker ended with status 3; it is started again" == told[0]
    stopping.set()
    await one.stop(timeout_s=5)
    await keeper


async def test_a_child_that_keeps_ending_stops_everything_with_a_sentence(tmp_path: Path) -> None:
    one = child(tmp_path, "print('ready', flush=True)")
    counted = Counted(SETTINGS)
    await one.start()
    with pytest.raises(GaveUp, match="worker ended 3 times in a row"):
        await keep(one, SETTINGS, counted, stopping=asyncio.Event(), tell=ignore)


async def test_a_line_that_is_no_snapshot_is_counted_and_harms_nobody(tmp_path: Path) -> None:
    counted = Counted(SETTINGS)
    program = (
        "import os, signal; os.write(int(os.environ['WEIR_METRICS_FD']), b'nonsense\\n');"
        "print('ready', flush=True); signal.pause()"
    )
    one = child(tmp_path, program, counted)
    await one.start()
    await one.stop(timeout_s=30)
    assert 1 == counted.rejected


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from deploy.aggregate import parse_snapshot
from deploy.children import Child, ChildSpec
from deploy.settings import DeploySettings
async def main():
    spec = ChildSpec("worker", (sys.executable, "-c", "print('ready', flush=True); __import__('time').sleep(60)"))
    one = Child(spec, DeploySettings(), Path(sys.argv[1]), take_metrics=print)
    await one.start()
    print(one.process.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    (tmp_path / "log").mkdir()
    line = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    deadline = time.monotonic() + 5
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(pid)


def alive(pid: int) -> bool:
    try:
        return "\tZ" not in Path(f"/proc/{pid}/status").read_text().split("State:")[1].split("\n")[0]
    except FileNotFoundError:
        return False


async def test_a_talkative_childs_log_stays_bounded(tmp_path: Path) -> None:
    settings = DeploySettings(log_bytes_max=2**16)
    (tmp_path / "log").mkdir()
    program = "print('ready'); [print('x' * 999) for _ in range(200)]; print('y' * 200_000, flush=True)"
    spec = ChildSpec("worker", (sys.executable, "-c", program))
    one = Child(spec, settings, tmp_path, take_metrics=lambda name, line: None)
    await one.start()
    await one.wait()
    await one.stop(timeout_s=1)
    sizes = sorted(path.stat().st_size for path in (tmp_path / "log").iterdir())
    assert 2 == len(sizes)
    assert sizes[-1] <= 2**16 + 1


def test_the_pause_before_a_restart_doubles_up_to_its_limit() -> None:
    pauses = [pause_s(number, min_ms=200, max_s=2) for number in range(1, 7)]
    assert [0.2, 0.4, 0.8, 1.6, 2.0, 2.0] == pauses
    assert 2.0 == pause_s(10_000, min_ms=200, max_s=2)


def test_the_snapshot_the_meter_writes_is_the_one_we_read() -> None:
    registry = Registry()
    registry.add("x_total", 3)
    registry.histogram("h_seconds").observe(0.2)
    found = parse_snapshot(json.dumps(registry.snapshot()).encode(), series_max=10)
    assert {"x_total": 3} == found.counters
    assert 1 == found.histograms["h_seconds"].cumulative()[-1][1]
