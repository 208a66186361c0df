"""Dashboards of the co-op and of what it stands on: members, money, storage, PostgreSQL and the machine. Pure."""

from __future__ import annotations

from deploy.observe.boards_service import EGRESS, GATEWAY, INGRESS, METERING, NEEDS_YOU, OVERVIEW
from deploy.observe.panels import (
    Dashboard,
    Panel,
    Query,
    Row,
    largest,
    or_zero,
    quantile,
    rate,
    selector,
    total,
)

NAMED, OTHERS = 'member!="_other"', 'member="_other"'
MINOR = "In minor units of the currency: cents of euros."


def _table(title: str, description: str, unit: str, expr: str, *, width: int = 8) -> Panel:
    return Panel(title, description, unit, (Query(expr, "{{member}}"),), "table", width, 10)


def _stat(title: str, description: str, unit: str, expr: str, *, limits: tuple[tuple[float, str], ...] = (), width: int = 4, legend: str = "") -> Panel:  # fmt: skip
    return Panel(title, description, unit, (Query(expr, legend or title.lower()),), "stat", width, 4, limits)


MEMBERS = Dashboard(
    "weir-members", "Members", "Who moves and stores most this month. By members' numbers; `weir member list` has the names.",
    (
        Row("This month", (
            Panel("Members", "In the register, by status.", "short", (Query(largest("weir_member_count", by="status"), "{{status}}"),), "stat", 8, 4),
            _stat("Sent", "Bytes sent for all members this month, as on their bills.", "bytes", f'sum({selector("weir_member_transfer_bytes", EGRESS)})'),
            _stat("Received", "Bytes received from all members this month.", "bytes", f'sum({selector("weir_member_transfer_bytes", INGRESS)})'),
            _stat("Stored", "What all members store as of the last shipped change.", "bytes", total("weir_member_stored_bytes")),
            _stat("Not named", "Share of this month's bytes of members who are not among those named (`metrics_members_max`).", "percentunit",
                  f'{total("weir_member_transfer_bytes", OTHERS)} / clamp_min({total("weir_member_transfer_bytes")}, 1)'),
            _table("Most sent", "The twenty members with most bytes sent this month.", "bytes", f'topk(20, sum by (member) ({selector("weir_member_transfer_bytes", NAMED, EGRESS)}))'),
            _table("Most received", "The twenty members with most bytes received this month.", "bytes", f'topk(20, sum by (member) ({selector("weir_member_transfer_bytes", NAMED, INGRESS)}))'),
            _table("Most stored", "The twenty members who store most.", "bytes", f'topk(20, sum by (member) ({selector("weir_member_stored_bytes", NAMED)}))'),
        )),
        Row("Over time", (
            Panel("Sent this month, by member", "Each line begins at 0 with the month. The ten members with most.", "bytes",
                  (Query(f'topk(10, sum by (member) ({selector("weir_member_transfer_bytes", NAMED, EGRESS)}))', "member {{member}}"),), width=12),
            Panel("Stored, by member", "The ten members who store most.", "bytes", (Query(f'topk(10, sum by (member) ({selector("weir_member_stored_bytes", NAMED)}))', "member {{member}}"),), width=12),
        )),
    ), since="now-7d",
)  # fmt: skip
MONEY = Dashboard(
    "weir-money", "Money", "The running month as it would be charged now, beside what it cost. For looking; bills come from the journal.",
    (
        Row("This month so far", (
            _stat("Charged", f"What members would be charged now, by the tariff in force. {MINOR}", "locale", total("weir_billing_charged_minor")),
            _stat("Cost", f"Invoices booked to the running month. {MINOR}", "locale", total("weir_billing_cost_minor")),
            _stat("Variance", f"Charged less cost: above 0 a surplus to give back, below 0 prices are too low or invoices came early. {MINOR}", "locale", f'{total("weir_billing_charged_minor")} - {total("weir_billing_cost_minor")}'),
            _stat("Variance of the cost", "The same as a share of the cost; more than 5 % either way is what `weir cost variance` flags.", "percentunit",
                  f'({total("weir_billing_charged_minor")} - {total("weir_billing_cost_minor")}) / clamp_min({total("weir_billing_cost_minor")}, 1)'),
            _stat("Month waiting to be closed", "For how long the oldest month that is over has been open.", "s", largest("weir_billing_period_open_seconds"), limits=((10 * 86_400.0, "orange"),)),
            _stat("Since the last closing", "Of a month; as old as 1970 where none was closed yet.", "s", f'time() - max({selector("weir_billing_last_close_timestamp_seconds")})'),
        )),
        Row("Of what, and what others would have charged", (
            Panel("Charged by service", MINOR, "locale", (Query(total("weir_billing_charged_minor", by="service, currency"), "{{service}} ({{currency}})"),), stacked=True),
            Panel("Cost by pool", MINOR, "locale", (Query(total("weir_billing_cost_minor", by="pool, currency"), "{{pool}} ({{currency}})"),), stacked=True),
            Panel("List prices of others", "All members' use of the month as if they were one customer there, by each provider's list prices, in minor units of the provider's currency.", "locale",
                  (Query(largest("weir_billing_list_price_minor", by="provider, currency"), "{{provider}} ({{currency}})"),)),
            Panel("Charged and cost", f"Both over the month. {MINOR}", "locale", (Query(total("weir_billing_charged_minor"), "charged"), Query(total("weir_billing_cost_minor"), "cost")), width=12),
            Panel("The portal", "Pages it answered, by class of status, and mails with links.", "reqps",
                  (Query(rate("weir_portal_requests_total", by="code"), "{{code}}"), Query(rate("weir_portal_mails_total", by="outcome"), "mail {{outcome}}")), width=12),
        )),
    ), since="now-30d",
)  # fmt: skip
STORAGE = Dashboard(
    "weir-storage", "Storage and upstreams", "What members' bytes lie on.",
    (
        Row("Here", (
            Panel("Stored", "What all members store as of the last shipped change.", "bytes", (Query(total("weir_member_stored_bytes"), "stored"),)),
            Panel("Read again and compared", "The slow check of stored bytes.", "Bps", (Query(rate("weir_gateway_scrubbed_bytes_total"), "checked"),)),
            Panel("Damaged pieces", "Stored objects and parts whose bytes are not what was written. Restore them from a backup.", "short", (Query(largest("weir_gateway_damaged_pieces", by="instance"), "{{instance}}"),), limits=NEEDS_YOU),
            Panel("Lifecycle: removed", "What members' rules took away.", "cps", (Query(rate("weir_gateway_lifecycle_removed_total", by="reason"), "{{reason}}"),)),
            Panel("Lifecycle: looked at and left", "Versions, markers and uploads looked at, and those that stayed against a rule.", "cps",
                  (Query(rate("weir_gateway_lifecycle_seen_total"), "looked at"), Query(rate("weir_gateway_lifecycle_refused_total", by="reason"), "stayed: {{reason}}"))),
            Panel("Lifecycle: whole looks", "Looks through all buckets with rules that ended.", "short", (Query(total("weir_gateway_lifecycle_looks_total"), "looks"),)),
        )),
        Row("Engines elsewhere", (
            Panel("Requests by act", "What we ask of other S3 systems.", "reqps", (Query(rate("weir_gateway_upstream_requests_total", by="engine, act"), "{{engine}} {{act}}"),), stacked=True),
            Panel("Attempts that failed", "By an engine's fault: it answered 500 or more, or nothing at all.", "cps", (Query(rate("weir_gateway_upstream_failures_total", by="engine, kind"), "{{engine}} {{kind}}"),), stacked=True),
            Panel("Bytes", "Bodies sent to an engine and, below the axis, received from it.", "Bps",
                  (Query(rate("weir_gateway_upstream_bytes_total", 'direction="sent"', by="engine"), "{{engine}} sent"), Query(rate("weir_gateway_upstream_bytes_total", 'direction="received"', by="engine"), "{{engine}} received", below=True))),
            Panel("A request takes", "95 % of an engine's requests, from first byte to last.", "s", (Query(quantile("0.95", "weir_gateway_upstream_seconds", by="engine, act"), "{{engine}} {{act}}"),)),
            Panel("Tried again, and of unknown outcome", "Requests sent again; writes of which nobody found out whether they happened.", "cps",
                  (Query(rate("weir_gateway_upstream_retries_total", by="engine"), "{{engine}} again"), Query(rate("weir_gateway_upstream_unknown_total", by="engine"), "{{engine}} unknown"))),
            Panel("Connections, and workers that let it rest", "A worker leaves an engine alone that failed again and again, but for a probe.", "short",
                  (Query(total("weir_gateway_upstream_connections", by="engine"), "{{engine}} connections"), Query(total("weir_gateway_upstream_resting", by="engine"), "{{engine}} resting"))),
            Panel("Inventory: drift", "Bytes an engine holds otherwise than counted. Nothing is mended unasked.", "bytes", (Query(largest("weir_gateway_inventory_drift_bytes", by="engine"), "{{engine}}"),), width=12, limits=NEEDS_YOU),
            Panel("Inventories", "How many were made, and buckets the last one could not compare because they were written to.", "short",
                  (Query(total("weir_gateway_inventories_total", by="engine"), "{{engine}} made"), Query(total("weir_gateway_inventory_unsettled", by="engine"), "{{engine}} not compared")), width=12),
        )),
    ),
)  # fmt: skip
HOST = Dashboard(
    "weir-host", "Postgres and host", "The database, our processes, the disk.",
    (
        Row("PostgreSQL", (
            Panel("Answers", "1: it does. Object traffic goes on without it; sums, changes of keys and the portal wait.", "short", (Query(f'min by (instance) ({selector("weir_postgres_up")})', "{{instance}}"),)),
            Panel("Connections", "To the server, and what it takes.", "short", (Query(largest("weir_postgres_connections"), "open"), Query(largest("weir_postgres_connections_max"), "most"))),
            Panel("Transactions", "That ended, by outcome.", "cps", (Query(rate("weir_postgres_transactions_total", by="outcome"), "{{outcome}}"),)),
            Panel("Oldest transaction", "One that stays open for hours keeps old rows from being removed.", "s", (Query(largest("weir_postgres_oldest_transaction_seconds"), "oldest"),), limits=((3600.0, "orange"),)),
            Panel("Size", "The co-op's database on the disk.", "bytes", (Query(largest("weir_postgres_size_bytes"), "database"),)),
            Panel("Replicas", "How many are connected, how far the slowest is behind in seconds, and deadlocks a second.", "short",
                  (Query(largest("weir_postgres_replicas"), "connected"), Query(largest("weir_postgres_replica_lag_seconds"), "seconds behind"), Query(rate("weir_postgres_deadlocks_total"), "deadlocks"))),
            Panel("The ledger exporter", "How old its numbers are, and how long it took to ask.", "s", (Query(largest("weir_ledger_age_seconds"), "age"), Query(largest("weir_ledger_seconds"), "took")), width=24, height=6),
        )),
        Row("Our processes", (
            Panel("Processor", "Cores used, by what the process is.", "short", (Query(rate("weir_process_cpu_seconds_total", by="process"), "{{process}}"),), stacked=True),
            Panel("Memory", "Resident, added up by what the process is.", "bytes", (Query(total("weir_process_resident_bytes", by="process"), "{{process}}"),), stacked=True),
            Panel("Open files and connections", "Of the process that has the most, as a share of what it may have.", "percentunit",
                  (Query(f'max by (process) ({selector("weir_process_open_descriptors")} / clamp_min({selector("weir_process_descriptors_max")}, 1))', "{{process}}"),), limits=((0.8, "red"),)),
        )),
        Row("The machine", (
            Panel("Disk left", "Of the disk that holds the data directory, as a share.", "percentunit", (Query(f'min by (instance) ({selector("weir_host_disk_available_bytes")} / {selector("weir_host_disk_size_bytes")})', "{{instance}}"),)),
            Panel("Disk", "Left, and files it still takes.", "bytes", (Query(f'min by (instance) ({selector("weir_host_disk_available_bytes")})', "{{instance}} left"),)),
            Panel("Files the disk still takes", "A disk without free inodes is full too.", "short", (Query(f'min by (instance) ({selector("weir_host_disk_files_available")})', "{{instance}}"),)),
            Panel("Memory of the machine", "All of it, and what programs could still get.", "bytes", (Query(total("weir_host_memory_bytes", by="instance"), "{{instance}} all"), Query(total("weir_host_memory_available_bytes", by="instance"), "{{instance}} available"))),
            Panel("Load", "Processes that ran or wanted to, and cores there are.", "short", (Query(total("weir_host_load", by="instance"), "{{instance}}"), Query(total("weir_host_cores", by="instance"), "{{instance}} cores"))),
            Panel("Certificates end in", "By file (`certificate_files`).", "s", (Query(f'min by (file) ({selector("weir_certificate_expiry_timestamp_seconds")}) - time()', "{{file}}"),)),
            Panel("Last backup holds", "All of it, and what was new in it.", "bytes", (Query(total("weir_backup_last_size_bytes", by="instance"), "{{instance}} all"), Query(total("weir_backup_last_new_bytes", by="instance"), "{{instance}} new"))),
            Panel("Last backup took", "From its first step to its page.", "s", (Query(largest("weir_backup_last_duration_seconds", by="instance"), "{{instance}}"),)),
            Panel("Damaged files in the last backup", "Files that were damaged here when it was made, and whether what is known of it cannot be read.", "short", (Query(largest("weir_backup_last_damaged_files", by="instance"), "{{instance}}"), Query(largest("weir_backup_last_unreadable", by="instance"), "{{instance}} unreadable")), limits=NEEDS_YOU),
            Panel("Snapshots thrown away", "Counters of a child that could not be read, or had too many series.", "short", (Query(or_zero(total("weir_metrics_snapshots_rejected_total")), "thrown away"),), width=24, height=5, limits=NEEDS_YOU),
        )),
    ),
)  # fmt: skip
DASHBOARDS = (OVERVIEW, GATEWAY, METERING, MEMBERS, MONEY, STORAGE, HOST)
