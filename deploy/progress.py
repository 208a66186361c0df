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
    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console(stderr=True),
        transient=True,
    )
    with shown:
        task = shown.add_task(words, total=total)
        yield lambda done: shown.update(task, completed=done)
