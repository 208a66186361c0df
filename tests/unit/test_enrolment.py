"""Who may go on as a gateway: the last start, and nobody with a copy of its directory."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from gateway.enrolment import (
    Claim,
    Identity,
    Row,
    begin_start,
    decide,
    default_name,
    fresh_identity,
    is_name,
    place_of,
    read,
    started,
)
from meter.refusal import Refusal

A, B, C = UUID(int=1), UUID(int=2), UUID(int=3)
HERE, ELSEWHERE = "boot-1/1/7", "boot-2/1/7"
LEASE_S = 30


def row(start: UUID, *, place: str = HERE, seen_s: float = 1, has_stopped: bool = False) -> Row:
    return Row("gw", start, place, seen_s, has_stopped)


def kept(data: Path) -> Identity:
    found = read(data)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (None, Claim.NEW),
        # The lock of this very directory on this very boot: whoever had it is dead.
        (row(A), Claim.OURS),
        # Killed between telling PostgreSQL and noting that it was told.
        (row(B), Claim.OURS),
        # Another place, and it was seen a moment ago: it may live there.
        (row(A, place=ELSEWHERE), Claim.WAIT),
        (row(A, place=ELSEWHERE, seen_s=31), Claim.OURS),
        (row(A, place=ELSEWHERE, has_stopped=True), Claim.OURS),
        # Whatever else is so: another start came since.
        (row(C), Claim.COPY),
        (row(C, has_stopped=True, seen_s=10**6), Claim.COPY),
    ],
)
def test_only_the_last_start_goes_on(known: Row | None, expected: Claim) -> None:
    assert expected == decide(Identity(uuid4(), A, B), known, place=HERE, lease_s=LEASE_S)


def test_a_kill_at_any_step_of_a_start_leaves_a_directory_that_may_start_again(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    first = fresh_identity()
    known: Row | None = None
    for _ in range(3):
        fresh = begin_start(tmp_path, read(tmp_path) or first, known)
        assert first.id == fresh.id
        # Killed before PostgreSQL was told.
        assert decide(kept(tmp_path), known, place=HERE, lease_s=LEASE_S) is not Claim.COPY
        known = row(fresh.next)
        # Killed after it was told, and before that was noted.
        assert Claim.OURS is decide(kept(tmp_path), known, place=HERE, lease_s=LEASE_S)
        started(tmp_path, fresh)
        assert Claim.OURS is decide(kept(tmp_path), known, place=HERE, lease_s=LEASE_S)


def test_a_copy_made_before_the_last_start_is_refused(tmp_path: Path) -> None:
    copied = started(tmp_path, begin_start(tmp_path, fresh_identity(), None))
    second = started(tmp_path, begin_start(tmp_path, copied, row(copied.start)))
    assert Claim.COPY is decide(copied, row(second.start), place=HERE, lease_s=LEASE_S)


def test_a_damaged_file_is_refused_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "gateway.json").write_text("{}")
    with pytest.raises(Refusal, match="is damaged"):
        read(tmp_path)
    assert "{}" == (tmp_path / "gateway.json").read_text()


def test_two_directories_are_two_places(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert place_of(tmp_path / "a") != place_of(tmp_path / "b")


@pytest.mark.parametrize("host", ["gw-3.example.org", "GW 3", "-", "x" * 200, ""])
def test_a_name_made_of_the_host_s_is_a_name(host: str) -> None:
    made = default_name(host, A)
    assert is_name(made), made
    assert made != default_name(host, UUID(int=1 << 120))


@pytest.mark.parametrize("text", ["", "-a", "a-", "A", "a.b", "a" * 64])
def test_what_is_no_name(text: str) -> None:
    assert not is_name(text)
