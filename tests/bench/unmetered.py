"""A gateway worker whose counting can be switched off and on again while it runs: only to measure what counting costs.

One real-time signal switches it on, the next one off, since a worker has a use of its own for SIGUSR1; a line on
standard output says that it is done. Switched off, an answer is sent and nothing else: no event is made, no record is
written, and so the fsync thread finds nothing to do.
"""

from __future__ import annotations

import asyncio
import signal

from gateway import __main__ as worker
from gateway import app
from gateway.counting import Counting
from gateway.wire import send_at_once
from meter.recorder import Recorder

ON, OFF = signal.SIGRTMIN, signal.SIGRTMIN + 1
_counted = Counting.send_short


def _uncounted(self: Counting, descriptor: int, head: bytes, body: bytes, *, status: int) -> int:
    del self, status
    return send_at_once(descriptor, head, body)


def switch(name: str) -> None:
    """Count from now on, or not."""
    Counting.send_short = _counted if name == "on" else _uncounted  # type: ignore[method-assign]
    print(name, flush=True)


class Switchable(Recorder):
    """A worker's recorder, made where the worker's loop runs: the place to listen for the switch."""

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(ON, switch, "on")
        loop.add_signal_handler(OFF, switch, "off")


if __name__ == "__main__":
    app.Recorder = Switchable  # type: ignore[attr-defined]
    worker.main()
