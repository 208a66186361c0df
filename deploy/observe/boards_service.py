"""Dashboards of the service: what members feel, and whether their bytes are counted. Pure."""

from __future__ import annotations

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

REQUESTS = "weir_gateway_requests_total"
OURS = 'code=~"5.."'
"""Failures of our own."""
STAYED = 'code!="499"'
"""A client that left is neither a success nor a failure."""
EGRESS, INGRESS = 'direction="egress"', 'direction="ingress"'
ERROR_RATIO = f"{or_zero(rate(REQUESTS, OURS))} / clamp_min({rate(REQUESTS, STAYED)}, 0.001)"
SMALL = 'operation=~"HeadObject|HeadBucket|ListBuckets|ListObjectsV2|ListObjects"'
NEEDS_YOU = ((1.0, "red"),)

_TRAFFIC = Panel(
    "Bytes in and out", "Body bytes that moved between members and the gateway, sent above the axis and received below.", "Bps",
    (Query(rate("weir_gateway_bytes_total", EGRESS), "sent"),
     Query(rate("weir_gateway_bytes_total", INGRESS), "received", below=True)),
    width=12,
)  # fmt: skip
_BY_OPERATION = Panel(
    "Requests by operation", "Requests that ended, by S3's name of the operation.", "reqps",
    (Query(rate(REQUESTS, by="operation"), "{{operation}}"),), width=12, stacked=True,
)  # fmt: skip
_TTFB = Panel(
    "Time to first byte", "From a request's head to the first byte of the answer: what a member waits for, whatever the object's size.", "s",
    tuple(Query(quantile(share, "weir_gateway_ttfb_seconds"), name) for share, name in (("0.5", "half are faster"), ("0.95", "95 %"), ("0.99", "99 %"))),
    width=12,
)  # fmt: skip
_FAILURES = Panel(
    "Answers of 500 and more", "Our own failures by status. 503 is also what a full queue answers (SlowDown).", "reqps",
    (Query(rate(REQUESTS, OURS, by="code"), "{{code}}"),), width=12, stacked=True,
)  # fmt: skip
_OLDEST = Panel(
    "Oldest uncounted record", "How long the oldest record has been waiting in a journal for the sums. Nothing is lost meanwhile; bills and caps of other machines are that late.", "s",
    (Query(largest("weir_meter_oldest_unshipped_seconds", by="instance"), "{{instance}}"),), limits=((60.0, "orange"), (600.0, "red")),
)  # fmt: skip


def _stat(title: str, description: str, unit: str, expr: str, *, limits: tuple[tuple[float, str], ...] = (), legend: str = "") -> Panel:  # fmt: skip
    return Panel(title, description, unit, (Query(expr, legend or title.lower()),), "stat", 4, 4, limits, shows_name=bool(legend))  # fmt: skip


OVERVIEW = Dashboard(
    "weir-overview", "Overview", "Is everything well, and if not, where to look.",
    (
        Row("Now", (
            _stat("Workers that serve", "Gateway processes that take requests, of all gateways.", "short", total("weir_gateway_workers_ready")),
            _stat("Version", "Which version of Weir runs.", "short", f"count by (version) ({selector('weir_build_info')})", legend="{{version}}"),
            _stat("Requests", "Requests that ended a second.", "reqps", rate(REQUESTS)),
            _stat("Our failures", "Share of requests answered with 500 or more; clients that left do not count.", "percentunit", ERROR_RATIO, limits=((0.001, "orange"), (0.01, "red"))),
            _stat("Sent now", "Bytes a second to members.", "Bps", rate("weir_gateway_bytes_total", EGRESS)),
            _stat("Needs you", "Damaged objects, streams that stand still, engines that drifted, differences an audit found. Anything above 0 has a runbook.", "short",
                  " + ".join(or_zero(one) for one in (
                      largest("weir_gateway_damaged_pieces"), total("weir_meter_stream_alarms"),
                      f"count({selector('weir_gateway_inventory_drift_bytes')} != 0)", total("weir_meter_audit_differences"))), limits=NEEDS_YOU),
            _stat("Records not counted yet", "What the journals hold and the sums do not.", "short", total("weir_meter_unshipped_events"), limits=((100_000.0, "orange"),)),
            _stat("Month waiting to be closed", "For how long the oldest month that is over has been open.", "s", largest("weir_billing_period_open_seconds"), limits=((10 * 86_400.0, "orange"),)),
            _stat("PostgreSQL", "1: it answers. The gateway serves on without it.", "short", f"min({selector('weir_postgres_up')})"),
            _stat("Last backup", "How old the last good backup is.", "s", f"time() - max({selector('weir_backup_last_success_timestamp_seconds')})", limits=((36 * 3600.0, "red"),)),
            _stat("Disk left", "Of the fullest disk that holds a data directory.", "percentunit", f"min({selector('weir_host_disk_available_bytes')} / {selector('weir_host_disk_size_bytes')})"),
            _stat("Children started again", "Processes that ended and were started again in the last hour.", "short", or_zero(f"sum(increase({selector('weir_child_restarts_total')}[1h]))"), limits=NEEDS_YOU),
        )),
        Row("Traffic and what members feel", (_TRAFFIC, _BY_OPERATION, _TTFB, _FAILURES)),
    ),
)  # fmt: skip

