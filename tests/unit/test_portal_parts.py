"""The portal's pure parts: where a request came from, how often, bars, and numbers in words."""

from datetime import UTC, date, datetime

import pytest

from billing.portal.guard import Attempts, neighbourhood, own_path, same_origin
from billing.portal.membership import read_leaving
from billing.portal.overview import Day, days, picture
from billing.portal.typed import refusal_told
from billing.words import bytes_text, instant_text, iso_text, month_text, quantity_text
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.usage import Usage
from meter.window import Month, to_us

MONTH = Month(2026, 11)


@pytest.mark.parametrize(
    ("method", "headers", "portal_url", "allowed"),
    [
        ("GET", {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, "", True),
        ("POST", {}, "", False),
        ("POST", {"Host": "a:1"}, "", False),
        ("POST", {"Sec-Fetch-Site": "same-origin", "Host": "a:1"}, "", False),
        ("POST", {"Sec-Fetch-Site": "same-origin", "Origin": "http://a:1", "Host": "a:1"}, "", True),
        ("POST", {"Sec-Fetch-Site": "none", "Origin": "http://a:1", "Host": "a:1"}, "", True),
        ("POST", {"Sec-Fetch-Site": "same-site", "Origin": "http://a:1", "Host": "a:1"}, "", False),
        ("POST", {}, "https://p.example", False),
        ("DELETE", {"Sec-Fetch-Site": "cross-site"}, "", False),
        ("POST", {"Origin": "http://a:1", "Host": "a:1"}, "", True),
        ("POST", {"Origin": "http://a:2", "Host": "a:1"}, "", False),
        ("POST", {"Origin": "null", "Host": "a:1"}, "", False),
        ("POST", {"Origin": "null"}, "", False),
        ("POST", {"Origin": "null", "Host": ""}, "", False),
        ("POST", {"Origin": "http://[", "Host": "a:1"}, "", False),
        ("POST", {"Origin": "http://[", "Host": "a:1"}, "https://p.example", False),
        ("POST", {"Origin": "https://p.example", "Host": "inside:1"}, "https://p.example/", True),
        ("POST", {"Origin": "http://p.example", "Host": "p.example"}, "https://p.example", False),
    ],
)
def test_only_what_says_that_it_comes_from_our_own_pages_may_change_something(
    method: str, headers: dict[str, str], portal_url: str, *, allowed: bool
) -> None:
    assert allowed is same_origin(method, headers, portal_url=portal_url)


def test_tries_are_counted_by_address_and_forgotten_after_a_minute() -> None:
    attempts = Attempts(tries_max=2, addresses_max=2)
    tried = [attempts.allow(address, now_us=10**9) for address in ("a", "a", "a", "b", "c", "b")]
    assert [True, True, False, True, True, True] == tried
    assert attempts.allow("a", now_us=10**9 + 60 * 10**6)


def test_whoever_has_many_addresses_locks_nobody_out() -> None:
    attempts = Attempts(tries_max=2, addresses_max=100)
    assert all(attempts.allow(f"2001:db8::{number:x}", now_us=10**9) for number in range(1000))
    assert attempts.allow("198.51.100.7", now_us=10**9)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("198.51.100.7", "198.51.100.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"), ("2001:db8:1:3::1", "2001:db8:1:3::/64"), ("", ""),
    ],
)  # fmt: skip
def test_all_addresses_of_one_network_are_counted_as_one(address: str, counted: str) -> None:
    assert counted == neighbourhood(address)


def test_every_day_up_to_today_is_shown() -> None:
    used = [
        (date(2026, 11, 2), Usage(MemberId(1), 0, 1, bytes_in=3, bytes_out=4, requests_a=5, requests_b=6))
    ]
    today = MONTH.start_us + 2 * 86_400 * 10**6
    assert [Day(1), Day(2, 4, 3, 5, 6), Day(3)] == days(MONTH, today, used)


