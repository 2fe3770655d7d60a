"""MLflow with artifacts on S3, straight on its database and through a server, and servers that misbehave."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.tracking.base import EFFECT_LOG_RUN, EFFECT_REGISTER, TrackingPort
from adapters.tracking.mlflow import MlflowTracking
from domain.candidate import ModelRef
from domain.clock import FrozenClock
from domain.errors import (
    ConfigurationError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    DigestMismatch,
    EvercrewError,
)
from domain.permit import PermitOffice
from testbed.servers.base import ServerError
from testbed.servers.mlflow import MlflowServer
from testbed.servers.moto import Moto
from tests.contract.permits import permit_for
from tests.contract.tracking_contract import MODEL, TrackingContract, bundle_of, digest_of
from tests.integrations.stores import silence
from tests.stubs.small_server import Asked, Said, SmallServer

pytest.importorskip("boto3", reason="boto3 is not installed: pip install 'evercrew[s3]'")

pytestmark = pytest.mark.xdist_group("mlflow")
_numbers = itertools.count()


@pytest.fixture
def office() -> PermitOffice:
    return PermitOffice(FrozenClock())


def tracking_at(uri: str, office: PermitOffice, artifacts: str | None = None, url: str | None = None) -> MlflowTracking:
    """Return the tracker of a database or server."""
    return MlflowTracking(
        uri=uri,
        experiment=f"reranker-{next(_numbers)}",
        permits=office,
        digest_of=digest_of,
        artifacts=artifacts,
        s3_endpoint_url=url,
    )


@pytest.mark.integration("mlflow", "works")
class TestMlflowWithArtifactsOnS3(TrackingContract):
    @pytest.fixture
    def tracking(self, office: PermitOffice, uri: str, s3: Moto) -> TrackingPort:
        return tracking_at(uri, office, f"{s3.bucket('models')}/{next(_numbers)}", s3.url)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, store: Moto) -> Iterator[MlflowServer]:
    """A server whose clients put artifacts into the S3 store themselves."""
    try:
        started = MlflowServer(tmp_path_factory.mktemp("server"), artifacts=f"{store.bucket('served')}/runs")
    except ServerError as problem:
        pytest.skip(str(problem))
    with started:
        yield started


@pytest.mark.slow
@pytest.mark.integration("mlflow", "works")
class TestMlflowServer(TrackingContract):
    @pytest.fixture
    def tracking(self, office: PermitOffice, server: MlflowServer, s3: Moto) -> Iterator[TrackingPort]:
        from mlflow import MlflowClient

        yield tracking_at(server.url, office)
        client = MlflowClient(tracking_uri=server.url, registry_uri=server.url)
        for model in client.search_registered_models():
            client.delete_registered_model(model.name)


@pytest.mark.slow
@pytest.mark.integration("mlflow", "misconfigured")
def test_a_server_whose_bucket_is_missing_is_told_in_its_check(
    server: MlflowServer, s3: Moto, office: PermitOffice
) -> None:
    tracking = tracking_at(server.url, office, "s3://never-made/x", s3.url)
    with pytest.raises(DependencyUnavailable, match=r"no bucket never-made.*Create it, or mend tracking\.artifacts"):
        tracking.check()
    assert "artifacts answer" in tracking_at(server.url, office, "s3://served/x", s3.url).check()


def registered(tracking: MlflowTracking, office: PermitOffice, place: Path) -> ModelRef:
    """Log a run and register a bundle."""
    bundle = bundle_of(place / "bundle", "model")
    run_id = tracking.log_run(
        name="training",
        params={},
        metrics={"ndcg": 0.5},
        tags={"dataset_path": "aug_1", "dataset_md5": "0" * 32 + ".dir", "dataset_rev": "abc"},
        artifacts=[],
        key="r",
        permit=permit_for(office, EFFECT_LOG_RUN, "r"),
    )
    return tracking.register(
        model=MODEL,
        bundle=bundle,
        digest=digest_of(bundle),
        run_id=run_id,
        tags={"code_revision": "evercrew 1"},
        key="v",
        permit=permit_for(office, EFFECT_REGISTER, "v"),
    )


@pytest.mark.integration("mlflow", "works")
def test_others_find_the_dataset_and_the_card_where_mlflow_shows_them(
    uri: str, s3: Moto, office: PermitOffice, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    tracking = tracking_at(uri, office, f"{s3.bucket('shown')}/runs", s3.url)
    ref = registered(tracking, office, tmp_path)
    client = MlflowClient(tracking_uri=uri)
    run = client.get_run(ref.run_id)
    assert run.inputs is not None
    (given,) = run.inputs.dataset_inputs
    assert json.loads(given.dataset.source) == {"uri": "aug_1", "revision": "abc"}
    assert {tag.key: tag.value for tag in given.tags}["dvc.md5"] == "0" * 32 + ".dir"
    assert run.info.artifact_uri.startswith("s3://shown/runs/")
    description = client.get_model_version(MODEL, ref.version).description
    assert description == tracking.card(MODEL, ref.version)
    cards = [f.path for f in client.list_artifacts(ref.run_id) if f.path.endswith("model_card.md")]
    assert len(cards) == 1


@pytest.mark.integration("mlflow", "lying")
def test_a_bundle_altered_in_the_bucket_is_not_handed_out(
    uri: str, s3: Moto, office: PermitOffice, tmp_path: Path
) -> None:
    tracking = tracking_at(uri, office, f"{s3.bucket('altered')}/runs", s3.url)
    ref = registered(tracking, office, tmp_path)
    from mlflow import MlflowClient

    place = str(MlflowClient(tracking_uri=uri).get_model_version(MODEL, ref.version).source)
    s3.write("altered", f"{place.removeprefix('s3://altered/')}/parts/model.txt", b"another")
    with pytest.raises(DigestMismatch, match=ref.digest):
        tracking.download(ref, tmp_path / "into")
    s3.remove("altered", f"{place.removeprefix('s3://altered/')}/config.json")
    with pytest.raises(DependencyLied, match="not a bundle"):
        tracking.download(ref, tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []


@pytest.mark.integration("mlflow", "lying")
@pytest.mark.parametrize(
    ("status", "body"), [(404, b"<html>not found</html>"), (200, b"<html>welcome</html>")], ids=["404", "200"]
)
def test_another_product_that_answers_is_told(office: PermitOffice, status: int, body: bytes) -> None:
    with SmallServer(lambda request: Said(status, body, kind="text/html")) as stub:
        tracking = tracking_at(stub.url, office)
        for look in (tracking.check, lambda: tracking.by_alias(MODEL, "champion")):
            with pytest.raises(DependencyLied, match=r"no MLflow server.*Mend tracking\.uri"):
                look()


@pytest.mark.integration("mlflow", "refused")
def test_a_server_that_is_down_and_one_that_refuses_are_told_apart(office: PermitOffice) -> None:
    with pytest.raises(DependencyUnavailable, match=r"no connection.*tracking\.uri"):
        tracking_at("http://127.0.0.1:9", office).check()
    with (
        SmallServer(lambda request: Said(401, b"You are not authenticated", kind="text/plain")) as stub,
        pytest.raises(DependencyUnavailable, match=r"credentials.*EVERCREW_TRACKING_TOKEN"),
    ):
        tracking_at(stub.url, office).check()
    refusal = json.dumps({"error_code": "PERMISSION_DENIED", "message": "Permission denied"}).encode()
    with (
        SmallServer(lambda request: Said(403, refusal)) as stub,
        pytest.raises(DependencyUnavailable, match=r"not permitted.*Grant EDIT"),
    ):
        tracking_at(stub.url, office).check()


@pytest.mark.integration("mlflow", "refused")
def test_credentials_of_the_environment_reach_the_server_and_no_error(
    office: PermitOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "a-secret")
    seen: list[str] = []

    def answer(request: Asked) -> Said:
        seen.append(request.path)
        return Said(401, b"no", kind="text/plain")

    with SmallServer(answer) as stub, pytest.raises(DependencyUnavailable) as told:
        tracking_at(stub.url, office).check()
    assert seen
    assert "a-secret" not in str(told.value)


@pytest.mark.integration("mlflow", "refused")
def test_artifacts_without_credentials_are_told_with_the_remedy(
    uri: str, store: Moto, office: PermitOffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    # MLflow keeps the clients of addresses it has been to, and boto a session with the credentials it found.
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", store.url.replace("127.0.0.1", "localhost"))
    with pytest.raises(ConfigurationError, match="Set AWS_ACCESS_KEY_ID"):
        tracking_at(uri, office, f"{store.bucket('models')}/x", store.url).check()


@pytest.mark.integration("mlflow", "slow")
def test_a_server_that_does_not_answer_is_given_up(office: PermitOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with silence() as url, pytest.raises(DependencyTimeout, match="mlflow"):
        tracking_at(url, office).check()


@pytest.mark.integration("mlflow", "misconfigured")
def test_each_way_to_misconfigure_it_has_its_own_answer(
    uri: str, s3: Moto, office: PermitOffice, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    said: list[str] = []
    for artifacts, place, pattern in (
        ("s3://never-made/x", uri, r"no bucket never-made.*Create it, or mend tracking\.artifacts"),
        (None, "gopher://there", r"tracking"),
        (None, f"sqlite:///{tmp_path}/file/mlflow.db", r"Mend tracking\.uri"),
    ):
        with pytest.raises(EvercrewError, match=pattern) as told:
            tracking_at(place, office, artifacts, s3.url).check()
        said.append(str(told.value))
    assert len(set(said)) == 3
