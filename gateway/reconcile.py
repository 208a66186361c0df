"""What we asked of an upstream, held against what its own log says we asked. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Used(NamedTuple):
    """What an upstream's own log says of one kind of request to one bucket."""

    bucket: str
    category: str
    """The upstream's word for the operation."""
    requests: int
    successful: int
    sent_bytes: int
    """From the upstream to us."""
    received_bytes: int


class AskedOf(NamedTuple):
    """What one bucket there was asked for with success, as our journals have it.

    Refused requests are left out: a log may keep them under no bucket, and without their bytes. So are lists and
    deletions in the bytes: Ceph counts their chunks' framing, and not what they were sent.
    """

    requests: int = 0
    sent_bytes: int = 0
    """Objects' bytes from us to the upstream."""
    received_bytes: int = 0
    """What reads brought, a provider's egress."""


READS = "get_"
"""How Ceph's words for reads begin: get_obj, get_obj_tags, get_bucket_versioning, …"""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One number of one bucket."""

    bucket: str
    what: str
    ours: int
    theirs: int


def disagreements(ours: Mapping[str, AskedOf], theirs: Iterable[Used]) -> list[Disagreement]:
    """Every number that differs, of buckets that are ours: what else the account has is no matter of ours."""
    sums: dict[str, AskedOf] = {}
    for one in theirs:
        before = sums.get(one.bucket, AskedOf())
        sums[one.bucket] = AskedOf(
            before.requests + one.successful, before.sent_bytes + one.received_bytes,
            before.received_bytes + (one.sent_bytes if one.category.startswith(READS) else 0),
        )  # fmt: skip
    return [
        Disagreement(bucket, what.replace("_", " "), ours_of, theirs_of)
        for bucket, asked in sorted(ours.items())
        for what, ours_of, theirs_of in zip(
            AskedOf._fields, asked, sums.get(bucket, AskedOf()), strict=True
        )
        if ours_of != theirs_of
    ]  # fmt: skip
