"""`evercrew alerts rules`: a rules file that Prometheus takes, from a configuration."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from service.cli import app
from service.starter import Site, starter


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "evercrew.yaml"
    path.write_text(starter(Site(target="books", environment="production")), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", [[], ["--recording"]], ids=["alerts", "recordings"])
def test_the_rules_are_those_of_the_configuration_and_prometheus_takes_them(config: Path, kind: list[str]) -> None:
    done = CliRunner().invoke(app, ["alerts", "rules", "--config", str(config), "--interval", "1m", *kind])
    assert done.exit_code == 0, done.output
    (group,) = yaml.safe_load(done.stdout)["groups"]
    assert group["interval"] == "60000ms"
    assert {rule["labels"]["target"] for rule in group["rules"]} == {"books"}
    assert "ndcg_at_10" in {rule["labels"]["signal"] for rule in group["rules"]}
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (apt: prometheus) is missing: what Prometheus says of the file is not asked")
    file = config.with_name("rules.yml")
    file.write_text(done.stdout, encoding="utf-8")
    assert subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, check=False).returncode == 0
