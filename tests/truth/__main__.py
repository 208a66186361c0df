"""`python -m tests.truth --kills 1000 --seed N`: the ground truth at full size, and its table of faults."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.truth.report import table
from tests.truth.rig import ground_truth


def main() -> int:
    """Entry point; 0 when every promise was kept."""
    asked = argparse.ArgumentParser(prog="tests.truth", description=__doc__)
    asked.add_argument("--kills", type=int, default=1000)
    asked.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    asked.add_argument("--clients", type=int, default=12)
    asked.add_argument("--workers", type=int, default=2)
    asked.add_argument("--minutes", type=float, default=24 * 60.0, help="end earlier after so long")
    options = asked.parse_args()
    print(f"seed {options.seed}", flush=True)
    began = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began:7.0f} s  {line}", flush=True)

    with tempfile.TemporaryDirectory(prefix="weir-truth-") as name:
        done = ground_truth(
            Path(name), kills=options.kills, seed=options.seed, clients=options.clients,
            workers=options.workers, tell=tell, minutes=options.minutes,
        )  # fmt: skip
    print(table(done))
    return 1 if done.reckoning.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
