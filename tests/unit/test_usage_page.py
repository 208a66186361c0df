"""The page of usage without its database: what a query string may ask for, and cells that a spreadsheet leaves alone."""

from __future__ import annotations

import csv
import io
import itertools
from datetime import UTC, datetime, timedelta

import pytest

from billing.portal.usage import Asked, Bounds, By, as_csv, bars, cut, read_asked, rows, total
from billing.spreadsheet import csv_text
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.usage import Usage
from meter.window import Month

NOW = Month(2026, 11).start_us + 5 * 24 * 3600 * 10**6
BOUNDS = Bounds(days_max=400, hours_max=744)


def used(bytes_out: int, bytes_in: int = 0) -> Usage:
    return Usage(MemberId(1), 0, 1, bytes_in, bytes_out)


def test_without_a_query_it_is_the_running_month_by_day() -> None:
    asked = read_asked({}, BOUNDS, now_us=NOW)
    assert ("2026-11-01", "2026-11-06", By.DAY, {}) == (
        str(asked.first), str(asked.last), asked.by, asked.narrowing,
    )  # fmt: skip


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-13-01"}, {"from": "2026-11-05", "to": "2026-11-04"}, {"from": "2020-01-01"},
        {"from": "2026-09-01", "by": "hour"}, {"by": "member"}, {"bucket": "films"}, {"bucket": "-1"},
        {"bucket": "9" * 19}, {"operation": "32768"}, {"zone": "3"}, {"zone": "\u0663"}, {"from": "0001-01-01"},
        {"to": "9999-12-31"}, {"operation": "=1"},
    ],
)  # fmt: skip
def test_what_is_no_range_or_no_number_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(Refusal):
        read_asked(query, BOUNDS, now_us=NOW)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_that_a_spreadsheet_would_reckon_with_is_defused(start: str) -> None:
    told = csv_text(["name", "count"], [[f"{start}HYPERLINK(1)", -5]])
    (_, row) = list(csv.reader(io.StringIO(told, newline="")))
    assert [f"'{start}HYPERLINK(1)", "-5"] == row


def test_a_bucket_with_a_dangerous_name_is_harmless_in_the_file() -> None:
    asked = Asked(
        datetime(2026, 11, 1, tzinfo=UTC).date(), datetime(2026, 11, 5, tzinfo=UTC).date(), By.BUCKET
    )
    told = rows(asked, [(7, used(12))], kept={}, operations={}, buckets={7: "=cmd|' /C calc'!A0"})
    (_, row) = list(csv.reader(io.StringIO(as_csv(asked, told), newline="")))
    assert ["7", "'=cmd|' /C calc'!A0", "12"] == row[:3]


def test_rows_beyond_the_page_are_summed_and_not_lost() -> None:
    asked = Asked(
        datetime(2026, 11, 1, tzinfo=UTC).date(), datetime(2026, 11, 5, tzinfo=UTC).date(), By.BUCKET
    )
    told = rows(
        asked, [(number, used(number)) for number in range(1, 11)], kept={}, operations={}, buckets={}
    )
    shown, rest, count = cut(told, 3)
    assert ([10, 9, 8], 28, 7, 55) == (
        [one.usage.bytes_out for one in shown], rest["bytes_out"], count, total(told)["bytes_out"],
    )  # fmt: skip


def test_a_line_by_hour_leads_to_that_hour_and_keeps_what_it_was_narrowed_to() -> None:
    day = datetime(2026, 11, 2, tzinfo=UTC).date()
    asked = Asked(day, day, By.HOUR, bucket=7)
    moment = datetime(2026, 11, 2, 15, tzinfo=UTC)
    (row,) = rows(asked, [(moment, used(50, 100))], kept={}, operations={}, buckets={})
    assert "/requests/2026-11-02?bucket=7&hour=15" == row.link
    pictured, width, height = bars(asked, [row])
    # Slot 15 of 24, each of 26 of 640; the larger of the two fills the height, the other half of it.
    assert (640, 120, [(392, 60, 60), (402, 0, 120)]) == (
        width, height, [(one.x, one.y, one.height) for pair in pictured for one in pair.bars],
    )  # fmt: skip
    assert ["2026-11-02 15:00: 50 bytes sent, 100 bytes received"] == [pair.words for pair in pictured]


@pytest.mark.parametrize("days", [1, 3, 31, 366])
def test_the_picture_of_any_days_has_a_shape_for_a_screen(days: int) -> None:
    """Scaled to a page's width, three days were once three screens high."""
    first = datetime(2026, 1, 1, tzinfo=UTC).date()
    asked = Asked(first, first + timedelta(days=days - 1), By.DAY)
    told = rows(
        asked,
        [(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n), used(5, 9)) for n in range(days)],
        kept={},
        operations={},
        buckets={},
    )
    pictured, width, height = bars(asked, told)
    assert 4 * height <= width <= 10 * height
    assert [2] * days == [len(pair.bars) for pair in pictured]
    places = sorted((one.x, one.width) for pair in pictured for one in pair.bars)
    assert all(x + wide <= after for (x, wide), (after, _) in itertools.pairwise(places))
    assert places[-1][0] + places[-1][1] <= width


def test_bars_too_narrow_to_be_pointed_at_say_nothing_and_nothing_that_moved_is_left_out() -> None:
    first = datetime(2026, 11, 1, tzinfo=UTC)
    told = [(first + timedelta(hours=n), used(n % 3, n % 2)) for n in range(31 * 24)]
    for days, says in ((4, True), (5, False), (31, False)):
        asked = Asked(first.date(), first.date() + timedelta(days=days - 1), By.HOUR)
        shown = rows(asked, told[: days * 24], kept={}, operations={}, buckets={})
        pictured, _, _ = bars(asked, shown)
        assert {says} == {pair.words != "" for pair in pictured}
        # Of six hours one moved nothing, and of the others' two bars one in three and one in two is missing.
        assert (days * 24 * 5 // 6, days * 24 * 2 // 3, days * 24 // 2) == (
            len(pictured), *(sum(one.kind == kind for pair in pictured for one in pair.bars) for kind in ("out", "in")),
        )  # fmt: skip
