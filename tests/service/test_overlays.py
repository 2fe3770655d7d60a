"""Several targets in one file: how further ones are written, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from domain.errors import ConfigurationError
from service.config import load_config
from tests.support.targets import ADS, OTHER, two, written


def test_a_further_target_is_laid_over_the_file_field_by_field(tmp_path: Path) -> None:
    config = two(tmp_path)
    ads = config.at("ads")
    assert config.every_target == ("search", "ads")
    assert config.at("search") is config
    assert (ads.target, ads.environment) == ("ads", config.environment)
    assert (ads.values.remote, ads.values.path) == (config.values.remote, "ads.yaml")
    assert (ads.tracking.uri, ads.tracking.model) == (config.tracking.uri, "ads-ranker")
    assert ads.state == config.state / "targets" / "ads"
    assert ads.datasets.repository == tmp_path / "ads-datasets"


def test_the_documented_file_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "targets.md").read_text(encoding="utf-8")
    (tmp_path / "evercrew.yaml").write_text(page.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    config = load_config(tmp_path / "evercrew.yaml")
    assert config.every_target == ("search", "ads")
    assert config.at("ads").values.path == "ads/values.yaml"


def test_a_system_is_left_out_with_null(tmp_path: Path) -> None:
    vectors = {"url": "http://127.0.0.1:9", "collection": "search"}
    config = load_config(written(tmp_path, {"ads": {**ADS, "vectors": None}}, vectors=vectors))
    assert config.vectors is not None
    assert config.at("ads").vectors is None


@pytest.mark.parametrize(
    ("further", "field"),
    [
        ({"ads": {**ADS, "valuse": {}}}, "targets.ads.valuse"),
        ({"ads": {**ADS, "values": {"pth": "x"}}}, "targets.ads.values.pth"),
        ({"ads": {**ADS, "metrics": {"labels": {"a-b": "c"}}}}, "targets.ads.metrics.labels"),
        ({"ads": {**ADS, "state": "elsewhere"}}, "targets.ads.state"),
        ({"ads": {**ADS, "people": {}}}, "targets.ads.people"),
        ({"ads": {**ADS, "tracking": {"model": "m", "username": "u"}}}, "targets.ads.tracking.username"),
        ({"Ads": ADS}, "targets.Ads"),
        ({"../ads": ADS}, "targets.../ads"),
        ({"search": ADS}, "targets.search"),
        ({"ads": None}, "targets.ads"),
        ({"a-b": ADS, "a_b": OTHER}, "targets.a_b"),
        ({"gold": ADS}, "targets.gold"),
        ({"production": ADS}, "targets.production"),
        (
            {"ads": {**ADS, "tracking": {"model": "m", "retention": {"enabled": True}}}},
            "targets.ads.tracking.retention",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_names_the_field(tmp_path: Path, further: Any, field: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_config(written(tmp_path, further))
    assert refused.value.field.startswith(f"evercrew.yaml: {field}")
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("left_out", "field"),
    [
        ("platform", "targets.ads.platform.url"),
        ("values", "targets.ads.values.path"),
        ("tracking", "targets.ads.tracking.model"),
        ("evaluation", "targets.ads.evaluation.sealed"),
    ],
)
def test_targets_share_nothing_that_one_would_change_for_another(tmp_path: Path, left_out: str, field: str) -> None:
    ads = {name: section for name, section in ADS.items() if name != left_out}
    with pytest.raises(ConfigurationError, match="is the one of search too") as refused:
        load_config(written(tmp_path, {"ads": ads}))
    assert refused.value.field == f"evercrew.yaml: {field}"


@pytest.mark.parametrize("labels", [{}, {"service": "search"}, {"team": "ads"}, {"service": "search", "team": "ads"}])
def test_series_that_cannot_be_told_apart_are_refused(tmp_path: Path, labels: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="cannot be told from those of search") as refused:
        load_config(written(tmp_path, {"ads": {**ADS, "metrics": {"labels": labels}}}))
    assert refused.value.field == "evercrew.yaml: targets.ads.metrics.labels"
    other = {**ADS, "metrics": {"url": "http://127.0.0.1:10", "labels": labels}}
    assert load_config(written(tmp_path, {"ads": other})).at("ads").metrics.url.endswith("10")


def test_a_first_target_without_labels_shares_no_metrics_with_a_further_one(tmp_path: Path) -> None:
    bare = {"kind": "prometheus", "url": "http://127.0.0.1:9"}
    with pytest.raises(ConfigurationError, match="cannot be told from those of search"):
        two(tmp_path, metrics=bare)


@pytest.mark.parametrize(
    ("ads", "field"),
    [
        ({"platform": {"url": "HTTP://127.0.0.1:9/"}}, "platform.url"),
        ({"values": {"path": "./values.yaml"}}, "values.path"),
        ({"datasets": {"repository": "datasets"}}, "datasets.repository"),
        ({"datasets": {"repository": "datasets/ads"}}, "datasets.repository"),
        ({"logs": {}}, "logs"),
    ],
)
def test_the_same_written_otherwise_is_the_same(tmp_path: Path, ads: dict[str, Any], field: str) -> None:
    logs = {"kind": "files", "files": ["logs/app.jsonl"]}
    with pytest.raises(ConfigurationError) as refused:
        load_config(written(tmp_path, {"ads": {**ADS, "logs": {"kind": "platform"}, **ads}}, logs=logs))
    assert refused.value.field == f"evercrew.yaml: targets.ads.{field}"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("https://git.example/team/values.git", "https://git.example/team/values"),
        ("https://me@GIT.example/team/values", "git@git.example:team/values.git"),
        ("ssh://git@git.example/team/values.git/", "https://git.example/team/values"),
    ],
)
def test_a_repository_is_the_same_over_https_and_ssh(tmp_path: Path, ours: str, theirs: str) -> None:
    ads = {**ADS, "values": {"remote": theirs}}
    with pytest.raises(ConfigurationError, match=r"targets\.ads\.values\.path"):
        load_config(written(tmp_path, {"ads": ads}, values={"remote": ours}))


def test_data_is_shared_with_no_target_where_old_data_is_deleted(tmp_path: Path) -> None:
    tracking = {"uri": "sqlite:///mlflow.db", "retention": {"enabled": True}}
    with pytest.raises(ConfigurationError, match=r"targets\.ads\.datasets\.remote"):
        two(tmp_path, tracking=tracking)
    own = {**ADS, "datasets": {"repository": "ads-datasets", "remote": "ads-remote"}}
    config = load_config(written(tmp_path, {"ads": own}, tracking=tracking))
    assert (config.experiment, config.at("ads").experiment) == ("evercrew", "evercrew-ads")


def test_an_application_or_a_collection_that_is_not_its_own_is_refused(tmp_path: Path) -> None:
    vectors = {"url": "http://127.0.0.1:9", "collection": "search"}
    with pytest.raises(ConfigurationError, match=r"targets\.ads\.vectors\.collection"):
        two(tmp_path, vectors=vectors)
    argo = {"kind": "argocd", "url": "https://argocd.example", "application": "the-search"}
    own = {**ADS, "values": {"remote": "ads.git"}}
    with pytest.raises(ConfigurationError, match=r"targets\.ads\.delivery\.application"):
        load_config(written(tmp_path, {"ads": own}, delivery=argo))
    each = {**argo, "application": "{target}-app"}
    assert load_config(written(tmp_path, {"ads": own}, delivery=each)).at("ads").delivery.url == argo["url"]
    with pytest.raises(ConfigurationError, match=r"targets\.ads\.values\.remote"):
        two(tmp_path, delivery=each)


def test_two_servers_on_one_machine_are_two(tmp_path: Path) -> None:
    ads = {**ADS, "values": {"remote": "http://localhost:3002/o/v.git"}}
    config = load_config(written(tmp_path, {"ads": ads}, values={"remote": "http://localhost:3001/o/v.git"}))
    assert config.at("ads").values.remote.startswith("http://localhost:3002/")


@pytest.mark.parametrize("url", ["http://search:80a", "http://search:99999", "http://[search"])
def test_an_address_that_is_none_is_left_to_whoever_uses_it(tmp_path: Path, url: str) -> None:
    assert load_config(written(tmp_path, {}, platform={"url": url})).platform.url == url
    assert load_config(written(tmp_path, {"ads": ADS}, platform={"url": url})).every_target == ("search", "ads")


def test_no_job_sees_the_judgements_of_any_target(tmp_path: Path) -> None:
    ads = {**ADS, "evaluation": {"sealed": "elsewhere/ads.jsonl"}}
    config = load_config(written(tmp_path, {"ads": ads}))
    both = {config.evaluation.sealed.parent, config.at("ads").evaluation.sealed.parent}
    assert len(both) == 2
    assert set(config.sealed_folders) == set(config.at("ads").sealed_folders) == both
