"""weir usage: what a member used, complete up to now, to the byte."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from deploy.commands.cap import cap_use, print_cap_use
from deploy.commands.options import data_option, json_option
from deploy.commands.requests import Asked, print_requests, request_options
from deploy.desk import Desk, as_operator, at_desk, ship_up_to_now
from deploy.instants import Window, instant_text, window
from deploy.output import bytes_text, print_json, print_table, say
from gateway.operation import Operation
from gateway.store import bucket_names
from meter.correction import Entered
from meter.correction_store import counted
from meter.event import StorageLine, Zone
from meter.refusal import Refusal
from meter.store import find_member
from meter.usage import LOGICAL, Kept, Lines, Usage, in_all, together
from meter.usage_store import stored_between, usage_between, usage_rows
from meter.window import HOUR_US, to_us

COUNTS = ("bytes_in", "bytes_out", "requests_a", "requests_b")
KEPT = ("logical_bytes", "physical_bytes", "logical_byte_hours", "physical_byte_hours")
LINES = {
    "objects": StorageLine.OBJECT,
    "parts": StorageLine.PART,
    "versions": StorageLine.VERSION,
    "removed": StorageLine.REMOVED,
}
"""The lines of stored bytes by the names people type."""
LINE_WORDS = {
    "objects": "objects",
    "parts": "unfinished uploads",
    "versions": "old versions",
    "removed": "removed, not charged, still on the disks",
}
Row = tuple[datetime | int, Usage]


@click.command()
@click.argument("member")
@click.option("--from", "start", metavar="T", help="Date or time, UTC; the start of the month if not given.")
@click.option("--to", "end", metavar="T", help="Date or time, UTC; now if not given.")
@click.option(
    "--by",
    type=click.Choice(["hour", "day", "bucket", "operation", "zone", "request"]),
    help="Split into lines; 'request' prints every event behind them.",
)
@request_options
@json_option
@data_option
def usage(
    member: str, start: str | None, end: str | None, by: str | None, as_json: bool, **options: Any
) -> None:
    """What MEMBER used. The window is widened to whole hours."""
    requests = Asked(**options)
    if by != "request" and requests.is_something:
        raise Refusal("--bucket, --operation, --zone, --group, --storage and --csv go with --by request")
    if as_json and requests.as_csv:
        raise Refusal("--json and --csv are two forms; choose one")

    async def work(desk: Desk) -> dict[str, object]:
        unshipped = await ship_up_to_now(desk)
        asked = window(start, end, now_us=desk.now_us)
        if by == "request":
            await print_requests(desk, member, asked, requests, as_json=as_json, unshipped=unshipped)
            return {}
        return await _document(desk, member, asked, by=by, unshipped=unshipped)

    told = at_desk(work)
    if by == "request":
        return
    if as_json:
        print_json(told)
    else:
        _print(told)


async def _document(
    desk: Desk, name: str, asked: Window, *, by: str | None, unshipped: int
) -> dict[str, object]:
    start_us, end_us = asked.start_us, asked.end_us
    async with desk.connected("weir_meter") as connection:
        member = await find_member(connection, name)
        found = await usage_between(connection, member.id, start_us=start_us, end_us=end_us)
        buckets = await stored_between(connection, member.id, start_us=start_us, end_us=end_us)
        entered = await counted(connection, member.id, start_us=start_us, end_us=end_us)
        caps = await cap_use(connection, member.id, now_us=desk.now_us)
        await desk.note("weir_meter", as_operator("look at a member's use", subject=member.id))
        rows: list[Row] = []
        if by is not None:
            rows = await usage_rows(connection, member.id, start_us=start_us, end_us=end_us, by=by)
    document: dict[str, object] = {
        "member": member.name,
        "from": instant_text(start_us),
        "to": instant_text(end_us),
        "bytes_in": found.bytes_in,
        "bytes_out": found.bytes_out,
        "byte_seconds": found.byte_seconds,
        "version_byte_seconds": found.version_byte_seconds,
        "part_byte_seconds": found.part_byte_seconds,
        "requests_a": found.requests_a,
        "requests_b": found.requests_b,
        "corrected_bytes_in": found.corrected_in,
        "corrected_bytes_out": found.corrected_out,
        "stored": _stored_document(in_all(buckets.values())),
        "unshipped_events": unshipped,
        "caps": caps,
    }
    names = await _names(desk, [*rows, *entered], by=by, buckets=buckets)
    document["corrections"] = [correction_document(one, names["bucket"]) for one in entered]
    if by is not None:
        if by == "bucket":
            rows = _with_all_buckets(found, rows, buckets)
        document |= {"by": by, "rows": [_row_document(by, names[by], row, buckets) for row in rows]}
    return document


def _with_all_buckets(found: Usage, rows: list[Row], buckets: Mapping[int, Lines]) -> list[Row]:
    """A bucket nobody asked anything of still stores what it stores."""
    moved = {key for key, _ in rows}
    still = [
        (bucket, Usage(found.member, found.start_us, found.end_us))
        for bucket in buckets
        if bucket not in moved
    ]
    return sorted([*rows, *still], key=lambda row: int(str(row[0])))


def _stored_document(lines: Lines) -> dict[str, object]:
    kept = {name: lines.get(line, Kept()) for name, line in LINES.items()}
    kept |= {"logical": together(lines, LOGICAL), "physical": together(lines)}
    return {
        name: {"bytes": one.stored_bytes, "byte_hours": one.byte_us // HOUR_US} for name, one in kept.items()
    }


async def _names(
    desk: Desk, found: list[Row | Entered], *, by: str | None, buckets: Mapping[int, Lines]
) -> dict[str, dict[int, str]]:
    """What numbers are called, for each way to split."""
    numbers = {one.correction.bucket for one in found if isinstance(one, Entered)} | set(buckets)
    if by == "bucket":
        numbers |= {one[0] for one in found if isinstance(one, tuple) and isinstance(one[0], int)}
    async with desk.connected("weir_gateway") as connection:
        of_buckets = await bucket_names(connection, sorted(numbers)) if numbers else {}
    return {
        "bucket": of_buckets,
        "operation": {one.code: one.s3_name for one in Operation},
        "zone": {zone: zone.name.lower() for zone in Zone},
        "hour": {},
        "day": {},
    }


def _row_document(
    by: str, names: dict[int, str], row: Row, buckets: Mapping[int, Lines]
) -> dict[str, object]:
    key, found = row
    label = instant_text(to_us(key)) if isinstance(key, datetime) else names.get(key, "")
    document: dict[str, object] = {by: label} | {name: getattr(found, name) for name in COUNTS}
    if by == "bucket" and isinstance(key, int):
        lines = buckets.get(key, {})
        logical, physical = together(lines, LOGICAL), together(lines)
        document |= {
            "logical_bytes": logical.stored_bytes,
            "physical_bytes": physical.stored_bytes,
            "logical_byte_hours": logical.byte_us // HOUR_US,
            "physical_byte_hours": physical.byte_us // HOUR_US,
        }
    return document


def correction_document(entered: Entered, buckets: Mapping[int, str]) -> dict[str, object]:
    """A correction with stable keys."""
    asked = entered.correction
    line = next((name for name, line in LINES.items() if line is asked.line), None)
    return {
        "stream": str(entered.stream),
        "sequence": entered.sequence,
        "at": instant_text(asked.at_us),
        "entered": instant_text(entered.entered_us),
        "bucket": buckets.get(asked.bucket),
        "zone": asked.zone.name.lower(),
        "request_id": None if asked.request_id is None else asked.request_id.hex(),
        "bytes_in": asked.bytes_in,
        "bytes_out": asked.bytes_out,
        "line": line,
        "stored_bytes": asked.stored_bytes,
        "who": asked.who,
        "why": asked.why,
        "kind": asked.kind.value,
    }


def _print(told: dict[str, object]) -> None:
    say(f"{told['member']}, {told['from']} to {told['to']}")
    bytes_in, bytes_out = int(str(told["bytes_in"])), int(str(told["bytes_out"]))
    rows: list[tuple[str, object, str]] = [
        ("received from the member, bytes", bytes_in, bytes_text(bytes_in)),
        ("sent, bytes", bytes_out, bytes_text(bytes_out)),
    ]
    for name, words in (("corrected_bytes_in", "received"), ("corrected_bytes_out", "sent")):
        if told[name]:
            rows.append((f"of these corrections of what was {words}, bytes", told[name], ""))
    rows.append(("stored, byte-seconds", told["byte_seconds"], ""))
    stored = told["stored"]
    assert isinstance(stored, dict)
    for name, words in LINE_WORDS.items():
        if name == "objects" or any(stored[name].values()):
            rows.append((f"{words}, byte-hours", stored[name]["byte_hours"], _now_text(stored[name])))
    rows += [
        (
            "all lines on the disks, byte-hours",
            stored["physical"]["byte_hours"],
            _now_text(stored["physical"]),
        ),
        ("requests that change or list (A)", told["requests_a"], ""),
        ("requests that read (B)", told["requests_b"], ""),
        ("events not yet in these sums", told["unshipped_events"], ""),
    ]
    print_table(("", "exact", ""), rows, numbers=("exact",))
    print_cap_use(told["caps"])
    split = told.get("rows")
    if isinstance(split, list):
        say("")
        counts = (*COUNTS, *KEPT) if told["by"] == "bucket" else COUNTS
        columns = (str(told["by"]), *counts)
        print_table(columns, [[row[name] for name in columns] for row in split], numbers=counts)
    corrections = told["corrections"]
    assert isinstance(corrections, list)
    if corrections:
        say("")
        print_corrections(corrections)


def _now_text(one: dict[str, int]) -> str:
    return f"{bytes_text(one['bytes'])} at the end"


def print_corrections(found: list[dict[str, object]]) -> None:
    """Corrections for people, one a line."""
    rows = [
        (one["at"], one["bucket"] or "", one["line"] or "traffic", one["bytes_in"], one["bytes_out"],
         one["stored_bytes"], one["who"], one["why"])
        for one in found
    ]  # fmt: skip
    columns = ("correction of", "bucket", "what", "received", "sent", "stored", "by", "why")
    print_table(columns, rows, numbers=("received", "sent", "stored"))
