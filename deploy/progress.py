"""A bar on stderr for work that takes its time, where somebody looks; programs that read stdout never see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deploy.output import console

Advance = Callable[[int], None]


@contextmanager
def bar(words: str, *, total: int) -> Iterator[Advance]:
    """A bar for the time of the block; call what it gives with how many of `total` are done."""
    with _bar() as shown:
        task = shown.add_task(words, total=total)
        yield lambda done: shown.update(task, completed=done)


@contextmanager
def work_bar(words: str) -> Iterator[Callable[[int, int], None]]:
    """Call what it gives with how many more are done, and of how many in all."""
    with _bar() as shown:
        task = shown.add_task(words, total=None)

        def tell(done: int, of: int) -> None:
            shown.update(task, total=of, advance=done)

        yield tell


@contextmanager
def work_to(words: str) -> Iterator[Callable[[int, int], None]]:
    """Call what it gives with how many are done, and of how many in all."""
    with _bar() as shown:
        task = shown.add_task(words, total=None)
        yield lambda done, of: shown.update(task, total=of, completed=done)


def _bar() -> Progress:
    screen = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=screen, disable=not screen.is_terminal, transient=True)
