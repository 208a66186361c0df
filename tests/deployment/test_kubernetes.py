"""deploy/kubernetes built by kustomize, held to the schemas of Kubernetes, and to the settings and ports it names."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.settings import DeploySettings, fields
from gateway.settings import GatewaySettings
from meter.settings import MeterSettings
from tests.deployment.tools import has_nothing_to_say, tool
from tests.house.test_written_pages import commands_there
from tests.ordinary import ROOT

PLACE = ROOT / "deploy" / "kubernetes"
BUILDS = ("base", "overlays/example")
Documents = list[dict[str, Any]]


def built(name: str) -> str:
    """What `kubectl apply -k` would send. kubectl is no package of Debian's, so CI does without it where it is not."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(
        [kubectl, "kustomize", PLACE / name], capture_output=True, text=True, timeout=60, check=False
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


@pytest.fixture(params=BUILDS)
def documents(request: pytest.FixtureRequest) -> Documents:
    return list(yaml.safe_load_all(built(request.param)))


def of(documents: Documents, kind: str) -> Documents:
    return [one for one in documents if one["kind"] == kind]


def pods(documents: Documents) -> dict[str, dict[str, Any]]:
    return {
        one["metadata"]["name"]: one["spec"]["template"]
        for one in documents
        if one["kind"] in ("Deployment", "StatefulSet")
    }


def settings(documents: Documents) -> dict[str, Any]:
    (config,) = of(documents, "ConfigMap")
    return tomllib.loads(config["data"]["weir.toml"])


def test_every_source_is_yaml_that_schemas_know(tmp_path: Path) -> None:
    sources = [
        one for one in PLACE.rglob("*.yaml") if one.name not in ("kustomization.yaml", "podmonitor.yaml")
    ]
    assert len(sources) >= 4
    has_nothing_to_say(tool("kubernetes-validate"), "--strict", "--quiet", *sources)


@pytest.mark.parametrize("name", BUILDS)
def test_what_kustomize_builds_fits_the_schemas(name: str, tmp_path: Path) -> None:
    (tmp_path / "built.yaml").write_text(built(name))
    has_nothing_to_say(tool("kubernetes-validate"), "--strict", "--quiet", tmp_path / "built.yaml")


def test_every_setting_and_command_is_one(documents: Documents) -> None:
    kinds = {name: kind for _, kind, name in fields()}
    for name, value in settings(documents).items():
        kinds[name](**{name: value})
    for pod in pods(documents).values():
        (container,) = pod["spec"]["containers"]
        words = [one for one in container["args"] if not one.startswith(("-", "/"))]
        assert " ".join(words) in commands_there()
        named = {one["name"].removeprefix("WEIR_").lower() for one in container["env"]}
        assert named - {"config", "secrets_directory"} <= set(kinds)


def test_mounts_lead_to_volumes_and_variables_to_mounts(documents: Documents) -> None:
    templates = {
        one["metadata"]["name"]
        for each in of(documents, "StatefulSet")
        for one in each["spec"]["volumeClaimTemplates"]
    }
    for name, pod in pods(documents).items():
        (container,) = pod["spec"]["containers"]
        mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
        volumes = {one["name"] for one in pod["spec"]["volumes"]} | (
            templates if name == "gateway" else set()
        )
        assert set(mounts) == volumes
        values = {one["name"]: one.get("value") for one in container["env"]}
        assert f"{mounts['settings']}/weir.toml" == values["WEIR_CONFIG"]
        assert mounts["secrets"] == values["WEIR_SECRETS_DIRECTORY"]
        # The image's WEIR_DATA.
        assert "/data" == mounts["data"]
        assert "WEIR_DATA=/data" in (ROOT / "Dockerfile").read_text()