GATEWAY = Dashboard(
    "weir-gateway", "Gateway", "The S3 door: traffic, errors, latency, and how full the workers are.",
    (
        Row("Traffic", (_TRAFFIC, _BY_OPERATION)),
        Row("Errors", (
            Panel("Answers of 400 to 498", "What callers did wrong, by status. A wave of 403 is often one client with an old key.", "reqps",
                  (Query(rate(REQUESTS, 'code=~"4..",code!="499"', by="code"), "{{code}}"),), stacked=True),
            Panel("Answers of 500 and more", _FAILURES.description, "reqps", _FAILURES.queries, stacked=True),
            Panel("Errors by operation", "Answers of 400 or more, by operation.", "reqps", (Query(rate("weir_gateway_errors_total", by="operation"), "{{operation}}"),), stacked=True),
            Panel("Clients that left", "Exchanges whose client went before the end, and of these the ones whose machine fell silent. What moved is billed.", "reqps",
                  (Query(rate("weir_gateway_client_aborts_total"), "left"), Query(or_zero(rate("weir_gateway_vanished_total")), "fell silent"))),
            Panel("Turned away by a limit", "By reason: what one address or member does too much of, or what a worker has no room for. The former stand in no other panel.", "reqps",
                  (Query(rate("weir_gateway_limited_total", by="reason"), "{{reason}}"),), width=8),
            Panel("Too slow", "Connections ended because their client was too slow or silent, by what it was at.", "cps",
                  (Query(rate("weir_gateway_evicted_total", by="reason"), "{{reason}}"),), width=8),
            Panel("Turned away at the door", "Requests refused before anything was looked up, by reason: the first panel to open when a member writes that nothing works.", "reqps",
                  (Query(rate("weir_gateway_auth_rejections_total", by="reason"), "{{reason}}"),), width=24),
        )),
        Row("Latency", (
            _TTFB,
            Panel("Time to first byte by operation", "The 95 % line of each operation.", "s", (Query(quantile("0.95", "weir_gateway_ttfb_seconds", by="operation"), "{{operation}}"),), width=12),
            Panel("Small operations, whole", "From head to end, of operations whose answers are small. Downloads are left out: they take as long as their reader.", "s",
                  (Query(quantile("0.95", "weir_gateway_request_duration_seconds", SMALL, by="operation"), "{{operation}}"),), width=12),
            Panel("Event loop lag", "How much later than asked for a worker woke up. Above 0.1 s every request of that worker waits so long.", "s",
                  (Query(largest("weir_gateway_event_loop_lag_seconds", by="instance"), "{{instance}}"),), width=12, limits=((0.1, "orange"), (0.5, "red"))),
        )),
        Row("How full", (
            Panel("Requests under way", "Just now, and long transfers among them.", "short",
                  (Query(total("weir_gateway_inflight_requests"), "under way"), Query(total("weir_gateway_open_exchanges"), "long transfers"), Query(total("weir_gateway_inflight_requests_max"), "most"))),
            Panel("Connections", "Open ones, and what the workers take.", "short",
                  (Query(total("weir_gateway_connections"), "open"), Query(total("weir_gateway_connections_max"), "most"))),
            Panel("Memory of the workers", "Their own, and what they may have. A worker above its part takes no new bodies.", "bytes",
                  (Query(total("weir_gateway_memory_bytes"), "have"), Query(total("weir_gateway_memory_bytes_max"), "most"))),
            Panel("Bytes of long transfers", "What transfers that have not ended yet have moved so far.", "bytes",
                  (Query(total("weir_gateway_open_bytes", by="direction"), "{{direction}}"),)),
            Panel("Workers that serve", "Processes that take requests, by gateway.", "short", (Query(total("weir_gateway_workers_ready", by="instance"), "{{instance}}"),)),
            Panel("Children started again", "A process that ended and was started again, by name.", "short",
                  (Query(f"sum by (child) ({selector('weir_child_restarts_total')})", "{{child}}"),)),
            Panel("Age of the directory", "How long ago PostgreSQL last told a worker of new keys, buckets and rights. Old ones serve on.", "s",
                  (Query(largest("weir_gateway_directory_age_seconds", by="instance"), "{{instance}}"),)),
            Panel("Directory's last change", "Number of the last change that every worker knows; gateways that differ for long do not hear of changes.", "short",
                  (Query(f"min by (instance) ({selector('weir_gateway_directory_change_least')})", "{{instance}}"),), width=24, height=6),
        )),
    ),
)  # fmt: skip

