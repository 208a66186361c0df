"""weir ship: the journal of a gateway that died, from its disk into the sums, on any machine that can read it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deploy.commands.options import data_option, json_option
from deploy.desk import opened
from deploy.output import console, print_json, print_table, say
from deploy.place import DataRefused, check_format, held, is_founded
from deploy.rooms import connected, room_migrations
from deploy.settings import DeploySettings, read
from gateway.feed import OutboxMismatch, feed_what_is_left
from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import open_engine
from meter.frame import DamagedSegment
from meter.journal import JournalLocked
from meter.postgres import Connection, applied_migrations, check, migrations
from meter.reader import identity, published_sequence, streams
from meter.recorder import adopt
from meter.refusal import Refusal
from meter.settings import MeterSettings
from meter.shipper import Shipper
from meter.store import stream_place

INCOMPLETE = 1
"""Exit status when something of the journal is not in the sums."""


@dataclass(slots=True)
class Stream:
    """What became of one stream."""

    directory: Path
    shipped: int = 0
    unshipped: int = 0
    problem: str | None = None
    """Why it, or a part of it, is not in the sums."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where the journal lies."""

    journal: Path
    data: Path | None
    """The dead gateway's data directory; None when only its journal was named."""
    is_writable: bool


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@json_option
@data_option
def ship(directory: Path, as_json: bool) -> None:
    """Ship the journal of a gateway that died: DIR is its data directory, or the journal in it."""
    found = locate(directory.absolute())

    async def work() -> dict[str, object]:
        async with _database(found) as (dsn, meter):
            with _kept_to_us(found):
                return await _ship(found, dsn, meter)

    told = asyncio.run(work())
    if as_json:
        print_json(told)
    else:
        _print(told)
    if told["unshipped_events"] or told["problems"]:
        raise SystemExit(INCOMPLETE)


def locate(directory: Path) -> Found:
    """The journal that a directory is or holds. Raises DataRefused."""
    try:
        data = directory if (directory / "journal").is_dir() else None
        journal = directory / "journal" if data else directory
        if not journal.is_dir() or not (data or streams(journal)):
            raise DataRefused(
                f"{directory} is no journal: it holds neither streams nor a directory 'journal' with streams"
            )
        if data and is_founded(data):
            check_format(data)
        return Found(journal, data, os.access(journal, os.W_OK))
    except OSError as error:
        raise DataRefused(f"{directory} cannot be read: {error.strerror}") from None


@asynccontextmanager
async def _database(found: Found) -> AsyncIterator[tuple[str, MeterSettings]]:
    """The database that is set, which needs no co-op on this machine; else this machine's own."""
    meter = read(MeterSettings)
    if found.data and found.data.resolve() == meter.data.absolute().resolve():
        raise DataRefused(f"{found.data} is this co-op's own data directory; its shipper ships it")
    if not meter.database_url:
        async with opened() as desk:
            yield desk.dsn, desk.meter
        return
    wanted = [one for room, directory in room_migrations() for one in migrations(room, directory)]
    async with connected(meter.database_url, role=None, timeout_s=meter.database_timeout_s) as connection:
        applied = await applied_migrations(connection)
        check(applied, wanted)
        if len(applied) < len(wanted):
            raise Refusal("the database lacks migrations of this version; `weir db migrate` applies them")
    yield meter.database_url, meter


@contextmanager
def _kept_to_us(found: Found) -> Iterator[None]:
    """Nobody may start the dead gateway meanwhile. Raises AlreadyRunning when it is not dead."""
    if found.data is None or not found.is_writable:
        yield
        return
    with held(found.data, kind="command", timeout_s=read(DeploySettings).lock_timeout_s):
        yield


