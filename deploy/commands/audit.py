"""weir audit: journal, PostgreSQL, storage index and files held against each other. Nothing is changed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import asyncpg
import click
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from deploy.commands.inventory import reconciled
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_operator, at_desk, gateway_settings
from deploy.instants import instant_text
from deploy.observe.machine import AUDIT
from deploy.output import bytes_text, console, print_json, say
from deploy.place import DataRefused, replace_file
from deploy.settings import DeploySettings, read
from gateway import engine_store, inventory_store
from gateway.feed import STREAM_LABEL
from gateway.storage.disk.audit import FilesView, check_files, check_index, look_at_index
from gateway.storage.disk.index_audit import IndexView
from meter import audit_store
from meter.audit import (
    Journals,
    Step,
    StoredSoFar,
    check_watermarks,
    compare_readings,
    compare_rest,
    compare_storage,
)
from meter.audit_heads import check_heads
from meter.audit_store import Books
from meter.difference import Findings, Kind
from meter.engine_usage_store import numbers_elsewhere
from meter.postgres import Connection
from meter.reader import streams
from meter.refusal import Refusal
from meter.retention import Plan, beginnings, plan
from meter.segments import segment_paths
from meter.settings import MeterSettings
from meter.signing import known_public
from meter.stillness import held_still
from meter.tally import Tally

DIFFERS = 1
"""Exit status when something differs; 2, as everywhere, when we could not look."""
ROWS_A_PASS = 500_000
"""Sums held in memory at once; with more, the journal is read several times."""


@dataclass(slots=True)
class Audit:
    """What was looked at, and what was found."""

    findings: Findings = field(default_factory=Findings)
    streams: int = 0
    segments: int = 0
    records: int = 0
    unshipped: int = 0
    sums: int = 0
    heads: int = 0
    outbox: int = 0
    files: FilesView = field(default_factory=lambda: FilesView(0, 0, 0, 0))
    torn: list[str] = field(default_factory=list)
    removable: list[Plan] = field(default_factory=list)
    usage_unasked: list[str] = field(default_factory=list)
    """Engines whose usage log was not asked for, because records are still on their way into the sums."""


@click.command()
@json_option
@data_option
def audit(as_json: bool) -> None:
    """Compare journal, PostgreSQL, storage index and files, and name each difference; changes nothing."""

    async def work(desk: Desk) -> Audit:
        settings = desk.meter.model_copy(update={"data": desk.data})
        with _progress(_work_bytes(settings.journal_directory)) as step:
            found = await look(desk, settings, step)
        await desk.note("weir_meter", as_operator(_words(found)))
        return found

    try:
        found = at_desk(work, migrating=False)
    except asyncpg.UndefinedTableError:
        raise Refusal("the database is of an older Weir; run `weir db migrate` first") from None
    if as_json:
        print_json(document(found))
    else:
        _print(found)
    _note(found)
    if found.findings.total:
        raise SystemExit(DIFFERS)


def _note(found: Audit) -> None:
    """Leave when we looked and what we found where the metrics find it; a place that takes no files is not audited less."""
    told = {
        "at_us": time.time_ns() // 1000,
        "differences": found.findings.total,
        "bytes": sum(one.size_bytes for one in found.findings.named),
    }
    try:
        replace_file(read(DeploySettings).data.absolute() / AUDIT, json.dumps(told) + "\n", mode=0o600)
    except DataRefused as refused:
        click.echo(f"weir: metrics will not tell of this audit: {refused}", err=True)


def _words(found: Audit) -> str:
    """What the log of acts says: how much differs, and of which kinds; never whose."""
    kinds = sorted({one.kind.value for one in found.findings.named})
    if not kinds:
        return "audit journal, sums and storage: nothing differs"
    return f"audit journal, sums and storage: {found.findings.total:,} differences: {', '.join(kinds)}"


async def look(desk: Desk, settings: MeterSettings, step: Step) -> Audit:
    """The whole audit. Each side is seen at one moment, and so that what goes on meanwhile is no difference:

    the index first, with the number of its last change; then PostgreSQL, with how far each stream was shipped;
    the journal last, which only grows, up to these two; files one by one, each looked at again before it is named.
    """
    done = Audit()
    gateway = gateway_settings(desk)
    engine, timeout_s = gateway.engine_directory, gateway.index_busy_timeout_s
    seen = await asyncio.to_thread(look_at_index, engine, busy_timeout_s=timeout_s)
    stored = StoredSoFar(STREAM_LABEL, 0 if seen is None else seen.sequence)
    async with desk.connected("weir_meter") as connection:
        elsewhere = await numbers_elsewhere(connection)
        with held_still(settings.journal_directory):
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                begins = await beginnings(connection, settings.journal_directory)
                books = await audit_store.read_books(connection, begins)
                await _check_journal(connection, settings, books, stored, done, step)
                done.removable = await plan(connection, settings, now_us=desk.now_us)
    check_watermarks(done.findings, books)
    check_heads(
        done.findings,
        books,
        settings.heads_directory,
        public_key=known_public(settings.data),
        now_us=desk.now_us,
    )
    done.heads = len(books.heads)
    for place in [place for place in stored.sums if place[0] in elsewhere]:
        # What lies on other engines is no matter of the disk's index; their inventories tell of it.
        del stored.sums[place]
    if seen is not None:
        await _check_storage(engine, seen, stored, done, timeout_s=timeout_s, now_us=desk.now_us)
    await _check_engines(desk, done)
    done.torn = [str(path.name) for path in sorted(settings.journal_directory.glob("*/*.torn"))]
    return done


async def _check_journal(
    connection: Connection,
    settings: MeterSettings,
    books: Books,
    stored: StoredSoFar,
    done: Audit,
    step: Step,
) -> None:
    parts = 1 + books.rows // ROWS_A_PASS
    for part in range(parts):
        # Every pass looks at everything; what differs is told once.
        findings = done.findings if part == 0 else Findings()
        journals = Journals(settings.journal_directory, books, findings, stored, step)
        counted = Tally()
        await asyncio.to_thread(journals.check, counted, part=part, parts=parts)
        async for key, kept in audit_store.readings(connection, part=part, parts=parts):
            compare_readings(done.findings, counted, key, kept)
        async for stored_key, stored_kept in audit_store.storage(connection, part=part, parts=parts):
            compare_storage(done.findings, counted, stored_key, stored_kept)
        compare_rest(done.findings, counted)
        done.segments, done.records, done.unshipped = (
            journals.segments,
            journals.published,
            journals.unshipped,
        )
    done.streams, done.sums = len(streams(settings.journal_directory)), books.rows


async def _check_storage(
    engine: Path, seen: IndexView, stored: StoredSoFar, done: Audit, *, timeout_s: int, now_us: int
) -> None:
    check_index(done.findings, seen, stored.sums, last_fed=stored.last_fed)
    done.outbox = sum(change.sequence > stored.last_fed for change in seen.outbox)
    done.files = await asyncio.to_thread(
        partial(check_files, done.findings, engine, busy_timeout_s=timeout_s, now_us=now_us)
    )


async def _check_engines(desk: Desk, done: Audit) -> None:
    """What the last inventories found, and the usage logs of engines that have one and are to be asked."""
    async with desk.connected("weir_gateway") as connection:
        drifted = await inventory_store.drifted(connection)
        asked = [row for row in await engine_store.engines(connection) if row.usage_uid]
    for one in drifted:
        where = f"bucket {one.bucket} on {one.engine}, line {one.line.name.lower()}"
        done.findings.add(
            Kind.UPSTREAM, where,
            f"{where}: {one.listed_bytes} bytes lay there on {instant_text(one.looked_us)}, {one.counted_bytes} were"
            " counted", size_bytes=abs(one.drift_bytes),
        )  # fmt: skip
    for row in asked:
        if done.unshipped:
            done.usage_unasked.append(row.name)
            continue
        found, _ = await reconciled(desk, row, row.usage_uid)
        for other in found:
            where = f"bucket {other.bucket} on {row.name}"
            is_bytes = other.what != "requests"
            done.findings.add(
                Kind.USAGE, where,
                f"{where}: {other.ours} {other.what} in our journals, {other.theirs} in its own log",
                size_bytes=abs(other.ours - other.theirs) if is_bytes else 0,
            )  # fmt: skip


def _work_bytes(journal_directory: Path) -> int:
    return sum(
        path.stat().st_size for directory in streams(journal_directory) for path in segment_paths(directory)
    )


@contextmanager
def _progress(total_bytes: int) -> Iterator[Step]:
    """A bar on a terminal, on the side so that the answer stays clean; else nothing."""
    shown = console(stderr=True)
    columns = (TextColumn("reading the journal"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as progress:
        task = progress.add_task("", total=max(1, total_bytes))
        yield lambda size_bytes: progress.advance(task, size_bytes)


def document(found: Audit) -> dict[str, object]:
    """For programs."""
    return {
        "agrees": not found.findings.total,
        "differences": [
            {"kind": one.kind.value, "where": one.where, "bytes": one.size_bytes, "sentence": one.sentence}
            for one in found.findings.named
        ],
        "differences_total": found.findings.total,
        "streams": found.streams,
        "segments": found.segments,
        "records": found.records,
        "sums": found.sums,
        "heads": found.heads,
        "files": found.files.files,
        "file_bytes": found.files.size_bytes,
        "waiting": {
            "unshipped_events": found.unshipped,
            "outbox_changes": found.outbox,
            "garbage_files": found.files.garbage,
            "garbage_bytes": found.files.garbage_bytes,
            "torn_files": found.torn,
            "usage_logs": found.usage_unasked,
        },
        "removable": [
            {
                "stream": one.directory.name,
                "segments": len(one.paths),
                "bytes": one.size_bytes,
                "next_stays_because": one.stopped_by,
            }
            for one in found.removable
        ],
    }


def _print(found: Audit) -> None:
    for one in found.findings.named:
        say(f"DIFFERS  {one.kind.value}: {one.sentence}")
    more = found.findings.total - len(found.findings.named)
    if more:
        say(f"and {more:,} more")
    files = found.files
    say(
        f"looked at {found.records:,} records in {found.segments:,} segments of {found.streams} streams, "
        f"{found.sums:,} sums, {found.heads:,} heads, {files.files:,} files of {bytes_text(files.size_bytes)}"
    )
    say(
        f"on their way: {found.unshipped:,} records to the sums, {found.outbox:,} changes of stored bytes to the "
        f"journal; {files.garbage:,} files of {bytes_text(files.garbage_bytes)} wait for the collector"
    )
    for name in found.usage_unasked:
        say(
            f"the usage log of {name} was not compared: records are on their way; try again when they are shipped"
        )
    for torn in found.torn:
        say(f"kept aside after a crash: {torn}")
    for old in found.removable:
        if old.paths:
            say(
                f"retention would remove {len(old.paths):,} segments of {old.directory.name}, {old.size_bytes:,} bytes"
            )
    say("everything agrees" if not found.findings.total else f"{found.findings.total:,} differences")
