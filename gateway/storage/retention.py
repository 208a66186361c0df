"""Which rules a bucket may have, and what retention and legal hold allow. Pure: it is handed the time.

Every engine asks here, inside its commit; who may bypass a retention is the caller's question.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from gateway.storage.errors import InvalidRules, ObjectLocked
from gateway.storage.model import (
    Amendment,
    BucketRules,
    DefaultRetention,
    ObjectProperties,
    Retention,
    RetentionMode,
    Versioning,
)
from meter.window import MICROSECONDS, to_datetime, to_us

DAY_US = 86_400 * MICROSECONDS
RETENTION_DAYS_MAX = 36_500
"""S3's own limits of a default retention."""
RETENTION_YEARS_MAX = 100


def check_rules(old: BucketRules, new: BucketRules) -> None:
    """Raises InvalidRules when a bucket of the old rules cannot have the new ones."""
    if new.versioning is Versioning.OFF and old.versioning is not Versioning.OFF:
        raise InvalidRules("versions can be suspended, and never be taken back")
    if old.locks and not new.locks:
        raise InvalidRules("object lock cannot be taken back")
    if new.locks and new.versioning is not Versioning.ENABLED:
        raise InvalidRules("object lock needs versions to be enabled")
    default = new.default_retention
    if default is None:
        return
    if not new.locks:
        raise InvalidRules("a default retention needs object lock")
    if (default.days > 0) == (default.years > 0) or min(default.days, default.years) < 0:
        raise InvalidRules("a default retention is a number of days or a number of years")
    if default.days > RETENTION_DAYS_MAX or default.years > RETENTION_YEARS_MAX:
        raise InvalidRules(
            f"a default retention is at most {RETENTION_DAYS_MAX} days or {RETENTION_YEARS_MAX} years"
        )


def check_lockable(properties: ObjectProperties, rules: BucketRules) -> None:
    """Raises InvalidRules when a lock is asked for in a bucket that has none."""
    if not rules.locks and (properties.retention is not None or properties.legal_hold):
        raise InvalidRules("the bucket has no object lock")


def retained(properties: ObjectProperties, rules: BucketRules, *, now_us: int) -> ObjectProperties:
    """The properties a new version gets: with the bucket's default retention when they name none."""
    check_lockable(properties, rules)
    if rules.default_retention is None or properties.retention is not None:
        return properties
    return replace(properties, retention=default_until(rules.default_retention, now_us=now_us))


def default_until(default: DefaultRetention, *, now_us: int) -> Retention:
    """Days are 86,400 seconds each; years end on the same date, and 29 February on the 28th."""
    if default.days:
        return Retention(default.mode, now_us + default.days * DAY_US)
    return Retention(default.mode, to_us(_years_later(to_datetime(now_us), default.years)))


def _years_later(moment: datetime, years: int) -> datetime:
    year = moment.year + years
    try:
        return moment.replace(year=year)
    except ValueError:
        return moment.replace(year=year, day=28)


def check_removable(key: str, properties: ObjectProperties, *, now_us: int, may_bypass: bool) -> None:
    """Raises ObjectLocked when the version may be neither deleted for good nor replaced."""
    if properties.legal_hold:
        raise ObjectLocked(key)
    retention = properties.retention
    if retention is None or retention.until_us <= now_us:
        return
    if retention.mode is RetentionMode.COMPLIANCE or not may_bypass:
        raise ObjectLocked(key)


def amended(
    key: str, properties: ObjectProperties, amendment: Amendment, rules: BucketRules, *, now_us: int
) -> ObjectProperties:
    """The properties after the amendment. Raises ObjectLocked, InvalidRules."""
    touches_lock = amendment.retention is not None or amendment.clear_retention
    if not rules.locks and (touches_lock or amendment.legal_hold is not None):
        raise InvalidRules("the bucket has no object lock")
    if touches_lock and not _may_become(properties.retention, amendment, now_us=now_us):
        raise ObjectLocked(key)
    return replace(
        properties,
        tags=properties.tags if amendment.tags is None else amendment.tags,
        acl=properties.acl if amendment.acl is None else amendment.acl,
        retention=amendment.retention if touches_lock else properties.retention,
        legal_hold=properties.legal_hold if amendment.legal_hold is None else amendment.legal_hold,
    )


def _may_become(old: Retention | None, amendment: Amendment, *, now_us: int) -> bool:
    """Longer of the same mode is free; all else needs the bypass, and of COMPLIANCE never comes."""
    if old is None or old.until_us <= now_us:
        return True
    new = amendment.retention
    if new is not None and new.mode is old.mode and new.until_us >= old.until_us:
        return True
    return old.mode is RetentionMode.GOVERNANCE and amendment.may_bypass
