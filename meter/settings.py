"""Settings every room shares, and how a room reads its own: environment first, then secret files, then weir.toml.

Names carry their unit. An environment variable is the setting's name in capitals after WEIR_.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from meter.logs import LogFormat
from meter.refusal import Refusal

ENVIRONMENT_PREFIX = "WEIR_"


def config_file() -> Path:
    """The file that is read: WEIR_CONFIG, or weir.toml in the data directory."""
    named = os.environ.get("WEIR_CONFIG")
    return Path(named) if named else Path(os.environ.get("WEIR_DATA", "data")) / "weir.toml"


class WrongSecretFile(Refusal):
    """A file that should hold a setting does not, or there is no such directory; the sentence names it."""


def secret_files() -> dict[str, Path]:
    """Files that hold one setting each, by its name: those called like its environment variable, in small letters or large.

    They lie where WEIR_SECRETS_DIRECTORY says, else where systemd put what LoadCredential= names. Raises WrongSecretFile.
    """
    named = os.environ.get("WEIR_SECRETS_DIRECTORY")
    place = named or os.environ.get("CREDENTIALS_DIRECTORY")
    if not place:
        return {}
    try:
        names = sorted(os.listdir(place))
    except OSError as error:
        if not named:
            return {}
        raise WrongSecretFile(
            f"WEIR_SECRETS_DIRECTORY is {place}, and that cannot be read: {error.strerror}"
        ) from None
    ours = (name for name in names if name.upper().startswith(ENVIRONMENT_PREFIX))
    return {name[len(ENVIRONMENT_PREFIX) :].lower(): Path(place, name) for name in ours}


def secret_text(path: Path) -> str:
    """What a secret file holds, without the line's end. Raises WrongSecretFile, also for an empty one.

    Empty is what a failed deployment leaves behind, and would mean "none": another database, for example.
    """
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongSecretFile(f"{path} cannot be read: {error}") from None
    if not text:
        raise WrongSecretFile(f"{path} is empty, and should hold a setting; remove it or write it")
    return text


class SecretFiles(PydanticBaseSettingsSource):
    """Settings out of secret files."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str | None, str, bool]:
        """A setting's text, None where no file holds it."""
        del field
        path = secret_files().get(field_name)
        return (None if path is None else secret_text(path)), field_name, False

    def __call__(self) -> dict[str, object]:
        """All that files hold of these settings."""
        files = secret_files()
        return {name: secret_text(files[name]) for name in self.settings_cls.model_fields if name in files}


class RoomSettings(BaseSettings):
    """Base of each room's settings; rooms ignore each other's names, deploy checks the whole file."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, extra="ignore", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment, then a file for each secret, then weir.toml. No .env files."""
        del dotenv_settings, file_secret_settings
        toml = TomlConfigSettingsSource(settings_cls, config_file())
        return init_settings, env_settings, SecretFiles(settings_cls), toml

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
