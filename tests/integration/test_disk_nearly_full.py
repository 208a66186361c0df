"""A gateway whose disk fills up: writes are refused in time, reads go on while they can be counted, and no longer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway import Credentials, RunningGateway, client, running_gateway
from tests.small_disk import fill, free_bytes, small_disk
from tests.traffic import MIB, connected, more, signed

DISK_BYTES = 48 * MIB
FREE_BYTES_MIN = 16 * MIB
OBJECT_BYTES = 3000
TIGHT = {
    "WEIR_DISK_FREE_BYTES_MIN": str(FREE_BYTES_MIN),
    "WEIR_JOURNAL_SEGMENT_BYTES_MAX": str(2**16),  # 510 records
    "WEIR_CONNECTIONS_MAX": "64",
    "WEIR_BLOB_DELETE_DELAY_S": "0",
}


@pytest.fixture
def gateway(tmp_path: Path, database: str) -> Iterator[RunningGateway]:
    with (
        small_disk(tmp_path / "disk", size_bytes=DISK_BYTES) as disk,
        running_gateway(disk, database, environment=TIGHT) as running,
    ):
        yield running


@pytest.fixture
def member(gateway: RunningGateway) -> Credentials:
    found = gateway.member("alice")
    client(gateway, found).create_bucket(Bucket="counted")
    return found


def asked(connection: socket.socket, gateway: RunningGateway, member: Credentials) -> tuple[bytes, int]:
    """Status line and body bytes of one GET."""
    connection.sendall(signed(gateway.port, member.access_key, member.secret_key, "GET", "/counted/small"))
    data = b""
    while b"\r\n\r\n" not in data:
        data += more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < size:
        body += more(connection)
    return head.partition(b"\r\n")[0], len(body)


def put_until_refused(gateway: RunningGateway, member: Credentials) -> int:
    """How many objects of 1 MiB find room."""
    s3, stored = client(gateway, member), 0

    def put_on() -> None:
        nonlocal stored
        for stored in range(64):
            s3.put_object(Bucket="counted", Key=f"k{stored}", Body=bytes(MIB))

    with pytest.raises(s3.exceptions.ClientError) as refused:
        put_on()
    answer = refused.value.response
    assert 503 == answer["ResponseMetadata"]["HTTPStatusCode"]
    assert ("ServiceUnavailable", "There is no room left for this object.") == (
        answer["Error"]["Code"],
        answer["Error"]["Message"],
    )
    return stored


def test_writes_are_refused_while_there_is_room_for_index_and_journal_and_deletes_make_more(
    gateway: RunningGateway, member: Credentials
) -> None:
    stored = put_until_refused(gateway, member)
    assert 4 < stored
    # Up to the mark and not past it; what the index and the journal took meanwhile is theirs.
    assert FREE_BYTES_MIN - 2 * MIB <= free_bytes(gateway.data) < FREE_BYTES_MIN + 2 * MIB
    s3 = client(gateway, member)
    with pytest.raises(s3.exceptions.ClientError, match="no room left"):
        s3.put_object(Bucket="counted", Key="one", Body=bytes(5 * MIB))
    assert MIB == len(s3.get_object(Bucket="counted", Key="k0")["Body"].read())
    usage = gateway.usage(member.member)
    # The 1 MiB that was refused had not been asked for its body; what was refused later is not billed.
    assert (stored * MIB, MIB) == (usage.bytes_in, usage.bytes_out)
    s3.delete_objects(
        Bucket="counted", Delete={"Objects": [{"Key": f"k{number}"} for number in range(stored)]}
    )


def test_reads_go_on_as_long_as_they_can_be_counted_and_no_byte_goes_uncounted(
    gateway: RunningGateway, member: Credentials
) -> None:
    s3 = client(gateway, member)
    s3.put_object(Bucket="counted", Key="small", Body=bytes(OBJECT_BYTES))
    foreign = fill(gateway.data)
    served, received = 0, 0
    with connected(gateway.port) as connection:
        while True:
            status, size = asked(connection, gateway, member)
            if b" 503 " in status:
                break
            assert b" 200 " in status
            served, received = served + 1, received + size
            assert served < 4 * 510
        # Less than both segments hold, for the ends of 64 exchanges that might be open; far more than none.
        assert 300 < served <= 2 * 510 - 2 * 64
        # Refusals take no record, however many there are.
        for _ in range(600):
            assert b"503" in asked(connection, gateway, member)[0]
    foreign.unlink()
    deadline = time.monotonic() + 20
    with connected(gateway.port) as connection:
        while b" 200 " not in (answered := asked(connection, gateway, member))[0]:
            assert time.monotonic() < deadline
            threading.Event().wait(0.05)
        received += answered[1]
    usage = gateway.usage(member.member)
    assert OBJECT_BYTES * (served + 1) == received == usage.bytes_out
    assert served + 1 == usage.requests_b
    assert "Traceback" not in gateway.log()
    s3.put_object(Bucket="counted", Key="again", Body=bytes(MIB))
