"""The table of faults as text."""

from __future__ import annotations

from tests.truth.rig import Run

KINDS = (
    ("whole", "whole"),
    ("client", "broken off by the client"),
    ("cut", "cut by a kill -9"),
    ("both", "broken off and killed"),
    ("unknown", "whole, and killed"),
)
COMPLAINTS_MAX = 30


def table(done: Run) -> str:
    """Runs, kills, exchanges and differences; then each promise that was broken."""
    told = done.reckoning
    counted = done.status["exchanges_cut"]
    gap = told.database_bytes - told.journal_bytes
    sums = (
        f"journal {told.journal_bytes:,} bytes, PostgreSQL {told.database_bytes:,} bytes, difference {gap:,}"
    )
    head = f"{'exchanges':<26}{'way':<5}{'count':>8}{'relay saw':>17}{'journal':>17}{'difference':>13}"
    kills = ", ".join(f"{count} of {name}" for name, count in sorted(done.kills.items()))
    lines = [
        f"seed {done.seed}: {sum(done.kills.values())} kills ({kills}), {done.exchanges} exchanges",
        "",
        f"{head}{'most less':>11}{'most more':>11}",
    ]
    for kind, words in KINDS:
        for way in ("in", "out"):
            one = told.line(kind, way)
            lines.append(
                f"{words:<26}{way:<5}{one.exchanges:>8}{one.delivered:>17,}{one.billed:>17,}{one.difference:>13,}"
                f"{one.most_less:>11,}{one.most_more:>11,}"
            )
    lines += [
        "",
        f"sums: {sums}",
        f"written off, and counted: {told.recovered} exchanges in the journal, {counted} in `weir status`",
        f"broken promises: {len(told.complaints)}",
        *told.complaints[:COMPLAINTS_MAX],
    ]
    return "\n".join(lines)
