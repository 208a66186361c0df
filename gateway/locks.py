"""Object lock: retention, legal hold and a bucket's default, from XML and headers and back. Pure.

It reads and writes; what a lock forbids is decided in the engine's commit. It is handed the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from gateway.errors import S3Error, invalid_argument, s3_error
from gateway.markup import document, element
from gateway.storage.model import BucketRules, DefaultRetention, ObjectProperties, Retention, RetentionMode
from gateway.tree import malformed, parse_tree
from meter.window import to_datetime, to_us

MODE_HEADER = "x-amz-object-lock-mode"
UNTIL_HEADER = "x-amz-object-lock-retain-until-date"
HOLD_HEADER = "x-amz-object-lock-legal-hold"
_LOCK_HEADERS = (MODE_HEADER, UNTIL_HEADER, HOLD_HEADER)
DAYS_MAX = 36_500
YEARS_MAX = 100
"""S3's own limits of a default retention."""
_MILLISECOND_US = 1000
_DIGITS_MAX = 9


def parse_lock_configuration(body: bytes) -> DefaultRetention | None:
    """The default retention that PutObjectLockConfiguration sets; None for a lock without one.

    Raises MalformedXML, InvalidRetentionPeriod, InvalidArgument for a period over S3's limits.
    """
    root = parse_tree(body, "ObjectLockConfiguration")
    root.holds_only("ObjectLockEnabled", "Rule")
    if (root.one("ObjectLockEnabled") or "").strip() != "Enabled":
        raise malformed()
    rule = root.child("Rule")
    if rule is None:
        return None
    rule.holds_only("DefaultRetention")
    default = rule.child("DefaultRetention")
    if default is None:
        raise malformed()
    default.holds_only("Mode", "Days", "Years")
    mode = _mode(default.one("Mode"))
    days, years = default.one("Days"), default.one("Years")
    if (days is None) == (years is None):
        raise malformed()
    return DefaultRetention(
        mode,
        days=0 if days is None else _period(days, DAYS_MAX),
        years=0 if years is None else _period(years, YEARS_MAX),
    )


def parse_retention(body: bytes, *, now_us: int) -> Retention | None:
    """What PutObjectRetention sets; None for an empty Retention, which takes it away.

    Raises MalformedXML, InvalidArgument for a date that has passed.
    """
    root = parse_tree(body, "Retention")
    root.holds_only("Mode", "RetainUntilDate")
    mode, until = root.one("Mode"), root.one("RetainUntilDate")
    if mode is None and until is None:
        return None
    if mode is None or until is None:
        raise malformed()
    until_us = _instant(until)
    if until_us is None:
        raise malformed()
    return Retention(_mode(mode), _in_future(until_us, until, now_us=now_us))


def parse_legal_hold(body: bytes) -> bool:
    """Whether PutObjectLegalHold sets the hold. Raises MalformedXML."""
    root = parse_tree(body, "LegalHold")
    root.holds_only("Status")
    match (root.one("Status") or "").strip():
        case "ON":
            return True
        case "OFF":
            return False
        case _:
            raise malformed()


def retention_of_write(headers: Mapping[str, str], *, now_us: int) -> Retention | None:
    """The retention a write's headers ask for. Raises InvalidArgument."""
    mode, until = headers.get(MODE_HEADER), headers.get(UNTIL_HEADER)
    if mode is None and until is None:
        return None
    if mode is None or until is None:
        raise invalid_argument(
            MODE_HEADER if mode is None else UNTIL_HEADER,
            "",
            f"{UNTIL_HEADER} and {MODE_HEADER} must both be supplied",
        )
    if mode not in RetentionMode.__members__:
        raise invalid_argument(MODE_HEADER, mode, "Unknown wormMode directive.")
    until_us = _instant(until)
    if until_us is None:
        raise invalid_argument(
            UNTIL_HEADER, until, "The retain until date must be provided in ISO 8601 format"
        )
    return Retention(RetentionMode(mode), _in_future(until_us, until, now_us=now_us))


def hold_of_write(headers: Mapping[str, str]) -> bool:
    """The legal hold a write's header asks for. Raises InvalidArgument."""
    hold = headers.get(HOLD_HEADER, "OFF")
    if hold not in ("ON", "OFF"):
        raise invalid_argument(HOLD_HEADER, hold, "Legal Hold must be either of 'ON' or 'OFF'")
    return hold == "ON"


def asks_for_lock(headers: Mapping[str, str]) -> bool:
    """Whether a write carries any header of object lock."""
    return not headers.keys().isdisjoint(_LOCK_HEADERS)


def missing_configuration() -> S3Error:
    """What S3 answers where a bucket has no object lock."""
    return s3_error("InvalidRequest", "Bucket is missing Object Lock Configuration")


def lock_headers(properties: ObjectProperties) -> dict[str, str]:
    """The headers of GET and HEAD; none for an object without a lock."""
    answer = {}
    if properties.retention is not None:
        answer[MODE_HEADER] = properties.retention.mode.value
        answer[UNTIL_HEADER] = _date(properties.retention.until_us)
    if properties.legal_hold:
        answer[HOLD_HEADER] = "ON"
    return answer


def lock_configuration_document(rules: BucketRules) -> bytes:
    """ObjectLockConfiguration of a bucket that has one."""
    inner = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>"
    default = rules.default_retention
    if default is not None:
        period = element("Days", str(default.days)) if default.days else element("Years", str(default.years))
        inner += (
            f"<Rule><DefaultRetention>{element('Mode', default.mode.value)}{period}</DefaultRetention></Rule>"
        )
    return document("ObjectLockConfiguration", inner)


def retention_document(retention: Retention) -> bytes:
    """Retention."""
    until = element("RetainUntilDate", _date(retention.until_us))
    return document("Retention", element("Mode", retention.mode.value) + until)


def legal_hold_document(*, holds: bool) -> bytes:
    """LegalHold."""
    return document("LegalHold", element("Status", "ON" if holds else "OFF"))


def _mode(text: str | None) -> RetentionMode:
    name = (text or "").strip()
    if name not in RetentionMode.__members__:
        raise malformed()
    return RetentionMode(name)


def _period(text: str, most: int) -> int:
    digits = text.strip()
    bare = digits.removeprefix("-")
    if not (bare.isascii() and bare.isdigit()) or len(bare) > _DIGITS_MAX:
        raise malformed()
    number = int(digits)
    if number < 1:
        raise s3_error("InvalidRetentionPeriod")
    if number > most:
        raise s3_error("InvalidArgument", "Default retention period too large", MaximumAllowed=most)
    return number


def _instant(text: str) -> int | None:
    """An ISO 8601 instant with its zone, rounded up to S3's milliseconds; None for anything else.

    Up, so that what we print is never earlier than what was asked for.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            return None
        until_us = -(-to_us(moment.astimezone(UTC)) // _MILLISECOND_US) * _MILLISECOND_US
        return to_us(to_datetime(until_us))  # past the year 9999 nothing could print it
    except (ValueError, OverflowError):
        return None


def _in_future(until_us: int, text: str, *, now_us: int) -> int:
    if until_us <= now_us:
        raise invalid_argument(UNTIL_HEADER, text, "The retain until date must be in the future!")
    return until_us


def _date(instant_us: int) -> str:
    return to_datetime(instant_us).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
