"""The page of usage: what its query string asks for, the rows, their bars, and the same rows as a file. Pure.

Stored byte-time is split by bucket alone: its integral belongs to no single exchange.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from billing.portal.bars import Group, Label, Upright, Used, below, lengths, since, upright
from billing.spreadsheet import csv_text
from billing.tongue import _
from billing.words import day_text, iso_text
from meter.event import Zone
from meter.refusal import Refusal
from meter.usage import LOGICAL, Kept, Lines, Usage, together
from meter.window import DAY_US, Month, to_datetime, to_us

LINES_SHOWN = 15
HOURS_LABELLED = (0, 6, 12, 18)
SLOTS_WIDE_MAX = 3
"""With so few, a phone has room for a day's name below the middle of its bars."""
NUMBER_DIGITS_MAX = 18
OPERATION_MAX = 2**15 - 1
ZONE_WORDS = {
    Zone.INTERNET: "the internet",
    Zone.PEERING: "peering",
    Zone.OWN: "the co-op's own network",
}
COUNTS = ("bytes_out", "bytes_in", "requests_a", "requests_b", "corrected_out", "corrected_in")
COLUMNS = (
    "bytes_sent", "bytes_received", "requests_that_change_or_list", "requests_that_read",
    "of_sent_corrections", "of_received_corrections",
)  # fmt: skip


class By(StrEnum):
    """What the rows are."""

    DAY = "day"
    HOUR = "hour"
    BUCKET = "bucket"
    OPERATION = "operation"
    ZONE = "zone"


def by_words(by: By) -> str:
    """'by day': what the rows are, within a sentence."""
    return {
        By.DAY: _("by day"), By.HOUR: _("by hour"), By.BUCKET: _("by bucket"), By.OPERATION: _("by operation"),
        By.ZONE: _("by zone"),
    }[by]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one page may ask for."""

    days_max: int
    hours_max: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query string asks for: days of UTC, both within, and what they are narrowed to."""

    first: date
    last: date
    by: By = By.DAY
    bucket: int | None = None
    operation: int | None = None
    zone: Zone | None = None

    @property
    def start_us(self) -> int:
        """The first instant."""
        return _day_us(self.first)

    @property
    def end_us(self) -> int:
        """The first instant that is not within."""
        return _day_us(self.last) + DAY_US

    @property
    def is_narrowed(self) -> bool:
        """Whether it is less than all usage of these days."""
        return self.narrowing != {}

    @property
    def narrowing(self) -> dict[str, int]:
        """The filters that are set, as they stand in a query string."""
        held = {"bucket": self.bucket, "operation": self.operation, "zone": self.zone}
        return {name: int(value) for name, value in held.items() if value is not None}

    @property
    def month(self) -> Month | None:
        """The month, where it is all usage from its first day to its last, or to a later page's today."""
        month = Month.of(self.start_us)
        return month if self.first.day == 1 and self.end_us <= month.end_us and not self.is_narrowed else None

    def link(self, **changes: object) -> str:
        """The address of this page, with some of it changed."""
        told: dict[str, object] = {"from": self.first, "to": self.last, "by": self.by.value, **self.narrowing}
        kept = {name: value for name, value in (told | changes).items() if value is not None}
        return f"/usage?{urlencode(kept)}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    key: str
    """What it is in a file: an instant, a number or a name."""
    words: str
    link: str
    """One step further down."""
    usage: Usage
    kept: Kept | None = None
    """What is stored, by bucket alone."""


def read_asked(query: Mapping[str, str], bounds: Bounds, *, now_us: int) -> Asked:
    """Read the query string; without one it is the running month by day. Raises Refusal naming what is wrong."""
    today = to_datetime(now_us).date()
    last = _day(query, "to", today)
    first = _day(query, "from", last.replace(day=1))
    try:
        by = By(query.get("by") or By.DAY.value)
    except ValueError:
        raise Refusal(f"by: it is one of {', '.join(By)}") from None
    if first > last:
        raise Refusal("from: the first day comes after the last")
    days = (last - first).days + 1
    if days > bounds.days_max:
        raise Refusal(f"from: that is {days} days, and a page shows {bounds.days_max} at most")
    if by is By.HOUR and days * 24 > bounds.hours_max:
        raise Refusal(f"by: a page shows {bounds.hours_max} hours at most; choose fewer days")
    zone, operation = _number(query, "zone"), _number(query, "operation")
    if operation is not None and operation > OPERATION_MAX:
        raise Refusal("operation: there is none of that number")
    if zone is not None and zone not in list(Zone):
        raise Refusal("zone: there is none of that number")
    return Asked(
        first, last, by, _number(query, "bucket"), operation, None if zone is None else Zone(zone)
    )  # fmt: skip


