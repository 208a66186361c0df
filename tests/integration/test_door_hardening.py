"""What a hostile client tries at the door: two framings at once, floods, drips, names and headers of our own."""

from __future__ import annotations

import io
import os
import re
import socket
import sqlite3
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from gateway.accounting import Tab
from gateway.counting import Counting
from gateway.metrics import GatewayMetrics
from gateway.operation import Operation
from meter.ids import BucketId, MemberId
from meter.recorder import Recorder
from meter.settings import MeterSettings
from tests.gateway import Credentials, RunningGateway, running_gateway
from tests.integration.s3_kit import UNSIGNED, Line, ask, eventually, left, line, sign
from tests.postgres import TestServer

ROOT = Path(__file__).parents[2]


def statuses(answer: bytes) -> list[int]:
    """Of everything that came back."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", answer)]


SECRET = b"the bytes nobody may be given by a second request in a body"


@pytest.fixture
def secret(s3: Any, bucket: str) -> str:
    """An object that an inner request would read."""
    s3.put_object(Bucket=bucket, Key="secret", Body=SECRET)
    return bucket


CHUNKED_END = b"0\r\n\r\n"
# Each leaves it open where the body ends: one reading makes the inner request a request of its own.
TWO_FRAMINGS = {
    "length and chunked": b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: %d\r\n",
    "length list": b"Content-Length: 0, %d\r\n",
    "plus": b"Content-Length: +%d\r\n",
    "minus": b"Content-Length: -%d\r\n",
    "underscore": b"Content-Length: 1_%d\r\n",
    "hexadecimal": b"Content-Length: 0x%d\r\n",
    "unicode digits": b"Content-Length: \xd9\xa5\r\nX-Body: %d\r\n",
    "blank before colon": b"Content-Length : %d\r\n",
    "folded": b"Content-Length:\r\n %d\r\n",
    "bare line feed": b"Content-Length: 0\nTransfer-Encoding: chunked\r\nX-Body: %d\r\n",
    "encoding twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nX-Body: %d\r\n",
    "encoding list": b"Transfer-Encoding: chunked, identity\r\nX-Body: %d\r\n",
    "unknown encoding": b"Transfer-Encoding: xchunked\r\nContent-Length: %d\r\n",
    "encoding with a tab": b"Transfer-Encoding:\tchunked\x0b\r\nContent-Length: %d\r\n",
    "NUL in a name": b"Content-Length\x00: %d\r\n",
}


@pytest.mark.parametrize("framing", TWO_FRAMINGS)
def test_a_body_with_two_framings_never_becomes_a_second_request(
    s3_gateway: RunningGateway, anna: Credentials, secret: str, framing: str
) -> None:
    inner = sign(s3_gateway, anna, "GET", f"/{secret}/secret").whole(b"")
    outer = sign(s3_gateway, anna, "PUT", f"/{secret}/k").head()
    lines = TWO_FRAMINGS[framing] % (len(CHUNKED_END) + len(inner))
    with line(s3_gateway) as one:
        one.send(outer.removesuffix(b"\r\n") + lines + b"\r\n" + CHUNKED_END + inner)
        one.connection.shutdown(socket.SHUT_WR)
        assert SECRET not in one.rest()


@pytest.mark.parametrize(
    "chunk",
    [b"5;a=b\nhello\r\n", b"+5\r\nhello\r\n", b"0x5\r\nhello\r\n", b"5_\r\nhello\r\n", b"5 \r\nhello\r\n", b"5\nhello\r\n",
     b"5\r\nhelloX\r\n", b"ffffffffffffffffff\r\nhello\r\n", b"-5\r\nhello\r\n", b"\xd9\xa5\r\nhello\r\n"],
)  # fmt: skip
def test_a_crooked_chunk_stores_nothing_and_hides_no_request(
    s3_gateway: RunningGateway, anna: Credentials, secret: str, chunk: bytes
) -> None:
    before = left(s3_gateway)
    inner = sign(s3_gateway, anna, "GET", f"/{secret}/secret").whole(b"")
    outer = sign(s3_gateway, anna, "PUT", f"/{secret}/k").head(Transfer_Encoding="chunked")
    with line(s3_gateway) as one:
        one.send(outer + chunk + CHUNKED_END + inner)
        one.connection.shutdown(socket.SHUT_WR)
        answer = one.rest()
    # A PUT without a length is refused whatever its chunks are; what follows them must not be served.
    assert SECRET not in answer or answer.startswith(b"HTTP/1.1 411"), answer
    assert before == left(s3_gateway)


@pytest.mark.parametrize(
    "head",
    [b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET /\r\n", b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
     b"GET / HTTP/1.1 x\r\nHost: x\r\n\r\n", b"GET / http/1.1\r\nHost: x\r\n\r\n", b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n"],
)  # fmt: skip
def test_a_request_line_or_host_with_two_meanings_is_refused(s3_gateway: RunningGateway, head: bytes) -> None:
    with line(s3_gateway) as one:
        one.send(head)
        one.connection.shutdown(socket.SHUT_WR)
        answer = one.rest()
    assert answer == b"" or re.match(rb"HTTP/1\.[01] 4\d\d ", answer), answer


def test_an_absolute_target_is_the_same_request(
    s3_gateway: RunningGateway, anna: Credentials, secret: str
) -> None:
    signed = sign(s3_gateway, anna, "GET", f"/{secret}/secret").whole(b"")
    absolute = signed.replace(b"GET /", f"GET {s3_gateway.url}/".encode(), 1)
    assert SECRET == ask(s3_gateway, absolute).body


def test_a_header_line_beyond_the_limit_is_refused_however_it_is_cut(s3_gateway: RunningGateway) -> None:
    with line(s3_gateway) as one:
        one.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ")
        try:
            for _ in range(64):
                one.send(b"a" * 4096)
        except ConnectionError:
            pass  # refused before the line's end, as it may be
        answer = one.rest()
    assert answer == b"" or b" 400 " in answer.split(b"\r\n")[0] or b" 431 " in answer.split(b"\r\n")[0], (
        answer
    )


@pytest.mark.parametrize("count", [200, 20_000])
def test_trailers_without_end_are_refused_and_store_nothing(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str, count: int
) -> None:
    before = left(s3_gateway)
    outer = sign(
        s3_gateway, anna, "PUT", f"/{bucket}/k", payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        headers={"x-amz-decoded-content-length": "5", "x-amz-trailer": "x-amz-checksum-crc32"},
    )  # fmt: skip
    trailers = b"".join(b"x-amz-extra-%d: y\r\n" % number for number in range(count))
    body = b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n"
    refused = ask(s3_gateway, outer.whole(body))
    assert 400 == refused.status
    assert before == left(s3_gateway)


def test_a_pipelined_flood_is_answered_in_order_and_the_worker_lives(
    s3_gateway: RunningGateway, anna: Credentials, secret: str
) -> None:
    one_request = sign(s3_gateway, anna, "GET", f"/{secret}/secret").whole(b"")
    count = 3000
    with line(s3_gateway) as one:
        sender = threading.Thread(target=one.send, args=(one_request * count,))
        sender.start()
        assert [SECRET] * count == [one.answer().body for _ in range(count)]
        sender.join()


def test_a_body_of_very_many_tiny_pieces_is_one_body(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, bucket: str
) -> None:
    data = bytes(range(256)) * 40
    outer = sign(s3_gateway, anna, "PUT", f"/{bucket}/k")
    with line(s3_gateway) as one:
        one.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.send(outer.head(Content_Length=str(len(data))))
        for byte in data:
            one.send(bytes([byte]))
        assert 200 == one.answer().status
    assert data == s3.get_object(Bucket=bucket, Key="k")["Body"].read()


@pytest.fixture(scope="module")
def strict(
    postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningGateway, Credentials]]:
    """A gateway that wants 100,000 bytes a second over each second of waiting, and a member of it."""
    environment = {
        "WEIR_HEADER_TIMEOUT_S": "1", "WEIR_RECEIVE_TIMEOUT_S": "1", "WEIR_SEND_TIMEOUT_S": "1",
        "WEIR_TRANSFER_BYTES_PER_S_MIN": "100000",
    }  # fmt: skip
    data, database = tmp_path_factory.mktemp("strict"), postgres_server.database()
    with running_gateway(data, database, environment=environment) as gateway:
        gerda = gateway.member("gerda")
        assert 200 == ask(gateway, sign(gateway, gerda, "PUT", "/gerdas-bucket").whole(b"")).status
        yield gateway, gerda
    assert "Traceback" not in gateway.log()
    postgres_server.drop(database)


def drip(one: Line, data: bytes) -> None:
    """A byte at a time, always within the timeout for one byte, until the other side has enough."""
    for byte in data:
        try:
            one.send(bytes([byte]))
        except OSError:
            return
        time.sleep(0.05)  # the attack itself, not a wait for something


def test_headers_that_drip_do_not_hold_a_connection(strict: tuple[RunningGateway, Credentials]) -> None:
    gateway, _ = strict
    with line(gateway) as one:
        one.connection.settimeout(10)
        sender = threading.Thread(target=drip, args=(one, b"GET / HTTP/1.1\r\nX-A: " + b"a" * 400))
        sender.start()
        # Raises if the connection is still open after ten seconds in which nothing came.
        assert set(statuses(one.rest())) <= {408}
        one.connection.close()
        sender.join()


def test_a_body_that_drips_is_given_up_and_leaves_nothing(strict: tuple[RunningGateway, Credentials]) -> None:
    gateway, gerda = strict
    before = left(gateway)
    with line(gateway) as one:
        one.connection.settimeout(10)
        one.send(sign(gateway, gerda, "PUT", "/gerdas-bucket/k").head(Content_Length="1000000"))
        sender = threading.Thread(target=drip, args=(one, b"a" * 400))
        sender.start()
        assert "RequestTimeout" == one.answer().code
        one.connection.close()
        sender.join()
    assert eventually(lambda: before == left(gateway))


@pytest.mark.parametrize("payload", [UNSIGNED, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
def test_a_long_body_that_stops_coming_is_given_up_and_leaves_nothing(
    strict: tuple[RunningGateway, Credentials], payload: str
) -> None:
    gateway, gerda = strict
    before = left(gateway)
    size = 3_000_000
    more = {} if payload == UNSIGNED else {
        "x-amz-decoded-content-length": str(size), "x-amz-trailer": "x-amz-checksum-crc32",
    }  # fmt: skip
    signed = sign(gateway, gerda, "PUT", "/gerdas-bucket/k", payload=payload, headers=more)
    begun = bytes(1_000_000) if payload == UNSIGNED else b"2dc6c0\r\n" + bytes(1_000_000)
    with line(gateway) as one:
        one.connection.settimeout(10)
        one.send(signed.head(Content_Length=str(size + 100)) + begun)
        refused = one.answer()
        assert (400, "RequestTimeout", "close") == (
            refused.status, refused.code, refused.headers["connection"],
        )  # fmt: skip
        one.connection.close()
    assert eventually(lambda: before == left(gateway))


def test_a_receiver_that_drips_is_given_up_and_billed_what_it_took(
    strict: tuple[RunningGateway, Credentials],
) -> None:
    gateway, gerda = strict
    size = 8_000_000
    stored = sign(gateway, gerda, "PUT", "/gerdas-bucket/large").whole(bytes(size))
    assert 200 == ask(gateway, stored).status
    before = gateway.usage(gerda.member).bytes_out
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(30)
        slow.connect(("127.0.0.1", gateway.port))
        slow.sendall(sign(gateway, gerda, "GET", "/gerdas-bucket/large").whole(b""))
        got = 0
        try:
            while data := slow.recv(512):
                got += len(data)
                time.sleep(0.05)  # about 10,000 bytes a second: the attack itself
        except ConnectionResetError:
            pass  # cut, as it should be
    assert got < size
    # It is cut a moment before its record is written.
    assert eventually(lambda: got - 2000 <= gateway.usage(gerda.member).bytes_out - before)
    billed = gateway.usage(gerda.member).bytes_out - before
    # The kernel of the receiver may hold a little more than its program read.
    assert billed <= got + 200_000


INTERNAL = {
    "x-weir-owner": "2", "x-weir-payer": "2", "x-amz-sealing": "{}", "x-amz-version-id": "abc", "x-amz-part-sizes": "1,2",
    "x-minio-replication-server-side-encryption-sealed-key": "k", "x-amz-object-attributes": "ETag", "etag": '"faked"',
    "last-modified": "Thu, 01 Jan 1970 00:00:00 GMT", "x-amz-mp-parts-count": "7", "x-amz-delete-marker": "true",
    "x-amz-meta-snowball-auto-extract": "true", "x-amz-replication-status": "REPLICA", "x-amz-restore": "x",
}  # fmt: skip


def test_no_header_of_a_request_becomes_a_fact_about_the_object(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="plain", Body=b"data")
    plain = s3.head_object(Bucket=bucket, Key="plain")
    answer = ask(s3_gateway, sign(s3_gateway, anna, "PUT", f"/{bucket}/k", headers=INTERNAL).whole(b"data"))
    assert 200 == answer.status, answer
    told = s3.head_object(Bucket=bucket, Key="k")
    assert {"snowball-auto-extract": "true"} == told["Metadata"]
    assert plain["ETag"] == told["ETag"]
    moving = {"date", "last-modified", "x-amz-request-id", "x-amz-id-2"}
    headers = told["ResponseMetadata"]["HTTPHeaders"]
    kept = {name: value for name, value in headers.items() if name not in moving}
    expected = {
        name: value for name, value in plain["ResponseMetadata"]["HTTPHeaders"].items() if name not in moving
    }
    assert expected | {"x-amz-meta-snowball-auto-extract": "true"} == kept
    assert told["LastModified"].year > 2000


def test_an_archive_stays_an_archive(s3: Any, bucket: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../../escaped"))
    s3.put_object(
        Bucket=bucket, Key="a.tar", Body=packed.getvalue(), Metadata={"Snowball-Auto-Extract": "true"}
    )
    assert ["a.tar"] == [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert packed.getvalue() == s3.get_object(Bucket=bucket, Key="a.tar")["Body"].read()


@pytest.mark.parametrize(
    "key", ["x\r\nSet-Cookie: a=b", "x\nLocation: //evil", "\x1b[31mred", "a" * 1000, "é\u2028"]
)
def test_a_key_never_writes_a_header_or_a_line_of_the_log(
    s3_gateway: RunningGateway, s3: Any, anna: Credentials, bucket: str, key: str
) -> None:

    for method in ("PUT", "GET", "DELETE"):
        answer = ask(s3_gateway, sign(s3_gateway, anna, method, f"/{bucket}/{quote(key)}").whole(b""))
        assert answer.status in (200, 204)
        assert "set-cookie" not in answer.headers
        assert "location" not in answer.headers
    assert key not in s3_gateway.log()


def test_no_secret_signature_or_link_is_ever_logged(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, bucket: str
) -> None:
    link = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "absent"})
    signed = sign(s3_gateway, anna, "GET", f"/{bucket}/absent")
    assert "NoSuchKey" == ask(s3_gateway, signed.whole(b"")).code
    with line(s3_gateway) as one:
        one.send(
            b"GET " + link.partition(str(s3_gateway.port))[2].encode() + b" HTTP/1.1\r\nbad header\r\n\r\n"
        )
        one.rest()
    log = s3_gateway.log()
    for secret in (anna.secret_key, signed.signature, "X-Amz-Signature", "Authorization"):
        assert secret not in log


def test_one_bad_request_is_one_line_of_the_log_at_most(s3_gateway: RunningGateway) -> None:
    before = len(s3_gateway.log().splitlines())
    for _ in range(50):
        with line(s3_gateway) as one:
            one.send(b"GET / HTTP/9.9\r\n\x00\x00\r\n\r\n")
            one.rest()
    assert len(s3_gateway.log().splitlines()) - before <= 50


def test_what_is_on_the_disk_has_no_secret_in_clear(s3_gateway: RunningGateway, anna: Credentials) -> None:
    for path in s3_gateway.data.rglob("*"):
        if path.is_file():
            assert anna.secret_key.encode() not in path.read_bytes(), path
    with closing(
        sqlite3.connect(f"file:{s3_gateway.data / 'engine' / 'index.sqlite'}?mode=ro", uri=True)
    ) as index:
        assert index.execute("SELECT count(*) FROM object").fetchone()[0] >= 0


@pytest.mark.parametrize("module", ["gateway", "meter", "billing", "deploy"])
def test_no_process_runs_with_assertions_switched_off(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-O", "-m", module],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (1, "") == (done.returncode, done.stdout)
    assert "assertions switched off" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unsigned_payload_mode_nobody_knows_is_refused(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str
) -> None:
    before = left(s3_gateway)
    for payload in (
        "STREAMING-UNSIGNED-PAYLOAD",
        "unsigned-payload",
        "",
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
    ):
        signed = sign(s3_gateway, anna, "PUT", f"/{bucket}/k", payload=payload)
        assert ask(s3_gateway, signed.whole(b"data")).status in (400, 403, 501), payload
    assert before == left(s3_gateway)
    assert (
        200
        == ask(s3_gateway, sign(s3_gateway, anna, "PUT", f"/{bucket}/k", payload=UNSIGNED).whole(b"d")).status
    )


def test_a_gateway_without_its_secret_does_not_start(database: str, tmp_path: Path) -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    environment = {
        **os.environ, "WEIR_DATA": str(tmp_path), "WEIR_DATABASE_URL": database, "WEIR_WORKER": "0",
        "WEIR_GATEWAY_FD": str(listener.fileno()),
    }  # fmt: skip
    with closing(listener):
        done = subprocess.run(
            [sys.executable, "-m", "gateway"], cwd=ROOT, env=environment, pass_fds=[listener.fileno()],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert (2, "") == (done.returncode, done.stdout)
    assert "the master key" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_upload_id_belongs_to_its_bucket_and_key(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, bucket: str
) -> None:
    other = f"{bucket}-other"
    s3.create_bucket(Bucket=other)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    body = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>0cc175b9c0f1b6a831c399e269772661</ETag></Part></CompleteMultipartUpload>"
    for place in (f"/{other}/k", f"/{bucket}/other"):
        for method, query, sent in (
            ("PUT", "partNumber=1&", b"data"), ("GET", "", b""), ("POST", "", body), ("DELETE", "", b""),
        ):  # fmt: skip
            signed = sign(s3_gateway, anna, method, f"{place}?{query}uploadId={upload}")
            assert "NoSuchUpload" == ask(s3_gateway, signed.whole(sent)).code, (place, method)
    assert [upload] == [one["UploadId"] for one in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]]


@pytest.mark.parametrize(
    "path",
    ["/metrics", "/healthz", "/ready", "/status", "/login", "/debug/pprof", "/minio/admin/v3/info", "/.env"],
)
def test_the_members_door_has_no_other_pages(s3_gateway: RunningGateway, path: str) -> None:
    with line(s3_gateway) as one:
        one.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n".encode())
        refused = one.answer()
    assert refused.status in (400, 403, 404)
    assert refused.code in ("AccessDenied", "InvalidBucketName", "NoSuchBucket")


def test_no_metric_of_a_worker_names_a_member_or_a_bucket(tmp_path: Path) -> None:
    metrics = GatewayMetrics()
    recorder = Recorder(tmp_path / "worker-0", MeterSettings(), slots_max=1)
    with closing(recorder):
        for operation in Operation:
            tab = Tab(bytes(16), 0, operation, MemberId(7), MemberId(7), BucketId(9), authorised=True)
            metrics.first_byte(tab, 0.0)
            for status in (200, 404, 499):
                metrics.ended(tab, status, Counting(tab, recorder, lambda: 0))
            metrics.refused(Tab(bytes(16), 0, operation), "AccessDenied")
    names = [*metrics.registry.counters, *metrics.registry.histograms]
    labels = {label for name in names for label in re.findall(r'(\w+)="', name)}
    assert {"operation", "code", "direction", "side", "reason"} == labels
