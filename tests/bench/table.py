"""How figures are taken and shown: in pairs, in turn, with the base each is compared to."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 7
SECONDS = 3.0
CONNECTIONS = 16


def show(name: str, figure: str, base: str, ratio: float, goal: str) -> None:
    """One line of the table."""
    print(f"{name:<44} {figure:>22} {base:>30} {ratio:>8.3f}  {goal}", flush=True)


def paired(figure: Callable[[], float], base: Callable[[], float]) -> tuple[float, float, float]:
    """Medians of both and of the ratios pair by pair, after one warm-up each."""
    figure()
    base()
    pairs = [(figure(), base()) for _ in range(ROUNDS)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def load(port: int, requests: Sequence[bytes], body_bytes: int) -> float:
    """Answers a second, the requests sent in turn over and over."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load", str(port), str(body_bytes), str(CONNECTIONS), str(SECONDS)],
        input=b"".join(requests), stdout=subprocess.PIPE, cwd=ROOT, check=True,
    )  # fmt: skip
    return float(done.stdout)


def cpu_us(process: int) -> float:
    """What a process has used of the processors so far, all its threads, in microseconds."""
    ticks = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(ticks[11]) + int(ticks[12])) * 1e6 / os.sysconf("SC_CLK_TCK")


def cost(process: int, port: int, requests: Sequence[bytes], body_bytes: int) -> float:
    """Microseconds of processor time an answer: steadier than a rate, and blind to who sends the load."""
    used = cpu_us(process)
    rate = load(port, requests, body_bytes)
    return (cpu_us(process) - used) / (rate * SECONDS)
