"""The answers of a founding, kept in the data directory from its first step to its last.

While the file is there, a founding has begun and is not finished; whoever comes next goes on with the same answers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from billing.founding.answers import canonical_text
from deploy.place import DataRefused, check_format, held, is_founded, prepare, replace_file, sync_directory
from meter.refusal import Refusal

FILE = "founding.json"


@dataclass(frozen=True, slots=True)
class Kept:
    """What founders answered, and when it began: every entry is dated to that instant, however often it was killed."""

    document: Mapping[str, object]
    began_us: int

    @property
    def sha256(self) -> bytes:
        """Says whether it is the same founding."""
        return hashlib.sha256(canonical_text(self.document).encode()).digest()


def kept(data: Path) -> Kept | None:
    """The founding that was begun here; None where there is none. Raises DataRefused."""
    path = data / FILE
    try:
        told = json.loads(path.read_text("utf-8"))
        return Kept(dict(told["answers"]), int(told["began_us"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise DataRefused(
            f"{path} cannot be read; it holds the answers of a founding that was begun here"
        ) from None


def refuse_founded(data: Path) -> None:
    """Raises Refusal where a co-op is there already, or `weir up` was tried."""
    if is_founded(data) and not (data / FILE).exists():
        raise Refusal(
            f"there is a co-op in {data} already; `weir member add` enters further members. To found another one, take"
            " an empty directory: --data DIR"
        )


def keep(data: Path, document: Mapping[str, object], *, now_us: int, timeout_s: float) -> Kept:
    """Make the data directory and keep the answers in it, or find the same ones there. Raises Refusal."""
    data = prepare(data)
    # Never beside a running co-op, and never beside another founding.
    with held(data, kind="command", timeout_s=timeout_s):
        found = kept(data)
        if found is None:
            refuse_founded(data)
            text = canonical_text({"answers": document, "began_us": now_us})
            replace_file(data / FILE, text, mode=0o600)
            found = Kept(json.loads(canonical_text(document)), now_us)
        # Second, so that a directory with a format and without answers is a co-op.
        check_format(data)
    return found


def finish(data: Path) -> None:
    """The founding is done: its answers are in the books, in the register and in the papers."""
    (data / FILE).unlink(missing_ok=True)
    sync_directory(data)
