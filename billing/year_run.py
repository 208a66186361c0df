"""The fiscal year's stories: try it, close it once, tell a member. Each is one transaction, whole or not at all.

The connection acts as weir_office; times are UTC microseconds given by the caller. The sum itself is in billing/year.
"""

from __future__ import annotations

import gc
import hashlib
import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from billing import store, year_store
from billing.canon import canonical
from billing.governance import store as governance_store
from billing.governance.decisions import Resolution, ResolutionKind
from billing.run import MEMBERS_AT_ONCE
from billing.tongue import _
from billing.year.closing import close_year
from billing.year.fiscal import FiscalYear
from billing.year.outcome import YearClosing
from billing.year.unweighed import unweighed_hours
from billing.year_booking import member_entry, year_entry
from billing.year_calendar import fiscal_year
from billing.year_gather import Gathered, Options, gather, open_before
from billing.year_lines import Lines, read_line
from billing.year_page import page_without_lines, year_page
from billing.year_parts import TRIAL, measure_text
from billing.year_statement import FINAL, FORMAT, year_statement
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.window import Month

DECIDING = (ResolutionKind.ALLOCATION, ResolutionKind.CLOSING)
Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class YearDone:
    """A year worked out: its page, and the closing unless it was stored already."""

    page: dict[str, Any]
    kind: str
    closing: YearClosing | None = None
    open_before: tuple[int, ...] = ()
    """Earlier fiscal years that are not closed yet."""
    not_trued_up: tuple[Month, ...] = ()
    """Months without a true-up, where other months of the year have one."""

    def warnings(self) -> list[str]:
        """What whoever closes the year should know before, in words."""
        hours = Fraction(0) if self.closing is None else unweighed_hours(self.closing)
        found = [open_before_words(number) for number in self.open_before]
        if self.not_trued_up:
            found.append(not_trued_up_words(self.not_trued_up))
        return [*found, unweighed_words(hours)] if hours else found

    def shares(self) -> Iterator[tuple[int, str, int]]:
        """(number, name, what they were allocated) of everybody on the roll."""
        if self.closing is not None:
            people = self.closing.roll.people
            yield from zip(people.numbers, people.ids, self.closing.settlements.amounts, strict=True)


def unweighed_words(hours: Fraction) -> str:
    """That workers get nothing, and why, in the language spoken now."""
    return _(
        "Workers have {hours} hours (times their factor), the rule set lets them share, and no weights of classes were "
        "chosen: their pool is 0. Weights are chosen before the first month is closed, afterwards for a coming fiscal year.",
        hours=measure_text(f"{hours.numerator}/{hours.denominator}"),
    )


def open_before_words(number: int) -> str:
    """That an earlier year is open, and what this means for a trial of a later one, in the language spoken now."""
    return _(
        "The fiscal year {number} is still open: what its closing will leave of a loss is counted here as its months "
        "stand, taken together.", number=number
    )  # fmt: skip


def not_trued_up_words(months: Sequence[Month]) -> str:
    """That some months were adjusted to cost and these were not, in the language spoken now."""
    return _(
        "The prices of some months of the year were adjusted to cost, and no true-up is booked of: {months}. Once the "
        "year is closed none can be.", months=", ".join(map(str, months))
    )  # fmt: skip


async def trial(
    connection: Connection, number: int, options: Options | None = None, *, now_us: int
) -> YearDone:
    """Work a fiscal year out as it stands, changing nothing; of a closed year, its page.

    Months that are open count as a trial of theirs, up to now. Raises Refusal.
    """
    with _uncollected():
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            stored = await year_store.year_text(connection, number)
            if stored is not None:
                return YearDone(json.loads(stored[0]), FINAL)
            year = await fiscal_year(connection, number)
            gathered = await gather(connection, year, options or Options(), now_us=now_us)
        closing, digests = close_year(gathered.inputs), hashlib.sha256()
        for _, lines in Lines(closing).parts(MEMBERS_AT_ONCE):
            digests.update(b"".join([one.digest for one in lines]))
        page = year_page(gathered.sources, closing, lines_digest=digests.hexdigest())
    return YearDone(page, TRIAL, closing, gathered.open_before, gathered.not_trued_up)


