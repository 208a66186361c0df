"""The page of a fiscal year: which years there are, and where all that came in went, as a picture. Pure.

The figures are those of the member's statement of the year; nothing is worked out anew but the picture's lengths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from billing.governance.decisions import Choice, choice_at
from billing.money import scale_down
from billing.pages import render
from billing.year.fiscal import FiscalYear, parse_year
from billing.year.inputs import CUSTOMER
from billing.year_statement import FINAL, MEASURES, NOT_MEMBERS, settled
from meter.window import Month

WIDTH = 640
"""Of the picture."""
LEAST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the picture, from x on."""

    words: str
    kind: str
    amount_minor: int
    x: int
    width: int


@dataclass(frozen=True, slots=True)
class Years:
    """The year that runs, and those a member can look at, newest first."""

    running: int
    open: tuple[int, ...]
    closed: tuple[int, ...]

    def asked(self, text: str | None) -> int:
        """The year of an address; without one the one that runs. Raises Refusal."""
        return self.running if text is None else parse_year(text)


def years(
    choices: Sequence[Choice], founded: Month, *, closed: Iterable[int], own: Iterable[int], now_us: int
) -> Years:
    """From the co-op's first month on; of closed years those in which something was booked to the member."""
    choice = choice_at(choices, now_us)
    first_month = 1 if choice is None else choice.first_month
    running = FiscalYear.of(Month.of(now_us), first_month).number
    done = set(closed)
    first = max(done, default=FiscalYear.of(founded, first_month).number - 1) + 1
    return Years(running, tuple(range(running, first - 1, -1)), tuple(sorted(own, reverse=True)))


def year_html(document: Mapping[str, Any], *, is_over: bool) -> str:
    """The statement of a year as an HTML fragment, everything escaped; is_over is the year, closed or not."""
    accounts = document["co_op"]["accounts"]
    return render(
        "year.html",
        statement=document,
        is_final=document["kind"] == FINAL,
        is_over=is_over,
        is_customer=document["member"]["classes"] == [CUSTOMER],
        kept_minor=document["retained_minor"] - document["loss_met_minor"],
        settled=settled(document),
        measures=MEASURES,
        accounts=[(NOT_MEMBERS.get(name, name), amount) for name, amount in accounts.items()],
        parts=parts(document["co_op"]),
        picture_width=WIDTH,
    )


def parts(co_op: Mapping[str, Any]) -> list[Part]:
    """All that came in, cut into what it cost, what members share, and the rest; of a loss what was and was not covered.

    Each part has LEAST_SHOWN, so that it can be seen, and the rest is to scale; the last is drawn up to the end.
    """
    cost, result = co_op["costs_minor"], co_op["result_minor"]
    if result < 0:
        cut = [("covered by what came in", "out", cost + result), ("missing", "gap", -result)]
    else:
        shared = co_op["pool_minor"]
        cut = [
            ("what the service cost", "out", cost), ("shared among the members", "back", shared),
            ("reserves, funds and all else below", "in", result - shared),
        ]  # fmt: skip
    shown = [one for one in cut if one[2] > 0]
    whole, to_scale = sum(amount for *_, amount in shown), WIDTH - LEAST_SHOWN * len(shown)
    found: list[Part] = []
    x = 0
    for place, (words, kind, amount) in enumerate(shown, 1):
        width = LEAST_SHOWN + scale_down(amount, of=whole, to=to_scale)
        width = WIDTH - x if place == len(shown) else min(width, WIDTH - x)
        found.append(Part(words, kind, amount, x, width))
        x += width
    return found
