"""A small S3 system of one region, as AWS is outside us-east-1: signatures are checked, and a bucket's location has to be said.

What a signature ought to be is worked out by botocore, which is not what our own client signs with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.engines.rogue import Rogue, _answer, _error

REGION, ACCESS_KEY, SECRET = "eu-central-9", "REGIONALKEY", "regional-secret"
_CONSTRAINT = re.compile(rb"<LocationConstraint[^>]*>([^<]*)</LocationConstraint>")


@dataclass
class Regional(Rogue):
    """What it holds, and the location each bucket was asked for in."""

    locations: dict[str, str] = field(default_factory=dict)
    """Bucket to its constraint; empty where none was said, which only `refuses_all` lets pass."""
    refuses_all: bool = False
    """As a Ceph whose zonegroup has another name: a constraint is refused, and none is right."""
    forged: int = 0
    """Requests whose signature was not the one it ought to be."""

    def _done(
        self, method: str, target: str, headers: dict[str, str], body: bytes, *, other_etag: bool
    ) -> bytes:
        if not self._is_signed(method, target, headers):
            self.forged += 1
            return _answer(403, b"", _error("SignatureDoesNotMatch"), head_only=method == "HEAD")
        path, _, query = target.partition("?")
        bucket = path.strip("/")
        if method == "PUT" and bucket and "/" not in bucket and not query:
            found = _CONSTRAINT.search(body)
            said = found[1].decode() if found is not None else ""
            if said != ("" if self.refuses_all else REGION):
                code = "IllegalLocationConstraintException" if not said else "InvalidLocationConstraint"
                return _answer(400, b"", _error(code))
            self.locations[bucket] = said
            return _answer(200, b"", b"")
        return super()._done(method, target, headers, body, other_etag=other_etag)

    def _is_signed(self, method: str, target: str, headers: dict[str, str]) -> bool:
        given = headers["authorization"]
        names = re.findall(r"SignedHeaders=([^,]+)", given)[0].split(";")
        path, _, query = target.partition("?")
        request = AWSRequest(method, f"http://{headers['host']}{path}", {one: headers[one] for one in names})
        signer = SigV4Auth(Credentials(ACCESS_KEY, SECRET), "s3", REGION)
        request.context["timestamp"] = headers["x-amz-date"]
        asked = "&".join(sorted(one if "=" in one else f"{one}=" for one in query.split("&") if one))
        canonical = "\n".join(
            (
                method, path, asked, signer.canonical_headers(signer.headers_to_sign(request)) + "\n",
                ";".join(names), headers["x-amz-content-sha256"],
            )
        )  # fmt: skip
        return (
            signer.signature(signer.string_to_sign(request, canonical), request) == given.rpartition("=")[2]
        )


@dataclass
class Shared(Regional):
    """As one whose names are everybody's: whatever is asked for is taken already, and open to us."""

    own: tuple[str, ...] = ()
    """The buckets of our account."""

    def _done(
        self, method: str, target: str, headers: dict[str, str], body: bytes, *, other_etag: bool
    ) -> bytes:
        path = target.partition("?")[0]
        if method == "PUT" and path.count("/") == 1:
            return _answer(409, b"", _error("BucketAlreadyExists"))
        if path == "/":
            names = "".join(f"<Bucket><Name>{one}</Name></Bucket>" for one in self.own)
            return _answer(
                200,
                b"",
                f"<ListAllMyBucketsResult><Buckets>{names}</Buckets></ListAllMyBucketsResult>".encode(),
            )
        return super()._done(method, target, headers, body, other_etag=other_etag)
