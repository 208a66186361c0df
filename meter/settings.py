"""Settings every room shares, and how a room reads its own: environment first, then weir.toml.

Names carry their unit. An environment variable is the setting's name in capitals after WEIR_.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from meter.logs import LogFormat


def config_file() -> Path:
    """The file that is read: WEIR_CONFIG, or weir.toml in the data directory."""
    named = os.environ.get("WEIR_CONFIG")
    return Path(named) if named else Path(os.environ.get("WEIR_DATA", "data")) / "weir.toml"


class RoomSettings(BaseSettings):
    """Base of each room's settings; rooms ignore each other's names, deploy checks the whole file."""

    model_config = SettingsConfigDict(env_prefix="WEIR_", extra="ignore", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment, then the file. No .env files, no secrets directory."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_file())

    @classmethod
    def read(cls) -> Self:
        """The settings in force for this process."""
        return cls()


class MeterSettings(RoomSettings):
    """What the counting core needs to know."""

    data: Path = Field(Path("data"), description="directory that holds everything Weir keeps on this machine")
    log_format: LogFormat = Field(
        LogFormat.TEXT, description="text: a line an event for people; json: an object a line for programs"
    )
    database_url: str = Field("", description="PostgreSQL to use; empty starts the embedded one")
    database_pool_max: int = Field(4, ge=1, le=100, description="connections a process keeps at most")
    database_timeout_s: int = Field(30, ge=1, le=3600, description="longest wait for one statement")
    journal_segment_bytes_max: int = Field(
        8 * 2**20, ge=2**16, le=2**30, description="a journal segment is sealed at this size"
    )
    journal_segment_age_max_s: int = Field(
        3600, ge=1, description="a segment with records is sealed at this age"
    )
    journal_sync_interval_ms: int = Field(
        200,
        ge=1,
        le=10_000,
        description="records are fsynced in groups this often; the most a power cut can lose",
    )
    journal_keep_months: int = Field(
        18,
        ge=0,
        le=1200,
        description="shipped segments are kept for so many whole months; 0 keeps them for ever",
    )
    samples_keep_months: int = Field(
        3,
        ge=0,
        le=1200,
        description="5-minute samples of a closed month are kept for so many whole months; 0 keeps them for ever",
    )
    ship_database_url: str = Field(
        "",
        description="where the shipper alone reaches PostgreSQL: a pooler by transaction; empty is database_url",
    )
    ship_interval_ms: int = Field(
        500, ge=10, le=60_000, description="how often the shipper looks for new records"
    )
    ship_interval_max_ms: int = Field(
        30_000, ge=10, le=600_000, description="how rarely it looks while PostgreSQL is slow"
    )
    ship_batch_records_max: int = Field(
        200_000, ge=1, le=1_000_000, description="records shipped in one transaction at most"
    )
    ship_retry_max_s: int = Field(
        30, ge=1, le=3600, description="longest pause between tries while Postgres is away"
    )

    @property
    def journal_directory(self) -> Path:
        """Where the streams are kept, one directory each."""
        return self.data / "journal"

    @property
    def heads_directory(self) -> Path:
        """Where the signed heads are kept, a file each."""
        return self.data / "heads"
