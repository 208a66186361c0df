"""A founding paper: headings, paragraphs, points and tables, and the same as Markdown and as data for a PDF. Pure.

Whatever founders typed is escaped, so that no name becomes a link, a heading or a column. Words between backticks are
commands, in both forms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

from billing.tongue import cited

_MARKUP = re.compile(r"([\\*_<>\[\]|#~])")
_BLANKS = re.compile(r"[^\S\N{NO-BREAK SPACE}]+")
"""What becomes one blank; an amount and its currency stay together."""
_CODE = re.compile(r"`([^`]*)`")


@dataclass(frozen=True, slots=True)
class Heading:
    """Of a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Point:
    """One of a list: what, and beneath it where that is written and a page to read it on."""

    text: str
    source: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Points:
    """A list; boxes to tick, numbers, or neither."""

    points: tuple[Point, ...]
    boxes: bool = False
    numbered: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """A table; its last `numbers` columns are aligned to the right. One that is `signed` has room for a pen."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: int = 0
    signed: bool = False


Block: TypeAlias = Heading | Words | Points | Grid


@dataclass(frozen=True, slots=True)
class Sheet:
    """One paper."""

    name: str
    """Of its file, without the ending."""
    title: str
    co_op: str
    blocks: tuple[Block, ...]
    foot: str
    language: str
    """In which all of it is written."""


def typed(text: str) -> str:
    """What somebody typed, for a place within a paper: it has no backticks, so it is no command."""
    return text.replace("`", "'")


def point(text: str, source: str = "", link: str = "") -> Point:
    """A point with its source as the language spoken now has it."""
    return Point(text, cited(source), link)


def capital(text: str) -> str:
    """With its first letter large."""
    return text[:1].upper() + text[1:]


def markdown(sheet: Sheet) -> str:
    """The paper as Markdown."""
    lines = [f"# {_escaped(sheet.title)}", "", f"{_escaped(sheet.co_op)}", ""]
    for block in sheet.blocks:
        lines += [*_lines(block), ""]
    return "\n".join((*lines, "---", "", f"*{_escaped(sheet.foot)}*")) + "\n"


def _lines(block: Block) -> Iterator[str]:
    match block:
        case Heading(text):
            yield f"## {_escaped(text)}"
        case Words(text):
            yield _escaped(text)
        case Points(points, boxes, numbered):
            for place, one in enumerate(points, start=1):
                mark = "* [ ]" if boxes else f"{place}." if numbered else "*"
                yield f"{mark} {_escaped(one.text)}"
                more = [_escaped(one.source)] if one.source else []
                more += [f"<{one.link}>"] if one.link else []
                if more:
                    yield f"{' ' * (len(mark) + 1 if numbered else 2)}({', '.join(more)})"
        case Grid(caption, heads, rows, numbers, _signed):
            yield _escaped(caption)
            yield ""
            yield _row(heads)
            yield (
                "|"
                + "|".join("---:" if place >= len(heads) - numbers else "---" for place in range(len(heads)))
                + "|"
            )
            yield from (_row(row) for row in rows)
        case other:
            assert_never(other)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(_escaped(one) for one in cells) + " |"


def _escaped(text: str) -> str:
    parts = _CODE.split(_BLANKS.sub(" ", text).strip())
    return "".join(f"`{one}`" if place % 2 else _MARKUP.sub(r"\\\1", one) for place, one in enumerate(parts))


def as_data(sheet: Sheet) -> Mapping[str, Any]:
    """The paper for typst: every text cut at its commands, words and commands by turns."""
    return {
        "title": sheet.title, "who": sheet.co_op, "foot": sheet.foot, "language": sheet.language,
        "blocks": [_data(block) for block in sheet.blocks],
    }  # fmt: skip


def _data(block: Block) -> Mapping[str, Any]:
    match block:
        case Heading(text):
            return {"kind": "heading", "text": text}
        case Words(text):
            return {"kind": "words", "text": _CODE.split(text)}
        case Points(points, boxes, numbered):
            return {
                "kind": "points", "mark": "box" if boxes else "number" if numbered else "point",
                "points": [
                    {"text": _CODE.split(one.text), "source": one.source, "link": one.link} for one in points
                ],
            }  # fmt: skip
        case Grid(caption, heads, rows, numbers, signed):
            return {
                "kind": "grid", "caption": caption, "heads": heads, "rows": rows, "numbers": numbers, "signed": signed,
            }  # fmt: skip
        case other:
            assert_never(other)
