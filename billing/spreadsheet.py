"""CSV as a spreadsheet may open it: text that it would take for a formula is defused. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

BYTE_ORDER_MARK = "\ufeff"
"""Before a file's first cell: without it, spreadsheets read names that are not ASCII wrongly."""
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def harmless(text: str) -> str:
    """The text with an apostrophe in front where a spreadsheet would reckon with it: names are typed by people."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with its heading; whole numbers stay numbers, nothing is an empty cell, all else is harmless text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell(one) for one in row])
    return out.getvalue()


def cell(value: object) -> object:
    """A value as it stands in a cell."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    return harmless(str(value))
