"""Two calculations of a year's closing, written apart, agree on every cent of random co-ops.

`WEIR_CO_OPS=100000` runs more of them; the seeds are 0 and up, and a failure names its seed.
"""

import os
from collections import Counter

from tests.comparison import compare

CO_OPS = int(os.environ.get("WEIR_CO_OPS", "2500"))


def test_a_second_calculation_agrees_on_random_co_ops() -> None:
    print(f"seeds 0 to {CO_OPS - 1}")
    told = Counter(compare(seed) for seed in range(CO_OPS))
    print(dict(told))
    # Random co-ops that are nearly all refused would prove nothing.
    assert CO_OPS == told.total()
    assert told["refused"] * 4 < CO_OPS
    assert told["loss"] * 10 > CO_OPS
