"""The one declaration of every metric: name, kind, labels, unit, who exports it, and a sentence. Pure.

`weir metrics list`, docs/metrics.md, the help lines of a scrape, the dashboards' contract and the zeros a scrape begins
with are all made from it. It says nothing of how a number comes about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product

from meter.metrics import series


class Kind(StrEnum):
    """As Prometheus calls it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Exporter(StrEnum):
    """Who knows the number; all of them are read at one place."""

    GATEWAY = "gateway workers"
    SHIPPER = "shipper"
    PORTAL = "portal"
    PARENT = "supervisor"
    LEDGER = "ledger exporter"
    """In the supervisor beside the co-op's books; a gateway alone has none."""


ANY: tuple[str, ...] = ()
"""Of a label whose values are not known before."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric."""

    name: str
    kind: Kind
    unit: str
    exporter: Exporter
    meaning: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Label → its closed set of values; ANY where there is none, such as an operation's name."""

    def zeros(self) -> Iterator[str]:
        """Every series of a counter whose labels are closed: it is there, at 0, before the first thing happens."""
        if self.kind is Kind.COUNTER and all(self.labels.values()):
            for values in product(*self.labels.values()):
                yield series(self.name, **dict(zip(self.labels, values, strict=True)))


_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
_GW, _SHIP, _PORTAL, _UP, _BOOKS = (
    Exporter.GATEWAY, Exporter.SHIPPER, Exporter.PORTAL, Exporter.PARENT, Exporter.LEDGER,
)  # fmt: skip
_OPERATION = {"operation": ANY}
_ENGINE = {"engine": ANY}
_PROCESS = {"process": ("supervisor", "gateway", "shipper", "portal")}

