"""What was told once, for seconds, in this process's memory alone: a button pressed twice tells it again.

A secret, a token or a receipt stands in one answer, and a browser shows the second. It does not know what it keeps. Of
who sent which form there is a digest, whose form's random name is nowhere else. Another process knows nothing of it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

from meter.ids import MemberId

Told = TypeVar("Told")
KEPT_S = 30
KEPT_US = KEPT_S * 10**6
COUNT_MAX = 1_000


def as_sent(form: Mapping[str, object]) -> str:
    """A form with all that was chosen in it, as one text."""
    return repr(sorted((name, str(value)) for name, value in form.items()))


class JustMade(Generic[Told]):
    """Answers of the last KEPT_US, at most COUNT_MAX; of more the oldest is let go."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[int, Told]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def once(
        self, make: Callable[[], Awaitable[Told]], *, member: MemberId, form: str, now_us: int
    ) -> Told:
        """What make() gives; for the same form of the same member what it gave a moment ago.

        form: its random name with all that was chosen in it; without one it is made. What make() refuses is not kept.
        """
        if not form:
            return await make()
        name = hashlib.sha256(f"{int(member)} {form}".encode()).digest()
        async with self._one_at_a_time:
            self._let_go(now_us)
            if name in self._kept:
                return self._kept[name][1]
            told = await make()
            while len(self._kept) >= COUNT_MAX:
                del self._kept[next(iter(self._kept))]
            self._kept[name] = (now_us, told)
            # An idle portal lets go too: nobody may come to ask for anything more.
            asyncio.get_running_loop().call_later(KEPT_S, self._kept.pop, name, None)
        return told

    def _let_go(self, now_us: int) -> None:
        """A clock that was set back lets go of everything that it has yet to come to."""
        for name in [one for one, (at_us, _) in self._kept.items() if not 0 <= now_us - at_us < KEPT_US]:
            del self._kept[name]
