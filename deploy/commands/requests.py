"""weir usage --by request: the events behind a line, one after the other, as they stand in the journal."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

import click

from deploy.desk import Desk, as_operator
from deploy.instants import Window, instant_text
from deploy.output import bytes_text, number_of, say
from gateway.operation import Operation
from gateway.store import bucket_names, buckets_named
from meter.event import Mark, Zone
from meter.ids import NOBODY, BucketId, MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.requests import Counts, Found, Search, grouped, search
from meter.store import displaced, find_member, members
from meter.usage import Member
from meter.window import HOUR_US

Command = TypeVar("Command", bound=Callable[..., Any])
CHUNK = 500
"""Lines looked up and printed at one go."""
OPERATIONS = {one.code: one.s3_name for one in Operation}
MARKS = (Mark.ABORTED, Mark.RECOVERED, Mark.CHECKPOINT, Mark.CORRECTION, Mark.STORAGE)
WIDTHS = {
    "ended": 27, "request_id": 32, "operation": 20, "bucket": 16, "requester": 12, "zone": 8, "status": 6,
    "bytes_in": 15, "bytes_out": 15, "moved_in": 15, "moved_out": 15, "marks": 10, "stream": 10, "segment": 7,
    "sequence": 10,
}  # fmt: skip
NUMBERS = ("status", "bytes_in", "bytes_out", "moved_in", "moved_out", "segment", "sequence")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options of --by request say."""

    bucket: str | None = None
    operation: str | None = None
    zone: str | None = None
    is_grouped: bool = False
    storage: bool = False
    as_csv: bool = False

    @property
    def is_something(self) -> bool:
        """Whether any of them was given."""
        return self != Asked()


def request_options(command: Command) -> Command:
    """The options that go with --by request."""
    zones = [zone.name.lower() for zone in Zone]
    for option in (
        click.option("--csv", "as_csv", is_flag=True, help="With --by request: print CSV."),
        click.option("--storage", is_flag=True, help="With --by request: changes of stored bytes too."),
        click.option("--group", "is_grouped", is_flag=True, help="With --by request: checkpoints summed."),
        click.option("--zone", type=click.Choice(zones), help="With --by request: bytes to there alone."),
        click.option("--operation", metavar="NAME", help="With --by request: this operation of S3 alone."),
        click.option("--bucket", metavar="NAME", help="With --by request: this bucket alone."),
    ):
        command = option(command)
    return command


async def print_requests(
    desk: Desk, name: str, window: Window, asked: Asked, *, as_json: bool, unshipped: int
) -> None:
    """Print the events of a window as they are found; memory does not grow with their number."""
    async with desk.connected("weir_gateway") as gateway, desk.connected("weir_meter") as meter:
        register = await members(meter)
        member = await find_member(meter, name)
        await desk.note("weir_meter", as_operator("look at a member's single requests", subject=member.id))
        wanted = replace(
            await _search(gateway, member, window, asked), displaced=tuple(await displaced(meter))
        )
        found: Iterator[Found] = search(desk.meter.journal_directory, wanted)
        if asked.is_grouped:
            found = grouped(found)
        writer = _Writer.of(asked, as_json=as_json)
        writer.begin(member, window)
        names, counts = _Names(gateway, register), Counts()
        while chunk := await asyncio.to_thread(lambda: list(islice(found, CHUNK))):
            await names.learn(chunk)
            for one in chunk:
                counts.add(one)
            writer.write(row_of(one, names) for one in chunk)
    writer.end(counts, unshipped=unshipped)


