"""The chart and the kustomize base: they render, fit the schemas of Kubernetes, and run as nobody special."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from domain.errors import ConfigurationError
from service.config import load_config
from service.settings import load
from tests.deploy.gotemplate import Chart, TemplateError, laid_over
from tests.deploy.material import DEPLOY, program, run

FOLDER = DEPLOY / "helm" / "evercrew"
BASE = DEPLOY / "kustomize"
POSTGRES = "postgresql://evercrew@postgres/evercrew"
MANY = {
    "replicas": 3,
    "config": {"store_url": POSTGRES, "workflow_url": POSTGRES, "audit_url": POSTGRES},
    "persistence": {"accessMode": "ReadWriteMany", "storageClass": "shared"},
}
FULL: Mapping[str, Any] = {
    **MANY,
    "image": {"digest": "sha256:" + "a" * 64, "repository": "registry.example/evercrew"},
    "imagePullSecrets": [{"name": "pull"}],
    "policies": {"forbids.cedar": "forbid (principal, action, resource);\n", "policies.cedarschema": "entity A;\n"},
    "secretName": "evercrew-settings",
    "serviceAccount": {"name": "crew", "annotations": {"team": "search"}},
    "networkPolicy": {"from": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}], "egressPorts": []},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "podAnnotations": {"note": "with a: colon"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
}
SETS: Mapping[str, Mapping[str, Any]] = {
    "as it comes": {},
    "three replicas": MANY,
    "everything": FULL,
    "nothing extra": {
        "persistence": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "serviceAccount": {"create": False, "name": "default"},
    },
    "own claim": {"persistence": {"existingClaim": "mine"}},
}


@functools.cache
def chart() -> Chart:
    return Chart(FOLDER)


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [each for each in objects if each["kind"] == kind]
    return found


def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "values.schema.json").read_text())
    return found


@functools.cache
def kustomized() -> tuple[dict[str, Any], ...]:
    done = run(program("kubectl"), "kustomize", str(BASE))
    assert done.returncode == 0, done.stderr
    return tuple(found for found in yaml.safe_load_all(done.stdout) if found)


def check_schemas(objects: list[dict[str, Any]]) -> None:
    """Hold objects against the JSON Schemas of Kubernetes; those of operators (ServiceMonitor) have none there."""
    kubernetes = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for each in objects:
        if not each["apiVersion"].startswith("monitoring.coreos.com"):
            kubernetes.validate(each, kubernetes.latest_version(), strict=True)


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_the_chart_fits_the_schemas_of_kubernetes(values: Mapping[str, Any]) -> None:
    check_schemas(chart().objects(values))


def test_the_base_is_rendered_by_kubectl_and_fits_the_schemas_of_kubernetes() -> None:
    kinds = sorted(each["kind"] for each in kustomized())
    assert kinds == [
        "ConfigMap",
        "Namespace",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
        "StatefulSet",
    ]
    check_schemas(list(kustomized()))


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_values_that_render_fit_the_schema_of_the_chart(values: Mapping[str, Any]) -> None:
    Draft7Validator.check_schema(schema())
    merged = laid_over(chart().values, values)
    assert [f"{e.json_path}: {e.message}" for e in Draft7Validator(schema()).iter_errors(merged)] == []


@pytest.mark.parametrize(
    "values",
    [
        {"replicas": 2},
        {"replicas": 2, "persistence": {"accessMode": "ReadWriteMany"}},
        {**MANY, "persistence": {"accessMode": "ReadWriteOnce"}},
        {"replicas": 0},
        {"config": {"state": "/tmp"}},
        {"config": {"serve": {"host": "127.0.0.1"}}},
        {"image": {"digest": "latest"}},
        {"serviceMonitor": {"enabled": True}},
        {"persistance": {}},
        {"networkPolicy": {"egressPorts": ["https"]}},
    ],
    ids=str,
)
def test_values_that_cannot_work_are_refused_by_the_schema(values: Mapping[str, Any]) -> None:
    assert list(Draft7Validator(schema()).iter_errors(laid_over(chart().values, values)))


@pytest.mark.parametrize("source", ["chart", "kustomize"])
def test_the_pod_runs_as_nobody_special(source: str) -> None:
    objects = chart().objects(FULL) if source == "chart" else list(kustomized())
    pod = of_kind(objects, "StatefulSet")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["resources"]["limits"]["memory"]
    mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert {"/var/lib/evercrew", "/var/cache/evercrew", "/tmp", "/etc/evercrew"} <= set(mounted)
    assert set(mounted.values()) == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("source", ["chart", "kustomize"])
def test_what_kubernetes_says_of_a_service_is_not_taken_for_a_setting(source: str) -> None:
    """Beside a Service `evercrew` every pod would have these, and a process that sees them does not start."""
    with pytest.raises(ConfigurationError, match="EVERCREW_PORT"):
        load({"EVERCREW_PORT": "tcp://10.0.0.1:80", "EVERCREW_SERVICE_HOST": "10.0.0.1"})
    objects = chart().objects() if source == "chart" else list(kustomized())
    assert of_kind(objects, "StatefulSet")["spec"]["template"]["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize("source", ["chart", "kustomize"])
def test_selectors_find_the_pods(source: str) -> None:
    objects = chart().objects() if source == "chart" else list(kustomized())
    labels = of_kind(objects, "StatefulSet")["spec"]["template"]["metadata"]["labels"]
    wanted = [
        of_kind(objects, "StatefulSet")["spec"]["selector"]["matchLabels"],
        of_kind(objects, "Service")["spec"]["selector"],
        of_kind(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        of_kind(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ]
    for selector in wanted:
        assert selector.items() <= labels.items()
    ports = {p["name"] for p in of_kind(objects, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]["ports"]}
    assert {port["targetPort"] for port in of_kind(objects, "Service")["spec"]["ports"]} <= ports


def test_the_configuration_in_the_chart_is_one_that_evercrew_reads(tmp_path: Path) -> None:
    given = yaml.safe_load((BASE / "evercrew.yaml").read_text())
    objects = chart().objects({"config": given, "policies": FULL["policies"]})
    first = next(o for o in objects if o["kind"] == "ConfigMap" and o["metadata"]["name"].endswith("-config"))
    (tmp_path / "evercrew.yaml").write_text(first["data"]["evercrew.yaml"])
    assert load_config(tmp_path / "evercrew.yaml") == load_config(BASE / "evercrew.yaml").model_copy()
    second = next(o for o in objects if o["metadata"]["name"].endswith("-policies"))
    assert second["data"] == FULL["policies"]


def test_a_change_of_the_configuration_restarts_the_pods() -> None:
    def checksum(values: Mapping[str, Any]) -> str:
        template = of_kind(chart().objects(values), "StatefulSet")["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/config"])

    assert checksum({}) != checksum({"config": {"target": "ads"}})
    assert checksum({}) == checksum({"replicas": 1})


def test_what_is_not_wanted_is_not_there() -> None:
    kinds = {each["kind"] for each in chart().objects(SETS["nothing extra"])}
    assert kinds == {"ConfigMap", "Service", "StatefulSet"}
    assert "ServiceMonitor" in {each["kind"] for each in chart().objects(FULL)}
    assert "PersistentVolumeClaim" not in {each["kind"] for each in chart().objects(SETS["own claim"])}


def test_the_image_is_named_by_its_digest_where_there_is_one() -> None:
    def image(values: Mapping[str, Any]) -> str:
        pod = of_kind(chart().objects(values), "StatefulSet")["spec"]["template"]["spec"]
        return str(pod["containers"][0]["image"])

    assert image({}) == f"evercrew:{chart().about['appVersion']}"
    assert image({"image": {"tag": "v2"}}) == "evercrew:v2"
    assert image(FULL) == "registry.example/evercrew@sha256:" + "a" * 64


def test_the_renderer_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "chart")
    for told in ("{{ lookup }}", "{{ .Values.a | b64enc }}", "{{ if .Values.a }}", "{{ end }}", "{{ tpl . . }}"):
        (tmp_path / "chart" / "templates" / "more.yaml").write_text(told)
        with pytest.raises(TemplateError):
            Chart(tmp_path / "chart").render()


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_helm_comes_to_the_same_objects(values: Mapping[str, Any], tmp_path: Path) -> None:
    helm = program("helm")
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(dict(values)))
    told = ("--values", str(tmp_path / "values.yaml"))
    assert run(helm, "lint", str(FOLDER), *told).returncode == 0
    done = run(helm, "template", "evercrew", str(FOLDER), *told)
    assert done.returncode == 0, done.stderr
    objects = [found for found in yaml.safe_load_all(done.stdout) if found]
    by_name = {(o["kind"], o["metadata"]["name"]): o for o in objects}
    assert by_name == {(o["kind"], o["metadata"]["name"]): o for o in chart().objects(values)}
