"""Traffic with secrets in every place a client can put one, refused and served: none is in any line of the log."""

from __future__ import annotations

import base64
import json
import socket
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.gateway import Credentials, client, running_gateway

KEY = bytes(range(32))
TOKEN = "FwoGZXIvYXdzEXAMPLEtoken0123456789"
AT_LEAST_LINES = 2
"""With relaxed durability each worker warns at its start."""


def raw(port: int, head: str) -> None:
    """A request as it is typed; its answer is read to the end."""
    with socket.create_connection(("127.0.0.1", port), 10) as one:
        one.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        one.shutdown(socket.SHUT_WR)
        one.settimeout(10)
        while one.recv(65536):
            continue


def test_no_line_holds_a_secret_and_each_is_json(tmp_path: Path, database: str) -> None:
    environment = {"WEIR_LOG_FORMAT": "json", "WEIR_DURABILITY": "relaxed"}
    with running_gateway(tmp_path, database, workers=2, environment=environment) as gateway:
        anna = gateway.member("anna")
        s3 = client(gateway, anna)
        s3.create_bucket(Bucket="films")
        s3.put_object(Bucket="films", Key="a", Body=b"x", SSECustomerAlgorithm="AES256", SSECustomerKey=KEY)
        s3.get_object(Bucket="films", Key="a", SSECustomerAlgorithm="AES256", SSECustomerKey=KEY)[
            "Body"
        ].read()
        wrong = client(gateway, Credentials(anna.member, "anna", anna.access_key, "B" * 40))
        for one in (wrong.list_buckets, lambda: s3.get_object(Bucket="films", Key="absent")):
            with pytest.raises(ClientError):
                one()
        link = s3.generate_presigned_url("get_object", Params={"Bucket": "films", "Key": "a"})
        path = link.partition(str(gateway.port))[2]
        signature = path.partition("Signature=")[2].partition("&")[0]
        signed = f"AWS4-HMAC-SHA256 Credential={anna.access_key}/20261126/us-east-1/s3/aws4_request, Signature={signature}"
        for head in (
            f"GET {path} HTTP/1.1\nHost: 127.0.0.1",
            f"GET {path} HTTP/9.9\nHost: 127.0.0.1",
            f"GET {path}\nbad header",
            f"GET /films/a HTTP/1.1\nHost: x\nAuthorization: {signed}",
            f"GET /films/a HTTP/1.1\nHost: x\nAuthorization: {signed}\nAuthorization: {signed}",
            f"GET /films/a HTTP/1.1\nHost: x\nx-amz-security-token: {TOKEN}\nCookie: session={TOKEN}\n folded",
            f"GET /films/a?X-Amz-Security-Token={TOKEN} HTTP/1.1\nHost: x\nContent-Length: {TOKEN}",
        ):
            raw(gateway.port, head)
        told = gateway.log()
    lines = [line for line in told.splitlines() if line]
    assert len(lines) >= AT_LEAST_LINES
    assert {"time", "level", "logger", "message", "process"} <= set.intersection(
        *(set(json.loads(line)) for line in lines)
    )
    for secret in (
        anna.secret_key,
        "B" * 40,
        signature,
        TOKEN,
        base64.b64encode(KEY).decode(),
        "Authorization",
    ):
        assert secret not in told
