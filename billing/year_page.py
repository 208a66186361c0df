"""The page of a closed year: all that follows, and the inputs but the members, whose lines it sums. Pure.

`digest` is that of the closing itself, so a trial and the final closing of the same inputs carry the same one. It does
not depend on the resolution, which may therefore name it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

from billing.rules.book import rule_set
from billing.year.document import common_inputs, summary_document
from billing.year.fiscal import FiscalYear
from billing.year.inputs import YearInputs
from billing.year.outcome import YearClosing
from billing.year.reading import inputs_of
from meter.refusal import Refusal
from meter.window import Month

FORMAT = "weir-year-books-1"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the inputs of a year come from, besides its members' lines."""

    year: FiscalYear
    months: Mapping[Month, str]
    """Month → digest of its closing."""
    costs: Mapping[str, int]
    """What it cost by pool, and other accounts of the year that count as cost, in minor units."""
    side: Mapping[str, int]
    """income:KIND → what it brought."""
    month_results: Mapping[Month, int]


def year_page(sources: Sources, closing: YearClosing, *, lines_digest: str) -> dict[str, Any]:
    """JSON-ready, stable keys. `lines_digest`: SHA-256 over the SHA-256 of every one's line, in their order."""
    return {**page_without_lines(sources, closing), "lines_digest": lines_digest}


def page_without_lines(sources: Sources, closing: YearClosing) -> dict[str, Any]:
    """The page but what only everybody's lines tell."""
    summary = summary_document(closing)
    bare = replace(closing.inputs, interest=replace(closing.inputs.interest, lots=()))
    return {
        **summary,
        "format": FORMAT,
        "interest": sum(closing.interest.values()),
        "measures": _measures(closing),
        "first_month": str(sources.year.first),
        "last_month": str(sources.year.last),
        "months": {str(month): digest for month, digest in sorted(sources.months.items())},
        "month_results": {str(month): amount for month, amount in sorted(sources.month_results.items())},
        "costs": dict(sorted(sources.costs.items())),
        "side_income": dict(sorted(sources.side.items())),
        "inputs": common_inputs(bare),
        "lines": len(closing.roll.people),
        "digest": closing.digest,
    }


def _measures(closing: YearClosing) -> dict[str, str]:
    """Class → what all its members share by together."""
    rows = closing.allocations
    return {
        name: str(sum(compress(rows.weights, [own == name for own in rows.classes])))
        for name in sorted(set(rows.classes))
    }


def inputs_without_members(page: Mapping[str, Any]) -> YearInputs:
    """The inputs of a stored page, into which the lines' members belong. Raises Refusal for another format."""
    if page.get("format") != FORMAT:
        raise Refusal(f"the year's closing has the format '{page.get('format')}'; this Weir reads {FORMAT}")
    return inputs_of({**page["inputs"], "members": []}, rule_set)
