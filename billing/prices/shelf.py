"""The price files on the disk: those that come with Weir, and the operator's own, which go first.

It reads; which of them is in force, and what they come to, is worked out elsewhere.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from billing.prices.pricefile import PriceFile, parse_prices
from meter.refusal import Refusal

SHIPPED = Path(__file__).parent
FILES_MAX = 1000


def read_shelf(own: Path | None = None) -> list[PriceFile]:
    """All price files, by id and date. Raises Refusal for one that cannot be read, or is there twice."""
    found: dict[tuple[str, str], PriceFile] = {}
    for directory in (SHIPPED, *(() if own is None else (own,))):
        seen: set[tuple[str, str]] = set()
        for path in _files(directory):
            prices = parse_prices(_content(path), name=path.name)
            key = prices.id, prices.dated
            if key in seen:
                raise Refusal(f"{path.name}: there are two files of '{prices.id}' dated '{prices.dated}'")
            seen.add(key)
            found[key] = prices  # the operator's own of the same date stands for the shipped one
    return [found[key] for key in sorted(found)]


@cache
def kept_shelf(own: Path | None = None) -> tuple[PriceFile, ...]:
    """read_shelf() once in a process: what a portal shows on every statement is not read anew for each."""
    return tuple(read_shelf(own))


def _files(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise Refusal(f"{directory} is no directory of price files")
    files = sorted(directory.glob("*.toml"))
    if len(files) > FILES_MAX:
        raise Refusal(f"{directory} has {len(files)} price files; at most {FILES_MAX} are read")
    return files


def _content(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise Refusal(f"{path.name} is not UTF-8 text") from None
    except OSError as error:
        raise Refusal(f"{path.name} cannot be read: {error.strerror}") from None
