"""Figures as a table for people and as a document for programs; whole numbers, with the unit in the name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

from deploy.output import print_table
from tests.bench.scale.plan import Figures, Plan

COLUMNS = {
    "transactions_per_s": "tx/s",
    "events_per_s": "events/s",
    "written_per_s": "written/s",
    "postgres_us_per_transaction": "PG µs/tx",
    "postgres_us_per_event": "PG µs/event",
    "postgres_millicores": "PG mcores",
    "commit_ms_p50": "commit p50 ms",
    "commit_ms_p99": "p99",
    "oldest_ms_p50": "oldest p50 ms",
    "oldest_ms_p99": "p99",
    "wal_bytes_per_event": "WAL B/event",
    "lock_waits_permille": "lock waits ‰",
    "in_place_percent": "HOT %",
    "table_kib": "tables KiB",
    "index_kib": "indexes KiB",
    "connections": "conn.",
    "postgres_mib": "PG MiB",
}


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that is not below `percent` of them; 0 of none."""
    if not values:
        return 0.0
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def summary(found: Figures) -> dict[str, int]:
    """What a run found, as whole numbers."""
    took = [one.took_s * 1e3 for one in found.shipped]
    oldest = [one.oldest_s * 1e3 for one in found.shipped]
    count, events = len(found.shipped), sum(one.records for one in found.shipped)
    return {
        "transactions_per_s": round(count / found.seconds),
        "events_per_s": round(events / found.seconds),
        "written_per_s": round(found.written / found.seconds),
        "left_events": found.left,
        "postgres_us_per_transaction": round(found.postgres_cpu_s * 1e6 / max(count, 1)),
        "postgres_us_per_event": round(found.postgres_cpu_s * 1e6 / max(events, 1)),
        "postgres_millicores": round(found.postgres_cpu_s * 1e3 / found.seconds),
        "shippers_us_per_event": round(found.shippers_cpu_s * 1e6 / max(events, 1)),
        "commit_ms_p50": round(percentile(took, 50)),
        "commit_ms_p99": round(percentile(took, 99)),
        "oldest_ms_p50": round(percentile(oldest, 50)),
        "oldest_ms_p99": round(percentile(oldest, 99)),
        "commits_of_postgres_per_s": round(found.commits / found.seconds),
        "wal_bytes_per_event": round(found.wal_bytes / max(events, 1)),
        "full_page_images": found.full_page_images,
        "lock_waits_permille": round(found.lock_waits * 1000),
        "rows_inserted": found.inserted,
        "rows_updated": found.updated,
        "in_place_percent": round(100 * found.updated_in_place / max(found.updated, 1)),
        "table_kib": found.table_bytes // 1024,
        "index_kib": found.index_bytes // 1024,
        "rows": found.rows,
        "connections": found.connections,
        "postgres_mib": found.postgres_bytes // 2**20,
    }


def asked(plan: Plan) -> dict[str, object]:
    """The plan, by its names."""
    return {one.name: getattr(plan, one.name) for one in fields(plan)}


def print_rows(rows: Sequence[tuple[str, Mapping[str, int]]]) -> None:
    """A line a figure and a column a run: there are more figures than runs."""
    names = [name for name, _ in rows]
    lines = [(title, *(figures[key] for _, figures in rows)) for key, title in COLUMNS.items()]
    print_table(["", *names], lines, numbers=names)
