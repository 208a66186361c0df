"""What a worker lets in: rates of addresses and members, requests under way, bodies while memory is short.

It is asked before a request costs anything. The numbers of rates are a machine's, and each of its workers has an equal
part of them: a client is spread over workers by its connections, and nothing is agreed between them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from gateway.connection import Incoming
from gateway.intake import Blocks
from gateway.rates import Allowances, OwnRates, Rate, neighbourhood
from gateway.settings import GatewaySettings
from gateway.turned import Reason, Turned
from meter.ids import MemberId
from meter.metrics import Registry, series
from meter.proxies import client_address

AHEAD_MAX_S = 2.0
"""A member whose long transfers are held to their pace may begin others until so much is owed beyond the burst."""


class Throttle:
    """Holds the bytes of one exchange to its member's pace."""

    __slots__ = ("_allowances", "_clock", "_counted", "_key", "_rate")

    def __init__(self, allowances: Allowances[int], key: int, rate: Rate, clock: Callable[[], float]) -> None:
        self._allowances = allowances
        self._key = key
        self._rate = rate
        self._clock = clock
        self._counted = 0

    def moved(self, count: int) -> float:
        """So many more bytes moved; in how many seconds the next may."""
        self._counted += count
        return self._allowances.use(self._key, self._rate, count, self._clock())

    def settle(self, total: int) -> None:
        """So many bytes moved all in all: what was too short to be told of on its way counts too."""
        if total > self._counted:
            self.moved(total - self._counted)


class KnowsRates(Protocol):
    """Who knows for whom something of their own was set."""

    rates: dict[MemberId, OwnRates]


class Limits:
    """Of one worker."""

    def __init__(
        self, settings: GatewaySettings, directory: KnowsRates, registry: Registry, *, workers: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._directory = directory
        self._registry = registry
        self._workers = workers
        self._clock = clock
        self._exchanges_max = settings.exchanges_max
        self._address_rate = self._rate(settings.address_requests_per_s)
        self._has_member_rates = bool(settings.member_requests_per_s or settings.member_bytes_per_s)
        keys_max = settings.rate_keys_max
        self._addresses: Allowances[str] = Allowances(keys_max=keys_max)
        self._requests: Allowances[int] = Allowances(keys_max=keys_max)
        self._bytes: Allowances[int] = Allowances(keys_max=keys_max)
        self.is_short_of_memory = False
        """No new bodies meanwhile."""

    def let_in(self, raw: Incoming) -> None:
        """Returns where a request may go on. Raises Turned."""
        if raw.running > self._exchanges_max:
            raise Turned(Reason.EXCHANGES)
        if not raw.content.is_eof():
            self._let_in_body(raw)
        if self._address_rate is not None:
            forwarded = ",".join(raw.headers.getall("X-Forwarded-For", ()))
            address = client_address(raw.remote, forwarded, self._settings.trusted_proxies)
            wait_s = self._addresses.ask(neighbourhood(address), self._address_rate, self._clock())
            if wait_s:
                raise Turned(Reason.ADDRESS_RATE, wait_s=wait_s)

    def of_member(self, member: MemberId) -> Throttle | None:
        """Count a request that a member signed; what holds its bytes back, where anything does. Raises Turned."""
        if not (self._has_member_rates or self._directory.rates):
            return None
        return self._of(member, key=int(member))

    def of_strangers(self, owner: MemberId) -> Throttle | None:
        """Count a request that nobody signed, to this member's bucket. Raises Turned.

        All strangers together may do as much as the member, from an allowance beside theirs: they lock nobody out.
        """
        if not (self._has_member_rates or self._directory.rates):
            return None
        return self._of(owner, key=-int(owner))

    def turned_away(self, reason: Reason) -> None:
        """Count it."""
        self._registry.add(series("weir_gateway_limited_total", reason=reason))

    def _of(self, member: MemberId, *, key: int) -> Throttle | None:
        own = self._directory.rates.get(member, _NOTHING_OF_THEIR_OWN)
        settings, now_s = self._settings, self._clock()
        of_bytes = self._rate(settings.member_bytes_per_s if own.bytes_per_s is None else own.bytes_per_s)
        if of_bytes is not None:
            owed_s = self._bytes.owed_s(key, of_bytes, now_s)
            if owed_s > AHEAD_MAX_S:
                raise Turned(Reason.MEMBER_BYTES, wait_s=owed_s - AHEAD_MAX_S)
        rate = self._rate(
            settings.member_requests_per_s if own.requests_per_s is None else own.requests_per_s
        )
        if rate is not None and (wait_s := self._requests.ask(key, rate, now_s)):
            raise Turned(Reason.MEMBER_RATE, wait_s=wait_s)
        return None if of_bytes is None else Throttle(self._bytes, key, of_bytes, self._clock)

    def _let_in_body(self, raw: Incoming) -> None:
        if self.is_short_of_memory:
            raise Turned(Reason.MEMORY)
        settings = self._settings
        if not Blocks.have_room(
            raw.content_length or 0, block_bytes_min=settings.receive_block_bytes,
            memory_bytes_max=settings.receive_memory_bytes_max,
        ):  # fmt: skip
            raise Turned(Reason.MEMORY)

    def _rate(self, per_s: int) -> Rate | None:
        """A worker's part; None where there is no limit."""
        return _part(per_s, self._settings.rate_burst_s, self._workers) if per_s else None


_NOTHING_OF_THEIR_OWN = OwnRates()


@lru_cache(maxsize=1024)
def _part(per_s: int, burst_s: int, workers: int) -> Rate:
    return Rate.shared(per_s, burst_s=burst_s, workers=workers)
