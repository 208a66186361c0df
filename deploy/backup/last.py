"""What the last backup of this machine that succeeded was: a small file, for metrics, `weir status` and the doctor."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.aggregate import Snapshot
from deploy.backup.page import Page
from deploy.place import replace_file

FILE_NAME = "backup.json"
_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class LastBackup:
    """Instants are UTC microseconds."""

    name: str
    place: str
    taken_us: int
    duration_us: int
    size_bytes: int
    new_bytes: int
    damaged: int


def remember(data: Path, place: str, page: Page) -> None:
    """Keep it durably. Raises DataRefused."""
    last = LastBackup(
        page.name, place, page.taken_us, page.ended_us - page.began_us, page.size_bytes, page.new_bytes,
        len(page.damaged),
    )  # fmt: skip
    replace_file(data / FILE_NAME, json.dumps(asdict(last)) + "\n", mode=0o600)


def last_backup(data: Path) -> LastBackup | None:
    """None where none ever succeeded, or the file says nothing we can read."""
    try:
        return LastBackup(**json.loads((data / FILE_NAME).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def backup_gauges(data: Path) -> Snapshot:
    """The last backup as series; zeros where there was none."""
    last = last_backup(data) or LastBackup("", "", 0, 0, 0, 0, 0)
    return Snapshot(
        gauges={
            "weir_backup_last_success_timestamp_seconds": last.taken_us / _SECOND_US,
            "weir_backup_last_duration_seconds": last.duration_us / _SECOND_US,
            "weir_backup_last_size_bytes": float(last.size_bytes),
            "weir_backup_last_new_bytes": float(last.new_bytes),
            "weir_backup_last_damaged_files": float(last.damaged),
        }
    )
