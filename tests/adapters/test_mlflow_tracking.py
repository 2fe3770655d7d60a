"""What only the tracker in MLflow has to cope with: runs begun and not ended, versions registered by others."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.tracking.base import EFFECT_LOG_RUN, EFFECT_REGISTER, EFFECT_RETIRE, Retirable
from adapters.tracking.mlflow import MlflowTracking
from adapters.tracking.mlflow_store import KEY_TAG
from domain.clock import FrozenClock
from domain.errors import DependencyError, DependencyLied, DigestMismatch, InvalidInput
from domain.observation import Seen
from domain.permit import PermitOffice
from tests.contract.permits import permit_for
from tests.contract.tracking_contract import MODEL, bundle_of, digest_of

pytestmark = pytest.mark.xdist_group("mlflow")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mlflow import MlflowClient

    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{database}").search_experiments()
    return database


@pytest.fixture
def office() -> PermitOffice:
    return PermitOffice(FrozenClock())


@pytest.fixture
def uri(template: Path, tmp_path: Path) -> str:
    shutil.copyfile(template, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def tracking(office: PermitOffice, uri: str, tmp_path: Path) -> MlflowTracking:
    files = (tmp_path / "files").as_uri()
    return MlflowTracking(uri=uri, experiment="reranker", permits=office, digest_of=digest_of, artifacts=files)


def log(tracking: MlflowTracking, office: PermitOffice, key: str = "k1", *files: Path) -> str:
    return tracking.log_run(
        name="training",
        params={"rounds": 3},
        metrics={"ndcg": 0.5},
        tags={},
        artifacts=files,
        key=key,
        permit=permit_for(office, EFFECT_LOG_RUN, key),
    )


def test_a_run_that_was_begun_and_not_ended_is_taken_up(
    tracking: MlflowTracking, office: PermitOffice, uri: str
) -> None:
    from mlflow import MlflowClient

    log(tracking, office, "other")
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("reranker")
    assert experiment is not None
    begun = client.create_run(experiment.experiment_id, tags={KEY_TAG: "k1"})
    client.log_param(begun.info.run_id, "rounds", 3)
    assert tracking.observe("k1").seen is Seen.ABSENT
    assert log(tracking, office) == begun.info.run_id
    assert tracking.observe("k1").outcome == {"run_id": begun.info.run_id}
    assert client.get_run(begun.info.run_id).data.metrics == {"ndcg": 0.5}
    assert len(client.search_runs([experiment.experiment_id])) == 2


def test_files_and_folders_of_a_run_keep_their_names(
    tracking: MlflowTracking, office: PermitOffice, uri: str, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    report = tmp_path / "report.json"
    report.write_text("{}")
    run_id = log(tracking, office, "k1", report, bundle_of(tmp_path / "dataset", "rows"))
    client = MlflowClient(tracking_uri=uri)
    assert sorted(file.path for file in client.list_artifacts(run_id)) == ["dataset", "report.json"]


def test_a_version_somebody_else_registered_is_read_and_downloaded(
    tracking: MlflowTracking, office: PermitOffice, uri: str, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    bundle = bundle_of(tmp_path / "bundle", "theirs")
    run_id = log(tracking, office)
    client = MlflowClient(tracking_uri=uri)
    client.log_artifacts(run_id, str(bundle), "bundle")
    client.create_registered_model(MODEL)
    source = f"{client.get_run(run_id).info.artifact_uri}/bundle"
    tags = {"digest": digest_of(bundle), "dataset_rev": "r1", "trained_at": "2026-01-01"}
    client.create_model_version(MODEL, source, run_id=run_id, tags=tags)
    client.set_registered_model_alias(MODEL, "champion", "1")
    ref = tracking.by_alias(MODEL, "champion")
    assert ref is not None
    assert (ref.digest, ref.dataset_revision) == (digest_of(bundle), "r1")
    assert digest_of(tracking.download(ref, tmp_path / "into")) == ref.digest


def test_a_bundle_changed_in_the_store_is_not_handed_out(
    tracking: MlflowTracking, office: PermitOffice, tmp_path: Path
) -> None:
    bundle = bundle_of(tmp_path / "bundle", "model")
    run_id = log(tracking, office)
    ref = tracking.register(
        model=MODEL,
        bundle=bundle,
        digest=digest_of(bundle),
        run_id=run_id,
        tags={},
        key="k2",
        permit=permit_for(office, EFFECT_REGISTER, "k2"),
    )
    (stored,) = (tmp_path / "files").rglob("model.txt")
    stored.write_text("changed")
    with pytest.raises(DigestMismatch):
        tracking.download(ref, tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []
    next((tmp_path / "files").rglob("config.json")).unlink()
    with pytest.raises(DependencyLied, match="not a bundle"):
        tracking.download(ref, tmp_path / "into")
    shutil.rmtree(tmp_path / "files")
    with pytest.raises(DependencyLied, match="holds no files"):
        tracking.download(ref, tmp_path / "into")


@pytest.mark.parametrize("key", ["it's", "a' or '1'='1", "", "line\nbreak"])
def test_a_key_that_would_be_a_query_is_refused(tracking: MlflowTracking, office: PermitOffice, key: str) -> None:
    with pytest.raises(InvalidInput, match="key"):
        log(tracking, office, key)
    with pytest.raises(InvalidInput):
        tracking.observe(key)


def test_names_and_digests_that_would_be_queries_find_nothing(tracking: MlflowTracking) -> None:
    assert tracking.by_digest(MODEL, "x' or tags.digest like '%") is None
    with pytest.raises(InvalidInput, match="model"):
        tracking.versions("x' or name like '%")


def test_reading_makes_no_experiment(tracking: MlflowTracking, uri: str) -> None:
    from mlflow import MlflowClient

    assert tracking.observe("k1").seen is Seen.ABSENT
    assert "will be made" in tracking.check()
    assert MlflowClient(tracking_uri=uri).get_experiment_by_name("reranker") is None


def test_a_store_that_cannot_be_opened_is_unavailable(office: PermitOffice, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is no database, and long enough to be seen as none" * 20)
    broken = MlflowTracking(
        uri=f"sqlite:///{tmp_path / 'mlflow.db'}", experiment="x", permits=office, digest_of=digest_of
    )
    with pytest.raises(DependencyError, match="mlflow"):
        broken.check()


def test_a_deletion_that_was_broken_off_is_not_seen_as_done_and_goes_on_under_its_key(
    tracking: MlflowTracking, office: PermitOffice, uri: str, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    later = datetime(2100, 1, 1, tzinfo=UTC)
    refs = []
    for name in ("first", "second", "newest"):
        bundle = bundle_of(tmp_path / name, name)
        run_id, permit = log(tracking, office, f"r-{name}"), permit_for(office, EFFECT_REGISTER, name)
        ref = tracking.register(
            model=MODEL, bundle=bundle, digest=digest_of(bundle), run_id=run_id, tags={}, key=name, permit=permit
        )
        refs.append(ref)
    told = tracking.retirable(MODEL, keep_last=1, before=later, keep=[])
    client = MlflowClient(tracking_uri=uri)
    client.set_registered_model_tag(MODEL, "evercrew.retired.d1", told.model_dump_json())
    client.delete_model_version(MODEL, refs[0].version)
    assert tracking.observe("d1").seen is Seen.ABSENT
    permit = permit_for(office, EFFECT_RETIRE, "d1")
    assert tracking.retire(MODEL, keep_last=1, before=later, keep=[], key="d1", permit=permit) == told
    assert Retirable.model_validate_json(str(tracking.observe("d1").outcome["retired"])) == told
    assert [ref.version for ref in tracking.versions(MODEL)] == [refs[2].version]