async def _ship(found: Found, dsn: str, meter: MeterSettings) -> dict[str, object]:
    problems: list[str] = []
    if found.data is not None and found.is_writable:
        problems += await _feed(found.data, meter)
    results = [Stream(directory) for directory in streams(found.journal)]
    recovered = _adopt(results, meter) if found.is_writable else 0
    async with connected(dsn, role="weir_meter", timeout_s=meter.database_timeout_s) as connection:
        for result in results:
            await _measure(connection, result)
        shipper = Shipper(meter, packs=False)
        with _progress(sum(one.unshipped for one in results)) as advance:
            for result in results:
                if result.problem is None:
                    await _ship_one(connection, shipper, result, advance)
    for one in results:
        if one.problem is None and one.unshipped:
            one.problem = "its last records are not marked as being on the disk"
    if not found.is_writable:
        problems.append(
            f"{found.journal} cannot be written: exchanges that were open when the gateway died, and changes of"
            " stored bytes that had not reached the journal, wait until you run this where it can be written"
        )
    return {
        "journal": str(found.journal),
        "writable": found.is_writable,
        "recovered_exchanges": recovered,
        "shipped_events": sum(one.shipped for one in results),
        "unshipped_events": sum(one.unshipped for one in results),
        "streams": [
            {
                "stream": one.directory.name,
                "shipped_events": one.shipped,
                "unshipped_events": one.unshipped,
                "problem": one.problem,
            }
            for one in results
        ],
        "problems": problems + [f"{one.directory.name}: {one.problem}" for one in results if one.problem],
    }


async def _feed(data: Path, meter: MeterSettings) -> list[str]:
    """Changes of stored bytes that the dead engine had committed, and nobody had told the journal."""
    gateway = read(GatewaySettings).model_copy(update={"data": data, "disk_home": ""})
    if not (gateway.engine_directory / "index.sqlite").exists():
        return []
    dead = meter.model_copy(update={"data": data})
    try:
        engine = await open_engine(gateway.engine_directory, gateway)
        try:
            await feed_what_is_left(engine, dead.journal_directory, dead)
        finally:
            await engine.close()
    except (OutboxMismatch, DamagedSegment, Refusal) as error:
        return [f"the outbox of {gateway.engine_directory}: {error}"]
    return []


def _adopt(results: list[Stream], meter: MeterSettings) -> int:
    """Close what the killed writers left open; the exchanges closed."""
    recovered = 0
    for result in results:
        try:
            recovered += adopt(result.directory, meter)
        except JournalLocked:
            result.problem = "a living process still writes it"
        except DamagedSegment as damage:
            result.problem = str(damage)
    return recovered


async def _measure(connection: Connection, result: Stream) -> None:
    """How much waits. A damaged stream counts as one event at least."""
    try:
        stream = identity(result.directory)
        last, _ = await stream_place(connection, stream, label=result.directory.name, lock=False)
        result.unshipped = max(0, published_sequence(result.directory) - last)
    except DamagedSegment as damage:
        result.problem = result.problem or str(damage)
        result.unshipped = 1


async def _ship_one(
    connection: Connection, shipper: Shipper, result: Stream, advance: Callable[[int], None]
) -> None:
    def told(count: int) -> None:
        result.shipped += count
        result.unshipped -= count
        advance(count)

    try:
        await shipper.ship_stream(connection, result.directory, told=told)
    except DamagedSegment as damage:
        result.problem = str(damage)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; nothing where nobody looks."""
    screen = console(stderr=True)
    columns = (TextColumn("shipping"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, disable=not screen.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)


def _print(told: dict[str, object]) -> None:
    say(f"{told['journal']}: {told['shipped_events']:,} events shipped")
    if told["recovered_exchanges"]:
        say(f"{told['recovered_exchanges']:,} exchanges that were open were closed at what had moved")
    rows = told["streams"]
    assert isinstance(rows, list)
    columns = ("stream", "shipped", "not shipped")
    table = [(row["stream"], row["shipped_events"], row["unshipped_events"]) for row in rows]
    print_table(columns, table, numbers=columns[1:])
    problems = told["problems"]
    assert isinstance(problems, list)
    for problem in problems:
        say(f"NOT COMPLETE: {problem}")
