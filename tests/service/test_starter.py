"""What `evercrew init` writes is a configuration, with its comments taken away too."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from domain.errors import InvalidInput
from service.cli import app
from service.config import Config, load_config
from service.starter import Site, starter

TEXT = starter(Site(platform="http://search.example:8080/"))


def test_what_is_written_is_accepted_as_it_stands() -> None:
    config = Config.model_validate(yaml.safe_load(TEXT))
    assert config.platform.url == "http://search.example:8080"
    assert config.costs is None


def test_every_section_that_is_only_a_comment_is_accepted_too() -> None:
    shown = re.sub(r"^# (?=[a-z_]+:|  )", "", TEXT, flags=re.MULTILINE)
    config = Config.model_validate(yaml.safe_load(shown))
    assert config.delivery.application == "{target}-{environment}"
    assert config.logs.selector == '{app="search"}'
    assert None not in (config.alertmanager, config.grafana, config.costs, config.vectors, config.search, config.backup)


def test_flags_answer_the_questions(tmp_path: Path) -> None:
    out = tmp_path / "evercrew.yaml"
    flags = ["--environment", "production", "--prometheus", "http://prometheus.example:9090/", "--target", "books"]
    done = CliRunner().invoke(app, ["init", "--out", str(out), "--json", *flags])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["written"] == str(out)
    config = load_config(out)
    assert (config.environment, config.target) == ("production", "books")
    assert (config.metrics.kind, config.metrics.url) == ("prometheus", "http://prometheus.example:9090")


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "evercrew.yaml"
    out.write_text("mine", encoding="utf-8")
    with pytest.raises(InvalidInput, match="exists"):
        CliRunner().invoke(app, ["init", "--out", str(out)], catch_exceptions=False)
    assert out.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--platform", "search.example"), ("--environment", "prod"), ("--target", "a b"), ("--values", "x\n evil: 1")],
)
def test_an_answer_that_cannot_be_names_its_field(flag: str, value: str, tmp_path: Path) -> None:
    out = tmp_path / "evercrew.yaml"
    with pytest.raises(InvalidInput, match=flag.removeprefix("--")):
        CliRunner().invoke(app, ["init", "--out", str(out), flag, value], catch_exceptions=False)
    assert not out.exists()


def test_folders_and_files_are_relative_to_the_file(tmp_path: Path) -> None:
    found = yaml.safe_load(TEXT)
    found["values"]["remote"] = "platform/values.git"
    found["tracking"]["artifacts"] = "mlruns"
    found |= {"store_url": "sqlite:///mine.db", "backup": {"to": "backups"}}
    (tmp_path / "evercrew.yaml").write_text(yaml.safe_dump(found), encoding="utf-8")
    config = load_config(tmp_path / "evercrew.yaml")
    assert config.values.remote == str(tmp_path / "platform" / "values.git")
    assert config.datasets.remote == str(tmp_path / "dvc-remote")
    assert config.store_url == f"sqlite:///{tmp_path}/mine.db"
    assert config.backup is not None
    assert config.backup.to == str(tmp_path / "backups")
    assert config.tracking.uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert config.tracking.artifacts == str(tmp_path / "mlruns")


@pytest.mark.parametrize("artifacts", ["s3://b/p", "mlflow-artifacts:/p", "file:///srv/p", "/srv/p", None])
def test_an_address_or_nothing_stays_where_models_are_kept(tmp_path: Path, artifacts: str | None) -> None:
    found = yaml.safe_load(TEXT)
    found["tracking"]["artifacts"] = artifacts
    (tmp_path / "evercrew.yaml").write_text(yaml.safe_dump(found), encoding="utf-8")
    assert load_config(tmp_path / "evercrew.yaml").tracking.artifacts == artifacts


@pytest.mark.parametrize(
    "remote", ["https://git.example/v.git", "git@git.example:team/v.git", "s3://b/p", "/srv/v.git"]
)
def test_addresses_and_absolute_folders_stay(remote: str, tmp_path: Path) -> None:
    found = yaml.safe_load(TEXT)
    found["values"]["remote"] = found["datasets"]["remote"] = remote
    (tmp_path / "evercrew.yaml").write_text(yaml.safe_dump(found), encoding="utf-8")
    config = load_config(tmp_path / "evercrew.yaml")
    assert (config.values.remote, config.datasets.remote) == (remote, remote)