def test_nothing_runs_as_root_or_writes_but_to_its_volumes(documents: Documents) -> None:
    (user,) = {line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("USER ")}
    for pod in pods(documents).values():
        context = pod["spec"]["securityContext"]
        assert context["runAsNonRoot"]
        assert f"USER {context['runAsUser']}:{context['runAsGroup']}" == user
        assert not pod["spec"]["automountServiceAccountToken"]
        own = pod["spec"]["containers"][0]["securityContext"]
        assert {"drop": ["ALL"]} == own["capabilities"]
        assert own["readOnlyRootFilesystem"]
        assert not own["allowPrivilegeEscalation"]


def test_ports_and_probes_are_the_settings(documents: Documents) -> None:
    default = {
        name: DeploySettings.model_fields[f"{name}_port"].default for name in ("gateway", "portal", "admin")
    }
    wanted = {"s3": default["gateway"], "portal": default["portal"], "admin": default["admin"]}
    by_pod = {}
    for name, pod in pods(documents).items():
        (container,) = pod["spec"]["containers"]
        by_pod[name] = {one["name"]: one["containerPort"] for one in container["ports"]}
        assert by_pod[name].items() <= wanted.items()
        assert "/readyz" == container["readinessProbe"]["httpGet"]["path"]
        # PostgreSQL away, or a stop that drains, is no reason to kill it.
        assert (
            "/livez"
            == container["livenessProbe"]["httpGet"]["path"]
            == container["startupProbe"]["httpGet"]["path"]
        )
    for service in of(documents, "Service"):
        pod = service["spec"]["selector"]["app.kubernetes.io/name"]
        assert {one["targetPort"] for one in service["spec"]["ports"]} <= set(by_pod[pod])


def test_a_stop_has_the_time_the_settings_promise(documents: Documents) -> None:
    told = settings(documents)
    longest = told["stop_notice_s"] + told["worker_stop_timeout_s"]
    longest += 2 * DeploySettings.model_fields["child_stop_timeout_s"].default
    longest += MeterSettings.model_fields["database_timeout_s"].default
    assert told["drain_timeout_s"] < told["worker_stop_timeout_s"]
    assert GatewaySettings.model_fields["drain_timeout_s"].default <= told["drain_timeout_s"]
    for pod in pods(documents).values():
        assert longest < pod["spec"]["terminationGracePeriodSeconds"]


def test_journals_outlive_their_pods_and_one_gateway_goes_at_a_time(documents: Documents) -> None:
    (gateways,) = of(documents, "StatefulSet")
    assert {"whenDeleted": "Retain", "whenScaled": "Retain"} == gateways["spec"][
        "persistentVolumeClaimRetentionPolicy"
    ]
    (budget,) = of(documents, "PodDisruptionBudget")
    assert 1 == budget["spec"]["maxUnavailable"]
    assert budget["spec"]["selector"] == gateways["spec"]["selector"]
    (coop,) = of(documents, "Deployment")
    assert (1, "Recreate") == (coop["spec"]["replicas"], coop["spec"]["strategy"]["type"])


def test_nobody_comes_in_but_members_and_prometheus(documents: Documents) -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in of(documents, "NetworkPolicy")}
    assert {"podSelector": {}, "policyTypes": ["Ingress"]} == policies["closed"]
    opened = {tuple(port["port"] for port in one["ports"]) for one in policies["members"]["ingress"]}
    assert {("s3", "portal"), ("admin",)} == opened
    assert all(one["from"] for one in policies["members"]["ingress"])


def test_what_the_monitor_looks_for_is_on_the_pods(documents: Documents) -> None:
    for monitor in of(documents, "PodMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        for pod in pods(documents).values():
            assert wanted.items() <= pod["metadata"]["labels"].items()
        assert ["admin"] == [one["port"] for one in monitor["spec"]["podMetricsEndpoints"]]


def test_no_secret_is_in_the_tree(documents: Documents) -> None:
    assert [] == of(documents, "Secret")
    assert "database_url" not in json.dumps(settings(documents))
