"""docs/metrics.md, made from the catalogue; a test makes it again. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.observe.catalogue import CHAPTERS, Declared, Exporter

HEAD = """# Metrics

Every metric of a scrape, and nothing else. This page is made from `deploy/observe/catalogue.py`; `weir metrics list`
prints the same, with `--json` for programs.

**Metrics are for operating. No bill is made from them:** money comes from the journal alone. Three rules follow, and
tests keep them:

* Gateway workers know no member and no bucket. Their labels are closed sets: S3's names of operations, statuses,
  directions, reasons.
* What is said of single members comes from one place, the ledger exporter in the supervisor. It asks PostgreSQL every
  `metrics_ledger_every_s`, keeps the answer, and names at most `metrics_members_max` members by their numbers; all the
  rest together are `_other`. A scrape never asks PostgreSQL.
* Counts of processes that have ended stay in the sums, so a counter never goes back while the supervisor lives. Counters
  whose labels are closed begin at 0, so the first time something happens is a rise.

What is said of a member's month is a gauge: it begins anew each month, and a correction takes bytes back. Use the
value, not its rate. Amounts of money are whole minor units, cents for euros.

| exported by | where |
|---|---|
"""
WHERE = {
    Exporter.GATEWAY: "each worker tells the supervisor once a second; numbers are added up, of ages the oldest is taken",
    Exporter.SHIPPER: "after each round",
    Exporter.PORTAL: "once a second; not at a gateway of its own machine",
    Exporter.PARENT: "at each scrape, files and disks at most every 15 seconds",
    Exporter.LEDGER: "the last answer of PostgreSQL; only where the co-op's books are, not at a gateway of its own machine",
}


def page() -> str:
    """The whole page."""
    return HEAD + "".join(_lines())


def _lines() -> Iterator[str]:
    for exporter, where in WHERE.items():
        yield f"| {exporter.value} | {where} |\n"
    for title, metrics in CHAPTERS.items():
        yield f"\n## {title}\n\n| metric | kind | unit | labels | exported by | meaning |\n|---|---|---|---|---|---|\n"
        for one in metrics:
            yield f"| `{one.name}` | {one.kind} | {one.unit} | {labels_text(one)} | {one.exporter} | {one.meaning} |\n"


def labels_text(one: Declared) -> str:
    """Its labels, with their values where these are closed."""
    return ", ".join(
        f"{name} ({', '.join(values)})" if values else name for name, values in one.labels.items()
    )
