"""Which old segments may go, and how a journal that begins later than its first record is read.

A segment goes when everything in it was billed in months that are closed and older than is kept, when a signed
head covers it, and when nothing in it is needed for a later month. Only from the front: there is never a gap.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from meter import heads_store, spans
from meter.frame import FIRST_DIGEST, DamagedSegment
from meter.heads import Tip, is_signed_by, read
from meter.heads_store import Link
from meter.ids import StreamId
from meter.postgres import Connection
from meter.reader import SegmentView, chain, streams, view
from meter.refusal import Refusal
from meter.segments import number_of, segment_paths, stream_of, sync_directory
from meter.settings import MeterSettings
from meter.signing import known_public
from meter.spans import Span
from meter.stillness import nobody_reads
from meter.store import watermarks
from meter.window import Month

log = logging.getLogger(__name__)


class OlderThanKept(Refusal):
    """What is asked for was counted from records that retention has removed."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a stream's kept part begins: after segments that retention removed."""

    number: int
    first_sequence: int
    previous_digest: bytes
    billed_through: Month
    """What was removed was billed in this month or before."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The last closed month of which nothing need be kept."""

    month: Month
    up_to: Mapping[StreamId, int]
    """The last record of each stream that had been shipped when it was closed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What may go of one stream."""

    directory: Path
    stream: StreamId
    paths: tuple[Path, ...]
    size_bytes: int
    head: int
    """The signed head that covers them."""
    through: Month
    """All of them was billed in this month or before."""
    stopped_by: str
    """Why the next one stays."""


def first_kept_month(now_us: int, *, keep_months: int) -> Month:
    """The first month of which everything is kept."""
    month = Month.of(now_us)
    for _ in range(keep_months):
        month = month.previous()
    return month


def stays(
    number: int, link: Link | None, span: Span, *, tip: Tip | None, closed: Closed, stream: StreamId
) -> str:
    """Why a segment stays; '' when it may go."""
    if tip is None or number > tip.segment:
        return "no signed head covers it"
    if number == tip.segment:
        return "it is the last sealed one"
    if link is None:
        return "it was not shipped whole"
    if span.holds_storage:
        return "it holds changes of stored bytes, which every later month counts from"
    if span.last_us >= closed.month.end_us:
        return f"it holds events of {Month.of(span.last_us)}, and {closed.month} is the last month that need not be kept"
    if link.last_sequence > closed.up_to.get(stream, 0):
        return f"some of it came after {closed.month} was closed"
    return ""


async def plan(connection: Connection, settings: MeterSettings, *, now_us: int) -> list[Plan]:
    """What may go now, stream by stream; changes nothing. Raises DamagedSegment."""
    if not settings.journal_keep_months:
        return []
    kept_from = first_kept_month(now_us, keep_months=settings.journal_keep_months)
    kept = await heads_store.last_head(connection)
    public = known_public(settings.data)
    if kept is None or public is None or not is_signed_by(kept.page, public):
        return []
    tips = {tip.stream: tip for tip in read(kept.page).tips}
    marks = await watermarks(connection)
    month = max((month for month in marks if month < kept_from), default=None)
    if month is None:
        return []
    closed = Closed(month, marks[month])
    return [
        await _plan_of(
            connection, directory, tips.get(str(stream_of(directory))), head=kept.number, closed=closed
        )
        for directory in streams(settings.journal_directory)
    ]


async def _plan_of(
    connection: Connection, directory: Path, tip: Tip | None, *, head: int, closed: Closed
) -> Plan:
    stream, going, why = stream_of(directory), list[Path](), "it is the only one"
    known = spans.read(directory)
    for path in segment_paths(directory):
        number = number_of(path)
        link = await heads_store.link(connection, stream, number)
        span = known.get(number)
        if span is None:
            span = await asyncio.to_thread(_span, path, stream)
        why = stays(number, link, span, tip=tip, closed=closed, stream=stream)
        if why:
            break
        segment = await asyncio.to_thread(view, path, stream=stream)
        if link is None or segment.digest != link.digest:
            raise DamagedSegment(f"{directory.name}: segment {number} is not the one that was shipped")
        going.append(path)
    size_bytes = sum(path.stat().st_size for path in going)
    return Plan(directory, stream, tuple(going), size_bytes, head, closed.month, why)


def _span(path: Path, stream: StreamId) -> Span:
    return spans.span_of(view(path, stream=stream).records)


async def remove(
    connection: Connection, settings: MeterSettings, plans: Sequence[Plan], *, now_us: int
) -> int:
    """Take away what was planned; how many segments went. None while somebody reads old segments."""
    due = [one for one in plans if one.paths]
    if not due:
        return 0
    with nobody_reads(settings.journal_directory) as is_free:
        if not is_free:
            log.warning("old segments stay for another day: somebody reads them")
            return 0
        for one in due:
            number = number_of(one.paths[-1])
            # Said before it is done: a file that is gone without a word would be an alarm.
            await heads_store.add_removed(
                connection, one.stream, number=number, through=one.through, head=one.head, now_us=now_us
            )
            for path in one.paths:
                path.unlink()
            sync_directory(one.directory)
            log.info(
                "removed %d segments of %s up to number %d, %d bytes, billed up to %s",
                len(one.paths), one.directory.name, number, one.size_bytes, one.through,
            )  # fmt: skip
    return sum(len(one.paths) for one in due)


async def beginnings(connection: Connection, journal_directory: Path) -> dict[StreamId, Beginning]:
    """Where the streams begin that retention has shortened. Others begin with segment 1, or are damaged."""
    removed = await heads_store.removed_up_to(connection)
    found = {}
    for directory in streams(journal_directory):
        stream, paths = stream_of(directory), segment_paths(directory)
        first = number_of(paths[0]) if paths else 1
        if stream in removed and 1 < first <= removed[stream][0] + 1:
            link = await heads_store.link(connection, stream, first - 1)
            assert link is not None, "a removed segment keeps its row"
            found[stream] = Beginning(first, link.last_sequence + 1, link.digest, removed[stream][1])
    return found


def kept_chain(directory: Path, beginning: Beginning | None) -> Iterator[SegmentView]:
    """The stream's segments in order, from the first that is kept. Raises DamagedSegment as chain() does,
    and when segments before the first are missing that nobody removed."""
    is_first = True
    for segment in chain(directory):
        if is_first:
            check_beginning(directory.name, segment, beginning)
            is_first = False
        yield segment


def check_beginning(label: str, segment: SegmentView, beginning: Beginning | None) -> None:
    """Raises DamagedSegment unless a stream may begin with this segment."""
    header = segment.header
    number, first, digest = (
        (1, 1, FIRST_DIGEST)
        if beginning is None
        else (beginning.number, beginning.first_sequence, beginning.previous_digest)
    )
    if header.number != number:
        raise DamagedSegment(
            f"{label}: segments {number} to {header.number - 1} are missing, and no retention removed them"
        )
    if (header.first_sequence, header.previous_digest) != (first, digest):
        raise DamagedSegment(f"{label}: segment {header.number} does not continue the one before it")


def refuse_older(month: Month, begins: Mapping[StreamId, Beginning]) -> None:
    """Raises OlderThanKept when a removed record may count for the month."""
    for stream, beginning in begins.items():
        if month <= beginning.billed_through:
            raise OlderThanKept(
                f"{month} is older than the journal is kept (journal_keep_months): stream {stream} begins with "
                f"record {beginning.first_sequence}, and the records before it, billed up to "
                f"{beginning.billed_through}, are gone"
            )
