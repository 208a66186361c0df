"""How many months a co-op keeps, counted on the calendar."""

from __future__ import annotations

import pytest

from meter.retention import first_kept_month
from meter.window import Month

NOVEMBER_US = 1_795_521_600_000_000  # 2026-11-24T12:00:00Z, checked with `date -u -d @1795521600`
JANUARY_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z, checked with `date -u -d @1767225600`


@pytest.mark.parametrize(
    ("now_us", "keep_months", "first"),
    [
        (NOVEMBER_US, 0, "2026-11"),
        (NOVEMBER_US, 1, "2026-10"),
        (NOVEMBER_US, 10, "2026-01"),
        (NOVEMBER_US, 11, "2025-12"),
        (NOVEMBER_US, 18, "2025-05"),
        (JANUARY_US, 1, "2025-12"),
        (JANUARY_US - 1, 1, "2025-11"),
        (JANUARY_US, 18, "2024-07"),
    ],
)
def test_so_many_months_before_the_one_that_runs_are_kept(now_us: int, keep_months: int, first: str) -> None:
    assert Month.parse(first) == first_kept_month(now_us, keep_months=keep_months)
