"""How much somebody may do: allowances that fill up again with time, in a table that never grows beyond its size. Pure.

Virtual scheduling, as ITU-T I.371 has it (GCRA): of each key only the instant is kept at which all that it has used
will have been made up for. How far that is ahead of now is how much of the allowance is used.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Generic, NamedTuple, TypeVar

ADDRESSES_KNOWN = 4096
_NETWORK_BITS = 64
Key = TypeVar("Key", bound=Hashable)


class Rate(NamedTuple):
    """What a key may do in the long run, and how much at once after a rest."""

    unit_s: float
    """A request, or a byte, is made up for in so long."""
    slack_s: float
    """So far ahead of now a key may be before it has to wait."""

    @classmethod
    def shared(cls, per_s: int, *, burst_s: int, workers: int) -> Rate:
        """A worker's part of a machine's number: so many a second, and what comes up in burst_s at once."""
        unit_s = workers / per_s
        # Half a unit is given beforehand, so that it is never a rounded sum that decides. Below 0 nothing would pass ever.
        return cls(unit_s, max(burst_s - unit_s / 2, 0.0))


class OwnRates(NamedTuple):
    """What was set for one member alone; None: what all members may, 0: no limit."""

    requests_per_s: int | None = None
    bytes_per_s: int | None = None


class Allowances(Generic[Key]):
    """Of at most keys_max keys; whoever was let through longest ago is forgotten first, and begins with a whole burst."""

    def __init__(self, *, keys_max: int) -> None:
        self._keys_max = keys_max
        self._made_up_s: OrderedDict[Key, float] = OrderedDict()

    def __len__(self) -> int:
        """How many keys are known."""
        return len(self._made_up_s)

    def ask(self, key: Key, rate: Rate, now_s: float) -> float:
        """0 where one more is let through, which uses it up; else in how many seconds it would be, and nothing is used."""
        made_up_s = self._made_up_s.get(key, now_s)
        if made_up_s - now_s > rate.slack_s:
            return made_up_s - now_s - rate.slack_s
        self._note(key, max(made_up_s, now_s) + rate.unit_s)
        return 0.0

    def use(self, key: Key, rate: Rate, count: int, now_s: float) -> float:
        """Use up count units whether they are there or not; in how many seconds the next may be used."""
        made_up_s = max(self._made_up_s.get(key, now_s), now_s) + count * rate.unit_s
        self._note(key, made_up_s)
        return max(0.0, made_up_s - now_s - rate.slack_s)

    def owed_s(self, key: Key, rate: Rate, now_s: float) -> float:
        """In how many seconds the next may be used."""
        return max(0.0, self._made_up_s.get(key, now_s) - now_s - rate.slack_s)

    def _note(self, key: Key, made_up_s: float) -> None:
        known = self._made_up_s
        known[key] = made_up_s
        known.move_to_end(key)
        if len(known) > self._keys_max:
            known.popitem(last=False)


@lru_cache(maxsize=ADDRESSES_KNOWN)
def neighbourhood(address: str) -> str:
    """What is counted as one address: IPv4 by itself, IPv6 by its /64, which is what one customer is given (RFC 6177)."""
    if ":" not in address:
        return address
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    bits = 128 - _NETWORK_BITS
    return f"{IPv6Address(int(found) >> bits << bits)}/{_NETWORK_BITS}"
