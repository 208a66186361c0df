"""May this caller do this operation on this bucket? Deny by default, decided over the whole table.

For now one rule: the owner may, nobody else. It knows no storage; a denial happens before any is touched.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import assert_never

from gateway.call import Bucket, Caller
from gateway.errors import s3_error
from gateway.operation import Level, Operation


class Rule(Enum):
    """Who may."""

    MEMBER = auto()
    """Any member: the operation touches only what is the member's own, or makes it."""
    OWNER = auto()
    """The bucket's owner."""
    NOBODY = auto()
    """Not there yet, so nobody needs it."""


_MEMBERS = frozenset((Operation.LIST_BUCKETS, Operation.CREATE_BUCKET))


def _rule(operation: Operation) -> Rule:
    if not operation.supported:
        return Rule.NOBODY
    if operation in _MEMBERS:
        return Rule.MEMBER
    return Rule.NOBODY if operation.level is Level.SERVICE else Rule.OWNER


_RULES = {operation: _rule(operation) for operation in Operation}


def may(operation: Operation, *, caller: Caller | None, bucket: Bucket | None) -> bool:
    """Whether the caller may. caller None is anonymous; bucket None is none named, or none there."""
    if caller is None:
        return False
    rule = _RULES[operation]
    match rule:
        case Rule.MEMBER:
            return True
        case Rule.OWNER:
            return bucket is not None and bucket.owner == caller.member
        case Rule.NOBODY:
            return False
        case _:
            assert_never(rule)


def demand(operation: Operation, *, caller: Caller | None, bucket: Bucket | None) -> None:
    """Raises AccessDenied unless the caller may."""
    if not may(operation, caller=caller, bucket=bucket):
        raise s3_error("AccessDenied")


def may_read_source(*, caller: Caller | None, bucket: Bucket) -> bool:
    """Whether a copy may read from this bucket: the same rule as reading an object there."""
    return may(Operation.GET_OBJECT, caller=caller, bucket=bucket)
