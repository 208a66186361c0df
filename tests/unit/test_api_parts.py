"""The API's pure parts: what fits a schema, how a long answer is cut, what the document says of a route."""

from __future__ import annotations

from datetime import date
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.portal.api.fits import Misfit, check, read_text
from billing.portal.api.problem import Kind, Problem, limit
from billing.portal.api.table import table
from billing.portal.api.usage import page_of
from billing.portal.guard import Attempts
from billing.portal.usage import Asked, By, Row
from billing.settings import BillingSettings
from meter.ids import MemberId
from meter.usage import Usage

SCHEMAS: tuple[dict[str, Any], ...] = tuple(
    dict(one)
    for route in table(BillingSettings())
    for one in (
        *(parameter.schema for parameter in route.parameters),
        *([route.body.schema] if route.body else []),
    )
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**19), 10**19) | st.text(max_size=30)
    | st.sampled_from(["day", "WEIR0123456789ABCDEF", "2026-11-05", "2026-11", "json", "2026", "films"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["access_key", "read_only", "buckets", "expires_days", "ends_in_hours", "x"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(st.sampled_from(SCHEMAS), VALUES)
def test_what_fits_is_what_another_program_says_fits(schema: dict[str, Any], value: object) -> None:
    """jsonschema-rs reads the same schema; formats are looked at later, by who reads the day."""
    try:
        check(schema, value, field="it")
        fits = True
    except Misfit:
        fits = False
    assert jsonschema_rs.validator_for(schema).is_valid(value) == fits


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "1e3", " 1", "1_0", "٣", "9" * 19, "true"])
def test_a_number_in_an_address_is_digits_and_nothing_else(text: str) -> None:
    with pytest.raises(Misfit):
        read_text({"type": "integer", "minimum": 0}, text, field="limit")


def test_an_end_of_line_does_not_pass_for_the_end() -> None:
    schema = {"type": "string", "pattern": "^[0-9]{4}$"}
    assert "2026" == read_text(schema, "2026", field="year")
    with pytest.raises(Misfit, match=r"^year: "):
        read_text(schema, "2026\n", field="year")


def row(key: str, sent: int) -> Row:
    return Row(key, key, "", Usage(MemberId(1), 0, 1, bytes_out=sent))


def test_a_long_answer_is_cut_by_its_keys_and_never_by_size() -> None:
    asked = Asked(date(2026, 11, 1), date(2026, 11, 5), By.BUCKET)
    found = [row("10", 5), row("9", 7), row("2", 900), row("100", 1)]
    first, after = page_of(asked, found, limit=2, cursor=None)
    assert (["2", "9"], "9") == ([one.key for one in first], after)
    # Meanwhile the smallest has become the largest: it is still told once.
    second, after = page_of(asked, [*found[:3], row("100", 10**9)], limit=2, cursor="9")
    assert (["10", "100"], None) == ([one.key for one in second], after)
    assert ([], None) == page_of(asked, found, limit=2, cursor="100")
    for strange in ("2026-11-01T00:00:00.000000Z", "9T", "1.5"):
        with pytest.raises(Misfit, match="cursor"):
            page_of(asked, found, limit=2, cursor=strange)


def test_a_problem_is_written_as_rfc_9457_says() -> None:
    found = Problem(Kind.TOO_MANY, "wait", limit("api_requests_per_minute_max", 300))
    assert {
        "type": "urn:weir:problem:too-many-requests", "title": "Too many requests", "status": 429, "detail": "wait",
        "limit": {"name": "api_requests_per_minute_max", "value": 300},
    } == found.document()  # fmt: skip


def test_tries_are_spent_until_the_next_window_and_a_clock_set_back_begins_one() -> None:
    tries = Attempts(tries_max=2, addresses_max=2)
    start = 10**12
    assert [True, True, False] == [tries.allow("a", now_us=start) for _ in range(3)]
    assert (True, False) == (tries.is_spent("a", now_us=start), tries.is_spent("b", now_us=start))
    assert (60, 1) == (tries.left_s(now_us=start), tries.left_s(now_us=start + 59_000_001))
    assert (True, False) == (
        tries.is_spent("a", now_us=start + 59_999_999), tries.is_spent("a", now_us=start + 60_000_000),
    )  # fmt: skip
    assert not tries.is_spent("a", now_us=start - 1)
    assert tries.allow("a", now_us=start - 1)
