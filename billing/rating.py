"""Usage × tariff = charge: each line exact until it is rounded once. Pure; it knows no costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from billing.money import divide_half_up, exponent
from billing.tariff import PRICE_DECIMALS, SAME_AS, Service, Tariff
from meter.ids import MemberId
from meter.usage import Usage
from meter.window import Month

GB = 10**9


@dataclass(frozen=True, slots=True)
class Line:
    """One service: `quantity` counted things, of which `per` make one priced unit."""

    service: Service
    quantity: int
    per: int
    price_nano: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Charge:
    """What one member is charged for one month."""

    member: MemberId
    lines: tuple[Line, ...]

    @property
    def amount_minor(self) -> int:
        """Sum of the lines; nothing is rounded here."""
        return sum(line.amount_minor for line in self.lines)


def charge(usage: Usage, tariff: Tariff, month: Month) -> Charge:
    """Rate one member's usage; a line of late corrections may be negative.

    Old versions and unfinished uploads have a line where there are any: most members have none, and closings of
    the time before they were told apart come out as they were.
    """
    lines = (_line(service, usage, tariff, month) for service in Service)
    return Charge(usage.member, tuple(line for line in lines if line.quantity or line.service not in SAME_AS))


def _line(service: Service, usage: Usage, tariff: Tariff, month: Month) -> Line:
    quantity, per = counted(service, usage, month)
    price_nano = tariff.price_nano(service)
    minor_units = 10 ** exponent(tariff.currency)
    amount = divide_half_up(quantity * price_nano * minor_units, per * 10**PRICE_DECIMALS)
    return Line(service, quantity, per, price_nano, amount)


def counted(service: Service, usage: Usage, month: Month) -> tuple[int, int]:
    """(how much was counted, how much of it makes one priced unit); both whole numbers."""
    match service:
        case Service.GB_OUT:
            return usage.bytes_out, GB
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
        case _:
            assert_never(service)
