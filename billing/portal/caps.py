"""The page of caps and of what runs just now: what its form says, and what it shows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from billing.words import bytes_text, instant_text
from meter.caps import Cap, CapLevel, Caps, check_caps, notices
from meter.live import OpenExchange, Waiting
from meter.sizes import parse_limit
from meter.usage import Usage
from meter.window import Month

FIELDS = ("egress_soft", "egress_hard", "storage_soft", "storage_hard")


def read_caps(form: Mapping[str, Any]) -> Caps:
    """The caps a member typed; an empty field is none. Raises Refusal."""
    soft, hard, storage_soft, storage_hard = (_size(form.get(name, "")) for name in FIELDS)
    wanted = Caps(Cap(soft, hard), Cap(storage_soft, storage_hard))
    check_caps(wanted)
    return wanted


def _size(typed: object) -> int | None:
    text = typed.strip() if isinstance(typed, str) else ""
    return parse_limit(text[:40]) if text else None


def typed(size: int | None) -> str:
    """A cap as its field shows it: the largest unit that is exact."""
    if size is None:
        return ""
    for unit, length in (("TB", 12), ("GB", 9), ("MB", 6), ("kB", 3)):
        if size and not size % 10**length:
            return f"{str(size)[:-length]} {unit}"
    return str(size)


class NowSums(NamedTuple):
    """The running month up to this moment."""

    sent: int
    received: int
    requests: int
    stored: int


def now_sums(used: Usage, waiting: Waiting, *, stored_bytes: int) -> NowSums:
    """The sums with what waits to come into them."""
    more = waiting.usage
    return NowSums(
        used.bytes_out + more.bytes_out,
        used.bytes_in + more.bytes_in,
        used.requests_a + used.requests_b + more.requests_a + more.requests_b,
        max(0, stored_bytes + waiting.stored_bytes),
    )


def now_page(
    caps: Caps,
    used: Usage,
    waiting: Waiting,
    running: Iterable[OpenExchange],
    *,
    stored_bytes: int,
    now_us: int,
) -> dict[str, object]:
    """Everything the template needs: sums with what waits, transfers that run, caps and their warnings."""
    sums = now_sums(used, waiting, stored_bytes=stored_bytes)
    sent, stored = sums.sent, sums.stored
    month = Month.of(now_us)
    return {
        "sent": sent,
        "received": sums.received,
        "requests": sums.requests,
        "stored": stored,
        "is_whole": waiting.whole,
        "running": [
            {
                "began": instant_text(one.event.began_us),
                "sent": one.event.moved_out,
                "received": one.event.moved_in,
                "request": one.event.request_id.hex(),
            }
            for one in running
        ],
        "meters": [
            meter
            for name, cap, count in (("sent this month", caps.egress, sent), ("stored", caps.storage, stored))
            if (meter := _meter(name, cap, count)) is not None
        ],
        "notices": [
            {"is_reached": one.level is CapLevel.REACHED, "sentence": one.sentence}
            for one in notices(caps, sent=sent, stored=stored, month=month)
        ],
        "fields": {
            "egress_soft": typed(caps.egress.soft),
            "egress_hard": typed(caps.egress.hard),
            "storage_soft": typed(caps.storage.soft),
            "storage_hard": typed(caps.storage.hard),
        },
        "resets": f"{month.next()}-01",
        "now_us": now_us,
    }


def _meter(name: str, cap: Cap, count: int) -> dict[str, object] | None:
    percent = cap.percent(count)
    if percent is None:
        return None
    limit = cap.hard if cap.hard is not None else cap.soft
    assert limit is not None
    return {
        "name": name,
        "percent": percent,
        "shown": min(percent, 100),
        "words": f"{bytes_text(count)} of {bytes_text(limit)} {name}, {percent} %",
        "kind": "hard cap" if cap.hard is not None else "soft cap",
    }