def test_the_picture_of_a_month_has_room_for_the_days_to_come() -> None:
    drawn = picture(MONTH, [Day(1, bytes_out=1000, bytes_in=500), Day(2, bytes_in=1)])
    assert [
        "2026-11-01: 1,000 bytes sent, 500 bytes received",
        "2026-11-02: 0 bytes sent, 1 bytes received",
    ] == [one.says for one in drawn.groups]
    # The first of 30 days ends at a thirtieth; of 60 halves a day's middle is an odd one.
    (first, _) = drawn.groups[0].bars
    assert 0 < first.x < (first.x + first.width) < drawn.width // 30
    assert [
        ("1.66%", "1"), ("25.00%", "8"), ("48.33%", "15"), ("71.66%", "22"), ("95.00%", "29"),
    ] == [(one.x, one.words) for one in drawn.labels]  # fmt: skip


def test_a_february_has_no_label_of_a_day_it_has_not() -> None:
    assert ["1", "8", "15", "22"] == [one.words for one in picture(Month(2027, 2), []).labels]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.00 kB"),
        (1234, "about 1.23 kB"),
        (1235, "about 1.24 kB"),
        (12_340_000, "about 12.3 MB"),
        (250_000_000_000, "250 GB"),
        (999_999, "about 1,000 kB"),
        (10**18, "1.00 EB"),
        (-1500, "-1.50 kB"),
    ],
)
def test_bytes_have_three_digits_and_say_when_that_is_not_all(count: int, text: str) -> None:
    assert text == bytes_text(count)


def test_months_and_moments_in_words() -> None:
    moment = to_us(datetime(2026, 11, 3, 5, 4, 9, 8, UTC))
    assert ("November 2026", "3 November 2026, 05:04 UTC", "2026-11-03T05:04:09.000008Z") == (
        month_text(MONTH), instant_text(moment), iso_text(moment),
    )  # fmt: skip


def test_a_quantity_that_goes_on_says_so() -> None:
    assert ("1.234567891 GB", "0.333333… months") == (
        quantity_text(1_234_567_891, 10**9, "GB"), quantity_text(10**30, 3 * 10**30, "months"),
    )  # fmt: skip


@pytest.mark.parametrize("path", ["/", "/caps", "/usage?from=2026-11-01&to=//x", "/proposals/new?election"])
def test_a_path_of_ours_may_be_led_to(path: str) -> None:
    assert path == own_path(path)


@pytest.mark.parametrize(
    "path",
    # As browsers read them (WHATWG URL, section 4.4): a backslash is a slash, tabs and ends of lines are dropped.
    ["", "caps", "//evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil.example", "https:evil.example",
     "https://evil.example", "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", "/.//evil.example",
     "/x/..//evil.example", " //evil.example", "/caps\r\nSet-Cookie: a=b", "/caf\u00e9", "/" + "a" * 1_000],
)  # fmt: skip
def test_what_a_browser_could_take_for_another_site_is_no_path_of_ours(path: str) -> None:
    assert own_path(path) is None


def test_a_day_that_is_over_in_utc_is_refused_with_the_day_it_is_there() -> None:
    """West of Greenwich an evening's own day is over already."""
    with pytest.raises(Refusal, match=r"from today on \(in UTC it is 2026-11-27\)"):
        read_leaving({"sure": "yes", "on": "2026-11-26"}, today=date(2026, 11, 27))


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("on: write the day as 2026-12-31", "I leave on (UTC): write the day as 2026-12-31."),
        (
            "--on: 2026-11-05 is over (in UTC it is 2026-11-06); a bank executes today or later",
            "The day the bank pays: 2026-11-05 is over (in UTC it is 2026-11-06); a bank executes today or later.",
        ),
    ],
)
def test_a_refused_day_is_told_by_the_words_beside_its_field(sentence: str, told: str) -> None:
    assert told == refusal_told(Refusal(sentence))
