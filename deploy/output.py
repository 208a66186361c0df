"""How commands print: tables for people, JSON for programs, whole numbers never rounded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

WIDTH_WITHOUT_TERMINAL = 160


def console(*, stderr: bool = False) -> Console:
    """A console that is plain when nobody looks, and honours NO_COLOR."""
    made = Console(stderr=stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=WIDTH_WITHOUT_TERMINAL)


def as_json(document: object) -> str:
    """Stable keys in the order given, one trailing newline; only whole numbers and text."""
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def print_json(document: object) -> None:
    """For programs."""
    console().file.write(as_json(document))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[str] = ()
) -> None:
    """A table; the columns named in `numbers` are aligned to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        # Text, not markup: a member's memo may hold square brackets.
        table.add_row(*(Text(cell(value)) for value in row))
    console().print(table)


def cell(value: object) -> str:
    """A value in a table: whole numbers with digits grouped, nothing for None. A year is text, so hand it over as text."""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def number_of(count: int, one: str, many: str) -> str:
    """'1 payment', '1,200 payments'."""
    return f"{count:,} {one if count == 1 else many}"


def say(text: str) -> None:
    """A line for people, without markup, and not broken: it may be a link to copy."""
    console().print(Text(text), soft_wrap=True)


@contextmanager
def counted(word: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, beside what is printed; tell(done, all) moves it."""
    shown = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=shown, disable=not shown.is_terminal, transient=True) as progress:
        task = progress.add_task(word, total=None)
        yield lambda done, whole: progress.update(task, completed=done, total=whole)


def bytes_text(count: int) -> str:
    """Bytes in decimal units, three digits, rounded down; the exact number stands beside it."""
    for unit, size in (("PB", 10**15), ("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if abs(count) >= size:
            hundredths = abs(count) * 100 // size
            sign = "-" if count < 0 else ""
            return f"{sign}{hundredths // 100}.{hundredths % 100:02d} {unit}"
    return f"{count} B"
