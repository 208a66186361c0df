"""The directory as a worker keeps it on disk: read when Postgres is away at a start."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from gateway.call import Bucket, Subject
from gateway.engine_store import EngineRow
from gateway.store import KeyRow
from meter.ids import BucketId, MemberId
from meter.usage import MemberStatus

SNAPSHOT_FORMAT = 6
"""A snapshot of another format is not read: the first start after an upgrade asks Postgres."""


class Known(NamedTuple):
    """All that a gateway knows of the co-op."""

    keys: list[KeyRow]
    buckets: list[Bucket]
    egress_caps: Mapping[MemberId, int]
    """Hard caps of members who set one: bytes out in a month."""
    engines: list[EngineRow]


def pack(
    keys: Iterable[KeyRow], buckets: Iterable[Bucket], egress_caps: Mapping[MemberId, int],
    engines: Iterable[EngineRow],
) -> dict[str, object]:  # fmt: skip
    """As JSON has it."""
    return {
        "format": SNAPSHOT_FORMAT,
        "keys": [
            [
                row.access_key,
                row.member,
                row.member_name,
                row.member_status,
                row.secret.hex(),
                row.created_us,
                row.scope,
            ]
            for row in keys
        ],
        "buckets": [
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
                bucket.documents,
            ]
            for bucket in buckets
        ],
        "egress_caps": sorted(egress_caps.items()),
        "engines": [{**asdict(row), "secret": row.secret.hex()} for row in engines],
    }


def unpack(packed: dict[str, Any]) -> Known | None:
    """Read what pack made; None for one of another format."""
    if packed.get("format") != SNAPSHOT_FORMAT:
        return None
    keys = [
        KeyRow(a, MemberId(m), name, MemberStatus(status), bytes.fromhex(secret), created, None, scope)
        for a, m, name, status, secret, created, scope in packed["keys"]
    ]
    buckets = [
        Bucket(
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
        for number, name, owner, created, owner_name, status, bytes_max, owner_bytes_max, owner_cap_bytes,
        engine, upstream_name, documents
        in packed["buckets"]
    ]  # fmt: skip
    engines = [EngineRow(**{**row, "secret": bytes.fromhex(row["secret"])}) for row in packed["engines"]]
    return Known(keys, buckets, {MemberId(member): cap for member, cap in packed["egress_caps"]}, engines)


def keep(path: Path, text: str) -> None:
    """Replace a file in one step, durably; readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
