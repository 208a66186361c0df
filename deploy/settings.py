"""The settings of running Weir on a machine, and the one list of every room's settings with its source.

It knows names, values and where they came from; what a setting means is the room's own matter.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError, field_validator

from billing.settings import BillingSettings
from deploy.addresses import check_names
from gateway.settings import GatewaySettings
from meter.public_url import public_url
from meter.refusal import Refusal
from meter.settings import ENVIRONMENT_PREFIX, MeterSettings, RoomSettings, config_file, secret_files

MASK = "********"
NEAR = 0.8
"""How alike a variable's name must be to a setting's to pass for a slip: 1 is the same."""
OTHER_VARIABLES = frozenset(
    f"{ENVIRONMENT_PREFIX}{name}"
    for name in (
        "CONFIG", "SECRETS_DIRECTORY", "GATEWAY_FD", "GATE_FD", "METRICS_FD", "PORTAL_FD", "WORKER", "WORKERS",
    )
)  # fmt: skip
"""Variables of ours that are no settings: where settings are, and what a parent tells its children."""


class WrongSetting(Refusal):
    """A setting has an unknown name, a wrong type or a value out of bounds; the sentence says which."""


class DeploySettings(RoomSettings):
    """Where to listen, how many workers, and how patient the supervisor is."""

    data: Path = Field(Path("data"), description="directory that holds everything Weir keeps on this machine")
    gateway_host: str = Field("127.0.0.1", description="address the S3 gateway listens on")
    gateway_port: int = Field(9000, ge=0, le=65535, description="port of the S3 gateway; 0 takes a free one")
    portal_host: str = Field("127.0.0.1", description="address the members' portal listens on")
    portal_port: int = Field(
        9001, ge=0, le=65535, description="port of the members' portal; 0 takes a free one"
    )
    admin_host: str = Field("127.0.0.1", description="address of metrics and health; keep it on the inside")
    admin_port: int = Field(
        9002, ge=0, le=65535, description="port of metrics and health; 0 takes a free one"
    )
    gateway_name: str = Field(
        "",
        description="how `weir gateway list` calls this gateway; empty: the machine's name and some of the id",
    )
    gateway_heartbeat_s: int = Field(
        10, ge=1, le=600, description="a gateway tells PostgreSQL this often that it is alive"
    )
    gateway_url: str = Field("", description="the gateway's public URL; empty is http:// and its address")
    workers: int = Field(
        0, ge=0, le=256, description="gateway processes; 0 is one for each core this machine gives us"
    )
    listen_backlog: int = Field(
        1024, ge=1, le=65535, description="connections that wait for one gateway worker at most"
    )
    postgres_bin: str = Field("", description="directory with PostgreSQL 18's programs; empty looks for them")
    postgres_user: str = Field(
        "", description="user the embedded PostgreSQL runs as when Weir is root; empty: postgres, else nobody"
    )
    postgres_start_timeout_s: int = Field(
        900, ge=5, description="longest wait for the embedded PostgreSQL, crash recovery included"
    )
    postgres_stop_timeout_s: int = Field(
        60, ge=1, description="longest wait for a fast shutdown of the embedded PostgreSQL"
    )
    postgres_connections_max: int = Field(
        60, ge=20, le=1000, description="connections of the embedded PostgreSQL"
    )
    postgres_shared_buffers_mb: int = Field(
        64, ge=16, le=65536, description="memory the embedded PostgreSQL keeps pages in, in MiB"
    )
    lock_timeout_s: int = Field(
        30, ge=1, le=3600, description="a command waits so long while another one uses the data directory"
    )
    child_start_timeout_s: int = Field(
        60, ge=1, le=3600, description="a worker, the shipper or the portal must be ready in this time"
    )
    worker_stop_timeout_s: int = Field(
        90, ge=1, le=86_400, description="at a stop, a worker gets so long to finish open exchanges"
    )
    child_stop_timeout_s: int = Field(
        30, ge=1, le=3600, description="at a stop, shipper and portal get so long each"
    )
    stop_notice_s: int = Field(
        0, ge=0, le=600, description="at a stop, readiness says no for so long before the draining begins"
    )
    restart_pause_min_ms: int = Field(
        200, ge=10, le=60_000, description="pause before an ended child is started again; doubles each time"
    )
    restart_pause_max_s: int = Field(
        30, ge=1, le=3600, description="longest pause before a child is started again"
    )
    restarts_max: int = Field(
        8, ge=1, le=1000, description="a child that ends so often in a row stops Weir with a sentence"
    )
    restart_forgiven_s: int = Field(
        60, ge=1, description="a child that ran so long starts again with a clean slate"
    )
    log_bytes_max: int = Field(
        16 * 2**20, ge=2**16, description="a log file is moved aside at this size; one older one is kept"
    )
    log_line_bytes_max: int = Field(
        64 * 1024, ge=1024, description="a longer line in a child's output is cut"
    )
    metrics_line_bytes_max: int = Field(
        2**20, ge=4096, description="largest snapshot of counters taken from a child"
    )
    backup_passphrase_file: str = Field(
        "",
        description="file whose first line seals backups; it lies neither beside them nor in the data directory",
    )
    metrics_series_max: int = Field(
        2000, ge=10, description="series taken from one child at most; a snapshot with more is dropped"
    )
    metrics_members_max: int = Field(
        500,
        ge=0,
        le=10_000,
        description="members that metrics name, those with most traffic; the rest is one line",
    )
    metrics_ledger_every_s: int = Field(
        60, ge=1, le=86_400, description="how often PostgreSQL is asked for metrics of members and of itself"
    )
    metrics_money_every_s: int = Field(
        900, ge=1, le=86_400, description="how often the running month is rated for metrics of money"
    )
    founder_link_ttl_minutes: int = Field(
        2880, ge=1, le=10_080, description="the first sign-in links that `weir found` makes work for so long"
    )
    certificate_files: str = Field(
        "", description="PEM files whose certificates' ends are told as metrics; split by ','"
    )

    @field_validator("gateway_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        return public_url(value)

    def worker_count(self) -> int:
        """How many gateway workers to run: as set, else one for each core we may use."""
        return self.workers or len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One line of `weir config show`."""

    name: str
    value: str
    source: str
    """'argument', 'environment WEIR_X', 'file PATH', 'weir.toml' or 'default'."""
    description: str
    room: str


