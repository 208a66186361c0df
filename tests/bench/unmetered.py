"""A gateway worker whose recorder writes nothing: only to measure what counting costs."""

from __future__ import annotations

from gateway.__main__ import main
from meter.event import Event
from meter.recorder import Recorder


def _nothing(event: Event) -> int:
    return 0


def _done() -> None:
    return None


class Unmetered(Recorder):
    """Takes events and forgets them."""

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]
        self.record = _nothing
        self.hold = _nothing  # type: ignore[method-assign, assignment]
        self.publish = _done  # type: ignore[method-assign, assignment]
        self.withdraw = _done  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    import gateway.app

    gateway.app.Recorder = Unmetered  # type: ignore[misc]
    main()
