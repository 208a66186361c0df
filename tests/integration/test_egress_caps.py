"""A member's own cap of egress at the door: held by two workers, without Postgres, over restarts and month ends."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from threading import Barrier
from typing import Any

import pytest
from botocore.exceptions import ClientError

from meter import frame
from meter.reader import chain, streams
from tests.gateway import Credentials, RunningGateway, client, running_gateway
from tests.integration.s3_kit import Answer, ask, eventually, fetch, line, sign
from tests.postgres import Loop, place_for_a_server, running_server
from tests.traffic import more

MIB = 2**20
CHECKPOINT = 4 * MIB
SEND_BUFFER = 6 * MIB
"""What a socket on this machine may hold at most: the third number of net.ipv4.tcp_wmem, and one step of sending."""
_numbers = count(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningGateway, Any]]:
    """Two workers and a PostgreSQL of their own, which a test may stop."""
    root = tmp_path_factory.mktemp("caps")
    (root / "gateway").mkdir()
    environment = {
        "WEIR_CHECKPOINT_BYTES": str(CHECKPOINT),
        "WEIR_CAP_POLL_S": "1",
        "WEIR_WEBSITE_SUFFIX": "pages.test",
    }
    with (
        place_for_a_server() as data,
        running_server(data) as server,
        running_gateway(root / "gateway", server.database(), workers=2, environment=environment) as gateway,
    ):
        yield gateway, server
        assert "Traceback" not in gateway.log(), gateway.log()


@dataclass
class Tenant:
    """A member of their own with one bucket and one object of `size` bytes."""

    gateway: RunningGateway
    credentials: Credentials
    s3: Any
    bucket: str

    @property
    def url(self) -> str:
        """A signed link to the object."""
        return str(self.s3.generate_presigned_url("get_object", Params={"Bucket": self.bucket, "Key": "k"}))

    def put(self, size: int) -> None:
        self.s3.put_object(Bucket=self.bucket, Key="k", Body=bytes(size))

    def cap(self, column: str, cap_bytes: int | None) -> None:
        """Set it, and let every worker hear of it: the next document makes them read the directory."""
        value = "NULL" if cap_bytes is None else cap_bytes
        self.gateway.execute(
            f"INSERT INTO meter.member_cap (member, {column}, changed_at) VALUES ({self.credentials.member}, {value}, now())"
            f" ON CONFLICT (member) DO UPDATE SET {column} = excluded.{column}"
        )
        tag = {"Key": "told", "Value": str(next(_numbers))}
        self.s3.put_bucket_tagging(Bucket=self.bucket, Tagging={"TagSet": [tag]})

    def all_workers_know(self) -> None:
        """Ask on so many connections that each worker reads what is new; and some worker knows the sums."""
        head = sign(self.gateway, self.credentials, "HEAD", f"/{self.bucket}/k").head()
        for _ in range(20):
            with line(self.gateway) as open_line:
                open_line.is_head = True
                open_line.send(head)
                assert 200 == open_line.answer().status
        known = self.gateway.data / "caps.json"
        member = f'"{self.credentials.member}"'
        assert eventually(lambda: known.exists() and member in known.read_text())

    def get(self) -> tuple[int, int]:
        """Status and body bytes of one whole answer."""
        answer = fetch(self.url)
        return answer.status, len(answer.body)

    def is_refused(self) -> bool:
        return fetch(self.url).status == 403


@pytest.fixture
def tenant(place: tuple[RunningGateway, Any]) -> Tenant:
    gateway, _ = place
    number = next(_numbers)
    credentials = gateway.member(f"capped-{number}")
    s3 = client(gateway, credentials, signature_version="s3v4")
    s3.create_bucket(Bucket=f"capped-{number}")
    return Tenant(gateway, credentials, s3, f"capped-{number}")


def outcome(operation: Any, **how: Any) -> tuple[int, str]:
    """(200, '') or status and code of the refusal."""
    try:
        operation(**how)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    return 200, ""


def received(tenant: Tenant, all_begun: Barrier) -> int:
    """Download on a connection of its own, and say how many body bytes came before it ended, however it did.

    Nobody reads much before all have the head of their answer, so that no worker is done before another began.
    """
    signed = sign(tenant.gateway, tenant.credentials, "GET", f"/{tenant.bucket}/k")
    with socket.socket() as connection:
        connection.settimeout(60)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        connection.connect(("127.0.0.1", tenant.gateway.port))
        connection.sendall(signed.head())
        head = b""
        try:
            while b"\r\n\r\n" not in head:
                head += more(connection, 4096)
            all_begun.wait(60)
            assert head.startswith(b"HTTP/1.1 200"), head
            total = len(head.partition(b"\r\n\r\n")[2])
            while data := connection.recv(2**18):
                total += len(data)
        except ConnectionResetError:
            pass  # cut: that is how a cap ends it
        return total


def test_at_the_cap_downloads_and_lists_are_refused_and_the_rest_goes_on(tenant: Tenant) -> None:
    tenant.put(1000)
    tenant.cap("egress_hard", 3000)
    assert (200, 1000) == tenant.get()
    assert eventually(tenant.is_refused)
    answer: Answer = fetch(tenant.url)
    assert (403, "EgressCapReached") == (answer.status, answer.code)
    assert b"<CapBytes>3000</CapBytes>" in answer.body
    assert b"T00:00:00Z</ResetsAt>" in answer.body
    used = tenant.gateway.usage(tenant.credentials.member)
    assert 3000 == used.bytes_out
    refused = (403, "EgressCapReached")
    assert refused == outcome(tenant.s3.list_objects_v2, Bucket=tenant.bucket)
    assert (200, "") == outcome(tenant.s3.head_object, Bucket=tenant.bucket, Key="k")
    assert (200, "") == outcome(tenant.s3.put_object, Bucket=tenant.bucket, Key="more", Body=b"x")
    assert (200, "") == outcome(tenant.s3.delete_object, Bucket=tenant.bucket, Key="more")
    # What was refused is free, as bytes and as a request.
    after = tenant.gateway.usage(tenant.credentials.member)
    assert (3000, used.requests_b + 1) == (after.bytes_out, after.requests_b)  # the HEAD


def test_a_higher_cap_or_none_lets_in_again(tenant: Tenant) -> None:
    tenant.put(1000)
    tenant.cap("egress_hard", 0)
    assert eventually(tenant.is_refused)
    tenant.cap("egress_hard", 10**9)
    assert eventually(lambda: not tenant.is_refused())
    tenant.cap("egress_hard", 0)
    assert eventually(tenant.is_refused)
    tenant.cap("egress_hard", None)
    assert eventually(lambda: not tenant.is_refused())


def test_a_soft_cap_refuses_nothing(tenant: Tenant) -> None:
    tenant.put(1000)
    tenant.cap("egress_soft", 1)
    tenant.cap("egress_hard", 2500)
    assert [(200, 1000)] * 3 == [tenant.get() for _ in range(3)]
    assert eventually(tenant.is_refused)


def test_strangers_readers_and_visitors_count_for_the_owner_and_are_refused_like_them(tenant: Tenant) -> None:
    tenant.s3.put_object(Bucket=tenant.bucket, Key="k", Body=bytes(1000), ACL="public-read")
    tenant.s3.put_bucket_website(
        Bucket=tenant.bucket, WebsiteConfiguration={"IndexDocument": {"Suffix": "k"}}
    )
    guest = tenant.gateway.member(f"guest-of-{tenant.bucket}")
    path = f"/{tenant.bucket}/k"

    def asked() -> list[int]:
        return [one.status for one in answers()]

    def answers() -> list[Answer]:
        visit = f"GET / HTTP/1.1\r\nHost: {tenant.bucket}.pages.test\r\n\r\n".encode()
        return [
            ask(tenant.gateway, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()),
            ask(tenant.gateway, sign(tenant.gateway, guest, "GET", path).head()),
            ask(tenant.gateway, visit),
        ]

    assert [200, 200, 200] == asked()
    tenant.cap("egress_hard", 3000)
    assert eventually(lambda: asked() == [403, 403, 403])
    # How high it is, is their own business. As a word: a request's ID is drawn, and may hold these digits.
    assert not [one.body for one in answers() if re.search(rb"CapBytes|\b3,?000\b", one.body)]
    # And a guest who is over their own cap reads others' buckets, on others' bills, as before.
    tenant.gateway.execute(
        f"INSERT INTO meter.member_cap (member, egress_hard, changed_at) VALUES ({guest.member}, 0, now())"
    )
    tenant.cap("egress_hard", None)
    assert eventually(lambda: asked() == [200, 200, 200])


def test_errors_do_not_fill_a_cap(tenant: Tenant) -> None:
    tenant.put(1000)
    tenant.cap("egress_hard", 2000)
    missing = tenant.s3.generate_presigned_url(
        "get_object", Params={"Bucket": tenant.bucket, "Key": "not-there"}
    )
    assert {404} == {fetch(missing).status for _ in range(20)}
    assert [(200, 1000)] * 2 == [tenant.get() for _ in range(2)]
    assert eventually(tenant.is_refused)


@pytest.mark.parametrize("is_away", [False, True], ids=["postgres-there", "postgres-away"])
def test_parallel_downloads_pass_a_cap_by_a_checkpoint_each_at_most(
    place: tuple[RunningGateway, Any], tenant: Tenant, is_away: bool
) -> None:
    """Connections spread by the kernel over two workers; the cap is a fraction of what they ask for."""
    gateway, server = place
    loop: Loop = server._loop
    connections, size, cap = 16, 64 * MIB, 40 * MIB
    tenant.put(size)
    tenant.cap("egress_hard", cap)
    tenant.all_workers_know()
    if is_away:
        loop.run(server.server.stop(hurry=True))
    try:
        with ThreadPoolExecutor(connections) as pool:
            all_begun = Barrier(connections)
            came = list(pool.map(lambda _: received(tenant, all_begun), range(connections)))
        assert eventually(tenant.is_refused)
    finally:
        if is_away:
            loop.run(server.server.start())
    billed = gateway.usage(tenant.credentials.member).bytes_out
    bound = cap + connections * (CHECKPOINT + SEND_BUFFER)
    # What the kernel delivers between our decision to cut and its reset is nobody's: never billed, and bounded.
    assert cap <= billed <= sum(came) <= bound
    assert max(came) < size, "each was cut"
    assert {"worker-0", "worker-1"} == {
        stream.name
        for stream in streams(gateway.settings.journal_directory)
        for segment in chain(stream)
        for _, event in frame.events(segment.records)
        if event.payer == tenant.credentials.member and event.bytes_out
    }, "both workers sent"


def test_a_cap_outlives_a_kill_with_postgres_away(place: tuple[RunningGateway, Any], tenant: Tenant) -> None:
    gateway, server = place
    loop: Loop = server._loop
    tenant.put(1000)
    tenant.cap("egress_hard", 5000)
    tenant.all_workers_know()
    loop.run(server.server.stop(hurry=True))
    try:
        assert eventually(tenant.is_refused)
        gateway.end(signal.SIGKILL)
        gateway.start()
        with line(gateway) as open_line:
            open_line.send(sign(gateway, tenant.credentials, "GET", f"/{tenant.bucket}/k").head())
            answer = open_line.answer()
            assert (403, "EgressCapReached") == (answer.status, answer.code)
    finally:
        loop.run(server.server.start())
    assert 5000 == gateway.usage(tenant.credentials.member).bytes_out


def test_a_cap_of_storage_refuses_what_would_pass_it_and_names_itself(tenant: Tenant) -> None:
    tenant.cap("storage_hard", 150_000)
    tag = {"TagSet": [{"Key": "told", "Value": "1"}]}
    tenant.s3.put_bucket_tagging(Bucket=tenant.bucket, Tagging=tag)
    tenant.s3.put_object(Bucket=tenant.bucket, Key="a", Body=bytes(100_000))
    with pytest.raises(ClientError) as refused:
        tenant.s3.put_object(Bucket=tenant.bucket, Key="b", Body=bytes(100_000))
    told = refused.value.response["Error"]
    assert ("QuotaExceeded", "owner", "150000") == (told["Code"], told["LimitOf"], told["LimitBytes"])
    assert "own cap" in told["Message"]
    # The co-op's limit stands beside it, and the lower one counts.
    tenant.gateway.execute(f"INSERT INTO gateway.member_limit VALUES ({tenant.credentials.member}, 120000)")
    tenant.s3.put_bucket_tagging(Bucket=tenant.bucket, Tagging=tag)
    with pytest.raises(ClientError) as refused:
        tenant.s3.put_object(Bucket=tenant.bucket, Key="b", Body=bytes(30_000))
    told = refused.value.response["Error"]
    assert ("member", "120000") == (told["LimitOf"], told["LimitBytes"])
