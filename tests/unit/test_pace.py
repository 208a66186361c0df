"""The floor under a transfer's speed: only waiting counts, window by window."""

from __future__ import annotations

import pytest

from gateway.pace import Pace, TooSlow


def test_a_transfer_at_the_floor_goes_on_and_one_byte_less_does_not() -> None:
    at_the_floor = Pace(window_s=10, bytes_per_s_min=100)
    for _ in range(30):
        at_the_floor.waited(5, moved_bytes=500)
    below = Pace(window_s=10, bytes_per_s_min=100)
    below.waited(5, moved_bytes=500)
    with pytest.raises(TooSlow):
        below.waited(5, moved_bytes=499)


def test_what_one_window_moved_is_no_merit_in_the_next() -> None:
    pace = Pace(window_s=10, bytes_per_s_min=100)
    pace.waited(10, moved_bytes=10**9)
    with pytest.raises(TooSlow):
        pace.waited(10, moved_bytes=10)


def test_bytes_that_come_without_waiting_count_for_their_window() -> None:
    pace = Pace(window_s=10, bytes_per_s_min=100)
    # Bursts: little is there when the wait ends, and the rest comes at once behind it.
    for _ in range(20):
        pace.waited(9, moved_bytes=1)
        pace.waited(0, moved_bytes=5000)
    assert pace_fails_after(pace, seconds=10, moved_bytes=0) == 2


def test_time_without_waiting_is_nobodys_fault() -> None:
    pace = Pace(window_s=10, bytes_per_s_min=100)
    for _ in range(1000):
        pace.waited(0, moved_bytes=0)
    assert pace_fails_after(pace, seconds=5, moved_bytes=0) == 2


def test_a_floor_of_zero_lets_everything_pass() -> None:
    assert pace_fails_after(Pace(window_s=1, bytes_per_s_min=0), seconds=1, moved_bytes=0) is None


def pace_fails_after(pace: Pace, *, seconds: float, moved_bytes: int) -> int | None:
    """The number of the wait that is one too many; None if a hundred are not."""
    for number in range(1, 101):
        try:
            pace.waited(seconds, moved_bytes=moved_bytes)
        except TooSlow:
            return number
    return None
