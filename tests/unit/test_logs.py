"""A line of the log is one line, holds no secret, and is JSON where that is asked for."""

from __future__ import annotations

import json
import logging

import pytest

from meter.logs import JsonLines, PlainLines, without_secrets

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
SIGNATURE = "fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024"
PLACES = (
    f"GET /b/k?X-Amz-Credential=AKIA/x&X-Amz-Signature={SECRET}&x=1",
    f"Authorization: AWS4-HMAC-SHA256 Credential=A/b/c, SignedHeaders=host, Signature={SECRET}",
    f"{{'Authorization': 'AWS4-HMAC-SHA256 Credential=A, Signature={SECRET}'}}",
    f"x-amz-security-token: {SECRET}",
    f"?X-Amz-Security-Token={SECRET}&b",
    f"x-amz-server-side-encryption-customer-key: {SECRET}",
    f"Cookie: __Host-weir={SECRET}; other={SECRET}",
    f"Set-Cookie: __Host-weir={SECRET}; HttpOnly",
    f"postgresql://weir:{SECRET}@db/weir does not answer",
    f"see https://portal.example.coop/login/{SECRET} in an hour",
    f"smtp_password = {SECRET}",
    f"GET /api/v1/me?token=weir_0123456789abcdef_{SECRET} HTTP/9.9",
    f"GET /login/account/back?code={SECRET}&state={SECRET} HTTP/9.9",
    f"b'Cookie __Host-weir={SECRET}'",
    f"b'Cookie weir_session={SECRET}; __Host-weir-entry={SECRET}'",
    f'"secret_key": "{SECRET}"',
)


def record(message: str, *given: object, trace: bool = False) -> logging.LogRecord:
    info = None
    if trace:
        try:
            raise ValueError(f"Signature={SECRET}")
        except ValueError as error:
            info = (type(error), error, error.__traceback__)
    return logging.LogRecord("gateway", logging.ERROR, "a.py", 1, message, given, info)


@pytest.mark.parametrize("text", PLACES)
def test_a_secret_is_taken_out_wherever_it_stands(text: str) -> None:
    for line in (PlainLines(), JsonLines()):
        written = line.format(record("asked: %s", text))
        assert SECRET not in written
        assert "********" in written


def test_a_secret_in_a_trace_is_taken_out_too() -> None:
    for line in (PlainLines(), JsonLines()):
        written = line.format(record("failed", trace=True))
        assert "ValueError" in written
        assert SECRET not in written


@pytest.mark.parametrize(
    "text", [f"segment digest {SIGNATURE}", "bucket 7: 3 keys", "secret.key is missing", "a: b"]
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert text == without_secrets(text)


def test_what_a_client_sent_breaks_no_line() -> None:
    sent = "a\nb\r\x1b[31mc\0\x85\u2028d"
    assert 1 == len(PlainLines().format(record("key %s", sent)).splitlines())
    assert sent == json.loads(JsonLines().format(record("%s", sent)))["message"]


def test_json_has_time_level_name_message_and_process() -> None:
    told = json.loads(JsonLines().format(record("it is %d", 3)))
    assert ("ERROR", "gateway", "it is 3") == (told["level"], told["logger"], told["message"])
    assert told["time"].endswith("Z")
    assert {"time", "level", "logger", "message", "process"} == set(told)
