"""The gateway on a bare socket: 100-continue, pipelining, keep-alive, garbage, idlers, and workers that agree."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.gateway import Credentials, RunningGateway, running_gateway
from tests.integration.s3_kit import SIGNED_CHUNKS, UNSIGNED, Line, ask, line, sign, signed_chunks
from tests.postgres import TestServer

CONNECTIONS = 16
"""So many that both workers have some of them: the kernel spreads connections by chance, 2 in 65,536 it does not."""


@pytest.fixture
def one(s3_gateway: RunningGateway) -> Iterator[Line]:
    """One connection."""
    with line(s3_gateway) as open_line:
        yield open_line


def request(
    gateway: RunningGateway, credentials: Credentials, method: str, target: str, body: bytes = b""
) -> bytes:
    """A signed request as bytes."""
    return sign(gateway, credentials, method, target).whole(body)


@pytest.mark.parametrize("payload", [UNSIGNED, SIGNED_CHUNKS])
def test_the_body_is_asked_for_once_and_after_the_proof(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, bucket: str, one: Line, payload: str
) -> None:
    data = random.Random(1).randbytes(200_000)
    more = {"x-amz-decoded-content-length": str(len(data))} if payload == SIGNED_CHUNKS else {}
    signed = sign(s3_gateway, anna, "PUT", f"/{bucket}/k", payload=payload, headers=more)
    body = signed_chunks(signed, [data]) if more else data
    for _ in range(2):  # the connection goes on
        one.send(signed.head(Expect="100-continue", Content_Length=str(len(body))))
        assert 100 == one.answer().status
        one.send(body)
        assert 200 == one.answer().status
    assert data == s3.get_object(Bucket=bucket, Key="k")["Body"].read()


def test_http_1_0_is_never_told_to_continue(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, bucket: str, one: Line
) -> None:
    signed = sign(s3_gateway, anna, "PUT", f"/{bucket}/k")
    head = signed.head(Expect="100-continue", Content_Length="4", Connection="keep-alive")
    for _ in range(2):  # nothing was left open: the connection goes on
        one.send(head.replace(b"HTTP/1.1", b"HTTP/1.0") + b"data")
        assert 200 == one.answer().status
    assert b"data" == s3.get_object(Bucket=bucket, Key="k")["Body"].read()


@pytest.mark.parametrize("fault", ["secret", "bucket", "size", "condition", "operation"])
def test_a_refused_body_is_never_asked_for(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, bucket: str, one: Line, fault: str
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    wrong = Credentials(anna.member, anna.name, anna.access_key, "wrong")
    signed, expected = {
        "secret": (sign(s3_gateway, wrong, "PUT", f"/{bucket}/k"), "SignatureDoesNotMatch"),
        "bucket": (sign(s3_gateway, anna, "PUT", "/no-such-bucket/k"), "NoSuchBucket"),
        "size": (sign(s3_gateway, anna, "PUT", f"/{bucket}/k"), "EntityTooLarge"),
        "condition": (
            sign(s3_gateway, anna, "PUT", f"/{bucket}/k", headers={"if-none-match": "some"}), "NotImplemented",
        ),
        "operation": (sign(s3_gateway, anna, "PUT", f"/{bucket}?notification"), "NotImplemented"),
    }[fault]  # fmt: skip
    length = 5 * 2**30 + 1 if fault == "size" else 1000
    one.send(signed.head(Expect="100-continue", Content_Length=str(length)))
    refused = one.answer()
    assert (expected, "close") == (refused.code, refused.headers["connection"])
    assert b"old" == s3.get_object(Bucket=bucket, Key="k")["Body"].read()


def test_pipelined_requests_are_answered_in_order(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str, one: Line
) -> None:
    large = random.Random(2).randbytes(3_000_000)
    sent, expected = b"", []
    for number in range(12):
        body = b"%d" % number if number % 3 else large
        sent += request(s3_gateway, anna, "PUT", f"/{bucket}/{number}", body)
        sent += request(s3_gateway, anna, "GET", f"/{bucket}/{number}")
        sent += request(s3_gateway, anna, "GET", f"/{bucket}/absent")
        expected += [(200, None), (200, body), (404, None)]
    sent += request(s3_gateway, anna, "DELETE", f"/{bucket}/0")
    with ExitStack() as stack:
        # A client that sends everything before it reads needs somebody who sends meanwhile.
        sender = threading.Thread(target=one.send, args=(sent,))
        sender.start()
        stack.callback(sender.join)
        for status, body in expected:
            answer = one.answer()
            assert status == answer.status
            assert body is None or body == answer.body
        assert 204 == one.answer().status


def test_a_connection_outlives_refusals_and_unread_bodies(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str, one: Line
) -> None:
    wrong = Credentials(anna.member, anna.name, anna.access_key, "wrong")
    for size in (0, 1, 1000, 200_000):
        one.send(request(s3_gateway, wrong, "PUT", f"/{bucket}/k", b"\r\n" * (size // 2)))
        assert "SignatureDoesNotMatch" == one.answer().code
        one.send(request(s3_gateway, anna, "PUT", f"/{bucket}/k", b"GET / HTTP/1.1\r\n\r\n"))
        assert 200 == one.answer().status


def test_a_client_that_sends_a_refused_body_to_its_end_reads_the_refusal(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str
) -> None:
    wrong = Credentials(anna.member, anna.name, anna.access_key, "wrong")
    refused = ask(s3_gateway, request(s3_gateway, wrong, "PUT", f"/{bucket}/k", bytes(30_000_000)))
    assert ("SignatureDoesNotMatch", "close") == (refused.code, refused.headers["connection"])


def test_answers_without_a_body_leave_the_connection_in_step(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, bucket: str, one: Line
) -> None:
    data = bytes(100_000)
    etag = s3.put_object(Bucket=bucket, Key="k", Body=data)["ETag"]
    for size_and_target in ((len(data), "k"), (None, "absent")):
        size, key = size_and_target
        one.is_head = True
        one.send(request(s3_gateway, anna, "HEAD", f"/{bucket}/{key}"))
        answer = one.answer()
        assert (200, str(size)) == (answer.status, answer.headers["content-length"]) or 404 == answer.status
        one.is_head = False
        one.send(sign(s3_gateway, anna, "GET", f"/{bucket}/k", headers={"If-None-Match": etag}).whole(b""))
        answer = one.answer()
        assert (304, None, etag) == (
            answer.status,
            answer.headers.get("content-length"),
            answer.headers["etag"],
        )
        one.send(request(s3_gateway, anna, "DELETE", f"/{bucket}/other"))
        assert 204 == one.answer().status
        one.send(request(s3_gateway, anna, "GET", f"/{bucket}/k"))
        assert data == one.answer().body


def test_http_1_0_is_answered_and_closed(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, bucket: str, one: Line
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    one.send(request(s3_gateway, anna, "GET", f"/{bucket}/k").replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert b"data" == one.answer().body
    assert b"" == one.rest()


HEAD = b"GET /a-bucket/k HTTP/1.1\r\nHost: x\r\n"
GARBAGE = [
    b"\r\n\r\n", b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"G" * 100_000, HEAD + b"a" * 100_000 + b"\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", HEAD + b"".join(b"x%d: y\r\n" % n for n in range(500)) + b"\r\n",
    HEAD + b"Content-Length: nonsense\r\n\r\n", HEAD + b"Content-Length: -1\r\n\r\n",
    HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZZ\r\n", HEAD + b"no colon\r\n\r\n", HEAD + b"a: b\0c\r\n\r\n",
    HEAD + b"a: \xff\xfe\r\n\r\n", HEAD + b"bad name: x\r\n\r\n", HEAD + b" folded\r\n\r\n", HEAD + b"a: b\rc\r\n\r\n",
    b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /a-bucket/%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n", b"GET http://evil HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET //evil/%ff?%ff HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    HEAD + b"Authorization: \r\n\r\n", HEAD + b"Authorization: AWS4-HMAC-SHA256 ,,,=\r\n\r\n",
    HEAD + b"Authorization: AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request, SignedHeaders=host, Signature=\xff\r\n\r\n",
    HEAD + b"x-amz-date: 20260101T000000Z\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\n"
    b"Authorization: AWS4-HMAC-SHA256 Credential=WEIR\xff/20260101/us-east-1/s3/aws4_request, "
    b"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + b"0" * 64 + b"\r\n\r\n",
    b"GET /?X-Amz-Signature=a&X-Amz-Algorithm HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PUT /a-bucket/k HTTP/1.1\r\nHost: x\r\nExpect: nonsense\r\nContent-Length: 3\r\n\r\nabc",
    b"PUT /a-bucket/k HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
    b"PUT /a-bucket/k HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
]  # fmt: skip


def statuses(answer: bytes) -> list[int]:
    """Of everything that came back."""
    found = [piece.split(b" ", 1)[0] for piece in answer.split(b"HTTP/1.1 ")[1:]]
    found += [piece.split(b" ", 1)[0] for piece in answer.split(b"HTTP/1.0 ")[1:]]
    return [int(status) for status in found]


@pytest.mark.parametrize("number", range(len(GARBAGE)))
def test_garbage_is_refused_and_the_worker_lives(s3_gateway: RunningGateway, one: Line, number: int) -> None:
    one.send(GARBAGE[number])
    one.connection.shutdown(1)
    answer = one.rest()
    assert all(400 <= status < 500 or status == 501 for status in statuses(answer)), answer
    assert b"Traceback" not in answer
    assert b"HTTP/1." not in answer or b"<Code>" in answer, answer


def test_random_bytes_are_refused_and_the_worker_lives(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str, seed: int
) -> None:
    chance = random.Random(seed)
    good = request(s3_gateway, anna, "PUT", f"/{bucket}/k", b"data")
    for _ in range(60):
        bad = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            bad[chance.randrange(len(bad))] = chance.randrange(256)
        with line(s3_gateway) as open_line:
            open_line.send(bytes(bad))
            open_line.connection.shutdown(1)
            assert all(status < 500 or status == 501 for status in statuses(open_line.rest())), bytes(bad)
    assert 200 == ask(s3_gateway, good).status


def test_a_log_of_garbage_has_no_traceback(s3_gateway: RunningGateway) -> None:
    assert "Traceback" not in s3_gateway.log()
    assert "Signature=" not in s3_gateway.log()
    assert "Postgres is away" not in s3_gateway.log()
    assert [None, None] == [process.poll() for process in s3_gateway.processes]


@pytest.fixture(scope="module")
def impatient(
    postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    """A gateway that waits a second for anything."""
    environment = {"WEIR_HEADER_TIMEOUT_S": "1", "WEIR_RECEIVE_TIMEOUT_S": "1", "WEIR_SEND_TIMEOUT_S": "1"}
    data, database = tmp_path_factory.mktemp("impatient"), postgres_server.database()
    with running_gateway(data, database, environment=environment) as gateway:
        yield gateway
    assert "Traceback" not in gateway.log()
    postgres_server.drop(database)


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost:", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET"])
def test_a_connection_without_whole_headers_is_closed_in_time(
    impatient: RunningGateway, begun: bytes
) -> None:
    with line(impatient) as idle:
        idle.connection.settimeout(8)
        idle.send(begun)
        assert set() == set(statuses(idle.rest())) - {403, 408}


def test_a_body_that_stops_coming_is_given_up(impatient: RunningGateway) -> None:
    berta = impatient.member("berta")
    assert 200 == ask(impatient, request(impatient, berta, "PUT", "/bertas-bucket")).status
    with line(impatient) as stalled:
        stalled.connection.settimeout(8)
        signed = sign(impatient, berta, "PUT", "/bertas-bucket/k")
        stalled.send(signed.head(Content_Length="1000") + b"only this")
        refused = stalled.answer()
        assert (400, "RequestTimeout", "close") == (
            refused.status,
            refused.code,
            refused.headers["connection"],
        )
        assert b"" == stalled.rest()


def test_a_proven_member_who_sends_garbage_is_given_up(impatient: RunningGateway) -> None:
    bodo = impatient.member("bodo")
    assert 200 == ask(impatient, request(impatient, bodo, "PUT", "/bodos-bucket")).status
    with line(impatient) as open_line:
        open_line.connection.settimeout(8)
        signed = sign(impatient, bodo, "POST", "/bodos-bucket?delete")
        open_line.send(signed.head(Transfer_Encoding="chunked", Expect="100-continue"))
        assert 100 == open_line.answer().status
        # aiohttp does not tell the reader of this body that its framing broke, so time decides.
        open_line.send(b"5\r\n<Dele\r\nZZZ\r\n")
        assert "RequestTimeout" == open_line.answer().code


def test_what_one_worker_made_every_worker_knows(s3_gateway: RunningGateway, anna: Credentials) -> None:
    with ExitStack() as stack:
        lines = [stack.enter_context(line(s3_gateway)) for _ in range(CONNECTIONS)]

        def everywhere(method: str, target: str) -> list[int]:
            found = []
            for open_line in lines:
                open_line.is_head = method == "HEAD"
                open_line.send(request(s3_gateway, anna, method, target))
                found.append(open_line.answer().status)
            return found

        for number in range(3):
            name = f"fresh-bucket-{number}"
            assert [404] * CONNECTIONS == everywhere("HEAD", f"/{name}")
            lines[number].send(request(s3_gateway, anna, "PUT", f"/{name}"))
            lines[number].is_head = False
            assert 200 == lines[number].answer().status
            assert [200] * CONNECTIONS == everywhere("PUT", f"/{name}/k")
            assert [200] * CONNECTIONS == everywhere("GET", f"/{name}/k")
            lists = []
            for open_line in lines:
                open_line.send(request(s3_gateway, anna, "GET", "/"))
                lists.append(f"<Name>{name}</Name>".encode() in open_line.answer().body)
            assert [True] * CONNECTIONS == lists
            lines[0].send(request(s3_gateway, anna, "DELETE", f"/{name}/k"))
            assert 204 == lines[0].answer().status
            lines[-1].send(request(s3_gateway, anna, "DELETE", f"/{name}"))
            assert 204 == lines[-1].answer().status
            assert [404] * CONNECTIONS == everywhere("GET", f"/{name}")
