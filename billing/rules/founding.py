"""What the law of a rule set asks of founders: a checklist with sources and links, from one dated file.

It knows how the lines are written and that each has a source; it decides nothing and is no legal advice.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from billing.fields import Table
from billing.rules.book import rule_set

RULES = Path(__file__).with_name("founding.toml")
WITHOUT_LAW_OF_ITS_OWN = "plain"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to do, where that is written, and a page to read it on; empty where there is none."""

    what: str
    source: str
    link: str


@dataclass(frozen=True, slots=True)
class Help:
    """Others who help founders."""

    name: str
    what: str
    link: str


@dataclass(frozen=True, slots=True)
class FoundingRules:
    """The checklist of one rule set: what its law asks, and what is to be done everywhere."""

    rule_set: str
    dated: date
    founders_min: int
    """0: the rule set names no number."""
    founders_source: str
    of_the_place: tuple[Item, ...]
    everywhere: tuple[Item, ...]


def founding_rules(identity: str) -> FoundingRules:
    """The checklist of a rule set; of one the file does not know, that of plain. Raises Refusal for no rule set."""
    known = rule_set(identity).id
    file = Table(_file(), "")
    found = file.table(known if file.has(known) else WITHOUT_LAW_OF_ITS_OWN)
    return FoundingRules(
        rule_set=known,
        dated=date.fromisoformat(file.text("version")),
        founders_min=found.whole("founders_min", default=0),
        founders_source=found.text("founders_source"),
        of_the_place=tuple(_items(found, "item")),
        everywhere=tuple(_items(file, "everywhere")),
    )


def helpers() -> tuple[Help, ...]:
    """Where founders find help."""
    return tuple(
        Help(one.text("name"), one.text("what"), one.text("link"))
        for one in Table(_file(), "").tables("help")
    )


def sentences() -> Iterator[str]:
    """Every sentence of the file that a member reads."""
    content = _file()
    for part in content.values():
        for item in (
            part.get("item", ()) if isinstance(part, dict) else part if isinstance(part, list) else ()
        ):
            yield item["what"]


def _items(table: Table, key: str) -> Iterator[Item]:
    for one in table.tables(key):
        link = one.get("link")
        assert isinstance(link, str), "a link is a text, and empty where there is none"
        yield Item(one.text("what"), one.text("source"), link)


@cache
def _file() -> dict[str, object]:
    return tomllib.loads(RULES.read_text("utf-8"))
