"""Every operation of the table against every caller: only the owner, and only what is there."""

from __future__ import annotations

import pytest

from gateway.access import demand, may
from gateway.call import Bucket, Caller
from gateway.errors import S3Error
from gateway.operation import Operation
from meter.ids import BucketId, MemberId

OWNER = Caller(MemberId(1), "anna", "KEY1")
OTHER = Caller(MemberId(2), "bert", "KEY2")
BUCKET = Bucket(BucketId(1), "abc", MemberId(1), 0)
WITHOUT_BUCKET = {"ListBuckets", "CreateBucket"}


@pytest.mark.parametrize("operation", Operation, ids=lambda operation: operation.s3_name)
def test_who_may_do_what(operation: Operation) -> None:
    assert operation.supported == may(operation, caller=OWNER, bucket=BUCKET)
    free = operation.s3_name in WITHOUT_BUCKET
    assert free == may(operation, caller=OTHER, bucket=BUCKET)
    assert free == may(operation, caller=OTHER, bucket=None)
    assert not may(operation, caller=None, bucket=BUCKET)
    assert not may(operation, caller=None, bucket=None)


def test_a_denial_is_access_denied() -> None:
    with pytest.raises(S3Error, match="AccessDenied"):
        demand(Operation.GET_OBJECT, caller=OTHER, bucket=BUCKET)
    demand(Operation.GET_OBJECT, caller=OWNER, bucket=BUCKET)
