"""What the supervisor reads of its machine: processes in /proc, the disk, the journals, files other commands leave.

Files and disks are looked at every 15 seconds at most, whoever asks how often.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from deploy.aggregate import Snapshot
from deploy.backup.last import backup_gauges
from meter.metrics import series

LOOK_EVERY_S = 15.0
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
CERTIFICATE_BYTES_MAX = 1 << 20
PEM_BEGINS = b"-----BEGIN CERTIFICATE-----"
REPORT_BYTES_MAX = 1 << 20
AUDIT = "audit.json"
"""{"at_us": when, "differences": how many, "bytes": of how many bytes}, kept there by `weir audit`."""


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """One process at one moment."""

    cpu_s: float
    resident_bytes: int
    descriptors: int
    descriptors_max: int


def process_facts(pid: int) -> ProcessFacts | None:
    """Of a living process of ours; None once it has ended."""
    place = Path("/proc") / str(pid)
    try:
        fields = (place / "stat").read_text().rsplit(")", 1)[1].split()
        descriptors = len(os.listdir(place / "fd"))
        limit = next(
            line for line in (place / "limits").read_text().splitlines() if line.startswith("Max open files")
        )
    except (OSError, StopIteration):
        return None
    most = limit.split()[3]
    return ProcessFacts(
        (int(fields[11]) + int(fields[12])) / TICKS, int(fields[21]) * PAGE_BYTES, descriptors,
        0 if most == "unlimited" else int(most),
    )  # fmt: skip


class Processes:
    """Processor time of the living and the ended. Invariant: a sum never falls."""

    def __init__(self) -> None:
        self._ended: dict[str, float] = {}
        self._last: dict[int, tuple[str, float]] = {}

    def look(self, living: Mapping[int, str]) -> Snapshot:
        """Of processes by their numbers and what they are: supervisor, gateway, shipper, portal."""
        found = {pid: facts for pid in living if (facts := process_facts(pid)) is not None}
        for pid in [pid for pid in self._last if pid not in found]:
            kind, cpu_s = self._last.pop(pid)
            self._ended[kind] = self._ended.get(kind, 0.0) + cpu_s
        self._last |= {pid: (living[pid], facts.cpu_s) for pid, facts in found.items()}
        counters: dict[str, float] = {}
        gauges: dict[str, float] = {}
        for kind in {*living.values(), *self._ended}:
            own = [facts for pid, facts in found.items() if living[pid] == kind]
            cpu_s = self._ended.get(kind, 0.0) + sum(one.cpu_s for one in own)
            counters[series("weir_process_cpu_seconds_total", process=kind)] = round(cpu_s, 2)
            gauges[series("weir_process_resident_bytes", process=kind)] = sum(
                one.resident_bytes for one in own
            )
            if own:
                fullest = max(own, key=lambda one: one.descriptors)
                gauges[series("weir_process_open_descriptors", process=kind)] = fullest.descriptors
                gauges[series("weir_process_descriptors_max", process=kind)] = fullest.descriptors_max
        return Snapshot(counters, gauges)


class Machine:
    """The disk, the memory, and what lies in the data directory."""

    def __init__(self, data: Path, certificate_files: str) -> None:
        self._data = data
        self._certificates = names_apart(
            Path(one.strip()) for one in certificate_files.split(",") if one.strip()
        )
        self._looked_s = -LOOK_EVERY_S
        self._seen = Snapshot()

    def look(self) -> Snapshot:
        """As it was at most LOOK_EVERY_S ago."""
        if time.monotonic() >= self._looked_s + LOOK_EVERY_S:
            self._seen, self._looked_s = Snapshot({}, dict(self._gauges())), time.monotonic()
        return self._seen

    def _gauges(self) -> Iterator[tuple[str, float]]:
        disk = os.statvfs(self._data)
        yield "weir_host_disk_size_bytes", disk.f_blocks * disk.f_frsize
        yield "weir_host_disk_available_bytes", disk.f_bavail * disk.f_frsize
        yield "weir_host_disk_files_available", disk.f_favail
        memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        yield "weir_host_memory_bytes", int(memory["MemTotal"].split()[0]) * 1024
        yield "weir_host_memory_available_bytes", int(memory["MemAvailable"].split()[0]) * 1024
        yield "weir_host_load", os.getloadavg()[0]
        yield "weir_host_cores", len(os.sched_getaffinity(0))
        yield "weir_meter_journal_bytes", journal_bytes(self._data / "journal")
        yield from backup_gauges(self._data).gauges.items()
        yield "weir_meter_audit_timestamp_seconds", _told(self._data / AUDIT, "at_us") / 1e6
        yield "weir_meter_audit_differences", _told(self._data / AUDIT, "differences")
        yield "weir_meter_audit_difference_bytes", _told(self._data / AUDIT, "bytes")
        for name, path in self._certificates.items():
            yield series("weir_certificate_expiry_timestamp_seconds", file=label_text(name)), expiry_s(path)


def names_apart(paths: Iterable[Path]) -> dict[str, Path]:
    """What each file is called: its name, with as many directories before it as tell it from the others.

    certbot calls every certificate fullchain.pem, in a directory that is named after the host.
    """
    every = [path.parts for path in dict.fromkeys(paths)]
    found = {}
    for parts in every:
        counts = (
            count
            for count in range(1, len(parts) + 1)
            if [other[-count:] for other in every].count(parts[-count:]) == 1
        )
        found[str(Path(*parts[-next(counts, len(parts)) :]))] = Path(*parts)
    return found


def label_text(text: str) -> str:
    """A file's name as a label's value, which has no quotes and no escapes."""
    return "".join("_" if one in '"\\\n' else one for one in text)


def journal_bytes(directory: Path) -> int:
    """What the files of all streams take."""
    total = 0
    for stream in _entries(directory):
        if stream.is_dir(follow_symlinks=False):
            for file in _entries(Path(stream.path)):
                try:
                    total += file.stat(follow_symlinks=False).st_size
                except FileNotFoundError:
                    continue  # sealed or removed while we looked
    return total


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            return list(found)
    except FileNotFoundError:
        return []


def _told(path: Path, name: str) -> int:
    """A whole number of a small report; 0 where there is none, or it cannot be read."""
    try:
        with path.open("rb") as file:
            number = json.loads(file.read(REPORT_BYTES_MAX)).get(name, 0)
    except (OSError, ValueError, AttributeError):
        return 0
    return number if isinstance(number, int) else 0


def expiry_s(path: Path) -> float:
    """When the first certificate of a PEM file to end ends, as seconds since 1970; 0 where one cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(CERTIFICATE_BYTES_MAX)
        found = x509.load_pem_x509_certificates(content)
    except (OSError, ValueError):
        return 0.0
    if len(found) < content.count(PEM_BEGINS):
        return 0.0  # a chain that is half written: what is not whole is passed over by the library
    return min(one.not_valid_after_utc.timestamp() for one in found)
