"""Whole numbers of a currency's minor unit: read, written, divided and shared out.

The only module of billing that divides; each function's name says how it rounds. It knows no member
and no tariff. Source of the currency table: ISO 4217, list one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from math import gcd, lcm
from typing import Protocol, Self, TypeVar

from meter.refusal import Refusal

AMOUNT_DIGITS_MAX = 15
"""Digits before the decimal point; keeps every sum of a co-op inside 64 bits."""

_DECIMAL = re.compile(r"(-?)(\d+)(?:\.(\d+))?", re.ASCII)
_EXACT_DECIMALS = 20
_EXACT = re.compile(r"(\d{1,18})(?:\.(\d{1,18}))?(?: ?(%)|/(\d{1,18}))?", re.ASCII)
_WITHOUT_MINOR = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THOUSANDTHS = "BHD IQD JOD KWD LYD OMR TND"
_HUNDREDTHS = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY "
    "COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF "
    "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR "
    "MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG "
    "SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST "
    "XCD YER ZAR ZMW"
)
EXPONENTS: Mapping[str, int] = (
    dict.fromkeys(_WITHOUT_MINOR.split(), 0)
    | dict.fromkeys(_HUNDREDTHS.split(), 2)
    | dict.fromkeys(_THOUSANDTHS.split(), 3)
)
"""Decimals of each currency's minor unit."""


class _Ordered(Protocol):
    def __lt__(self, other: Self, /) -> bool: ...
    def __hash__(self) -> int: ...


Key = TypeVar("Key", bound=_Ordered)


def exponent(currency: str) -> int:
    """Decimals of the currency's minor unit. Raises Refusal for a code that ISO 4217 does not have."""
    found = EXPONENTS.get(currency)
    if found is None:
        raise Refusal(f"'{currency}' is not a currency code of ISO 4217; write it like EUR")
    return found