METERING = Dashboard(
    "weir-metering", "Metering", "Whether every byte is on its way into the sums, and what audits found.",
    (
        Row("Freshness", (
            Panel("Records not counted yet", "What the journals hold and the sums do not, by gateway.", "short",
                  (Query(total("weir_meter_unshipped_events", by="instance"), "{{instance}}"),), limits=((100_000.0, "orange"),)),
            _OLDEST,
            Panel("Since the last good round", "A shipper that does nothing has a round every half second all the same.", "s",
                  (Query(f"time() - min by (instance) ({selector('weir_meter_last_ship_timestamp_seconds')})", "{{instance}}"),), limits=((60.0, "orange"), (600.0, "red"))),
        )),
        Row("The shipper", (
            Panel("Counted at the door and in the sums", "Requests that ended, and records that were added to the sums. Records are more: long transfers have several, changes of stored bytes and upstreams theirs.", "cps",
                  (Query(rate(REQUESTS), "requests"), Query(rate("weir_meter_shipped_events_total"), "records"))),
            Panel("A round takes", "The shipper's rounds, half and 95 % of them.", "s",
                  (Query(quantile("0.5", "weir_meter_ship_seconds"), "half"), Query(quantile("0.95", "weir_meter_ship_seconds"), "95 %"))),
            Panel("Rounds that failed", "Mostly because PostgreSQL was away.", "cps", (Query(rate("weir_meter_ship_failures_total", by="instance"), "{{instance}}"),)),
        )),
        Row("Is it right?", (
            _stat("Streams that stand still", "A journal that does not fit what was counted. The shipper waits until somebody looks.", "short", total("weir_meter_stream_alarms"), limits=NEEDS_YOU),
            _stat("Differences of the last audit", "What `weir audit` named when it looked last.", "short", total("weir_meter_audit_differences"), limits=NEEDS_YOU),
            _stat("Bytes in them", "Bytes of the differences it named.", "bytes", total("weir_meter_audit_difference_bytes"), limits=NEEDS_YOU),
            _stat("Since the last audit", "An audit a week is a good habit.", "s", f"time() - min({selector('weir_meter_audit_timestamp_seconds')})", limits=((14 * 86_400.0, "orange"),)),
            _stat("Torn bytes", "What crashes left behind the last whole records: never billed, lost to the co-op.", "bytes", total("weir_meter_torn_bytes")),
            _stat("Journals on disk", "All segments that are kept.", "bytes", total("weir_meter_journal_bytes")),
            Panel("Members at their caps", "Members near a hard cap of their own, and those who reached one and are refused.", "short",
                  (Query(total("weir_meter_capped_members", by="cap, level"), "{{cap}} {{level}}"),), width=24, height=6),
        )),
    ),
)  # fmt: skip
