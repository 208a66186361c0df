"""Who a gateway is: its permanent id, kept in its data directory, and whether a directory is a copy of another's.

Each start writes a fresh random number beside the id and into PostgreSQL. Whoever cannot show the number of the
last start is a copy, or an original whose copy has started since: two that go on as one would write two journals
under one name.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path
from uuid import UUID, uuid4

from gateway.snapshot import keep
from meter.refusal import Refusal

FILE_NAME = "gateway.json"
_NOT_IN_NAMES = re.compile(r"[^a-z0-9-]+")
NAME_LETTERS_MAX = 63


@dataclass(frozen=True, slots=True)
class Identity:
    """What the data directory says."""

    id: UUID
    start: UUID
    """The number of the last start that PostgreSQL knows of, as far as we were told."""
    next: UUID
    """The number it is being told; one of the two stands there."""


@dataclass(frozen=True, slots=True)
class Row:
    """What PostgreSQL says of a gateway."""

    name: str
    start: UUID
    place: str
    seen_s: float
    """Seconds since it was seen last, by the server's clock."""
    has_stopped: bool


class Claim(Enum):
    """Whether a start may go on as a gateway."""

    NEW = auto()
    OURS = auto()
    WAIT = auto()
    """The directory moved or the machine was started again: only if nobody else shows up as this gateway meanwhile."""
    COPY = auto()


def decide(identity: Identity, row: Row | None, *, place: str, lease_s: float) -> Claim:
    """What to make of an id. Whoever holds the lock of the same place has outlived the start before."""
    if row is None:
        return Claim.NEW
    if row.start not in (identity.start, identity.next):
        return Claim.COPY
    if row.has_stopped or row.place == place or row.seen_s > lease_s:
        return Claim.OURS
    return Claim.WAIT


def fresh_identity() -> Identity:
    """That of a new gateway."""
    first = uuid4()
    return Identity(uuid4(), first, first)


def read(data: Path) -> Identity | None:
    """The directory's identity; None where it has none yet, or lost it. Raises Refusal for a file that cannot be read."""
    path = data / FILE_NAME
    try:
        told = json.loads(path.read_text())
        return Identity(UUID(told["id"]), UUID(told["start"]), UUID(told["next"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise Refusal(
            f"{path} is damaged: it says who this gateway is. Remove it if no copy of this data directory runs "
            "anywhere; the journal's streams say it too"
        ) from None


def write(data: Path, identity: Identity) -> None:
    """Keep it durably."""
    told = {"id": str(identity.id), "start": str(identity.start), "next": str(identity.next)}
    keep(data / FILE_NAME, json.dumps(told))


def begin_start(data: Path, identity: Identity, row: Row | None) -> Identity:
    """A fresh number for this start, on the disk before PostgreSQL is told of it: a kill in between loses neither."""
    fresh = Identity(identity.id, identity.start if row is None else row.start, uuid4())
    write(data, fresh)
    return fresh


def started(data: Path, identity: Identity) -> Identity:
    """PostgreSQL knows the number now."""
    settled = replace(identity, start=identity.next)
    write(data, settled)
    return settled


def place_of(data: Path) -> str:
    """This directory on this boot of this machine: no copy and no other machine has the same."""
    found = data.stat()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{found.st_dev}/{found.st_ino}"


def default_name(host: str, number: UUID) -> str:
    """A name from the host's, unique by some of the id: 'gw-3-1f0c2a'."""
    plain = _NOT_IN_NAMES.sub("-", host.partition(".")[0].lower()).strip("-") or "gateway"
    return f"{plain[: NAME_LETTERS_MAX - 7].rstrip('-')}-{number.hex[:6]}"


def is_name(text: str) -> bool:
    """Small letters, digits and '-', which is at no end; 63 at most."""
    return re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", text) is not None


def host_name() -> str:
    """The machine's."""
    return os.uname().nodename
