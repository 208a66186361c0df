"""A statement as a paper: title, boxes, picture, sections, in words and finished figures. The page, the PDF and every
other form of it are made from this one, so that none can say what another does not. Pure; it works nothing out but
the picture's lengths.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from billing.money import quotient_text, scale_down
from billing.tongue import _
from billing.words import numeral

WIDTH = 640
"""Of the picture."""
LEAST_SHOWN = 3
SHADES = ("out", "out-2", "out-3")
"""Kinds of costs in the picture, by turns; each part has its number too."""
TEXTURED = {"out-2", "out-3", "back"}
"""Kinds that have a texture besides their colour."""


@dataclass(frozen=True, slots=True)
class Box:
    """One figure that matters, with a word above and a line below."""

    words: str
    figure: str
    note: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the picture, from x on."""

    words: str
    kind: str
    amount_minor: int
    x: int
    width: int
    cents: str
    """Of each unit that came in, how many hundredths; '…' where the decimals go on."""

    @property
    def left(self) -> str:
        """Where it begins, in parts of the picture's width."""
        return _of_width(2 * self.x)

    @property
    def middle(self) -> str:
        """Where its number stands."""
        return _of_width(2 * self.x + self.width)

    @property
    def across(self) -> str:
        """How wide it is."""
        return _of_width(2 * self.width)

    @property
    def is_textured(self) -> bool:
        """Whether its colour alone does not tell it apart."""
        return self.kind in TEXTURED


def _of_width(halves: int) -> str:
    # 1,280 halves are the whole, and one of them is 0.078125 %: with six decimals it is exact.
    return quotient_text(halves * 100, 2 * WIDTH, decimals=6) + "%"


@dataclass(frozen=True, slots=True)
class Picture:
    """One bar, cut into parts, and the same in words."""

    title: str
    about: str
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of finished text; the first column names a row, the last `numbers` are figures."""

    caption: str
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    foot: tuple[str, ...] = ()
    numbers: int = 1
    links: Sequence[str] = ()
    """Row by row, the address that the cell before the figures leads to; empty for none."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, paragraphs and a table. A paragraph's pieces are plain and strong by turns."""

    heading: str
    paragraphs: Sequence[tuple[str, ...]] = ()
    table: Table | None = None
    after: str = ""
    """What is said below the table."""


@dataclass(frozen=True, slots=True)
class Paper:
    """A whole statement, one page first and the detail after."""

    title: str
    standing: str
    """Whether its figures are final."""
    is_final: bool
    who: str
    sentence: str
    meaning: str
    currency: str
    language: str
    boxes: Sequence[Box]
    below: Sequence[Box]
    picture: Picture | None
    sections: Sequence[Section]
    foot: Sequence[str]
    digest: str
    dated_us: int
    """The end of its period: the date a file of it bears, however often it is made."""


def check_us(command: str) -> str:
    """How a reader checks a statement."""
    return _(
        "Check us: Everything here can be worked out again. Once it is closed, its page in the portal has your records "
        "and the file that checks them; or let whoever runs your co-op run “{command}”.", command=command
    )  # fmt: skip


def cost_words(name: str) -> str:
    """A kind of cost as it is told: 'cost: disks and power'."""
    return _("cost: {pool}", pool=name.removeprefix("cost:").replace("-", " "))


def cut(wanted: Iterable[tuple[str, str, int]], *, of_minor: int) -> list[Part]:
    """(words, kind, amount) as parts of one bar; what is nothing is left out.

    Each part has LEAST_SHOWN, so that it can be seen, and the rest is to scale; the last is drawn up to the end.
    """
    shown = [one for one in wanted if one[2] > 0]
    whole, to_scale = sum(amount for *_, amount in shown), WIDTH - LEAST_SHOWN * len(shown)
    found: list[Part] = []
    x = 0
    for place, (words, kind, amount) in enumerate(shown, 1):
        width = LEAST_SHOWN + scale_down(amount, of=whole, to=to_scale)
        width = WIDTH - x if place == len(shown) else min(width, WIDTH - x)
        cents = numeral(quotient_text(amount * 100, of_minor, decimals=1)) if of_minor > 0 else ""
        found.append(Part(words, kind, amount, x, width, cents))
        x += width
    return found
