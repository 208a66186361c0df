"""weir usage: what a member used, complete up to now, to the byte."""

from __future__ import annotations

from datetime import datetime

import click

from deploy.commands.cap import cap_use, print_cap_use
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, at_desk, ship_up_to_now
from deploy.instants import Window, instant_text, window
from deploy.output import bytes_text, print_json, print_table, say
from gateway.operation import Operation
from gateway.store import bucket_names
from meter.store import find_member, usage_between, usage_rows
from meter.usage import Usage
from meter.window import to_us

COUNTS = ("bytes_in", "bytes_out", "requests_a", "requests_b")
Row = tuple[datetime | int, Usage]


@click.command()
@click.argument("member")
@click.option("--from", "start", metavar="T", help="Date or time, UTC; the start of the month if not given.")
@click.option("--to", "end", metavar="T", help="Date or time, UTC; now if not given.")
@click.option("--by", type=click.Choice(["hour", "day", "bucket", "operation"]), help="Split into lines.")
@json_option
@data_option
def usage(member: str, start: str | None, end: str | None, by: str | None, as_json: bool) -> None:
    """What MEMBER used. The window is widened to whole hours."""

    async def work(desk: Desk) -> dict[str, object]:
        unshipped = await ship_up_to_now(desk)
        asked = window(start, end, now_us=desk.now_us)
        return await _document(desk, member, asked, by=by, unshipped=unshipped)

    told = at_desk(work)
    if as_json:
        print_json(told)
    else:
        _print(told)


async def _document(
    desk: Desk, name: str, asked: Window, *, by: str | None, unshipped: int
) -> dict[str, object]:
    async with desk.connected("weir_meter") as connection:
        member = await find_member(connection, name)
        found = await usage_between(connection, member.id, start_us=asked.start_us, end_us=asked.end_us)
        caps = await cap_use(connection, member.id, now_us=desk.now_us)
        rows: list[Row] = []
        if by is not None:
            rows = await usage_rows(
                connection, member.id, start_us=asked.start_us, end_us=asked.end_us, by=by
            )
    document: dict[str, object] = {
        "member": member.name,
        "from": instant_text(asked.start_us),
        "to": instant_text(asked.end_us),
        "bytes_in": found.bytes_in,
        "bytes_out": found.bytes_out,
        "byte_seconds": found.byte_seconds,
        "version_byte_seconds": found.version_byte_seconds,
        "requests_a": found.requests_a,
        "requests_b": found.requests_b,
        "unshipped_events": unshipped,
        "caps": caps,
    }
    if by is not None:
        names = await _names(desk, rows, by=by)
        document |= {"by": by, "rows": [_row_document(by, names, row) for row in rows]}
    return document


async def _names(desk: Desk, rows: list[Row], *, by: str) -> dict[int, str]:
    numbers = [key for key, _ in rows if isinstance(key, int)]
    if by == "operation":
        return {one.code: one.s3_name for one in Operation}
    if by == "bucket":
        async with desk.connected("weir_gateway") as connection:
            return await bucket_names(connection, numbers)
    return {}


def _row_document(by: str, names: dict[int, str], row: Row) -> dict[str, object]:
    key, found = row
    label = instant_text(to_us(key)) if isinstance(key, datetime) else names.get(key, "")
    return {by: label} | {name: getattr(found, name) for name in COUNTS}


def _print(told: dict[str, object]) -> None:
    say(f"{told['member']}, {told['from']} to {told['to']}")
    bytes_in, bytes_out = int(str(told["bytes_in"])), int(str(told["bytes_out"]))
    print_table(
        ("", "exact", ""),
        [
            ("received from the member, bytes", bytes_in, bytes_text(bytes_in)),
            ("sent, bytes", bytes_out, bytes_text(bytes_out)),
            ("stored, byte-seconds", told["byte_seconds"], ""),
            ("of these old versions, byte-seconds", told["version_byte_seconds"], ""),
            ("requests that change or list (A)", told["requests_a"], ""),
            ("requests that read (B)", told["requests_b"], ""),
            ("events not yet in these sums", told["unshipped_events"], ""),
        ],
        numbers=("exact",),
    )
    print_cap_use(told["caps"])
    rows = told.get("rows")
    if isinstance(rows, list):
        say("")
        columns = (str(told["by"]), *COUNTS)
        print_table(columns, [[row[name] for name in columns] for row in rows], numbers=COUNTS)
