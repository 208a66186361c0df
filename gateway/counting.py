"""One exchange's line in the journal, from the first byte to the record.

Short answers are recorded and sent in one breath; long transfers keep a place in the journal's file of
open exchanges, so that a kill -9 leaves what had moved.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.accounting import CLIENT_LEFT, Tab
from gateway.wire import send_at_once
from meter.event import Event
from meter.ongoing import Slot
from meter.recorder import Recorder


class Counting:
    """Invariant: end() or a True from send_short() happens exactly once an exchange."""

    __slots__ = ("_clock", "_recorder", "_slot", "moved_out", "tab")

    def __init__(self, tab: Tab, recorder: Recorder, clock: Callable[[], int]) -> None:
        self.tab = tab
        self.moved_out = 0
        self._recorder = recorder
        self._clock = clock
        self._slot: Slot | None = None

    def begin_long(self) -> None:
        """Take a place before a long body moves; does nothing the second time. Raises TooManyExchanges."""
        if self._slot is None:
            event = self.tab.event(ended_us=self.tab.began_us, status=CLIENT_LEFT, moved_out=0, aborted=True)
            self._slot = self._recorder.open(event)

    def received(self, size: int) -> None:
        """So many more body bytes came in."""
        self.tab.moved_in += size
        if self._slot is not None:
            self._slot.moved(bytes_in=self.tab.moved_in, bytes_out=self.moved_out, now_us=self._clock())

    def sent(self, body_bytes: int) -> None:
        """So many body bytes of the answer stand with the receiver, all in all."""
        self.moved_out = body_bytes
        if self._slot is not None:
            self._slot.moved(bytes_in=self.tab.moved_in, bytes_out=body_bytes, now_us=self._clock())

    def send_short(self, descriptor: int, head: bytes, body: bytes, *, status: int) -> int:
        """Record the whole answer, then send it in one call; bytes taken. Raises ReceiverGone.

        If the kernel takes less than everything the record is taken back, and end() is still to come.
        Invariant: between the record and the call lies nothing, so a kill -9 cannot part them.
        """
        event = self._event(status, len(body), aborted=False)
        if self._slot is not None:
            # Its place already stands for it; tell what is about to be sent, which an error's words are not.
            self.sent(event.bytes_out)
            taken = send_at_once(descriptor, head, body)
            if taken == len(head) + len(body):
                self._recorder.finish(self._slot, event)
            return taken
        self._recorder.hold(event)
        try:
            taken = send_at_once(descriptor, head, body)
        except ConnectionError:
            self._recorder.withdraw()
            raise
        if taken == len(head) + len(body):
            self._recorder.publish()
        else:
            self._recorder.withdraw()
        return taken

    def end(self, *, status: int, moved_out: int, aborted: bool) -> Event:
        """Record the exchange as it ended."""
        event = self._event(status, moved_out, aborted=aborted)
        if self._slot is None:
            self._recorder.record(event)
        else:
            self._recorder.finish(self._slot, event)
        return event

    def _event(self, status: int, moved_out: int, *, aborted: bool) -> Event:
        return self.tab.event(ended_us=self._clock(), status=status, moved_out=moved_out, aborted=aborted)
