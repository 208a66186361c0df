"""The sums of a closing, each worked out in two ways. No tolerance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from billing.money import format_number
from billing.year.inputs import YearInputs
from billing.year.outcome import Settlement, YearAllocation, YearCheck
from billing.year.split import Split


def all_checks(
    inputs: YearInputs,
    whole: Split,
    pools: Mapping[str, int],
    pool: int,
    accounts: Mapping[str, int],
    parts: Sequence[int],
    rows: Sequence[YearAllocation],
    settled: Sequence[Settlement],
) -> tuple[YearCheck, ...]:
    """`parts`: where the result went, pool first, as the steps tell it."""
    cash = sum(row.cash_minor for row in rows)
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
        YearCheck("shares of the members = pool", sum(row.amount_minor for row in rows), pool),
        YearCheck("cash + retained = shares of the members", cash + sum(row.retained_minor for row in rows), pool),
        YearCheck(
            "withheld + set off + given + held + paid = cash",
            sum(one.withheld_minor + one.set_off_minor + one.given_minor + one.held_minor + one.paid_minor for one in settled),
            cash,
        ),
    )  # fmt: skip
