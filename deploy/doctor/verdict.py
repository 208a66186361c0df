"""What the doctor says of one thing: how it is, in one sentence, and what mends it. Pure, with the limits it judges by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

MICROSECONDS = 1_000_000
CLOCK_WARN_US, CLOCK_FAIL_US = 2 * MICROSECONDS, 60 * MICROSECONDS
"""Hours and months of the bill are by this clock; S3 refuses signatures fifteen minutes off."""
FREE_WARN_PERCENT = 10
BACKLOG_WARN_US = 5 * 60 * MICROSECONDS
BACKUP_WARN_US = 48 * 3600 * MICROSECONDS
CERTIFICATE_WARN_DAYS, CERTIFICATE_FAIL_DAYS = 21, 3


class Level(StrEnum):
    """How it is."""

    OK = "ok"
    WARN = "warn"
    """It works, and somebody should look."""
    FAIL = "fail"
    """Something does not work, or will not."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that was looked at."""

    name: str
    level: Level
    sentence: str
    mend: str = ""
    """What to do; empty where there is nothing."""


def ok(name: str, sentence: str) -> Verdict:
    """It is as it should be."""
    return Verdict(name, Level.OK, sentence)


def worst(verdicts: Iterable[Verdict]) -> Level:
    """The worst of them."""
    order = list(Level)
    return max((one.level for one in verdicts), key=order.index, default=Level.OK)


def clock(off_us: int) -> Verdict:
    """This machine's clock against PostgreSQL's."""
    text = f"this machine's clock and PostgreSQL's differ by {abs(off_us) // 1000:,} ms"
    if abs(off_us) < CLOCK_WARN_US:
        return ok("clock", text)
    level = Level.FAIL if abs(off_us) >= CLOCK_FAIL_US else Level.WARN
    return Verdict("clock", level, text, "keep both machines' clocks by NTP: `timedatectl set-ntp true`")


def program(*, own: str, running: str | None, pid: int) -> Verdict:
    """The version of this program, and of the Weir that runs here; running None: it is too old to say."""
    if running == own:
        return ok("weir", f"this program is Weir {own}, and so is the one that runs (process {pid})")
    told = f"Weir {running}" if running else "a Weir that does not tell its version"
    return Verdict(
        "weir", Level.WARN, f"this program is Weir {own}, and {told} runs here (process {pid})",
        "finish the upgrade: `weir reload` for the workers, stop and start for the rest (docs/operators/upgrade.md)",
    )  # fmt: skip


def gateway_versions(own: str, alive: Iterable[tuple[str, str]]) -> Verdict:
    """(name, version) of the gateways that live: for the time of an upgrade they may differ."""
    others = [f"{name} has {version}" for name, version in alive if version != own]
    if not others:
        return ok("gateways", f"every gateway that lives began with Weir {own}")
    return Verdict(
        "gateways", Level.WARN, f"this program is Weir {own}, and {', '.join(others)}",
        "restart them one after the other; old and new work side by side, but not for ever",
    )  # fmt: skip


def index_schema(*, found: int, known: int) -> Verdict:
    """The storage index's schema against what this program knows."""
    if found <= known:
        return ok("index", f"the storage index has schema {found} of {known}")
    return Verdict(
        "index", Level.FAIL, f"the storage index has schema {found}, and this Weir knows {known}",
        "a newer Weir wrote it: start that one; there is no way back but a backup",
    )  # fmt: skip


def space(name: str, what: str, *, free: int, whole: int, least: int, unit: str) -> Verdict:
    """Bytes or inodes of a disk: below `least` writes are refused."""
    percent = free * 100 // whole if whole else 100
    text = f"{what}: {free:,} of {whole:,} {unit} are free ({percent} %)"
    if free < least:
        mend = f"make room or a larger disk: below {least:,} {unit} objects are refused (disk_free_bytes_min)"
        return Verdict(name, Level.FAIL, text, mend)
    if percent < FREE_WARN_PERCENT:
        return Verdict(name, Level.WARN, text, "make room or a larger disk before it is full")
    return ok(name, text)


def descriptors(*, soft: int, hard: int, needed: int) -> Verdict:
    """Files a process may open, against what a worker needs with all its connections."""
    text = f"a process may open {soft:,} files, a worker needs up to {needed:,}"
    if soft >= needed:
        return ok("file limits", text)
    mend = f"raise it: `LimitNOFILE={needed}` in a unit, `ulimit -n {needed}` in a shell; or lower connections_max"
    return Verdict("file limits", Level.WARN if hard >= 1024 else Level.FAIL, text, mend)


def certificate(where: str, *, days_left: int) -> Verdict:
    """A certificate whose name fits, by the days it has."""
    text = f"{where}: the certificate holds for {days_left} more days"
    if days_left >= CERTIFICATE_WARN_DAYS:
        return ok("certificate", text)
    level = Level.FAIL if days_left < CERTIFICATE_FAIL_DAYS else Level.WARN
    return Verdict(
        "certificate",
        level,
        text,
        "renew it in the proxy in front, and see why that did not happen by itself",
    )


def backlog(*, events: int, waits_us: int | None) -> Verdict:
    """Records that are not in the sums yet, and how long the oldest has been waiting."""
    if not events:
        return ok("journal", "everything in the journal is in the sums")
    text = f"{events:,} records of the journal are not in the sums yet"
    if waits_us is None or waits_us < BACKLOG_WARN_US:
        return ok("journal", text)
    return Verdict(
        "journal", Level.WARN, f"{text}; the oldest has waited for {waits_us // MICROSECONDS:,} s",
        "see log/shipper.log; where no Weir runs, `weir up` ships them",
    )  # fmt: skip


def backup(*, age_us: int | None, damaged: int) -> Verdict:
    """The last backup of this machine that succeeded."""
    if age_us is None:
        return Verdict(
            "backup", Level.WARN, "there was never a backup from here", "`weir backup PLACE`, each night"
        )
    text = f"the last backup shows the co-op as it was {age_us // (3600 * MICROSECONDS):,} hours ago"
    if age_us >= BACKUP_WARN_US:
        return Verdict("backup", Level.WARN, text, "see why `weir backup` does not run each night")
    if damaged:
        mend = "`weir audit` names the files; restore them from an older backup"
        return Verdict("backup", Level.WARN, f"{text}, and {damaged:,} files were damaged here then", mend)
    return ok("backup", text)
