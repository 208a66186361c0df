"""Words of rule sets and of registers' forms that the portal and the founding papers tell in the reader's language.

They are data, so no call marks them; each comes with the file it stands in.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from billing.register.forms import FORMS
from billing.rules import founding
from billing.rules.afterwards import RESOLUTION_RATE, afterwards, rule_sets

ROOT = Path(__file__).parents[1]
CITED = ("plain", "de-eg", "es")
"""Rule sets of places whose language we speak, and of none: what their sources say beside a law's name is told."""
CITATION = re.compile(
    r"(?:§ 22 KStG|GenG|Genossenschaftsgesetz|Ley 27/1999)(?: de Cooperativas|; BFH I R 37/06|,? arts?\.|[ ,\d.§()-])*"
    r"(?:\(unchecked\))?"
)
"""A law's name and a place in it, which stay as they are."""


def of_rules() -> Iterator[tuple[str, str]]:
    """What rule sets and the forms of registers say in words of their own, and of some sources what they say beside a law."""
    for path in sorted(ROOT.joinpath("billing/rules/sets").glob("*.toml")):
        content = tomllib.loads(path.read_text("utf-8"))
        told = [content["name"], content["decided_by"], *content.get("notes", ())]
        told += [levy["words"] for levy in content.get("levy", ())]
        told += [content["interest"]["reference"]] if "reference" in content["interest"] else []
        yield from ((one, _name(path)) for one in told)
    for rules in map(afterwards, rule_sets()):
        told = [rules.exit.source, *(word for one in rules.deadlines for word in (one.name, one.what))]
        told += [rules.exit.rate] if rules.exit.rate != RESOLUTION_RATE else []
        yield from ((one, "billing/rules/afterwards.toml") for one in told)
    for one in founding.sentences():
        yield one, "billing/rules/founding.toml"
    for form in FORMS.values():
        yield from ((one, "billing/register/forms.py") for one in (form.title, *form.words.values()))
    yield from of_sources()


def of_sources() -> Iterator[tuple[str, str]]:
    """Of the places whose language we speak: what sources say beside the name of a law."""
    for path in sorted(ROOT.joinpath("billing/rules").glob("**/*.toml")):
        content = tomllib.loads(path.read_text("utf-8"))
        if path.parent.name == "sets":
            parts = [content] if path.stem in CITED else []
        else:
            parts = [content[key] for key in (*CITED, "everywhere") if key in content]
        for one in sources_within(parts):
            if CITATION.fullmatch(one) is None:
                yield one, _name(path)


def sources_within(part: object) -> Iterator[str]:
    """Every source and law that is named in a part of a file."""
    if isinstance(part, list):
        for one in part:
            yield from sources_within(one)
    elif isinstance(part, dict):
        for key, value in part.items():
            if isinstance(value, str) and key in ("source", "founders_source", "law"):
                yield value
            else:
                yield from sources_within(value)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
