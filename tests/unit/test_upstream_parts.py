"""The small pure parts of the upstream engine: heads and chunks of answers, the breaker, places, sums, turns."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.storage.errors import Busy
from gateway.storage.model import StorageChange
from gateway.storage.upstream.acts import Act, upstream_event
from gateway.storage.upstream.breaker import Breaker
from gateway.storage.upstream.endpoint import Upstream
from gateway.storage.upstream.response import Dechunker, MalformedAnswer, read_response_head
from gateway.storage.upstream.signing import Account
from gateway.storage.upstream.stored import StoredSums
from gateway.storage.upstream.turns import Turns
from meter.event import Mark, RequestClass, StorageLine
from meter.ids import BucketId, MemberId

ACCOUNT = Account("KEY", "secret", "us-east-1")


def head(text: str, *, head_only: bool = False) -> tuple[int, int | None, bool, bool]:
    """Status, body bytes, chunked, keeps alive."""
    found = read_response_head(text.replace("\n", "\r\n").encode(), head_only=head_only)
    return found.status, found.body_bytes, found.is_chunked, found.keeps_alive


def test_the_framing_of_an_answer() -> None:
    # RFC 9112, sections 6 and 9.3.
    assert (200, 5, False, True) == head("HTTP/1.1 200 OK\nContent-Length: 5")
    assert (200, None, True, True) == head("HTTP/1.1 200 OK\nTransfer-Encoding: chunked")
    assert (200, None, False, False) == head("HTTP/1.1 200 OK\nA: b")
    assert (200, 0, False, True) == head("HTTP/1.1 200 OK\nContent-Length: 5", head_only=True)
    assert (204, 0, False, True) == head("HTTP/1.1 204 No Content\nA: b")
    assert (200, 5, False, False) == head("HTTP/1.1 200 OK\nContent-Length: 5\nConnection: close")
    assert (200, 5, False, False) == head("HTTP/1.0 200 OK\nContent-Length: 5")
    assert {"etag": '"a"', "x": "1, 2"} == read_response_head(
        b'HTTP/1.1 204 x\r\nETag:  "a" \r\nX: 1\r\nx: 2', head_only=False
    ).headers


@pytest.mark.parametrize(
    "text",
    [
        "HTTP/2 200", "ICY 200 OK", "HTTP/1.1 999 x", "HTTP/1.1 200 OK\nno colon", "HTTP/1.1 200 OK\n folded: x",
        "HTTP/1.1 200 OK\nA : b", "HTTP/1.1 200 OK\nContent-Length: -1", "HTTP/1.1 200 OK\nContent-Length: 5, 5",
        "HTTP/1.1 200 OK\nContent-Length: 5\nTransfer-Encoding: chunked", "HTTP/1.1 200 OK\nTransfer-Encoding: gzip",
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(MalformedAnswer):
        head(text)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.integers(1, 20))
def test_chunks_come_apart_wherever_the_socket_cuts_them(pieces: list[bytes], step: int) -> None:
    sent = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(one), one) for one in pieces) + b"0\r\nTrailer: x\r\n\r\n"
    dechunker = Dechunker()
    got = b"".join(b"".join(dechunker.feed(sent[at : at + step])) for at in range(0, len(sent), step))
    assert (b"".join(pieces), True) == (got, dechunker.is_done)


@pytest.mark.parametrize("sent", [b"g\r\n", b"-1\r\n", b"1\r\nab\r\n", b"1\n", b"0\r\n\r\nmore", b"0" * 300])
def test_a_broken_chunk_is_refused(sent: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        list(Dechunker().feed(sent))


def test_the_breaker_opens_after_failures_in_a_row_and_a_probe_closes_it() -> None:
    breaker = Breaker(failures_max=3, open_s=5)
    assert [False, False] == [breaker.failed(0), breaker.failed(0)]
    breaker.succeeded()
    assert [False, False, True] == [breaker.failed(1), breaker.failed(1), breaker.failed(1)]
    assert not breaker.admits(5.9)
    assert breaker.admits(6.1)
    # One probe at a time.
    assert not breaker.admits(6.2)
    breaker.failed(7)
    assert not breaker.admits(11.9)
    assert breaker.admits(12.1)
    assert breaker.succeeded()
    assert breaker.admits(12.2)


def test_an_endpoint_is_a_host_and_nothing_more() -> None:
    found = Upstream.at("a", "https://s3.example.org", ACCOUNT)
    assert ("s3.example.org", 443, True, "s3.example.org") == (
        found.host, found.port, found.is_tls, found.host_header,
    )  # fmt: skip
    found = Upstream.at("a", "http://[::1]:9000/", ACCOUNT)
    assert ("::1", 9000, False, "[::1]:9000") == (found.host, found.port, found.is_tls, found.host_header)
    for wrong in ("ftp://a", "http://a/b", "http://a:0", "http://a:99999", "http://u:p@a", "a"):
        with pytest.raises(ValueError):
            Upstream.at("a", wrong, ACCOUNT)
    assert "secret" not in repr(found)


def test_an_upstream_request_costs_nobody_and_is_counted_from_the_upstreams_side() -> None:
    event = upstream_event(Act.WRITE, BucketId(3), began_us=10, ended_us=9, bytes_in=5, bytes_out=2, status=0)
    assert (0, 3, 1052, RequestClass.A, 5, 2, 599, Mark.ABORTED) == (
        event.payer, event.bucket, event.operation, event.request_class, event.bytes_in, event.bytes_out,
        event.status, event.marks,
    )  # fmt: skip
    assert event.ended_us == event.began_us


def test_what_is_stored_is_the_sums_and_what_was_told_since() -> None:
    sums = StoredSums()
    anna, one, two = MemberId(1), BucketId(1), BucketId(2)
    for sequence, bucket, delta in ((5, one, 100), (6, two, 10), (7, one, -30)):
        sums.told(StorageChange(0, anna, bucket, StorageLine.OBJECT, delta, 0), sequence=sequence)
    assert (70, 10, 80) == (sums.of_bucket(one), sums.of_bucket(two), sums.of_member(anna))
    # PostgreSQL has this worker's records up to 6, and another worker's 1000.
    sums.read({one: (anna, 1100), two: (anna, 10)}, shipped=6)
    assert (1070, 10, 1080) == (sums.of_bucket(one), sums.of_bucket(two), sums.of_member(anna))


async def test_a_key_has_one_turn_and_nothing_is_kept_afterwards() -> None:
    turns = Turns(waiting_max=1)
    order: list[str] = []

    async def hold(name: str, release: asyncio.Event) -> None:
        async with turns.of("key"):
            order.append(name)
            await release.wait()

    first, second = asyncio.Event(), asyncio.Event()
    tasks = [asyncio.create_task(hold("a", first)), asyncio.create_task(hold("b", second))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert ["a"] == order
    with pytest.raises(Busy):
        async with turns.of("key"):
            pass
    async with turns.of("other"):
        first.set()
        second.set()
    await asyncio.gather(*tasks)
    assert ["a", "b"] == order
    assert {} == turns._locks
