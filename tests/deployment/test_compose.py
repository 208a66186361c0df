"""deploy/compose.yaml held to the schema of compose files, and to the settings, files, ports and commands it names."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.settings import DeploySettings, fields
from meter.settings import MeterSettings
from tests.deployment.dockerfile import lets_in
from tests.deployment.tools import has_nothing_to_say, tool
from tests.house.test_written_pages import commands_there
from tests.ordinary import ROOT

DEPLOY = ROOT / "deploy"
FILE = DEPLOY / "compose.yaml"
NO_SETTINGS = {"WEIR_SECRETS_DIRECTORY"}
"""Read before there are settings."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return document


@pytest.fixture(scope="module")
def ours(compose: dict[str, Any]) -> dict[str, Any]:
    """The services that are Weir."""
    return {name: one for name, one in compose["services"].items() if "build" in one}


def test_it_is_a_compose_file() -> None:
    has_nothing_to_say(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", FILE)


def test_two_gateways_and_what_belongs_to_them(compose: dict[str, Any], ours: dict[str, Any]) -> None:
    assert {"migrate", "coop", "gateway"} == set(ours)
    others = {"postgres", "caddy", "prometheus", "alertmanager", "grafana"}
    assert others == set(compose["services"]) - set(ours)


def test_every_setting_is_one_and_fits(ours: dict[str, Any]) -> None:
    kinds = {f"WEIR_{name.upper()}": (kind, name) for _, kind, name in fields()}
    for service in ours.values():
        for variable, value in service["environment"].items():
            if variable in NO_SETTINGS:
                continue
            kind, name = kinds[variable]
            if "$" not in value:
                kind(**{name: value})
    assert {"WEIR_DATABASE_URL"} <= {one["target"] for service in ours.values() for one in service["secrets"]}
    assert {one["target"] for service in ours.values() for one in service["secrets"]} <= set(kinds)


def test_every_command_is_one(ours: dict[str, Any]) -> None:
    words = {
        name: [one for one in service["command"] if not one.startswith(("-", "/"))]
        for name, service in ours.items()
    }
    assert {"db migrate", "up", "gateway run"} == {" ".join(one) for one in words.values()}
    assert {" ".join(one) for one in words.values()} <= commands_there()


def test_every_file_it_mounts_is_there_and_read_only(compose: dict[str, Any]) -> None:
    mounts = [one for service in compose["services"].values() for one in service.get("volumes", [])]
    files = [one.split(":") for one in mounts if one.startswith("./")]
    assert len(files) >= 7
    for path, _, *mode in files:
        assert (DEPLOY / path).exists(), path
        assert ["ro"] == mode, path
    assert {one.split(":")[0] for one in mounts if not one.startswith("./")} == set(compose["volumes"])


def test_ports_agree_with_the_settings_and_the_configurations(
    compose: dict[str, Any], ours: dict[str, Any]
) -> None:
    port = {
        name: DeploySettings.model_fields[f"{name}_port"].default for name in ("gateway", "portal", "admin")
    }
    caddy = compose["services"]["caddy"]["environment"]
    assert (f"coop:{port['gateway']}", f"gateway:{port['gateway']}") == (
        caddy["WEIR_GATEWAY_A"],
        caddy["WEIR_GATEWAY_B"],
    )
    assert f"coop:{port['portal']}" == caddy["WEIR_PORTAL"]
    for variable in caddy:
        assert f"{{${variable}:" in (DEPLOY / "caddy" / "Caddyfile").read_text()
    for name in ("coop", "gateway"):
        assert f"127.0.0.1:{port['admin']}/readyz" in ours[name]["healthcheck"]["test"][-1]
    prometheus = yaml.safe_load((DEPLOY / "compose" / "prometheus.yml").read_text())
    targets = prometheus["scrape_configs"][0]["static_configs"][0]["targets"]
    assert [f"coop:{port['admin']}", f"gateway:{port['admin']}"] == targets
    assert "alertmanager:9093" in json.dumps(prometheus["alerting"])
    source = yaml.safe_load((DEPLOY / "compose" / "datasource.yaml").read_text())["datasources"][0]
    assert "http://prometheus:9090" == source["url"]


def test_copies_differ_from_what_they_are_copies_of_in_names_of_containers_only() -> None:
    for copy, original in (("prometheus.yml", "prometheus/prometheus.yml"), ("datasource.yaml", "grafana/provisioning/datasources/weir.yaml")):  # fmt: skip
        texts = [(DEPLOY / one).read_text() for one in (f"compose/{copy}", original)]
        bare = [
            re.sub(r"\[.*\]", "", re.sub(r"(?m)^#.*\n", "", one)).replace("127.0.0.1", "prometheus")
            for one in texts
        ]
        assert bare[0] == bare[1]


def test_prometheus_takes_the_configuration_as_it_is_mounted(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "compose" / "prometheus.yml", tmp_path)
    shutil.copytree(DEPLOY / "prometheus" / "rules", tmp_path / "rules")
    has_nothing_to_say(tool("promtool"), "check", "config", tmp_path / "prometheus.yml")


def test_nothing_waits_for_a_health_that_nobody_asks(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in services[other]["healthcheck"], (name, other)
            else:
                assert ("service_completed_successfully", "no") == (
                    how["condition"],
                    services[other]["restart"],
                )
    assert {"migrate"} == {name for name, one in services.items() if "test" not in one["healthcheck"]}


def test_what_is_published_is_what_members_and_this_machine_need(compose: dict[str, Any]) -> None:
    published = {name: one["ports"] for name, one in compose["services"].items() if "ports" in one}
    assert {"caddy": ["80:80", "443:443"], "grafana": ["127.0.0.1:3000:3000"]} == published
    assert ["back"] == compose["services"]["postgres"]["networks"]
    assert compose["networks"]["back"]["internal"]


def test_caddy_alone_is_believed(compose: dict[str, Any], ours: dict[str, Any]) -> None:
    front = compose["networks"]["front"]["ipam"]["config"][0]["subnet"]
    assert {front} == {one["environment"]["WEIR_TRUSTED_PROXIES"] for one in ours.values()}
    assert {"caddy", "coop", "gateway"} == {
        name for name, one in compose["services"].items() if "front" in one["networks"]
    }


def test_images_are_pinned_and_everything_has_limits(compose: dict[str, Any], ours: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory", "pids"} == set(limits), name
        assert "max-size" in service["logging"]["options"], name
        if name not in ours:
            assert re.search(r":v?\d+\.\d+(\.\d+)?(-\w+)?$", service["image"]), service["image"]


def test_a_stop_has_the_time_the_settings_promise(ours: dict[str, Any]) -> None:
    deploy = DeploySettings.model_fields
    notice = int(ours["coop"]["environment"]["WEIR_STOP_NOTICE_S"])
    longest = notice + deploy["worker_stop_timeout_s"].default + 2 * deploy["child_stop_timeout_s"].default
    longest += MeterSettings.model_fields["database_timeout_s"].default
    assert {"5m"} == {one["stop_grace_period"] for one in ours.values()}
    assert longest < 300


def test_weir_runs_with_nothing_it_does_not_need(ours: dict[str, Any]) -> None:
    for service in ours.values():
        assert service["read_only"]
        assert ["ALL"] == service["cap_drop"]
        assert "cap_add" not in service
        assert ["no-new-privileges:true"] == service["security_opt"]


def test_secrets_are_files_that_leave_the_machine_in_no_image_and_no_commit(compose: dict[str, Any]) -> None:
    for one in compose["secrets"].values():
        assert one["file"].startswith("./compose/secrets/")
    assert "/deploy/compose/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    assert not lets_in(rules, "deploy/compose/secrets/database_url")
    assert lets_in(rules, "deploy/compose.yaml")
    named = {
        name
        for one in compose["services"].values()
        for name in one.get("environment", {})
        if "PASSWORD" in name
    }
    assert {"POSTGRES_PASSWORD_FILE", "GF_SECURITY_ADMIN_PASSWORD__FILE"} == named
