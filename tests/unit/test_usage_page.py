"""The page of usage without its database: what a query string may ask for, and cells that a spreadsheet leaves alone."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta

import pytest

from billing.portal.usage import Asked, Bounds, By, as_csv, by_line, cut, over_time, read_asked, rows, total
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


def test_a_bar_stands_in_the_hour_or_day_it_is_of_and_says_which() -> None:
    day = datetime(2026, 11, 2, tzinfo=UTC).date()
    moment = datetime(2026, 11, 2, 15, tzinfo=UTC)
    for asked, place, slots, says in (
        (Asked(day, day, By.HOUR), 15, 24, "2026-11-02 15:00: 50 bytes sent, 100 bytes received"),
        (Asked(day - timedelta(days=1), day, By.DAY), 1, 2, "2026-11-02: 50 bytes sent, 100 bytes received"),
    ):
        told = rows(asked, [(moment, used(50, 100))], kept={}, operations={}, buckets={})
        drawn = over_time(asked, told)
        assert [says] == [group.says for group in drawn.groups]
        for bar in drawn.groups[0].bars:
            assert (
                drawn.width * place < bar.x * slots < (bar.x + bar.width) * slots < drawn.width * (place + 1)
            )


@pytest.mark.parametrize(
    ("first", "last", "by", "labels"),
    [
        (1, 1, By.DAY, [("50.00%", "middle", "2026-11-01")]),
        (1, 3, By.DAY, [("16.66%", "middle", "2026-11-01"), ("83.33%", "middle", "2026-11-03")]),
        (1, 4, By.DAY, [("0%", "start", "2026-11-01"), ("100%", "end", "2026-11-04")]),
        (2, 3, By.HOUR, [("0%", "start", "2026-11-02"), ("100%", "end", "2026-11-03")]),
        (
            2, 2, By.HOUR,
            [("0.00%", "start", "00:00"), ("25.00%", "start", "06:00"), ("50.00%", "start", "12:00"),
             ("75.00%", "start", "18:00")],
        ),
    ],
)  # fmt: skip
def test_a_picture_says_when_it_begins_and_ends(
    first: int, last: int, by: By, labels: list[tuple[str, str, str]]
) -> None:
    asked = Asked(date(2026, 11, first), date(2026, 11, last), by)
    assert labels == [tuple(one) for one in over_time(asked, []).labels]


def test_lines_are_on_one_scale_and_one_without_bytes_keeps_its_name() -> None:
    asked = Asked(date(2026, 11, 1), date(2026, 11, 5), By.BUCKET)
    names = {1: "films", 2: "music", 3: "empty"}
    counted = [(1, used(1000, 500)), (2, used(250)), (3, used(0))]
    told = rows(asked, counted, kept={}, operations={}, buckets=names)
    # A thousand is all of 640.
    assert [("films", [640, 320]), ("music", [160]), ("empty", [])] == [
        (line.name, [bar.width for bar in line.bars]) for line in by_line(told)
    ]


def test_a_picture_of_many_lines_shows_the_first_fifteen() -> None:
    asked = Asked(date(2026, 11, 1), date(2026, 11, 5), By.BUCKET)
    told = rows(asked, [(n, used(n)) for n in range(1, 21)], kept={}, operations={}, buckets={})
    assert [f"bucket {n}" for n in range(20, 5, -1)] == [line.name for line in by_line(told)]
