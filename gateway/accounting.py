"""From an exchange to its Event: who pays, and which of the bytes that moved may be billed. Pure.

Invariant: bytes are counted where they moved. Errors, HEAD, 304 and refused requests bill no bytes;
an exchange the client broke off bills what had moved. A website's own page for a failure is an object that
its owner has read to visitors, and no word of ours: it bills what moved.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.operation import Operation
from meter.event import Event, Mark, RequestClass, StorageLine, Zone
from meter.ids import NO_BUCKET, NOBODY, BucketId, MemberId

_INTERNET, _FREE = Zone.INTERNET, RequestClass.FREE
_ABORTED, _NO_MARK, _OBJECT = Mark.ABORTED, Mark.NONE, StorageLine.OBJECT
_event_of = tuple.__new__
NO_STATUS = 0
"""Of a checkpoint: nothing was answered yet."""
CLIENT_LEFT = 499
"""Our status for an exchange whose client left before we could answer."""


@dataclass(slots=True)
class Tab:
    """What an exchange has run up so far; filled in as it becomes known."""

    request_id: bytes
    began_us: int
    operation: Operation = Operation.OTHER
    requester: MemberId = NOBODY
    payer: MemberId = NOBODY
    bucket: BucketId = NO_BUCKET
    authorised: bool = False
    head_only: bool = False
    serves_object: bool = False
    """Whether a failure is answered with an object of the payer's."""
    zone: Zone = _INTERNET
    moved_in: int = 0

    def bills(self, status: int) -> bool:
        """Whether bytes of an exchange that is answered so may be billed at all."""
        return self.authorised and (status < 400 or status == CLIENT_LEFT or self.serves_object)

    def event(self, *, ended_us: int, status: int, moved_out: int, aborted: bool) -> Event:
        """The exchange as it ended, or as it stands."""
        # Each exchange pays for this: a tuple made straight away takes half the time of Event's own way.
        authorised, began_us, moved_in = self.authorised, self.began_us, self.moved_in
        billable = authorised and (status < 400 or status == CLIENT_LEFT or self.serves_object)
        return _event_of(
            Event,
            (
                self.request_id, self.payer if authorised else NOBODY, self.requester, self.bucket,
                self.operation.code,
                # Refused requests and our own failures are free.
                self.operation.request_class if authorised and status < 500 else _FREE,
                self.zone, began_us, max(began_us, ended_us),
                moved_in if billable else 0,
                moved_out if billable and status != 304 and not self.head_only else 0,
                moved_in, moved_out, status, _ABORTED if aborted else _NO_MARK, 0, _OBJECT,
            ),
        )  # fmt: skip
