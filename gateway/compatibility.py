"""The compatibility page, docs/s3.md: every S3 operation, and whether this gateway answers it. Pure.

It renders the operation table and that of the engines' abilities, and knows nothing else about them;
`python -m gateway.compatibility` writes the page to standard output.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from gateway.operation import Level, Operation
from gateway.storage.abilities import ENGINES, MISSING, WORDS, can, does
from meter.event import RequestClass

HEAD = """\
# S3 compatibility

This page is written by `python -m gateway.compatibility > docs/s3.md` from the operation table in
`gateway/operation.py` and that of the storage engines in `gateway/storage/abilities.py`; a test fails when they differ.
Do not edit it by hand.

An operation in the first table works. A bucket lives on a storage engine: the machine's own disk, or another S3 system
behind the gateway. Each column says whether the operation works on a bucket of that engine; where it does not, the
answer is `501 NotImplemented` with the names of operation and engine. An operation in the last table has a name here
and is answered with `501 NotImplemented` and that name, so that a client can tell it from a mistake of its own. It is
refused before anything is touched.

The class says how a request is counted on the bill: **A** changes or lists, **B** reads, **free** is not
counted. A request that was refused at the door, and one that failed through a fault of ours (5xx), is free
whatever its class.
"""
ENGINES_HEAD = """\
## What the storage engines can do

Tests try each line of this table on each of these. What is passed through to an upstream is the upstream's: where it says more or less
than this page, it is the upstream that is asked. Members' keys, rights, websites, CORS, lifecycle rules, limits and
bills are the gateway's and are the same on every engine. Another S3 system is tried out when it is added, and what it
was found to be unable to do is refused in the same way.
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
* A member may cap their own egress of a month. When it is reached, downloads and lists are `403 EgressCapReached` with
  the elements `ResetsAt` and, for the member's own keys, `CapBytes`, and a long download that runs is cut; everything else goes on.
* **Too much at once** is `503 SlowDown` with `Retry-After`: more requests or bytes a second than an operator lets an
  address or a member have, or more than a worker has room for. Nothing of such a request is stored, recorded or billed.
* **Rights** are decided in this order: the bounds of the key; what the bucket's policy denies; the owner may; what
  the policy or an access list gives; nothing else. A member whose account is closed has buckets that serve nobody
  (`AllAccessDisabled`). A bucket that is not there is `NoSuchBucket` to anybody, as in S3; an object that is not
  there is `AccessDenied` to who may not list the bucket.
* **Access lists count** in a new bucket. S3 has turned them off for new buckets since 2023. Here they are on,
  because Mastodon and its kind send `public-read` with every file and expect it to hold, and because making
  something public stays a thing its owner must say. `BucketOwnerEnforced` turns them off for a bucket, and a public
  access block shuts what is public whoever said it. Nothing is blocked in a new bucket.
* **Objects belong to the bucket's owner**, whoever wrote them, for the owner pays for them. So the canned lists
  `bucket-owner-read` and `bucket-owner-full-control` mean `private`. WRITE on a bucket lets put and overwrite
  objects, and not delete them. `aws-exec-read`, `log-delivery-write` and grants to e-mail addresses are refused by
  name.
* **Members in policies** are `arn:aws:iam::000000000007:root` or the twelve digits alone (the owner id that
  listings and access lists show), or by name `arn:aws:iam:::user/NAME`; `CanonicalUser` takes the digits too. That
  such a member exists is not checked. There are no roles and no policies of members: a bucket's policy is all there is.
* **What a policy says must be understood**: an unknown field, action, operator or condition key is
  `MalformedPolicy`. Policies have at most 20 KiB and 500 wildcards. They may ask for `aws:` SourceIp, SecureTransport, Referer,
  UserAgent, CurrentTime, EpochTime, PrincipalArn, PrincipalAccount, PrincipalType, userid, username, and `s3:` prefix,
  delimiter, max-keys, VersionId, authType, signatureversion, signatureAge, ExistingObjectTag, RequestObjectTag,
  RequestObjectTagKeys, object-lock-mode, object-lock-retain-until-date, object-lock-legal-hold, and for the headers
  x-amz-acl, x-amz-grant-*, x-amz-copy-source, x-amz-metadata-directive, x-amz-server-side-encryption (and
  -customer-algorithm), x-amz-storage-class, x-amz-content-sha256, x-amz-website-redirect-location and
  x-amz-object-ownership. A request that names tags or a retention in its body only is denied where the policy asks
  for them. Only the owner reads, sets and deletes the policy, and no policy takes that away.
* **Requests nobody signed** may not choose the answer's headers (`response-content-type` and its kind) and may not
  send a body in chunks.
* **Headers that would change the meaning** of an operation and that are not carried out are refused with
  `501 NotImplemented`: encryption with keys of ours or of KMS, appends, MFA.
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
  unasked; then only such characters, `%` and `+` are encoded, so that who does not decode still reads all other names.
* **Pages of other origins** (CORS) are answered by the bucket's rules, errors too. A rule for every origin answers
  `*` and never asks for credentials. Preflights need no signature, and nobody pays for them.
* **Upload forms** (`PostObject`) are signed with Signature Version 4 over their policy. Every field but the file, the
  policy, the signature and `x-ignore-*` must be named by a condition, the bucket too. What stands before the file
  has at most 20 KiB; what follows it is ignored. A field sent twice is refused.
* **Websites** are shown on hosts of their own, where the operator has set some up: `BUCKET.website_suffix`, and whole
  hosts the operator has listed. A visitor reads what anybody may read. As on S3, a page that is there and not for
  everybody is 403, one that is not there 404. A configuration with an element we do not know is refused. A copy does
  not take over `x-amz-website-redirect-location`; the request names it anew.

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
    lines = [HEAD, f"## What works: {len(there)} operations\n", *_table(there, with_engines=True), ""]
    lines += [ENGINES_HEAD, *_engines(), ""]
    lines += [
        f"## What has a name and no answer yet: {len(missing)} operations\n",
        *_table(missing, with_engines=False),
        "",
        FOOT,
    ]
    return "\n".join(lines)


def _table(operations: Iterable[Operation], *, with_engines: bool) -> Iterator[str]:
    columns = ["operation", "about", "method", "selected by", "class", *(ENGINES if with_engines else ())]
    yield _row(columns)
    yield "|---" * len(columns) + "|"
    for one in operations:
        chosen = f"`{one.parameter}`" if one.parameter else ""
        facts = [one.s3_name, _LEVEL_WORDS[one.level], one.method, chosen, _CLASS_WORDS[one.request_class]]
        works = ["yes" if does(engine, one) else "**no**" for engine in ENGINES] if with_engines else []
        yield _row([*facts, *works])


def _engines() -> Iterator[str]:
    yield _row(["", *(f"{name}: {words}" for name, words in ENGINES.items())])
    yield "|---" * (len(ENGINES) + 1) + "|"
    for ability, words in WORDS.items():
        yield _row(
            [words, *("yes" if can(one, ability) else f"**no**: {MISSING[one][ability]}" for one in ENGINES)]
        )


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(page())
