"""Lifecycle rules: what they say of an object, a version, an upload at an instant. Pure; nothing is deleted here.

S3's arithmetic: days are added to the instant something began, and the sum is rounded up to the next midnight UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from gateway.storage.model import ListedVersion
from meter.window import MICROSECONDS

DAY_US = 86_400 * MICROSECONDS


class Fate(Enum):
    """Why something goes."""

    EXPIRED = "expired"
    """The current object: removed, or hidden behind a marker where the bucket has versions."""
    NONCURRENT = "noncurrent"
    """A version that is not the newest any more: removed for good."""
    MARKER = "marker"
    """A delete marker with nothing behind it: removed for good."""
    UPLOAD = "upload"
    """An upload that nobody completed: aborted."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What a rule is about; every condition must hold."""

    prefix: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    larger_than_bytes: int | None = None
    smaller_than_bytes: int | None = None

    def holds(self, key: str, size_bytes: int, tags: Mapping[str, str]) -> bool:
        """Whether an object of that size and those tags is meant."""
        return (
            key.startswith(self.prefix)
            and all(tags.get(name) == value for name, value in self.tags)
            and (self.larger_than_bytes is None or size_bytes > self.larger_than_bytes)
            and (self.smaller_than_bytes is None or size_bytes < self.smaller_than_bytes)
        )

    def holds_for_marker(self, key: str) -> bool:
        """A delete marker has neither size nor tags, so only a rule that asks for none means it."""
        by_prefix = self.tags == () and self.larger_than_bytes is None and self.smaller_than_bytes is None
        return by_prefix and key.startswith(self.prefix)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. An action that is None is not asked for."""

    rule_id: str
    enabled: bool
    filter: Filter
    is_old_style: bool = False
    """Its prefix stood in the rule and not in a filter; it is told back so."""
    expire_days: int | None = None
    expire_at_us: int | None = None
    """A midnight UTC; from then on every object goes, also one written later."""
    expire_markers: bool | None = None
    noncurrent_days: int | None = None
    noncurrent_kept: int = 0
    """So many of the newest noncurrent versions stay, however old."""
    abort_days: int | None = None


@dataclass(frozen=True, slots=True)
class Doom:
    """A version that goes, and why."""

    version: ListedVersion
    fate: Fate


def due_us(began_us: int, days: int) -> int:
    """The midnight UTC after so many days; something that began at midnight itself gets the whole day."""
    return (began_us // DAY_US + days + 1) * DAY_US


def expiry(
    rules: Iterable[Rule], *, key: str, size_bytes: int, tags: Mapping[str, str], modified_us: int
) -> tuple[int, str] | None:
    """When the current object goes and by which rule: the earliest one. None when it stays."""
    times = (
        (at_us, rule.rule_id)
        for rule in rules
        if rule.enabled and rule.filter.holds(key, size_bytes, tags)
        for at_us in _expiry_us(rule, modified_us)
    )
    return min(times, default=None)


def abortion(rules: Iterable[Rule], *, key: str, started_us: int) -> tuple[int, str] | None:
    """When an upload that nobody completes is aborted, and by which rule: the earliest one."""
    times = (
        (due_us(started_us, rule.abort_days), rule.rule_id)
        for rule in rules
        if rule.enabled and rule.abort_days is not None and key.startswith(rule.filter.prefix)
    )
    return min(times, default=None)


class Judge:
    """Says of the versions of a bucket, told in a listing's order, which of them go now.

    Pages are told one by one, and finish() at the end: whether a marker stands alone is known only when the next
    version is seen. Memory is one version, however many a key has.
    """

    def __init__(self, rules: Sequence[Rule], *, now_us: int) -> None:
        """The rules of one bucket and the instant of judgement."""
        self._rules = [rule for rule in rules if rule.enabled]
        self._now_us = now_us
        self._last: ListedVersion | None = None
        self._kept = 0
        """Versions with bytes of the last one's key that are noncurrent: those that are newer than the next."""

    def tell(self, versions: Sequence[ListedVersion]) -> Iterator[Doom]:
        """The next page; those that go, one version behind what was told."""
        told = versions if self._last is None else (self._last, *versions)
        for version, following in pairwise(told):
            yield from self._judged(version, is_last_of_key=following.key != version.key)
        if told:
            self._last = told[-1]

    def finish(self) -> Iterator[Doom]:
        """There are no more versions."""
        if self._last is not None:
            yield from self._judged(self._last, is_last_of_key=True)
            self._last = None

    def _judged(self, version: ListedVersion, *, is_last_of_key: bool) -> Iterator[Doom]:
        fate: Fate | None = None
        if not version.is_latest:
            fate = Fate.NONCURRENT if self._is_superseded_enough(version) else None
            self._kept += not version.is_marker
        elif not version.is_marker:
            fate = Fate.EXPIRED if self._is_expired(version) else None
        elif is_last_of_key:
            fate = Fate.MARKER if self._is_idle(version) else None
        if is_last_of_key:
            self._kept = 0
        if fate is not None:
            yield Doom(version, fate)

    def _is_expired(self, version: ListedVersion) -> bool:
        found = expiry(
            self._rules, key=version.key, size_bytes=version.size_bytes, tags=version.tags,
            modified_us=version.modified_us,
        )  # fmt: skip
        return found is not None and found[0] <= self._now_us

    def _is_superseded_enough(self, version: ListedVersion) -> bool:
        if version.superseded_us is None:
            return False
        return any(
            rule.noncurrent_days is not None
            and due_us(version.superseded_us, rule.noncurrent_days) <= self._now_us
            and self._kept >= rule.noncurrent_kept
            and _means(rule, version)
            for rule in self._rules
        )

    def _is_idle(self, marker: ListedVersion) -> bool:
        """S3 clears a lone marker when told to, and also when it is itself as old as a rule's expiry."""
        return any(
            rule.filter.holds_for_marker(marker.key)
            and (
                rule.expire_markers or any(at <= self._now_us for at in _expiry_us(rule, marker.modified_us))
            )
            for rule in self._rules
        )


def listing_prefix(rules: Iterable[Rule]) -> str:
    """What every key begins with that any rule in force is about."""
    prefixes = [rule.filter.prefix for rule in rules if rule.enabled]
    if not prefixes:
        return ""
    first, last = min(prefixes), max(prefixes)
    same = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[:same]


def looks_at_versions(rules: Iterable[Rule]) -> bool:
    """Whether a rule in force is about objects, versions or markers."""
    return any(
        rule.enabled
        and (
            rule.expire_days is not None
            or rule.expire_at_us is not None
            or bool(rule.expire_markers)
            or rule.noncurrent_days is not None
        )
        for rule in rules
    )


def looks_at_uploads(rules: Iterable[Rule]) -> bool:
    """Whether a rule in force is about uploads."""
    return any(rule.enabled and rule.abort_days is not None for rule in rules)


def _means(rule: Rule, version: ListedVersion) -> bool:
    if version.is_marker:
        return rule.filter.holds_for_marker(version.key)
    return rule.filter.holds(version.key, version.size_bytes, version.tags)


def _expiry_us(rule: Rule, modified_us: int) -> Iterator[int]:
    if rule.expire_days is not None:
        yield due_us(modified_us, rule.expire_days)
    if rule.expire_at_us is not None:
        yield rule.expire_at_us
