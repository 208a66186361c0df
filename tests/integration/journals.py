"""Journals written for tests, as a worker would have left them."""

from __future__ import annotations

from pathlib import Path

from meter.event import Event
from meter.journal import Journal
from meter.settings import MeterSettings
from tests.events import NOON_US


def write(settings: MeterSettings, *events: Event, stream: str = "worker-0") -> Path:
    """Append events to a stream and let go of it; its directory."""
    directory = settings.journal_directory / stream
    journal = Journal(
        directory, segment_bytes_max=settings.journal_segment_bytes_max, segment_age_max_s=3600, now_us=NOON_US
    )  # fmt: skip
    for event in events:
        journal.append(event)
    journal.close()
    return directory