def rows(
    asked: Asked,
    used: Iterable[tuple[datetime | int, Usage]],
    *,
    kept: Mapping[int, Lines],
    operations: Mapping[int, str],
    buckets: Mapping[int, str],
) -> list[Row]:
    """The lines in the order they are shown: by time, else the most bytes first. kept: stored bytes, by bucket."""
    if asked.by in (By.DAY, By.HOUR):
        return list(
            _of_time(asked, ((moment, usage) for moment, usage in used if isinstance(moment, datetime)))
        )
    found = {number: usage for number, usage in used if isinstance(number, int)}
    for number in kept:
        found.setdefault(number, Usage(0, asked.start_us, asked.end_us))  # type: ignore[arg-type]
    told = []
    for number, usage in found.items():
        match asked.by:
            case By.BUCKET:
                unnamed = _("no bucket") if number == 0 else _("bucket {number}", number=number)
                words = buckets.get(number) or unnamed
            case By.OPERATION:
                words = operations.get(number) or _("operation {number}", number=number)
            case _zone:
                words = _(ZONE_WORDS[Zone(number)])
        link = asked.link(by=By.DAY.value, **{asked.by.value: number})
        stored = together(kept[number], LOGICAL) if number in kept else None
        told.append(Row(str(number), words, link, usage, stored))
    return sorted(told, key=lambda one: (-one.usage.bytes_out - one.usage.bytes_in, one.words, one.key))


def _of_time(asked: Asked, used: Iterable[tuple[datetime, Usage]]) -> Iterator[Row]:
    # A month by hour is some seven hundred rows: what they share is worked out once.
    by_hour, narrowing = asked.by is By.HOUR, asked.narrowing
    queries = [urlencode(narrowing | ({"hour": hour} if by_hour else {})) for hour in range(24)]
    for day, moments in groupby(used, key=lambda one: one[0].date()):
        iso, shown = day.isoformat(), day_text(day)
        for moment, usage in moments:
            hour, query = f"{moment.hour:02d}:00", queries[moment.hour]
            yield Row(
                f"{iso}T{hour}:00.000000Z", f"{shown} {hour}" if by_hour else shown,
                f"/requests/{iso}?{query}" if query else f"/requests/{iso}", usage,
            )  # fmt: skip


def total(told: Sequence[Row]) -> dict[str, int]:
    """Every column added up; whole numbers, so it is exact."""
    return {name: sum(getattr(one.usage, name) for one in told) for name in COUNTS}


def stored_total(told: Sequence[Row]) -> Kept:
    """What is stored at the end and the exact integral, over all buckets."""
    stored = [one.kept for one in told if one.kept is not None]
    return Kept(sum(one.stored_bytes for one in stored), sum(one.byte_us for one in stored))


def cut(told: Sequence[Row], rows_max: int) -> tuple[Sequence[Row], dict[str, int], int]:
    """The rows a page shows, what the rest comes to, and how many they are: nothing is left out of a sum."""
    rest = told[rows_max:]
    return told[:rows_max], total(rest), len(rest)


def over_time(asked: Asked, told: Sequence[Row]) -> Upright:
    """The picture of rows by day or by hour: what was sent up, what was received down."""
    slots_a_day = 24 if asked.by is By.HOUR else 1
    slots, first = ((asked.last - asked.first).days + 1) * slots_a_day, asked.first.toordinal()
    used = []
    for one in told:
        moment = datetime.fromisoformat(one.key)
        slot = (moment.toordinal() - first) * slots_a_day + (moment.hour if slots_a_day > 1 else 0)
        used.append(Used(slot, one.usage.bytes_out, one.usage.bytes_in))
    return upright(used, slots, words=lambda place: told[place].words, labels=_labels(asked, slots))