async def _search(gateway: Connection, member: Member, window: Window, asked: Asked) -> Search:
    buckets = None
    if asked.bucket is not None:
        buckets = frozenset(BucketId(one) for one in await buckets_named(gateway, asked.bucket))
        if not buckets:
            raise Refusal(f"there is no bucket '{asked.bucket}', and there never was")
    # The sums know hours, so that a window that ends now takes in its whole hour.
    end_us = -(-window.end_us // HOUR_US) * HOUR_US
    return Search(
        member.id, window.start_us, end_us, buckets, _operation(asked.operation),
        None if asked.zone is None else Zone[asked.zone.upper()], asked.storage,
    )  # fmt: skip


def _operation(text: str | None) -> int | None:
    if text is None:
        return None
    found = [code for code, name in OPERATIONS.items() if name.lower() == text.lower()]
    if not found:
        raise Refusal(f"S3 has no operation '{text}' that Weir knows; docs/s3.md has their names")
    return found[0]


@dataclass(slots=True)
class _Names:
    """Names of buckets and members by number; buckets are looked up as they come."""

    gateway: Connection
    register: list[Member]
    buckets: dict[int, str] = field(default_factory=dict)
    members: dict[MemberId, str] = field(init=False)

    def __post_init__(self) -> None:
        self.members = {one.id: one.name for one in self.register} | {NOBODY: ""}

    async def learn(self, chunk: Iterable[Found]) -> None:
        unknown = {one.event.bucket for one in chunk} - self.buckets.keys()
        if unknown:
            self.buckets |= dict.fromkeys(unknown, "") | await bucket_names(self.gateway, sorted(unknown))


def row_of(found: Found, names: _Names) -> dict[str, object]:
    """One event for programs, with stable keys; numbers are whole."""
    event = found.event
    return {
        "ended": instant_text(event.ended_us),
        "began": instant_text(event.began_us),
        "request_id": event.request_id.hex(),
        "operation": OPERATIONS.get(event.operation, ""),
        "class": event.request_class.name,
        "bucket": names.buckets[event.bucket],
        "requester": names.members.get(event.requester, ""),
        "zone": event.zone.name.lower(),
        "status": event.status,
        "bytes_in": event.bytes_in,
        "bytes_out": event.bytes_out,
        "moved_in": event.moved_in,
        "moved_out": event.moved_out,
        "stored_bytes": event.stored_bytes,
        "line": event.line.name.lower() if event.stored_bytes else "",
        "marks": [str(mark.name).lower() for mark in MARKS if event.marks & mark],
        "records": found.records,
        "stream": found.stream,
        "segment": found.segment,
        "sequence": found.sequence,
    }


class _Writer:
    """As a table for people, to which the others are the exceptions."""

    @staticmethod
    def of(asked: Asked, *, as_json: bool) -> _Writer:
        """The one the options ask for."""
        if as_json:
            return _JsonLines()
        return _Csv() if asked.as_csv else _Writer()

    def begin(self, member: Member, window: Window) -> None:
        """Say whose and what."""
        say(f"{member.name}, {instant_text(window.start_us)} to {instant_text(window.end_us)}")
        say("  ".join(_padded(name, name) for name in WIDTHS))

    def write(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Some more lines."""
        for row in rows:
            say("  ".join(_padded(name, row[name]) for name in WIDTHS))

    def end(self, counts: Counts, *, unshipped: int) -> None:
        """The sum, and what it means."""
        say(
            f"{number_of(counts.events, 'event', 'events')}: {counts.bytes_in:,} bytes received ({bytes_text(counts.bytes_in)}), "
            f"{counts.bytes_out:,} sent ({bytes_text(counts.bytes_out)}), {counts.requests_a:,} requests that "
            f"change or list, {counts.requests_b:,} that read"
        )
        if unshipped:
            say(f"{unshipped:,} of all events are not in the sums of `weir usage` yet")


class _JsonLines(_Writer):
    def begin(self, member: Member, window: Window) -> None:
        del member, window

    def write(self, rows: Iterable[Mapping[str, object]]) -> None:
        sys.stdout.writelines(
            json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows
        )

    def end(self, counts: Counts, *, unshipped: int) -> None:
        del counts, unshipped
        sys.stdout.flush()


class _Csv(_Writer):
    def __init__(self) -> None:
        self._table: csv.DictWriter[str] | None = None

    def begin(self, member: Member, window: Window) -> None:
        del member, window

    def write(self, rows: Iterable[Mapping[str, object]]) -> None:
        for row in rows:
            if self._table is None:
                self._table = csv.DictWriter(sys.stdout, list(row), lineterminator="\n")
                self._table.writeheader()
            marks = row["marks"]
            assert isinstance(marks, list)
            self._table.writerow({**row, "marks": " ".join(marks)})

    def end(self, counts: Counts, *, unshipped: int) -> None:
        del counts, unshipped
        sys.stdout.flush()


def _padded(name: str, value: object) -> str:
    if isinstance(value, list):
        value = ", ".join(value)
    text = f"{value:,}" if name.startswith(("bytes", "moved")) and isinstance(value, int) else str(value)
    return text.rjust(WIDTHS[name]) if name in NUMBERS else text.ljust(WIDTHS[name])
