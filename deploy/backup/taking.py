"""**Spine** of a backup: the order in which its parts are fixed, and then copied, while everything goes on.

    held      the collector takes no file away, and retention no segment, until the end
    1 books   PostgreSQL's state is fixed, and named for pg_dump
    2 ends    how far each stream of the journal is; the stream of corrections no further than the books know reasons
    3 index   the storage index is fixed; the engine's stream counts no further than this index has changed
    4 again   if a member or bucket came or went meanwhile, from 1 on
    copy      the dump, papers, every file the index points at, the index, the streams up to their ends, the keys
    page      last of all: without it there is no backup

Why so: books before ends, for what PostgreSQL has in its sums must stand in the journal, and what it has not is shipped
after a restore, once. Ends before the index, for the request of an object is recorded after its commit: whatever is
billed is there. The index before its files, for it must not point at one that was not copied.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.backup import moment_store
from deploy.backup.database import dump
from deploy.backup.page import Page
from deploy.backup.repository import Repository, Writer
from deploy.backup.sources import Sources
from deploy.desk import Desk, gateway_settings
from gateway.feed import STREAM_LABEL
from gateway.settings import GatewaySettings
from gateway.storage.disk.backup import index_moment, kept_files
from gateway.storage.disk.index_backup import IndexMoment
from meter import __version__
from meter.correcting import STREAM_LABEL as CORRECTIONS_LABEL
from meter.frame import DamagedSegment
from meter.reader import identity, published_sequence, streams
from meter.refusal import Refusal
from meter.stillness import held_still

MOMENT_TRIES_MAX = 50
TEMPORARY = "backup.tmp"
Told = Callable[[int, int], None]
"""Bytes done, and of how many."""


@dataclass(slots=True)
class Moment:
    """What is fixed."""

    state: str
    """By which pg_dump sees the books."""
    taken_us: int
    ends: dict[str, int]
    """Stream directory to its last record in the backup."""
    index: IndexMoment | None
    damaged: list[str] = field(default_factory=list)


async def take(desk: Desk, repository: Repository, *, with_files: bool, told: Told) -> Page:
    """Make a backup; its page. Raises Refusal, and then there is none."""
    began_us = desk.now_us
    gateway = gateway_settings(desk)
    journal = desk.meter.model_copy(update={"data": desk.data}).journal_directory
    with ExitStack() as stack:
        await asyncio.to_thread(stack.enter_context, repository.target.alone())
        engine = (
            gateway.engine_directory
            if gateway.disk_home == "" and gateway.engine_directory.is_dir()
            else None
        )
        if engine is not None:
            held = kept_files(engine, timeout_s=desk.deploy.lock_timeout_s)
            await asyncio.to_thread(stack.enter_context, held)
        stack.enter_context(held_still(journal))
        temporary = stack.enter_context(_temporary(desk.data))
        before = await asyncio.to_thread(repository.latest)
        writer = repository.writer(before)
        async with fixed(desk, gateway, engine, journal) as moment:
            sources = Sources(
                desk, moment.ends, moment.damaged, with_files=with_files, engine=engine, told=told
            )
            if moment.index is not None:
                await asyncio.to_thread(sources.copy_index, moment.index, temporary)
            await asyncio.to_thread(_add_database, desk, writer, moment.state)
        await asyncio.to_thread(sources.add_rest, writer)
        return await asyncio.to_thread(_finish, writer, sources, moment, began_us)


@asynccontextmanager
async def fixed(
    desk: Desk, gateway: GatewaySettings, engine: Path | None, journal: Path
) -> AsyncIterator[Moment]:
    """One moment of books, journal and index, for the time of the block. Raises Refusal."""
    for _ in range(MOMENT_TRIES_MAX):
        async with (
            desk.connected(None) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            state = await moment_store.export_state(connection)
            mark = await moment_store.mark(connection)
            places, reasons = (
                await moment_store.places(connection),
                await moment_store.corrections(connection),
            )
            ends, damaged = await asyncio.to_thread(_ends, journal)
            with _index(engine, gateway) as index:
                taken_us = desk.now_us
                async with desk.connected(None) as other:
                    is_still = await moment_store.mark(other) == mark
                if not is_still:
                    continue
                _cut_ends(journal, ends, reasons, index)
                damaged += _behind(journal, ends, places)
                yield Moment(state, taken_us, ends, index, damaged)
                return
    raise Refusal("members or buckets come and go so fast that no moment could be fixed; try again later")


def _ends(journal: Path) -> tuple[dict[str, int], list[str]]:
    ends, damaged = dict[str, int](), list[str]()
    for directory in streams(journal):
        try:
            identity(directory)
            ends[directory.name] = published_sequence(directory)
        except DamagedSegment as damage:
            damaged.append(f"the stream {directory.name} is not in the backup: {damage}")
    return ends, damaged


def _cut_ends(
    journal: Path, ends: dict[str, int], reasons: dict[str, int], index: IndexMoment | None
) -> None:
    """No record of a change the index has not made, and no correction without its reason."""
    if index is not None and STREAM_LABEL in ends:
        # Looked at again: of what was fed since, the outbox in this index may know nothing any more.
        ends[STREAM_LABEL] = min(published_sequence(journal / STREAM_LABEL), index.sequence)
    if CORRECTIONS_LABEL in ends:
        known = reasons.get(str(identity(journal / CORRECTIONS_LABEL)), 0)
        ends[CORRECTIONS_LABEL] = min(ends[CORRECTIONS_LABEL], known)


def _behind(journal: Path, ends: dict[str, int], places: dict[str, int]) -> Iterator[str]:
    """Streams that lack what PostgreSQL has from them: they did before the backup."""
    for name, end in ends.items():
        place = places.get(str(identity(journal / name)), 0)
        if place > end:
            yield f"the stream {name} ends with record {end}, and PostgreSQL has it up to {place}"


@contextmanager
def _index(engine: Path | None, gateway: GatewaySettings) -> Iterator[IndexMoment | None]:
    if engine is None:
        yield None
        return
    with index_moment(engine, busy_timeout_s=gateway.index_busy_timeout_s) as moment:
        yield moment


@contextmanager
def _temporary(data: Path) -> Iterator[Path]:
    """A directory of our own in the data directory; what a killed backup left there goes first."""
    path = data / TEMPORARY
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _add_database(desk: Desk, writer: Writer, state: str) -> None:
    writer.add("database.dump", dump(desk.dsn, state=state, configured=desk.deploy.postgres_bin))


def _finish(writer: Writer, sources: Sources, moment: Moment, began_us: int) -> Page:
    second, fraction = divmod(moment.taken_us, 1_000_000)
    # To the microsecond: names are in the order of the moments they show.
    stamp = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(second))}.{fraction:06d}Z"

    def page(lines: tuple[str, ...], digest: str) -> Page:
        return Page(
            name=f"{stamp}-{secrets.token_hex(4)}", weir=__version__, taken_us=moment.taken_us, began_us=began_us,
            ended_us=time.time_ns() // 1000, files=writer.files, size_bytes=writer.size_bytes,
            new_bytes=writer.new_bytes, with_files=sources.with_files, index_changes=sources.index_changes,
            streams=moment.ends, damaged=tuple(moment.damaged), lines=lines, lines_sha256=digest,
        )  # fmt: skip

    return writer.finish(page)
