"""Settings: where each comes from, and one sentence for each mistake."""

from pathlib import Path

import pytest

from billing.settings import BillingSettings
from deploy.settings import (
    MASK,
    DeploySettings,
    WrongSetting,
    everything,
    fields,
    misspelt_variables,
    read,
    shown,
)
from gateway.settings import GatewaySettings
from meter.refusal import Refusal
from meter.settings import MeterSettings


@pytest.fixture(autouse=True)
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_DATA", str(tmp_path))
    monkeypatch.delenv("WEIR_CONFIG", raising=False)


def write(tmp_path: Path, text: str) -> None:
    (tmp_path / "weir.toml").write_text(text)


def sources() -> dict[str, tuple[str, str]]:
    return {row.name: (row.value, row.source) for row in everything(["data"])}


def test_each_setting_says_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "portal_port = 7001\ngateway_port = 7000\n")
    monkeypatch.setenv("WEIR_GATEWAY_PORT", "8000")
    found = sources()
    assert ("8000", "environment WEIR_GATEWAY_PORT") == found["gateway_port"]
    assert ("7001", "weir.toml") == found["portal_port"]
    assert ("9002", "default") == found["admin_port"]
    assert (str(tmp_path), "argument") == found["data"]


def test_every_setting_of_every_room_is_listed_once_with_words() -> None:
    names = [name for _, _, name in fields()]
    assert len(names) == len(set(names))
    assert {"gateway_port", "ship_interval_ms", "region", "login_link_ttl_minutes"} <= set(names)
    assert [] == [row.name for row in everything() if not row.description]


def test_a_name_that_two_rooms_share_means_the_same_in_both() -> None:
    """One line of weir.toml sets both, so what it says must be one thing."""
    told: dict[str, set[tuple[str, str]]] = {}
    for room in (DeploySettings, MeterSettings, GatewaySettings, BillingSettings):
        for name, field in room.model_fields.items():
            told.setdefault(name, set()).add((str(field.annotation), repr(field.default)))
    assert {} == {name: ways for name, ways in told.items() if len(ways) > 1}


def test_a_typo_names_the_nearest_setting(tmp_path: Path) -> None:
    write(tmp_path, "gatway_port = 1\n")
    with pytest.raises(WrongSetting) as refused:
        read(MeterSettings)
    assert f"{tmp_path}/weir.toml has an unknown setting gatway_port; did you mean gateway_port?" == str(
        refused.value
    )


def test_a_wrong_type_names_setting_value_source_and_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_GATEWAY_PORT", "ninety")
    with pytest.raises(WrongSetting, match=r"setting gateway_port is 'ninety' \(from environment WEIR_"):
        read(DeploySettings)


def test_a_value_out_of_bounds_names_the_bound(tmp_path: Path) -> None:
    write(tmp_path, "gateway_port = 70000\n")
    with pytest.raises(WrongSetting, match=r"70000 \(from weir.toml\): .*less than or equal to 65535"):
        read(DeploySettings)


def test_broken_toml_is_a_sentence(tmp_path: Path) -> None:
    write(tmp_path, "gateway_port = \n")
    with pytest.raises(WrongSetting, match="is not valid TOML"):
        read(DeploySettings)


def test_a_named_file_that_is_missing_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_CONFIG", "/nowhere/weir.toml")
    with pytest.raises(WrongSetting, match="there is no such file"):
        read(DeploySettings)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("database_url", "postgresql://weir:hunter2@db/weir", f"postgresql://weir:{MASK}@db/weir"),
        ("database_url", "postgresql://weir:hunt@r/2@[db/weir", f"postgresql://weir:{MASK}@[db/weir"),
        ("database_url", "postgresql://weir@db:5432/weir", "postgresql://weir@db:5432/weir"),
        ("smtp_password", "hunter2", MASK),
        ("session_secret", "", ""),
        ("gateway_url", "https://s3.example.org", "https://s3.example.org"),
    ],
)
def test_secrets_are_never_shown(name: str, value: str, expected: str) -> None:
    assert expected == shown(name, value)


def test_a_refused_address_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_PORTAL_URL", "https://anna:hunter2@portal.example")
    with pytest.raises(WrongSetting, match="no user and no password belong in it") as refused:
        read(BillingSettings)
    assert "hunter2" not in str(refused.value)


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "secrets"
    place.mkdir()
    monkeypatch.setenv("WEIR_SECRETS_DIRECTORY", str(place))
    return place


def test_a_file_holds_a_secret_and_goes_before_weir_toml_and_after_the_environment(
    tmp_path: Path, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, 'database_url = "postgresql://toml/weir"\n')
    (secrets / "weir_database_url").write_text("postgresql://file/weir\n")
    (secrets / "something_else").write_text("not ours")
    assert "postgresql://file/weir" == read(MeterSettings).database_url
    assert f"file {secrets}/weir_database_url" == sources()["database_url"][1]
    monkeypatch.setenv("WEIR_DATABASE_URL", "postgresql://environment/weir")
    assert "postgresql://environment/weir" == read(MeterSettings).database_url


def test_systemd_s_credentials_are_read_and_capitals_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "WEIR_DATABASE_URL").write_text("postgresql://credential/weir")
    assert "postgresql://credential/weir" == read(MeterSettings).database_url
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "never-made"))
    assert "" == read(MeterSettings).database_url


def test_an_empty_secret_is_refused_for_it_would_mean_another_database(secrets: Path) -> None:
    (secrets / "weir_database_url").write_text("\n")
    with pytest.raises(Refusal, match="weir_database_url is empty"):
        read(MeterSettings)


def test_a_typo_in_a_secret_s_name_is_refused(secrets: Path) -> None:
    (secrets / "weir_databse_url").write_text("postgresql://file/weir")
    with pytest.raises(WrongSetting, match="unknown setting databse_url; did you mean database_url"):
        read(MeterSettings)


def test_a_directory_of_secrets_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_SECRETS_DIRECTORY", "/nowhere")
    with pytest.raises(Refusal, match="WEIR_SECRETS_DIRECTORY is /nowhere"):
        read(MeterSettings)


@pytest.mark.parametrize(
    "text", ["[gateway]\nport = 9000\n", "[[portal]]\nport = 1\n", "[gateway_port]\n", "gateway.port = 1\n"]
)
def test_a_section_is_called_one_and_no_name_is_guessed(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(WrongSetting) as refused:
        read(MeterSettings)
    assert "weir.toml has a section [" in str(refused.value)
    assert "did you mean" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("WEIR_GATWAY_PORT", ["the variable WEIR_GATWAY_PORT sets nothing; did you mean WEIR_GATEWAY_PORT?"]),
        ("WEIR_PORTAL_ULR", ["the variable WEIR_PORTAL_ULR sets nothing; did you mean WEIR_PORTAL_URL?"]),
        ("WEIR_GATEWAY_PORT", []),
        ("weir_gateway_port", []),
        ("WEIR_CONFIG", []),
        ("WEIR_WORKER", []),
        ("WEIR_TEST_SEED", []),
        ("WEIRD_GATWAY_PORT", []),
        ("PATH", []),
    ],
)
def test_a_misspelt_variable_is_told_and_a_strange_one_is_not(variable: str, told: list[str]) -> None:
    assert told == misspelt_variables(["HOME", variable])