def _labels(asked: Asked, slots: int) -> list[Label]:
    first, last = day_text(asked.first), day_text(asked.last)
    if asked.by is By.HOUR and asked.first == asked.last:
        return [since(hour, slots, f"{hour:02d}:00") for hour in HOURS_LABELLED]
    if slots > SLOTS_WIDE_MAX:
        return [Label("0%", "start", first), Label("100%", "end", last)]
    return [below(0, slots, first)] + ([below(slots - 1, slots, last)] if slots > 1 else [])


def by_line(told: Sequence[Row]) -> list[Group]:
    """The picture of other rows, the first LINES_SHOWN of them, all on one scale."""
    shown = told[:LINES_SHOWN]
    top = max((max(one.usage.bytes_out, one.usage.bytes_in) for one in shown), default=0)
    return [
        lengths(one.words, sent=one.usage.bytes_out, received=one.usage.bytes_in, of=top) for one in shown
    ]


def as_csv(asked: Asked, told: Sequence[Row]) -> str:
    """The rows as a table of a spreadsheet."""
    by_bucket = asked.by is By.BUCKET
    columns = [
        asked.by.value,
        "name",
        *COLUMNS,
        *(("stored_bytes", "stored_byte_microseconds") if by_bucket else ()),
    ]
    return csv_text(
        columns,
        (
            [one.key, one.words, *(getattr(one.usage, name) for name in COUNTS), *(_stored(one) if by_bucket else ())]
            for one in told
        ),
    )  # fmt: skip


def _stored(one: Row) -> tuple[int, int]:
    kept = one.kept or Kept()
    return kept.stored_bytes, kept.byte_us


def as_document(
    asked: Asked, told: Sequence[Row], *, until_us: int, of: Sequence[Row] | None = None
) -> dict[str, Any]:
    """The rows for a program; until_us: what they are complete up to; of: all that they are some of, for the total."""
    return {
        "from": iso_text(asked.start_us),
        "until": iso_text(until_us),
        "by": asked.by.value,
        "only": asked.narrowing,
        "rows": [
            {asked.by.value: one.key, "name": one.words, **_counts(one)}
            | (dict(zip(("stored_bytes", "stored_byte_microseconds"), _stored(one), strict=True)) if one.kept else {})
            for one in told
        ],
        "total": dict(zip(COLUMNS, total(told if of is None else of).values(), strict=True)),
    }  # fmt: skip


def _counts(one: Row) -> dict[str, int]:
    return {column: getattr(one.usage, name) for column, name in zip(COLUMNS, COUNTS, strict=True)}


def against_statement(told: Mapping[str, int], statement_usage: Mapping[str, Any]) -> list[dict[str, object]]:
    """Each count of these days beside the month's statement; they differ by what came late, and by nothing else."""
    words = {
        "bytes_out": _("bytes sent"), "bytes_in": _("bytes received"),
        "requests_a": _("requests that change or list"), "requests_b": _("requests that read"),
    }  # fmt: skip
    return [
        {"words": text, "here": told[name], "there": statement_usage[name], "late": statement_usage[name] - told[name]}
        for name, text in words.items()
    ]  # fmt: skip


def whole(asked: Asked, *, now_us: int) -> Asked:
    """The same up to today where it would end in a time to come."""
    return replace(asked, last=min(asked.last, max(asked.first, to_datetime(now_us).date())))


def _day_us(day: date) -> int:
    return to_us(datetime(day.year, day.month, day.day, tzinfo=UTC))


def _day(query: Mapping[str, str], name: str, default: date) -> date:
    text = query.get(name, "")
    if not text:
        return default
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise Refusal(f"{name}: '{text[:20]}' is not a day; write it as 2026-11-05") from None
    if not 2000 <= found.year <= 9998:
        raise Refusal(f"{name}: a day between the years 2000 and 9998")
    return found


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= NUMBER_DIGITS_MAX):
        raise Refusal(f"{name}: it is a number, as the page's own links have it")
    return int(text)
