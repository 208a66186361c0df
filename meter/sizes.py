"""Sizes a person types, read exactly. Pure."""

from __future__ import annotations

import re
from fractions import Fraction

from meter.refusal import Refusal

SIZE_MAX = 2**63 - 1
"""What a database's bigint holds."""
_SIZE = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?) ?([a-z]*)", re.ASCII | re.IGNORECASE)
_UNITS = {"": 1, "b": 1} | {
    f"{letter}{ending}": base**power
    for power, letter in enumerate("kmgtp", 1)
    for ending, base in (("b", 1000), ("ib", 1024))
}


class BadSize(Refusal):
    """Not a size we can read."""


def parse_limit(text: str) -> int | None:
    """'10GB' is 10 × 1000³ bytes, '10GiB' 10 × 1024³, a bare number bytes, 'none' no limit.

    Raises BadSize, also for what is no whole number of bytes.
    """
    if text.lower() == "none":
        return None
    match = _SIZE.fullmatch(text.strip())
    unit = None if match is None else _UNITS.get(match[2].lower())
    if match is None or unit is None:
        raise BadSize(f"'{text}' is not a size; write it like 500MB, 10GB, 10GiB or 1000000, or 'none'")
    size_bytes = Fraction(match[1]) * unit
    if size_bytes.denominator != 1:
        raise BadSize(f"'{text}' is not a whole number of bytes")
    if size_bytes > SIZE_MAX:
        raise BadSize(f"'{text}' is more than {SIZE_MAX} bytes; write 'none' for no limit")
    return int(size_bytes)


def limit_text(bytes_max: int | None) -> str:
    """A limit in a sentence."""
    return "no limit" if bytes_max is None else f"a limit of {bytes_max:,} bytes"