def parse_decimal(text: str, *, field: str, decimals_max: int, negative: bool = False) -> int:
    """Read a plain decimal exactly, scaled by 10^decimals_max. Raises Refusal naming the field."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise Refusal(f"{field}: '{text[:40]}' is not a plain decimal number; write it like 412.00")
    sign, whole, decimals = match[1], match[2], match[3] or ""
    if sign and not negative:
        raise Refusal(f"{field}: '{text[:40]}' is negative; it must be 0 or more")
    if len(decimals) > decimals_max:
        raise Refusal(
            f"{field}: '{text[:40]}' has {len(decimals)} decimals; at most {decimals_max} are exact"
        )
    if len(whole.lstrip("0")) > AMOUNT_DIGITS_MAX:
        raise Refusal(f"{field}: '{text[:40]}' is too large; at most {AMOUNT_DIGITS_MAX} digits")
    scaled = int((whole.lstrip("0") or "0") + decimals.ljust(decimals_max, "0"))
    return -scaled if sign else scaled


def parse_amount(text: str, currency: str, *, field: str = "amount", negative: bool = False) -> int:
    """Read an amount into minor units, exactly. Raises Refusal naming the field."""
    return parse_decimal(text, field=field, decimals_max=exponent(currency), negative=negative)


def parse_exact(text: str, *, field: str) -> Fraction:
    """Read '0.30', '30 %' or '3/10' as the exact number it is, 0 or more. Raises Refusal naming the field."""
    match = _EXACT.fullmatch(text)
    if match is None or (match[2] and match[4]) or (match[4] and not int(match[4])):
        raise Refusal(
            f"{field}: '{text[:40]}' is not an exact number of 0 or more; write it like 0.30, 30 % or 3/10"
        )
    whole, decimals = match[1], match[2] or ""
    below = int(match[4]) if match[4] else 10 ** len(decimals) * (100 if match[3] else 1)
    return Fraction(int(whole + decimals), below)


def percent_text(share: Fraction) -> str:
    """A share as an exact percentage, e.g. '42.5 %'; as a fraction where its decimals never end."""
    text = exact_text(share * 100)
    return str(share) if "/" in text else f"{text} %"


def exact_text(value: Fraction) -> str:
    """An exact number of 0 or more as parse_exact reads it back: '7.5', or '1/3' where its decimals never end."""
    decimals = 0
    while 10**decimals % value.denominator and decimals < _EXACT_DECIMALS:
        decimals += 1
    if 10**decimals % value.denominator:
        return str(value)
    scaled = value.numerator * (10**decimals // value.denominator)
    return format_decimal(scaled, decimals).replace(",", "")


def format_decimal(scaled: int, decimals: int) -> str:
    """An integer of 10^-decimals written out in full, digits grouped: (151237, 2) is '1,512.37'."""
    whole, part = divmod(abs(scaled), 10**decimals)
    sign = "-" if scaled < 0 else ""
    return f"{sign}{whole:,}" + (f".{part:0{decimals}d}" if decimals else "")


def plain_number(minor: int, currency: str) -> str:
    """An amount as parse_amount reads it back, digits not grouped, e.g. '-1512.37'."""
    return format_number(minor, currency).replace(",", "")


def format_number(minor: int, currency: str) -> str:
    """An amount without its currency, e.g. '1,512.37'."""
    return format_decimal(minor, exponent(currency))


def format_amount(minor: int, currency: str) -> str:
    """An amount with its currency, e.g. '1,512.37 EUR'."""
    return f"{format_number(minor, currency)} {currency}"


def divide_half_up(numerator: int, denominator: int) -> int:
    """The nearest whole number; a half goes away from zero, so that a correction mirrors its charge."""
    assert denominator > 0, "a rate has a positive unit"
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return magnitude if numerator >= 0 else -magnitude


def half_up_times(numerator: int, denominator: int) -> Callable[[int], int]:
    """A function that gives divide_half_up(quantity · numerator, denominator); the ratio is reduced once, for many."""
    assert numerator >= 0, "a price is never negative"
    assert denominator > 0, "a rate has a positive unit"
    common = gcd(numerator, denominator)
    twice, half, whole = 2 * numerator // common, denominator // common, 2 * denominator // common

    def times(quantity: int) -> int:
        if quantity >= 0:
            return (quantity * twice + half) // whole
        return -((half - quantity * twice) // whole)

    return times


def apportion(pool: int, weights: Mapping[Key, int]) -> dict[Key, int]:
    """Share out a pool by weights with the largest remainder; ties go to the lower key.

    Laws: shares sum to the pool; each is floor(q) or floor(q)+1 of its exact quota q = pool·w/Σw; a larger
    weight never gets less; scaling all weights or reordering them changes nothing; weight 0 gets 0.
    Pool ≥ 0, weights ≥ 0, and a pool above 0 needs a weight above 0.
    """
    keys = sorted(weights)
    return dict(zip(keys, apportion_in_order(pool, [weights[key] for key in keys]), strict=True))


def apportion_in_order(pool: int, weights: Sequence[int]) -> list[int]:
    """apportion() where the weights stand in the order of their keys: ties go to whoever stands in front."""
    total = sum(weights)
    assert pool >= 0, "a loss is not apportioned here"
    assert not weights or min(weights) >= 0, "a weight is never negative"
    assert pool == 0 or total > 0, "a pool needs somebody to share it"
    if pool == 0:
        return [0] * len(weights)
    exact = [pool * weight for weight in weights]
    shares = [above // total for above in exact]
    left_over = pool - sum(shares)
    if left_over:
        remainders = [above % total for above in exact]
        least = sorted(remainders, reverse=True)[left_over - 1]
        # Whoever is above the least that still gets one has theirs; those at it get what is left, in order.
        of_equals = left_over - sum([remainder > least for remainder in remainders])
        for place, remainder in enumerate(remainders):
            if remainder > least:
                shares[place] += 1
            elif remainder == least and of_equals:
                shares[place] += 1
                of_equals -= 1
    return shares


def ceil_share(amount: int, share: Fraction) -> int:
    """amount × share, rounded up to a whole number: for what may not be less than its percentage."""
    return -(-amount * share.numerator // share.denominator)


def floor_share(amount: int, share: Fraction) -> int:
    """amount × share, rounded down to a whole number: for what may not be more than its percentage."""
    return amount * share.numerator // share.denominator


def ceil_shares(amounts: Iterable[int], share: Fraction) -> list[int]:
    """ceil_share() of each."""
    numerator, denominator = share.numerator, share.denominator
    return [-(-amount * numerator // denominator) for amount in amounts]


def whole_below(exact: Fraction) -> int:
    """The whole number at or below an exact one."""
    return exact.numerator // exact.denominator


def apportion_exact(pool: int, weights: Mapping[Key, Fraction | int]) -> dict[Key, int]:
    """apportion() by exact weights, and of a loss too: the shares of -P are those of P, all below zero."""
    keys = sorted(weights)
    return dict(zip(keys, apportion_exact_in_order(pool, [weights[key] for key in keys]), strict=True))


def apportion_exact_in_order(pool: int, weights: Sequence[Fraction | int]) -> list[int]:
    """apportion_exact() where the weights stand in the order of their keys."""
    scale = lcm(*{weight.denominator for weight in weights})
    if scale == 1:
        whole = [weight.numerator for weight in weights]
    else:
        whole = [weight.numerator * (scale // weight.denominator) for weight in weights]
    shares = apportion_in_order(abs(pool), whole)
    return shares if pool >= 0 else [-share for share in shares]


def quotient_text(numerator: int, denominator: int, *, decimals: int) -> str:
    """n/d as a decimal, cut after `decimals` with '…' when that is not the whole truth."""
    whole, rest = divmod(abs(numerator) * 10**decimals, denominator)
    text = format_decimal(whole, decimals)
    if "." in text and not rest:
        text = text.rstrip("0").rstrip(".")
    return ("-" if numerator < 0 else "") + text + ("…" if rest else "")


def scale_down(value: int, *, of: int, to: int) -> int:
    """How long a bar is that shows value on a scale where `of` is `to` long; rounded down, at least 1 if any."""
    return max(value * to // of, 1) if value > 0 and of > 0 else 0


def divide_up(numerator: int, denominator: int) -> int:
    """The whole number at or above n/d, for n ≥ 0."""
    assert numerator >= 0, "only what is not negative is rounded up"
    assert denominator > 0, "a rate has a positive unit"
    return -(-numerator // denominator)


def rounded_to_three(numerator: int, denominator: int) -> tuple[str, bool]:
    """n/d with three significant digits, half up, for a quotient below 1,000,000; and whether that is exact."""
    whole = abs(numerator) // denominator
    decimals = max(3 - len(str(whole)), 0) if denominator > 1 else 0
    scaled = divide_half_up(numerator * 10**decimals, denominator)
    exact = scaled * denominator == numerator * 10**decimals
    return format_decimal(scaled, decimals), exact
