"""What bounds the making public of a bucket: public access block and object ownership. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class PublicAccessBlock:
    """The four flags of S3."""

    block_public_acls: bool = False
    """No request may set an access list that gives anything to people nobody named."""
    ignore_public_acls: bool = False
    """Lists that do so count as if they did not."""
    block_public_policy: bool = False
    """No policy may be set that is public."""
    restrict_public_buckets: bool = False
    """While the policy is public, only the owner gets in."""


OPEN = PublicAccessBlock()


def render_block(block: PublicAccessBlock) -> str:
    """The flags as they are kept."""
    return json.dumps(
        [
            block.block_public_acls,
            block.ignore_public_acls,
            block.block_public_policy,
            block.restrict_public_buckets,
        ]
    )


@lru_cache(maxsize=64)
def parse_block(text: str | None) -> PublicAccessBlock:
    """What render_block wrote; None: nothing is blocked."""
    return OPEN if text is None else PublicAccessBlock(*json.loads(text))


class Ownership(StrEnum):
    """Whether access lists count in a bucket. Objects belong to the bucket's owner with any of them."""

    ENFORCED = "BucketOwnerEnforced"
    """They do not."""
    PREFERRED = "BucketOwnerPreferred"
    WRITER = "ObjectWriter"


def lists_count(text: str | None) -> bool:
    """Whether access lists count, by the document that is kept; None: they do."""
    return text != Ownership.ENFORCED.value
