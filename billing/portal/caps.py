"""The page of caps and of what runs just now: what its form says, and what it shows. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any, NamedTuple

from billing.tongue import _
from billing.words import bytes_text, count_text, day_text, instant_text, numeral
from meter.caps import Cap, CapLevel, Caps, Notice, caps_text, check_caps
from meter.live import OpenExchange, Waiting
from meter.refusal import Refusal
from meter.sizes import parse_limit
from meter.usage import Usage
from meter.window import Month

_GROUPED = re.compile(r"\d{1,3}[.,]\d{3}(?!\d)", re.ASCII)
_DECIMAL = re.compile(r"^(\d+),(\d+)(?![\d,])", re.ASCII)
_KEPT = re.compile(r"(warn|refuse) at ([\d,]{1,30}) bytes (sent in a month|stored at once)", re.ASCII)
FIELDS = ("egress_soft", "egress_hard", "storage_soft", "storage_hard")


def read_caps(form: Mapping[str, Any]) -> Caps:
    """The caps a member typed; an empty field is none. Raises Refusal naming the field."""
    soft, hard, storage_soft, storage_hard = (_named(name, form) for name in FIELDS)
    wanted = Caps(Cap(soft, hard), Cap(storage_soft, storage_hard))
    for name, one in (("egress_soft", Caps(wanted.egress)), ("storage_soft", Caps(storage=wanted.storage))):
        with _naming(name):
            check_caps(one)
    return wanted


def typed_again(form: Mapping[str, Any]) -> dict[str, str]:
    """What a member typed into each field, for the form to show once more."""
    return {name: str(form.get(name, ""))[:40] for name in FIELDS}


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Put the field's name in front of what is refused."""
    try:
        yield
    except Refusal as refusal:
        raise Refusal(": ".join((name, str(refusal)))) from None


def _named(name: str, form: Mapping[str, Any]) -> int | None:
    with _naming(name):
        return _size(form.get(name, ""))


def _size(typed: object) -> int | None:
    text = typed.strip()[:40] if isinstance(typed, str) else ""
    if numeral(".") != ".":
        # 1.000 is a thousand to one reader and one to another: neither is taken.
        if _GROUPED.match(text):
            raise Refusal(f"'{text}' can be read as two sizes; write it without a mark between the thousands")
        text = _DECIMAL.sub(r"\1.\2", text)
    return parse_limit(text) if text else None


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
            for name, cap, count in (("egress", caps.egress, sent), ("storage", caps.storage, stored))
            if (meter := _meter(name, cap, count)) is not None
        ],
        "notices": [
            {"is_reached": one.level is CapLevel.REACHED, "sentence": one.sentence}
            for one in _notices(caps, sent=sent, stored=stored, month=month)
        ],
        "fields": {
            "egress_soft": typed(caps.egress.soft),
            "egress_hard": typed(caps.egress.hard),
            "storage_soft": typed(caps.storage.soft),
            "storage_hard": typed(caps.storage.hard),
        },
        "resets": day_text(_first_day(month.next())),
        "now_us": now_us,
    }


def caps_told(caps: Caps) -> list[str]:
    """All that are set, each a sentence; caps_text() in the reader's language."""
    sent, stored = caps.egress, caps.storage
    told = (
        None if sent.soft is None else _("Warn at {size} bytes sent in a month.", size=count_text(sent.soft)),
        None if sent.hard is None else _("Refuse at {size} bytes sent in a month.", size=count_text(sent.hard)),
        None if stored.soft is None else _("Warn at {size} bytes stored at once.", size=count_text(stored.soft)),
        None if stored.hard is None else _("Refuse at {size} bytes stored at once.", size=count_text(stored.hard)),
    )  # fmt: skip
    return [one for one in told if one is not None]


def caps_again(line: str) -> str | None:
    """A line of caps_text() that is kept, told in the reader's language; None for what is no such line."""
    sizes = {(verb, what): int(size.replace(",", "")) for verb, size, what in _KEPT.findall(line)}
    sent, stored = "sent in a month", "stored at once"
    read = Caps(
        Cap(sizes.get(("warn", sent)), sizes.get(("refuse", sent))),
        Cap(sizes.get(("warn", stored)), sizes.get(("refuse", stored))),
    )
    return (" ".join(caps_told(read)) or _("No cap at all.")) if caps_text(read) == line else None


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
        "words": _meter_words(name, bytes_text(count), bytes_text(limit), percent),
        "kind": _("hard cap") if cap.hard is not None else _("soft cap"),
    }


def _meter_words(name: str, used: str, limit: str, percent: int) -> str:
    if name == "egress":
        return _("{used} of {limit} sent this month, {percent} %", used=used, limit=limit, percent=percent)
    return _("{used} of {limit} stored, {percent} %", used=used, limit=limit, percent=percent)


def _first_day(month: Month) -> date:
    return date(month.year, month.number, 1)


def _notices(caps: Caps, *, sent: int, stored: int, month: Month) -> list[Notice]:
    """meter.caps.notices(), told in the reader's language."""
    until = day_text(_first_day(month.next()))
    told = [
        Notice(level, _of_sent(level, caps.egress, sent, until) if is_sent else _of_stored(level, caps.storage, stored))
        for is_sent, level in ((True, caps.egress.level(sent)), (False, caps.storage.level(stored)))
        if level is not CapLevel.CALM
    ]  # fmt: skip
    return sorted(told, key=lambda one: -one.level)


def _of_sent(level: CapLevel, cap: Cap, sent: int, until: str) -> str:
    told = {"used": count_text(sent), "percent": cap.percent(sent), "until": until}
    match level:
        case CapLevel.REACHED:
            return _(
                "{used} bytes sent this month: your hard cap of {cap} bytes is reached, and downloads and lists are "
                "refused until {until} 00:00 UTC.", cap=count_text(cap.hard or 0), **told
            )  # fmt: skip
        case CapLevel.NEAR:
            return _(
                "{used} bytes sent this month: {percent} % of your hard cap of {cap} bytes. When it is reached, "
                "downloads and lists are refused until {until} 00:00 UTC.", cap=count_text(cap.hard or 0), **told
            )  # fmt: skip
        case _soft:
            return _(
                "{used} bytes sent this month: your soft cap of {cap} bytes is passed. Nothing is refused for it.",
                cap=count_text(cap.soft or 0), **told
            )  # fmt: skip


def _of_stored(level: CapLevel, cap: Cap, stored: int) -> str:
    told = {"used": count_text(stored), "percent": cap.percent(stored)}
    match level:
        case CapLevel.REACHED:
            return _(
                "{used} bytes stored: your hard cap of {cap} bytes is reached, and writes that store more are refused "
                "until something is deleted.", cap=count_text(cap.hard or 0), **told
            )  # fmt: skip
        case CapLevel.NEAR:
            return _(
                "{used} bytes stored: {percent} % of your hard cap of {cap} bytes. When it is reached, writes that "
                "store more are refused until something is deleted.", cap=count_text(cap.hard or 0), **told
            )  # fmt: skip
        case _soft:
            return _(
                "{used} bytes stored: your soft cap of {cap} bytes is passed. Nothing is refused for it.",
                cap=count_text(cap.soft or 0), **told
            )  # fmt: skip
