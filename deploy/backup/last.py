"""What the last backup of this machine that succeeded was: a small file, for metrics, `weir status` and the doctor."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.aggregate import Snapshot
from deploy.backup.page import Page
from deploy.place import replace_file
from meter.refusal import Refusal

FILE_NAME = "backup.json"
_SECOND_US = 1_000_000


class LastUnknown(Refusal):
    """There was a backup, and what is written of it cannot be read: that is not the same as none."""


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
    """None where none ever succeeded. Raises LastUnknown when the file is there and says nothing we can read."""
    path = data / FILE_NAME
    try:
        return LastBackup(**json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LastUnknown(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError):
        raise LastUnknown(f"{path} is not what a backup writes") from None


def backup_gauges(data: Path) -> Snapshot:
    """The last backup as series; zeros where there was none, or where the file that tells cannot be read."""
    unreadable = 0.0
    try:
        last = last_backup(data)
    except LastUnknown:
        last, unreadable = None, 1.0
    last = last or LastBackup("", "", 0, 0, 0, 0, 0)
    return Snapshot(
        gauges={
            "weir_backup_last_success_timestamp_seconds": last.taken_us / _SECOND_US,
            "weir_backup_last_duration_seconds": last.duration_us / _SECOND_US,
            "weir_backup_last_size_bytes": float(last.size_bytes),
            "weir_backup_last_new_bytes": float(last.new_bytes),
            "weir_backup_last_damaged_files": float(last.damaged),
            "weir_backup_last_unreadable": unreadable,
        }
    )