_OF_REQUESTS = (
    Declared("weir_gateway_requests_total", _C, "requests", _GW, "exchanges that ended, by S3's name of the operation and HTTP status; 499 is a client that left", {**_OPERATION, "code": ANY}),
    Declared("weir_gateway_errors_total", _C, "requests", _GW, "those answered with 400 or more", {**_OPERATION, "code": ANY}),
    Declared("weir_gateway_client_aborts_total", _C, "requests", _GW, "those whose client left before the end; neither our fault nor a success, and what moved is billed", _OPERATION),
    Declared("weir_gateway_vanished_total", _C, "requests", _GW, "of these, those whose client's machine stopped answering in the middle of an upload (`peer_silence_timeout_s`)", _OPERATION),
    Declared("weir_gateway_auth_rejections_total", _C, "requests", _GW, "turned away at the door", {"reason": ("signature", "clock", "unknown_key", "suspended", "denied")}),
    Declared("weir_gateway_ttfb_seconds", _H, "seconds", _GW, "from a request's head to the first byte of the answer", _OPERATION),
    Declared("weir_gateway_request_duration_seconds", _H, "seconds", _GW, "from a request's head to its end, body and all: of use for small operations, a download takes as long as its reader", _OPERATION),
    Declared("weir_gateway_bytes_total", _C, "bytes", _GW, "body bytes that moved, billed or not", {"direction": ("ingress", "egress"), "side": ("client",)}),
    Declared("weir_gateway_inflight_requests", _G, "requests", _GW, "requests under way at the last second"),
    Declared("weir_gateway_inflight_requests_max", _G, "requests", _GW, "what all workers together take (`exchanges_max` each)"),
    Declared("weir_gateway_limited_total", _C, "requests", _GW, "requests and connections turned away by a limit before they cost anything. `member_*` and `address_*` are callers who do more than they may, and stand in no other metric; the rest is a worker without room: `exchanges_max`, `receive_memory_bytes_max` and `memory_bytes_max`, `connections_max`", {"reason": ("address_rate", "member_rate", "member_bytes", "exchanges", "memory", "connections", "address_connections")}),
    Declared("weir_gateway_evicted_total", _C, "connections", _GW, "connections ended because their client was too slow or silent: in a request's head, idle (`header_timeout_s`), sending a body, receiving an answer (`transfer_bytes_per_s_min` and the timeouts)", {"reason": ("head", "idle", "sender", "receiver")}),
    Declared("weir_gateway_memory_bytes", _G, "bytes", _GW, "memory of the workers' own, without pages of files"),
    Declared("weir_gateway_memory_bytes_max", _G, "bytes", _GW, "what all workers together may have (`memory_bytes_max` each): a worker above its part takes no new bodies"),
    Declared("weir_gateway_connections", _G, "connections", _GW, "open connections, all workers together"),
    Declared("weir_gateway_connections_max", _G, "connections", _GW, "what all workers together take (`connections_max` each)"),
    Declared("weir_gateway_open_exchanges", _G, "requests", _GW, "long transfers that run just now; short ones are over before anybody looks"),
    Declared("weir_gateway_open_bytes", _G, "bytes", _GW, "body bytes these have moved so far, a second old at most", {"direction": ("ingress", "egress")}),
    Declared("weir_gateway_event_loop_lag_seconds", _G, "seconds", _GW, "how much later than asked for a worker woke up in the last second; of several workers the latest"),
    Declared("weir_gateway_workers_ready", _G, "workers", _UP, "workers that serve"),
    Declared("weir_gateway_directory_change_least", _G, "changes", _GW, "number of the last change of the directory that every worker of this machine knows"),
    Declared("weir_gateway_directory_age_seconds", _G, "seconds", _GW, "how long ago PostgreSQL last told a worker what is new; of several workers the longest"),
)  # fmt: skip
_OF_STORAGE = (
    Declared("weir_gateway_lifecycle_looks_total", _C, "looks", _GW, "looks through all buckets with lifecycle rules that ended; one worker of a machine does them"),
    Declared("weir_gateway_lifecycle_seen_total", _C, "objects", _GW, "versions, markers and uploads looked at"),
    Declared("weir_gateway_lifecycle_removed_total", _C, "objects", _GW, "what went", {"reason": ("expired", "noncurrent", "marker", "upload")}),
    Declared("weir_gateway_lifecycle_refused_total", _C, "objects", _GW, "what stayed: locked, changed meanwhile, or failed (a bucket left for the next look; the log says why)", {"reason": ("locked", "changed", "failed")}),
    Declared("weir_gateway_scrubbed_bytes_total", _C, "bytes", _GW, "stored bytes read again by the slow check; a small object counts 4 KiB"),
    Declared("weir_gateway_damaged_pieces", _G, "pieces", _GW, "stored objects and parts the check found damaged; **anything above 0 needs you**"),
    Declared("weir_gateway_inventories_total", _C, "inventories", _GW, "inventories of engines other than the disk; one worker of a machine does them, see [placement](placement.md)", _ENGINE),
    Declared("weir_gateway_inventory_drift_bytes", _G, "bytes", _GW, "bytes an engine holds otherwise than counted; **anything above 0 needs you**", _ENGINE),
    Declared("weir_gateway_inventory_unsettled", _G, "buckets", _GW, "buckets the last inventory could not compare", _ENGINE),
    Declared("weir_gateway_upstream_requests_total", _C, "requests", _GW, "requests to a storage engine elsewhere, also failed ones and those tried again; code `none`: no answer", {**_ENGINE, "act": ANY, "code": ANY}),
    Declared("weir_gateway_upstream_failures_total", _C, "attempts", _GW, "attempts that failed by its fault: an answer of 500 or more, or none, also where no connection was to be had and no request was sent", {**_ENGINE, "kind": ("answer", "none")}),
    Declared("weir_gateway_upstream_bytes_total", _C, "bytes", _GW, "bytes of bodies sent to it and received from it", {**_ENGINE, "direction": ("sent", "received")}),
    Declared("weir_gateway_upstream_seconds", _H, "seconds", _GW, "from a request's first byte to its answer's last", {**_ENGINE, "act": ANY}),
    Declared("weir_gateway_upstream_retries_total", _C, "requests", _GW, "requests that were sent again", _ENGINE),
    Declared("weir_gateway_upstream_connections", _G, "connections", _GW, "connections to it", _ENGINE),
    Declared("weir_gateway_upstream_resting", _G, "workers", _GW, "workers that leave it alone because it failed again and again; **above 0 needs you**", _ENGINE),
    Declared("weir_gateway_upstream_unknown_total", _C, "requests", _GW, "writes of which nobody found out whether they happened; the inventory finds what that changed", _ENGINE),
)  # fmt: skip
_OF_COUNTING = (
    Declared("weir_meter_unshipped_events", _G, "records", _SHIP, "records in the journals that are not in the sums yet"),
    Declared("weir_meter_oldest_unshipped_seconds", _G, "seconds", _SHIP, "how long the oldest of them has been waiting"),
    Declared("weir_meter_stream_alarms", _G, "streams", _SHIP, "streams that stand still because something does not fit; **anything above 0 needs you**"),
    Declared("weir_meter_torn_bytes", _G, "bytes", _SHIP, "bytes that crashes left behind the last whole records, kept aside as `*.torn`: never billed, lost to the co-op"),
    Declared("weir_meter_shipped_events_total", _C, "records", _SHIP, "records added to the sums"),
    Declared("weir_meter_ship_seconds", _H, "seconds", _SHIP, "how long a round of the shipper took"),
    Declared("weir_meter_ship_failures_total", _C, "rounds", _SHIP, "rounds of the shipper that failed, mostly because PostgreSQL was away"),
    Declared("weir_meter_last_ship_timestamp_seconds", _G, "seconds since 1970", _SHIP, "when a round last went well; a gateway's freshness is now less this"),
    Declared("weir_meter_capped_members", _G, "members", _SHIP, "members at 80 % of a hard cap of theirs (`near`), and at one (`reached`)", {"cap": ("egress", "storage"), "level": ("near", "reached")}),
    Declared("weir_meter_journal_bytes", _G, "bytes", _UP, "what the journals of this machine take on the disk"),
    Declared("weir_meter_audit_timestamp_seconds", _G, "seconds since 1970", _UP, "when `weir audit` last looked here; 0: never"),
    Declared("weir_meter_audit_differences", _G, "differences", _UP, "what it found; **anything above 0 needs you**"),
    Declared("weir_meter_audit_difference_bytes", _G, "bytes", _UP, "bytes in these differences, of those it named"),
)  # fmt: skip
_OF_MEMBERS = (
    Declared("weir_member_count", _G, "members", _BOOKS, "members in the register", {"status": ("active", "suspended", "left")}),
    Declared("weir_member_transfer_bytes", _G, "bytes", _BOOKS, "bytes on a member's bill of the running month so far, by the member's number; those with the most (`metrics_members_max`), and `_other` for all the rest", {"member": ANY, "direction": ("ingress", "egress")}),
    Declared("weir_member_stored_bytes", _G, "bytes", _BOOKS, "what those members store as of the last shipped change, and `_other` all the rest", {"member": ANY}),
)  # fmt: skip
_OF_MONEY = (
    Declared("weir_billing_charged_minor", _G, "minor units", _BOOKS, "the running month as it would be charged now, by service", {"currency": ANY, "service": ANY}),
    Declared("weir_billing_cost_minor", _G, "minor units", _BOOKS, "what is booked to the running month, by cost pool", {"currency": ANY, "pool": ANY}),
    Declared("weir_billing_list_price_minor", _G, "minor units", _BOOKS, "what a provider's list prices make of all members' use of the running month as one customer, in the provider's own currency; see [prices](prices.md)", {"currency": ANY, "provider": ANY}),
    Declared("weir_billing_period_open_seconds", _G, "seconds", _BOOKS, "for how long the oldest month that is over has been waiting to be closed; 0: none is"),
    Declared("weir_billing_last_close_timestamp_seconds", _G, "seconds since 1970", _BOOKS, "when a month was last closed; 0: never"),
    Declared("weir_portal_requests_total", _C, "requests", _PORTAL, "pages the portal answered, by class of status", {"code": ("2xx", "3xx", "4xx", "5xx")}),
    Declared("weir_portal_mails_total", _C, "mails", _PORTAL, "mails with a link that was asked for, of a new way to sign in, or to an address that was a member's: dropped where too many waited, unknown where no member has the address", {"outcome": ("sent", "failed", "limited", "dropped", "unknown")}),
)  # fmt: skip
_OF_THE_MACHINE = (
    Declared("weir_postgres_up", _G, "0 or 1", _BOOKS, "whether PostgreSQL answered at the last look"),
    Declared("weir_postgres_size_bytes", _G, "bytes", _BOOKS, "the co-op's database on the disk"),
    Declared("weir_postgres_connections", _G, "connections", _BOOKS, "connections to the server"),
    Declared("weir_postgres_connections_max", _G, "connections", _BOOKS, "what it takes"),
    Declared("weir_postgres_oldest_transaction_seconds", _G, "seconds", _BOOKS, "age of the oldest transaction that is still open in the co-op's database"),
    Declared("weir_postgres_transactions_total", _C, "transactions", _BOOKS, "transactions of the co-op's database that ended", {"outcome": ("committed", "rolled_back")}),
    Declared("weir_postgres_deadlocks_total", _C, "deadlocks", _BOOKS, "deadlocks it broke"),
    Declared("weir_postgres_replicas", _G, "servers", _BOOKS, "replicas that are connected"),
    Declared("weir_postgres_replica_lag_seconds", _G, "seconds", _BOOKS, "how far the slowest of them is behind; 0 where there is none"),
    Declared("weir_ledger_age_seconds", _G, "seconds", _BOOKS, "how old the ledger exporter's numbers are; it asks every `metrics_ledger_every_s`, and keeps the last ones while PostgreSQL is away"),
    Declared("weir_ledger_seconds", _G, "seconds", _BOOKS, "how long it took to ask"),
    Declared("weir_host_disk_size_bytes", _G, "bytes", _UP, "the disk that holds the data directory"),
    Declared("weir_host_disk_available_bytes", _G, "bytes", _UP, "what is left on it"),
    Declared("weir_host_disk_files_available", _G, "files", _UP, "how many more files it takes"),
    Declared("weir_host_memory_bytes", _G, "bytes", _UP, "memory of the machine"),
    Declared("weir_host_memory_available_bytes", _G, "bytes", _UP, "memory that programs could still get"),
    Declared("weir_host_load", _G, "processes", _UP, "processes that ran or wanted to, mean of a minute"),
    Declared("weir_host_cores", _G, "cores", _UP, "cores this machine gives us"),
    Declared("weir_process_cpu_seconds_total", _C, "seconds", _UP, "processor time of our processes, ended ones included", _PROCESS),
    Declared("weir_process_resident_bytes", _G, "bytes", _UP, "memory they hold", _PROCESS),
    Declared("weir_process_open_descriptors", _G, "descriptors", _UP, "files and connections the one with the most holds open", _PROCESS),
    Declared("weir_process_descriptors_max", _G, "descriptors", _UP, "what that one may hold", _PROCESS),
    Declared("weir_backup_last_success_timestamp_seconds", _G, "seconds since 1970", _UP, "the moment that the last whole backup from here shows; 0: there never was one, or weir_backup_last_unreadable is 1"),
    Declared("weir_backup_last_duration_seconds", _G, "seconds", _UP, "how long it took"),
    Declared("weir_backup_last_size_bytes", _G, "bytes", _UP, "bytes of all files in it"),
    Declared("weir_backup_last_new_bytes", _G, "bytes", _UP, "of these, what was not there before"),
    Declared("weir_backup_last_damaged_files", _G, "files", _UP, "files that were damaged here when it was made; anything above 0 needs you"),
    Declared("weir_backup_last_unreadable", _G, "0 or 1", _UP, "1: backup.json in the data directory is there and cannot be read, so the last backup is not known"),
    Declared("weir_certificate_expiry_timestamp_seconds", _G, "seconds since 1970", _UP, "when the certificate ends that a file of `certificate_files` holds; 0: it cannot be read", {"file": ANY}),
    Declared("weir_child_restarts_total", _C, "restarts", _UP, "how often a child process was started again", {"child": ANY}),
    Declared("weir_metrics_snapshots_rejected_total", _C, "snapshots", _UP, "snapshots of a child that could not be read, or had too many series"),
    Declared("weir_build_info", _G, "1", _UP, "1, for what runs", {"python": ANY, "version": ANY}),
)  # fmt: skip
CHAPTERS: Mapping[str, tuple[Declared, ...]] = {
    "The S3 gateway": _OF_REQUESTS,
    "Storage": _OF_STORAGE,
    "Counting": _OF_COUNTING,
    "Members": _OF_MEMBERS,
    "Money and the portal": _OF_MONEY,
    "PostgreSQL, the machine and our processes": _OF_THE_MACHINE,
}
CATALOGUE: Mapping[str, Declared] = {one.name: one for chapter in CHAPTERS.values() for one in chapter}


def zeros(exporters: frozenset[Exporter]) -> dict[str, int]:
    """Counters that are known before they happen, so that the first time is a rise and not a beginning."""
    return {key: 0 for one in CATALOGUE.values() if one.exporter in exporters for key in one.zeros()}
