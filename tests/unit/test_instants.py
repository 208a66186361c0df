"""Windows a person asks for: whole hours outward, never past now."""

import pytest

from deploy.instants import BadInstant, instant_text, parse_end, parse_instant, window

# 2026-11-23T05:12:51.123456Z, from the table of POSIX times (date -u -d ... +%s).
NOW_US = 1_795_410_771_123_456


def texts(start: str | None, end: str | None) -> tuple[str, str]:
    found = window(start, end, now_us=NOW_US)
    return instant_text(found.start_us), instant_text(found.end_us)


def test_without_anything_it_is_this_month_up_to_now() -> None:
    assert ("2026-11-01T00:00:00Z", "2026-11-23T05:12:51.123456Z") == texts(None, None)


def test_both_ends_are_widened_to_whole_hours() -> None:
    assert ("2026-11-03T14:00:00Z", "2026-11-03T16:00:00Z") == texts(
        "2026-11-03T14:59:59", "2026-11-03T15:00:01Z"
    )


def test_a_whole_hour_stays_as_it_is() -> None:
    assert ("2026-11-03T00:00:00Z", "2026-11-04T00:00:00Z") == texts("2026-11-03", "2026-11-04")


def test_an_end_in_the_future_is_now() -> None:
    assert "2026-11-23T05:12:51.123456Z" == texts("2026-11-03", "2027-01-01")[1]


def test_an_offset_is_heeded() -> None:
    assert "2026-11-03T12:00:00Z" == texts("2026-11-03T14:00:00+02:00", None)[0]


def test_without_a_start_it_is_the_month_of_the_end() -> None:
    assert ("2026-10-01T00:00:00Z", "2026-10-05T00:00:00Z") == texts(None, "2026-10-05")


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("yesterday", None, "'yesterday' is not a time"),
        ("2026-13-01", None, "is not a time"),
        ("0001-01-01T00:00:00+14:00", None, "is not a time"),
        ("1969-12-31", None, "before 1970"),
        ("2026-12-01", None, "is not in the past"),
        ("2026-11-05", "2026-11-04", "--from must be before --to"),
        ("2026-11-05", "2026-11-05", "--from must be before --to"),
    ],
)
def test_nonsense_is_refused_with_its_reason(start: str, end: str | None, words: str) -> None:
    with pytest.raises(BadInstant, match=words):
        window(start, end, now_us=NOW_US)


def test_an_end_is_a_span_from_now_or_an_instant_to_come() -> None:
    ends = {text: instant_text(parse_end(text, now_us=NOW_US)) for text in ("12h", "30d", "2026-12-31")}
    assert ends == {
        "12h": "2026-11-23T17:12:51.123456Z",
        "30d": "2026-12-23T05:12:51.123456Z",
        "2026-12-31": "2026-12-31T00:00:00Z",
    }


@pytest.mark.parametrize("text", ["0d", "2026-11-23", "-1d", "30", "30w", ""])
def test_an_end_that_is_past_or_none_is_refused(text: str) -> None:
    with pytest.raises(BadInstant):
        parse_end(text, now_us=NOW_US)


def test_the_example_now_is_what_it_says() -> None:
    assert NOW_US == parse_instant("2026-11-23T05:12:51.123456Z")
