"""The gateway's settings."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from gateway.zones import parse_networks
from meter.proxies import parse_proxies
from meter.settings import RoomSettings

NO_DISK = "none"
"""As disk_home: the co-op's disk is on another machine."""


class Durability(StrEnum):
    """What a write that was answered may still lose to a power cut."""

    STRICT = "strict"
    """Nothing: bytes, name and index are on the disk before the answer."""
    RELAXED = "relaxed"
    """The answer does not wait for the disk; docs/operators/machine.md says what that may cost."""


class GatewaySettings(RoomSettings):
    """Limits and places of the S3 door. Every body, queue and cache has its limit here."""

    data: Path = Field(Path("data"), description="directory that holds everything Weir keeps on this machine")
    disk_home: str = Field(
        "",
        description="data directory on this machine whose disk engine keeps the objects; empty: this gateway's own; "
        "'none': this gateway reaches no disk, and serves buckets of other engines only",
    )
    region: str = Field(
        "us-east-1", description="region name clients sign for; any other is refused with this one"
    )
    host_suffix: str = Field("", description="bucket.SUFFIX/key also addresses a bucket; empty: paths only")
    website_suffix: str = Field(
        "", description="http://bucket.SUFFIX/ shows a bucket's website; must not be host_suffix; empty: off"
    )
    website_domains: str = Field(
        "", description="hosts that are websites as a whole, of the buckets of the same names; split by ','"
    )
    object_bytes_max: int = Field(
        5 * 2**40, ge=1, description="largest object, also when completed from parts"
    )
    put_bytes_max: int = Field(5 * 2**30, ge=1, description="largest body of one PUT or one part")
    part_bytes_min: int = Field(5 * 2**20, ge=1, description="smallest part but the last")
    parts_max: int = Field(10_000, ge=1, le=10_000, description="most parts of one upload")
    document_bytes_max: int = Field(2 * 2**20, ge=1024, description="largest XML body")
    list_keys_max: int = Field(1000, ge=1, le=1000, description="most keys in one page of a listing")
    delete_keys_max: int = Field(1000, ge=1, le=1000, description="most keys in one DeleteObjects")
    metadata_bytes_max: int = Field(
        2048, ge=1, description="most bytes of x-amz-meta-* names and values together"
    )
    durability: Durability = Field(
        Durability.STRICT,
        description="strict: a write is on the disk before its answer; relaxed: a power cut may take "
        "the last writes",
    )
    inline_bytes_max: int = Field(
        16 * 1024, ge=0, le=2**20, description="objects up to this size live in the index"
    )
    clock_skew_max_s: int = Field(
        900, ge=1, description="largest difference between a request's date and our clock"
    )
    presign_max_s: int = Field(604_800, ge=1, description="longest life of a presigned request")
    receive_timeout_s: int = Field(60, ge=1, description="a body that moves no byte for so long is given up")
    receive_block_bytes: int = Field(
        256 * 1024, ge=4096, description="a body is hashed and written in such blocks"
    )
    receive_memory_bytes: int = Field(
        32 * 2**20,
        ge=0,
        description="memory of a worker for long bodies that come in: with few at once their blocks are larger "
        "than receive_block_bytes",
    )
    receive_memory_bytes_max: int = Field(
        256 * 2**20,
        ge=2**20,
        description="what the blocks of all long bodies of a worker may take; a body beyond it is SlowDown",
    )
    memory_bytes_max: int = Field(
        0,
        ge=0,
        description="memory of a worker, without pages of files, above which new bodies are SlowDown; 0: its part of half "
        "of what the machine or its control group has",
    )
    send_buffer_bytes: int = Field(
        384 * 1024,
        ge=0,
        description="what the kernel may hold of an answer on its way; twice this, and the 256 KiB of one call, is the "
        "most a kill -9 leaves unbilled of a download. More is faster to far receivers; 0 leaves it to the kernel",
    )
    receive_buffer_bytes: int = Field(
        256 * 1024,
        ge=0,
        description="what the kernel may hold of a body nobody has read yet; twice this, and up to 384 KiB that a "
        "worker was just reading, is the most a kill -9 leaves unbilled of an upload. More is faster from far "
        "senders; 0 leaves it to the kernel",
    )
    send_timeout_s: int = Field(60, ge=1, description="a receiver that takes no byte for so long is given up")
    peer_silence_timeout_s: int = Field(
        40,
        ge=0,
        le=7200,
        description="a client whose machine answers nothing for so long is gone: its upload ends there and is billed what "
        "came. At receive_timeout_s or more that one comes first; 0 leaves it to the kernel",
    )
    transfer_bytes_per_s_min: int = Field(
        256,
        ge=0,
        description="a client slower than this over a whole timeout, while we wait for it, is given up",
    )
    header_timeout_s: int = Field(
        30, ge=1, description="a connection idle or without whole headers for so long is closed"
    )
    trusted_proxies: str = Field(
        "",
        description="networks of proxies whose X-Forwarded-For and -Proto count, as 10.0.0.1/32, comma-separated",
    )
    checkpoint_bytes: int = Field(
        64 * 2**20, ge=2**20, description="a transfer is recorded whenever so many bytes have moved"
    )
    checkpoint_interval_s: int = Field(
        5, ge=1, le=600, description="a transfer that moves bytes is recorded this often"
    )
    zones_own: str = Field(
        "",
        description="networks of the co-op's own: bytes from and to them are counted apart, as 10.0.0.0/8, comma-separated",
    )
    zones_peering: str = Field(
        "", description="networks reached by peering, likewise; the most specific network decides"
    )
    connections_max: int = Field(
        4096,
        ge=1,
        description="connections a worker keeps open at most, and fewer where it may not open so many files; more are "
        "told 503 and closed",
    )
    address_connections_max: int = Field(
        1024,
        ge=0,
        description="of these, connections from one address (of IPv6: one /64); trusted_proxies have no such limit; 0: none",
    )
    exchanges_max: int = Field(
        2048, ge=1, description="requests under way in a worker at most; more is SlowDown"
    )
    address_requests_per_s: int = Field(
        0,
        ge=0,
        description="requests a second from one address (of IPv6: one /64); more is SlowDown. A gateway's number, of which "
        "each worker has an equal part; 0: no limit",
    )
    member_requests_per_s: int = Field(
        0,
        ge=0,
        description="requests a second that one member signs, and as many that nobody signs to the member's buckets; "
        "likewise. `weir member rate` sets a member's own",
    )
    member_bytes_per_s: int = Field(
        0,
        ge=0,
        description="body bytes a second of these requests, both directions together; long transfers are held to it, and "
        "where much is owed new requests are SlowDown; likewise",
    )
    rate_burst_s: int = Field(
        10, ge=1, le=3600, description="after a rest, what comes up in so many seconds may be used at once"
    )
    rate_keys_max: int = Field(
        65_536, ge=1, description="addresses, and members, whose rates a worker keeps in mind at most"
    )
    drain_bytes_max: int = Field(256 * 1024, ge=0, description="unread body taken in after an early error")
    goodbye_ms: int = Field(
        1000,
        ge=0,
        le=60_000,
        description="at a stop, clients that keep a connection get so long to send once more and be told to close it",
    )
    drain_timeout_s: int = Field(60, ge=0, description="at a stop, open exchanges get so long to finish")
    directory_poll_s: int = Field(
        5, ge=1, description="the directory is asked for changes at least this often, should no notice arrive"
    )
    directory_stale_max_s: int = Field(
        0,
        ge=0,
        description="with PostgreSQL away for longer, signed requests are answered 503, for a key may have been "
        "revoked; 0: they are served for as long as it takes",
    )
    disk_free_bytes_min: int = Field(
        256 * 2**20,
        ge=0,
        description="objects are refused when less would be free on their disk: index and journal must find room",
    )
    cap_poll_s: int = Field(
        10, ge=1, description="what capped members were sent on other machines is asked for this often"
    )
    blob_delete_delay_s: int = Field(
        600, ge=0, description="replaced and deleted files stay so long for open readers"
    )
    commit_batch_max: int = Field(256, ge=1, description="index changes in one group commit")
    commit_queue_max: int = Field(4096, ge=1, description="index changes waiting at most; more is SlowDown")
    index_busy_timeout_s: int = Field(
        10, ge=1, le=600, description="longest wait for another worker's index change; more is SlowDown"
    )
    disk_threads_max: int = Field(
        8, ge=1, le=256, description="threads of a worker that read and write files at once"
    )
    reader_files_max: int = Field(
        64, ge=1, le=10_000, description="files a reader of an object of many parts keeps open"
    )
    collect_files_max: int = Field(
        1000, ge=1, le=100_000, description="deleted files taken off the disk in one round"
    )
    damage_reported_max: int = Field(
        1000, ge=1, le=100_000, description="damaged objects a sweep lists by name; all are counted"
    )
    lifecycle_interval_s: int = Field(
        3600, ge=1, description="pause between two looks through the buckets that have lifecycle rules"
    )
    lifecycle_batch_max: int = Field(
        250,
        ge=1,
        le=1000,
        description="versions or uploads looked at, and removed, in one step of such a look",
    )
    lifecycle_pause_ms: int = Field(
        50, ge=0, le=60_000, description="rest between two such steps, so that members' requests go first"
    )
    scrub_bytes_per_s: int = Field(
        8 * 2**20, ge=0, description="pace at which stored bytes are read again and compared; 0: never"
    )
    scrub_interval_s: int = Field(
        604_800, ge=0, description="a round over all stored bytes begins so long after the one before began"
    )
    upload_tombstone_s: int = Field(
        86_400, ge=0, description="a completed upload answers a repeated Complete so long"
    )
    upstream_connections_max: int = Field(
        256, ge=1, description="connections a worker keeps to one upstream engine at most"
    )
    upstream_waiting_max: int = Field(
        1024, ge=0, description="requests that wait for such a connection at most; more is SlowDown"
    )
    upstream_connect_timeout_s: int = Field(
        5, ge=1, description="an upstream that takes no connection for so long has failed"
    )
    upstream_timeout_s: int = Field(
        30, ge=1, description="an upstream that moves no byte for so long while we wait for it has failed"
    )
    upstream_idle_s: int = Field(
        20, ge=1, description="a connection to an upstream nobody used for so long is closed"
    )
    upstream_attempts_max: int = Field(
        3, ge=1, le=10, description="a request that may be done twice is sent to an upstream so often at most"
    )
    upstream_hedge_after_ms: int = Field(
        0,
        ge=0,
        description="a read whose answer has not begun by then is asked a second time, and who answers first is taken; "
        "0: never",
    )
    upstream_verify_etag: bool = Field(
        default=True,
        description="the ETag an upstream tells of a long body is held against the MD5 of what it was sent. Off saves half "
        "of a worker's processor time for such a write; https still protects the bytes on their way",
    )
    upstream_failures_max: int = Field(
        10, ge=1, description="after so many failures in a row an upstream is left alone, but for a probe"
    )
    upstream_sums_poll_s: int = Field(
        10, ge=1, description="what is stored on upstreams is read from PostgreSQL this often, for limits"
    )
    upstream_rest_s: int = Field(5, ge=1, description="and so long after the last failure it is probed")

    inventory_interval_s: int = Field(
        86_400, ge=60, description="pause between two inventories of engines other than the disk"
    )
    move_hold_max_s: int = Field(
        10, ge=1, le=300, description="longest wait of writes to a bucket while it changes its engine"
    )
    move_keys_max: int = Field(
        100_000,
        ge=1,
        description="keys a worker notes of a bucket on its way; more, and all of it is compared again",
    )
    move_last_keys_max: int = Field(
        500, ge=1, description="a bucket changes its engine once so few keys were written since the last pass"
    )
    move_passes_max: int = Field(
        50, ge=1, description="passes over what changed before a move gives way; it can be gone on with"
    )
    move_copies_max: int = Field(8, ge=1, le=256, description="keys copied at once by a move")

    @field_validator("website_suffix")
    @classmethod
    def _is_not_the_endpoints(cls, value: str, info: ValidationInfo) -> str:
        if value and value.lower() == info.data.get("host_suffix", "").lower():
            raise ValueError("must not be host_suffix: a host either shows pages or is an S3 endpoint")
        return value

    tracing_url: str = Field(
        "", pattern=r"^(https?://[^/@\s]+(/\S*)?)?$",
        description="where traces are sent, as http://127.0.0.1:4318/v1/traces (OTLP over HTTP, in JSON); empty: tracing is off",
    )  # fmt: skip
    tracing_per_million: int = Field(
        10_000, ge=0, le=1_000_000,
        description="of a million requests about which no trusted proxy has decided (traceparent), so many are traced",
    )  # fmt: skip
    tracing_spans_max: int = Field(
        4096, ge=1, description="spans of a worker that wait to be sent at most; the oldest go first"
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        parse_proxies(value)
        return value

    @field_validator("zones_own")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        parse_networks(value)
        return value

    @field_validator("zones_peering")
    @classmethod
    def _is_another_zone(cls, value: str, info: ValidationInfo) -> str:
        both = set(parse_networks(value)) & set(parse_networks(info.data.get("zones_own", "")))
        if both:
            raise ValueError(f"{min(map(str, both))} is in zones_own too: a network has one zone")
        return value

    @property
    def engine_directory(self) -> Path:
        """Where the disk engine keeps index and blobs."""
        return self._home / "engine"

    @property
    def has_disk(self) -> bool:
        """Whether buckets on the disk can be served here."""
        return self.disk_home != NO_DISK

    @property
    def engine_journal_directory(self) -> Path:
        """The journal that has the engine's changes of stored bytes: it stays with the disk, whoever serves from it."""
        return self._home / "journal"

    @property
    def _home(self) -> Path:
        return Path(self.disk_home) if self.disk_home not in ("", NO_DISK) else self.data
