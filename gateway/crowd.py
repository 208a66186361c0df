"""How many connections a worker keeps, in all and from one address; and how those beyond are refused.

Each worker has a listening socket of its own, from whose queue nobody else takes: a connection that is not accepted
would wait for this worker all the same. So it is accepted, told 503, and closed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import cast

from gateway.rates import neighbourhood
from gateway.turned import Reason, refusal
from meter.proxies import is_proxy

REFUSALS_MAX = 256
"""So many refused clients are waited for at once; more are cut off without a word."""
REFUSAL_S = 2.0
"""So long a refused client has for sending its request, which is answered, and for closing its end."""
DESCRIPTORS_KEPT = 256
"""For the journal, the index, PostgreSQL, upstreams and refusals, whatever the limit is."""
DESCRIPTORS_KEPT_SHARE = 4
"""And the fourth part of all, for what requests open: files, pipes, second descriptors of sockets."""


class Crowd:
    """The connections of one worker, counted."""

    def __init__(
        self, *, connections_max: int = sys.maxsize, address_connections_max: int = 0, trusted_proxies: str = "",
        turned_away: Callable[[Reason], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """address_connections_max 0 is no limit; proxies that are trusted have none, for all the world is behind them."""
        self.connections_max = connections_max
        self._address_max = address_connections_max
        self._proxies = trusted_proxies
        self._turned_away = turned_away
        self._refusals = Refusals()
        self._by_address: dict[str, int] = {}
        self.count = 0

    def enter(self, address: str) -> Reason | None:
        """A connection from there is kept, and leaves some time; or why it is not."""
        if self.count >= self.connections_max:
            return Reason.CONNECTIONS
        if self._is_counted(address):
            place = neighbourhood(address)
            there = self._by_address.get(place, 0)
            if there >= self._address_max:
                return Reason.ADDRESS_CONNECTIONS
            self._by_address[place] = there + 1
        self.count += 1
        return None

    def leave(self, address: str) -> None:
        """A connection that was kept is over."""
        self.count -= 1
        if not self._is_counted(address):
            return
        place = neighbourhood(address)
        there = self._by_address.get(place, 0)
        if there > 1:
            self._by_address[place] = there - 1
        elif there:
            del self._by_address[place]

    def _is_counted(self, address: str) -> bool:
        # A proxy may have neighbours in its network who are none: what it leaves is not theirs.
        return self._address_max > 0 and not is_proxy(address, self._proxies)

    def refuse(self, transport: asyncio.Transport, reason: Reason) -> None:
        """Tell a connection that is not kept, and close it."""
        self._turned_away(reason)
        protocol = Refusing(self._refusals)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


class Refusals:
    """How many are under way."""

    def __init__(self) -> None:
        self.count = 0


class Refusing(asyncio.Protocol):
    """Answers the first bytes of a connection with 503, whatever they are, and takes in what still comes for a while.

    A client that has not asked yet would not know what an answer is for; and a socket that is closed while bytes wait in
    it is reset, which takes the answer with it.
    """

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals
        self._has_answered = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client too many."""
        # uvloop's transports are none by inheritance.
        self._transport = cast("asyncio.Transport", transport)
        self._refusals.count += 1
        if self._refusals.count > REFUSALS_MAX:
            self._transport.abort()
            return
        self._timer = asyncio.get_running_loop().call_later(REFUSAL_S, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """Of what comes nothing is looked at."""
        del data
        if not self._has_answered:
            self._has_answered = True
            self._transport.write(refusal())
            self._transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        del exc
        self._refusals.count -= 1
        if self._timer is not None:
            self._timer.cancel()


def descriptors_for(connections: int) -> int:
    """How many descriptors a worker must be allowed to keep so many connections: what connections_within undoes."""
    share = DESCRIPTORS_KEPT_SHARE
    return (connections + DESCRIPTORS_KEPT) * share // (share - 1) + 1


def connections_within(wanted: int, *, descriptors_max: int) -> int:
    """How many connections a worker can keep that may have so many descriptors; wanted at most, one at least."""
    kept = DESCRIPTORS_KEPT + descriptors_max // DESCRIPTORS_KEPT_SHARE
    return max(1, min(wanted, descriptors_max - kept))
