"""What one worker has answered 200 for, the other one serves from the next request on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.gateway import Credentials, RunningGateway
from tests.integration.s3_kit import Line, line, sign

CONNECTIONS_MAX = 64
"""The kernel spreads connections by chance; so many at one worker do not happen."""


@pytest.fixture
def two_lines(s3_gateway: RunningGateway, anna: Credentials, bucket: str) -> Iterator[tuple[Line, Line]]:
    """A connection to each worker. A request's id begins with what its worker drew at its start."""
    with ExitStack() as stack:
        found: dict[str, Line] = {}
        for _ in range(CONNECTIONS_MAX):
            one = stack.enter_context(line(s3_gateway))
            one.send(sign(s3_gateway, anna, "GET", f"/{bucket}/none").head())
            found.setdefault(one.answer().headers["x-amz-request-id"][:16], one)
            if len(found) == 2:
                break
        writer, reader = found.values()
        yield writer, reader


def test_a_small_object_is_read_as_it_was_last_put(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str, two_lines: tuple[Line, Line]
) -> None:
    writer, reader = two_lines
    read = sign(s3_gateway, anna, "GET", f"/{bucket}/key").head()
    for number in range(60):
        body = f"number {number}".encode()
        writer.send(sign(s3_gateway, anna, "PUT", f"/{bucket}/key").whole(body))
        assert 200 == writer.answer().status
        # Twice: from the index, and from what the reader keeps in memory.
        for _ in range(2):
            reader.send(read)
            assert body == reader.answer().body


def test_a_small_object_that_was_deleted_is_gone_at_once(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str, two_lines: tuple[Line, Line]
) -> None:
    writer, reader = two_lines
    read = sign(s3_gateway, anna, "GET", f"/{bucket}/key").head()
    for _ in range(10):
        writer.send(sign(s3_gateway, anna, "PUT", f"/{bucket}/key").whole(b"here"))
        assert 200 == writer.answer().status
        reader.send(read)
        assert b"here" == reader.answer().body
        writer.send(sign(s3_gateway, anna, "DELETE", f"/{bucket}/key").head())
        assert 204 == writer.answer().status
        reader.send(read)
        assert "NoSuchKey" == reader.answer().code


LOCK_SEEKERS = 100


def test_of_a_hundred_clients_that_take_a_lock_at_once_one_has_it(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str
) -> None:
    # As Terraform and its kind lock a state: create the lock's object unless it is there.
    with ExitStack() as stack:
        lines = [stack.enter_context(line(s3_gateway)) for _ in range(LOCK_SEEKERS)]
        for number, one in enumerate(lines):
            signed = sign(s3_gateway, anna, "PUT", f"/{bucket}/lock", headers={"If-None-Match": "*"})
            # All but the last byte, so that each of them is only waiting for it.
            one.send(signed.head(Content_Length="4") + b"%03d" % number)
        for one in lines:
            one.send(b"!")
        statuses = [one.answer().status for one in lines]
        lines[0].send(sign(s3_gateway, anna, "GET", f"/{bucket}/lock").head())
        holder = lines[0].answer().body
    assert {200: 1, 412: LOCK_SEEKERS - 1} == {one: statuses.count(one) for one in set(statuses)}
    assert b"%03d!" % statuses.index(200) == holder
