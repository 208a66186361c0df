"""What the page of the running month shows: days, bars, boxes, out of the statement and the days' sums. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from billing.portal.bars import Upright, Used, below, upright
from billing.statements.statement import PastMonth
from billing.statements.telling import CUSTOMER, lines_of, meaning_of, sentence_of
from billing.tongue import _
from billing.words import day_text, month_text
from meter.event import StorageLine
from meter.usage import LOGICAL, Kept, Lines, Usage, together
from meter.window import Month, to_datetime

DAYS_LABELLED = (1, 8, 15, 22, 29)
KEPT_WORDS = {
    StorageLine.OBJECT: "objects",
    StorageLine.PART: "unfinished uploads",
    StorageLine.VERSION: "old versions",
    StorageLine.REMOVED: "removed, not charged, still on the disks",
}


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the month, used or not."""

    number: int
    bytes_out: int = 0
    bytes_in: int = 0
    requests_a: int = 0
    requests_b: int = 0


def days(month: Month, now_us: int, used: Iterable[tuple[date, Usage]]) -> list[Day]:
    """Every day of the month up to today, those without usage too."""
    by_day = {day.day: usage for day, usage in used}
    last = to_datetime(min(now_us, month.end_us - 1)).day
    return [_day(number, by_day.get(number)) for number in range(1, last + 1)]


def _day(number: int, usage: Usage | None) -> Day:
    if usage is None:
        return Day(number)
    return Day(number, usage.bytes_out, usage.bytes_in, usage.requests_a, usage.requests_b)


def picture(month: Month, shown: Sequence[Day]) -> Upright:
    """The days as bars; those to come have their places, too."""
    slots = to_datetime(month.end_us - 1).day
    return upright(
        [Used(day.number - 1, day.bytes_out, day.bytes_in) for day in shown],
        slots,
        words=lambda place: day_text(date(month.year, month.number, shown[place].number)),
        labels=[below(day - 1, slots, str(day)) for day in DAYS_LABELLED if day <= slots],
    )


def kept_rows(kept: Lines) -> list[dict[str, object]]:
    """What is stored line by line; one line alone needs no list."""
    found: list[dict[str, object]] = [
        {"words": _(KEPT_WORDS[line]), "stored_bytes": kept[line].stored_bytes}
        for line in StorageLine
        if line in kept and kept[line].stored_bytes
    ]
    return found if len(found) > 1 or kept.get(StorageLine.OBJECT, Kept()).stored_bytes == 0 else []


def page(
    statement: Mapping[str, Any],
    used: Iterable[tuple[date, Usage]],
    past: Sequence[PastMonth],
    *,
    last: Sequence[Mapping[str, Any]],
    kept: Lines,
    retained_minor: int,
    now_us: int,
) -> dict[str, object]:
    """Everything the template of the running month needs; last: the statement of the last closed month, if there is one."""
    month = Month.parse(statement["period"])
    shown = days(month, now_us, used)
    billed, counted = statement["usage"]["bytes_out"], sum(day.bytes_out for day in shown)
    return {
        "month": month_text(month),
        "statement": statement,
        "sentence": sentence_of(statement),
        "meaning": meaning_of(statement),
        "lines": lines_of(statement),
        "days": shown,
        "drawn": picture(month, shown),
        "late_bytes": billed - counted,
        "stored_bytes": together(kept, LOGICAL).stored_bytes,
        "kept": kept_rows(kept),
        "retained_minor": retained_minor,
        "owns": retained_minor != 0 or statement["member"]["class"] != CUSTOMER,
        "past": [
            {
                "period": one.period,
                "month": month_text(Month.parse(one.period)),
                "charges_minor": one.charges_minor,
                "currency": one.currency,
            }
            for one in past
        ],
        "last_meaning": meaning_of(last[0]) if last else "",
        "now_us": now_us,
    }
