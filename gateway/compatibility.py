"""The compatibility page, docs/s3.md: every S3 operation, and whether this gateway answers it. Pure.

It renders the operation table and knows nothing else about operations; `python -m gateway.compatibility`
writes the page to standard output.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from gateway.operation import Level, Operation
from meter.event import RequestClass

HEAD = """\
# S3 compatibility

This page is written by `python -m gateway.compatibility > docs/s3.md` from the operation table in
`gateway/operation.py`; a test fails when the two differ. Do not edit it by hand.

An operation in the first table works. One in the second has a name here and is answered with
`501 NotImplemented` and that name, so that a client can tell it from a mistake of its own. It is refused before
anything is touched.

The class says how a request is counted on the bill: **A** changes or lists, **B** reads, **free** is not
counted. A request that was refused at the door, and one that failed through a fault of ours (5xx), is free
whatever its class.
"""
FOOT = """\
## What is different from other S3 systems

* **Versioning** is S3's, without MFA delete: `MfaDelete` `Enabled` and `x-amz-mfa` are refused by name. Old
  versions are stored bytes like any others, and are counted and limited as such.
* **Object lock** is S3's. `Content-MD5` or an `x-amz-checksum-` is asked of a `PutObject` that carries lock headers;
  a bucket's default retention asks for none. `GetObjectLegalHold` answers `OFF` for a version nobody ever held.
  GOVERNANCE is bypassed by `x-amz-bypass-governance-retention: true` from the bucket's owner.
* **Tags** of objects (10) and buckets (50) follow S3's rules of length and characters. A copy takes the source's
  tags unless `x-amz-tagging-directive` is `REPLACE`; then and only then `x-amz-tagging` counts.
* **Conditional deletes** know `If-Match`, and `ETag` in `DeleteObjects`; a key that is not there is then
  `NoSuchKey`. `LastModifiedTime` and `Size`, which S3 has for directory buckets alone, are refused by name.
* **Limits of stored bytes** a bucket or member has are held inside the commit, versions and parts included. What
  would pass one is `403 QuotaExceeded` with the elements `LimitOf` and `LimitBytes`, before its body is read where
  the announced size alone says so; nothing of it is stored. Writes that need no more room than they free pass.
* **Rights** are one rule: a bucket is for its owner. There are no policies, no access lists and no anonymous
  reads yet. `x-amz-acl` with `private`, `bucket-owner-full-control` or `bucket-owner-read` passes, for it
  changes nothing; any other value is refused by name.
* **Headers that would change the meaning** of an operation and that are not carried out are refused with
  `501 NotImplemented`: encryption with keys of ours or of KMS, grants, website redirects, appends, MFA.
  They are never accepted and ignored. The storage class is `STANDARD`; another is `InvalidStorageClass`.
* **Encryption with your own key** (SSE-C) works in every operation that S3 has it for. The ETag is the MD5 of the
  sealed bytes, so it is no hash of your text; `x-amz-checksum-*` are of the text, are checked, and are told to
  whoever brings the key. S3 insists on TLS for it; the gateway itself speaks HTTP behind its proxy and cannot.
* **Lifecycle rules** expire objects, noncurrent versions and lone delete markers and abort uploads. Transitions are
  refused by name, for there is one storage class. Of noncurrent versions to be kept, only those with bytes count.
* **Signatures** are Signature Version 4, in the header or in the query. Version 2 is refused by name. Bodies may
  be hashed, unsigned, or in signed or unsigned chunks with a trailer.
* **Checksums** are CRC32, CRC32C, CRC64NVME, SHA-1 and SHA-256, in a header or a trailer. A body whose sender names
  none gets a CRC64NVME of the whole, and so does an upload in parts without any. Where such an upload's parts all
  carry the same CRC the object has that one; where they differ it has none. A copy of an object in parts is one
  piece, with the MD5 and the checksum of one. `ObjectParts` lists each part where the checksum is composite, and
  counts them otherwise; parts are numbered by their place in the object.
* **Request payment, access logging and acceleration** cannot be set; who asks is told so in S3's words: the owner
  pays, nothing is logged, nothing is accelerated.
* **Keys** are bytes, not paths: `//`, `.` and `..` are ordinary. A key has at most 1024 bytes of valid UTF-8
  without NUL. A listing that holds a character XML 1.0 forbids is answered with `EncodingType` `url` even
  unasked.
* **Requests with a form** (`PostObject`) and cross-origin preflights are not answered yet.

## What is not meant to come

These are named above and answer `501 NotImplemented` (Signature Version 2: `InvalidRequest`) until somebody asks
for them with a reason: Signature Version 2, S3 Select, Glacier and restores, replication, inventory, analytics,
metrics and intelligent-tiering configurations, event notifications, access logs delivered into buckets,
acceleration, requester pays, BitTorrent, directory buckets and their sessions, tables and metadata
configurations, object annotations, object lambdas, and encryption at rest that a client believes we do and we do
not: `GetBucketEncryption` is never answered with S3's default.
"""
_CLASS_WORDS = {RequestClass.A: "A", RequestClass.B: "B", RequestClass.FREE: "free"}
_LEVEL_WORDS = {Level.SERVICE: "the co-op", Level.BUCKET: "a bucket", Level.OBJECT: "an object"}


def page() -> str:
    """The whole page as Markdown."""
    named = [one for one in Operation if one is not Operation.OTHER]
    there = [one for one in named if one.supported]
    missing = [one for one in named if not one.supported]
    lines = [HEAD, f"## What works: {len(there)} operations\n", *_table(there), ""]
    lines += [
        f"## What has a name and no answer yet: {len(missing)} operations\n",
        *_table(missing),
        "",
        FOOT,
    ]
    return "\n".join(lines)


def _table(operations: Iterable[Operation]) -> Iterator[str]:
    yield "| operation | about | method | selected by | class |"
    yield "|---|---|---|---|---|"
    for one in operations:
        chosen = f"`{one.parameter}`" if one.parameter else ""
        yield (
            f"| {one.s3_name} | {_LEVEL_WORDS[one.level]} | {one.method} | {chosen} "
            f"| {_CLASS_WORDS[one.request_class]} |"
        )


if __name__ == "__main__":
    sys.stdout.write(page())
