"""What real S3 systems answer, word for word, for the tests of whatever reads it.

`python -m tests.engines.capture` starts them, asks each the same questions and writes tests/golden/upstream/*.json
anew. The requests are made and signed by botocore and sent by the standard library: nothing of ours is in it.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.engines.ceph import running_ceph
from tests.engines.place import S3System
from tests.engines.rclone import running_rclone
from tests.engines.versity import running_versity

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "upstream"
BUCKET = "/captured"
LOCKED = "/locked"
PART = b"p" * (5 * 2**20)
UNTIL = "2099-01-01T00:00:00.000Z"
_XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_DROPPED = ("date", "connection", "x-amz-request-id", "x-amz-id-2", "server", "keep-alive")


@dataclass
class Capture:
    """Asks one system, and keeps the answers by name."""

    system: S3System
    answers: dict[str, Any] = field(default_factory=dict)

    def __call__(
        self,
        name: str,
        method: str,
        target: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> dict[str, Any]:
        """One request; its answer is kept under the name, if there is one."""
        sent = dict(headers or {})
        if body and b"<" in body[:1]:
            sent["Content-MD5"] = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        request = AWSRequest(method, self.system.endpoint + target, headers=sent, data=body)
        keys = Credentials(self.system.access_key, self.system.secret_key)
        botocore.auth.S3SigV4Auth(keys, "s3", self.system.region).add_auth(request)
        address = urlsplit(self.system.endpoint)
        with closing(http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)) as line:
            # The standard library writes Latin-1; what was signed is UTF-8.
            words = {key: value.encode().decode("latin-1") for key, value in request.headers.items()}
            line.request(method, target, body, words)
            answer = line.getresponse()
            text = answer.read().decode()
            pairs = {
                key.lower(): value.encode("latin-1").decode()
                for key, value in answer.getheaders()
                if key.lower() not in _DROPPED and not key.lower().startswith("access-control-")
            }
        kept = {"request": f"{method} {target}", "status": answer.status, "headers": pairs, "body": text}
        if name:
            self.answers[name] = kept
        return kept

    def upload(self, key: str) -> str:
        """An upload with two parts; its id."""
        begun = self("initiate", "POST", f"{BUCKET}/{key}?uploads", {"x-amz-meta-a": "b"})
        found = re.search("<UploadId>(.+?)</UploadId>", begun["body"])
        assert found is not None, begun
        target = f"{BUCKET}/{key}?uploadId={found[1]}"
        self("part", "PUT", f"{target}&partNumber=1", body=PART)
        self("", "PUT", f"{target}&partNumber=2", body=b"the end")
        return found[1]


def capture(system: S3System) -> dict[str, Any]:
    """Every question of the list below, in its order."""
    ask = Capture(system)
    ask("", "PUT", BUCKET)
    _objects(ask)
    _uploads(ask)
    _listings(ask)
    _errors(ask)
    _versions(ask)
    _locks(ask)
    return ask.answers


def _objects(ask: Capture) -> None:
    kept = {
        "content-type": "text/plain; charset=utf-8", "cache-control": "no-cache", "content-disposition": 'inline; filename="ü"',
        "content-encoding": "identity", "content-language": "de", "expires": "Thu, 01 Dec 2033 16:00:00 GMT",
        "x-amz-meta-plain": "value", "x-amz-meta-umlaut": "gr\u00fc\u00dfe \u65e5", "x-amz-meta-empty": "",
        "x-amz-website-redirect-location": "/else", "x-amz-tagging": "one=1&two=%C3%BC",
    }  # fmt: skip
    ask("put", "PUT", f"{BUCKET}/full", kept, b"0123456789")
    ask("head", "HEAD", f"{BUCKET}/full")
    ask("get", "GET", f"{BUCKET}/full")
    ask("get range", "GET", f"{BUCKET}/full", {"range": "bytes=2-4"})
    ask("get beyond", "GET", f"{BUCKET}/full", {"range": "bytes=20-"})
    ask("get tagging", "GET", f"{BUCKET}/full?tagging")
    tags = f"<Tagging {_XMLNS}><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"
    ask("put tagging", "PUT", f"{BUCKET}/full?tagging", body=tags.encode())
    ask("copy", "PUT", f"{BUCKET}/copy", {"x-amz-copy-source": f"{BUCKET}/full"})
    ask("copy of nothing", "PUT", f"{BUCKET}/copy", {"x-amz-copy-source": f"{BUCKET}/nothing"})
    ask("head of copy", "HEAD", f"{BUCKET}/copy")
    ask("put none match", "PUT", f"{BUCKET}/full", {"if-none-match": "*"}, b"other")
    ask("put match", "PUT", f"{BUCKET}/full", {"if-match": '"0"'}, b"other")
    ask("get if match", "GET", f"{BUCKET}/full", {"if-match": '"0"'})
    crc = {"x-amz-checksum-crc32": "poTHxg=="}
    ask("put checksum", "PUT", f"{BUCKET}/checksum", crc, b"0123456789")
    ask("head checksum", "HEAD", f"{BUCKET}/checksum", {"x-amz-checksum-mode": "ENABLED"})
    ask("put wrong md5", "PUT", f"{BUCKET}/wrong", {"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, b"0123456789")


def _uploads(ask: Capture) -> None:
    upload = ask.upload("parted")
    ask("list parts", "GET", f"{BUCKET}/parted?uploadId={upload}")
    ask("list parts page", "GET", f"{BUCKET}/parted?uploadId={upload}&max-parts=1")
    ask("list uploads", "GET", f"{BUCKET}?uploads")
    odd = ask("", "POST", f"{BUCKET}/odd%20%25%2B%26/up?uploads")["body"]
    ask("list uploads odd", "GET", f"{BUCKET}?prefix=odd&uploads")
    ask("list uploads page", "GET", f"{BUCKET}?max-uploads=1&uploads")
    odd_id = re.search("<UploadId>(.+?)</UploadId>", odd)
    ask("", "DELETE", f"{BUCKET}/odd%20%25%2B%26/up?uploadId={odd_id[1] if odd_id else ''}")
    etags = [hashlib.md5(data, usedforsecurity=False).hexdigest() for data in (PART, b"the end")]
    target = f"{BUCKET}/parted?uploadId={upload}"
    ask("complete wrong", "POST", target, body=_complete([(1, etags[1])]))
    ask("complete", "POST", target, body=_complete(list(enumerate(etags, 1))))
    ask("complete again", "POST", target, body=_complete(list(enumerate(etags, 1))))
    ask("head parted", "HEAD", f"{BUCKET}/parted")
    ask("head part", "HEAD", f"{BUCKET}/parted?partNumber=1")
    target = f"{BUCKET}/small?uploadId={ask.upload('small')}"
    ask("complete disorder", "POST", target, body=_complete([(2, etags[1]), (1, etags[0])]))
    begun = ask("", "POST", f"{BUCKET}/small?uploads")["body"]
    found = re.search("<UploadId>(.+?)</UploadId>", begun)
    assert found is not None, begun
    target = f"{BUCKET}/small?uploadId={found[1]}"
    etags = [
        str(ask("", "PUT", f"{target}&partNumber={n}", body=b"x")["headers"].get("etag")) for n in (1, 2)
    ]
    ask("complete small", "POST", target, body=_complete(list(enumerate(etags, 1))))
    range_of = {"x-amz-copy-source": f"{BUCKET}/full", "x-amz-copy-source-range": "bytes=1-3"}
    ask("copy part", "PUT", f"{target}&partNumber=3", range_of)
    ask("abort", "DELETE", target)
    ask("abort again", "DELETE", target)
    ask("list parts of nothing", "GET", target)


def _complete(parts: list[tuple[int, str]]) -> bytes:
    lines = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>" for n, etag in parts)
    return f"<CompleteMultipartUpload {_XMLNS}>{lines}</CompleteMultipartUpload>".encode()


def _listings(ask: Capture) -> None:
    for name in ("a%20b", "d/one", "d/two", "e/%C3%BC%2B%26", "z"):
        ask("", "PUT", f"{BUCKET}/{name}", body=b"12")
    ask("list", "GET", f"{BUCKET}?encoding-type=url&list-type=2")
    ask("list delimiter", "GET", f"{BUCKET}?delimiter=%2F&encoding-type=url&list-type=2")
    ask("list page", "GET", f"{BUCKET}?delimiter=%2F&encoding-type=url&list-type=2&max-keys=4")
    ask(
        "list page behind",
        "GET",
        f"{BUCKET}?delimiter=%2F&encoding-type=url&list-type=2&max-keys=1&start-after=d%2F",
    )
    ask("list prefix", "GET", f"{BUCKET}?encoding-type=url&list-type=2&prefix=e%2F")
    ask("list behind prefix", "GET", f"{BUCKET}?delimiter=%2F&encoding-type=url&list-type=2&start-after=d%2F")
    ask("list v1 page", "GET", f"{BUCKET}?delimiter=%2F&encoding-type=url&max-keys=4")
    ask("list v1 behind", "GET", f"{BUCKET}?delimiter=%2F&encoding-type=url&marker=d%2F")
    for name in ("odd%20%25%2B%26/a%20%2B%25", "odd%20%25%2B%26/b", "odd%20%25%2B%26c"):
        ask("", "PUT", f"{BUCKET}/{name}", body=b"12")
    ask("list odd", "GET", f"{BUCKET}?encoding-type=url&list-type=2&prefix=odd%20%25%2B")
    ask(
        "list odd page",
        "GET",
        f"{BUCKET}?delimiter=%2F&encoding-type=url&list-type=2&max-keys=1&prefix=odd%20%25%2B",
    )
    doomed = "".join(f"<Object><Key>{name}</Key></Object>" for name in ("z", "nothing", "a b"))
    ask("delete many", "POST", f"{BUCKET}?delete", body=f"<Delete {_XMLNS}>{doomed}</Delete>".encode())
    ask("delete", "DELETE", f"{BUCKET}/copy")
    ask("delete nothing", "DELETE", f"{BUCKET}/nothing")


def _errors(ask: Capture) -> None:
    ask("head nothing", "HEAD", f"{BUCKET}/nothing")
    ask("get nothing", "GET", f"{BUCKET}/nothing")
    ask("no such bucket", "GET", "/not-there/key")
    ask("head of no bucket", "HEAD", "/not-there")
    ask("put into no bucket", "PUT", "/not-there/key", body=b"x")
    ask("no such upload", "PUT", f"{BUCKET}/key?partNumber=1&uploadId=2~nothing", body=b"x")
    ask("bucket not empty", "DELETE", BUCKET)
    ask("bad xml", "POST", f"{BUCKET}?delete", body=b"<Delete><Object>")
    wrong = Capture(S3System("", ask.system.endpoint, ask.system.region, "WRONG", "wrong", Path()))
    ask.answers["wrong key"] = wrong("wrong key", "GET", f"{BUCKET}/full")
    wrong = Capture(
        S3System("", ask.system.endpoint, ask.system.region, ask.system.access_key, "wrong", Path())
    )
    ask.answers["wrong secret"] = wrong("wrong secret", "GET", f"{BUCKET}/full")


def _versions(ask: Capture) -> None:
    ask("get versioning off", "GET", f"{BUCKET}?versioning")
    asked = f"<VersioningConfiguration {_XMLNS}><Status>Enabled</Status></VersioningConfiguration>"
    ask("put versioning", "PUT", f"{BUCKET}?versioning", body=asked.encode())
    ask("get versioning", "GET", f"{BUCKET}?versioning")
    first = ask("put version", "PUT", f"{BUCKET}/v", body=b"1")["headers"].get("x-amz-version-id", "none")
    ask("", "PUT", f"{BUCKET}/v", body=b"22")
    marker = ask("delete version", "DELETE", f"{BUCKET}/v")["headers"].get("x-amz-version-id", "none")
    ask("list versions", "GET", f"{BUCKET}?encoding-type=url&versions")
    ask("list versions page", "GET", f"{BUCKET}?encoding-type=url&max-keys=2&prefix=v&versions")
    ask("list versions delimiter", "GET", f"{BUCKET}?delimiter=%2F&encoding-type=url&versions")
    odd = f"{BUCKET}?delimiter=%2F&encoding-type=url&max-keys=1&prefix=odd%20%25%2B&versions"
    ask("list versions odd", "GET", odd)
    ask(
        "list versions odd page", "GET", f"{BUCKET}?encoding-type=url&max-keys=1&prefix=odd%20%25%2B&versions"
    )
    ask("get hidden", "GET", f"{BUCKET}/v")
    ask("get version", "GET", f"{BUCKET}/v?versionId={first}")
    ask("head marker", "HEAD", f"{BUCKET}/v?versionId={marker}")
    ask("get marker", "GET", f"{BUCKET}/v?versionId={marker}")
    ask("no such version", "GET", f"{BUCKET}/v?versionId=0123456789abcdef0123456789abcdef")
    doomed = (
        f"<Object><Key>v</Key><VersionId>{marker}</VersionId></Object><Object><Key>v</Key></Object>"
        f"<Object><Key>v</Key><VersionId>{first}</VersionId></Object>"
    )
    ask("delete versions", "POST", f"{BUCKET}?delete", body=f"<Delete {_XMLNS}>{doomed}</Delete>".encode())


def _locks(ask: Capture) -> None:
    made = ask("create locked", "PUT", LOCKED, {"x-amz-bucket-object-lock-enabled": "true"})
    if made["status"] != 200:
        return
    ask("get lock off", "GET", f"{BUCKET}?object-lock")
    ask("get lock", "GET", f"{LOCKED}?object-lock")
    rule = "<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>3</Days></DefaultRetention></Rule>"
    asked = f"<ObjectLockConfiguration {_XMLNS}><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}</ObjectLockConfiguration>"
    ask("put lock", "PUT", f"{LOCKED}?object-lock", body=asked.encode())
    ask("get lock default", "GET", f"{LOCKED}?object-lock")
    lock = {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": UNTIL}
    lock["x-amz-object-lock-legal-hold"] = "ON"
    put = ask("put locked", "PUT", f"{LOCKED}/k", lock, b"x")
    ask("head locked", "HEAD", f"{LOCKED}/k")
    ask("get retention", "GET", f"{LOCKED}/k?retention")
    ask("get legal hold", "GET", f"{LOCKED}/k?legal-hold")
    version = put["headers"].get("x-amz-version-id", "none")
    ask("delete locked", "DELETE", f"{LOCKED}/k?versionId={version}")
    doomed = f"<Object><Key>k</Key><VersionId>{version}</VersionId></Object>"
    ask("delete many locked", "POST", f"{LOCKED}?delete", body=f"<Delete {_XMLNS}>{doomed}</Delete>".encode())
    ask("put locked where none is", "PUT", f"{BUCKET}/k", lock, b"x")


def main() -> None:
    """Ask each, write each."""
    GOLDEN.mkdir(exist_ok=True)
    for runs in (running_ceph, running_rclone, running_versity):
        with tempfile.TemporaryDirectory() as place, runs(Path(place)) as system:
            text = json.dumps(capture(system), indent=1, ensure_ascii=False)
            (GOLDEN / f"{system.kind}.json").write_text(f"{text}\n", "utf-8")


if __name__ == "__main__":
    main()
