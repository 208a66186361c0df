"""What was told once is told again for seconds, to the same form of the same member, and to nothing else."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from billing.portal import just_made
from billing.portal.just_made import COUNT_MAX, KEPT_US, JustMade
from meter.ids import MemberId
from meter.refusal import Refusal

ANNA, BEN = MemberId(1), MemberId(2)


def run(*asked: tuple[MemberId, str, int]) -> list[int]:
    """Which making each was told; they come one after the other."""
    made, numbers = JustMade[int](), count(1)

    async def make() -> int:
        return next(numbers)

    async def all_of_them() -> list[int]:
        return [await made.once(make, member=who, form=form, now_us=now) for who, form, now in asked]

    return asyncio.run(all_of_them())


def test_the_same_form_of_the_same_member_is_told_the_same_for_so_long() -> None:
    assert [1, 1, 1, 2] == run((ANNA, "a", 0), (ANNA, "a", 1), (ANNA, "a", KEPT_US - 1), (ANNA, "a", KEPT_US))


def test_another_form_or_member_or_none_at_all_is_told_its_own() -> None:
    assert [1, 2, 3, 4] == run((ANNA, "a", 0), (ANNA, "b", 0), (BEN, "a", 0), (ANNA, "", 0))
    assert [1, 2] == run((ANNA, "", 0), (ANNA, "", 0))


def test_a_clock_that_was_set_back_lets_go() -> None:
    assert [1, 2] == run((ANNA, "a", 10), (ANNA, "a", 9))


def test_of_too_many_the_oldest_is_let_go() -> None:
    asked = [(ANNA, str(number), 0) for number in range(COUNT_MAX + 1)]
    told = run(*asked, (ANNA, "1", 0), (ANNA, "0", 0))
    assert [2, COUNT_MAX + 2] == told[-2:]


def test_two_at_once_are_made_one_after_the_other() -> None:
    made, inside = JustMade[str](), list[int]()

    async def make() -> str:
        inside.append(1)
        await asyncio.sleep(0)
        return f"making {len(inside)}"

    async def both() -> list[str]:
        return list(
            await asyncio.gather(*(made.once(make, member=ANNA, form="a", now_us=0) for _ in range(2)))
        )

    assert ["making 1"] * 2 == asyncio.run(both())


def test_an_idle_portal_lets_go_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(just_made, "KEPT_S", 0)

    async def idle() -> int:
        made, numbers = JustMade[int](), count(1)

        async def make() -> int:
            return next(numbers)

        await made.once(make, member=ANNA, form="a", now_us=0)
        let_go = asyncio.Event()
        asyncio.get_running_loop().call_later(0, let_go.set)
        await let_go.wait()
        return await made.once(make, member=ANNA, form="a", now_us=0)

    assert 2 == asyncio.run(idle())


def test_a_refusal_is_not_kept() -> None:
    made = JustMade[str]()

    async def refuse() -> str:
        raise Refusal("no")

    async def make() -> str:
        return "made"

    async def one_then_the_other() -> str:
        with pytest.raises(Refusal):
            await made.once(refuse, member=ANNA, form="a", now_us=0)
        return await made.once(make, member=ANNA, form="a", now_us=0)

    assert "made" == asyncio.run(one_then_the_other())
