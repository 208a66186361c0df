"""Lines of the directory as a gateway keeps them on disk, and how a small file is replaced."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from gateway.call import Bucket, Subject
from gateway.engine_store import EngineRow
from gateway.store import KeyRow
from meter.ids import BucketId, MemberId
from meter.usage import MemberStatus

SNAPSHOT_FORMAT = 7
"""Lines of another format are not read: the first start after an upgrade asks Postgres."""


def pack_key(row: KeyRow) -> str:
    """An open key as JSON; its secret is sealed."""
    return json.dumps(
        [row.access_key, row.member, row.member_name, row.member_status, row.secret.hex(), row.created_us, row.scope]
    )  # fmt: skip


def unpack_key(text: str) -> KeyRow:
    """Read what pack_key made."""
    access_key, member, name, status, secret, created_us, scope = json.loads(text)
    return KeyRow(
        access_key, MemberId(member), name, MemberStatus(status), bytes.fromhex(secret), created_us, None, scope
    )  # fmt: skip


def pack_bucket(bucket: Bucket) -> str:
    """A bucket as JSON."""
    return json.dumps(
        [
            bucket.id,
            bucket.name,
            bucket.owner,
            bucket.created_us,
            bucket.owner_name,
            bucket.owner_status,
            bucket.bytes_max,
            bucket.owner_bytes_max,
            bucket.owner_cap_bytes,
            bucket.engine,
            bucket.upstream_name,
            dict(bucket.documents),
        ]
    )


def unpack_bucket(text: str) -> Bucket:
    """Read what pack_bucket made."""
    (
        number, name, owner, created, owner_name, status, bytes_max, owner_bytes_max, owner_cap_bytes, engine,
        upstream_name, documents,
    ) = json.loads(text)  # fmt: skip
    return Bucket(
        BucketId(number),
        name,
        MemberId(owner),
        created,
        owner_name,
        MemberStatus(status),
        bytes_max,
        owner_bytes_max,
        owner_cap_bytes,
        engine,
        upstream_name,
        {Subject(subject): document for subject, document in documents.items()},
    )


def pack_engine(row: EngineRow) -> str:
    """A storage engine as JSON; its secret is sealed."""
    return json.dumps({**asdict(row), "secret": row.secret.hex()})


def unpack_engine(text: str) -> EngineRow:
    """Read what pack_engine made."""
    told = json.loads(text)
    return EngineRow(**{**told, "secret": bytes.fromhex(told["secret"])})


def keep(path: Path, text: str) -> None:
    """Replace a small text in one step, durably; readable by its owner only."""
    keep_bytes(path, text.encode())


def keep_bytes(path: Path, content: bytes) -> None:
    """Replace a file in one step, durably; readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
