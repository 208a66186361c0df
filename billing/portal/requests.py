"""The page of a day's single requests: one member's own, a page at a time, straight out of the journal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path

from billing.settings import BillingSettings
from billing.tongue import _, phrase
from meter.event import Mark, Zone
from meter.ids import NOBODY, BucketId, MemberId
from meter.refusal import Refusal
from meter.requests import Found, Search, search
from meter.tally import Displaced
from meter.window import HOUR_US, to_us

FILTERS = {"hour": 23, "bucket": 10**18, "operation": 2**15 - 1, "zone": max(Zone)}
"""What a day's requests may be narrowed to, and the largest number of each."""
MARKS = {
    Mark.ABORTED: "broken off",
    Mark.RECOVERED: "closed after a crash",
    Mark.CHECKPOINT: "part of a longer one",
    Mark.CORRECTION: "correction",
}


@dataclass(frozen=True, slots=True)
class DayPage:
    """What is on one page."""

    day: date
    number: int
    """1 and up."""
    found: list[Found]
    has_more: bool
    is_cut: bool
    """There are more than the portal shows; the command shows all."""


def parse_day(text: str) -> date:
    """Read 'YYYY-MM-DD'. Raises Refusal."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refusal(f"'{text[:20]}' is not a day") from None


def parse_page(text: str) -> int:
    """Read a page's number. Raises Refusal."""
    if not (text.isascii() and text.isdecimal() and len(text) < 7 and int(text)):
        raise Refusal(f"'{text[:20]}' is not a page")
    return int(text)


def narrowed(
    member: MemberId, day: date, query: Mapping[str, str], displaced: Sequence[Displaced]
) -> tuple[Search, dict[str, int]]:
    """The member's requests of a day, of one hour, bucket, operation or zone where the query names one; what it named.

    displaced: records that count from when they were shipped. Raises Refusal for what is no such number.
    """
    filters = {name: _number(query, name, most) for name, most in FILTERS.items() if query.get(name)}
    start_us = to_us(datetime(day.year, day.month, day.day, tzinfo=UTC))
    end_us = start_us + 24 * HOUR_US
    if "hour" in filters:
        start_us += filters["hour"] * HOUR_US
        end_us = start_us + HOUR_US
    zone = Zone(filters["zone"]) if "zone" in filters else None
    buckets = frozenset({BucketId(filters["bucket"])}) if "bucket" in filters else None
    return Search(
        member, start_us, end_us, buckets, filters.get("operation"), zone, displaced=displaced
    ), filters


def _number(query: Mapping[str, str], name: str, most: int) -> int:
    text = query[name]
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and int(text) <= most):
        raise Refusal(f"{name}: '{text[:20]}' is not one")
    return int(text)


def read_page(
    journal_directory: Path, wanted: Search, day: date, number: int, settings: BillingSettings
) -> DayPage:
    """Search; blocks. Raises TooMuchToSearch after portal_search_timeout_s, Refusal beyond the last page."""
    deadline = time.monotonic() + settings.portal_search_timeout_s
    first = (number - 1) * settings.portal_requests_per_page
    if first >= settings.portal_requests_listed_max:
        raise Refusal("the portal shows no more of this day; `weir usage --by request` does")
    last = min(first + settings.portal_requests_per_page, settings.portal_requests_listed_max)
    events = search(journal_directory, wanted, may_go_on=lambda: time.monotonic() < deadline)
    found = list(islice(events, first, last + 1))
    events.close()
    has_more = len(found) > last - first
    is_cut = has_more and last == settings.portal_requests_listed_max
    return DayPage(day, number, found[: last - first], has_more and not is_cut, is_cut)


def rows(
    page: DayPage, member: MemberId, operations: Mapping[int, str], buckets: Mapping[int, str]
) -> list[dict[str, object]]:
    """What the table shows. Who else asked is not told by name: it is another member's business."""
    return [
        {
            "ended_us": one.event.ended_us,
            "request_id": one.event.request_id.hex(),
            "operation": operations.get(one.event.operation, ""),
            "bucket": buckets.get(one.event.bucket, ""),
            "who": _who(one.event.requester, member),
            "zone": _(one.event.zone.name.lower()),
            "status": one.event.status,
            "bytes_in": one.event.bytes_in,
            "bytes_out": one.event.bytes_out,
            "marks": ", ".join(_(word) for mark, word in MARKS.items() if one.event.marks & mark),
            "place": _(
                "{stream}, segment {segment}, record {record}",
                stream=one.stream,
                segment=one.segment,
                record=one.sequence,
            ),
        }
        for one in page.found
    ]


def _who(requester: MemberId, member: MemberId) -> str:
    if requester == member:
        return _("you")
    return _("somebody without a key") if requester == NOBODY else _("another member")


def filters_told(filters: Mapping[str, int]) -> str:
    """What a day's requests are narrowed to, in words."""
    return ", ".join(f"{phrase(name)} {number}" for name, number in filters.items())
