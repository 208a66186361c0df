"""Usage × tariff = charge: each line exact until it is rounded once. Pure; it knows no costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType
from typing import TypeVar, assert_never

from billing.charges.tariff import PRICE_DECIMALS, PRICED, SAME_AS, SENT, Service, Tariff
from billing.money import divide_half_up, exponent
from meter.ids import MemberId
from meter.usage import Late, Usage
from meter.window import Month

GB = 10**9
Counted = TypeVar("Counted", Usage, Late)
NO_TARIFFS: Mapping[Month, Tariff] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Line:
    """One service: `quantity` counted things, of which `per` make one priced unit."""

    service: Service
    quantity: int
    per: int
    price_nano: int
    amount_minor: int
    free: int = 0
    """Of the quantity, what the tariff does not charge."""
    note: str = ""
    """What the line says besides its service: 'late usage of 2026-10', 'correction of 2026-10', a credit's reason."""
    engine: str = ""
    """The storage engine whose price it has; empty: the price of whatever has none of its own."""


@dataclass(frozen=True, slots=True)
class Credit:
    """What a member was given: taken off their charges of a month, and of its surplus as much."""

    number: int
    member: MemberId
    month: Month
    amount_minor: int
    currency: str
    reason: str
    given_us: int


@dataclass(frozen=True, slots=True)
class Charge:
    """What one member is charged for one month."""

    member: MemberId
    lines: tuple[Line, ...]

    @property
    def amount_minor(self) -> int:
        """Sum of the lines; nothing is rounded here."""
        return sum(line.amount_minor for line in self.lines)


def charge(
    usage: Usage,
    tariff: Tariff,
    month: Month,
    *,
    member_class: str = "user",
    earlier: Mapping[Month, Tariff] = NO_TARIFFS,
    credited: Iterable[Credit] = (),
) -> Charge:
    """Rate one member's usage; a line of late corrections may be negative.

    Old versions, unfinished uploads and zones with a price of their own have a line where there are any: most members
    have none, and closings of the time before they were told apart come out as they were.
    What happened in an earlier month has lines of its own, at that month's prices: `earlier` has its tariff if it is
    not this one. It has no free amounts: those were that month's.
    Buckets on an engine with prices of its own have lines of their own, of the services it has prices of.
    """
    parts = {one.engine: one.usage for one in usage.engines}
    rates = tariff.of_class(member_class)
    own = {name: _without_late(one) for name, one in parts.items()}
    found = list(_lines(_without_late(usage), own, rates, month))
    for late in usage.late:
        found += _late_lines(late, _at(late, parts), earlier.get(late.month, tariff).of_class(member_class))
    return Charge(usage.member, (*found, *(credit_line(one) for one in credited)))


def _lines(own: Usage, parts: Mapping[str, Usage], rates: Tariff, month: Month) -> Iterator[Line]:
    apart = list(_apart(parts, rates, month))
    usage = as_priced(own, rates)
    for service in PRICED:
        quantity, per = counted(service, usage, month)
        quantity -= sum(count for _, one, count, _ in apart if _elsewhere(one, rates) is service)
        if quantity or service not in SAME_AS:
            yield _line(service, quantity, per, rates, free=_allowed(service, quantity, per, rates))
    for engine, service, quantity, per in apart:
        there = rates.on_engine(engine)
        yield _line(
            service, quantity, per, there, free=_allowed(service, quantity, per, there), engine=engine
        )


def _apart(
    parts: Mapping[str, Counted], rates: Tariff, month: Month
) -> Iterator[tuple[str, Service, int, int]]:
    """Engine, service, quantity and unit of what has a line of its own; nothing of nothing."""
    for engine in sorted(set(parts) & set(rates.engines)):
        usage, services = as_priced(parts[engine], rates.on_engine(engine)), rates.apart_on(engine)
        for service in PRICED:
            quantity, per = counted(service, usage, month)
            if quantity and service in services:
                yield engine, service, quantity, per


def _elsewhere(service: Service, rates: Tariff) -> Service:
    """Where the same would be counted if it were on no engine with a price: a zone without one is like any other."""
    return Service.GB_OUT if service in SENT and service not in rates.prices else service


def _allowed(service: Service, quantity: int, per: int, rates: Tariff) -> int:
    return max(min(quantity, _whole(rates.free.get(service, 0) * per)), 0)


