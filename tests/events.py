"""Events for tests: plain ones, and a hypothesis strategy for any that the journal must keep."""

from hypothesis import strategies as st

from meter.event import Event, Mark, RequestClass, StorageLine, Zone
from meter.ids import BucketId, MemberId

NOON_US = 1_795_521_600_000_000  # 2026-11-24T12:00:00Z, checked with `date -u -d @1795521600`

PLAIN = Event(
    request_id=b"\x01" * 16,
    payer=MemberId(1),
    requester=MemberId(1),
    bucket=BucketId(7),
    operation=3,
    request_class=RequestClass.A,
    zone=Zone.INTERNET,
    began_us=NOON_US - 1000,
    ended_us=NOON_US,
    bytes_in=1000,
    bytes_out=0,
    moved_in=1000,
    moved_out=0,
    status=200,
)


def stored(
    delta: int, at_us: int, *, member: int = 1, bucket: int = 7, line: StorageLine = StorageLine.OBJECT
) -> Event:
    """A change of stored bytes."""
    return PLAIN._replace(
        payer=MemberId(member),
        bucket=BucketId(bucket),
        request_class=RequestClass.FREE,
        began_us=at_us,
        ended_us=at_us,
        bytes_in=0,
        moved_in=0,
        status=0,
        marks=Mark.STORAGE,
        stored_bytes=delta,
        line=line,
    )


counts = st.integers(-(2**63), 2**63 - 1)
events = st.builds(
    Event,
    request_id=st.binary(min_size=16, max_size=16),
    payer=st.integers(0, 2**62).map(MemberId),
    requester=st.integers(0, 2**62).map(MemberId),
    bucket=st.integers(0, 2**62).map(BucketId),
    operation=st.integers(0, 2**15),
    request_class=st.sampled_from(RequestClass),
    zone=st.sampled_from(Zone),
    began_us=st.integers(-(2**62), 2**62),
    ended_us=st.integers(-(2**62), 2**62),
    bytes_in=counts,
    bytes_out=counts,
    moved_in=counts,
    moved_out=counts,
    status=st.integers(0, 999),
    marks=st.integers(0, 31).map(Mark),
    stored_bytes=st.integers(-(2**62), 2**62),
    line=st.sampled_from(StorageLine),
)
