"""What the journal of a running gateway says of one exchange."""

from __future__ import annotations

from pathlib import Path

from meter import frame
from meter.event import Event
from meter.reader import chain, streams
from tests.gateway import RunningGateway
from tests.integration.s3_kit import eventually


def record_of(gateway: RunningGateway, request_id: str) -> Event:
    """The exchange of that x-amz-request-id; written a moment after its answer left."""
    found: list[Event] = []

    def is_there() -> bool:
        found.extend(
            one
            for one in records_in(gateway.settings.journal_directory)
            if one.request_id.hex() == request_id
        )
        return bool(found)

    assert eventually(is_there), request_id
    return found[0]


def records_in(journal: Path) -> list[Event]:
    """Everything a journal directory holds."""
    return [
        event
        for directory in streams(journal)
        for view in chain(directory)
        for _, event in frame.events(view.records)
    ]
