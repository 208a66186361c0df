"""The examples Amazon publishes for Signature Version 4 with S3: key, requests and every signature."""

from __future__ import annotations

import pytest

from gateway.errors import S3Error
from gateway.sigv4.canonical import canonical_request, string_to_sign
from gateway.sigv4.chunked import ChunkDecoder
from gateway.sigv4.parse import Claim, PayloadMode, join_headers, parse_claim
from gateway.sigv4.signature import sign, signing_key, verify

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
NOW_US = 1_369_353_600_000_000  # 2013-05-24T00:00:00Z
KEY = signing_key(SECRET, "20130524", "us-east-1")
HOST = ("Host", "examplebucket.s3.amazonaws.com")
DATE = ("x-amz-date", "20130524T000000Z")

Headers = list[tuple[str, str]]

EXAMPLES: dict[str, tuple[str, str, str, Headers, str, str]] = {
    "GET object": (
        "GET",
        "/test.txt",
        "",
        [HOST, ("Range", "bytes=0-9"), ("x-amz-content-sha256", EMPTY), DATE],
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "PUT object": (
        "PUT",
        "/test%24file.text",
        "",
        [
            HOST,
            ("Date", "Fri, 24 May 2013 00:00:00 GMT"),
            DATE,
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"),
        ],
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "GET bucket lifecycle": (
        "GET",
        "/",
        "lifecycle",
        [HOST, ("x-amz-content-sha256", EMPTY), DATE],
        "host;x-amz-content-sha256;x-amz-date",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list objects": (
        "GET",
        "/",
        "max-keys=2&prefix=J",
        [HOST, ("x-amz-content-sha256", EMPTY), DATE],
        "host;x-amz-content-sha256;x-amz-date",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
    "seed of a body in signed chunks": (
        "PUT",
        "/examplebucket/chunkObject.txt",
        "",
        [
            ("Host", "s3.amazonaws.com"),
            DATE,
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
            ("Content-Encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "66560"),
            ("Content-Length", "66824"),
        ],
        (
            "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;"
            "x-amz-decoded-content-length;x-amz-storage-class"
        ),
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    ),
    "seed of a body with a trailer": (
        "PUT",
        "/examplebucket/chunkObject.txt",
        "",
        [
            ("Host", "s3.amazonaws.com"),
            DATE,
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
            ("Content-Encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "66560"),
            ("x-amz-trailer", "x-amz-checksum-crc32c"),
        ],
        (
            "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
            "x-amz-storage-class;x-amz-trailer"
        ),
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    ),
}


def _claim(example: str) -> tuple[Claim, bytes]:
    method, path, query, headers, signed, signature = EXAMPLES[example]
    scope = f"{ACCESS_KEY}/20130524/us-east-1/s3/aws4_request"
    value = f"AWS4-HMAC-SHA256 Credential={scope},SignedHeaders={signed},Signature={signature}"
    sent = [*headers, ("Authorization", value)]
    claim = parse_claim(query, join_headers(sent), region="us-east-1")
    assert claim is not None
    canonical = canonical_request(
        method,
        path,
        query,
        join_headers(sent),
        signed_headers=claim.signed_headers,
        payload_text=claim.payload_text,
    )
    return claim, canonical


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_published_signature_is_calculated(example: str) -> None:
    claim, canonical = _claim(example)
    text = string_to_sign(claim.timestamp, claim.scope, canonical)
    assert EXAMPLES[example][-1] == sign(KEY, text)
    verify(claim, canonical, KEY, now_us=NOW_US, skew_s=900, presign_max_s=604_800)


def test_the_published_canonical_request_is_built() -> None:
    _, canonical = _claim("GET object")
    assert (
        "GET\n/test.txt\n\nhost:examplebucket.s3.amazonaws.com\nrange:bytes=0-9\n"
        f"x-amz-content-sha256:{EMPTY}\nx-amz-date:20130524T000000Z\n\n"
        f"host;range;x-amz-content-sha256;x-amz-date\n{EMPTY}"
    ) == canonical.decode()


PRESIGNED = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)


def _verify_presigned(query: str, *, now_us: int, presign_max_s: int = 604_800) -> None:
    headers = [HOST]
    claim = parse_claim(query, join_headers(headers), region="us-east-1")
    assert claim is not None
    assert claim.in_query
    canonical = canonical_request(
        "GET",
        "/test.txt",
        query,
        join_headers(headers),
        signed_headers=claim.signed_headers,
        payload_text=claim.payload_text,
    )
    verify(claim, canonical, KEY, now_us=now_us, skew_s=900, presign_max_s=presign_max_s)


def test_the_published_presigned_url_holds_to_its_last_second_and_in_any_order() -> None:
    last_us = NOW_US + 86_400 * 1_000_000
    _verify_presigned(PRESIGNED, now_us=last_us)
    _verify_presigned("&".join(reversed(PRESIGNED.split("&"))), now_us=NOW_US)
    with pytest.raises(S3Error, match="Request has expired"):
        _verify_presigned(PRESIGNED, now_us=last_us + 1)
    with pytest.raises(S3Error, match="not valid yet"):
        _verify_presigned(PRESIGNED, now_us=NOW_US - 901 * 1_000_000)
    with pytest.raises(S3Error, match="at most 3600 seconds"):
        _verify_presigned(PRESIGNED, now_us=NOW_US, presign_max_s=3600)


def test_a_longer_life_than_was_signed_does_not_match() -> None:
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        _verify_presigned(PRESIGNED.replace("=86400", "=86401"), now_us=NOW_US)


def _body(signatures: tuple[str, str, str], ending: str) -> bytes:
    first, second, last = signatures
    return (
        f"10000;chunk-signature={first}\r\n".encode()
        + b"a" * 65536
        + f"\r\n400;chunk-signature={second}\r\n".encode()
        + b"a" * 1024
        + f"\r\n0;chunk-signature={last}\r\n{ending}\r\n".encode()
    )


SIGNED_BODY = _body(
    (
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ),
    "",
)
TRAILER_SIGNATURE = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
TRAILER = f"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:{TRAILER_SIGNATURE}\r\n"
TRAILER_CHUNKS = (
    "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
    "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
    "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
)


def _decoder(*, trailer: bool) -> ChunkDecoder:
    seed = EXAMPLES["seed of a body with a trailer" if trailer else "seed of a body in signed chunks"][-1]
    return ChunkDecoder(
        PayloadMode.SIGNED_CHUNKS_TRAILER if trailer else PayloadMode.SIGNED_CHUNKS,
        decoded_length=66_560,
        trailer_names=("x-amz-checksum-crc32c",) if trailer else (),
        seed_signature=seed,
        signing_key=KEY,
        scope="20130524/us-east-1/s3/aws4_request",
        timestamp="20130524T000000Z",
    )


def _all_of(decoder: ChunkDecoder, body: bytes) -> dict[str, str]:
    decoder.feed(body)
    return decoder.finish()


@pytest.mark.parametrize("step", [1, 7, 8192, 100_000])
def test_the_published_signed_chunks_decode_however_they_are_cut(step: int) -> None:
    decoder = _decoder(trailer=False)
    payload = b"".join(
        piece
        for start in range(0, len(SIGNED_BODY), step)
        for piece in decoder.feed(SIGNED_BODY[start : start + step])
    )
    assert len(SIGNED_BODY) == 66_824
    assert decoder.finish() == {}
    assert payload == b"a" * 66_560


@pytest.mark.parametrize(
    "ending",
    [
        TRAILER,
        # As one widely used Go client writes it: the line ends as it is signed, then CR LF.
        f"x-amz-checksum-crc32c:sOO8/Q==\n\r\nx-amz-trailer-signature:{TRAILER_SIGNATURE}\r\n",
    ],
)
def test_the_published_signed_trailer_is_verified(ending: str) -> None:
    decoder = _decoder(trailer=True)
    payload = b"".join(decoder.feed(_body(TRAILER_CHUNKS, ending)))
    assert decoder.finish() == {"x-amz-checksum-crc32c": "sOO8/Q=="}
    assert payload == b"a" * 66_560


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (TRAILER.replace("sOO8", "sOO9"), "SignatureDoesNotMatch"),
        (TRAILER.replace(TRAILER_SIGNATURE, "0" * 64), "SignatureDoesNotMatch"),
        (TRAILER.replace("crc32c", "crc32"), "MalformedTrailerError"),
        ("x-amz-checksum-crc32c:sOO8/Q==\r\n", "IncompleteBody"),
        (f"x-amz-trailer-signature:{TRAILER_SIGNATURE}\r\n", "MalformedTrailerError"),
        (TRAILER + "x-amz-meta-late:1\r\n", "MalformedTrailerError"),
    ],
)
def test_a_changed_missing_or_late_trailer_is_refused(ending: str, code: str) -> None:
    decoder = _decoder(trailer=True)
    with pytest.raises(S3Error) as caught:
        _all_of(decoder, _body(TRAILER_CHUNKS, ending))
    assert code == caught.value.code


@pytest.mark.parametrize("offset", [0, 100, 65_700, 66_000])
def test_a_changed_byte_never_finishes(offset: int) -> None:
    body = bytearray(SIGNED_BODY)
    body[offset] ^= 1
    decoder = _decoder(trailer=False)
    with pytest.raises(S3Error):
        _all_of(decoder, bytes(body))


@pytest.mark.parametrize("cut", [1, 2, 3, 80, 90, 1100, 40_000, 66_800])
def test_a_body_cut_short_is_incomplete(cut: int) -> None:
    decoder = _decoder(trailer=False)
    decoder.feed(SIGNED_BODY[:-cut])
    with pytest.raises(S3Error, match="IncompleteBody"):
        decoder.finish()
