"""What each member was allocated in a closed year, row by row, as notices of allocation are made from it.

It reads the lines that the closing kept, and works nothing out.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from billing import year_store
from billing.money import divide_half_up, exact_text, plain_number
from billing.notices.notice import BASE_DECIMALS
from billing.run import MEMBERS_AT_ONCE
from billing.year_lines import YearLine, read_line
from meter.postgres import Connection

WORKER = "worker"


async def allocations(connection: Connection, year: int, currency: str) -> list[dict[str, Any]]:
    """Every share of a closed year by members' numbers: id, class, base, amount, cash, retained, and its kinds.

    Amounts are texts in major units; `base` is what was charged, of workers hours times their factor, to the nearest thousandth.
    """
    found: list[dict[str, Any]] = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        async for some in year_store.all_lines(connection, year, rows_max=MEMBERS_AT_ONCE):
            for text, _digest in some:
                found += _rows(read_line(text), currency)
    return found


def _thousandths(hours: Fraction) -> str:
    scaled = divide_half_up(hours.numerator * 10**BASE_DECIMALS, hours.denominator)
    return exact_text(Fraction(scaled, 10**BASE_DECIMALS))


def _rows(line: YearLine, currency: str) -> list[dict[str, Any]]:
    base = {
        one.member_class: _thousandths(one.hours * one.factor)
        if one.member_class == WORKER
        else plain_number(one.charges_minor, currency)
        for one in line.uses
    }
    return [
        {
            "id": line.name,
            "class": one.member_class,
            "base": base[one.member_class],
            "amount": plain_number(one.amount_minor, currency),
            "cash": plain_number(one.cash_minor, currency),
            "retained": plain_number(one.retained_minor, currency),
            "qualified": plain_number(one.qualified_minor, currency),
            "nonqualified": plain_number(one.nonqualified_minor, currency),
            "consented": line.person.consent,
        }
        for one in line.allocations
    ]
