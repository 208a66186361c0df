"""Sizes people type, and the exact number of bytes they mean."""

from __future__ import annotations

import pytest

from meter.sizes import BadSize, limit_text, parse_limit


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("1000000", 1_000_000),
        ("7B", 7),
        ("10GB", 10_000_000_000),
        ("10GiB", 10_737_418_240),
        ("10 gib", 10_737_418_240),
        ("1.5TB", 1_500_000_000_000),
        ("0.1kB", 100),
        ("1.5KiB", 1536),
        ("2PB", 2_000_000_000_000_000),
        ("9223372036854775807", 2**63 - 1),
        ("none", None),
    ],
)
def test_a_size_is_read_to_the_byte(text: str, size_bytes: int | None) -> None:
    assert size_bytes == parse_limit(text)


@pytest.mark.parametrize(
    "text",
    ["", "ten", "-1", "1e3", "10 G B", "10G", "1,5GB", "٣GB", "9223372036854775808", "0.0001kB", "1.5"],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(BadSize):
        parse_limit(text)


def test_a_limit_is_told_in_words() -> None:
    assert ("no limit", "a limit of 1,024 bytes") == (limit_text(None), limit_text(1024))