ROOMS: tuple[tuple[str, type[RoomSettings]], ...] = (
    ("deploy", DeploySettings),
    ("meter", MeterSettings),
    ("gateway", GatewaySettings),
    ("billing", BillingSettings),
)
Room = TypeVar("Room", bound=RoomSettings)
_SECRET_WORDS = ("secret", "password", "token")


def fields() -> Iterator[tuple[str, type[RoomSettings], str]]:
    """(room, class, name) of every setting once; one that several rooms share is the first room's."""
    seen: set[str] = set()
    for room, kind in ROOMS:
        for name in kind.model_fields:
            if name not in seen:
                seen.add(name)
                yield room, kind, name


def read(kind: type[Room]) -> Room:
    """A room's settings in force. Raises WrongSetting with one sentence."""
    check_file()
    try:
        return kind.read()
    except ValidationError as error:
        raise WrongSetting(sentence(error)) from None


def sentence(error: ValidationError) -> str:
    """The first of pydantic's complaints as one sentence naming setting, value and rule."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "settings"
    given = MASK if is_secret(name) else _without_password(repr(first["input"]))
    rule = first["msg"].removeprefix("Value error, ")
    return f"setting {name} is {given} (from {source_of(name, ())}): {rule[:1].lower()}{rule[1:]}"


def check_file() -> None:
    """Raises WrongSetting when weir.toml cannot be read, or it or a secret file has a name no room knows."""
    known = sorted(name for _, _, name in fields())
    values = file_values()
    for name, value in values.items():
        if isinstance(value, dict) or (
            isinstance(value, list) and any(isinstance(one, dict) for one in value)
        ):
            raise WrongSetting(
                f"{config_file()} has a section [{name}], and settings stand in none: take that line out and write each "
                "setting by its whole name, as `weir config show` lists them"
            )
    named = [(name, str(config_file())) for name in values]
    named += [(name, str(path.parent)) for name, path in secret_files().items()]
    for name, where in named:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; `weir config show` lists all names"
            raise WrongSetting(f"{where} has an unknown setting {name}{hint}")


def misspelt_variables(environment: Iterable[str]) -> list[str]:
    """A sentence for each WEIR_ variable that sets nothing and is nearly a setting's name.

    Told, not refused, and only where a name is near: other programs may have variables that begin so.
    """
    known = sorted(f"{ENVIRONMENT_PREFIX}{name.upper()}" for _, _, name in fields())
    found = []
    for variable in sorted(environment):
        name = variable.upper()
        if not name.startswith(ENVIRONMENT_PREFIX) or name in known or name in OTHER_VARIABLES:
            continue
        if near := difflib.get_close_matches(
            name.removeprefix(ENVIRONMENT_PREFIX), _bare(known), n=1, cutoff=NEAR
        ):
            found.append(f"the variable {variable} sets nothing; did you mean {ENVIRONMENT_PREFIX}{near[0]}?")
    return found


def _bare(names: Iterable[str]) -> list[str]:
    return [name.removeprefix(ENVIRONMENT_PREFIX) for name in names]


def check_addresses() -> None:
    """Whether the portal's name is apart from those that show members' files. Raises SharedName, WrongSetting."""
    deploy, billing, gateway = read(DeploySettings), read(BillingSettings), read(GatewaySettings)
    host = f"[{deploy.gateway_host}]" if ":" in deploy.gateway_host else deploy.gateway_host
    check_names(
        gateway_url=deploy.gateway_url or f"http://{host}:{deploy.gateway_port}",
        portal_url=billing.portal_url, host_suffix=gateway.host_suffix,
        website_suffix=gateway.website_suffix, website_domains=gateway.website_domains,
    )  # fmt: skip


def file_values() -> dict[str, object]:
    """What weir.toml says; empty when there is none. Raises WrongSetting."""
    path = config_file()
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if os.environ.get("WEIR_CONFIG"):
            raise WrongSetting(f"WEIR_CONFIG names {path}, and there is no such file") from None
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongSetting(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise WrongSetting(f"{path} cannot be read: {error.strerror}") from None


def source_of(name: str, arguments: Sequence[str]) -> str:
    """Where a setting's value comes from."""
    variable = ENVIRONMENT_PREFIX + name.upper()
    if name in arguments:
        return "argument"
    # Environment names are read without regard to case, as pydantic-settings does.
    if any(key.upper() == variable for key in os.environ):
        return f"environment {variable}"
    if (file := secret_files().get(name)) is not None:
        return f"file {file}"
    return "weir.toml" if name in file_values() else "default"


def is_secret(name: str) -> bool:
    """Whether a value is never printed."""
    return any(word in name.split("_") for word in _SECRET_WORDS)


def shown(name: str, value: object) -> str:
    """A value as it may be printed: secrets masked, also the password inside a URL."""
    text = str(value)
    if is_secret(name) and text:
        return MASK
    return _without_password(text)


def _without_password(text: str) -> str:
    """A URL's password masked, also where the URL is none that a parser would take."""
    return re.sub(r"(://[^:@]*:).+@", rf"\1{MASK}@", text)


def everything(arguments: Sequence[str] = ()) -> list[SettingRow]:
    """Every setting of every room, as it is in force; `arguments` were given on the command line."""
    in_force = {kind: read(kind) for _, kind in ROOMS}
    return [
        SettingRow(
            name=name,
            value=shown(name, getattr(in_force[kind], name)),
            source=source_of(name, arguments),
            description=kind.model_fields[name].description or "",
            room=room,
        )
        for room, kind, name in fields()
    ]
