"""The sums of a closing, each worked out in two ways. No tolerance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from billing.money import format_number
from billing.year.inputs import YearInputs
from billing.year.outcome import Allocations, Settlements, YearCheck
from billing.year.split import Split


def all_checks(
    inputs: YearInputs,
    whole: Split,
    pools: Mapping[str, int],
    pool: int,
    accounts: Mapping[str, int],
    parts: Sequence[int],
    rows: Allocations,
    settled: Settlements,
) -> tuple[YearCheck, ...]:
    """`parts`: where the result went, pool first, as the steps tell it."""
    cash = sum(rows.cash)
    by_source = whole.members_minor + whole.non_members_minor + inputs.side_income_minor
    figures = [format_number(part, inputs.currency) for part in parts if part]
    went = " + ".join(figures or ["0"]).replace("+ -", "- ")
    return (
        YearCheck(
            "revenue + side income = costs + result",
            whole.revenue_minor + inputs.side_income_minor, inputs.costs_minor + whole.result_minor,
        ),
        YearCheck("members' + non-members' result + side income = result", by_source, whole.result_minor),
        YearCheck(
            "where the result went = result", sum(parts), whole.result_minor,
            f"{went} = {format_number(whole.result_minor, inputs.currency)}",
        ),
        YearCheck("pool + what accounts got = result", pool + sum(accounts.values()), whole.result_minor),
        YearCheck("pools of the classes = pool", sum(pools.values()), pool),
        YearCheck("shares of the members = pool", sum(rows.amounts), pool),
        YearCheck("cash + retained = shares of the members", cash + sum(rows.retained), pool),
        YearCheck(
            "withheld + set off + given + held + paid = cash",
            sum(map(sum, (settled.withheld, settled.set_off, settled.given, settled.held, settled.paid))),
            cash,
        ),
    )  # fmt: skip
