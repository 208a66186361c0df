"""One child process of ours: started through the launcher, watched, its output logged, stopped.

It knows pipes, the line "ready" and signals; not what a child does, nor when it should be started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.logfile import LogFile, pump
from deploy.privilege import launched
from deploy.settings import DeploySettings
from meter.gate import GATE_VARIABLE
from meter.refusal import Refusal

PACKAGE_ROOT = Path(__file__).parents[1]
METRICS_VARIABLE = "WEIR_METRICS_FD"
LAST_WORDS_S = 2
"""A grandchild may hold the pipe open; we don't wait for it longer."""


class ChildFailed(Refusal):
    """A child did not become ready; the sentence has its last line and its log."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to run one child."""

    name: str
    """Unique; also the name of its log file."""
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to ours."""
    descriptors: tuple[int, ...] = ()
    """Inherited under the same numbers."""


def python_module(module: str) -> tuple[str, ...]:
    """The command that runs one of our rooms; -P keeps the working directory off the import path."""
    return (sys.executable, "-P", "-m", module)


TakeMetrics = Callable[[str, bytes], None]


class Child:
    """One child and, after its end, its successor."""

    def __init__(
        self, spec: ChildSpec, settings: DeploySettings, data: Path, *, take_metrics: TakeMetrics
    ) -> None:
        self.spec = spec
        self.ready = asyncio.Event()
        self.process: Process | None = None
        self._gate: int | None = None
        self._settings = settings
        self._take_metrics = take_metrics
        self._log = LogFile(data / "log" / f"{spec.name}.log", bytes_max=settings.log_bytes_max)
        self._readers: list[asyncio.Task[None]] = []

    @property
    def name(self) -> str:
        """As in its specification."""
        return self.spec.name

    @property
    def tail(self) -> list[str]:
        """The last lines it wrote."""
        return list(self._log.tail)

    async def launch(self) -> None:
        """Start its process, which loads and then waits at the gate."""
        self.ready.clear()
        self._log.tail.clear()
        reading, writing = os.pipe()
        gate, self._gate = os.pipe()
        # A child never waits for us to read its counters: a full pipe drops a line.
        os.set_blocking(writing, False)
        try:
            process = await self._spawn(writing, gate)
        except BaseException:
            os.close(reading)
            self._close_gate()
            raise
        finally:
            os.close(writing)
            os.close(gate)
        self.process = process
        assert process.stdout is not None
        metrics = await _reader(reading)
        self._readers = [
            asyncio.create_task(self._pump(process.stdout, self._take_line)),
            asyncio.create_task(
                self._pump(metrics, self._take_snapshot, self._settings.metrics_line_bytes_max)
            ),
        ]

    async def start(self) -> None:
        """Let it begin and wait for its line "ready". Raises ChildFailed; then it is not running."""
        if self._gate is None:
            await self.launch()
        process = self.process
        assert process is not None
        assert self._gate is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended already, and is waited for below
            os.write(self._gate, b"1")
        self._close_gate()
        await self._wait_until_ready(process)

    def _close_gate(self) -> None:
        if self._gate is not None:
            os.close(self._gate)
            self._gate = None

    async def wait(self) -> int:
        """Wait for its end and for its last words; the exit status, negative for a signal."""
        assert self.process is not None, "wait() before start()"
        status = await self.process.wait()
        if self._readers:
            _, left = await asyncio.wait(self._readers, timeout=LAST_WORDS_S)
            for reader in left:
                reader.cancel()
        self.ready.clear()
        return status

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens to one that has ended."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def stop(self, *, timeout_s: float) -> None:
        """Ask it to finish; after timeout_s seconds end it."""
        self._close_gate()
        if self.process is None:
            return
        self.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.wait(), timeout_s)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.wait()
        self._log.close()

    async def _spawn(self, metrics: int, gate: int) -> Process:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(PACKAGE_ROOT), os.environ.get("PYTHONPATH")])),
            "PYTHONUNBUFFERED": "1",
            METRICS_VARIABLE: str(metrics),
            GATE_VARIABLE: str(gate),
            **self.spec.environment,
        }
        return await asyncio.create_subprocess_exec(
            *launched(self.spec.command, death_signal=signal.SIGKILL),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env=environment,
            pass_fds=(metrics, gate, *self.spec.descriptors),
            # A session of its own: Ctrl-C on the terminal is for us, and we stop them in order.
            start_new_session=True,
        )

    async def _wait_until_ready(self, process: Process) -> None:
        ready = asyncio.create_task(self.ready.wait())
        ended = asyncio.create_task(process.wait())
        try:
            await asyncio.wait(
                {ready, ended},
                timeout=self._settings.child_start_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            ready.cancel()
            ended.cancel()
        if process.returncode is not None and self._readers:
            # Its last words may be "ready": it was, and its end is seen by whoever keeps it.
            await asyncio.wait(self._readers, timeout=LAST_WORDS_S)
        if self.ready.is_set():
            return
        late = process.returncode is None
        self.signal(signal.SIGKILL)
        await self.wait()
        raise self._failure(late=late)

    def _failure(self, *, late: bool) -> ChildFailed:
        lines = [line for line in self._log.tail if line.strip()]
        last = lines[-1] if lines else "it said nothing"
        limit = self._settings.child_start_timeout_s
        what = f"was not ready within {limit} s (setting child_start_timeout_s)" if late else "did not start"
        return ChildFailed(f"{self.spec.name} {what}: {last}; its log is {self._log.path}")

    async def _pump(
        self,
        stream: asyncio.StreamReader,
        take: Callable[[bytes], None],
        line_bytes_max: int | None = None,
    ) -> None:
        await pump(stream, take, line_bytes_max=line_bytes_max or self._settings.log_line_bytes_max)

    def _take_line(self, line: bytes) -> None:
        if line.strip() == b"ready":
            self.ready.set()
        else:
            self._log.write(line)

    def _take_snapshot(self, line: bytes) -> None:
        self._take_metrics(self.spec.name, line)


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    return reader


async def all_at_once(steps: Iterable[Coroutine[None, None, None]]) -> None:
    """Run steps together; the first one that fails cancels the others, and its error is raised alone."""
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except* Refusal as failures:
        first = failures.exceptions[0]
    else:
        return
    raise first
