"""Settings: where each comes from, and one sentence for each mistake."""

from pathlib import Path

import pytest

from deploy.settings import MASK, DeploySettings, WrongSetting, everything, fields, read, shown
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
        ("smtp_password", "hunter2", MASK),
        ("session_secret", "", ""),
        ("gateway_url", "https://s3.example.org", "https://s3.example.org"),
    ],
)
def test_secrets_are_never_shown(name: str, value: str, expected: str) -> None:
    assert expected == shown(name, value)
