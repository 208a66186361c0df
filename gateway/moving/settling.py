"""What members would pay twice while a bucket had two copies, and the corrections that take exactly that back. Pure.

One copy serves members: the old one until the switch, the new one from then on. What the other one stored, byte by
microsecond, is the co-op's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from meter.correction import Correction, CorrectionKind
from meter.event import Event, Mark, StorageLine
from meter.ids import BucketId, MemberId
from meter.usage import LOGICAL

Extra = Mapping[tuple[BucketId, StorageLine], int]
"""Bytes × microseconds that nobody should pay for."""


def extra(
    changes: Iterable[Event], *, source: BucketId, target: BucketId, switched_us: int, ended_us: int
) -> Extra:
    """Of all changes of both buckets. A move that was given up switched at its end."""
    found: Counter[tuple[BucketId, StorageLine]] = Counter()
    for one in changes:
        if not one.marks & Mark.STORAGE or one.marks & Mark.CORRECTION or one.line not in LOGICAL:
            continue
        if one.bucket == target and one.ended_us <= switched_us:
            found[target, one.line] += one.stored_bytes * (switched_us - one.ended_us)
        elif one.bucket == source and switched_us < one.ended_us <= ended_us:
            # What leaves after the switch was there since: δ < 0 at t is |δ| × (t − switch).
            found[source, one.line] -= one.stored_bytes * (one.ended_us - switched_us)
    return {place: byte_us for place, byte_us in sorted(found.items()) if byte_us}


def corrections(
    byte_us: Extra, *, member: MemberId, start_us: int, end_us: int, why: str
) -> list[Correction]:
    """Entries that take so much byte-time back within [start_us, end_us], exactly, and no byte beyond it.

    q bytes taken off for the whole span, and one byte for the rest of the division; each is given back at the end.
    """
    span_us = end_us - start_us
    found = []
    for (bucket, line), total in byte_us.items():
        sign = 1 if total > 0 else -1
        count, rest_us = divmod(abs(total), span_us)
        for size, at_us in ((count, start_us), (1 if rest_us else 0, end_us - rest_us)):
            for signed, instant_us in ((-sign * size, at_us), (sign * size, end_us)):
                if signed:
                    found.append(
                        Correction(
                            member=member, bucket=bucket, at_us=instant_us, who="weir bucket move", why=why,
                            line=line, stored_bytes=signed, kind=CorrectionKind.MOVE,
                        )
                    )  # fmt: skip
    return found


def missing(wanted: Iterable[Correction], entered: Iterable[Correction]) -> list[Correction]:
    """Those that do not stand yet: a settlement that was killed half-way goes on."""
    there = Counter(_text(one) for one in entered)
    found = []
    for one in wanted:
        if there[_text(one)]:
            there[_text(one)] -= 1
        else:
            found.append(one)
    return found


def _text(one: Correction) -> tuple[int, int | None, int, int]:
    return one.bucket, one.line, one.at_us, one.stored_bytes
