"""Plain usage charged by the million: the same lines and texts as `rating` and `member_month`, without their objects.

Plain is who has no late usage, no credit, no free amount and no zone with a price of its own; of others it says so,
and they take the readable way. A law holds both ways together. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from json.encoder import encode_basestring
from typing import Any, NamedTuple

from billing.charges.rating import GB
from billing.charges.tariff import PRICE_DECIMALS, PRICED, SAME_AS, SENT, Service, Tariff
from billing.money import exponent, half_up_times
from meter.window import Month

LINED = tuple(one for one in PRICED if one not in SENT[1:])
"""Services that plain usage has lines of, in the order of the lines."""


class Kept(NamedTuple):
    """A member's line as it is kept, and what the ledger needs of it."""

    member: int
    member_class: str
    amount_minor: int
    text: str
    digest: bytes


class _Rate(NamedTuple):
    begin: str
    """The line's text up to the quantity."""
    middle: str
    """From behind the quantity to the amount."""
    always: bool
    charged: Callable[[int], int]
    nothing: str
    """The whole line where nothing was counted."""


class Quick:
    """One month's prices, made ready once for each class."""

    def __init__(self, tariff: Tariff, month: Month) -> None:
        self.is_possible = not tariff.tells_zones_apart
        self.sent_bytes = 0
        self._tariff = tariff
        self._month = month
        self._rates: dict[str, list[_Rate] | None] = {}
        self._sums = [0] * len(LINED)

    def line(self, row: Iterable[Any]) -> Kept | None:
        """The line of one of `meter.usage_store.everyone_rows`; None for who is not plain."""
        (number, _, name, member_class, status, joined, left, bytes_in, bytes_out, requests_a, requests_b,
         corrected_in, corrected_out, peering, own, kept, version, part, removed) = row  # fmt: skip
        if member_class not in self._rates:
            self._rates[member_class] = self._ready(member_class)
        rates = self._rates[member_class]
        if rates is None:
            return None
        byte_us, version_us, part_us = int(kept), int(version), int(part)
        quantities = (
            bytes_out, bytes_in, byte_us - version_us - part_us, version_us, part_us, requests_a, requests_b,
        )  # fmt: skip
        lines, total, sums = [], 0, self._sums
        for place, (quantity, rate) in enumerate(zip(quantities, rates, strict=True)):
            if quantity:
                amount = rate.charged(quantity)
                total += amount
                sums[place] += amount
                lines.append(f"{rate.begin}{quantity}{rate.middle}{amount}]")
            elif rate.always:
                lines.append(rate.nothing)
        counts = (
            ('"byte_us":', byte_us), ('"bytes_in":', bytes_in), ('"bytes_out":', bytes_out),
            ('"bytes_out_own":', own), ('"bytes_out_peering":', peering), ('"corrected_in":', corrected_in),
            ('"corrected_out":', corrected_out), ('"part_byte_us":', part_us), ('"removed_byte_us":', int(removed)),
            ('"requests_a":', requests_a), ('"requests_b":', requests_b), ('"version_byte_us":', version_us),
        )  # fmt: skip
        used = ",".join([f"{key}{count}" for key, count in counts if count])
        text = (
            f'{{"amount_minor":{total},"class":"{member_class}","joined_us":{joined}'
            f',"left_us":{"null" if left is None else left},"lines":[{",".join(lines)}],"member":{number}'
            f',"name":{encode_basestring(name)},"status":"{status}","usage":{{{used}}}}}'
        )
        self.sent_bytes += bytes_out
        return Kept(number, member_class, total, text, hashlib.sha256(text.encode()).digest())

    def taken(self) -> dict[Service, int]:
        """What was charged by service since it was asked last."""
        found = dict(zip(LINED, self._sums, strict=True))
        self._sums = [0] * len(LINED)
        return found

    def _ready(self, member_class: str) -> list[_Rate] | None:
        rates = self._tariff.of_class(member_class)
        if rates.free or not self.is_possible:
            return None
        return [self._rate(rates, service) for service in LINED]

    def _rate(self, rates: Tariff, service: Service) -> _Rate:
        per, price = self._per(service), rates.price_nano(service)
        minor_units = int(10 ** exponent(rates.currency))
        begin, middle = f'["{service.value}",', f",{per},{price},"
        return _Rate(
            begin, middle, service not in SAME_AS,
            half_up_times(price * minor_units, per * int(10**PRICE_DECIMALS)), f"{begin}0{middle}0]",
        )  # fmt: skip

    def _per(self, service: Service) -> int:
        if service in (Service.GB_OUT, Service.GB_IN):
            return GB
        if service in (Service.REQUESTS_A, Service.REQUESTS_B):
            return 1000
        return GB * (self._month.end_us - self._month.start_us)
