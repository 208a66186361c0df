"""One exchange's line in the journal, from the first byte to the record.

Short answers are recorded and sent in one breath; long transfers keep a place in the journal's file of
open exchanges, so that a kill -9 leaves what had moved, and are recorded piece by piece, so that bytes
land in the hour in which they moved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gateway.accounting import CLIENT_LEFT, NO_STATUS, Tab
from gateway.wire import send_at_once
from meter.event import Event, Mark
from meter.ongoing import Slot
from meter.recorder import Recorder
from meter.window import HOUR_US, hour_start_us

SHORT_BYTES = 64 * 1024
"""Of which more moved needs a place among the open exchanges."""


class CutOff(Exception):
    """A transfer is to end here: its connection is cut, and what moved is billed."""


class Checkpoints(NamedTuple):
    """When a transfer is recorded before it has ended."""

    bytes_max: int = 64 * 2**20
    """So much moved since the last record."""
    interval_us: int = 5_000_000
    """Or so long ago, and something moved."""
    on_checkpoint: Callable[[Event], None] | None = None
    """Told of each such record. May raise CutOff, or an S3Error while nothing was answered yet."""


class Counting:
    """Invariant: end() or a True from send_short() happens exactly once an exchange."""

    __slots__ = (
        "_billed_in", "_billed_out", "_checkpoints", "_clock", "_due_bytes", "_due_us",
        "_recorded_in", "_recorded_out", "_recorder", "_since_us", "_slot", "_status", "_turn_us", "is_left_out", "moved_out", "tab",
    )  # fmt: skip

    def __init__(
        self,
        tab: Tab,
        recorder: Recorder,
        clock: Callable[[], int],
        checkpoints: Checkpoints = Checkpoints(),  # noqa: B008 - a tuple, which nobody changes
    ) -> None:
        self.tab = tab
        self.moved_out = 0
        self.is_left_out = False
        """Refused because the journal has no room: nothing of it is billed, and its record would take an open one's.
        Or nothing of the co-op's business: a load balancer that asks for this worker."""
        self._recorder = recorder
        self._clock = clock
        self._checkpoints = checkpoints
        self._slot: Slot | None = None

    def begin_long(self, *, status: int = NO_STATUS) -> None:
        """Take a place before a long body moves; status once it is known. Raises TooManyExchanges."""
        self._status = status
        if self._slot is None:
            tab = self.tab
            event = tab.event(ended_us=tab.began_us, status=CLIENT_LEFT, moved_out=0, aborted=True)
            self._slot = self._recorder.open(event)
            self._recorded_in = self._recorded_out = self._billed_in = self._billed_out = 0
            # What came with the head moved in its hour.
            self._turn_us = hour_start_us(tab.began_us) + HOUR_US
            self._set_due(tab.began_us)
        if status != NO_STATUS:
            self._is_answered(self._slot, status)

    def received(self, size: int) -> None:
        """So many more body bytes came in. Raises what on_checkpoint raises; TooManyExchanges."""
        tab = self.tab
        if self._slot is None:
            tab.moved_in += size
            if tab.moved_in > SHORT_BYTES and tab.authorised:
                self.begin_long()
            return
        now_us = self._clock()
        if not self._since_us <= now_us < self._turn_us:
            self._turn(now_us)
        tab.moved_in += size
        self._slot.moved(bytes_in=tab.moved_in, bytes_out=self.moved_out, now_us=now_us)
        if tab.moved_in >= self._due_bytes or now_us >= self._due_us:
            self._checkpoint(now_us)

    def tick(self) -> None:
        """Time passed in which nothing more came in. Raises what on_checkpoint raises."""
        if self._slot is not None:
            self.received(0)

    def sent(self, acknowledged: int) -> None:
        """So many body bytes stand with the receiver, all in all. Raises what on_checkpoint raises."""
        self.moved_out = acknowledged
        if self._slot is None:
            return
        now_us = self._clock()
        if not self._since_us <= now_us < self._turn_us:
            self._turn(now_us)
        self._slot.moved(bytes_in=self.tab.moved_in, bytes_out=acknowledged, now_us=now_us)
        if self.tab.moved_in + acknowledged >= self._due_bytes or now_us >= self._due_us:
            self._checkpoint(now_us)

    def send_short(self, descriptor: int, head: bytes, body: bytes, *, status: int) -> int:
        """Hold the record of the whole answer, send it in one call, and let it stand; bytes taken. Raises ReceiverGone.

        If the kernel takes less than everything the record is taken back, and end() is still to come.
        Invariant: until the call has returned nothing of the answer is billed, whenever a kill -9 comes.
        """
        if self._slot is not None:
            # Its place already stands for it, with what came in.
            self._is_answered(self._slot, status)
            taken = send_at_once(descriptor, head, body)
            if taken == len(head) + len(body):
                self._finish(status, len(body), aborted=False)
            return taken
        if self.is_left_out:
            return send_at_once(descriptor, head, body)
        size, recorder = len(body), self._recorder
        recorder.hold(self.tab.event(ended_us=self._clock(), status=status, moved_out=size, aborted=False))
        try:
            taken = send_at_once(descriptor, head, body)
        except ConnectionError:
            recorder.withdraw()
            raise
        if taken == len(head) + size:
            recorder.publish()
        else:
            recorder.withdraw()
        return taken

    def end(self, *, status: int, moved_out: int, aborted: bool) -> Event:
        """Record the exchange as it ended; the last event of it."""
        if self._slot is not None:
            return self._finish(status, moved_out, aborted=aborted)
        event = self._event(status, moved_out, aborted=aborted)
        if not self.is_left_out:
            self._recorder.record(event)
        return event

    def _event(self, status: int, moved_out: int, *, aborted: bool) -> Event:
        return self.tab.event(ended_us=self._clock(), status=status, moved_out=moved_out, aborted=aborted)

    def _finish(self, status: int, moved_out: int, *, aborted: bool) -> Event:
        """The last event holds what no checkpoint did."""
        assert self._slot is not None
        now_us = self._clock()
        if not self._since_us <= now_us < self._turn_us:
            self._turn(now_us)
        whole = self.tab.event(ended_us=now_us, status=status, moved_out=moved_out, aborted=aborted)
        event = self._since(whole)
        self._is_answered(self._slot, status)
        self._recorder.finish(self._slot, event)
        return event

    def _is_answered(self, slot: Slot, status: int) -> None:
        """Of a failure everything billed is taken back before its words leave, so that no kill finds it billed."""
        if self.tab.bills(status):
            return
        billed_in, billed_out = self._billed_in, self._billed_out
        if billed_in or billed_out:
            self._recorder.record(
                self.tab.event(ended_us=self._clock(), status=NO_STATUS, moved_out=0, aborted=False)._replace(
                    bytes_in=-billed_in, bytes_out=-billed_out, moved_in=0, moved_out=0, marks=Mark.CORRECTION,
                )
            )  # fmt: skip
            self._billed_in = self._billed_out = 0
        slot.bills_nothing()

    def _turn(self, now_us: int) -> None:
        """The hour is over: what moved in it is recorded as of its last microsecond. Or the clock was set back."""
        if now_us >= self._turn_us:
            self._record(self._turn_us - 1)
        self._turn_us = hour_start_us(now_us) + HOUR_US
        self._set_due(now_us)

    def _checkpoint(self, now_us: int) -> None:
        event = self._record(now_us)
        self._set_due(now_us)
        told = self._checkpoints.on_checkpoint
        if event is not None and told is not None:
            told(event)

    def _set_due(self, now_us: int) -> None:
        self._due_bytes = self._recorded_in + self._recorded_out + self._checkpoints.bytes_max
        self._due_us = now_us + self._checkpoints.interval_us
        self._since_us = now_us

    def _record(self, ended_us: int) -> Event | None:
        """Record what moved since the last time; None when nothing did, or when the journal needs its room.

        Then it all stands in the exchange's place, and in its next record.
        """
        assert self._slot is not None
        moved_in, moved_out = self.tab.moved_in, self.moved_out
        if moved_in + moved_out == self._recorded_in + self._recorded_out or not self._recorder.has_room:
            return None
        whole = self.tab.event(ended_us=ended_us, status=self._status, moved_out=moved_out, aborted=False)
        event = self._since(whole)._replace(marks=Mark.CHECKPOINT)
        self._recorder.checkpoint(self._slot, event, moved_in=moved_in, moved_out=moved_out)
        self._recorded_in, self._recorded_out = moved_in, moved_out
        self._billed_in += event.bytes_in
        self._billed_out += event.bytes_out
        return event

    def _since(self, whole: Event) -> Event:
        """The part of an event that no checkpoint holds."""
        moved_in, moved_out = whole.moved_in - self._recorded_in, whole.moved_out - self._recorded_out
        return whole._replace(
            bytes_in=moved_in if whole.bytes_in else 0, bytes_out=moved_out if whole.bytes_out else 0,
            moved_in=moved_in, moved_out=moved_out,
        )  # fmt: skip
