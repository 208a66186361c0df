"""Some hundred seeds in CI, those that once failed, and four bugs planted to see that the check can fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from meter import frame, journal
from meter.journal import Segment
from meter.ongoing import Ongoing
from meter.tally import Tally
from tests.simulation import database
from tests.simulation.run import simulate

SEEDS = [
    int(line.split("#")[0])
    for line in (Path(__file__).parent / "seeds.txt").read_text().splitlines()
    if line.split("#")[0].strip()
]
FIRST, RUNS, BLOCKS = 2000, 200, 10
PLANTED_RUNS = 400


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_promise_is_kept_in_these_seeds(block: int) -> None:
    """The same ones each time: new ones are for `make simulation`, so that what fails here was broken here."""
    for number in range(FIRST + block, FIRST + RUNS, BLOCKS):
        done = simulate(number)
        assert [] == done.complaints, f"simulation seed {done.seed}\n" + "\n".join(done.trace[-60:])


@pytest.mark.parametrize("number", SEEDS)
def test_a_seed_that_once_failed_does_not_again(number: int) -> None:
    assert [] == simulate(number).complaints


def test_a_seed_is_the_same_each_time() -> None:
    assert [simulate(number) for number in range(6)] == [simulate(number) for number in range(6)]


def _sums_without_the_place(patch: pytest.MonkeyPatch) -> None:
    """The sums are committed by themselves, before the stream's place."""

    async def add_at_once(connection: database.Connection, sums: Tally) -> None:
        connection.is_in_transaction = False
        await real(connection, sums)
        connection.is_in_transaction = True

    real = database.add_tally
    patch.setattr(database, "add_tally", add_at_once)


def _a_place_counted_twice(patch: pytest.MonkeyPatch) -> None:
    """Recovery takes each place of an open exchange for two."""
    real = Ongoing.left_over
    patch.setattr(Ongoing, "left_over", lambda self: real(self) * 2)


def _told_before_it_is_on_disk(patch: pytest.MonkeyPatch) -> None:
    """Readers are told that records are on the disk before they are."""
    real = Segment.sync

    def sync(self: Segment) -> int:
        self.map[frame.SYNCED_AT : frame.SYNCED_AT + 8] = self.count.to_bytes(8, "little")
        return real(self)

    patch.setattr(Segment, "sync", sync)


def _held_is_final(patch: pytest.MonkeyPatch) -> None:
    """A record whose answer may not have left looks like any other."""
    patch.setattr(frame, "HELD", 0)
    patch.setattr(journal, "_HELD", 0)


@pytest.mark.parametrize(
    "plant", [_sums_without_the_place, _a_place_counted_twice, _told_before_it_is_on_disk, _held_is_final]
)
def test_the_check_sees_a_planted_bug(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert any(simulate(number).complaints for number in range(PLANTED_RUNS)), "no seed saw it"
