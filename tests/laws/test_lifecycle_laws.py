"""Lifecycle rules against S3's own examples and against a plain model that sees a whole key at once."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.lifecycle import DAY_US, Fate, Filter, Judge, Rule, abortion, due_us, expiry, listing_prefix
from gateway.storage.model import ListedVersion
from meter.window import to_us

NOW_US = 100 * DAY_US


def at(text: str) -> int:
    return to_us(datetime.fromisoformat(text).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("began", "days", "due"),
    [
        # The two examples of Amazon's page on lifecycle elements, and midnight itself.
        ("2014-01-15T10:30", 3, "2014-01-19"),
        ("2014-01-01T10:30", 1, "2014-01-03"),
        ("2014-01-15T00:00", 3, "2014-01-19"),
        ("2024-02-28T23:59:59.999999", 1, "2024-03-01"),
    ],
)
def test_days_end_at_the_next_midnight(began: str, days: int, due: str) -> None:
    assert at(due) == due_us(at(began), days)


filters = st.builds(
    Filter,
    prefix=st.sampled_from(["", "a", "ab", "b"]),
    tags=st.sampled_from([(), (("t", "1"),)]),
    larger_than_bytes=st.sampled_from([None, 0, 5]),
    smaller_than_bytes=st.sampled_from([None, 7]),
)
rules_of_all_kinds = st.lists(
    st.builds(
        Rule,
        rule_id=st.text("abc", min_size=1, max_size=3),
        enabled=st.booleans(),
        filter=filters,
        expire_days=st.none() | st.integers(1, 5),
        expire_at_us=st.none() | st.sampled_from([NOW_US - DAY_US, NOW_US, NOW_US + DAY_US]),
        expire_markers=st.sampled_from([None, False, True]),
        noncurrent_days=st.none() | st.integers(1, 5),
        noncurrent_kept=st.integers(0, 2),
        abort_days=st.none() | st.integers(1, 5),
    ),
    max_size=4,
)
instants = st.integers(NOW_US - 8 * DAY_US, NOW_US)


@st.composite
def histories(draw: st.DrawFn) -> list[ListedVersion]:
    """Versions of some keys, in the order of a listing."""
    versions = []
    for key in sorted(draw(st.sets(st.sampled_from(["a", "ab", "abc", "b", "c"])))):
        times = sorted(draw(st.sets(instants, min_size=1, max_size=5)), reverse=True)
        for position, modified_us in enumerate(times):
            is_marker = draw(st.booleans())
            versions.append(
                ListedVersion(
                    key, f"v{modified_us}", position == 0, is_marker, 0 if is_marker else draw(st.integers(0, 9)),
                    "e", modified_us, superseded_us=times[position - 1] if position else None,
                    tags={} if is_marker else draw(st.sampled_from([{}, {"t": "1"}, {"t": "2"}])),
                )
            )  # fmt: skip
    return versions


def means(rule: Rule, version: ListedVersion) -> bool:
    chosen = rule.filter
    if version.is_marker and (
        chosen.tags or (chosen.larger_than_bytes, chosen.smaller_than_bytes) != (None, None)
    ):
        return False
    return (
        rule.enabled
        and version.key.startswith(chosen.prefix)
        and set(chosen.tags) <= set(version.tags.items())
        and (chosen.larger_than_bytes is None or version.size_bytes > chosen.larger_than_bytes)
        and (chosen.smaller_than_bytes is None or version.size_bytes < chosen.smaller_than_bytes)
    )


def over(began_us: int, days: int | None) -> bool:
    """Whether the day after so many days has begun, counted in days."""
    return days is not None and NOW_US // DAY_US > began_us // DAY_US + days


def doomed(rules: list[Rule], key_history: list[ListedVersion]) -> set[tuple[str, str, Fate]]:
    found = set()
    for position, version in enumerate(key_history):
        newer = sum(1 for one in key_history[1:position] if not one.is_marker)
        for rule in rules:
            is_old = over(version.modified_us, rule.expire_days) or (
                rule.expire_at_us is not None and rule.expire_at_us <= NOW_US
            )
            if not means(rule, version):
                continue
            if position:
                assert version.superseded_us is not None
                if over(version.superseded_us, rule.noncurrent_days) and newer >= rule.noncurrent_kept:
                    found.add((version.key, version.version_id, Fate.NONCURRENT))
            elif not version.is_marker:
                if is_old:
                    found.add((version.key, version.version_id, Fate.EXPIRED))
            elif len(key_history) == 1 and (rule.expire_markers or is_old):
                found.add((version.key, version.version_id, Fate.MARKER))
    return found


@given(rules_of_all_kinds, histories(), st.integers(1, 4))
def test_the_judge_agrees_with_a_model_whatever_the_pages(
    rules: list[Rule], history: list[ListedVersion], page: int
) -> None:
    expected: set[tuple[str, str, Fate]] = set()
    for _, group in groupby(history, key=lambda version: version.key):
        expected |= doomed(rules, list(group))
    judge = Judge(rules, now_us=NOW_US)
    found = [
        doom for start in range(0, len(history), page) for doom in judge.tell(history[start : start + page])
    ]
    found += judge.finish()
    assert expected == {(doom.version.key, doom.version.version_id, doom.fate) for doom in found}
    assert len(expected) == len(found)


@given(rules_of_all_kinds, instants, st.integers(0, 9), st.sampled_from(["a", "abc", "c"]))
def test_what_the_header_announces_is_what_happens(
    rules: list[Rule], modified_us: int, size_bytes: int, key: str
) -> None:
    announced = expiry(rules, key=key, size_bytes=size_bytes, tags={}, modified_us=modified_us)
    version = ListedVersion(key, "v", True, False, size_bytes, "e", modified_us)
    if announced is None:
        judge = Judge(rules, now_us=10**6 * DAY_US)
        assert [] == [*judge.tell([version]), *judge.finish()]
        return
    at_us, rule_id = announced
    assert rule_id in {rule.rule_id for rule in rules if rule.enabled}
    for now_us, fates in ((at_us - 1, []), (at_us, [Fate.EXPIRED])):
        judge = Judge(rules, now_us=now_us)
        assert fates == [doom.fate for doom in (*judge.tell([version]), *judge.finish())]


@given(rules_of_all_kinds, instants, st.sampled_from(["a", "abc", "c"]))
def test_an_upload_is_aborted_by_the_first_rule_that_is_due(
    rules: list[Rule], started_us: int, key: str
) -> None:
    days = [
        rule.abort_days
        for rule in rules
        if rule.enabled and rule.abort_days is not None and key.startswith(rule.filter.prefix)
    ]
    found = abortion(rules, key=key, started_us=started_us)
    assert (due_us(started_us, min(days)) if days else None) == (None if found is None else found[0])


@given(rules_of_all_kinds)
def test_the_listing_begins_where_all_rules_do(rules: list[Rule]) -> None:
    prefix = listing_prefix(rules)
    asked = [rule.filter.prefix for rule in rules if rule.enabled]
    assert all(one.startswith(prefix) for one in asked)
    # No longer prefix would do.
    assert not asked or any(
        one == prefix or one[: len(prefix) + 1] != asked[0][: len(prefix) + 1] for one in asked
    )


def noncurrent(key: str, position: int, *, is_marker: bool = False) -> ListedVersion:
    """Old enough for every rule; position 0 is the latest."""
    instant_us = NOW_US - (10 + position) * DAY_US
    superseded_us = None if position == 0 else instant_us + DAY_US
    return ListedVersion(
        key, f"{key}{position}", position == 0, is_marker, 1, "e", instant_us, superseded_us=superseded_us
    )


def test_so_many_noncurrent_versions_with_bytes_stay_of_each_key() -> None:
    rules = [Rule("r", enabled=True, filter=Filter(), noncurrent_days=1, noncurrent_kept=2)]
    history = [noncurrent("a", number, is_marker=number in (1, 3)) for number in range(6)]
    history += [noncurrent("b", number) for number in range(4)]
    judge = Judge(rules, now_us=NOW_US)
    found = [doom.version.version_id for doom in (*judge.tell(history), *judge.finish())]
    # Of a, versions 2 and 4 stay: the markers 1 and 3 hold no bytes and take nobody's place. Of b, 1 and 2.
    assert ["a5", "b3"] == found
