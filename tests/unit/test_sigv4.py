"""Signatures against the signer of a real client, and the refusals around them."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import S3Error
from gateway.sigv4.canonical import canonical_path, canonical_query, canonical_request
from gateway.sigv4.chunked import ChunkDecoder
from gateway.sigv4.hoisted import hoisted_headers
from gateway.sigv4.parse import (
    Claim,
    Payload,
    PayloadMode,
    join_headers,
    parse_claim,
    parse_payload,
)
from gateway.sigv4.signature import matches, signing_key, verify
from meter.window import to_us

CREDENTIALS = Credentials("KEY/with/slash", "secret+/=")
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)
ASKED = TEXT.filter(lambda name: bool(name) and not name.startswith("X-Amz-"))
"""What a query may name beside a signature in headers: Hypothesis draws words of our source too, and by those it would be two."""
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=12)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)


def _prove(method: str, url: str, headers: list[tuple[str, str]], *, now_us: int | None = None) -> Claim:
    parts = urlsplit(url)
    claim = parse_claim(parts.query, join_headers(headers), region="us-east-1")
    assert claim is not None
    canonical = canonical_request(
        method,
        parts.path,
        parts.query,
        join_headers(headers),
        signed_headers=claim.signed_headers,
        payload_text=claim.payload_text,
    )
    key = signing_key(CREDENTIALS.secret_key, claim.scope_date, claim.region)
    verify(claim, canonical, key, now_us=now_us or _now_us(), skew_s=900, presign_max_s=604_800)
    return claim


def _now_us() -> int:
    return to_us(datetime.now(UTC))


def _signed(method: str, url: str, headers: dict[str, str], body: bytes = b"") -> list[tuple[str, str]]:
    request = AWSRequest(method, url, headers=headers, data=body)
    S3SigV4Auth(CREDENTIALS, "s3", "us-east-1").add_auth(request)
    return [*request.headers.items(), ("Host", urlsplit(url).netloc)]


def _presigned(method: str, url: str, headers: dict[str, str] | None = None, expires: int = 60) -> str:
    request = AWSRequest(method, url, headers=headers or {})
    S3SigV4QueryAuth(CREDENTIALS, "s3", "us-east-1", expires=expires).add_auth(request)
    return str(request.url)


@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    key=TEXT,
    query=st.dictionaries(ASKED, TEXT, max_size=4),
    metadata=st.dictionaries(NAMES, VALUES, max_size=4),
    body=st.binary(max_size=50),
)
def test_what_a_real_client_signs_is_proven(
    method: str, key: str, query: dict[str, str], metadata: dict[str, str], body: bytes
) -> None:
    encoded = "&".join(
        f"{quote(name, safe='-_.~')}={quote(text, safe='-_.~')}" for name, text in query.items()
    )
    url = f"http://example.org:9000/abc/{quote(key, safe='/~')}" + (f"?{encoded}" if encoded else "")
    headers = {f"x-amz-meta-{name}": text for name, text in metadata.items()}
    claim = _prove(method, url, _signed(method, url, headers, body))
    assert claim.access_key == "KEY/with/slash"
    assert claim.payload.mode == PayloadMode.HASHED


@given(key=TEXT, prefix=TEXT)
def test_what_a_real_client_presigns_is_proven(key: str, prefix: str) -> None:
    url = f"http://example.org/abc/{quote(key, safe='/~')}?prefix={quote(prefix, safe='-_.~')}"
    claim = _prove("GET", _presigned("GET", url), [("Host", "example.org")])
    assert Payload(PayloadMode.UNSIGNED) == claim.payload
    assert claim.expires_s == 60


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("/a//b/../c", "/a//b/../c"),
        ("/a%2fb", "/a%2Fb"),
        ("/a%41", "/aA"),
        ("/a+b", "/a%2Bb"),
        ("/a(1)", "/a%281%29"),
        ("/é", "/%C3%A9"),
        ("/%2525", "/%2525"),
        ("/%2E%2e", "/.."),
    ],
)
def test_a_path_is_decoded_and_encoded_once(raw: str, canonical: str) -> None:
    assert canonical == canonical_path(raw)


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("b=2&a=1", "a=1&b=2"),
        ("a&a-b=1&a=0", "a=&a=0&a-b=1"),
        ("p=a+b%20c", "p=a%20b%20c"),
        ("p=a/b", "p=a%2Fb"),
        ("X-Amz-Signature=0&a=", "a="),
        ("&&a=1&", "a=1"),
    ],
)
def test_a_query_is_sorted_and_encoded_once(raw: str, canonical: str) -> None:
    assert canonical == canonical_query(raw)


GET = "http://example.org/abc/k"


@pytest.mark.parametrize(
    "name",
    [
        "x-amz-copy-source",
        "x-amz-acl",
        "x-amz-tagging",
        "x-amz-meta-a",
        "x-amz-storage-class",
        "x-amz-server-side-encryption",
        "x-amz-object-lock-mode",
    ],
)
def test_an_unsigned_amz_header_is_refused_in_both_forms(name: str) -> None:
    with pytest.raises(S3Error, match="not signed") as caught:
        _prove("PUT", GET, [*_signed("PUT", GET, {}), (name.upper(), "x")])
    assert {"HeadersNotSigned": name} == caught.value.extra
    with pytest.raises(S3Error, match="not signed"):
        _prove("PUT", _presigned("PUT", GET), [("Host", "example.org"), (name, "x")])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("Signature=", "Signature=0"), "SignatureDoesNotMatch"),
        (("us-east-1", "eu-west-1"), "AuthorizationHeaderMalformed"),
        (("/s3/", "/iam/"), "AuthorizationHeaderMalformed"),
        (("aws4_request", "aws5_request"), "AuthorizationHeaderMalformed"),
        (("AWS4-HMAC-SHA256 ", "AWS "), "InvalidRequest"),
        (("AWS4-HMAC-SHA256 ", "AWS4-ECDSA-P256-SHA256 "), "InvalidRequest"),
        (("AWS4-HMAC-SHA256 ", "Bearer "), "InvalidArgument"),
        (("SignedHeaders=host;", "SignedHeaders="), "AccessDenied"),
        ((", Signature=", ", Signature=0, Signature="), "AuthorizationHeaderMalformed"),
        ((", Signature=", ", Signatur="), "AuthorizationHeaderMalformed"),
        (("KEY/with/slash/", ""), "AuthorizationHeaderMalformed"),
    ],
)
def test_a_changed_authorization_has_its_own_error(change: tuple[str, str], code: str) -> None:
    headers = [
        (name, value.replace(*change, 1) if name == "Authorization" else value)
        for name, value in _signed("GET", GET, {})
    ]
    with pytest.raises(S3Error) as caught:
        _prove("GET", GET, headers)
    assert code == caught.value.code


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("Authorization", "again", "InvalidRequest"),
        ("host", "other.example.org", "InvalidRequest"),
        ("X-Amz-Date", "20130524T000000Z", "InvalidRequest"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD", "InvalidRequest"),
        ("x-amz-security-token", "token", "InvalidToken"),
    ],
)
def test_a_second_identity_is_refused(name: str, value: str, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        _prove("GET", GET, [*_signed("GET", GET, {}), (name, value)])
    assert code == caught.value.code


def test_header_and_query_credentials_together_are_refused() -> None:
    with pytest.raises(S3Error, match="Only one auth mechanism"):
        _prove("GET", _presigned("GET", GET), _signed("GET", GET, {}))


@pytest.mark.parametrize("off_s", [-901, 901])
def test_a_clock_that_is_off_is_told(off_s: int) -> None:
    headers = _signed("GET", GET, {})
    with pytest.raises(S3Error, match="RequestTimeTooSkewed"):
        _prove("GET", GET, headers, now_us=_now_us() + off_s * 1_000_000 + 2_000_000 * (off_s // abs(off_s)))


@pytest.mark.parametrize("expires", ["0", "-1", "+5", "1_0", "٥", "", "1.5", "9" * 13])
def test_a_life_that_is_no_number_of_seconds_is_refused(expires: str) -> None:
    url = _presigned("GET", GET).replace("X-Amz-Expires=60", f"X-Amz-Expires={quote(expires)}")
    with pytest.raises(S3Error, match="AuthorizationQueryParametersError"):
        _prove("GET", url, [("Host", "example.org")])


def test_a_life_over_seven_days_is_refused() -> None:
    with pytest.raises(S3Error, match="at most 604800 seconds"):
        _prove("GET", _presigned("GET", GET, expires=604_801), [("Host", "example.org")])


@pytest.mark.parametrize("change", [("PUT", "example.org"), ("GET", "evil.example.org")])
def test_a_presigned_request_holds_for_its_method_and_host_only(change: tuple[str, str]) -> None:
    method, host = change
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        _prove(method, _presigned("GET", GET), [("Host", host)])


@pytest.mark.parametrize("parameter", ["X-Amz-Signature", "X-Amz-Expires", "X-Amz-Credential"])
def test_a_credential_parameter_named_twice_is_refused(parameter: str) -> None:
    with pytest.raises(S3Error, match="named twice"):
        _prove("GET", _presigned("GET", GET) + f"&{parameter}=1", [("Host", "example.org")])


def test_a_presigned_body_may_add_a_hash_but_never_framing() -> None:
    url, host = _presigned("PUT", GET), ("Host", "example.org")
    claim = _prove("PUT", url, [host, ("x-amz-content-sha256", "AB" * 32)])
    assert Payload(PayloadMode.HASHED, "ab" * 32) == claim.payload
    for value in ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"):
        with pytest.raises(S3Error, match="AccessDenied"):
            _prove("PUT", url, [host, ("x-amz-content-sha256", value)])
        signed_url = _presigned("PUT", GET, {"x-amz-content-sha256": value})
        with pytest.raises(S3Error):
            _prove("PUT", signed_url, [host, ("x-amz-content-sha256", value)])


def test_no_credentials_are_anonymous_and_the_old_version_is_named() -> None:
    assert parse_claim("", {"host": "h"}, region="us-east-1") is None
    assert parse_claim("prefix=X-Amz-", {"host": "h"}, region="us-east-1") is None
    with pytest.raises(S3Error, match="AWS4-HMAC-SHA256"):
        parse_claim("AWSAccessKeyId=A&Signature=b&Expires=1", {"host": "h"}, region="us-east-1")


def test_a_missing_date_or_payload_header_is_named() -> None:
    headers = _signed("GET", GET, {})
    with pytest.raises(S3Error, match="Date"):
        _prove("GET", GET, [pair for pair in headers if pair[0] != "X-Amz-Date"])
    with pytest.raises(S3Error, match="x-amz-content-sha256"):
        _prove("GET", GET, [pair for pair in headers if pair[0].lower() != "x-amz-content-sha256"])


def test_the_date_header_stands_in_for_the_amz_date() -> None:
    headers = _signed("GET", GET, {"Date": "now"})
    assert "Date" in dict(headers)
    assert "X-Amz-Date" not in dict(headers)
    _prove("GET", GET, headers)


@pytest.mark.parametrize(
    "value", ["", "unsigned-payload", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "a" * 63, "g" * 64]
)
def test_an_unknown_payload_mode_is_refused(value: str) -> None:
    with pytest.raises(S3Error, match="InvalidArgument"):
        parse_payload(value)


def test_hoisted_headers_leave_credentials_and_checksums_behind() -> None:
    query = {
        "X-Amz-Meta-A": "1",
        "x-amz-acl": "private",
        "X-Amz-Date": "d",
        "X-Amz-Signature": "s",
        "x-amz-checksum-crc32": "AAAAAA==",
        "x-amz-sdk-checksum-algorithm": "CRC32",
        "prefix": "p",
    }
    assert hoisted_headers(query) == {"x-amz-meta-a": "1", "x-amz-acl": "private"}


def test_a_signature_of_odd_characters_just_differs() -> None:
    assert not matches("ab", "é\udcff")


def _all_of(decoder: ChunkDecoder, framed: bytes) -> dict[str, str]:
    decoder.feed(framed)
    return decoder.finish()


def _unsigned(length: int, names: tuple[str, ...] = ()) -> ChunkDecoder:
    return ChunkDecoder(PayloadMode.UNSIGNED_CHUNKS_TRAILER, decoded_length=length, trailer_names=names)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.data())
def test_unsigned_chunks_decode_however_they_are_cut(chunks: list[bytes], data: st.DataObject) -> None:
    payload = b"".join(chunks)
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    framed += b"0\r\nX-Amz-Checksum-Crc32: abc=\r\n\r\n"
    decoder = _unsigned(len(payload), ("x-amz-checksum-crc32",))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(framed)), max_size=10)))
    pieces = [framed[a:b] for a, b in zip([0, *cuts], [*cuts, len(framed)], strict=True)]
    assert payload == b"".join(piece for part in pieces for piece in decoder.feed(part))
    assert decoder.finish() == {"x-amz-checksum-crc32": "abc="}


@pytest.mark.parametrize(
    ("length", "framed", "code"),
    [
        (5, b"5\r\nhello\r\n", "IncompleteBody"),
        (5, b"5\r\nhello\r\n0\r\n", "IncompleteBody"),
        (6, b"5\r\nhello\r\n0\r\n\r\n", "IncompleteBody"),
        (4, b"5\r\nhello\r\n0\r\n\r\n", "IncompleteBody"),
        (5, b"5\r\nhelloX\r\n0\r\n\r\n", "InvalidRequest"),
        (5, b"5\nhello\n0\n\n", "InvalidRequest"),
        (5, b"+5\r\nhello\r\n0\r\n\r\n", "InvalidRequest"),
        (5, b"0x5\r\nhello\r\n0\r\n\r\n", "InvalidRequest"),
        (5, b"5_0\r\nhello\r\n0\r\n\r\n", "InvalidRequest"),
        (5, b" 5\r\nhello\r\n0\r\n\r\n", "InvalidRequest"),
        (5, b"5;a=b\r\nhello\r\n0\r\n\r\n", "InvalidRequest"),
        (5, b"5" * 300, "InvalidRequest"),
        (5, b"fffffffffffffffff\r\n", "InvalidRequest"),
        (5, b"ffffffffffffffff\r\n", "IncompleteBody"),
        (5, b"5\r\nhello\r\n0\r\n\r\nmore", "InvalidRequest"),
        (5, b"5\r\nhello\r\n0\r\n\r\n\r\n\r\n", "InvalidRequest"),
        (5, b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:a\r\n\r\n", "MalformedTrailerError"),
        (0, b"", "IncompleteBody"),
        (20_000, b"1\r\na\r\n" * 10_001, "InvalidChunkSizeError"),
    ],
)
def test_bad_framing_is_refused(length: int, framed: bytes, code: str) -> None:
    decoder = _unsigned(length)
    with pytest.raises(S3Error) as caught:
        _all_of(decoder, framed)
    assert code == caught.value.code


def test_an_announced_trailer_that_never_comes_is_refused() -> None:
    with pytest.raises(S3Error, match="MalformedTrailerError"):
        _unsigned(0, ("x-amz-checksum-crc32",)).feed(b"0\r\n\r\n")


def test_one_line_end_more_is_what_a_known_client_sends() -> None:
    decoder = _unsigned(5, ("x-amz-checksum-crc32",))
    assert decoder.feed(b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\n\r\n\r\n") == [b"hello"]
    assert decoder.finish() == {"x-amz-checksum-crc32": "NhCmhg=="}


def test_payload_passes_without_waiting_for_its_chunk_to_end() -> None:
    decoder = _unsigned(1 << 30)
    assert decoder.feed(b"40000000\r\n") == []
    piece = b"x" * 65_536
    assert decoder.feed(piece)[0] is piece
