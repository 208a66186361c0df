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

* **Versioning** is not there. Buckets are unversioned; `ListObjectVersions` answers with the version `null` of
  each object, and `versionId=null` is accepted where a version may be named.
* **Rights** are one rule: a bucket is for its owner. There are no policies, no access lists and no anonymous
  reads yet. `x-amz-acl` with `private`, `bucket-owner-full-control` or `bucket-owner-read` passes, for it
  changes nothing; any other value is refused by name.
* **Headers that would change the meaning** of an operation and that are not carried out are refused with
  `501 NotImplemented`: encryption with keys of ours or of KMS, object lock, grants, tagging, website redirects, appends, MFA.
  They are never accepted and ignored. The storage class is `STANDARD`; another is `InvalidStorageClass`.
* **Encryption with your own key** (SSE-C) works in every operation that S3 has it for. The ETag is the MD5 of the
  sealed bytes, so it is no hash of your text; `x-amz-checksum-*` are of the text, are checked, and are told to
  whoever brings the key. S3 insists on TLS for it; the gateway itself speaks HTTP behind its proxy and cannot.
* **Lifecycle rules** expire objects, noncurrent versions and lone delete markers and abort uploads. Transitions are
  refused by name, for there is one storage class. Of noncurrent versions to be kept, only those with bytes count.
* **Signatures** are Signature Version 4, in the header or in the query. Version 2 is refused by name. Bodies may
  be hashed, unsigned, or in signed or unsigned chunks with a trailer.
* **Checksums** are CRC32, CRC32C, CRC64NVME, SHA-1 and SHA-256, in a header or a trailer.
* **Keys** are bytes, not paths: `//`, `.` and `..` are ordinary. A key has at most 1024 bytes of valid UTF-8
  without NUL. A listing that holds a character XML 1.0 forbids is answered with `EncodingType` `url` even
  unasked.
* **Requests with a form** (`PostObject`) and cross-origin preflights are not answered yet.
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
