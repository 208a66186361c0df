"""What capped members were sent this month: the sums, what the journals hold beyond them, and the refusal. Pure.

Payers without a hard cap are not counted here at all.
"""

from __future__ import annotations

import json
from collections.abc import KeysView, Mapping
from dataclasses import dataclass
from uuid import UUID

from gateway.errors import S3Error, s3_error
from gateway.operation import Operation
from meter import frame
from meter.event import Mark
from meter.ids import MemberId, StreamId
from meter.window import Month

REFUSED_WHEN_REACHED = frozenset(
    (
        Operation.GET_OBJECT,
        Operation.LIST_OBJECTS,
        Operation.LIST_OBJECTS_V2,
        Operation.LIST_OBJECT_VERSIONS,
        Operation.LIST_PARTS,
        Operation.LIST_MULTIPART_UPLOADS,
    )
)
"""What may send much. Writes, deletions, HEAD, settings and the list of buckets go on: who reached a cap must
still be able to tidy up."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What Postgres knew at one moment: bytes sent this month a payer, and which records are in them."""

    month: Month
    sent: Mapping[MemberId, int]
    """Every payer who had a hard cap at that moment."""
    places: Mapping[StreamId, int]

    def dump(self) -> str:
        """As JSON, to outlive this process."""
        return json.dumps(
            {
                "month": str(self.month),
                "sent": {str(payer): count for payer, count in sorted(self.sent.items())},
                "places": {str(stream): place for stream, place in sorted(self.places.items())},
            }
        )


def load_sums(text: str) -> Sums:
    """Read what dump wrote."""
    told = json.loads(text)
    return Sums(
        Month.parse(told["month"]),
        {MemberId(int(payer)): int(count) for payer, count in told["sent"].items()},
        {StreamId(UUID(stream)): int(place) for stream, place in told["places"].items()},
    )


class MonthCount:
    """Bytes sent for capped payers in the running month, and in the next one where a clock is a little ahead.

    Invariant: what it says is never more than was sent: a payer is never refused before the cap is reached.
    """

    def __init__(self, sums: Sums, month: Month) -> None:
        # What an older month's sums hold is over; every record of the running month comes after their places.
        payers = sums.sent if sums.month == month else dict.fromkeys(sums.sent, 0)
        self.month = month
        self._sent: dict[int, int] = {int(payer): count for payer, count in payers.items()}
        self._ahead: dict[int, int] = {}

    @property
    def payers(self) -> KeysView[int]:
        """Who is counted."""
        return self._sent.keys()

    def sent(self, payer: MemberId) -> int | None:
        """Bytes sent so far; None where the payer is not counted yet."""
        return self._sent.get(payer)

    def add(self, records: bytes) -> None:
        """Count checked records of a journal, each once."""
        start, end, after = self.month.start_us, self.month.end_us, self.month.next().end_us
        for payer, marks, ended_us, bytes_out in frame.sent(records):
            if payer not in self._sent or marks & Mark.STORAGE:
                continue
            if start <= ended_us < end:
                self._sent[payer] += bytes_out
            elif end <= ended_us < after:
                self._ahead[payer] = self._ahead.get(payer, 0) + bytes_out

    def turn(self, month: Month) -> None:
        """The clock says another month: begin it with what was counted ahead of it."""
        if month <= self.month:
            return  # a clock that was set back a little across the month's end changes nothing
        ahead = self._ahead if month == self.month.next() else {}
        self._sent = {payer: ahead.get(payer, 0) for payer in self._sent}
        self._ahead = {}
        self.month = month


def cap_reached(cap: int | None, month: Month) -> S3Error:
    """The refusal; without the cap's bytes for who need not know them. No client tries a 403 of this name again by itself."""
    reset = f"{month.next()}-01T00:00:00Z"
    size = "" if cap is None else f" of {cap} bytes"
    words = (
        f"The bucket owner's own monthly cap{size} of egress is reached. Downloads and lists are refused "
        f"until {reset}, or until the owner raises the cap in the co-op's portal."
    )
    if cap is None:
        return s3_error("EgressCapReached", words, ResetsAt=reset)
    return s3_error("EgressCapReached", words, CapBytes=cap, ResetsAt=reset)
