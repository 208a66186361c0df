"""A printed register's document as text, HTML and CSV. It shows what the document has, and adds nothing."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from billing.pages import render
from billing.spreadsheet import harmless
from billing.tongue import _, phrase
from billing.words import count_text

WIDTH = 80
LABEL_WIDTH = 30


def register_text(document: Mapping[str, Any]) -> str:
    """For a terminal or a binder: 80 columns, a block a person."""
    return "\n".join(line.rstrip() for line in _lines(document)) + "\n"


def register_html(document: Mapping[str, Any]) -> str:
    """A page that can be printed; everything escaped."""
    return render("register.html", document=document, as_of=_as_of(document))


def register_csv(document: Mapping[str, Any]) -> str:
    """One line a person and register; lists are joined by '; '.

    What a spreadsheet would take for a formula gets an apostrophe in front: names are typed by members.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    for register in document["registers"]:
        writer.writerow(["register", *(one["heading"] for one in register["columns"])])
        for row in register["rows"]:
            cells = (_joined(row[one["key"]]) for one in register["columns"])
            writer.writerow([register["name"], *(harmless(one) for one in cells)])
    return out.getvalue()


def _as_of(document: Mapping[str, Any]) -> str:
    return _("As of {at}, up to operation {number}.", at=document["at"], number=document["operations"])


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield from textwrap.wrap(document["title"], WIDTH)
    yield from textwrap.wrap(phrase(document["source"]), WIDTH)
    yield _as_of(document)
    for register in document["registers"]:
        yield ""
        yield f"{register['heading'].upper()}: {count_text(len(register['rows']))}"
        yield "═" * WIDTH
        for row in register["rows"]:
            for column in register["columns"]:
                yield from _field(column["heading"], row[column["key"]])
            yield "─" * WIDTH


def _field(heading: str, cell: str | list[str]) -> Iterator[str]:
    labels = textwrap.wrap(heading, LABEL_WIDTH - 1)
    values = [line for one in _listed(cell) for line in textwrap.wrap(one, WIDTH - LABEL_WIDTH)] or [""]
    for n in range(max(len(labels), len(values))):
        label = labels[n] if n < len(labels) else ""
        yield f"{label:<{LABEL_WIDTH}}{values[n] if n < len(values) else ''}"


def _listed(cell: str | list[str]) -> list[str]:
    return [cell] if isinstance(cell, str) else cell


def _joined(cell: str | list[str]) -> str:
    return "; ".join(_listed(cell))