async def close(
    connection: Connection, number: int, options: Options | None = None, *, resolution: str, now_us: int,
    progress: Progress | None = None,
) -> YearDone:  # fmt: skip
    """Close a fiscal year for good by a resolution: freeze, work out, book, keep page and lines; or nothing at all.

    `progress` is told how many members are done. Raises Refusal when the year is not over or closed already, a month
    of it is open, an earlier year is, another closing runs, or no such resolution was entered.
    """
    with _uncollected():
        async with connection.transaction():
            if not await year_store.try_lock_books(connection):
                raise Refusal(
                    "another closing, or somebody who books, is at work; nothing was changed, try again"
                )
            year = await fiscal_year(connection, number)
            await refuse_open(connection, year, now_us=now_us)
            decided = await deciding(connection, resolution)
            gathered = await gather(connection, year, options or Options(), now_us=now_us)
            closing = close_year(gathered.inputs)
            if decided.calc_hash not in (None, closing.digest):
                raise Refusal(
                    f"resolution: {decided.id} approved the closing with digest {decided.calc_hash}, and this one is "
                    f"{closing.digest}"
                )
            digests = await _write_down(connection, year, gathered, closing, now_us=now_us, progress=progress)
            page = year_page(gathered.sources, closing, lines_digest=digests)
            await year_store.insert_year(
                connection, year, resolution=decided.id, document=canonical(page), digest=closing.digest,
                lines=page["lines"], lines_digest=page["lines_digest"],
                shared=sum(closing.settlements.amounts), told_as=FORMAT, now_us=now_us,
            )  # fmt: skip
    return YearDone(page, FINAL, closing, gathered.open_before, gathered.not_trued_up)


async def statement(connection: Connection, member: MemberId, number: int, *, now_us: int) -> dict[str, Any]:
    """What a member is told about a fiscal year: by its closing once it is closed, else as it stands.

    Raises Refusal when nothing was booked to them in it, or the year has not begun.
    """
    stored = await year_store.year_text(connection, number)
    if stored is not None:
        page, resolution, closed_us = stored
        text = await year_store.line_text(connection, member, number)
        if text is not None:
            told_as = await year_store.statement_format(connection, number) or FORMAT
            return year_statement(
                json.loads(page), read_line(text), kind=FINAL, resolution=resolution, closed_us=closed_us,
                told_as=told_as,
            )  # fmt: skip
    else:
        own = await _as_it_stands(connection, member, number, now_us=now_us)
        if own is not None:
            return own
    raise Refusal(f"there is no statement for the fiscal year {number}: they were not in the register then")


async def _as_it_stands(
    connection: Connection, member: MemberId, number: int, *, now_us: int
) -> dict[str, Any] | None:
    """A member's statement of an open year: of all lines only theirs is made; None when they have none."""
    with _uncollected():
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            year = await fiscal_year(connection, number)
            gathered = await gather(connection, year, Options(), now_us=now_us)
        closing = close_year(gathered.inputs)
    numbers = closing.roll.people.numbers
    place = bisect_left(numbers, member)
    if place == len(numbers) or numbers[place] != member:
        return None
    (line,) = Lines(closing).of(range(place, place + 1))
    return year_statement(page_without_lines(gathered.sources, closing), read_line(line.text), kind=TRIAL)


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for rings of objects meanwhile: a million members have none, and looking for them took a quarter of
    a closing's processor time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


async def refuse_open(connection: Connection, year: FiscalYear, *, now_us: int) -> None:
    """Raises Refusal for a year that is closed, or cannot be closed yet, saying why."""
    if await year_store.year_text(connection, year.number) is not None:
        raise Refusal(f"the fiscal year {year} is closed already; `weir year show {year}` shows it")
    if now_us < year.last.end_us:
        raise Refusal(f"the fiscal year {year} is not over yet; `weir year trial {year}` shows how it stands")
    last = await store.last_closed(connection)
    if last is None or last < year.last:
        due = year.first if last is None or last < year.first else last.next()
        raise Refusal(f"{due} is still open; a year is closed when all its months are")
    for own in await open_before(connection, year):
        raise Refusal(f"the fiscal year {own} is still open; years are closed in order, so close it first")


async def deciding(connection: Connection, wanted: str) -> Resolution:
    """The resolution a year is to be closed by. Raises Refusal for one that is not there, or decided something else."""
    found = await governance_store.resolution(connection, wanted)
    if found is None:
        raise Refusal(
            f"resolution: there is none with the id '{wanted[:40]}'; `weir resolution add` enters it"
        )
    if found.kind not in DECIDING:
        raise Refusal(
            f"resolution: {found.id} is of kind {found.kind.value}; a year is closed by one of kind allocation or closing"
        )
    return found


async def _write_down(
    connection: Connection, year: FiscalYear, gathered: Gathered, closing: YearClosing,
    *, now_us: int, progress: Progress | None,
) -> str:  # fmt: skip
    """Entries and lines, so many members at a time; the digest of all lines."""
    month = await _first_open(connection)
    results = [amount for _, amount in sorted(gathered.sources.month_results.items())]
    entry = year_entry(year, month, closing, gathered.swept, results)
    if entry is not None:
        await store.post(connection, entry, now_us=now_us)
    digests = hashlib.sha256()
    for number, (part, lines) in enumerate(Lines(closing).parts(MEMBERS_AT_ONCE), 1):
        await year_store.add_lines(connection, year, lines)
        digests.update(b"".join([one.digest for one in lines]))
        own = member_entry(year, month, number, closing, part, gathered.owed)
        if own is not None:
            await store.post(connection, own, now_us=now_us)
        if progress is not None:
            progress(part.stop)
    return digests.hexdigest()


async def _first_open(connection: Connection) -> Month:
    last = await store.last_closed(connection)
    assert last is not None, "its months are closed"
    return last.next()
