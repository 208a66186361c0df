"""`python -m tests.simulation --seeds 10000`: many seeds on every core; a failing one is printed with its trace."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time

from tests.simulation.run import Outcome, simulate

TRACES_MAX = 3


def main() -> int:
    """Entry point; 0 when every promise was kept."""
    asked = argparse.ArgumentParser(prog="tests.simulation", description=__doc__)
    asked.add_argument("--seeds", type=int, default=10_000)
    asked.add_argument("--first", type=int, default=0)
    asked.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    options = asked.parse_args()
    began, busy = time.monotonic(), 0.0
    seeds = range(options.first, options.first + options.seeds)
    failed: list[Outcome] = []
    records = 0
    with multiprocessing.Pool(options.processes) as pool:
        for done, seconds in pool.imap_unordered(measured, seeds, chunksize=20):
            records += done.records
            busy += seconds
            if done.complaints:
                failed.append(done)
                if len(failed) <= TRACES_MAX:
                    tell(done)
    print(
        f"{options.seeds} seeds from {options.first}, {records:,} records, {time.monotonic() - began:.0f} s, "
        f"{busy / options.seeds * 1000:.0f} ms of processor time a seed; failed: {len(failed)}"
    )
    if failed:
        print("add to tests/simulation/seeds.txt:", *sorted(one.seed for one in failed)[:20])
    return 1 if failed else 0


def measured(seed: int) -> tuple[Outcome, float]:
    """A seed's outcome, and the processor time it took."""
    began = time.process_time()
    return simulate(seed), time.process_time() - began


def tell(done: Outcome) -> None:
    """A failing seed, so that it can be understood."""
    print(f"--- seed {done.seed}")
    print("\n".join(done.trace[-60:]))
    print("\n".join(done.complaints[:20]), flush=True)


if __name__ == "__main__":
    sys.exit(main())
