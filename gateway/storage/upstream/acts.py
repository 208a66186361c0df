"""What upstreams are asked for, as a cost of the co-op's: apart from members' requests, and by permanent codes. Pure.

A bucket's number stays on one engine, so sums by bucket are sums by engine; gateway.upstream_use joins them.
"""

from __future__ import annotations

from enum import Enum

from meter.event import Event, Mark, RequestClass, Zone
from meter.ids import NOBODY, BucketId


class Act(Enum):
    """A kind of upstream request: its code in the journal, never reused; its name; the class providers bill it in."""

    READ = (1001, "UpstreamRead", RequestClass.B)
    WRITE = (1002, "UpstreamWrite", RequestClass.A)
    LIST = (1003, "UpstreamList", RequestClass.A)
    DELETE = (1004, "UpstreamDelete", RequestClass.FREE)
    DOCUMENT = (1005, "UpstreamDocument", RequestClass.A)
    """A change whose body is a document and no object's bytes: upstreams' own logs leave such bodies out."""

    # Members are single objects; Enum's own hash is a Python call on every look-up.
    __hash__ = object.__hash__

    @property
    def code(self) -> int:
        """As the journal keeps it."""
        return self.value[0]

    @property
    def title(self) -> str:
        """As people read it."""
        return self.value[1]


REFUSED = 50
"""Added to the code of a request that was refused or got no answer, so that sums tell them apart."""
NO_ANSWER = 0
"""Status of a request that nobody answered."""


def upstream_event(
    act: Act, bucket: BucketId, *, began_us: int, ended_us: int, bytes_in: int, bytes_out: int, status: int
) -> Event:
    """One upstream request. The upstream's side: bytes_in is what we sent to it, bytes_out what came from it.

    Nobody pays for it: it is what members' requests cost the co-op.
    """
    is_aborted = status == NO_ANSWER
    code = act.code + (REFUSED if is_aborted or status >= 400 else 0)
    return Event(
        bytes(16), NOBODY, NOBODY, bucket, code, act.value[2], Zone.INTERNET, began_us, max(began_us, ended_us),
        bytes_in, bytes_out, bytes_in, bytes_out, 599 if is_aborted else status,
        Mark.ABORTED if is_aborted else Mark.NONE,
    )  # fmt: skip
