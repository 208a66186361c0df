"""What the co-op itself had to pay: invoices booked to cost pools. Pure; it knows no member."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from billing.money import parse_amount
from meter.refusal import Refusal
from meter.window import Month

MEMO_CHARACTERS_MAX = 500
_POOL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Invoice:
    """One bill the co-op received. `number` is its place in the books, 0 until it is booked."""

    number: int
    month: Month
    pool: str
    amount_minor: int
    currency: str
    memo: str
    booked_us: int


def invoice(*, month: Month, pool: str, amount: str, currency: str, memo: str, booked_us: int) -> Invoice:
    """Read what a treasurer typed. Raises Refusal naming the field."""
    if _POOL.fullmatch(pool) is None:
        raise Refusal(
            f"pool: '{pool[:60]}' is not a pool's name; use small letters, digits and '-', at most 63, like transit"
        )
    if len(memo) > MEMO_CHARACTERS_MAX or not memo.isprintable():
        raise Refusal(f"memo: one line of at most {MEMO_CHARACTERS_MAX} characters")
    amount_minor = parse_amount(amount, currency)
    if amount_minor == 0:
        raise Refusal("amount: an invoice is more than 0")
    return Invoice(0, month, pool, amount_minor, currency, memo, booked_us)


def by_pool(invoices: Iterable[Invoice]) -> dict[str, int]:
    """Sum of each pool in minor units, pools in alphabetical order."""
    sums: dict[str, int] = {}
    for one in invoices:
        sums[one.pool] = sums.get(one.pool, 0) + one.amount_minor
    return dict(sorted(sums.items()))
