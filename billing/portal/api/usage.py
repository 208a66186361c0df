"""The API about usage: what is used just now and the caps on it, counted rows, and the single requests behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from billing.portal import usage
from billing.portal.api.fits import Misfit
from billing.portal.api.route import Asking, Parameter, Route, Schema, Told
from billing.portal.api.shapes import (
    ASKED_DAY,
    BYTE_TIME,
    BYTES,
    COUNT,
    CURSOR,
    DAY,
    FLAG,
    MONTH,
    SIGNED_BYTES,
    TEXT,
    TIME,
    cursor_parameter,
    limit_parameter,
    or_null,
    record,
    rows,
)
from billing.portal.caps import now_sums
from billing.portal.desk import NotFound
from billing.portal.requests import FILTERS, parse_day
from billing.portal.telling import just_now
from billing.portal.tokens import Scope
from billing.portal.usage import Asked, Bounds, By, Row
from billing.portal.usage_pages import requests_of, usage_of
from billing.settings import BillingSettings
from billing.words import iso_text
from meter.caps import Cap, CapLevel, notices
from meter.refusal import Refusal
from meter.window import Month

_CAP = record(
    {
        "soft_bytes": or_null(BYTES),
        "hard_bytes": or_null(BYTES),
        "percent": or_null(
            COUNT, words="Of the hard cap, or of the soft one where there is no hard; rounded down."
        ),
    }
)
NOW = record(
    {
        "at": TIME,
        "month": MONTH,
        "sent_bytes": BYTES,
        "received_bytes": SIGNED_BYTES,
        "requests": COUNT,
        "stored_bytes": BYTES,
        "is_whole": {
            "type": "boolean",
            "description": "False: more waits to come into the sums than could be read in one look.",
        },
        "running": rows(
            record({"request_id": TEXT, "began": TIME, "sent_bytes": BYTES, "received_bytes": BYTES}),
            words="Transfers that are open on this machine.",
        ),
        "caps": record({"sent": _CAP, "stored": _CAP}),
        "notices": rows(record({"is_reached": FLAG, "sentence": TEXT})),
        "sent_counts_anew": TIME,
    }
)
_COUNTED: dict[str, Schema] = {
    "bytes_sent": SIGNED_BYTES,
    "bytes_received": SIGNED_BYTES,
    "requests_that_change_or_list": COUNT,
    "requests_that_read": COUNT,
    "of_sent_corrections": SIGNED_BYTES,
    "of_received_corrections": SIGNED_BYTES,
}
_WAYS = {one.value: TEXT for one in By}
USAGE = record(
    {
        "from": TIME,
        "until": {**TIME, "description": "What the rows are complete up to."},
        "by": {"type": "string", "enum": [one.value for one in By]},
        "only": record(
            {"bucket": COUNT, "operation": COUNT, "zone": COUNT}, optional=("bucket", "operation", "zone")
        ),
        "rows": rows(
            record(
                {
                    **_WAYS,
                    "name": TEXT,
                    **_COUNTED,
                    "stored_bytes": BYTES,
                    "stored_byte_microseconds": BYTE_TIME,
                },
                optional=(*_WAYS, "stored_bytes", "stored_byte_microseconds"),
            ),
            words="Each has one field of the name that `by` says: an instant, or a number.",
        ),
        "total": {**record(_COUNTED), "description": "Over all rows, those of other answers too."},
        "next": CURSOR,
    }
)
REQUESTS = record(
    {
        "day": DAY,
        "requests": rows(
            record(
                {
                    "ended": TIME,
                    "request_id": TEXT,
                    "operation": TEXT,
                    "bucket": TEXT,
                    "who": {"type": "string", "enum": ["you", "another member", "somebody without a key"]},
                    "zone": {"type": "string", "enum": ["internet", "peering", "own"]},
                    "status": COUNT,
                    "bytes_received": SIGNED_BYTES,
                    "bytes_sent": SIGNED_BYTES,
                    "marks": rows(TEXT),
                    "place": {"type": "string", "description": "Where it stands in the journal."},
                }
            )
        ),
        "is_cut": {"type": "boolean", "description": "There are more than the portal shows of a day."},
        "next": CURSOR,
    }
)
NUMBER_MAX = 10**18 - 1
_FILTER_WORDS = {
    "hour": "Only this hour of the day, UTC.",
    "bucket": "Only the bucket of this number, as rows by bucket have it.",
    "operation": "Only the operation of this number, as rows by operation have it.",
    "zone": "Only this network: 0 the internet, 1 peering, 2 the co-op's own.",
}
_ONE_NOW: Mapping[str, Any] = {
    "at": "2026-11-06T00:00:00.000000Z", "month": "2026-11", "sent_bytes": 1234567890, "received_bytes": 5000,
    "requests": 42, "stored_bytes": 777, "is_whole": True, "running": [],
    "caps": {
        "sent": {"soft_bytes": None, "hard_bytes": 10000000000, "percent": 12},
        "stored": {"soft_bytes": None, "hard_bytes": None, "percent": None},
    },
    "notices": [], "sent_counts_anew": "2026-12-01T00:00:00.000000Z",
}  # fmt: skip
_ONE_COUNT: Mapping[str, Any] = {
    "bytes_sent": 1234567890, "bytes_received": 0, "requests_that_change_or_list": 0, "requests_that_read": 9,
    "of_sent_corrections": 0, "of_received_corrections": 0,
}  # fmt: skip
_ONE_USAGE: Mapping[str, Any] = {
    "from": "2026-11-01T00:00:00.000000Z", "until": "2026-11-06T00:00:00.000000Z", "by": "day", "only": {},
    "rows": [{"day": "2026-11-02T00:00:00.000000Z", "name": "2026-11-02", **_ONE_COUNT}],
    "total": _ONE_COUNT, "next": None,
}  # fmt: skip
_ONE_DAY: Mapping[str, Any] = {
    "day": "2026-11-02",
    "requests": [
        {
            "ended": "2026-11-02T08:00:00.000001Z", "request_id": "00" * 16, "operation": "GetObject",
            "bucket": "films", "who": "you", "zone": "internet", "status": 200, "bytes_received": 0,
            "bytes_sent": 1234567890, "marks": [], "place": "stream, segment 1, record 1",
        }
    ],
    "is_cut": False, "next": None,
}  # fmt: skip


def routes(settings: BillingSettings) -> tuple[Route, ...]:
    """What this module answers."""
    days, hours = settings.portal_usage_days_max, settings.portal_usage_hours_max
    filters = {
        name: Parameter(
            name, {"type": "integer", "minimum": 0, "maximum": min(most, NUMBER_MAX)}, _FILTER_WORDS[name], 0
        )
        for name, most in FILTERS.items()
    }
    page = cursor_parameter("^[1-9][0-9]{0,5}$", "2")
    return (
        Route(
            "GET", "/now", "getNow", "usage", "What you have used this month up to now, and your caps", _now,
            (Told(NOW, _ONE_NOW),), Scope.USAGE, is_heavy=True,
        ),
        Route(
            "GET", "/usage", "getUsage", "usage", "Usage by day, hour, bucket, operation or network", _usage,
            (Told(USAGE, _ONE_USAGE),), Scope.USAGE,
            parameters=(
                Parameter("from", ASKED_DAY, "The first day, UTC; without it the month's first.", "2026-11-01"),
                Parameter("to", ASKED_DAY, "The last day, UTC; without it today.", "2026-11-05"),
                Parameter("by", {"type": "string", "enum": [one.value for one in By], "default": "day"}, "What a row is.", "day"),
                *(filters[name] for name in ("bucket", "operation", "zone")),
                limit_parameter(settings.api_rows_max),
                cursor_parameter("^[0-9][0-9TZ:.-]{0,39}$", "2026-11-02T00:00:00.000000Z"),
            ),
            words=f"At most {days} days (portal_usage_days_max), and {hours} hours by hour (portal_usage_hours_max). "
            "Rows stand in the order of their instants or numbers; rows without any usage are left out.",
        ),
        Route(
            "GET", "/requests/{day}", "getRequests", "usage", "The single requests of a day, out of the journal",
            _requests, (Told(REQUESTS, _ONE_DAY),), Scope.USAGE,
            parameters=(
                Parameter("day", ASKED_DAY, "A day, UTC.", "2026-11-02", in_path=True),
                *filters.values(),
                page,
            ),
            is_heavy=True,
            words=f"{settings.portal_requests_per_page} in one answer (portal_requests_per_page), of a day "
            f"{settings.portal_requests_listed_max} at most (portal_requests_listed_max).",
        ),
    )  # fmt: skip


async def _now(asking: Asking) -> Mapping[str, Any]:
    now, month = asking.now_us, Month.of(asking.now_us)
    async with asking.portal.database() as connection:
        found = await just_now(asking.portal, connection, asking.caller.member, now_us=now)
    sums = now_sums(found.used, found.waits, stored_bytes=found.stored_bytes)
    told = notices(found.caps, sent=sums.sent, stored=sums.stored, month=month)
    return {
        "at": iso_text(now),
        "month": str(month),
        "sent_bytes": sums.sent,
        "received_bytes": sums.received,
        "requests": sums.requests,
        "stored_bytes": sums.stored,
        "is_whole": found.waits.whole,
        "running": [
            {
                "request_id": one.event.request_id.hex(),
                "began": iso_text(one.event.began_us),
                "sent_bytes": one.event.moved_out,
                "received_bytes": one.event.moved_in,
            }
            for one in found.running
        ],
        "caps": {
            "sent": _cap(found.caps.egress, sums.sent),
            "stored": _cap(found.caps.storage, sums.stored),
        },
        "notices": [{"is_reached": one.level is CapLevel.REACHED, "sentence": one.sentence} for one in told],
        "sent_counts_anew": iso_text(month.end_us),
    }


def _cap(cap: Cap, used: int) -> dict[str, int | None]:
    return {"soft_bytes": cap.soft, "hard_bytes": cap.hard, "percent": cap.percent(used)}


async def _usage(asking: Asking) -> Mapping[str, Any]:
    now, settings = asking.now_us, asking.portal.settings
    bounds = Bounds(settings.portal_usage_days_max, settings.portal_usage_hours_max)
    query = {name: str(value) for name, value in asking.values.items()}
    asked = usage.whole(usage.read_asked(query, bounds, now_us=now), now_us=now)
    async with (
        asking.portal.database() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        found, _ = await usage_of(connection, asking.caller.member, asked, now_us=now)
    limit = asking.values.get("limit", settings.api_rows_max)
    shown, after = page_of(asked, found, limit=limit, cursor=asking.values.get("cursor"))
    return {**usage.as_document(asked, shown, until_us=min(asked.end_us, now), of=found), "next": after}


def page_of(
    asked: Asked, found: Sequence[Row], *, limit: int, cursor: str | None
) -> tuple[list[Row], str | None]:
    """(rows after the cursor, the cursor of what comes next). Raises Misfit.

    By key and not by size: what is used meanwhile moves no row from one answer into another.
    """
    is_of_time = asked.by in (By.DAY, By.HOUR)
    if cursor is not None and is_of_time != ("T" in cursor):
        raise Misfit("cursor", "it is not one of an answer to the same question")
    if cursor is not None and not is_of_time and not cursor.isdecimal():
        raise Misfit("cursor", "it is not one of an answer to the same question")

    def place(key: str) -> str | int:
        return key if is_of_time else int(key)

    ordered = sorted(found, key=lambda one: place(one.key))
    if cursor is not None:
        after = place(cursor)
        ordered = [one for one in ordered if place(one.key) > after]  # type: ignore[operator]
    return ordered[:limit], ordered[limit - 1].key if len(ordered) > limit else None


async def _requests(asking: Asking) -> Mapping[str, Any]:
    try:
        day = parse_day(asking.values["day"])
    except Refusal as refusal:
        raise NotFound(str(refusal)) from None
    query = {name: str(asking.values[name]) for name in FILTERS if name in asking.values}
    number = int(asking.values.get("cursor", 1))
    found, told, _ = await requests_of(asking.portal, asking.caller.member, day, number, query)
    return {
        "day": str(day),
        "requests": [_request(one) for one in told],
        "is_cut": found.is_cut,
        "next": str(number + 1) if found.has_more else None,
    }


def _request(one: Mapping[str, Any]) -> dict[str, Any]:
    marks = one["marks"]
    return {
        "ended": iso_text(one["ended_us"]),
        "bytes_received": one["bytes_in"],
        "bytes_sent": one["bytes_out"],
        "marks": marks.split(", ") if marks else [],
        **{
            name: one[name]
            for name in ("request_id", "operation", "bucket", "who", "zone", "status", "place")
        },
    }
