"""Bars of bytes, in units of their own: a page stretches them to whatever width a screen has, a phone's too. Pure.

Over time, what was sent stands up from a line and what was received hangs down from it, both on one scale: so seven
hundred hours side by side still tell the two apart without a colour. Words in a picture are never stretched: they are
labels beside it, at their own size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from billing.money import format_decimal, scale_down
from billing.tongue import _
from billing.words import count_text

HEIGHT = 120
SLOT_WIDTH, BAR_WIDTH_MAX = 20, 16
SLOTS_SAID_MAX = 106
"""With more slots bars say nothing of their own: nobody can point at one among hundreds, and the table is below."""
LENGTH, LENGTH_HEIGHT, LENGTHS_APART = 640, 8, 9


class Used(NamedTuple):
    """What moved in one slot of the time that is shown; slots count from 0."""

    slot: int
    sent: int
    received: int


class Bar(NamedTuple):
    """A bar in the picture's own units; y counts from above."""

    kind: str
    x: int
    y: int
    width: int
    height: int


class Group(NamedTuple):
    """The bars of one slot, or of one line; a bar without length is left out."""

    name: str
    says: str
    """What it says when it is pointed at."""
    bars: Sequence[Bar]


class Label(NamedTuple):
    """Words below a picture, at so much of its width."""

    x: str
    anchor: str
    words: str


@dataclass(frozen=True, slots=True)
class Upright:
    """Bars over time. `line` is where up and down part; the bars are groups, or where they are too many, outlines."""

    width: int
    line: int
    sent_max: int
    received_max: int
    groups: Sequence[Group]
    outlines: Sequence[tuple[str, str]]
    """(kind, path)."""
    labels: Sequence[Label]
    height: int = HEIGHT


def upright(
    used: Sequence[Used], slots: int, *, words: Callable[[int], str], labels: Sequence[Label]
) -> Upright:
    """The picture of `slots` slots; words: what the nth of `used` is called, asked only where it is said."""
    sent_max = max(0, max((one.sent for one in used), default=0))
    received_max = max(0, max((one.received for one in used), default=0))
    top = sent_max + received_max
    line = scale_down(sent_max, of=top, to=HEIGHT) if top else HEIGHT
    # One bar alone is no tower: none is wider than a tenth of the page.
    width = min(BAR_WIDTH_MAX, 2 * slots)
    edge = scale_down(SLOT_WIDTH - width, of=2, to=1)
    drawn = [
        (
            SLOT_WIDTH * one.slot + edge,
            scale_down(one.sent, of=top, to=HEIGHT),
            scale_down(one.received, of=top, to=HEIGHT),
        )
        for one in used
    ]
    if slots > SLOTS_SAID_MAX:
        groups, outlines = [], _outlines(drawn, line, width)
    else:
        told = [
            Group(words(place), says(words(place), one.sent, one.received), _pair(x, up, down, line, width))
            for place, (one, (x, up, down)) in enumerate(zip(used, drawn, strict=True))
            if up or down
        ]
        groups, outlines = told, []
    return Upright(SLOT_WIDTH * slots, line, sent_max, received_max, groups, outlines, labels)


def _pair(x: int, up: int, down: int, line: int, width: int) -> list[Bar]:
    found = [Bar("out", x, line - up, width, up)] if up else []
    return [*found, Bar("in", x, line, width, down)] if down else found


def _outlines(drawn: Sequence[tuple[int, int, int]], line: int, width: int) -> list[tuple[str, str]]:
    sent = "".join(f"M{x} {line}v-{up}h{width}v{up}z" for x, up, _ in drawn if up)
    received = "".join(f"M{x} {line}v{down}h{width}v-{down}z" for x, _, down in drawn if down)
    return [(kind, path) for kind, path in (("out", sent), ("in", received)) if path]


def lengths(name: str, *, sent: int, received: int, of: int) -> Group:
    """The bars of one line, below each other, on a scale where `of` is the whole LENGTH."""
    found = [
        Bar(kind, 0, LENGTHS_APART * place, scale_down(count, of=of, to=LENGTH), LENGTH_HEIGHT)
        for place, (kind, count) in enumerate((("out", sent), ("in", received)))
    ]
    return Group(name, says(name, sent, received), [one for one in found if one.width])


def says(name: str, sent: int, received: int) -> str:
    """What bars say when they are pointed at: to the byte."""
    return _(
        "{line}: {sent} bytes sent, {received} bytes received",
        line=name, sent=count_text(sent), received=count_text(received),
    )  # fmt: skip


def below(slot: int, slots: int, words: str) -> Label:
    """A label below the middle of a slot."""
    return Label(_percent(2 * slot + 1, 2 * slots), "middle", words)


def since(slot: int, slots: int, words: str) -> Label:
    """A label that begins where a slot does."""
    return Label(_percent(slot, slots), "start", words)


def _percent(part: int, of: int) -> str:
    return f"{format_decimal(scale_down(part, of=of, to=100_00), 2)}%"