def _at(late: Late, parts: Mapping[str, Usage]) -> dict[str, Late]:
    """Of something late, what was of each engine."""
    return {
        engine: one
        for engine, usage in parts.items()
        for one in usage.late
        if (one.month, one.is_correction) == (late.month, late.is_correction)
    }


def _line(
    service: Service, quantity: int, per: int, rates: Tariff, *, free: int = 0, note: str = "", engine: str = ""
) -> Line:  # fmt: skip
    price_nano = rates.price_nano(service)
    minor_units = int(10 ** exponent(rates.currency))
    amount = divide_half_up((quantity - free) * price_nano * minor_units, per * 10**PRICE_DECIMALS)
    return Line(service, quantity, per, price_nano, amount, free, note, engine)


def _whole(nano: int) -> int:
    """Free amounts are read with so many decimals that they are whole bytes, byte-microseconds or requests."""
    if not nano:
        return 0
    exact = Fraction(nano, 10**PRICE_DECIMALS)
    assert exact.denominator == 1, "a free amount is whole"
    return exact.numerator


def _late_lines(late: Late, parts: Mapping[str, Late], rates: Tariff) -> Iterator[Line]:
    note = f"{'correction' if late.is_correction else 'late usage'} of {late.month}"
    apart = list(_apart(parts, rates, late.month))
    own = as_priced(late, rates)
    for service in PRICED:
        quantity, per = counted(service, own, late.month)
        quantity -= sum(count for _, one, count, _ in apart if _elsewhere(one, rates) is service)
        if quantity:
            yield _line(service, quantity, per, rates, note=note)
    for engine, service, quantity, per in apart:
        yield _line(service, quantity, per, rates.on_engine(engine), note=note, engine=engine)


def credit_line(credit: Credit) -> Line:
    """A credit as a line: its amount, and why."""
    return Line(Service.CREDITS, 1, 1, 0, -credit.amount_minor, 0, f"credit {credit.number}: {credit.reason}")


def as_priced(usage: Counted, rates: Tariff) -> Counted:
    """Usage with those zones told apart that have a price of their own; without one, a zone is like any other."""
    peering = usage.bytes_out_peering if Service.GB_OUT_PEERING in rates.prices else 0
    own = usage.bytes_out_own if Service.GB_OUT_OWN in rates.prices else 0
    if (peering, own) == (usage.bytes_out_peering, usage.bytes_out_own):
        return usage
    return replace(usage, bytes_out_peering=peering, bytes_out_own=own)


def _without_late(usage: Usage) -> Usage:
    if not usage.late:
        return replace(usage, engines=()) if usage.engines else usage
    names = (
        "bytes_in", "bytes_out", "bytes_out_peering", "bytes_out_own", "requests_a", "requests_b", "byte_us",
        "version_byte_us", "part_byte_us",
    )  # fmt: skip
    own = {name: getattr(usage, name) - sum(getattr(one, name) for one in usage.late) for name in names}
    return replace(usage, late=(), engines=(), **own)


def counted(service: Service, usage: Usage | Late, month: Month) -> tuple[int, int]:
    """(how much was counted, how much of it makes one priced unit); both whole numbers."""
    match service:
        case Service.GB_OUT:
            return usage.bytes_out - usage.bytes_out_peering - usage.bytes_out_own, GB
        case Service.GB_OUT_PEERING:
            return usage.bytes_out_peering, GB
        case Service.GB_OUT_OWN:
            return usage.bytes_out_own, GB
        case Service.GB_IN:
            return usage.bytes_in, GB
        case Service.GB_MONTH:
            objects = usage.byte_us - usage.version_byte_us - usage.part_byte_us
            return objects, GB * (month.end_us - month.start_us)
        case Service.GB_MONTH_VERSIONS:
            return usage.version_byte_us, GB * (month.end_us - month.start_us)
        case Service.GB_MONTH_PARTS:
            return usage.part_byte_us, GB * (month.end_us - month.start_us)
        case Service.REQUESTS_A:
            return usage.requests_a, 1000
        case Service.REQUESTS_B:
            return usage.requests_b, 1000
        case Service.CREDITS:
            return 0, 1
        case _:
            assert_never(service)


def sent(lines: Iterable[Line]) -> int:
    """Bytes sent, over all zones."""
    return sum(line.quantity for line in lines if line.service in SENT)
